//! Connecting: trust, refusal, silence, and the end of a peer that just disappears.

mod common;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common::{Pair, client_with, key, pair, pair_with, public, server_with, trust, within};
use jsp_tokio::{
    Accept, AcceptPolicy, AppCode, ClientAuth, ClientConfig, ConnectError, ConnectionError, Delivery, Endpoint,
    KemJobs, KeyFetch, KnownHosts, Side, Stream, StreamOptions,
};

#[tokio::test]
async fn both_sides_know_each_other() {
    let Pair { client, server, server_endpoint, client_endpoint } = pair().await;
    assert_eq!((client.side(), server.side()), (Side::Client, Side::Server));
    assert_eq!(client.peer_key_id(), Some(public(1).key_id()));
    assert_eq!(server.peer_key_id(), None, "the client stayed anonymous");
    assert_eq!(client.remote_address(), Some(server_endpoint.local_address()));
    assert_eq!(server.remote_address(), Some(client_endpoint.local_address()));
    let (mut a, mut b) = ([0; 32], [0; 32]);
    client.export_key(b"test", b"context", &mut a).expect("established");
    server.export_key(b"test", b"context", &mut b).expect("established");
    assert_eq!(a, b);
    assert_ne!(a, [0; 32]);
}

#[tokio::test]
async fn a_stream_is_seen_without_a_write() {
    let Pair { client, server, .. } = pair().await;
    let _bytes = client.open_bi().await.expect("open");
    let seen = within("seeing a stream of bytes", 5, server.accept_stream()).await;
    assert!(matches!(seen, Ok(Some(Stream::Bytes(..)))), "{seen:?}");
    let _messages = client.open_messages().await.expect("open");
    let seen = within("seeing a stream of messages", 5, server.accept_stream()).await;
    assert!(matches!(seen, Ok(Some(Stream::Messages(_)))), "{seen:?}");
    let options = StreamOptions::unordered_messages().uni().delivery(Delivery::BestEffort);
    let _uni = server.open_messages_uni(options).await.expect("open");
    let seen = within("seeing the server's stream", 5, client.accept_stream()).await;
    assert!(matches!(seen, Ok(Some(Stream::MessagesUni(_)))), "{seen:?}");
}

#[tokio::test]
async fn one_flipped_bit_in_the_pinned_key_is_a_mismatch_and_no_timeout() {
    let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
    let client = client_with(|config| config).await;
    let start = Instant::now();
    let wrong = ClientConfig::pinned(public(2));
    let error =
        within("being refused", 10, client.connect(server.local_address(), &wrong)).await.expect_err("wrong key");
    let ConnectError::Connection(ConnectionError::PeerKeyMismatch { expected, got }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((expected, got), (public(2).key_id(), public(1).key_id()));
    assert!(start.elapsed() < Duration::from_secs(5), "an answer, not a timeout: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_wrong_fingerprint_is_a_mismatch() {
    let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
    // A mismatch is believed after three probe timeouts; these follow the assumed round-trip time.
    let client = client_with(|config| config.initial_rtt(Duration::from_millis(20))).await;
    let wrong = ClientConfig::fingerprints([public(2).key_id()]);
    let result = within("being refused", 15, client.connect(server.local_address(), &wrong)).await;
    assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::PeerKeyMismatch { .. }))), "{result:?}");
    let right = ClientConfig::fingerprints([public(1).key_id()]);
    within("connecting", 10, client.connect(server.local_address(), &right)).await.expect("the right server");
}

#[tokio::test]
async fn without_trust_only_the_loopback_address_can_be_reached() {
    let client = Endpoint::bind("0.0.0.0:0", Default::default()).await.expect("a free port");
    let error = client.connect("192.0.2.1:4433", &ClientConfig::new()).await.expect_err("no trust");
    assert!(matches!(error, ConnectError::Start(_)), "{error:?}");
    assert!(error.to_string().contains("pin"), "says what to do: {error}");
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidInput);

    let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
    let trusts_nobody = ClientConfig::new();
    within("connecting", 10, client.connect(server.local_address(), &trusts_nobody)).await.expect("loopback");
}

#[tokio::test]
async fn a_closure_decides_about_the_key() {
    let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
    let client = client_with(|config| config).await;
    let address = server.local_address();
    let mut shown = None;
    let ask = ClientConfig::ask();
    let accepted = client.connect_with(address, &ask, |key| {
        shown = Some(key.key_id());
        true
    });
    within("connecting", 10, accepted).await.expect("trusted");
    assert_eq!(shown, Some(public(1).key_id()));
    let rejected = within("connecting", 10, client.connect_with(address, &ask, |_| false)).await;
    assert!(matches!(rejected, Err(ConnectError::Connection(ConnectionError::KeyRejected))), "{rejected:?}");
}

#[tokio::test]
async fn trust_on_first_use_remembers_and_notices_a_change() {
    let path = std::env::temp_dir().join(format!("jsp-tofu-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let client = client_with(|config| config.initial_rtt(Duration::from_millis(20))).await;
    let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
    let address = server.local_address();
    let host = address.to_string();
    let known = KnownHosts::open(&path).expect("no file yet");
    within("meeting", 10, client.connect_known(&host, &known, &ClientConfig::new())).await.expect("a stranger");
    assert_eq!(KnownHosts::open(&path).expect("written").get(&host), Some(public(1).key_id()));
    within("meeting again", 10, client.connect_known(&host, &known, &ClientConfig::new())).await.expect("known");

    within("shutting down", 15, server.shutdown()).await;
    let config = jsp_tokio::Config::builder().server_key(key(2)).key_fetch(KeyFetch::Open).build().expect("valid");
    let _impostor = Endpoint::bind(address, config).await.expect("the port is free again");
    let result = within("meeting an impostor", 15, client.connect_known(&host, &known, &ClientConfig::new())).await;
    assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::PeerKeyMismatch { .. }))), "{result:?}");
    let _ = std::fs::remove_file(&path);
}

#[tokio::test]
async fn nobody_there_is_an_error_that_says_so() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let client = client_with(|config| config.handshake_timeout(Duration::from_millis(400))).await;
    let address = silent.local_addr().expect("bound");
    let error = within("giving up", 5, client.connect(address, &trust())).await.expect_err("silence");
    let ConnectError::Connection(ConnectionError::NoAnswer { after }) = error else { panic!("{error:?}") };
    assert_eq!(after, Duration::from_millis(400));
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn the_server_decides_before_the_connection_exists() {
    let server = server_with(|config| config.accept(AcceptPolicy::Ask)).await;
    let client = client_with(|config| config).await;
    let address = server.local_address();
    let decide = tokio::spawn({
        let server = server.clone();
        async move {
            while let Some(incoming) = server.accept_incoming().await {
                match incoming.app_token() {
                    b"let me in" => incoming.accept(Accept::new()).expect("in time"),
                    b"go away" => incoming.refuse(AppCode::new(403)).expect("in time"),
                    _ => incoming.ignore(),
                }
            }
        }
    });
    let good = trust().app_token(b"let me in");
    within("connecting", 10, client.connect(address, &good)).await.expect("let in");
    within("accepting", 10, server.accept()).await.expect("open");
    let bad = trust().app_token(b"go away");
    let refused = within("being refused", 10, client.connect(address, &bad)).await.expect_err("refused");
    let ConnectError::Connection(ConnectionError::Refused { code }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, AppCode::new(403));
    within("shutting down", 15, server.shutdown()).await;
    within("the decider", 5, decide).await.expect("ends with the endpoint");
}

#[tokio::test]
async fn a_client_proves_its_identity() {
    let server = server_with(|config| config.accept(AcceptPolicy::Ask).client_auth(ClientAuth::Required)).await;
    let client = client_with(|config| config).await;
    let identity = trust().identity(key(9));
    let decide = async {
        let incoming = server.accept_incoming().await.expect("open");
        assert_eq!(incoming.client_key_id(), Some(public(9).key_id()));
        incoming.accept(Accept::new().client_key(public(9))).expect("in time");
        server.accept().await.expect("open")
    };
    let address = server.local_address();
    let (connected, accepted) =
        within("connecting", 10, async { tokio::join!(client.connect(address, &identity), decide) }).await;
    connected.expect("known");
    assert_eq!(accepted.peer_key_id(), Some(public(9).key_id()));
}

#[tokio::test]
async fn a_pre_shared_key_proves_both_sides() {
    let server = server_with(|config| config.accept(AcceptPolicy::Ask).client_auth(ClientAuth::Required)).await;
    let client = client_with(|config| config.handshake_timeout(Duration::from_millis(700))).await;
    let address = server.local_address();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept_incoming().await {
            assert_eq!(incoming.psk_id(), Some(&b"device 1"[..]));
            incoming.accept(Accept::new().psk([5; 32])).expect("in time");
        }
    });
    let right = trust().psk(b"device 1", [5; 32]);
    within("connecting", 10, client.connect(address, &right)).await.expect("the same key");
    let wrong = trust().psk(b"device 1", [6; 32]);
    let result = within("giving up", 10, client.connect(address, &wrong)).await;
    assert!(matches!(result, Err(ConnectError::Connection(_))), "{result:?}");
}

#[tokio::test]
async fn public_key_work_can_run_beside_the_endpoint() {
    let server = server_with(|config| config.kem_jobs(KemJobs::HandedOut)).await;
    let client = client_with(|config| config).await;
    within("connecting", 10, client.connect(server.local_address(), &trust())).await.expect("the work came back");
    within("accepting", 10, server.accept()).await.expect("open");
}

#[tokio::test]
async fn a_killed_peer_ends_in_an_error_that_names_the_idle_timeout() {
    let idle = Duration::from_millis(1500);
    let server = server_with(|config| config.idle_timeout(idle)).await;
    let mut child = common_child("child_that_hangs", &server);
    let connection = within("accepting", 15, server.accept()).await.expect("open");
    child.kill().expect("running");
    child.wait().expect("ended");
    let error = within("noticing", 15, connection.closed()).await;
    assert_eq!(error, ConnectionError::IdleTimeout { after: idle });
    assert!(error.to_string().contains("1.5s"), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::TimedOut);
}

/// Runs one of the `child_*` functions of this file in a process of its own.
fn common_child(name: &str, server: &Endpoint) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("JSP_TEST_SERVER", server.local_address().to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a process")
}

#[tokio::test]
#[ignore = "runs as a child process of another test"]
async fn child_that_hangs() {
    let Ok(address) = std::env::var("JSP_TEST_SERVER") else { return };
    let client = client_with(|config| config).await;
    let _connection = client.connect(address, &trust()).await.expect("the parent");
    std::future::pending().await
}

#[tokio::test]
async fn closing_tells_the_peer_why() {
    let Pair { client, server, .. } = pair().await;
    within("closing", 10, client.close(AppCode::new(7), b"enough")).await.expect("delivered");
    let reason = within("hearing of it", 10, server.closed()).await;
    assert_eq!(reason, ConnectionError::PeerClosed { code: AppCode::new(7), reason: Box::from(&b"enough"[..]) });
    assert!(matches!(server.accept_stream().await, Ok(None)));
    assert_eq!(client.close_reason(), Some(ConnectionError::LocallyClosed { code: AppCode::new(7) }));
}

#[tokio::test]
async fn aborting_does_not_wait() {
    let Pair { client, server, .. } = pair_with(|config| config.idle_timeout(Duration::from_secs(5))).await;
    client.abort(AppCode::new(3), b"");
    within("closing", 5, client.closed()).await;
    let reason = within("hearing of it", 10, server.closed()).await;
    assert!(matches!(reason, ConnectionError::PeerClosed { code, .. } if code == AppCode::new(3)), "{reason:?}");
}

#[tokio::test]
async fn a_socket_that_cannot_send_there_ends_like_silence() {
    let client = client_with(|config| config.handshake_timeout(Duration::from_millis(300))).await;
    // Bound to the loopback address, so the system refuses to send elsewhere.
    let result = within("giving up", 5, client.connect("192.0.2.1:9", &trust())).await;
    assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::NoAnswer { .. }))), "{result:?}");
    // And the endpoint still works.
    let server = server_with(|config| config).await;
    within("connecting", 10, client.connect(server.local_address(), &trust())).await.expect("connected");
}

#[tokio::test]
async fn one_socket_of_ipv6_serves_both_families() {
    let config = jsp_tokio::Config::builder().server_key(key(1)).build().expect("valid");
    let Ok(server) = Endpoint::bind("[::]:0", config).await else { return };
    let port = server.local_address().port();
    let v4 = client_with(|config| config).await;
    within("connecting", 10, v4.connect(("127.0.0.1", port), &trust())).await.expect("IPv4");
    let accepted = within("accepting", 10, server.accept()).await.expect("open");
    assert_eq!(accepted.remote_address(), Some(v4.local_address()), "not a mapped address");
    let both = Endpoint::bind("[::]:0", Default::default()).await.expect("a free port");
    within("connecting", 10, both.connect(("127.0.0.1", port), &trust())).await.expect("IPv4 from IPv6");
}
