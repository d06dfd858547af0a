//! In steady state the protocol allocates nothing, on either side (contract: "no heap allocation per packet").
//!
//! A counting allocator looks only while a call of jsp-proto runs. Each case warms up until buffers have reached their
//! size, then moves as much again, and not one allocation may happen.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/pair.rs"]
mod pair;

use counting::{allocations, inside, print_places};
use jsp_proto::{Delivery, Fec, StreamOptions};
use pair::{Pair, Work};

/// Warms up, then holds the next `amount` bytes or messages to zero.
fn holds(work: Work, loss: u64, amount: u64) {
    let mut pair = Pair::new(&pair::server_key(), work, loss);
    pair.run(WARM_UP * amount);
    let count = allocations(|| pair.run(amount));
    if count > 0 {
        print_places();
    }
    assert_eq!(count, 0, "allocations in {amount} units of {work:?} with one of {loss} datagrams lost");
}

/// One datagram in this many is lost.
const ONE_PERCENT: u64 = 100;
/// How much longer the warm-up is: buffers grow by doubling, and the last doubling comes late.
const WARM_UP: u64 = 8;
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
    holds(Work::Messages { options, len: 64 }, ONE_PERCENT, MESSAGES);
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

#[test]
fn corrected_messages_with_loss() {
    for fec in [Fec::On { sources: 10, parity: 2 }, Fec::On { sources: 4, parity: 1 }, Fec::Auto] {
        let options = StreamOptions::unordered_messages().delivery(Delivery::BestEffort).fec(fec);
        holds(Work::Messages { options, len: 1000 }, ONE_PERCENT, MESSAGES / 20);
    }
}

#[test]
fn corrected_bytes_of_messages_that_are_sent_again() {
    let options = StreamOptions::ordered_messages().fec(Fec::On { sources: 10, parity: 2 });
    holds(Work::Messages { options, len: 1000 }, ONE_PERCENT, MESSAGES / 20);
}
