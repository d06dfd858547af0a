//! A connection that is made anew when it was lost.

use std::time::Duration;

use jsp_tokio::{AppCode, BreakerConfig, ClientConfig, Config, ConnectError, ConnectionError, Endpoint, Reconnector};
use jsp_tokio::{SecretKey, random_seed};

async fn server() -> (Endpoint, ClientConfig) {
    let key = SecretKey::from_seed(random_seed().expect("randomness"));
    let pinned = ClientConfig::pinned(key.public().clone());
    let config = Config::builder().server_key(key).build().expect("valid");
    (Endpoint::bind("127.0.0.1:0", config).await.expect("a free port"), pinned)
}

async fn client() -> Endpoint {
    let config = Config::builder().handshake_timeout(Duration::from_millis(50)).build().expect("valid");
    Endpoint::bind("127.0.0.1:0", config).await.expect("a free port")
}

#[tokio::test]
async fn callers_share_one_connection_until_it_is_lost() {
    let (server, pinned) = server().await;
    let client = Endpoint::bind("127.0.0.1:0", Config::default()).await.expect("a free port");
    let reconnector = Reconnector::new(&client, [server.local_address()], pinned, BreakerConfig::new()).expect("valid");
    let (first, second) = tokio::join!(reconnector.connection(), reconnector.connection());
    let (first, second) = (first.expect("connected"), second.expect("connected"));
    assert_eq!(first.id(), second.id());
    let peer = server.accept().await.expect("open");
    peer.abort(AppCode::new(3), b"");
    assert!(matches!(first.closed().await, ConnectionError::PeerClosed { .. }));
    let third = reconnector.connection().await.expect("connected");
    assert_ne!(third.id(), first.id());
    assert_eq!(reconnector.connection().await.expect("connected").id(), third.id());
}

#[tokio::test]
async fn too_many_failures_make_it_wait_or_fail_at_once() {
    let (server, _) = server().await;
    let (_, wrong) = self::server().await;
    // Nobody answers to a wrong key within the time.
    let breaker = BreakerConfig::new().failures(2).backoff(Duration::from_secs(3600), Duration::from_secs(3600));
    let client = client().await;
    let reconnector = Reconnector::new(&client, [server.local_address()], wrong, breaker).expect("valid").fail_fast();
    for _ in 0..2 {
        let failure = reconnector.connection().await.expect_err("the wrong key");
        assert!(matches!(failure, ConnectError::Connection(ConnectionError::NoAnswer { .. })), "{failure}");
    }
    let failure = reconnector.connection().await.expect_err("too soon");
    let ConnectError::BackOff { after } = failure else { panic!("{failure}") };
    assert!(after > Duration::from_secs(1700) && after <= Duration::from_secs(3600), "{after:?}");
}

#[tokio::test]
async fn it_waits_out_the_back_off_and_connects_when_the_server_is_back() {
    let key = SecretKey::from_seed(random_seed().expect("randomness"));
    let pinned = ClientConfig::pinned(key.public().clone());
    // A port that nobody holds for the moment.
    let address = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let breaker = BreakerConfig::new().failures(1).backoff(Duration::from_millis(20), Duration::from_millis(40));
    let reconnector = Reconnector::new(&client().await, [address], pinned, breaker).expect("valid");
    reconnector.connection().await.expect_err("nobody there");
    // A caller that goes away in the middle changes nothing.
    assert!(tokio::time::timeout(Duration::from_millis(1), reconnector.connection()).await.is_err());
    let config = Config::builder().server_key(key).build().expect("valid");
    let server = Endpoint::bind(address, config).await.expect("still free");
    let connection = loop {
        // On a busy machine 50 ms may be too short for a handshake.
        if let Ok(connection) = reconnector.connection().await {
            break connection;
        }
    };
    assert_eq!(connection.remote_address(), Some(server.local_address()));
}
