use super::*;
use crate::crypto::TAG_LEN;
use crate::crypto::packet::unprotect;
use crate::crypto::tests::vectors::*;
use crate::crypto::tests::{hex, hex32};
use crate::wire::header::{ShortFlags, first_byte};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PTO: Duration = Duration::from_millis(100);
const START: Instant = Instant::from_nanos(5_000_000_000);
const PN_LEN: usize = 4;

fn policy(packets: u64) -> KeyUpdates {
    KeyUpdates { packets, ..KeyUpdates::default() }
}

fn keys(tx: u8, rx: u8, policy: KeyUpdates) -> Keys {
    Keys::new(START, &Secret::new([tx; 32]), &Secret::new([rx; 32]), policy)
}

/// A packet without a connection id.
fn seal(keys: &PacketKeys, key_phase: bool, pn: u64, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![first_byte(ShortFlags { fec: false, key_phase, pn_len: PN_LEN }, false)];
    packet.resize(1 + PN_LEN, 0);
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + TAG_LEN, 0);
    keys.seal(&mut packet, 1, PN_LEN, pn);
    packet
}

fn open(keys: &mut Keys, now: Instant, packet: &[u8], pn_at: usize) -> Result<Vec<u8>, Unopened> {
    let mut packet = packet.to_vec();
    let header = unprotect(keys.header(), &mut packet, pn_at).expect("long enough");
    let payload_at = pn_at + header.pn_len;
    let key_phase = ShortFlags::from_first_byte(header.first).key_phase;
    let len = keys.open(now, &mut packet, Place { pn: header.truncated_pn, payload_at, key_phase }, || PTO)?;
    Ok(packet[payload_at..payload_at + len].to_vec())
}

/// A peer that changes keys when it likes.
struct Raw {
    phases: Vec<PacketKeys>,
}

impl Raw {
    fn new(tx: u8, phases: usize) -> Self {
        let mut secret = Secret::new([tx; 32]);
        let mut keys = vec![PacketKeys::from_secret(&secret)];
        for phase in 1..phases {
            secret = secret.next();
            let next = keys[phase - 1].updated(&secret);
            keys.push(next);
        }
        Self { phases: keys }
    }

    fn packet(&self, phase: usize, pn: u64) -> Vec<u8> {
        seal(&self.phases[phase], phase % 2 == 1, pn, b"text")
    }

    /// Sends a packet to `keys`.
    fn send(&self, keys: &mut Keys, now: Instant, phase: usize, pn: u64) -> Result<(), Unopened> {
        open(keys, now, &self.packet(phase, pn), 1).map(|text| assert_eq!(text, b"text"))
    }
}

#[test]
fn the_vectors_cross_an_update() {
    let (client, server) = (Secret::new(hex32(NK.c_ap0)), Secret::new(hex32(NK.s_ap0)));
    let mut keys = Keys::new(START, &server, &client, KeyUpdates::default());
    assert_eq!(open(&mut keys, START, &hex(ONE_RTT_C0_PACKET), 9), Ok(hex(ONE_RTT_C0_PLAIN)));
    // Its number is longer than the two bytes it carries.
    let update = hex(ONE_RTT_C20000_PACKET_PHASE1_PING);
    assert_eq!(open(&mut keys, START, &update, 9), Ok(hex("01000000")));
    assert_eq!((keys.phase(), keys.updates()), (1, 1));
    assert_eq!(open(&mut keys, START, &hex(ONE_RTT_C1234_PACKET_F1), 9), Ok(hex(ONE_RTT_C1234_PLAIN_F1)));

    let mut keys = Keys::new(START, &client, &server, policy(0x20000));
    keys.on_acked(START, 0, || PTO);
    let mut bare = update.clone();
    let header = unprotect(keys.tx.header(), &mut bare, 9).expect("long enough");
    let (tx, key_phase) = keys.sealing(START, 0x20000);
    assert!(key_phase);
    bare[9 + header.pn_len..][..4].copy_from_slice(&hex("01000000"));
    tx.seal(&mut bare, 9, header.pn_len, 0x20000);
    assert_eq!(bare, update);
}

#[test]
fn an_update_is_complete_when_the_peer_is_in_it_and_the_next_one_waits() {
    let (mut a, mut b) = (keys(1, 2, policy(16)), keys(2, 1, policy(1 << 20)));
    assert_eq!(a.request(START), Err(KeyUpdateError::NotConfirmed));
    assert!(!a.sealing(START, 16).1, "nothing was acknowledged");
    a.on_acked(START, 3, || PTO);
    assert!(!a.sealing(START, 15).1);
    let (tx, phase) = a.sealing(START, 17);
    assert!(phase);
    let begins = seal(tx, phase, 17, b"first");
    assert_eq!((a.phase(), a.updates()), (1, 0));
    // The other side has sent this one before it could know.
    let (tx, phase) = b.sealing(START, 0);
    let late = seal(tx, phase, 0, b"late");
    assert_eq!(open(&mut b, START, &begins, 1).as_deref(), Ok(&b"first"[..]));
    assert_eq!((b.phase(), b.updates()), (1, 1));
    b.on_ack_sent(17);
    let (tx, phase) = b.sealing(START, 1);
    assert!(phase);
    let answer = seal(tx, phase, 1, b"answer");
    assert_eq!(open(&mut a, START, &late, 1).as_deref(), Ok(&b"late"[..]));
    assert_eq!((a.updates(), a.deadline()), (0, None));
    assert_eq!(open(&mut a, START, &answer, 1).as_deref(), Ok(&b"answer"[..]));
    assert_eq!((a.updates(), a.deadline()), (1, Some(START + PTO * 3)));

    // An acknowledgement of a packet of the phase before says nothing.
    a.on_acked(START, 16, || PTO);
    assert_eq!(a.request(START + SECOND * 100), Err(KeyUpdateError::Pending));
    a.on_acked(START, 17, || PTO);
    let allowed = START + SECOND * 3;
    assert_eq!(a.request(allowed - MS), Err(KeyUpdateError::Pending));
    assert!(a.sealing(allowed - MS, 1000).1, "still phase 1");
    assert_eq!(a.request(allowed), Ok(()));
    assert_eq!(a.request(allowed), Err(KeyUpdateError::Pending));
    let (tx, phase) = a.sealing(allowed, 1001);
    assert!(!phase, "phase 2");
    let begins = seal(tx, phase, 1001, b"second");
    assert_eq!((a.phase(), a.updates()), (2, 1));
    // A peer that acknowledges it and does not follow is waited for.
    a.on_acked(allowed, 1001, || PTO);
    assert_eq!(a.request(allowed + SECOND * 100), Err(KeyUpdateError::Pending));
    assert!(open(&mut b, allowed, &begins, 1).is_ok());
    let (tx, phase) = b.sealing(allowed, 2);
    let answer = seal(tx, phase, 2, b"answer");
    assert!(open(&mut a, allowed, &answer, 1).is_ok());
    // Slow paths wait for longer.
    a.on_acked(allowed, 1001, || SECOND * 2);
    assert_eq!(a.request(allowed + SECOND * 6 - MS), Err(KeyUpdateError::Pending));
    assert_eq!(a.request(allowed + SECOND * 6), Ok(()));
}

#[test]
fn an_old_key_is_changed_by_the_next_packet_and_wakes_nobody() {
    let mut keys = keys(1, 2, KeyUpdates::default());
    keys.on_acked(START, 0, || PTO);
    assert_eq!(keys.deadline(), None);
    assert!(!keys.sealing(START + SECOND * 600 - MS, 1).1);
    keys.on_timeout(START + SECOND * 6000);
    assert_eq!(keys.phase(), 0);
    assert!(keys.sealing(START + SECOND * 6000, 2).1);
}

#[test]
fn both_sides_begin_the_same_update() {
    let (mut a, mut b) = (keys(1, 2, policy(16)), keys(2, 1, policy(16)));
    a.on_acked(START, 0, || PTO);
    b.on_acked(START, 0, || PTO);
    let (tx, phase) = a.sealing(START, 16);
    let from_a = seal(tx, phase, 16, b"from a");
    let (tx, phase) = b.sealing(START, 16);
    let from_b = seal(tx, phase, 16, b"from b");
    assert!(open(&mut a, START, &from_b, 1).is_ok() && open(&mut b, START, &from_a, 1).is_ok());
    assert_eq!((a.phase(), a.updates(), b.phase(), b.updates()), (1, 1, 1, 1));
}

#[test]
fn a_changed_phase_bit_opens_nothing_and_changes_nothing() {
    let (mut keys, raw) = (keys(1, 2, policy(16)), Raw::new(2, 3));
    raw.send(&mut keys, START, 0, 5).expect("authentic");
    let flipped = seal(&raw.phases[0], true, 6, b"text");
    assert_eq!(open(&mut keys, START, &flipped, 1), Err(Unopened::Phase));
    assert_eq!((keys.phase(), keys.deadline(), keys.next.is_some()), (0, None, true));
    assert_eq!(open(&mut keys, START, &seal(&raw.phases[1], false, 6, b"text"), 1), Err(Unopened::Forged));
    // Two phases ahead.
    assert_eq!(raw.send(&mut keys, START, 2, 6), Err(Unopened::Forged));
    assert_eq!(raw.send(&mut keys, START, 0, 6), Ok(()));
}

#[test]
fn keys_are_derived_when_something_is_sent_or_time_passes_and_never_for_what_comes_in() {
    for by_time in [false, true] {
        let (mut keys, raw) = (keys(1, 2, policy(16)), Raw::new(2, 3));
        raw.send(&mut keys, START, 1, 5).expect("it begins phase 1");
        assert!(keys.next.is_none() && keys.old.is_some());
        assert_eq!(raw.send(&mut keys, START, 2, 6), Err(Unopened::Phase), "nobody can have asked for it");
        assert_eq!(raw.send(&mut keys, START, 0, 6), Err(Unopened::Phase), "a number of phase 1");
        assert_eq!(raw.send(&mut keys, START, 0, 4), Ok(()));
        assert!(keys.next.is_none());
        if by_time {
            let deadline = keys.deadline().expect("old keys");
            keys.on_timeout(deadline - MS);
            assert!(keys.next.is_none() && keys.old.is_some());
            keys.on_timeout(deadline);
            assert!(keys.next.is_some() && keys.old.is_none());
            assert_eq!(keys.deadline(), None);
        } else {
            assert!(keys.sealing(START, 0).1);
            assert!(keys.next.is_some());
        }
    }
}

#[test]
fn a_peer_may_update_as_soon_as_it_is_answered_and_not_before() {
    let (mut keys, raw) = (keys(1, 2, policy(1 << 20)), Raw::new(2, 6));
    for phase in 1..5 {
        let pn = phase as u64 * 10;
        assert_eq!(raw.send(&mut keys, START, phase, pn), Ok(()));
        assert_eq!(raw.send(&mut keys, START, phase, pn + 2), Ok(()));
        // Late packets of both phases.
        assert_eq!(raw.send(&mut keys, START, phase - 1, pn - 1), Ok(()));
        assert_eq!(raw.send(&mut keys, START, phase, pn + 1), Ok(()));
        keys.on_ack_sent(pn - 1);
        assert!(!keys.answered);
        keys.on_ack_sent(pn);
        keys.sealing(START, pn);
    }
    assert_eq!(keys.phase(), 4);
    keys.answered = false;
    assert_eq!(raw.send(&mut keys, START, 5, 50), Err(Unopened::Unasked));
    assert_eq!(keys.phase(), 4);
}

#[test]
fn keys_of_the_phase_before_are_kept_for_a_while() {
    for (pto, kept) in [(PTO, PTO * 3), (SECOND, SECOND)] {
        let (mut keys, raw) = (keys(1, 2, policy(16)), Raw::new(2, 2));
        let mut packet = raw.packet(1, 5);
        unprotect(keys.header(), &mut packet, 1).expect("long enough");
        let place = Place { pn: 5, payload_at: 1 + PN_LEN, key_phase: true };
        keys.open(START, &mut packet, place, || pto).expect("authentic");
        keys.on_timeout(START + kept - MS);
        assert_eq!(raw.send(&mut keys, START + kept, 0, 4), Ok(()));
        keys.on_timeout(START + kept);
        assert_eq!(raw.send(&mut keys, START + kept, 0, 4), Err(Unopened::Phase));
        assert_eq!(raw.send(&mut keys, START + kept, 1, 4), Ok(()));
    }
}

#[test]
fn what_was_replaced_is_wiped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    // All there is in a secret; the AEAD and the rest of the packet keys see to themselves in `crypto`.
    wiped::<crate::crypto::Prk>();
    assert_eq!(size_of::<Secret>(), size_of::<crate::crypto::Prk>());
}

/// The keys of the phase before are on the heap, and only while they are needed.
#[test]
fn keys_are_small() {
    assert!(size_of::<Keys>() <= 256 + size_of::<PacketKeys>(), "{} {}", size_of::<Keys>(), size_of::<PacketKeys>());
}

/// What happens in a conversation.
#[derive(Clone, Debug)]
enum Step {
    /// One side sends a packet, of which a copy arrives after each of these milliseconds.
    Send(usize, Vec<u64>),
    Update(usize),
    Wait(u64),
}

fn steps(longest: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0usize..2, prop::collection::vec(1..longest, 0..3)).prop_map(|(side, copies)| Step::Send(side, copies)),
        1 => (0usize..2).prop_map(Step::Update),
        4 => (0u64..1500).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..250)
}

struct End {
    keys: Keys,
    next_pn: u64,
    largest: Option<u64>,
    /// The phase of the latest packet sent.
    sent: u64,
}

struct Flying {
    at: Instant,
    to: usize,
    phase: u64,
    bytes: Vec<u8>,
}

/// Two sides and what is between them.
struct Talk {
    now: Instant,
    ends: [End; 2],
    flying: Vec<Flying>,
}

impl Talk {
    fn new() -> Self {
        let policy = KeyUpdates { packets: 16, age: SECOND * 5 };
        let end = |tx, rx| End { keys: keys(tx, rx, policy), next_pn: 0, largest: None, sent: 0 };
        Self { now: START, ends: [end(1, 2), end(2, 1)], flying: Vec::new() }
    }

    fn send(&mut self, side: usize, copies: &[u64]) {
        let end = &mut self.ends[side];
        if let Some(largest) = end.largest {
            end.keys.on_ack_sent(largest);
        }
        let pn = end.next_pn;
        end.next_pn += 1;
        let (tx, bit) = end.keys.sealing(self.now, pn);
        let bytes = seal(tx, bit, pn, &end.largest.map_or(0, |largest| largest + 1).to_be_bytes());
        let phase = end.keys.phase();
        // Each number is used once, and no key comes back.
        assert!(phase >= end.sent && bit == (phase % 2 == 1));
        end.sent = phase;
        for copy in copies {
            let at = self.now + MS * *copy as u32;
            self.flying.push(Flying { at, to: 1 - side, phase, bytes: bytes.clone() });
        }
    }

    /// Lets time pass. Gives what did not open.
    fn wait(&mut self, time: Duration) -> Vec<(Unopened, u64, u64)> {
        let end = self.now + time;
        let mut failed = Vec::new();
        loop {
            let packet = self.flying.iter().enumerate().min_by_key(|(_, packet)| packet.at);
            let packet = packet.map(|(place, packet)| (packet.at, place));
            let timer = self.ends.iter().filter_map(|end| end.keys.deadline()).min();
            match (packet, timer) {
                (Some((at, place)), timer) if at <= end && timer.is_none_or(|timer| at < timer) => {
                    self.now = self.now.max(at);
                    let packet = self.flying.swap_remove(place);
                    failed.extend(self.receive(&packet));
                }
                (_, Some(timer)) if timer <= end => {
                    self.now = self.now.max(timer);
                    self.ends.iter_mut().for_each(|end| end.keys.on_timeout(self.now));
                }
                _ => break,
            }
            let [a, b] = &self.ends;
            assert!(a.keys.phase().abs_diff(b.keys.phase()) <= 1);
        }
        self.now = end;
        failed
    }

    fn receive(&mut self, packet: &Flying) -> Option<(Unopened, u64, u64)> {
        let End { keys, largest, .. } = &mut self.ends[packet.to];
        match open(keys, self.now, &packet.bytes, 1) {
            Ok(payload) => {
                let ack = u64::from_be_bytes(payload.try_into().expect("eight bytes"));
                if let Some(ack) = ack.checked_sub(1) {
                    keys.on_acked(self.now, ack, || PTO);
                }
                let mut bare = packet.bytes.clone();
                let header = unprotect(keys.header(), &mut bare, 1).expect("long enough");
                *largest = (*largest).max(Some(header.truncated_pn));
                None
            }
            Err(error) => Some((error, packet.phase, keys.phase())),
        }
    }

    fn run(&mut self, steps: &[Step]) -> Vec<(Unopened, u64, u64)> {
        let mut failed = Vec::new();
        for step in steps {
            match step {
                Step::Send(side, copies) => self.send(*side, copies),
                // Whether or not it may.
                Step::Update(side) => drop(self.ends[*side].keys.request(self.now)),
                Step::Wait(time) => failed.extend(self.wait(MS * *time as u32)),
            }
        }
        failed.extend(self.wait(SECOND * 60));
        failed
    }
}

#[test]
fn a_long_talk_sees_many_updates() {
    let mut talk = Talk::new();
    for number in 0..2000 {
        talk.send(number % 2, &[20, 90]);
        assert_eq!(talk.wait(MS * 50), []);
    }
    assert!(talk.ends[0].keys.updates() > 10);
}

proptest! {
    /// Packets that are less late than the keys of their phase are kept all open, with losses, copies and reordering.
    #[test]
    fn whatever_is_not_too_late_opens(steps in steps(250)) {
        let mut talk = Talk::new();
        prop_assert_eq!(talk.run(&steps), []);
    }

    /// Packets that are later may fail, but only those of earlier phases, and nobody takes the other for a cheat.
    #[test]
    fn whatever_fails_is_of_an_earlier_phase(steps in steps(9000)) {
        let mut talk = Talk::new();
        for (error, sent, phase) in talk.run(&steps) {
            prop_assert!(error != Unopened::Unasked && sent < phase, "{:?}: phase {} in {}", error, sent, phase);
        }
    }
}
