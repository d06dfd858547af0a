//! The blocking interface as a program in C uses it, on the loopback address.

use std::ffi::{CStr, CString, c_char};
use std::net::{SocketAddr, UdpSocket};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jsp::*;

/// Long enough for a busy machine.
const PATIENCE: i64 = 20_000;

/// A handle that threads may share, as the interface promises.
struct Shared<T>(*mut T);

// SAFETY: any number of threads may use a blocking handle.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

struct Server {
    handle: Shared<JspListener>,
    address: String,
    key_id: String,
}

fn text(fill: impl FnOnce(*mut c_char) -> JspError) -> String {
    let mut out = [0; 64];
    assert_eq!(fill(out.as_mut_ptr()), JSP_ERROR_OK);
    // SAFETY: a text with a zero byte at its end was written.
    unsafe { CStr::from_ptr(out.as_ptr()) }.to_str().expect("ASCII").to_owned()
}

impl Server {
    fn start() -> Self {
        let mut handle = null_mut();
        // SAFETY: the pointers are as described.
        unsafe {
            assert_eq!(jsp_listener_new(c"127.0.0.1:0".as_ptr(), null(), &mut handle), JSP_ERROR_OK);
            let address = text(|out| jsp_listener_address(handle, out));
            let key_id = text(|out| jsp_listener_key_id(handle, out));
            Self { handle: Shared(handle), address, key_id }
        }
    }

    fn try_accept(&self, timeout: i64) -> Result<Connection, JspError> {
        let mut connection = null_mut();
        // SAFETY: the pointers are as described.
        match unsafe { jsp_listener_accept(self.handle.0, timeout, &mut connection) } {
            JSP_ERROR_OK => Ok(Connection(Shared(connection))),
            error => Err(error),
        }
    }

    fn accept(&self) -> Connection {
        self.try_accept(PATIENCE).unwrap_or_else(|error| panic!("{}", words(error)))
    }

    /// Echoes what one client sends until it closes, and gives the number of messages.
    fn echo(&self) -> JoinHandle<usize> {
        self.counted_echo(Arc::default())
    }

    /// `echoed` tells how many messages were sent back so far.
    fn counted_echo(&self, echoed: Arc<AtomicUsize>) -> JoinHandle<usize> {
        let listener = Shared(self.handle.0);
        thread::spawn(move || {
            let listener = listener;
            let mut connection = null_mut();
            // SAFETY: the pointers are as described.
            assert_eq!(unsafe { jsp_listener_accept(listener.0, PATIENCE, &mut connection) }, JSP_ERROR_OK);
            let connection = Connection(Shared(connection));
            let mut count = 0;
            loop {
                match connection.recv(PATIENCE) {
                    Ok((stream, message)) => {
                        // A client that is gone wants no echo; what it sent before is still there to be counted.
                        let error = connection.try_send(stream, &message);
                        assert!(error == JSP_ERROR_OK || error == JSP_ERROR_PEER_CLOSED, "{}", words(error));
                        count += 1;
                        echoed.store(count, Ordering::Relaxed);
                    }
                    Err(JSP_ERROR_PEER_CLOSED) => return count,
                    Err(error) => panic!("{}", words(error)),
                }
            }
        })
    }

    fn close(&self) {
        // SAFETY: the handle is not freed yet.
        assert_eq!(unsafe { jsp_listener_close(self.handle.0) }, JSP_ERROR_OK);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the last use.
        unsafe { jsp_listener_free(self.handle.0) };
    }
}

fn words(error: JspError) -> &'static str {
    // SAFETY: a text of the library.
    unsafe { CStr::from_ptr(jsp_error_string(error)) }.to_str().expect("ASCII")
}

struct Connection(Shared<JspConnection>);

impl Connection {
    fn new() -> Self {
        Self(Shared(jsp_connection_new()))
    }

    fn to(address: &str) -> Self {
        let connection = Self::new();
        assert_eq!(connection.connect(address), JSP_ERROR_OK);
        assert_eq!(connection.handshake(), JSP_ERROR_OK);
        connection
    }

    fn connect(&self, address: &str) -> JspError {
        let address = CString::new(address).expect("no zero byte");
        // SAFETY: the pointers are as described.
        unsafe { jsp_connection_connect(self.0.0, address.as_ptr()) }
    }

    fn handshake(&self) -> JspError {
        // SAFETY: the handle is not freed yet.
        unsafe { jsp_connection_handshake(self.0.0) }
    }

    fn session_id(&self) -> u64 {
        // SAFETY: the handle is not freed yet.
        unsafe { jsp_connection_session_id(self.0.0) }
    }

    fn open(&self, priority: u8, mode: JspDeliveryMode) -> u32 {
        let mut stream = 0;
        // SAFETY: the pointers are as described.
        assert_eq!(unsafe { jsp_connection_open_stream(self.0.0, priority, mode, &mut stream) }, JSP_ERROR_OK);
        stream
    }

    fn try_send(&self, stream: u32, message: &[u8]) -> JspError {
        // SAFETY: the pointers are as described.
        unsafe { jsp_connection_send(self.0.0, stream, message.as_ptr(), message.len()) }
    }

    fn send(&self, stream: u32, message: &[u8]) {
        let error = self.try_send(stream, message);
        assert_eq!(error, JSP_ERROR_OK, "{}", words(error));
    }

    fn recv_into(&self, out: &mut [u8], timeout: i64) -> (JspError, u32, usize) {
        let (mut stream, mut len) = (0, 0);
        // SAFETY: the pointers are as described.
        let error =
            unsafe { jsp_connection_recv(self.0.0, &mut stream, out.as_mut_ptr(), out.len(), &mut len, timeout) };
        (error, stream, len)
    }

    fn recv(&self, timeout: i64) -> Result<(u32, Vec<u8>), JspError> {
        let mut message = vec![0; 65_536];
        let (error, stream, len) = self.recv_into(&mut message, timeout);
        message.truncate(len);
        if error == JSP_ERROR_OK { Ok((stream, message)) } else { Err(error) }
    }

    fn close(&self) -> JspError {
        // SAFETY: the handle is not freed yet.
        unsafe { jsp_connection_close(self.0.0) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the last use.
        unsafe { jsp_connection_free(self.0.0) };
    }
}

#[test]
fn messages_go_there_and_back_in_every_mode() {
    let server = Server::start();
    let echo = server.echo();
    let client = Connection::to(&server.address);
    for mode in [JSP_DELIVERY_MODE_RELIABLE, JSP_DELIVERY_MODE_BEST_EFFORT, JSP_DELIVERY_MODE_PARTIALLY_RELIABLE] {
        let stream = client.open(7, mode);
        assert_eq!(client.open(7, mode), stream, "one stream for each priority and mode");
        for size in [1, 1000, 20_000] {
            client.send(stream, &vec![size as u8; size]);
            assert_eq!(client.recv(PATIENCE), Ok((stream, vec![size as u8; size])));
        }
    }
    assert_eq!(client.close(), JSP_ERROR_OK);
    assert_eq!(client.close(), JSP_ERROR_OK, "the same answer");
    assert_eq!(echo.join().expect("no panic"), 9);
    assert_eq!(client.try_send(client_stream(), b"late"), JSP_ERROR_LOCALLY_CLOSED);
    server.close();
}

/// The number of the reliable stream of priority 0.
fn client_stream() -> u32 {
    1
}

#[test]
fn both_sides_have_one_session_id() {
    let server = Server::start();
    let client = Connection::to(&format!("{}#{}", server.address, server.key_id));
    let peer = server.accept();
    assert_eq!(client.session_id(), peer.session_id());
    assert_ne!(client.session_id(), 0);
    // SAFETY: NULL is allowed.
    assert_eq!(unsafe { jsp_connection_session_id(null()) }, 0);
    assert_eq!(Connection::new().session_id(), 0);
    // SAFETY: the pointers are as described.
    assert_eq!(text(|out| unsafe { jsp_connection_peer_key_id(client.0.0, out) }), server.key_id);
}

#[test]
fn a_program_that_never_receives_is_not_held_back() {
    // More than windows, buffers and the inbox hold: with somebody held back it would never all come back.
    const MANY: usize = 20_000;
    let server = Server::start();
    let echoed = Arc::default();
    let echo = server.counted_echo(Arc::clone(&echoed));
    let client = Connection::to(&server.address);
    let message = [7; 1000];
    for _ in 0..MANY {
        client.send(client.open(1, JSP_DELIVERY_MODE_RELIABLE), &message);
    }
    let begun = Instant::now();
    while echoed.load(Ordering::Relaxed) < MANY {
        assert!(begun.elapsed() < Duration::from_millis(PATIENCE as u64), "the echo is held back");
        thread::sleep(Duration::from_millis(1));
    }
    // Once it does receive it is told, and then nothing is lost any more.
    assert_eq!(client.recv(PATIENCE), Err(JSP_ERROR_DISCARDED));
    assert_eq!(client.recv(PATIENCE).map(|(_, message)| message), Ok(message.to_vec()));
    assert_eq!(client.close(), JSP_ERROR_OK);
    assert_eq!(echo.join().expect("no panic"), MANY);
}

#[test]
fn a_slow_receiver_holds_its_peer_back_and_loses_nothing() {
    const MESSAGES: usize = 5000;
    const SIZE: usize = 20_000;
    /// What the queue, the largest windows and the send buffer hold.
    const AHEAD: usize = (13 << 20) / SIZE;
    let server = Server::start();
    let client = Connection::to(&server.address);
    let peer = server.accept();
    client.send(client.open(1, JSP_DELIVERY_MODE_RELIABLE), b"begin");
    let (stream, _) = peer.recv(PATIENCE).expect("a message");
    assert_eq!(client.recv(0), Err(JSP_ERROR_TIMEOUT), "it has begun to receive");
    let sent = AtomicUsize::new(0);
    let mut most = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                peer.send(stream, &[&number.to_be_bytes()[..], &[1; SIZE - 8]].concat());
                sent.store(number + 1, Ordering::Relaxed);
            }
        });
        for number in 0..MESSAGES {
            let (_, message) = client.recv(PATIENCE).expect("a message");
            assert_eq!((message.len(), message.first_chunk()), (SIZE, Some(&number.to_be_bytes())));
            most = most.max(sent.load(Ordering::Relaxed).saturating_sub(number));
        }
    });
    assert!(most < AHEAD, "nothing holds the sender back: it was {most} messages ahead");
    println!("{most} messages ahead");
}

#[test]
fn a_close_into_silence_is_an_error() {
    let server = Server::start();
    let wire = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let forwarding = wire.try_clone().expect("a socket can be cloned");
    let target: SocketAddr = server.address.parse().expect("an address");
    let forwarder = thread::spawn(move || {
        let (mut client, mut buffer) = (None, [0; 65_536]);
        loop {
            let (len, from) = forwarding.recv_from(&mut buffer).expect("a datagram");
            match (from == target, client) {
                // An empty datagram is the word to stop.
                _ if len == 0 => return,
                (true, None) => {}
                (true, Some(client)) => drop(forwarding.send_to(&buffer[..len], client)),
                (false, _) => {
                    client = Some(from);
                    drop(forwarding.send_to(&buffer[..len], target));
                }
            }
        }
    });
    let client = Connection::to(&wire.local_addr().expect("bound").to_string());
    let stream = client.open(1, JSP_DELIVERY_MODE_RELIABLE);
    let peer = server.accept();
    client.send(stream, b"heard");
    assert_eq!(peer.recv(PATIENCE).map(|(_, message)| message), Ok(b"heard".to_vec()));
    wire.send_to(b"", wire.local_addr().expect("bound")).expect("the loopback interface");
    forwarder.join().expect("no panic");
    client.send(stream, b"not heard");
    assert_eq!(client.close(), JSP_ERROR_UNDELIVERED);
    assert_eq!(client.close(), JSP_ERROR_UNDELIVERED, "the same answer");
}

#[test]
fn a_short_buffer_consumes_nothing() {
    let server = Server::start();
    let echo = server.echo();
    let client = Connection::to(&server.address);
    let stream = client.open(0, JSP_DELIVERY_MODE_RELIABLE);
    client.send(stream, b"0123456789");
    let mut short = [9; 4];
    assert_eq!(client.recv_into(&mut short, PATIENCE), (JSP_ERROR_BUFFER_TOO_SMALL, 0, 10));
    assert_eq!(short, [9; 4]);
    assert_eq!(client.recv(PATIENCE), Ok((stream, b"0123456789".to_vec())));
    assert_eq!(client.close(), JSP_ERROR_OK);
    echo.join().expect("no panic");
}

#[test]
fn calls_at_the_wrong_time_are_errors() {
    let server = Server::start();
    let connection = Connection::new();
    assert_eq!(connection.handshake(), JSP_ERROR_WRONG_STATE);
    assert_eq!(connection.close(), JSP_ERROR_NOT_CONNECTED);
    assert_eq!(connection.try_send(1, b"early"), JSP_ERROR_NOT_CONNECTED);
    assert_eq!(connection.recv(0), Err(JSP_ERROR_NOT_CONNECTED));
    assert_eq!(connection.connect("nowhere"), JSP_ERROR_ADDRESS);
    assert_eq!(connection.connect(&server.address), JSP_ERROR_OK);
    assert_eq!(connection.connect(&server.address), JSP_ERROR_WRONG_STATE);
    assert_eq!(connection.handshake(), JSP_ERROR_OK);
    assert_eq!(connection.handshake(), JSP_ERROR_WRONG_STATE);
    assert_eq!(connection.try_send(0, b"x"), JSP_ERROR_NO_STREAM);
    assert_eq!(connection.try_send(769, b"x"), JSP_ERROR_NO_STREAM);
    assert_eq!(connection.try_send(u32::MAX, b"x"), JSP_ERROR_NO_STREAM);
    assert_eq!(connection.try_send(1, b""), JSP_ERROR_EMPTY_MESSAGE);
    assert_eq!(connection.try_send(1, &[0; 70_000]), JSP_ERROR_MESSAGE_TOO_LARGE);
    let mut stream = 0;
    // SAFETY: the pointers are as described.
    unsafe {
        assert_eq!(jsp_connection_open_stream(connection.0.0, 1, 3, &mut stream), JSP_ERROR_INVALID_ARGUMENT);
        assert_eq!(jsp_connection_open_stream(connection.0.0, 1, 0, null_mut()), JSP_ERROR_NULL);
        assert_eq!(jsp_connection_set_ttl(connection.0.0, 0), JSP_ERROR_INVALID_ARGUMENT);
        assert_eq!(jsp_connection_send(null_mut(), 1, null(), 0), JSP_ERROR_NULL);
        assert_eq!(jsp_connection_send(connection.0.0, 1, null(), 5), JSP_ERROR_NULL);
        jsp_connection_free(null_mut());
        jsp_listener_free(null_mut());
    }
}

#[test]
fn a_wrong_key_is_a_mismatch_and_a_far_server_needs_one() {
    let (server, other) = (Server::start(), Server::start());
    let connection = Connection::new();
    assert_eq!(connection.connect(&format!("{}#{}", server.address, other.key_id)), JSP_ERROR_OK);
    assert_eq!(connection.handshake(), JSP_ERROR_KEY_MISMATCH);
    let far = Connection::new();
    assert_eq!(far.connect("192.0.2.1:9"), JSP_ERROR_OK);
    assert_eq!(far.handshake(), JSP_ERROR_TRUST_REQUIRED);
}

#[test]
fn freeing_delivers_what_was_sent() {
    let server = Server::start();
    let client = Connection::to(&server.address);
    let stream = client.open(1, JSP_DELIVERY_MODE_RELIABLE);
    for number in 0..500_u32 {
        client.send(stream, &number.to_be_bytes().repeat(250));
    }
    drop(client);
    let peer = server.accept();
    for number in 0..500_u32 {
        assert_eq!(peer.recv(PATIENCE).map(|(_, message)| message), Ok(number.to_be_bytes().repeat(250)));
    }
    assert_eq!(peer.recv(PATIENCE), Err(JSP_ERROR_PEER_CLOSED));
}

#[test]
fn closing_a_listener_delivers_and_ends_every_wait() {
    let server = Server::start();
    let client = Connection::to(&server.address);
    client.send(client.open(1, JSP_DELIVERY_MODE_RELIABLE), b"hello");
    let peer = server.accept();
    let (stream, _) = peer.recv(PATIENCE).expect("a message");
    thread::scope(|scope| {
        let accepting = scope.spawn(|| server.try_accept(-1).err());
        peer.send(stream, b"farewell");
        server.close();
        assert_eq!(accepting.join().expect("no panic"), Some(JSP_ERROR_CLOSED));
    });
    assert_eq!(client.recv(PATIENCE).map(|(_, message)| message), Ok(b"farewell".to_vec()));
    assert_eq!(client.recv(PATIENCE), Err(JSP_ERROR_PEER_CLOSED));
    // SAFETY: the handle is not freed yet.
    assert_eq!(unsafe { jsp_listener_close(server.handle.0) }, JSP_ERROR_CLOSED);
}

#[test]
fn many_threads_share_one_connection() {
    const THREADS: usize = 10;
    const EACH: usize = 200;
    let server = Server::start();
    let echo = server.echo();
    let client = Connection::to(&server.address);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let client = &client;
            scope.spawn(move || {
                let stream = client.open(number as u8, JSP_DELIVERY_MODE_RELIABLE);
                for _ in 0..EACH {
                    client.send(stream, &[number as u8; 100]);
                }
            });
        }
        let mut counts = [0; THREADS];
        for _ in 0..THREADS * EACH {
            match client.recv(PATIENCE) {
                Ok((_, message)) => counts[usize::from(message[0])] += 1,
                Err(error) => panic!("{}", words(error)),
            }
        }
        assert_eq!(counts, [EACH; THREADS]);
    });
    assert_eq!(client.close(), JSP_ERROR_OK);
    assert_eq!(echo.join().expect("no panic"), THREADS * EACH);
}
