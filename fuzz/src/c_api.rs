//! A program in C that calls the poll interface in any order, with handles that are gone, sizes that are wrong and
//! buffers that are too small.
//!
//! What C must promise is kept: pointers are NULL or point to what their lengths say, and a handle that was freed is not
//! used. Everything else is the library's to refuse.
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one call of C after the other")]

use std::ptr::{null, null_mut};

use jsp::*;
use jsp_proto::{Config, SecretKey};

use crate::input::Input;
use crate::sealed::server_key;

/// Bytes of the buffers of the program. The byte behind each must stay as it is.
const ROOM: usize = 70_000;
const CANARY: u8 = 0xc7;

/// An endpoint and what the program knows of it.
struct Node {
    endpoint: *mut JspEndpoint,
    address: JspAddress,
    connections: Vec<u64>,
    streams: Vec<u64>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: it was made by `jsp_endpoint_new` or `Box::into_raw`, and is freed once.
        unsafe { jsp_endpoint_free(self.endpoint) };
    }
}

struct Program {
    nodes: [Node; 2],
    now: u64,
    buffer: Vec<u8>,
    wire: Vec<(usize, Vec<u8>)>,
    calls: usize,
}

fn address(host: u8) -> JspAddress {
    let mut ip = [0; 16];
    ip[..4].copy_from_slice(&[192, 0, 2, host]);
    JspAddress { family: JSP_FAMILY_IPV4, reserved: 0, port: 4433, scope_id: 0, ip }
}

fn node(config: Config, number: u8) -> Node {
    let endpoint = Box::into_raw(Box::new(JspEndpoint::new(config, [number; 32])));
    Node { endpoint, address: address(number), connections: Vec::new(), streams: Vec::new() }
}

/// A number out of a list, or any other.
fn id(known: &[u64], input: &mut Input<'_>) -> u64 {
    match input.u8() {
        0xff => input.number(),
        0xfe => u64::MAX,
        choice => known.get(usize::from(choice) % known.len().max(1)).copied().unwrap_or_default(),
    }
}

/// The size that a structure says it has: the right one, or a smaller one.
fn size<T>(input: &mut Input<'_>) -> u32 {
    let right = size_of::<T>() as u32;
    if input.u8() & 15 == 15 { input.below(right as usize + 1) as u32 } else { right }
}

/// The structures of C that begin as zeros, as the interface asks for.
trait Zeroed: Sized {
    fn zeroed() -> Self {
        // SAFETY: each of the types below has numbers, and pointers that may be NULL.
        unsafe { std::mem::zeroed() }
    }
}

impl Zeroed for JspClientConfig {}
impl Zeroed for JspCloseReason {}
impl Zeroed for JspConfig {}
impl Zeroed for JspConnInfo {}
impl Zeroed for JspConnStats {}
impl Zeroed for JspDatagram {}
impl Zeroed for JspEndpointStats {}
impl Zeroed for JspMessageOptions {}
impl Zeroed for JspPoll {}
impl Zeroed for JspStreamOptions {}
impl Zeroed for JspTransmit {}

impl Program {
    fn new() -> Self {
        let server = Config::builder().server_key(server_key().clone()).accept_compressed(true);
        let nodes = [node(Config::default(), 1), node(server.build().expect("valid"), 2)];
        Self { nodes, now: 1_000_000_000, buffer: vec![0; ROOM], wire: Vec::new(), calls: 0 }
    }

    /// An error of the list, and never that of a defect.
    fn checked(&mut self, error: JspError) -> JspError {
        self.calls += 1;
        assert!((JSP_ERROR_UNDELIVERED..=JSP_ERROR_OK).contains(&error), "{error} is no error");
        assert!(error != JSP_ERROR_PANIC && error != JSP_ERROR_POISONED, "a defect");
        error
    }

    /// A length for a buffer, and the byte behind it.
    fn room(&mut self, input: &mut Input<'_>) -> usize {
        let len = match input.below(4) {
            0 => input.below(32),
            1 => input.below(3000),
            _ => ROOM - 1,
        };
        self.buffer[len] = CANARY;
        len
    }

    fn connect(&mut self, at: usize, input: &mut Input<'_>) {
        let key = *server_key().public().as_bytes();
        let mut client = JspClientConfig::zeroed();
        client.size = size::<JspClientConfig>(input);
        client.trust = if input.u8() & 7 == 7 { u32::from(input.u8()) } else { JSP_TRUST_PINNED };
        client.public_key = if input.u8() & 15 == 15 { null() } else { key.as_ptr() };
        let to = if input.u8() & 15 == 15 { JspAddress::default() } else { self.nodes[1 - at].address };
        let mut connection = 0;
        // SAFETY: all is there for the call; the key has the length that the interface wants.
        let error = unsafe { jsp_endpoint_connect(self.nodes[at].endpoint, self.now, &to, &client, &mut connection) };
        if self.checked(error) == JSP_ERROR_OK {
            self.nodes[at].connections.push(connection);
        }
    }

    /// One poll with room as the input says.
    fn poll(&mut self, at: usize, input: &mut Input<'_>) -> bool {
        let len = if input.u8() & 7 == 7 { self.room(input) } else { ROOM - 1 };
        self.buffer[len] = CANARY;
        let mut transmits = [JspTransmit::zeroed(); 8];
        let mut events = [JspEvent::default(); 4];
        let mut room = JspPoll::zeroed();
        room.size = size::<JspPoll>(input);
        room.max_segments = u32::from(input.u8() % 12);
        (room.buffer, room.buffer_len) = (self.buffer.as_mut_ptr(), len);
        (room.transmits, room.transmits_capacity) = (transmits.as_mut_ptr(), input.below(9));
        (room.events, room.events_capacity) = (events.as_mut_ptr(), input.below(5));
        // SAFETY: the lengths are not longer than what is there.
        let error = unsafe { jsp_endpoint_poll(self.nodes[at].endpoint, self.now, &mut room) };
        assert_eq!(self.buffer[len], CANARY, "wrote beyond the buffer");
        if self.checked(error) != JSP_ERROR_OK {
            return false;
        }
        assert!(room.transmits_len <= room.transmits_capacity && room.events_len <= room.events_capacity);
        assert!(room.more != 0 || room.wake_at_ns > self.now);
        for transmit in &transmits[..room.transmits_len] {
            let bytes = &self.buffer[transmit.offset..transmit.offset + transmit.len];
            assert!(transmit.len > 0 && transmit.offset + transmit.len <= len);
            assert!(transmit.segment > 0 && transmit.segment <= transmit.len);
            self.wire.extend(bytes.chunks(transmit.segment).map(|datagram| (1 - at, datagram.to_vec())));
        }
        for event in &events[..room.events_len] {
            match event.kind {
                JSP_EVENT_CONNECTED if !self.nodes[at].connections.contains(&event.connection) => {
                    self.nodes[at].connections.push(event.connection);
                }
                JSP_EVENT_STREAM_OPENED => self.nodes[at].streams.push(event.stream),
                _ => assert!(event.kind <= JSP_EVENT_PATH_CHANGED),
            }
        }
        room.more != 0
    }

    /// Hands over what is on the wire, or a datagram of the input, or one that lies outside its buffer.
    fn receive(&mut self, at: usize, input: &mut Input<'_>) {
        let (mut bytes, honest) = match self.wire.iter().position(|(to, _)| *to == at) {
            Some(place) if input.u8() & 15 != 15 => (self.wire.remove(place).1, true),
            _ => (input.chunk(100).to_vec(), false),
        };
        let mut datagram = JspDatagram::zeroed();
        datagram.remote = self.nodes[1 - at].address;
        datagram.len = bytes.len();
        if !honest {
            datagram.offset = input.below(200);
            datagram.len = if input.flag() { usize::MAX } else { input.below(200) };
            datagram.stride = input.number() as usize;
            datagram.remote.family = input.u8() % 8;
            datagram.ecn = input.u8();
        }
        let fits = datagram.offset.checked_add(datagram.len).is_some_and(|end| end <= bytes.len());
        // SAFETY: the buffer is as long as it says; the datagram in it is the library's to check.
        let error = unsafe {
            jsp_endpoint_receive(self.nodes[at].endpoint, self.now, bytes.as_mut_ptr(), bytes.len(), &datagram, 1)
        };
        let error = self.checked(error);
        assert!(fits || error == JSP_ERROR_INVALID_ARGUMENT, "a datagram outside its buffer");
        assert!(!honest || error == JSP_ERROR_OK);
    }

    /// Lets both sides talk until they have nothing more to say.
    fn settle(&mut self) {
        let mut quiet = Input::new(&[0, 0, 8, 8, 4]);
        for _ in 0..200 {
            let mut more = false;
            for at in 0..2 {
                more |= self.poll(at, &mut quiet.clone());
                while self.wire.iter().any(|(to, _)| *to == at) {
                    self.receive(at, &mut Input::new(&[]));
                }
            }
            if !more && self.wire.is_empty() {
                break;
            }
        }
        let _ = quiet.u8();
        self.now += 10_000_000;
    }

    fn open(&mut self, at: usize, connection: u64, input: &mut Input<'_>) {
        let mut options = JspStreamOptions::zeroed();
        options.size = size::<JspStreamOptions>(input);
        (options.kind, options.uni) = (u32::from(input.u8() % 5), u32::from(input.u8() % 3));
        (options.mode, options.ttl_ns) = ((input.u8() % 4).into(), input.number());
        (options.has_priority, options.priority) = (u32::from(input.u8() % 2), input.u16().into());
        (options.compression, options.fec) = (u32::from(input.u8() % 6), u32::from(input.u8() % 6));
        (options.fec_sources, options.fec_parity) = (input.u8().into(), input.u8().into());
        let simple = input.flag();
        let options = if simple { null() } else { &raw const options };
        let mut stream = 0;
        let out = if input.u8() == 0xff { null_mut() } else { &raw mut stream };
        // SAFETY: NULL or there.
        let error = unsafe { jsp_stream_open(self.nodes[at].endpoint, self.now, connection, options, out) };
        if self.checked(error) == JSP_ERROR_OK {
            assert!(!self.nodes[at].streams.contains(&stream) || self.nodes[at].connections.len() > 1);
            self.nodes[at].streams.push(stream);
        }
    }

    /// Sends or reads.
    fn data(&mut self, at: usize, connection: u64, input: &mut Input<'_>) {
        let (endpoint, now) = (self.nodes[at].endpoint, self.now);
        let stream = id(&self.nodes[at].streams, input);
        let choice = input.below(4);
        let len = self.room(input);
        let buffer = self.buffer.as_mut_ptr();
        let mut count = usize::MAX;
        // SAFETY: the buffer has more than `len` bytes.
        let error = unsafe {
            match choice {
                0 => jsp_stream_send(endpoint, now, connection, stream, buffer, len, &mut count),
                1 => {
                    let mut options = JspMessageOptions::zeroed();
                    options.size = size::<JspMessageOptions>(input);
                    (options.has_mode, options.mode) = (u32::from(input.u8() % 2), (input.u8() % 4).into());
                    (options.tracked, options.ttl_ns) = (u32::from(input.u8() % 2), input.number());
                    let mut message = 0;
                    jsp_stream_send_message(endpoint, now, connection, stream, buffer, len, &options, &mut message)
                }
                2 => jsp_stream_recv(endpoint, now, connection, stream, buffer, len, &mut count),
                _ => jsp_stream_recv_message(endpoint, now, connection, stream, buffer, len, &mut count),
            }
        };
        assert_eq!(self.buffer[len], CANARY, "wrote beyond the buffer");
        if self.checked(error) == JSP_ERROR_OK && choice != 1 {
            assert!(count <= len, "{count} bytes of {len}");
        }
        if choice == 3 && error == JSP_ERROR_BUFFER_TOO_SMALL {
            assert!(count > len, "{count} bytes fit into {len}");
        }
    }

    /// Everything about a stream that is not data.
    fn stream(&mut self, at: usize, connection: u64, input: &mut Input<'_>) {
        let (endpoint, now) = (self.nodes[at].endpoint, self.now);
        let stream = id(&self.nodes[at].streams, input);
        let (choice, number) = (input.below(7), input.number());
        let mut capacity = 0;
        // SAFETY: numbers, and a place for one.
        let error = unsafe {
            match choice {
                0 => jsp_stream_finish(endpoint, now, connection, stream),
                1 => jsp_stream_reset(endpoint, now, connection, stream, number),
                2 => jsp_stream_stop(endpoint, now, connection, stream, number),
                3 => jsp_stream_set_priority(endpoint, now, connection, stream, number as u32),
                4 => jsp_stream_set_compression(endpoint, now, connection, stream, number as u32),
                5 => jsp_stream_set_fec(endpoint, now, connection, stream, number as u32 % 5, number as u32, 1),
                _ => jsp_stream_send_capacity(endpoint, now, connection, stream, &mut capacity),
            }
        };
        self.checked(error);
    }

    /// Asks for things, with structures of several sizes.
    fn ask(&mut self, at: usize, connection: u64, input: &mut Input<'_>) {
        let endpoint = self.nodes[at].endpoint;
        let choice = input.below(8);
        let len = self.room(input);
        let (buffer, mut count) = (self.buffer.as_mut_ptr(), 0);
        // SAFETY: each structure is as long as it says or longer, and the buffer has more than `len` bytes.
        let error = unsafe {
            match choice {
                0 => {
                    let mut info = JspConnInfo::zeroed();
                    info.size = size::<JspConnInfo>(input);
                    jsp_conn_info(endpoint, connection, &mut info)
                }
                1 => {
                    let mut reason = JspCloseReason::zeroed();
                    reason.size = size::<JspCloseReason>(input);
                    jsp_conn_close_reason(endpoint, connection, &mut reason)
                }
                2 => {
                    let mut stats = JspConnStats::zeroed();
                    stats.size = size::<JspConnStats>(input);
                    jsp_conn_stats(endpoint, connection, &mut stats)
                }
                3 => {
                    let mut stats = JspEndpointStats::zeroed();
                    stats.size = size::<JspEndpointStats>(input);
                    jsp_endpoint_stats(endpoint, &mut stats)
                }
                4 => jsp_conn_close_text(endpoint, connection, buffer.cast(), len, &mut count),
                5 => jsp_conn_protocol(endpoint, connection, buffer, len, &mut count),
                6 => jsp_conn_export_key(endpoint, connection, buffer, len.min(20), null(), 0, buffer.add(20), 10),
                _ => jsp_conn_offered_key(endpoint, connection, buffer, len, &mut count),
            }
        };
        assert!(choice == 6 || self.buffer[len] == CANARY, "wrote beyond the buffer");
        self.checked(error);
    }

    /// What ends or moves a connection.
    fn connection(&mut self, at: usize, connection: u64, input: &mut Input<'_>) {
        let (endpoint, now) = (self.nodes[at].endpoint, self.now);
        let (choice, number) = (input.below(10), input.number());
        let mut to = address(3 + at as u8 + input.u8() % 4);
        to.family = if input.u8() & 7 == 7 { input.u8() } else { JSP_FAMILY_IPV4 };
        let reason = [b'r'; 300];
        // SAFETY: the reason is longer than its length says.
        let error = unsafe {
            match choice {
                0 if number & 3 == 3 => jsp_conn_close(endpoint, now, connection, number, reason.as_ptr(), 200),
                1 if number & 7 == 7 => jsp_conn_abort(endpoint, now, connection, number, null(), 0),
                2 if number & 7 == 7 => jsp_conn_discard(endpoint, now, connection),
                3 => jsp_conn_migrate(endpoint, now, connection, &to),
                4 => jsp_endpoint_rebind(endpoint, now, &to),
                5 => jsp_conn_set_congestion(endpoint, now, connection, number as u32),
                6 => jsp_conn_set_network(endpoint, now, connection, number as u32),
                7 => jsp_conn_trust_key(endpoint, now, connection),
                8 => jsp_conn_reject_key(endpoint, now, connection),
                _ => jsp_conn_close(endpoint, now, connection, number, null(), 10),
            }
        };
        let error = self.checked(error);
        assert!(choice != 9 || error != JSP_ERROR_OK, "ten bytes at NULL");
    }

    /// Calls without an endpoint.
    fn nowhere(&mut self, input: &mut Input<'_>) {
        let number = input.number();
        let mut poll = JspPoll::zeroed();
        // SAFETY: NULL is allowed.
        let errors = unsafe {
            [
                jsp_endpoint_poll(null_mut(), number, &mut poll),
                jsp_endpoint_poll(self.nodes[0].endpoint, self.now, null_mut()),
                jsp_stream_finish(null_mut(), number, number, number),
                jsp_endpoint_connect(null_mut(), number, null(), null(), null_mut()),
                jsp_conn_info(self.nodes[0].endpoint, number, null_mut()),
                jsp_endpoint_receive(self.nodes[0].endpoint, self.now, null_mut(), 1, null(), 1),
                jsp_endpoint_new(null(), null(), null_mut()),
            ]
        };
        for error in errors {
            assert_ne!(self.checked(error), JSP_ERROR_OK);
        }
    }
}

/// Makes an endpoint from a configuration of the input.
fn configure(input: &mut Input<'_>) {
    let mut config = JspConfig::zeroed();
    config.size = size::<JspConfig>(input);
    (config.key_fetch, config.retry) = (u32::from(input.u8() % 5), u32::from(input.u8() % 5));
    (config.accept, config.client_auth) = (u32::from(input.u8() % 4), u32::from(input.u8() % 4));
    (config.max_udp_payload, config.initial_mtu) = (input.number() as u32, input.number() as u32);
    (config.receive_window, config.stream_receive_window) = (input.number(), input.number());
    (config.max_message_size, config.idle_timeout_ns) = (input.number(), input.number());
    config.congestion = u32::from(input.u8() % 5);
    config.fec_target = f64::from_bits(u64::from_be_bytes(input.array()));
    let seed = SecretKey::from_seed([9; 32]);
    config.server_seed = if input.flag() { seed.seed().as_ptr() } else { null() };
    let mut endpoint = null_mut();
    // SAFETY: what the configuration points to is there, the seed has 32 bytes.
    let error = unsafe { jsp_endpoint_new(&config, [1; 32].as_ptr(), &mut endpoint) };
    assert_eq!(error == JSP_ERROR_OK, !endpoint.is_null());
    assert_ne!(error, JSP_ERROR_PANIC);
    // SAFETY: it was just made, or is NULL.
    unsafe { jsp_endpoint_free(endpoint) };
}

/// Plays the input's script.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.u8() & 7 == 7 {
        configure(&mut input);
        return;
    }
    let mut program = Program::new();
    program.connect(0, &mut Input::new(&[]));
    program.settle();
    program.settle();
    for _ in 0..100 {
        if input.is_empty() {
            break;
        }
        let choice = input.u8();
        let at = usize::from(choice >> 7);
        let connection = id(&program.nodes[at].connections, &mut input);
        match choice % 16 {
            0 => program.connect(at, &mut input),
            1..3 => drop(program.poll(at, &mut input)),
            3 => program.receive(at, &mut input),
            4 => program.settle(),
            5 => program.now += input.number().min(60_000_000_000),
            6 | 7 => program.open(at, connection, &mut input),
            8..12 => program.data(at, connection, &mut input),
            12 => program.stream(at, connection, &mut input),
            13 => program.ask(at, connection, &mut input),
            14 => program.connection(at, connection, &mut input),
            _ => program.nowhere(&mut input),
        }
    }
    assert!(program.calls > 0);
}
