//! Endpoints on smol's global executor and on others: connecting, trust, and what is left when they end.

mod common;

use std::net::SocketAddr;

use common::{Pair, client, config, join, key, pair, public, server_with, trust, within};
use jsp_smol::proto::driver::system;
use jsp_smol::{
    AppCode, ClientConfig, Config, ConnectError, ConnectionError, Endpoint, KemJobs, KeyFetch, KnownHosts, Stream,
};
use smol::{Executor, LocalExecutor};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// An endpoint and its driver on a free port.
fn driven(config: Config) -> (Endpoint, impl Future<Output = ()> + Send + use<>) {
    let socket = system::bind(LOOPBACK.into()).expect("a free port");
    Endpoint::driven(socket, config).expect("a socket")
}

#[test]
fn a_local_executor_can_drive_both_ends() {
    let executor = LocalExecutor::new();
    let (server, server_driver) = driven(config(|config| config));
    let (client, client_driver) = driven(Config::default());
    let drivers = [executor.spawn(server_driver), executor.spawn(client_driver)];
    smol::block_on(executor.run(async {
        let Pair { client, server, client_endpoint, server_endpoint } = join(client, server).await;
        let mut stream = client.open_messages().await.expect("open");
        stream.send(b"hello").await.expect("open");
        let Ok(Some(Stream::Messages(mut peer))) = within("the stream", 5, server.accept_stream()).await else {
            panic!("a stream")
        };
        assert_eq!(within("the message", 5, peer.recv()).await, Ok(Some(b"hello".to_vec())));
        stream.send(b"delivered all the same").await.expect("open");
        // The last client handle goes while the message is still on its way.
        drop((stream, client, client_endpoint));
        assert_eq!(within("the message", 5, peer.recv()).await, Ok(Some(b"delivered all the same".to_vec())));
        let reason = within("the close", 5, server.closed()).await;
        assert!(matches!(reason, ConnectionError::PeerClosed { .. }), "{reason:?}");
        drop((peer, server, server_endpoint));
        for driver in drivers {
            within("a driver without handles", 15, driver).await;
        }
    }));
}

#[test]
fn an_executor_that_is_gone_is_an_error() {
    let executor = Executor::new();
    let (client, driver) = driven(Config::default());
    executor.spawn(driver).detach();
    let Pair { client, client_endpoint, server: _server, server_endpoint: _server_endpoint } =
        smol::block_on(executor.run(async { join(client, server_with(|config| config).await).await }));
    let waiting = smol::spawn({
        let client = client.clone();
        async move { client.closed().await }
    });
    drop(executor);
    smol::block_on(async {
        let reason = within("noticing", 5, waiting).await;
        assert!(matches!(reason, ConnectionError::EndpointGone { .. }), "{reason}");
        assert!(client.open_bi().await.is_err());
        assert!(client_endpoint.accept().await.is_none());
        let result = client_endpoint.connect("127.0.0.1:9", &trust()).await;
        assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::EndpointGone { .. }))), "{result:?}");
        within("shutting down", 5, client_endpoint.shutdown()).await;
    });
}

#[test]
fn a_driver_that_never_ran_is_an_error_too() {
    let (client, driver) = driven(Config::default());
    smol::block_on(async {
        let trust = trust();
        let mut attempt = Box::pin(client.connect("127.0.0.1:9", &trust));
        assert!(smol::future::poll_once(&mut attempt).await.is_none());
        drop(driver);
        let result = within("noticing", 5, attempt).await;
        assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::EndpointGone { .. }))), "{result:?}");
    });
}

#[test]
fn shutdown_closes_everything_and_ends_every_wait() {
    smol::block_on(async {
        let Pair { client, server, server_endpoint, .. } = pair().await;
        let waiting = smol::spawn({
            let endpoint = server_endpoint.clone();
            async move { endpoint.accept().await.is_none() }
        });
        let mut stream = server.open_uni().await.expect("open");
        stream.write_all(b"farewell").await.expect("open");
        within("shutting down", 15, server_endpoint.shutdown()).await;
        assert!(within("accept", 5, waiting).await, "accept says that it is over");
        let Ok(Some(Stream::BytesUni(mut recv))) = within("the stream", 5, client.accept_stream()).await else {
            panic!("a stream")
        };
        let mut farewell = [0; 8];
        within("the bytes", 5, smol::io::AsyncReadExt::read_exact(&mut recv, &mut farewell)).await.expect("sent");
        assert_eq!(&farewell, b"farewell");
        assert!(matches!(within("the close", 5, client.closed()).await, ConnectionError::PeerClosed { .. }));
        within("again", 5, server_endpoint.shutdown()).await;
    });
}

#[test]
fn the_address_is_free_after_shutdown() {
    smol::block_on(async {
        let mut address: SocketAddr = LOOPBACK.into();
        // Where the executor has threads of its own only some of the rounds can catch a socket that lives on.
        for _ in 0..50 {
            let endpoint = Endpoint::bind(address, Config::default()).await.expect("the address is free");
            address = endpoint.local_address();
            within("shutting down", 5, endpoint.shutdown()).await;
        }
    });
}

#[test]
fn nobody_there_is_an_error_when_the_time_is_up() {
    smol::block_on(async {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let after = std::time::Duration::from_millis(400);
        let config = Config::builder().handshake_timeout(after).build().expect("valid");
        let client = Endpoint::bind("127.0.0.1:0", config).await.expect("a free port");
        let start = std::time::Instant::now();
        let result = within("giving up", 5, client.connect(silent.local_addr().expect("bound"), &trust())).await;
        let Err(ConnectError::Connection(reason)) = result else { panic!("{result:?}") };
        assert_eq!(reason, ConnectionError::NoAnswer { after });
        assert!(start.elapsed() >= after, "not before its time: {:?}", start.elapsed());
    });
}

#[test]
fn public_key_work_can_run_beside_the_endpoint() {
    smol::block_on(async {
        let server = server_with(|config| config.kem_jobs(KemJobs::HandedOut)).await;
        let Pair { client, server, .. } = join(client().await, server).await;
        within("closing", 10, client.close(AppCode::new(7), b"enough")).await.expect("delivered");
        let reason = within("hearing of it", 10, server.closed()).await;
        assert_eq!(reason, ConnectionError::PeerClosed { code: AppCode::new(7), reason: Box::from(&b"enough"[..]) });
    });
}

#[test]
fn one_socket_of_ipv6_serves_both_families() {
    smol::block_on(async {
        let server = match Endpoint::bind("[::]:0", config(|config| config)).await {
            Ok(server) => server,
            Err(error) => return println!("skipped: this machine has no IPv6: {error}"),
        };
        let port = server.local_address().port();
        let v4 = client().await;
        within("connecting", 10, v4.connect(("127.0.0.1", port), &trust())).await.expect("IPv4");
        let accepted = within("accepting", 10, server.accept()).await.expect("open");
        assert_eq!(accepted.remote_address(), Some(v4.local_address()), "not a mapped address");
        let both = Endpoint::bind("[::]:0", Config::default()).await.expect("a free port");
        within("connecting", 10, both.connect(("127.0.0.1", port), &trust())).await.expect("IPv4 from IPv6");
        within("connecting", 10, both.connect(("::1", port), &trust())).await.expect("IPv6");
    });
}

#[test]
fn names_are_looked_up() {
    smol::block_on(async {
        let server = server_with(|config| config).await;
        let port = server.local_address().port();
        // This name may stand for ::1 too, which a socket of IPv4 leaves out.
        within("connecting", 10, client().await.connect(("localhost", port), &trust())).await.expect("found");
        let nowhere: &[SocketAddr] = &[];
        let result = client().await.connect(nowhere, &trust()).await;
        assert!(matches!(result, Err(ConnectError::Io(_))), "{result:?}");
        assert!(Endpoint::bind(nowhere, Config::default()).await.is_err());
        assert!(Endpoint::bind("no port", Config::default()).await.is_err());
    });
}

#[test]
fn trust_on_first_use_remembers_and_notices_a_change() {
    let path = std::env::temp_dir().join(format!("jsp-smol-tofu-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    smol::block_on(async {
        // A mismatch is believed after three probe timeouts; these follow the assumed round-trip time.
        let config = Config::builder().initial_rtt(std::time::Duration::from_millis(20)).build().expect("valid");
        let client = Endpoint::bind("127.0.0.1:0", config).await.expect("a free port");
        let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
        let host = server.local_address().to_string();
        let known = KnownHosts::open(&path).expect("no file yet");
        within("meeting", 10, client.connect_known(&host, &known, &ClientConfig::new())).await.expect("a stranger");
        assert_eq!(KnownHosts::open(&path).expect("written").get(&host), Some(public(1).key_id()));
        within("meeting again", 10, client.connect_known(&host, &known, &ClientConfig::new())).await.expect("known");

        known.insert(&host, public(2).key_id()).expect("written");
        let result = within("meeting another", 15, client.connect_known(&host, &known, &ClientConfig::new())).await;
        assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::PeerKeyMismatch { .. }))), "{result:?}");
    });
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_closure_decides_about_the_key() {
    smol::block_on(async {
        let server = server_with(|config| config.key_fetch(KeyFetch::Open)).await;
        let (client, address, ask) = (client().await, server.local_address(), ClientConfig::ask());
        let mut shown = None;
        let accepted = client.connect_with(address, &ask, |key| {
            shown = Some(key.key_id());
            true
        });
        within("connecting", 10, accepted).await.expect("trusted");
        assert_eq!(shown, Some(key(1).public().key_id()));
        let rejected = within("connecting", 10, client.connect_with(address, &ask, |_| false)).await;
        assert!(matches!(rejected, Err(ConnectError::Connection(ConnectionError::KeyRejected))), "{rejected:?}");
    });
}

/// Handles may be used from any thread, and futures of all operations run on executors with many.
#[test]
fn handles_and_futures_are_send() {
    fn check<T: Send + Sync>() {}
    fn check_future<T: Send>(_: impl FnOnce() -> T) {}
    check::<Endpoint>();
    check::<jsp_smol::Connection>();
    check::<jsp_smol::SendStream>();
    check::<jsp_smol::RecvStream>();
    check::<jsp_smol::MessageStream>();
    check::<jsp_smol::Outcome>();
    check::<jsp_smol::Incoming>();
    let _ = |endpoint: &'static Endpoint, client: &'static ClientConfig, known: &'static KnownHosts| {
        check_future(|| Endpoint::bind("127.0.0.1:0", Config::default()));
        check_future(|| endpoint.connect("127.0.0.1:0", client));
        check_future(|| endpoint.connect_with(("127.0.0.1", 0), client, |_| true));
        check_future(|| endpoint.connect_known("127.0.0.1:0", known, client));
        check_future(|| endpoint.accept());
        check_future(|| endpoint.shutdown());
    };
}
