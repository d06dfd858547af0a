//! The contract on the C API of jsp-ffi: a loop as a program in C would write it, around a UDP socket.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, c_char};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use jsp::*;
use jsp_conformance::contract::Answer;
use jsp_proto::driver::system;
use jsp_proto::{
    AppCode, ClientConfig, Config, ConnId, ConnStats, ConnectError, ConnectionError, EndpointStats, Event, ExportError,
    IncomingId, KeyId, MessageOptions, OpenError, Path, Recv, RecvError, RecvMessage, SendError, Side, StreamId,
    StreamOptions, StreamType, TransportError,
};
use mio::net::UdpSocket;

#[path = "blocking.rs"]
mod blocking;

/// An endpoint of the C API.
pub(crate) type Capi = blocking::Blocking;

const NAME: &str = "capi";

/// Room for a poll: few events, so that some of them have to wait for the next.
const EVENTS: usize = 5;
const TRANSMITS: usize = 32;

/// An endpoint, its socket, and the arenas of the loop.
struct Node {
    endpoint: JspEndpoint,
    socket: UdpSocket,
    local: SocketAddr,
    poll: mio::Poll,
    ready: mio::Events,
    origin: Instant,
    wake_at: u64,
    outbox: Vec<u8>,
    transmits: Vec<JspTransmit>,
    events: Vec<JspEvent>,
    inbox: Vec<u8>,
    told: VecDeque<JspEvent>,
    /// The codes of resets and of stops, which only events tell.
    resets: HashMap<(u64, u64), AppCode>,
    stops: HashMap<(u64, u64), AppCode>,
}

enum Told {
    Event(ConnId, Event),
    Incoming(IncomingId),
}

const NO_ADDRESS: JspAddress = JspAddress { family: JSP_FAMILY_NONE, reserved: 0, port: 0, scope_id: 0, ip: [0; 16] };

impl Node {
    fn bind(config: Config) -> Self {
        let mut socket = UdpSocket::from_std({
            let socket = system::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
            socket.set_nonblocking(true).expect("a socket");
            socket
        });
        let poll = mio::Poll::new().expect("a poll");
        poll.registry().register(&mut socket, mio::Token(0), mio::Interest::READABLE).expect("a socket");
        let transmit = JspTransmit {
            offset: 0,
            len: 0,
            segment: 0,
            remote: NO_ADDRESS,
            local: NO_ADDRESS,
            ecn: 0,
            reserved: [0; 7],
        };
        Self {
            endpoint: JspEndpoint::new(config, system::random_seed().expect("randomness")),
            local: socket.local_addr().expect("bound"),
            socket,
            poll,
            ready: mio::Events::with_capacity(8),
            origin: Instant::now(),
            wake_at: 0,
            outbox: vec![0; 65_536],
            transmits: vec![transmit; TRANSMITS],
            events: vec![JspEvent::default(); EVENTS],
            inbox: vec![0; 65_536],
            told: VecDeque::new(),
            resets: HashMap::new(),
            stops: HashMap::new(),
        }
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn raw(&self) -> *mut JspEndpoint {
        (&raw const self.endpoint).cast_mut()
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// What happened; `None` when nothing is left to do now.
    fn next(&mut self) -> Option<Told> {
        loop {
            while let Some(event) = self.told.pop_front() {
                if let Some(told) = self.translate(event) {
                    return Some(told);
                }
            }
            let more = self.poll();
            if self.told.is_empty() && !more && !self.receive() {
                return None;
            }
        }
    }

    /// One poll and what it wants sent; whether there is more.
    fn poll(&mut self) -> bool {
        let mut room = JspPoll {
            size: size_of::<JspPoll>() as u32,
            max_segments: 1,
            buffer: self.outbox.as_mut_ptr(),
            buffer_len: self.outbox.len(),
            transmits: self.transmits.as_mut_ptr(),
            transmits_capacity: TRANSMITS,
            events: self.events.as_mut_ptr(),
            events_capacity: EVENTS,
            transmits_len: 0,
            events_len: 0,
            wake_at_ns: 0,
            more: 0,
            reserved: 0,
        };
        let now = self.now();
        // SAFETY: the room is as described.
        assert_eq!(unsafe { jsp_endpoint_poll(self.raw(), now, &mut room) }, JSP_ERROR_OK);
        for transmit in &self.transmits[..room.transmits_len] {
            let bytes = &self.outbox[transmit.offset..transmit.offset + transmit.len];
            // What the socket does not take is lost, as it might be on the network.
            let _ = self.socket.send_to(bytes, address(&transmit.remote));
        }
        for event in &self.events[..room.events_len] {
            // Reading needs the code as soon as the poll has given it, whatever events come before it.
            let (of, code) = ((event.connection, event.stream), AppCode::new(event.code));
            match event.kind {
                JSP_EVENT_STREAM_RESET => drop(self.resets.insert(of, code)),
                JSP_EVENT_STREAM_STOPPED => drop(self.stops.insert(of, code)),
                _ => {}
            }
            self.told.push_back(*event);
        }
        self.wake_at = room.wake_at_ns;
        room.more != 0
    }

    /// Gives the endpoint a datagram, if there is one.
    fn receive(&mut self) -> bool {
        let (len, remote) = match self.socket.recv_from(&mut self.inbox) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            // The system tells of somebody who is gone.
            Err(_) => return true,
        };
        let datagram = JspDatagram {
            offset: 0,
            len,
            stride: 0,
            remote: remote.into(),
            local: NO_ADDRESS,
            ecn: 0,
            reserved: [0; 7],
        };
        let (now, inbox, inbox_len) = (self.now(), self.inbox.as_mut_ptr(), self.inbox.len());
        // SAFETY: the datagram is in the buffer.
        let error = unsafe { jsp_endpoint_receive(self.raw(), now, inbox, inbox_len, &datagram, 1) };
        assert_eq!(error, JSP_ERROR_OK);
        true
    }

    /// Waits for the socket or the endpoint's time, not longer than `limit`.
    fn sleep(&mut self, limit: Duration) {
        let until_wake = Duration::from_nanos(self.wake_at.saturating_sub(self.now()));
        match self.poll.poll(&mut self.ready, Some(until_wake.min(limit))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("cannot wait: {error}"),
            _ => {}
        }
    }

    fn translate(&mut self, event: JspEvent) -> Option<Told> {
        let (stream, code) = (StreamId::from_wire(event.stream), AppCode::new(event.code));
        let what = match event.kind {
            JSP_EVENT_INCOMING => return Some(Told::Incoming(IncomingId::from_u64(event.connection))),
            JSP_EVENT_CONNECTED => Event::Connected,
            JSP_EVENT_STREAM_OPENED => Event::StreamOpened(stream),
            JSP_EVENT_STREAM_READABLE => Event::StreamReadable(stream),
            JSP_EVENT_STREAM_WRITABLE => Event::StreamWritable(stream),
            JSP_EVENT_STREAM_FINISHED => Event::StreamFinished(stream),
            JSP_EVENT_STREAM_RESET => Event::StreamReset(stream, code),
            JSP_EVENT_STREAM_STOPPED => Event::StreamStopped(stream, code),
            JSP_EVENT_STREAMS_AVAILABLE => {
                Event::StreamsAvailable(StreamType::new(event.detail as u8).expect("one of sixteen"))
            }
            JSP_EVENT_CLOSED => Event::Closed,
            _ => return None,
        };
        Some(Told::Event(ConnId::from_u64(event.connection), what))
    }

    fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnId, ConnectError> {
        let now = jsp_proto::Instant::from_nanos(self.now());
        self.endpoint.with(|machine| machine.connect(now, Path::to(remote), client)).expect("no panic")
    }

    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        let conn = Conn { node: self, id: id.as_u64() };
        conn.info().map(|_| conn)
    }

    fn app_token(&self, id: IncomingId) -> Vec<u8> {
        let mut token = vec![0; 512];
        let mut len = 0;
        let (out, capacity) = (token.as_mut_ptr(), token.len());
        // SAFETY: there is room for as many bytes.
        let error = unsafe { jsp_incoming_app_token(self.raw(), id.as_u64(), out, capacity, &mut len) };
        assert_eq!(error, JSP_ERROR_OK);
        token.truncate(len);
        token
    }

    fn answer(&mut self, id: IncomingId, answer: Answer) {
        let (now, id) = (self.now(), id.as_u64());
        // SAFETY: the endpoint is there; NULL is allowed.
        let error = unsafe {
            match answer {
                Answer::Accept => jsp_incoming_accept(self.raw(), now, id, null()),
                Answer::Refuse(code) => jsp_incoming_refuse(self.raw(), now, id, code.get()),
                Answer::Ignore => jsp_incoming_ignore(self.raw(), id),
            }
        };
        assert_eq!(error, JSP_ERROR_OK);
    }

    fn shutdown(&mut self) {
        let now = self.now();
        // SAFETY: the endpoint is there.
        assert_eq!(unsafe { jsp_endpoint_shutdown(self.raw(), now, 0) }, JSP_ERROR_OK);
    }

    fn is_idle(&self) -> bool {
        let mut idle = 0;
        // SAFETY: there is room for it.
        assert_eq!(unsafe { jsp_endpoint_is_idle(self.raw(), &mut idle) }, JSP_ERROR_OK);
        idle != 0
    }

    fn stats(&self) -> EndpointStats {
        self.endpoint.with(|machine| *machine.stats()).expect("no panic")
    }
}

fn address(address: &JspAddress) -> SocketAddr {
    let mut text = [0; JSP_ADDRESS_TEXT];
    // SAFETY: there is room for the text.
    assert_eq!(unsafe { jsp_address_format(address, text.as_mut_ptr()) }, JSP_ERROR_OK);
    words(&text).parse().expect("an address")
}

fn words(text: &[c_char]) -> &str {
    // SAFETY: the library writes a zero byte at the end.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().expect("ASCII")
}

/// A connection by its id, with the calls of C under the names of Rust.
struct Conn<'e> {
    node: &'e mut Node,
    id: u64,
}

impl Conn<'_> {
    fn info(&self) -> Option<JspConnInfo> {
        let mut info = JspConnInfo {
            size: size_of::<JspConnInfo>() as u32,
            is_server: 0,
            is_connected: 0,
            is_closed: 0,
            remote: NO_ADDRESS,
            peer_key_id: [0; JSP_KEY_ID_TEXT],
            reserved: [0; 6],
            max_message_size: 0,
        };
        // SAFETY: it is as long as it says.
        match unsafe { jsp_conn_info(self.node.raw(), self.id, &mut info) } {
            JSP_ERROR_OK => Some(info),
            JSP_ERROR_NO_CONNECTION => None,
            error => panic!("error {error}"),
        }
    }

    fn side(&self) -> Side {
        if self.info().expect("there").is_server == 1 { Side::Server } else { Side::Client }
    }

    fn peer_key_id(&self) -> Option<KeyId> {
        words(&self.info()?.peer_key_id).parse().ok()
    }

    fn close_reason(&self) -> Option<ConnectionError> {
        let mut end = JspCloseReason {
            size: size_of::<JspCloseReason>() as u32,
            error: 0,
            code: 0,
            after_ns: 0,
            reason_len: 0,
            reason: [0; JSP_REASON_LEN],
            expected_key_id: [0; JSP_KEY_ID_TEXT],
            found_key_id: [0; JSP_KEY_ID_TEXT],
        };
        // SAFETY: it is as long as it says.
        match unsafe { jsp_conn_close_reason(self.node.raw(), self.id, &mut end) } {
            JSP_ERROR_OK => {}
            JSP_ERROR_WRONG_STATE => return None,
            error => panic!("error {error}"),
        }
        let code = AppCode::new(end.code);
        let reason = Box::from(&end.reason[..end.reason_len as usize]);
        let after = Duration::from_nanos(end.after_ns);
        let key_id = |text: &[c_char]| words(text).parse().expect("a key id");
        Some(match end.error {
            JSP_ERROR_LOCALLY_CLOSED => ConnectionError::LocallyClosed { code },
            JSP_ERROR_UNDELIVERED => ConnectionError::Undelivered { code, after },
            JSP_ERROR_PEER_CLOSED => ConnectionError::PeerClosed { code, reason },
            JSP_ERROR_PEER_ERROR => ConnectionError::PeerError { error: TransportError::from_code(end.code), reason },
            JSP_ERROR_IDLE_TIMEOUT => ConnectionError::IdleTimeout { after },
            JSP_ERROR_NO_ANSWER => ConnectionError::NoAnswer { after },
            JSP_ERROR_KEY_MISMATCH => ConnectionError::PeerKeyMismatch {
                expected: key_id(&end.expected_key_id),
                got: key_id(&end.found_key_id),
            },
            JSP_ERROR_KEY_REJECTED => ConnectionError::KeyRejected,
            JSP_ERROR_REFUSED => ConnectionError::Refused { code },
            JSP_ERROR_VERSION => ConnectionError::VersionMismatch,
            JSP_ERROR_PEER_RESET => ConnectionError::Reset,
            error => panic!("error {error}, code {}: {}", end.code, String::from_utf8_lossy(&reason)),
        })
    }

    fn open(&mut self, options: StreamOptions) -> Result<StreamId, OpenError> {
        // The scenarios speak in options of Rust, whose fields nobody else sees.
        let (now, id) = (jsp_proto::Instant::from_nanos(self.node.now()), ConnId::from_u64(self.id));
        let opened = self.node.endpoint.with(|machine| Some(machine.conn(now, id)?.open(options)));
        opened.expect("no panic").unwrap_or(Err(OpenError::Closed))
    }

    fn send_error(&self, error: JspError, stream: StreamId) -> SendError {
        match error {
            JSP_ERROR_NO_STREAM => SendError::UnknownStream,
            JSP_ERROR_WRONG_KIND => SendError::WrongKind,
            JSP_ERROR_FINISHED => SendError::Finished,
            JSP_ERROR_STOPPED => SendError::Stopped(self.node.stops[&(self.id, stream.as_u64())]),
            JSP_ERROR_RESET => SendError::Reset,
            JSP_ERROR_EMPTY_MESSAGE => SendError::Empty,
            JSP_ERROR_MESSAGE_TOO_LARGE => {
                SendError::TooLarge { max: self.info().map_or(0, |info| info.max_message_size) }
            }
            JSP_ERROR_WOULD_BLOCK => SendError::Blocked,
            JSP_ERROR_CLOSED | JSP_ERROR_NO_CONNECTION => SendError::Closed,
            error => panic!("error {error}"),
        }
    }

    fn send(&mut self, stream: StreamId, data: &[u8]) -> Result<usize, SendError> {
        let (now, id, number) = (self.node.now(), self.id, stream.as_u64());
        let mut written = 0;
        // SAFETY: the bytes are there.
        let error =
            unsafe { jsp_stream_send(self.node.raw(), now, id, number, data.as_ptr(), data.len(), &mut written) };
        if error == JSP_ERROR_OK { Ok(written) } else { Err(self.send_error(error, stream)) }
    }

    fn send_message(&mut self, stream: StreamId, data: &[u8], options: MessageOptions) -> Result<(), SendError> {
        let (now, id, number) = (self.node.now(), self.id, stream.as_u64());
        if options != MessageOptions::new() {
            let (now, id) = (jsp_proto::Instant::from_nanos(now), ConnId::from_u64(id));
            let sent =
                self.node.endpoint.with(|machine| Some(machine.conn(now, id)?.send_message(stream, data, options)));
            return sent.expect("no panic").unwrap_or(Err(SendError::Closed)).map(drop);
        }
        // SAFETY: the bytes are there; NULL is allowed.
        let error = unsafe {
            let raw = self.node.raw();
            jsp_stream_send_message(raw, now, id, number, data.as_ptr(), data.len(), null(), null_mut())
        };
        if error == JSP_ERROR_OK { Ok(()) } else { Err(self.send_error(error, stream)) }
    }

    fn finish(&mut self, stream: StreamId) -> Result<(), SendError> {
        let now = self.node.now();
        // SAFETY: the endpoint is there.
        let error = unsafe { jsp_stream_finish(self.node.raw(), now, self.id, stream.as_u64()) };
        if error == JSP_ERROR_OK { Ok(()) } else { Err(self.send_error(error, stream)) }
    }

    fn reset(&mut self, stream: StreamId, code: AppCode) -> Result<(), SendError> {
        let now = self.node.now();
        // SAFETY: the endpoint is there.
        let error = unsafe { jsp_stream_reset(self.node.raw(), now, self.id, stream.as_u64(), code.get()) };
        if error == JSP_ERROR_OK { Ok(()) } else { Err(self.send_error(error, stream)) }
    }

    fn stop(&mut self, stream: StreamId, code: AppCode) -> Result<(), RecvError> {
        let now = self.node.now();
        // SAFETY: the endpoint is there.
        match unsafe { jsp_stream_stop(self.node.raw(), now, self.id, stream.as_u64(), code.get()) } {
            JSP_ERROR_OK => Ok(()),
            error => Err(recv_error(error)),
        }
    }

    fn recv(&mut self, stream: StreamId, out: &mut [u8]) -> Result<Recv, RecvError> {
        let (now, id, number) = (self.node.now(), self.id, stream.as_u64());
        let mut len = 0;
        // SAFETY: there is room for as many bytes.
        match unsafe { jsp_stream_recv(self.node.raw(), now, id, number, out.as_mut_ptr(), out.len(), &mut len) } {
            JSP_ERROR_OK => Ok(Recv::Data(len)),
            JSP_ERROR_WOULD_BLOCK => Ok(Recv::Blocked),
            error => self.end(stream, error).map(|code| code.map_or(Recv::Finished, Recv::Reset)),
        }
    }

    fn recv_message(&mut self, stream: StreamId, out: &mut Vec<u8>) -> Result<RecvMessage, RecvError> {
        let (now, id, number) = (self.node.now(), self.id, stream.as_u64());
        let mut len = 0;
        // Most messages are larger than this: the length comes back and the message stays.
        out.resize(16, 0);
        loop {
            let (to, capacity) = (out.as_mut_ptr(), out.len());
            // SAFETY: there is room for as many bytes.
            let error = unsafe { jsp_stream_recv_message(self.node.raw(), now, id, number, to, capacity, &mut len) };
            return match error {
                JSP_ERROR_OK => {
                    out.truncate(len);
                    Ok(RecvMessage::Message(len))
                }
                JSP_ERROR_BUFFER_TOO_SMALL => {
                    out.resize(len, 0);
                    continue;
                }
                JSP_ERROR_WOULD_BLOCK => Ok(RecvMessage::Blocked),
                error => self.end(stream, error).map(|code| code.map_or(RecvMessage::Finished, RecvMessage::Reset)),
            };
        }
    }

    /// What the end of a stream is: a code if the peer has reset it.
    fn end(&self, stream: StreamId, error: JspError) -> Result<Option<AppCode>, RecvError> {
        match (error, self.node.resets.get(&(self.id, stream.as_u64()))) {
            (JSP_ERROR_END, _) => Ok(None),
            (JSP_ERROR_RESET | JSP_ERROR_NO_STREAM, Some(&code)) => Ok(Some(code)),
            (error, _) => Err(recv_error(error)),
        }
    }

    fn close(&mut self, code: AppCode, reason: &[u8]) {
        let now = self.node.now();
        // SAFETY: the bytes are there.
        let error = unsafe { jsp_conn_close(self.node.raw(), now, self.id, code.get(), reason.as_ptr(), reason.len()) };
        assert_eq!(error, JSP_ERROR_OK);
    }

    fn abort(&mut self, code: AppCode, reason: &[u8]) {
        let now = self.node.now();
        // SAFETY: the bytes are there.
        let error = unsafe { jsp_conn_abort(self.node.raw(), now, self.id, code.get(), reason.as_ptr(), reason.len()) };
        assert_eq!(error, JSP_ERROR_OK);
    }

    fn discard(self) {
        let now = self.node.now();
        // SAFETY: the endpoint is there.
        assert_eq!(unsafe { jsp_conn_discard(self.node.raw(), now, self.id) }, JSP_ERROR_OK);
    }

    fn export_key(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        let (id, label_len, context_len, len) = (self.id, label.len(), context.len(), out.len());
        let (label, context, out) = (label.as_ptr(), context.as_ptr(), out.as_mut_ptr());
        // SAFETY: the bytes are there.
        let error =
            unsafe { jsp_conn_export_key(self.node.raw(), id, label, label_len, context, context_len, out, len) };
        if error == JSP_ERROR_OK { Ok(()) } else { Err(ExportError) }
    }

    fn stats(&self) -> ConnStats {
        // SAFETY: all zeros is a value of these counters.
        let mut from: JspConnStats = unsafe { std::mem::zeroed() };
        from.size = size_of::<JspConnStats>() as u32;
        // SAFETY: it is as long as it says.
        assert_eq!(unsafe { jsp_conn_stats(self.node.raw(), self.id, &mut from) }, JSP_ERROR_OK);
        let mut stats = ConnStats::default();
        stats.rtt = Duration::from_nanos(from.rtt_ns);
        stats.min_rtt = (from.min_rtt_ns > 0).then(|| Duration::from_nanos(from.min_rtt_ns));
        stats.handshake_time = (from.handshake_time_ns > 0).then(|| Duration::from_nanos(from.handshake_time_ns));
        stats.congestion_window = from.congestion_window;
        stats.datagrams_sent = from.datagrams_sent;
        stats.datagrams_received = from.datagrams_received;
        stats.bytes_sent = from.bytes_sent;
        stats.bytes_received = from.bytes_received;
        stats.packets_sent = from.packets_sent;
        stats.streams_open = from.streams_open;
        stats.send_buffered = from.send_buffered;
        stats.send_credit = from.send_credit;
        stats.receive_memory = from.receive_memory;
        stats
    }
}

fn recv_error(error: JspError) -> RecvError {
    match error {
        JSP_ERROR_WRONG_KIND => RecvError::WrongKind,
        JSP_ERROR_STOPPED => RecvError::Stopped,
        _ => RecvError::UnknownStream,
    }
}
