//! What an endpoint gives out: datagrams to send and events, in batches.

use jsp_proto::driver::TokenStore;
use jsp_proto::{ConnId, Endpoint, Event, IncomingId, Instant, Outcome as Fate, Output};

use crate::address::JspAddress;
use crate::memory::{Sized32, array, bytes_mut};
use crate::status::{JSP_ERROR_BUFFER_TOO_SMALL, Outcome};

/// Client: the server showed its key: `jsp_conn_offered_key`, then `jsp_conn_trust_key` or `jsp_conn_reject_key`.
pub const JSP_EVENT_SERVER_KEY_OFFERED: u32 = 1;
/// Client: somebody says that the server holds another key. Not proven; the attempt goes on.
pub const JSP_EVENT_PEER_KEY_SUSPECT: u32 = 2;
/// Server: data may be written to a client that has not proven itself yet.
pub const JSP_EVENT_EARLY_WRITABLE: u32 = 3;
/// The connection carries data in both directions.
pub const JSP_EVENT_CONNECTED: u32 = 4;
/// Server: the client has proven its identity key or the pre-shared key.
pub const JSP_EVENT_PEER_AUTHENTICATED: u32 = 5;
/// Both sides know that the handshake is complete.
pub const JSP_EVENT_HANDSHAKE_CONFIRMED: u32 = 6;
/// The peer opened `stream`.
pub const JSP_EVENT_STREAM_OPENED: u32 = 7;
/// `stream` has something to read: data, a message, its end or a reset. Given once until everything was read.
pub const JSP_EVENT_STREAM_READABLE: u32 = 8;
/// `stream` was blocked and takes data again.
pub const JSP_EVENT_STREAM_WRITABLE: u32 = 9;
/// Everything written to the finished `stream` has been acknowledged.
pub const JSP_EVENT_STREAM_FINISHED: u32 = 10;
/// The peer gave up sending on `stream`, with `code`. The end of the stream is told with it: if nothing of what arrived
/// before is left to read, reading is `JSP_ERROR_NO_STREAM` from the poll on that gave this event.
pub const JSP_EVENT_STREAM_RESET: u32 = 11;
/// The peer does not want what this side sends on `stream`; `code` is its code.
pub const JSP_EVENT_STREAM_STOPPED: u32 = 12;
/// What became of the tracked message with the number `code` on `stream`: `detail` is `JSP_OUTCOME_...`.
pub const JSP_EVENT_MESSAGE_OUTCOME: u32 = 13;
/// After `JSP_ERROR_STREAM_LIMIT`: streams of the type in `detail` may be opened again. The type is the low four bits
/// of such streams' ids.
pub const JSP_EVENT_STREAMS_AVAILABLE: u32 = 14;
/// The connection is over. A poll that gives this event gives none after it: ask `jsp_conn_close_reason` before the next
/// poll, which forgets the connection unless something that arrived is still to be read. What is can be read until the
/// connection is discarded.
pub const JSP_EVENT_CLOSED: u32 = 15;
/// Server with `JSP_ACCEPT_ASK`: a client, whose id is in `connection`, waits five seconds for `jsp_incoming_accept`,
/// `jsp_incoming_refuse` or `jsp_incoming_ignore`. Its id is none of a connection.
pub const JSP_EVENT_INCOMING: u32 = 16;
/// Nothing that was sent has been acknowledged for three probe timeouts in a row: the path is probably gone. The
/// connection goes on trying until its idle timeout, and tells again only after something got through.
pub const JSP_EVENT_PATH_SUSPECT: u32 = 17;
/// The peer says at which address it sees this side, for the first time or a new one: `jsp_conn_observed_address`.
pub const JSP_EVENT_ADDRESS_OBSERVED: u32 = 18;
/// The connection goes over another path now, and this path has proven to work: `jsp_conn_info` has the peer's address. A
/// server's peer has moved, or a client has: `jsp_endpoint_rebind`, `jsp_conn_migrate`.
pub const JSP_EVENT_PATH_CHANGED: u32 = 19;

/// The peer has the whole message.
pub const JSP_OUTCOME_ACKED: u32 = 0;
/// Given up after a part was sent; it may still have arrived.
pub const JSP_OUTCOME_LOST: u32 = 1;
/// Its time ran out before it could arrive.
pub const JSP_OUTCOME_EXPIRED: u32 = 2;

/// Something that happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JspEvent {
    /// `JSP_EVENT_...`. Later versions may add kinds: ignore what you do not know.
    pub kind: u32,
    /// What the kind says about it; otherwise 0.
    pub detail: u32,
    /// On which connection, or the id of a client that asks to be let in.
    pub connection: u64,
    /// On which stream, if it is about one.
    pub stream: u64,
    /// What the kind says about it; otherwise 0.
    pub code: u64,
}

/// A datagram to send, or several of one size: bytes `offset` to `offset + len` of the buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspTransmit {
    /// Where it begins in the buffer.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// Bytes of each datagram; only the last may be shorter. Equal to `len` for one datagram.
    pub segment: usize,
    /// Where to.
    pub remote: JspAddress,
    /// From which address, where the program told; otherwise `JSP_FAMILY_NONE`.
    pub local: JspAddress,
    /// The ECN bits for the IP header, 0 to 3.
    pub ecn: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// `wake_at_ns`: only when a datagram comes in or the program does something.
pub const JSP_NEVER: u64 = u64::MAX;

/// Room for what an endpoint gives out. The program sets all fields above `transmits_len`, the library the others.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspPoll {
    /// `sizeof(JspPoll)`.
    pub size: u32,
    /// The most datagrams in one transmit, as the system's segmentation offload takes them; 0 or 1: one.
    pub max_segments: u32,
    /// Room for datagrams: at least the `max_udp_payload` of the endpoint. 64 KiB is a good size.
    pub buffer: *mut u8,
    /// Its bytes.
    pub buffer_len: usize,
    /// Room for transmits.
    pub transmits: *mut JspTransmit,
    /// How many.
    pub transmits_capacity: usize,
    /// Room for events.
    pub events: *mut JspEvent,
    /// How many.
    pub events_capacity: usize,
    /// Set: how many transmits there are.
    pub transmits_len: usize,
    /// Set: how many events there are.
    pub events_len: usize,
    /// Set: when to poll again if nothing happens before, or `JSP_NEVER`. In the past if `more`.
    pub wake_at_ns: u64,
    /// Set: not 0 if there may be more: handle the events and poll again, at once.
    pub more: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: a `u32` first; numbers and pointers take any bits.
unsafe impl Sized32 for JspPoll {
    const FIRST: usize = size_of::<Self>();
}

fn event(id: ConnId, event: Event) -> JspEvent {
    let of = |kind| JspEvent { kind, connection: id.as_u64(), ..JspEvent::default() };
    let on = |kind, stream: jsp_proto::StreamId| JspEvent { stream: stream.as_u64(), ..of(kind) };
    match event {
        Event::ServerKeyOffered => of(JSP_EVENT_SERVER_KEY_OFFERED),
        Event::PeerKeySuspect => of(JSP_EVENT_PEER_KEY_SUSPECT),
        Event::EarlyWritable => of(JSP_EVENT_EARLY_WRITABLE),
        Event::Connected => of(JSP_EVENT_CONNECTED),
        Event::PeerAuthenticated => of(JSP_EVENT_PEER_AUTHENTICATED),
        Event::HandshakeConfirmed => of(JSP_EVENT_HANDSHAKE_CONFIRMED),
        Event::StreamOpened(stream) => on(JSP_EVENT_STREAM_OPENED, stream),
        Event::StreamReadable(stream) => on(JSP_EVENT_STREAM_READABLE, stream),
        Event::StreamWritable(stream) => on(JSP_EVENT_STREAM_WRITABLE, stream),
        Event::StreamFinished(stream) => on(JSP_EVENT_STREAM_FINISHED, stream),
        Event::StreamReset(stream, code) => JspEvent { code: code.get(), ..on(JSP_EVENT_STREAM_RESET, stream) },
        Event::StreamStopped(stream, code) => JspEvent { code: code.get(), ..on(JSP_EVENT_STREAM_STOPPED, stream) },
        Event::MessageOutcome { stream, id, outcome } => {
            let detail = match outcome {
                Fate::Acked => JSP_OUTCOME_ACKED,
                Fate::Expired => JSP_OUTCOME_EXPIRED,
                _ => JSP_OUTCOME_LOST,
            };
            JspEvent { detail, code: id.get(), ..on(JSP_EVENT_MESSAGE_OUTCOME, stream) }
        }
        Event::StreamsAvailable(ty) => JspEvent { detail: u32::from(ty.as_u8()), ..of(JSP_EVENT_STREAMS_AVAILABLE) },
        Event::PathChanged => of(JSP_EVENT_PATH_CHANGED),
        Event::PathSuspect => of(JSP_EVENT_PATH_SUSPECT),
        Event::AddressObserved => of(JSP_EVENT_ADDRESS_OBSERVED),
        Event::Closed => of(JSP_EVENT_CLOSED),
        // A kind of event that this interface does not tell yet.
        _ => of(0),
    }
}

fn incoming(id: IncomingId) -> JspEvent {
    JspEvent { kind: JSP_EVENT_INCOMING, connection: id.as_u64(), ..JspEvent::default() }
}

/// Fills the program's room. `held` is the event for which there was none. Address tokens that servers have sent are
/// nothing to tell: they go to `tokens`.
///
/// # Safety
/// The pointers are as the fields say.
pub(crate) unsafe fn fill(
    endpoint: &mut Endpoint,
    held: &mut Option<JspEvent>,
    tokens: &mut TokenStore,
    now: Instant,
    room: &mut JspPoll,
) -> Outcome {
    array(room.transmits, room.transmits_capacity)?;
    array(room.events, room.events_capacity)?;
    // SAFETY: the caller's promise.
    let buffer = unsafe { bytes_mut(room.buffer, room.buffer_len) }?;
    let datagram = endpoint.config().max_udp_payload();
    if room.buffer_len < datagram {
        return Err(JSP_ERROR_BUFFER_TOO_SMALL);
    }
    (room.transmits_len, room.events_len, room.more, room.wake_at_ns) = (0, 0, 1, now.as_nanos());
    let mut used = 0;
    loop {
        if let Some(event) = held.take() {
            if room.events_len == room.events_capacity {
                *held = Some(event);
                return Ok(());
            }
            // SAFETY: below the capacity.
            let slot = unsafe { room.events.add(room.events_len) };
            // SAFETY: the caller's promise.
            unsafe { slot.write(event) };
            room.events_len += 1;
            // The endpoint forgets a closed connection when it is polled again, and with it the reason, which the
            // program can only ask for when it has seen the event.
            if event.kind == JSP_EVENT_CLOSED {
                return Ok(());
            }
        }
        let rest = buffer.get_mut(used..).unwrap_or_default();
        if rest.len() < datagram || room.transmits_len == room.transmits_capacity {
            return Ok(());
        }
        match endpoint.poll_batch(now, rest, room.max_segments.max(1) as usize) {
            Output::Event(id, Event::NewToken) => tokens.collect(endpoint.conn(now, id)),
            Output::Event(id, what) => *held = Some(event(id, what)),
            Output::Incoming(id) => *held = Some(incoming(id)),
            Output::Transmit(transmit) => {
                let len = transmit.payload.len();
                let to_send = JspTransmit {
                    offset: used,
                    len,
                    segment: transmit.segment.min(len),
                    remote: transmit.path.remote.into(),
                    local: transmit.path.local.into(),
                    ecn: transmit.ecn.bits(),
                    reserved: [0; 7],
                };
                // SAFETY: below the capacity.
                let slot = unsafe { room.transmits.add(room.transmits_len) };
                // SAFETY: the caller's promise.
                unsafe { slot.write(to_send) };
                room.transmits_len += 1;
                used += len;
            }
            // There is room for a datagram of the largest size; more is never asked for.
            Output::NeedBuffer { .. } => return Ok(()),
            Output::Idle { wake_at, .. } => {
                room.wake_at_ns = wake_at.map_or(JSP_NEVER, Instant::as_nanos);
                room.more = 0;
                return Ok(());
            }
        }
    }
}
