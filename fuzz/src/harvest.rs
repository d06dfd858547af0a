//! The inputs to begin with, worked out from real traffic: what endpoints in the simulator send each other, and what
//! they say inside. Deterministic, so that `cargo run -p jsp-fuzz --example harvest` writes the same files every time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use jsp_conformance::sim::{Happening, Host, Link, Rng, Sim, Tapped};
use jsp_proto::internals::crypto::{TAG_LEN, hash};
use jsp_proto::internals::wire::header::{Fragment, VERSION};
use jsp_proto::internals::wire::params::{Extras, FLAG_OBSERVED_ADDR, Params, ParamsContext, encode_params};
use jsp_proto::internals::wire::{Frame, Reader, Side, Writer};
use jsp_proto::{Config, KeyId, MessageOptions, RetryPolicy, StreamOptions};

use crate::make;
use crate::sealed::{Sealed, pinned, recipe, server_key};

/// Inputs of every target.
pub type Harvest = BTreeMap<&'static str, BTreeSet<Vec<u8>>>;

/// The name of an input: the beginning of the SHA-256 of its content.
pub fn name(input: &[u8]) -> String {
    hash(&[input]).iter().take(8).fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// What there is to harvest.
pub fn harvest() -> Harvest {
    let mut harvest = Harvest::new();
    let mut add = |target: &'static str, input: &[u8]| {
        harvest.entry(target).or_default().insert(input.to_vec());
    };
    datagrams(&mut add);
    payloads(&mut add);
    values(&mut add);
    scripts(&mut add);
    harvest
}

/// What crosses the network when a client connects, with and without a RETRY, and with another version.
fn datagrams(add: &mut impl FnMut(&'static str, &[u8])) {
    for policy in [RetryPolicy::Never, RetryPolicy::Always] {
        let mut sim = Sim::new(1);
        let server = Config::builder().server_key(server_key().clone()).retry(policy);
        let (server, client) = (sim.add(server.build().expect("valid")), sim.add(Config::default()));
        sim.link(client, server, Link::with_delay(Duration::from_millis(10)));
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        sim.tap(move |_, bytes| {
            sink.borrow_mut().push(bytes.clone());
            Tapped::Pass
        });
        sim.establish(client, server, &pinned(), Duration::from_secs(5)).expect("an attempt").expect("connected");
        sim.run_for(Duration::from_secs(1));
        let seen = seen.borrow();
        for datagram in seen.iter().filter(|datagram| datagram[0] & 0x80 != 0) {
            // Of the sealed part a few bytes do.
            add("long_header", &datagram[..datagram.len().min(100)]);
        }
        for datagram in seen.iter().filter(|datagram| datagram[0] & 0x80 == 0).take(4) {
            add("short_header", &datagram[..datagram.len().min(100)]);
        }
    }
    let mut sim = Sim::new(1);
    let server = sim.add(Config::builder().server_key(server_key().clone()).build().expect("valid"));
    let raw = sim.add_host(Host::raw());
    let mut hello = recipe(Side::Server).datagrams[0].clone();
    hello[1..5].copy_from_slice(&(VERSION + 1).to_be_bytes());
    let to = sim.address(server);
    sim.send_raw(raw, to, hello);
    let answer = sim.run_until(Duration::from_secs(1), |_, happening| matches!(happening, Happening::Datagram { .. }));
    if let Some(Happening::Datagram { bytes, .. }) = answer {
        add("version_negotiation", &bytes);
        add("long_header", &bytes);
    }
    let fragment = Fragment { total: 100, offset: 10, data: &[7; 20] };
    let mut plain = [0; 40];
    fragment.encode(&mut Writer::new(&mut plain)).expect("room");
    add("long_header", &plain);
}

/// What is inside the packets of a connection in use, and each kind of frame.
fn payloads(add: &mut impl FnMut(&'static str, &[u8])) {
    for side in [Side::Server, Side::Client] {
        let mut sealed = Sealed::new(side);
        if let Some(mut conn) = sealed.conn() {
            for options in
                [StreamOptions::bytes(), StreamOptions::ordered_messages(), StreamOptions::unordered_messages()]
            {
                let stream = conn.open(options).expect("room");
                let sent = if stream.kind().has_messages() {
                    conn.send_message(stream, b"a message", MessageOptions::new()).is_ok()
                } else {
                    conn.send(stream, b"some bytes").is_ok()
                };
                assert!(sent && conn.finish(stream).is_ok());
            }
        }
        sealed.pass_round_trip();
        sealed.acknowledge();
        sealed.pass(Duration::from_secs(1));
        for (_, payload) in sealed.packets.iter().take(8) {
            let short = &payload[..payload.len().min(200)];
            add("frames", short);
            add(
                "packets",
                &[&[u8::from(side == Side::Client), 0][..], &(short.len() as u16).to_be_bytes(), short].concat(),
            );
        }
    }
    // One frame of each type that there is.
    let (mut rng, mut types) = (Rng::new(1), BTreeSet::new());
    for _ in 0..3000 {
        let bytes: [u8; 64] = rng.array();
        let frame = make::frame(&mut crate::input::Input::new(&bytes), 40, 10);
        let mut buffer = [0; 2000];
        let mut w = Writer::new(&mut buffer);
        if frame.encode(&mut w).is_ok() && w.position() < 120 && types.insert(frame.type_code().min(0x40)) {
            assert!(Frame::decode(&mut Reader::new(w.written())).is_ok());
            let target = if types.len() % 2 == 0 { "frames" } else { "packets" };
            let head = if target == "packets" { &[0, 0, 0, w.position() as u8][..] } else { &[] };
            add(target, &[head, w.written()].concat());
        }
    }
}

/// Parameters, tokens and texts.
fn values(add: &mut impl FnMut(&'static str, &[u8])) {
    let usual = Params::default();
    let mut unusual =
        Params { max_idle_timeout_ms: 0, max_udp_payload: 1200, flags: FLAG_OBSERVED_ADDR, ..usual.clone() };
    (unusual.compression, unusual.min_ack_delay_us, unusual.reset_token) = (1, Some(1000), Some([7; 16]));
    unusual.initial_max_streams = std::array::from_fn(|ty| 4 + ty as u64);
    let key = server_key().public();
    let id = key.key_id();
    let extras = [
        Extras::default(),
        Extras { client_key: Some(key.as_bytes()), psk_id: Some(b"psk"), ..Extras::default() },
        Extras { client_key_id: Some(id.as_bytes()), app_token: Some(b"token"), ..Extras::default() },
        Extras { refuse: Some(7), grease: Some((58, b"grease")), suites: Some(&[0, 1]), ..Extras::default() },
    ];
    for params in [&usual, &unusual] {
        for extras in &extras {
            for context in [ParamsContext::P1, ParamsContext::P2, ParamsContext::ServerParams] {
                let mut buffer = [0; 2048];
                let mut w = Writer::new(&mut buffer);
                encode_params(params, extras, context, &mut w).expect("room");
                add("params", w.written());
            }
        }
    }
    for id in [KeyId::ZERO, id] {
        add("key_id", id.to_string().as_bytes());
        add("key_id", id.to_string().to_uppercase().as_bytes());
    }
    add("key_id", b"jsp1-");
    let mut rng = Rng::new(2);
    for kind in 0..3 {
        for _ in 0..4 {
            let rest: [u8; 80] = rng.array();
            add("tokens", &[&[0, 0, 192, 0, 2, 1, 0, 99, kind][..], &rest].concat());
        }
    }
    for len in [16, 40, 80] {
        let bytes: [u8; 80] = rng.array();
        add("varint", &[&[len][..], &bytes].concat());
        add("short_header", &[&bytes[..], &[0; TAG_LEN]].concat());
    }
}

/// Scripts for the targets that play one: noise is a script as good as any.
fn scripts(add: &mut impl FnMut(&'static str, &[u8])) {
    let mut rng = Rng::new(3);
    for target in [
        "frame_sequence",
        "acks",
        "reassembly",
        "fec",
        "lz4",
        "handshake_fragments",
        "endpoint_datagrams",
        "c_api",
        "operations",
    ] {
        for len in [8, 32, 64, 128, 192, 256] {
            let bytes: [u8; 256] = rng.array();
            add(target, &bytes[..len]);
        }
    }
}
