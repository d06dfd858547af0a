use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::time::Instant;
use crate::wire::Side;

const PTO: Duration = Duration::from_millis(100);

fn path(port: u16) -> Path {
    Path::to(SocketAddr::from(([192, 0, 2, 1], port)))
}

fn server() -> Paths {
    let mut state = PathState::unproven(path(1), 1200, 1, false);
    state.prove();
    Paths::new(Instant::ZERO, Side::Server, state)
}

/// Over which path, and which challenge and response.
type Said = (Place, Option<[u8; 8]>, Option<[u8; 8]>);

/// Sends all that is pending, each datagram `bytes` long, and says over which paths.
fn send(paths: &mut Paths, now: Instant, bytes: usize) -> Vec<Said> {
    core::iter::from_fn(|| {
        let place = paths.next_to_send()?;
        let (challenge, response) = paths.pending(place);
        paths.on_sent(now, place, bytes, PTO);
        Some((place, challenge, response))
    })
    .collect()
}

/// Moves the connection to the path with this port.
fn follow(paths: &mut Paths, port: u16) {
    let place = paths.find(&path(port)).unwrap_or_else(|| paths.admit(path(port)));
    paths.get_mut(place).expect("a path").on_received(1200);
    let state = paths.take(place).expect("a path");
    paths.put_in_use(state);
    let mut next = 0;
    paths.challenge(|| {
        next += 1;
        [next; 8]
    });
}

#[test]
fn an_unproven_address_gets_three_times_what_it_sent() {
    let mut state = PathState::unproven(path(1), 1000, 1, false);
    assert!(state.allows(3000));
    assert!(!state.allows(3001));
    state.on_sent(2500);
    assert!(!state.allows(501));
    state.on_received(10);
    assert!(state.allows(530));
    state.prove();
    assert!(state.allows(u64::MAX));
}

#[test]
fn a_token_allows_a_fixed_number_of_datagrams() {
    let mut state = PathState::unproven(path(1), 1000, 0, true);
    for _ in 0..10 {
        assert!(state.allows(65_000));
        state.on_sent(65_000);
    }
    assert!(!state.allows(1));
    state.on_received(1);
    assert!(state.allows(1200));
}

#[test]
fn both_paths_are_asked_and_the_first_answer_decides() {
    let now = Instant::ZERO;
    let mut paths = server();
    follow(&mut paths, 2);
    assert_eq!(paths.in_use().path, path(2));
    let asked = send(&mut paths, now, FULL);
    assert_eq!(asked, [(Place::InUse, Some([1; 8]), None), (Place::Other(0), Some([2; 8]), None)]);
    assert_eq!(paths.on_response(Place::InUse, [9; 8], || [0; 8]), Proof::Nothing);
    assert_eq!(paths.on_response(Place::Other(0), [2; 8], || [0; 8]), Proof::Fallback);

    let mut paths = server();
    follow(&mut paths, 2);
    assert_eq!(paths.on_response(Place::InUse, [1; 8], || [0; 8]), Proof::Nothing, "it was not asked yet");
    send(&mut paths, now, FULL);
    assert_eq!(paths.on_response(Place::InUse, [1; 8], || [0; 8]), Proof::InUse);
    assert!(paths.in_use().is_proven());
    assert_eq!(paths.drop_fallback().map(|before| before.path), Some(path(1)));
}

#[test]
fn a_short_question_is_followed_by_a_long_one() {
    let mut paths = server();
    follow(&mut paths, 2);
    send(&mut paths, Instant::ZERO, 40);
    assert_eq!(paths.on_response(Place::InUse, [1; 8], || [7; 8]), Proof::Other);
    assert!(paths.in_use().allows(u64::MAX), "the address is proven");
    assert_eq!(send(&mut paths, Instant::ZERO, FULL), [(Place::InUse, Some([7; 8]), None)]);
    assert_eq!(paths.on_response(Place::InUse, [7; 8], || [0; 8]), Proof::InUse);
}

#[test]
fn three_questions_without_an_answer_end_a_path() {
    let mut paths = server();
    follow(&mut paths, 2);
    let mut now = Instant::ZERO;
    for _ in 0..bounds::PATH_CHALLENGES {
        assert_eq!(send(&mut paths, now, FULL).len(), 2);
        assert!(!paths.on_timeout(now));
        now = paths.deadline().expect("an answer is due");
        let last = paths.next_to_send().is_none();
        assert_eq!(paths.on_timeout(now), last && now == Instant::ZERO + PTO * 3);
    }
    assert_eq!((paths.next_to_send(), paths.deadline()), (None, None));
    // The path of before is kept, though it did not answer either.
    assert_eq!(paths.get(Place::Other(0)).map(|state| state.path), Some(path(1)));
}

#[test]
fn paths_are_bounded_and_the_oldest_try_gives_way() {
    let mut paths = server();
    follow(&mut paths, 2);
    for port in 3..100 {
        paths.admit(path(port));
    }
    let known = (1..100).filter(|&port| paths.find(&path(port)).is_some()).collect::<Vec<_>>();
    assert_eq!(known, [1, 2, 98, 99]);
    assert_eq!(known.len(), bounds::PATHS);
}

#[test]
fn the_latest_question_is_answered_and_not_too_many() {
    let mut paths = server();
    for number in 0..100 {
        paths.on_challenge(Instant::ZERO, Place::InUse, [number; 8]);
    }
    // Sixteen at once, the others are dropped; one slot holds the latest of those.
    assert_eq!(send(&mut paths, Instant::ZERO, FULL), [(Place::InUse, None, Some([15; 8]))]);
    let later = Instant::ZERO + Duration::from_secs(1);
    paths.on_challenge(later, Place::InUse, [77; 8]);
    assert_eq!(send(&mut paths, later, FULL), [(Place::InUse, None, Some([77; 8]))]);
}

#[test]
fn a_client_takes_packets_of_its_server_wherever_they_reach_it() {
    let local = |port| Some(SocketAddr::from(([10, 0, 0, 1], port)));
    let mine = Path { local: local(1), ..path(1) };
    let mut paths = Paths::new(Instant::ZERO, Side::Client, PathState::chosen(mine));
    assert_eq!(paths.find(&Path { local: local(2), ..path(1) }), Some(Place::InUse));
    assert_eq!(paths.find(&path(2)), None);
}
