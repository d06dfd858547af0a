//! What only a bare endpoint shows.

use core::time::Duration;

use super::*;
use crate::SecretKey;
use alloc::vec;

#[test]
fn one_poll_looks_at_a_bounded_number_of_connections() {
    const MANY: usize = 300;
    let now = Instant::from_nanos(1_000_000);
    let mut endpoint = Endpoint::new(Arc::new(Config::default()), Entropy::new([1; 32]));
    let mut out = vec![0; 65_536];
    let trust = ClientConfig::pinned(SecretKey::from_seed([1; 32]).public().clone());
    let server = Path::to("192.0.2.1:4433".parse().expect("an address"));
    let ids: Vec<_> = (0..MANY).map(|_| endpoint.connect(now, server, &trust).expect("it can begin")).collect();
    while !matches!(endpoint.poll(now, &mut out), Output::Idle { why, .. } if why != Wake::Endpoint) {}
    // Each gets a turn for this, and has nothing to say.
    for &id in &ids {
        endpoint.conn(now, id).expect("it is there").trust_key();
    }
    let mut polls = 1;
    while let Output::Idle { wake_at: Some(at), .. } = endpoint.poll(now, &mut out)
        && at == now + Duration::from_nanos(1)
    {
        polls += 1;
    }
    assert!((MANY / 100..MANY / 10).contains(&polls), "{polls} polls for {MANY} connections");
}
