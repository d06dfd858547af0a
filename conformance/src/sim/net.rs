//! Everything between the hosts: links, addresses and the queue of what happens next.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use jsp_proto::{Ecn, Instant, JobDone};

use super::bottleneck::{Bottleneck, BottleneckId, BottleneckState, Queued, Sent};
use super::host::Generation;
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
    Datagram {
        to: NodeId,
        source: SocketAddr,
        ecn: Ecn,
        bytes: Vec<u8>,
    },
    Timer(TimerId),
    /// For the endpoint that asked for it, if it is still there.
    Job(NodeId, Generation, JobDone),
    Bottleneck(BottleneckId),
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
    bottlenecks: Vec<BottleneckState>,
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
            bottlenecks: Vec::new(),
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

    pub(crate) fn add_bottleneck(&mut self, config: Bottleneck) -> BottleneckId {
        let index = self.bottlenecks.len();
        self.bottlenecks.push(BottleneckState::new(config, Rng::new(self.seed ^ mix(!(index as u64)))));
        BottleneckId::new(index)
    }

    pub(crate) fn bottleneck(&mut self, id: BottleneckId) -> &mut BottleneckState {
        &mut self.bottlenecks[id.index()]
    }

    pub(crate) fn change_bottleneck(&mut self, now: Instant, id: BottleneckId, config: Bottleneck) {
        self.bottleneck(id).change(now, config);
        self.wake_bottleneck(id);
    }

    fn wake_bottleneck(&mut self, id: BottleneckId) {
        if let Some(at) = self.bottleneck(id).due() {
            self.schedule(at, Due::Bottleneck(id));
        }
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
        let fate = self.pass(from, to, source, |link, arrive| link.send(now, number, ecn, bytes, arrive));
        match self.link(from, to).config.bottleneck() {
            Some(id) if fate == Fate::Queued => {
                let fate = self.enqueue(id, passing, source, bytes);
                self.note(passing, fate, bytes);
                self.serve(now, id);
            }
            _ => self.note(passing, fate, bytes),
        }
    }

    /// Lets what `send` sends on a link arrive.
    fn pass(
        &mut self,
        from: NodeId,
        to: NodeId,
        source: SocketAddr,
        send: impl FnOnce(&mut LinkState, &mut dyn FnMut(Arrival)) -> Fate,
    ) -> Fate {
        let mut arrivals = [None, None];
        let mut slots = arrivals.iter_mut();
        let mut arrive = |arrival| {
            if let Some(slot) = slots.next() {
                *slot = Some(arrival);
            }
        };
        let fate = send(self.link(from, to), &mut arrive);
        for Arrival { at, ecn, bytes } in arrivals.into_iter().flatten() {
            self.schedule(at, Due::Datagram { to, source, ecn, bytes });
        }
        fate
    }

    fn enqueue(&mut self, id: BottleneckId, passing: &Passing, source: SocketAddr, bytes: &[u8]) -> Fate {
        let &Passing { now, from, to, number, ecn } = passing;
        let queued = Queued { from, to, number, source, ecn, marked: false, bytes: bytes.to_vec() };
        if self.bottleneck(id).enqueue(now, queued) {
            return Fate::Queued;
        }
        self.link(from, to).stats.overflowed += 1;
        Fate::Overflowed
    }

    /// Lets a bottleneck send its next datagram if it is idle.
    fn serve(&mut self, now: Instant, id: BottleneckId) {
        if !self.bottleneck(id).is_idle() {
            return;
        }
        for queued in self.bottleneck(id).serve(now) {
            self.link(queued.from, queued.to).stats.overflowed += 1;
            self.note_left(now, &queued, Fate::Managed);
        }
        self.wake_bottleneck(id);
    }

    /// A bottleneck may be done with a datagram.
    pub(crate) fn leave_bottleneck(&mut self, now: Instant, id: BottleneckId) {
        // Its rate may have changed since it asked for this.
        if self.bottleneck(id).due() != Some(now) {
            return;
        }
        match self.bottleneck(id).finish(now) {
            Some(Sent::Passed(queued)) => {
                let &Queued { from, to, source, ecn, marked, ref bytes, .. } = &queued;
                self.link(from, to).stats.marked += u64::from(marked);
                let fate = self.pass(from, to, source, |link, arrive| link.leave(now, ecn, bytes, arrive));
                self.note_left(now, &queued, fate);
                self.serve(now, id);
            }
            Some(Sent::Lost(queued)) => {
                self.link(queued.from, queued.to).stats.lost += 1;
                self.note_left(now, &queued, Fate::Lost);
                self.serve(now, id);
            }
            None => self.wake_bottleneck(id),
        }
    }

    fn note_left(&mut self, now: Instant, queued: &Queued, fate: Fate) {
        let Queued { from, to, number, ecn, .. } = queued;
        self.trace.note(now, format_args!("{from} -> {to} #{number} leaves the queue {ecn:?} {fate:?}"), &[]);
    }

    fn note(&mut self, passing: &Passing, fate: Fate, bytes: &[u8]) {
        let Passing { now, from, to, number, ecn } = passing;
        let len = bytes.len();
        self.trace.note(*now, format_args!("{from} -> {to} #{number} {len} B {ecn:?} {fate:?}"), bytes);
    }
}
