//! What connections write about themselves is qlog as published, and it is true.

mod schema;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
use jsp_conformance::sim::{Link, Sim, TraceHash, seeds};
use jsp_proto::qlog::{Qlog, QlogWriter};
use jsp_proto::{
    AppCode, ClientConfig, Config, ConfigBuilder, ConnId, ConnStats, Fec, Instant, MessageOptions, Observation,
    Observer, SecretKey, StreamOptions,
};
use serde_json::{Value, json};

/// A file in memory.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic").clone()
    }

    fn writer(&self) -> QlogWriter<Self> {
        QlogWriter::new(self.clone(), |error| panic!("memory does not fail: {error}"))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

/// Events of a name.
fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["name"] == name).map(|event| &event["data"]).collect()
}

/// The numbers of packets with frames.
fn numbers(packets: &[&Value]) -> Vec<u64> {
    let data = packets.iter().filter(|packet| packet["header"]["packet_type"] == "1RTT");
    data.map(|packet| packet["header"]["packet_number"].as_u64().expect("a number")).collect()
}

/// The trace is well-formed, and says what the counters say.
fn check(trace: &[u8], stats: &ConnStats) -> Vec<Value> {
    let (_, events) = schema::check(trace).unwrap_or_else(|error| panic!("{error}"));
    let sent = numbers(&named(&events, "transport:packet_sent"));
    let received = numbers(&named(&events, "transport:packet_received"));
    let dropped = named(&events, "transport:packet_dropped");
    let refused = dropped.iter().filter(|drop| drop["details"]["reason"] == "refused").count();
    let lost = numbers(&named(&events, "recovery:packet_lost"));
    assert_eq!(sent.len() as u64, stats.packets_sent, "sent");
    assert_eq!((received.len() - refused) as u64, stats.datagrams_received, "received");
    assert_eq!(dropped.len() as u64, stats.datagrams_dropped, "dropped");
    assert_eq!(lost.len() as u64, stats.packets_lost, "lost");
    assert!(sent.is_sorted(), "numbers only grow");

    let sent_set: BTreeSet<u64> = sent.iter().copied().collect();
    let lost_set: BTreeSet<u64> = lost.iter().copied().collect();
    let mut acked = BTreeSet::new();
    for event in named(&events, "transport:packets_acked") {
        for number in event["packet_numbers"].as_array().expect("a list") {
            assert!(acked.insert(number.as_u64().expect("a number")), "{number} is acknowledged twice");
        }
    }
    assert!(acked.is_subset(&sent_set) && lost_set.is_subset(&sent_set), "a verdict on what was not sent");
    assert_eq!(acked.intersection(&lost_set).count() as u64, stats.packets_lost_spuriously, "late");
    assert_eq!(received.iter().collect::<BTreeSet<_>>().len(), received.len(), "received twice");

    let metrics = named(&events, "recovery:metrics_updated");
    let latest = metrics.last().expect("metrics");
    assert_eq!(latest["congestion_window"], stats.congestion_window);
    assert_eq!(latest["bytes_in_flight"], stats.bytes_in_flight);
    events
}

/// A transfer over a link; `observers` are those of the client and of the server.
fn transfer(
    seed: u64,
    link: Link,
    fec: Fec,
    observers: [Option<QlogWriter<Shared>>; 2],
) -> ([ConnStats; 2], TraceHash) {
    let mut sim = Sim::new(seed);
    let config = |builder: ConfigBuilder| builder.fec(fec).build().expect("a valid configuration");
    let client = sim.add(config(Config::builder()));
    let server = sim.add(config(Config::builder().server_key(key())));
    sim.link(client, server, link);
    for (node, observer) in [client, server].into_iter().zip(observers) {
        sim.endpoint(node).set_observer(observer.map(|observer| Box::new(observer) as Box<dyn Observer>));
    }
    let trust = ClientConfig::pinned(key().public().clone());
    let ends = sim.establish(client, server, &trust, Duration::from_secs(30)).expect("an attempt");
    let (local, remote) = ends.expect("a connection");
    let mut conn = sim.conn(client, local).expect("a connection");
    let stream = conn.open(StreamOptions::ordered_messages()).expect("a stream");
    conn.send_message(stream, &[1; 5000], MessageOptions::new()).expect("an empty buffer");
    let mut sender = BulkSender::new(client, local, seed, 300_000);
    let mut receiver = BulkReceiver::new(server, seed, 300_000);
    assert!(sim.run(Duration::from_secs(60), &mut [&mut sender, &mut receiver]), "the transfer ends");
    let stats = [(client, local), (server, remote)].map(|(node, conn)| sim.conn(node, conn).expect("open").stats());
    (stats, sim.trace())
}

/// A transfer of which both ends are observed: their traces and counters.
fn observed(seed: u64, link: Link, fec: Fec) -> [(Vec<u8>, ConnStats); 2] {
    let [client, server] = [Shared::default(), Shared::default()];
    let ([ours, theirs], _) = transfer(seed, link, fec, [Some(client.writer()), Some(server.writer())]);
    [(client.bytes(), ours), (server.bytes(), theirs)]
}

fn bad_link() -> Link {
    Link::with_delay(Duration::from_millis(20))
        .rate(20_000_000)
        .loss(0.03)
        .jitter(Duration::from_millis(2))
        .duplicate(0.03)
        .corrupt(0.02)
}

#[test]
fn observing_changes_nothing() {
    let plain = transfer(3, bad_link(), Fec::Off, [None, None]);
    let watched = transfer(3, bad_link(), Fec::Off, [Some(Shared::default().writer()), None]);
    assert_eq!(plain, watched);
}

#[test]
fn a_transfer_over_a_bad_link_is_told_as_it_was() {
    seeds("a_transfer_over_a_bad_link_is_told_as_it_was", 0..10, |seed| {
        let ends = observed(seed, bad_link(), Fec::Off);
        for (side, (trace, stats)) in ["client", "server"].into_iter().zip(&ends) {
            let events = check(trace, stats);
            let (header, _) = schema::check(trace).expect("checked");
            assert_eq!(header["trace"]["vantage_point"]["type"], side);
            assert_eq!(events[0]["name"], "connectivity:connection_started");
            assert_eq!(named(&events, "transport:parameters_set").len(), 2, "of both sides");
            let states = named(&events, "connectivity:connection_state_updated");
            let states: Vec<&str> = states.iter().filter_map(|state| state["new"].as_str()).collect();
            assert_eq!(states, ["handshake_started", "handshake_complete", "handshake_confirmed"]);
        }
        assert!(ends[0].1.packets_lost > 0 && ends[1].1.datagrams_dropped > 0, "the link was not bad");
    });
}

/// Counts what it sees, packets and the rest apart.
#[derive(Clone, Default)]
struct Coarse(Arc<Mutex<(u64, u64)>>);

impl Observer for Coarse {
    fn observe(&mut self, _: Instant, _: ConnId, what: &Observation<'_>) {
        let mut seen = self.0.lock().expect("no panic");
        match what {
            Observation::PacketSent(_)
            | Observation::PacketReceived(_)
            | Observation::PacketsAcked { .. }
            | Observation::PacketLost { .. }
            | Observation::MetricsUpdated(_) => seen.0 += 1,
            _ => seen.1 += 1,
        }
    }

    fn wants_packets(&self) -> bool {
        false
    }
}

#[test]
fn single_packets_are_for_those_who_want_them() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let server = sim.add(Config::builder().server_key(key()).build().expect("a valid configuration"));
    sim.link(client, server, bad_link());
    let [coarse, beside] = [Coarse::default(), Coarse::default()];
    let trace = Shared::default();
    sim.endpoint(client).set_observer(Some(Box::new(coarse.clone())));
    sim.endpoint(server).set_observer(Some(Box::new((beside.clone(), trace.writer()))));
    let trust = ClientConfig::pinned(key().public().clone());
    let ends = sim.establish(client, server, &trust, Duration::from_secs(30)).expect("an attempt").expect("connected");
    let mut sender = BulkSender::new(client, ends.0, 1, 50_000);
    let mut receiver = BulkReceiver::new(server, 1, 50_000);
    assert!(sim.run(Duration::from_secs(60), &mut [&mut sender, &mut receiver]), "the transfer ends");
    let (packets, others) = *coarse.0.lock().expect("no panic");
    assert!(packets == 0 && others >= 6, "{packets} packets, {others} others");
    let (packets, _) = *beside.0.lock().expect("no panic");
    assert!(packets > 50, "one of the two wants packets");
    check(&trace.bytes(), &sim.conn(server, ends.1).expect("open").stats());
}

#[test]
fn an_observer_that_goes_sees_nothing_more() {
    let mut sim = Sim::new(1);
    let client = sim.add(Config::default());
    let server = sim.add(Config::builder().server_key(key()).build().expect("a valid configuration"));
    let trace = Shared::default();
    sim.endpoint(client).set_observer(Some(Box::new(trace.writer())));
    let trust = ClientConfig::pinned(key().public().clone());
    let ends = sim.establish(client, server, &trust, Duration::from_secs(30)).expect("an attempt").expect("connected");
    let before = trace.bytes().len();
    let other = Coarse::default();
    sim.endpoint(client).set_observer(Some(Box::new(other.clone())));
    let mut sender = BulkSender::new(client, ends.0, 1, 50_000);
    let mut receiver = BulkReceiver::new(server, 1, 50_000);
    assert!(sim.run(Duration::from_secs(60), &mut [&mut sender, &mut receiver]), "the transfer ends");
    assert_eq!((trace.bytes().len(), *other.0.lock().expect("no panic")), (before, (0, 0)));
}

#[test]
fn repairs_are_told() {
    let link = Link::with_delay(Duration::from_millis(30)).rate(20_000_000).loss(0.05);
    let [(client, client_stats), (server, server_stats)] = observed(1, link, Fec::On { sources: 10, parity: 2 });
    let count = |trace: &[u8], stats, owner: &str| -> u64 {
        let events = check(trace, stats);
        let repairs = named(&events, "jsp:packets_repaired").into_iter().filter(|repair| repair["owner"] == owner);
        repairs.filter_map(|repair| repair["count"].as_u64()).sum()
    };
    assert!(server_stats.fec.repaired > 0);
    assert_eq!(count(&server, &server_stats, "local"), server_stats.fec.repaired);
    assert_eq!(count(&client, &client_stats, "remote"), client_stats.fec.repaired_by_peer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_over_real_sockets_is_told_as_it_was() {
    let dir = std::env::temp_dir().join(format!("jsp-qlog-{}", std::process::id()));
    let config = Config::builder().server_key(key()).build().expect("a valid configuration");
    let server = jsp_tokio::Endpoint::bind("127.0.0.1:0", config).await.expect("a free port");
    let client = jsp_tokio::Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port");
    for endpoint in [&server, &client] {
        let qlog = Qlog::dir(&dir, |error| panic!("{error}")).expect("a directory");
        endpoint.set_observer(Some(Box::new(qlog)));
    }
    let trust = ClientConfig::pinned(key().public().clone());
    let connection = client.connect(server.local_address(), &trust).await.expect("a connection");
    let accepted = server.accept().await.expect("a connection");
    let mut send = connection.open_uni().await.expect("a stream");
    let sent = vec![5; 1 << 20];
    let write = async {
        send.write_all(&sent).await.expect("written");
        send.finish().expect("finished");
    };
    let read = async {
        let stream = accepted.accept_stream().await.expect("the connection is open");
        let Some(jsp_tokio::Stream::BytesUni(mut recv)) = stream else { panic!("{stream:?}") };
        recv.read_to_end(2 << 20).await.expect("read").len()
    };
    let ((), received) = tokio::join!(write, read);
    assert_eq!(received, sent.len());
    connection.close(AppCode::new(7), b"done").await.expect("closed");
    accepted.closed().await;
    let stats = [connection.stats(), accepted.stats()];
    drop((connection, accepted, send));
    tokio::join!(client.shutdown(), server.shutdown());

    let mut files: Vec<_> =
        std::fs::read_dir(&dir).expect("the directory").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|file| file.file_name().expect("a name").to_string_lossy()).collect();
    assert_eq!(names.len(), 2, "one file per connection and side: {names:?}");
    assert_eq!(names[0].split('_').next(), names[1].split('_').next(), "both named by the client's id");
    for (file, stats) in files.iter().zip(&stats) {
        let trace = std::fs::read(file).expect("a file");
        let (_, events) = schema::check(&trace).unwrap_or_else(|error| panic!("{error}"));
        let sent = numbers(&named(&events, "transport:packet_sent"));
        assert!(sent.len() as u64 >= stats.packets_sent && stats.packets_sent > 10, "{} sent", sent.len());
        let closed = named(&events, "connectivity:connection_closed");
        assert_eq!((closed.len(), &closed[0]["application_code"]), (1, &json!(7)));
    }
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn the_check_finds_what_is_broken() {
    let link = Link::with_delay(Duration::from_millis(5));
    let [(trace, stats), _] = observed(1, link, Fec::Off);
    check(&trace, &stats);
    let (header, events) = schema::check(&trace).expect("a good trace");
    let sent = events.iter().position(|event| event["name"] == "transport:packet_sent").expect("a packet");

    type Break = fn(&mut Value);
    let breaks: &[(&str, Break)] = &[
        ("unknown event", |event| event["name"] = "transport:packet_mailed".into()),
        ("missing", |event| event["data"]["header"] = json!({ "packet_number": 3 })),
        ("wrong type", |event| event["data"]["header"]["packet_number"] = "3".into()),
        ("wrong type", |event| event["data"]["header"]["packet_type"] = "2RTT".into()),
        ("not in the schema", |event| event["data"]["size"] = 3.into()),
        ("frame", |event| event["data"]["frames"] = json!([{ "frame_type": "strream" }])),
        ("missing", |event| event["data"]["frames"] = json!([{ "frame_type": "stream", "stream_id": 1 }])),
        ("missing", |event| *event = json!({ "name": "transport:packet_sent", "data": {} })),
        ("time goes back", |event| event["time"] = (-1).into()),
    ];
    for (what, breaks) in breaks {
        let mut events = events.clone();
        breaks(&mut events[sent]);
        let error = schema::check(&sequence(&header, &events)).expect_err(what);
        assert!(error.contains(what), "{error} instead of {what}");
    }
    schema::check(&sequence(&header, &events)).expect("unbroken");
    schema::check(&trace[1..]).expect_err("no separator");
    schema::check(&trace[..trace.len() - 1]).expect_err("no end");
    let mut header = header;
    header["qlog_version"] = "0.9".into();
    schema::check(&sequence(&header, &events)).expect_err("another version");
}

fn sequence(header: &Value, events: &[Value]) -> Vec<u8> {
    let records = std::iter::once(header).chain(events);
    records.flat_map(|record| format!("\x1e{record}\n").into_bytes()).collect()
}
