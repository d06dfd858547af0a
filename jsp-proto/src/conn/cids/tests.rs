use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::config::bounds;
use crate::error::TransportError;
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::frame::NewCid;

fn cid(number: u64) -> Cid {
    Cid::new(&number.to_be_bytes()).expect("eight bytes")
}

fn new_cid(seq: u64, retire_prior_to: u64) -> NewCid {
    NewCid { seq, retire_prior_to, cid: cid(seq), reset_token: [seq as u8; 16] }
}

fn remote() -> (RemoteCids, RemoteCid) {
    let mut remote = RemoteCids::default();
    let first = remote.start(cid(0));
    (remote, first)
}

fn records(mut write: impl FnMut(&mut Writer<'_>, &mut dyn FnMut(CidRecord))) -> Vec<CidRecord> {
    let mut buffer = [0; 1000];
    let mut records = Vec::new();
    write(&mut Writer::new(&mut buffer), &mut |record| records.push(record));
    records
}

#[test]
fn ids_are_supplied_when_wanted_and_sent_until_they_arrive() {
    let mut local = LocalCids::new(Instant::ZERO, cid(0));
    assert!(!local.wants(Instant::ZERO), "not before the handshake is confirmed");
    local.supply(2);
    assert!(local.wants(Instant::ZERO));
    local.issue(Issued { cid: cid(1), reset_token: [1; 16] });
    assert!(!local.wants(Instant::ZERO), "the peer keeps two");
    assert_eq!(records(|w, sink| local.write(w, sink)), [CidRecord::New(1)]);
    assert!(!local.wants_to_send());
    local.on_lost(1);
    assert_eq!(records(|w, sink| local.write(w, sink)), [CidRecord::New(1)]);
    local.on_acked(1);
    local.on_lost(1);
    assert!(!local.wants_to_send());
}

#[test]
fn a_peer_that_gives_up_ids_again_and_again_waits_for_new_ones() {
    let mut local = LocalCids::new(Instant::ZERO, cid(0));
    local.supply(8);
    let mut issued = 0;
    for seq in 0..200 {
        while local.wants(Instant::ZERO) {
            issued += 1;
            local.issue(Issued { cid: cid(1000 + issued), reset_token: [0; 16] });
        }
        if seq < 1 + issued {
            local.on_retire(seq, None).expect("it was given");
        }
    }
    assert_eq!(issued, u64::from(bounds::NEW_CID_BURST));
    assert_eq!(core::iter::from_fn(|| local.pop_retired()).count() as u64, 1 + issued);
    assert!(local.wants(Instant::ZERO + Duration::from_secs(1)));
}

#[test]
fn retiring_what_was_never_given_or_is_in_use_here_is_a_fault() {
    let mut local = LocalCids::new(Instant::ZERO, cid(0));
    assert!(local.on_retire(1, None).is_err());
    assert!(local.on_retire(0, Some(&cid(0))).is_err());
    assert!(local.on_retire(0, Some(&cid(5))).is_ok());
    assert!(local.on_retire(0, Some(&cid(5))).is_ok(), "a repetition");
    assert_eq!(local.pop_retired(), Some(cid(0)));
}

#[test]
fn spares_are_used_in_order_and_given_up_once() {
    let (mut remote, first) = remote();
    for seq in [2, 1, 2] {
        remote.on_new(&new_cid(seq, 0)).expect("within the limit");
    }
    let next = remote.take().expect("a spare");
    assert_eq!((next.seq, remote.reset_token(&next)), (1, Some(&[1; 16])));
    remote.give_up(&first).expect("room");
    remote.give_up(&first).expect("nothing to do");
    assert_eq!(records(|w, sink| remote.write(w, sink)), [CidRecord::Retire(0)]);
    remote.on_lost(0);
    assert_eq!(records(|w, sink| remote.write(w, sink)), [CidRecord::Retire(0)]);
    remote.on_acked(0);
    assert!(!remote.wants_to_send());
    assert_eq!(remote.take().map(|id| id.seq), Some(2));
    assert_eq!(remote.take(), None);
}

#[test]
fn more_ids_than_are_kept_close() {
    let (mut remote, _) = remote();
    for seq in 1..bounds::ACTIVE_CIDS as u64 {
        remote.on_new(&new_cid(seq, 0)).expect("within the limit");
    }
    let fault = remote.on_new(&new_cid(9, 0)).expect_err("one too many");
    assert_eq!(fault.error, TransportError::CID_LIMIT);
}

#[test]
fn one_number_for_two_ids_and_one_id_for_two_numbers_close() {
    let (mut one, _) = remote();
    one.on_new(&new_cid(1, 0)).expect("sound");
    assert!(one.on_new(&NewCid { cid: cid(7), ..new_cid(1, 0) }).is_err());
    let (mut two, _) = remote();
    two.on_new(&new_cid(1, 0)).expect("sound");
    assert!(two.on_new(&NewCid { cid: cid(1), ..new_cid(2, 0) }).is_err());
}

#[test]
fn ids_that_are_wanted_back_are_replaced() {
    let (mut remote, first) = remote();
    remote.on_new(&new_cid(1, 0)).expect("sound");
    remote.on_new(&new_cid(2, 2)).expect("sound");
    assert_eq!(records(|w, sink| remote.write(w, sink)), [CidRecord::Retire(1)]);
    assert!(remote.wants_back(&first));
    assert_eq!(remote.take().map(|id| id.seq), Some(2));
    assert!(!remote.wants_back(&first), "there is no other one");
}

/// A peer that makes this side give up ids and acknowledges none of it (CVE-2024-22189).
#[test]
fn a_flood_of_ids_to_give_up_closes() {
    let (mut remote, _) = remote();
    let faults = (1..100).find_map(|seq| remote.on_new(&new_cid(seq, seq)).err().map(|fault| (seq, fault)));
    let (at, fault) = faults.expect("it closes");
    assert_eq!(fault.error, TransportError::CID_LIMIT);
    assert!(at <= 2 + bounds::PENDING_RETIRED_CIDS as u64, "after {at}");
}

#[test]
fn numbers_with_gaps_are_bounded() {
    let (mut remote, _) = remote();
    let fault = (1..100).find_map(|n| {
        records(|w, sink| remote.write(w, sink));
        (0..2 * n).for_each(|seq| remote.on_acked(seq));
        remote.on_new(&new_cid(2 * n, 2 * n)).err()
    });
    assert_eq!(fault.expect("it closes").error, TransportError::CID_LIMIT);
}
