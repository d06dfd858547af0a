//! Secrets leave a connection only if the program says so twice: in the configuration and by an observer. What it then
//! gets opens what was recorded (part "key log" of the specification).

mod support;

use std::sync::{Arc, Mutex};

use jsp_conformance::sim::{Link, Tapped};
use jsp_proto::internals::crypto::packet::{PacketKeys, Secret, unprotect};
use jsp_proto::observe::SecretLabel;
use jsp_proto::{ClientConfig, ConfigBuilder, ConnId, Instant, KeyFetch, Observation, Observer, RetryPolicy};
use support::{MS, Pair, SECOND, pinned, server_config, server_key};

type Shown = (SecretLabel, Vec<u8>, [u8; 32]);

/// Keeps the secrets it is shown, and counts the rest.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<(Vec<Shown>, u64)>>);

impl Spy {
    fn secrets(&self) -> Vec<Shown> {
        self.0.lock().expect("no panic").0.clone()
    }
}

impl Observer for Spy {
    fn observe(&mut self, _: Instant, _: ConnId, what: &Observation<'_>) {
        let mut seen = self.0.lock().expect("no panic");
        match what {
            Observation::Secret { label, id, secret } => {
                let text = format!("{what:?}");
                assert!(text.contains("ExportedSecret(..)"), "{text}");
                seen.0.push((*label, id.as_slice().to_vec(), *secret.as_bytes()));
            }
            _ => seen.1 += 1,
        }
    }

    fn wants_packets(&self) -> bool {
        false
    }
}

/// A pair of which both ends are observed, each with its configuration.
fn observed(server: ConfigBuilder, client: ConfigBuilder) -> (Pair, [Spy; 2]) {
    let mut pair = Pair::with(1, Link::with_delay(MS * 5), server, client);
    let spies = [Spy::default(), Spy::default()];
    for (node, spy) in [pair.client, pair.server].into_iter().zip(&spies) {
        pair.sim.endpoint(node).set_observer(Some(Box::new(spy.clone())));
    }
    (pair, spies)
}

fn connect(pair: &mut Pair, trust: &ClientConfig) -> ConnId {
    let (client, server) = (pair.client, pair.server);
    pair.sim.establish(client, server, trust, SECOND * 30).expect("an attempt").expect("a connection").0
}

fn plain() -> ConfigBuilder {
    jsp_proto::Config::builder()
}

#[test]
fn an_observer_alone_is_shown_no_secret() {
    let (mut pair, spies) = observed(server_config(), plain());
    connect(&mut pair, &pinned());
    for spy in &spies {
        assert!(spy.secrets().is_empty() && spy.0.lock().expect("no panic").1 > 3);
    }
}

#[test]
fn each_end_decides_for_itself() {
    let (mut pair, [client, server]) = observed(server_config(), plain().danger_export_secrets_to_observer(true));
    connect(&mut pair, &pinned());
    assert_eq!((client.secrets().len(), server.secrets().len()), (3, 0));
}

#[test]
fn the_setting_can_be_taken_back() {
    let set = plain().danger_export_secrets_to_observer(true).danger_export_secrets_to_observer(false);
    let (mut pair, [client, _]) = observed(server_config(), set);
    connect(&mut pair, &pinned());
    assert_eq!(client.secrets(), []);
}

#[test]
fn both_ends_show_the_same_whatever_the_way_in() {
    let export = |builder: ConfigBuilder| builder.danger_export_secrets_to_observer(true);
    let fetch = ClientConfig::fingerprints([server_key().public().key_id()]);
    for (trust, server) in [
        (pinned(), server_config()),
        (pinned(), server_config().retry(RetryPolicy::Always)),
        (fetch, server_config().key_fetch(KeyFetch::KnownFingerprint)),
    ] {
        let (mut pair, spies) = observed(export(server), export(plain()));
        let conn = connect(&mut pair, &trust);
        pair.assert_usable(conn);
        let [client, server] = spies.map(|spy| spy.secrets());
        let labels: Vec<_> = client.iter().map(|shown| shown.0).collect();
        assert_eq!(labels, [SecretLabel::ServerKeyId, SecretLabel::ClientSecret, SecretLabel::ServerSecret]);
        assert_eq!(client, server);
        assert_eq!(client[0].2, *server_key().public().key_id().as_bytes());
        assert!(client.iter().all(|shown| shown.1.len() == 8 && shown.1 == client[0].1));
    }
}

#[test]
fn the_secrets_open_what_was_recorded() {
    let export = |builder: ConfigBuilder| builder.danger_export_secrets_to_observer(true);
    let (mut pair, [client, _]) = observed(export(server_config()), export(plain()));
    let first: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = first.clone();
    let from_client = pair.client;
    pair.sim.tap(move |passing, bytes| {
        if passing.from == from_client && bytes[0] & 0x80 == 0 {
            kept.lock().expect("no panic").push(bytes.clone());
        }
        Tapped::Pass
    });
    connect(&mut pair, &pinned());
    let secret = client.secrets()[1].2;
    let keys = PacketKeys::from_secret(&Secret::new(secret));
    let mut datagram = first.lock().expect("no panic")[0].clone();
    let header = unprotect(keys.header(), &mut datagram, 9).expect("long enough");
    assert_eq!(header.truncated_pn, 0);
    assert!(keys.open(&mut datagram, 9 + header.pn_len, 0).is_ok());
}
