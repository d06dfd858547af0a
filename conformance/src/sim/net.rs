//! Everything between the hosts: links, addresses and the queue of what happens next.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use jsp_proto::{Ecn, Instant, JobDone};

use super::link::{Arrival, Fate, Link, LinkState};
use super::rng::{Rng, mix};
use super::trace::Trace;
use super::{NodeId, TimerId};

/// A datagram that is about to enter a link, as a tap sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// The time it was sent.
    pub now: Instant,
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is addressed to.
    pub to: NodeId,
    /// Its number in this direction; the first one has number 0.
    pub number: u64,
    /// Its ECN field.
    pub ecn: Ecn,
}

/// What a tap does with a datagram.
#[derive(Clone, Debug, Default)]
pub enum Tapped {
    /// It goes on, with whatever the tap changed in it.
    #[default]
    Pass,
    /// It vanishes.
    Drop,
    /// These enter the link in its place, in this order.
    Replace(Vec<Vec<u8>>),
}

pub(crate) type Tap = Box<dyn FnMut(&Passing, &mut Vec<u8>) -> Tapped>;

/// Something that happens at a point in time.
pub(crate) enum Due {
    Datagram { to: NodeId, source: SocketAddr, ecn: Ecn, bytes: Vec<u8> },
    Timer(TimerId),
    Job(NodeId, JobDone),
}

struct Entry {
    at: Instant,
    serial: u64,
    due: Due,
}

// Earliest first out of a max-heap; the serial number keeps the order of what falls on one instant.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}

pub(crate) struct Net {
    seed: u64,
    queue: BinaryHeap<Entry>,
    serial: u64,
    links: BTreeMap<(NodeId, NodeId), LinkState>,
    default_link: Link,
    addresses: BTreeMap<SocketAddr, NodeId>,
    pub(crate) trace: Trace,
    pub(crate) tap: Option<Tap>,
    pub(crate) unroutable: u64,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            queue: BinaryHeap::new(),
            serial: 0,
            links: BTreeMap::new(),
            default_link: Link::new(),
            addresses: BTreeMap::new(),
            trace: Trace::new(seed),
            tap: None,
            unroutable: 0,
        }
    }

    pub(crate) fn claim(&mut self, address: SocketAddr, node: NodeId) {
        let taken = self.addresses.insert(address, node);
        assert!(taken.is_none_or(|old| old == node), "two hosts with the address {address}");
    }

    pub(crate) fn release(&mut self, address: SocketAddr) {
        self.addresses.remove(&address);
    }

    pub(crate) fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    /// The link of one direction. Each has a random generator of its own, so that what happens on one does not
    /// change the luck of another.
    pub(crate) fn link(&mut self, from: NodeId, to: NodeId) -> &mut LinkState {
        self.links.entry((from, to)).or_insert_with(|| {
            let pair = (from.index() as u64) << 32 | to.index() as u64;
            LinkState::new(self.default_link.clone(), Rng::new(self.seed ^ mix(pair)))
        })
    }

    pub(crate) fn schedule(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        self.queue.push(Entry { at, serial: self.serial, due });
    }

    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.queue.peek().map(|entry| entry.at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if self.next_time()? > now {
            return None;
        }
        self.queue.pop().map(|entry| entry.due)
    }

    /// Appends to `batch` the datagrams that arrive right after it from the same source in the same way, as receive
    /// offload does: all of one size, only the last one may be shorter.
    pub(crate) fn coalesce(&mut self, now: Instant, first: (NodeId, SocketAddr, Ecn), batch: &mut Vec<u8>) {
        const LARGEST: usize = 65_535;
        let size = batch.len();
        while let Some(Entry { at, due: Due::Datagram { to, source, ecn, bytes }, .. }) = self.queue.peek() {
            let fits = (1..=size).contains(&bytes.len()) && batch.len() + bytes.len() <= LARGEST;
            if *at > now || (*to, *source, *ecn) != first || !fits || !batch.len().is_multiple_of(size) {
                break;
            }
            batch.extend_from_slice(bytes);
            self.queue.pop();
        }
    }

    /// Sends one datagram towards whoever holds the destination address now.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        from: NodeId,
        source: SocketAddr,
        destination: SocketAddr,
        ecn: Ecn,
        mut bytes: Vec<u8>,
    ) {
        let Some(&to) = self.addresses.get(&destination) else {
            self.unroutable += 1;
            self.trace.note(now, format_args!("{from} -> {destination}: nobody there, {} B", bytes.len()), &bytes);
            return;
        };
        let number = self.link(from, to).count(bytes.len());
        let passing = Passing { now, from, to, number, ecn };
        let tapped = self.tap.as_mut().map_or(Tapped::Pass, |tap| tap(&passing, &mut bytes));
        match tapped {
            Tapped::Pass => self.transmit(&passing, source, &bytes),
            Tapped::Drop => {
                self.link(from, to).stats.scripted += 1;
                self.note(&passing, Fate::Scripted, &bytes);
            }
            Tapped::Replace(all) => all.into_iter().for_each(|bytes| self.transmit(&passing, source, &bytes)),
        }
    }

    fn transmit(&mut self, passing: &Passing, source: SocketAddr, bytes: &[u8]) {
        let &Passing { now, from, to, number, ecn } = passing;
        let mut arrivals = [None, None];
        let mut slots = arrivals.iter_mut();
        let mut arrive = |arrival| {
            if let Some(slot) = slots.next() {
                *slot = Some(arrival);
            }
        };
        let fate = self.link(from, to).send(now, number, ecn, bytes, &mut arrive);
        self.note(passing, fate, bytes);
        for Arrival { at, ecn, bytes } in arrivals.into_iter().flatten() {
            self.schedule(at, Due::Datagram { to, source, ecn, bytes });
        }
    }

    fn note(&mut self, passing: &Passing, fate: Fate, bytes: &[u8]) {
        let Passing { now, from, to, number, ecn } = passing;
        let len = bytes.len();
        self.trace.note(*now, format_args!("{from} -> {to} #{number} {len} B {ecn:?} {fate:?}"), bytes);
    }
}
