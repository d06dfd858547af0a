//! In steady state the protocol allocates nothing, on either side (contract: "no heap allocation per packet").
//!
//! A counting allocator looks only while a call of jsp-proto runs. Each case warms up until buffers have reached their
//! size, then moves as much again, and not one allocation may happen.

#[path = "support/pair.rs"]
mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

use jsp_proto::{Delivery, StreamOptions};
use pair::{Pair, Work};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many places of allocations a failure shows.
const SHOWN: usize = 3;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static PLACES: RefCell<Vec<(usize, Backtrace)>> = const { RefCell::new(Vec::new()) };
}

fn note(size: usize) {
    // After a thread's end its locals are gone; nothing is counted there.
    let counts = COUNTING.try_with(Cell::get) == Ok(true) && INSIDE.try_with(Cell::get) == Ok(true);
    if counts {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // Taking a backtrace allocates.
        INSIDE.set(false);
        PLACES.with_borrow_mut(|places| {
            if places.len() < SHOWN {
                places.push((size, Backtrace::force_capture()));
            }
        });
        INSIDE.set(true);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Every call of jsp-proto goes through here.
fn inside<T>(call: impl FnOnce() -> T) -> T {
    INSIDE.set(true);
    let result = call();
    INSIDE.set(false);
    result
}

/// How many allocations `work` makes inside calls of jsp-proto.
fn allocations(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.set(0);
    PLACES.with_borrow_mut(Vec::clear);
    COUNTING.set(true);
    work();
    COUNTING.set(false);
    ALLOCATIONS.get()
}

/// Warms up, then holds the next `amount` bytes or messages to zero.
fn holds(work: Work, loss: u64, amount: u64) {
    let mut pair = Pair::new(&pair::server_key(), work, loss);
    pair.run(WARM_UP * amount);
    let count = allocations(|| pair.run(amount));
    if count > 0 {
        for (size, place) in PLACES.take() {
            println!("{size} bytes:\n{place}");
        }
    }
    assert_eq!(count, 0, "allocations in {amount} units of {work:?} with one of {loss} datagrams lost");
}

/// One datagram in this many is lost.
const ONE_PERCENT: u64 = 100;
/// How much longer the warm-up is: buffers grow by doubling, and the last doubling comes late.
const WARM_UP: u64 = 4;
const BYTES: u64 = 32 << 20;
const MESSAGES: u64 = 150_000;
const ROUND_TRIPS: u64 = 5000;

#[test]
fn the_counter_counts() {
    let make = || drop(std::hint::black_box(Vec::<u8>::with_capacity(1)));
    assert_eq!(allocations(|| inside(make)), 1);
    assert_eq!(allocations(make), 0, "outside of calls nothing counts");
}

#[test]
fn bytes() {
    holds(Work::Bytes, 0, BYTES);
}

#[test]
fn bytes_with_loss() {
    holds(Work::Bytes, ONE_PERCENT, BYTES);
}

#[test]
fn ordered_messages() {
    holds(Work::Messages { options: StreamOptions::ordered_messages(), len: 64 }, 0, MESSAGES);
}

#[test]
fn ordered_messages_with_loss() {
    holds(Work::Messages { options: StreamOptions::ordered_messages(), len: 64 }, ONE_PERCENT, MESSAGES);
}

#[test]
fn unordered_messages() {
    holds(Work::Messages { options: StreamOptions::unordered_messages(), len: 64 }, 0, MESSAGES);
}

#[test]
fn unordered_messages_with_loss() {
    holds(Work::Messages { options: StreamOptions::unordered_messages(), len: 64 }, ONE_PERCENT, MESSAGES);
}

#[test]
fn best_effort_messages_with_loss() {
    let options = StreamOptions::unordered_messages().delivery(Delivery::BestEffort);
    holds(Work::Messages { options, len: 64 }, ONE_PERCENT, MESSAGES / 5);
}

#[test]
fn messages_larger_than_a_datagram_with_loss() {
    holds(Work::Messages { options: StreamOptions::unordered_messages(), len: 5000 }, ONE_PERCENT, MESSAGES / 50);
}

#[test]
fn ping_pong() {
    holds(Work::PingPong { len: 64 }, 0, ROUND_TRIPS);
}

#[test]
fn ping_pong_with_loss() {
    holds(Work::PingPong { len: 64 }, ONE_PERCENT, ROUND_TRIPS);
}
