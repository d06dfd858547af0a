//! The end of things: what close delivers, what dropping leaves, what a lost runtime does.

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Pair, client_with, pair, pair_with, server_with, trust, within};
use jsp_tokio::{AppCode, Config, ConnectError, ConnectionError, Endpoint, Stream};
use tokio::runtime::Handle;

const BULK: usize = 100_000_000;
const PIECE: usize = 64 << 10;

/// The byte at a place of the bulk transfer; its period has nothing in common with any packet or buffer size.
fn piece(at: usize) -> Vec<u8> {
    (at..(at + PIECE).min(BULK)).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_process_may_exit_after_close() {
    let server = server_with(|config| config).await;
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "child_that_sends", "--ignored", "--nocapture"])
        .env("JSP_TEST_SERVER", server.local_address().to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process");
    let connection = within("accepting", 15, server.accept()).await.expect("open");
    let Ok(Some(Stream::BytesUni(mut recv))) = within("the stream", 10, connection.accept_stream()).await else {
        panic!("a stream")
    };
    let mut total = 0;
    let mut buffer = vec![0; PIECE];
    within("100 MB", 60, async {
        loop {
            let read = recv.read(&mut buffer).await.expect("every byte");
            if read == 0 {
                break;
            }
            assert!(buffer[..read] == piece(total)[..read.min(BULK - total)], "the bytes at {total}");
            total += read;
        }
    })
    .await;
    assert_eq!(total, BULK);
    let reason = within("the close", 10, connection.closed()).await;
    assert!(matches!(reason, ConnectionError::PeerClosed { code, .. } if code == AppCode::new(9)), "{reason:?}");
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("ended");
    assert!(status.success(), "{status}");
}

#[tokio::test]
#[ignore = "runs as a child process of another test"]
async fn child_that_sends() {
    let Ok(address) = std::env::var("JSP_TEST_SERVER") else { return };
    let client = client_with(|config| config).await;
    let connection = client.connect(address, &trust()).await.expect("the parent");
    let mut send = connection.open_uni().await.expect("open");
    for at in (0..BULK).step_by(PIECE) {
        send.write_all(&piece(at)).await.expect("open");
    }
    send.finish().expect("open");
    connection.close(AppCode::new(9), b"all sent").await.expect("delivered");
    // Nothing gets another chance.
    std::process::exit(0);
}

/// Lets the runtime go on until no task is left.
async fn no_task_is_left(what: &str) {
    let metrics = Handle::current().metrics();
    within(what, 15, async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_all_handles_leaves_no_task() {
    let Pair { client, server, client_endpoint, server_endpoint } = pair().await;
    assert!(Handle::current().metrics().num_alive_tasks() >= 2);
    let mut stream = client.open_messages().await.expect("open");
    stream.send(b"delivered all the same").await.expect("open");
    // The last client handle goes while the message is still on its way.
    drop((stream, client, client_endpoint));
    let Ok(Some(Stream::Messages(mut stream))) = within("the stream", 10, server.accept_stream()).await else {
        panic!("a stream")
    };
    let message = within("the message", 10, stream.recv()).await.expect("no error");
    assert_eq!(message.as_deref(), Some(&b"delivered all the same"[..]));
    let reason = within("the close", 10, server.closed()).await;
    assert!(matches!(reason, ConnectionError::PeerClosed { .. }), "{reason:?}");
    drop((stream, server, server_endpoint));
    no_task_is_left("ending both tasks").await;
}

#[tokio::test]
async fn idle_endpoints_leave_no_task() {
    let endpoint = client_with(|config| config).await;
    drop(endpoint.clone());
    drop(endpoint);
    no_task_is_left("ending the task").await;
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_no_task() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let endpoint = client_with(|config| config).await;
    let address = silent.local_addr().expect("bound");
    let attempt = tokio::time::timeout(Duration::from_millis(50), async { endpoint.connect(address, &trust()).await });
    assert!(attempt.await.is_err());
    drop(endpoint);
    no_task_is_left("ending the task").await;
}

#[tokio::test]
async fn connections_that_nobody_accepts_are_closed_with_the_endpoint() {
    let server = server_with(|config| config).await;
    let client = client_with(|config| config).await;
    let connection = within("connecting", 10, client.connect(server.local_address(), &trust())).await.expect("there");
    drop(server);
    let reason = within("the close", 10, connection.closed()).await;
    assert!(matches!(reason, ConnectionError::PeerClosed { .. }), "{reason:?}");
    drop((connection, client));
    no_task_is_left("ending both tasks").await;
}

#[tokio::test]
async fn shutdown_closes_everything_and_ends_every_wait() {
    let Pair { client, server, client_endpoint, server_endpoint } = pair().await;
    let waiting = tokio::spawn({
        let endpoint = server_endpoint.clone();
        async move { endpoint.accept().await.is_none() }
    });
    let mut stream = server.open_messages().await.expect("open");
    stream.send(b"farewell").await.expect("open");
    within("shutting down", 15, server_endpoint.shutdown()).await;
    assert!(within("accept", 5, waiting).await.expect("no panic"), "accept says that it is over");
    let Ok(Some(Stream::Messages(mut stream))) = within("the stream", 5, client.accept_stream()).await else {
        panic!("a stream")
    };
    assert_eq!(within("the message", 5, stream.recv()).await.expect("sent").as_deref(), Some(&b"farewell"[..]));
    assert!(matches!(within("the close", 5, client.closed()).await, ConnectionError::PeerClosed { .. }));
    let result = server_endpoint.connect(client_endpoint.local_address(), &trust()).await;
    assert!(result.is_err(), "nothing new after a shutdown");
    within("again", 5, server_endpoint.shutdown()).await;
}

#[tokio::test]
async fn unread_data_does_not_hold_up_a_shutdown() {
    let Pair { client, server, client_endpoint, server_endpoint } = pair().await;
    let mut stream = client.open_uni().await.expect("open");
    stream.write_all(&[1; 10_000]).await.expect("open");
    stream.finish().expect("open");
    within("delivery", 10, stream.delivered()).await.expect("received");
    within("shutting down", 15, client_endpoint.shutdown()).await;
    within("shutting down", 15, server_endpoint.shutdown()).await;
    // What was received can still be read.
    let Ok(Some(Stream::BytesUni(mut recv))) = server.accept_stream().await else { panic!("a stream") };
    assert_eq!(within("reading", 5, recv.read_to_end(10_000)).await.expect("the end").len(), 10_000);
}

#[test]
fn a_runtime_that_is_gone_is_an_error() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let Pair { client, client_endpoint, server: _server, server_endpoint: _server_endpoint } =
        runtime.block_on(pair_with(|config| config.idle_timeout(Duration::from_secs(5))));
    runtime.shutdown_timeout(Duration::from_secs(5));
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    other.block_on(async {
        let reason = within("noticing", 5, client.closed()).await;
        assert!(matches!(&reason, ConnectionError::EndpointGone { reason } if reason.contains("runtime")), "{reason}");
        assert!(client.open_bi().await.is_err());
        assert!(client_endpoint.accept().await.is_none());
        let result: Result<_, ConnectError> = client_endpoint.connect("127.0.0.1:9", &trust()).await;
        assert!(matches!(result, Err(ConnectError::Connection(ConnectionError::EndpointGone { .. }))), "{result:?}");
        within("shutting down", 5, client_endpoint.shutdown()).await;
    });
}

/// Handles may be used from any thread.
#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    fn check_future<T: Send>(_: impl FnOnce() -> T) {}
    check::<Endpoint>();
    check::<jsp_tokio::Connection>();
    check::<jsp_tokio::SendStream>();
    check::<jsp_tokio::RecvStream>();
    check::<jsp_tokio::MessageStream>();
    check::<jsp_tokio::Outcome>();
    check::<jsp_tokio::Incoming>();
    let _ = |connection: &'static jsp_tokio::Connection, endpoint: &'static Endpoint| {
        check_future(|| connection.open_bi());
        check_future(|| connection.accept_stream());
        check_future(|| connection.close(AppCode::ZERO, b""));
        check_future(|| endpoint.accept());
        check_future(|| endpoint.shutdown());
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_is_free_after_shutdown() {
    let mut endpoint = client_with(|config| config).await;
    // The driver runs on another thread; only some of the rounds can catch a socket that lives on.
    for _ in 0..50 {
        let address = endpoint.local_address();
        within("shutting down", 5, endpoint.shutdown()).await;
        endpoint = Endpoint::bind(address, Config::default()).await.expect("the address is free");
    }
}
