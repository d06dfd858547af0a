//! An allocator that knows how many bytes each of two parties holds.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whose calls are running; everything else is nobody's.
static PARTY: AtomicUsize = AtomicUsize::new(0);
static HELD: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];

/// Pieces of memory that each party holds, by their size; those of this size or more are not told apart.
const SIZES: usize = 16_384;
static PIECES: [[AtomicI64; SIZES]; 3] = [const { [const { AtomicI64::new(0) }; SIZES] }; 3];

/// Counts `pieces` of `size` bytes each.
fn note(pieces: i64, size: usize) {
    let party = PARTY.load(Ordering::Relaxed);
    if let (Some(held), Some(by_size)) = (HELD.get(party), PIECES.get(party)) {
        held.fetch_add(pieces * size as i64, Ordering::Relaxed);
        if let Some(count) = by_size.get(size) {
            count.fetch_add(pieces, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(-1, layout.size());
        note(1, size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(-1, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

/// What `call` allocates and frees is `party`'s, 1 or 2.
pub(crate) fn for_party<T>(party: usize, call: impl FnOnce() -> T) -> T {
    PARTY.store(party, Ordering::Relaxed);
    let result = call();
    PARTY.store(0, Ordering::Relaxed);
    result
}

/// Bytes that `party` holds.
pub(crate) fn held(party: usize) -> i64 {
    HELD[party].load(Ordering::Relaxed)
}

/// The sizes of the pieces that `party` holds `at_least` so many of, with their number, largest share first.
pub(crate) fn pieces(party: usize, at_least: i64) -> Vec<(usize, i64)> {
    let counts = PIECES[party].iter().map(|count| count.load(Ordering::Relaxed));
    let mut all: Vec<(usize, i64)> = counts.enumerate().filter(|&(_, count)| count >= at_least).collect();
    all.sort_by_key(|&(size, count)| -(size as i64 * count));
    all
}
