//! What functions return, in numbers that are never reused, and in words.

use std::ffi::{CStr, c_char};

use jsp_proto::{ConnectError, ConnectionError, KeyUpdateError, MigrateError, OpenError, RecvError, SendError};

/// 0 if a function did what it was asked, a negative number if not: one of `JSP_ERROR_...`.
pub type JspError = i32;

/// A function's result inside this crate.
pub(crate) type Outcome = Result<(), JspError>;

/// What an error means, in words, for people. Never `NULL`; lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_error_string(error: JspError) -> *const c_char {
    let text = TEXTS.iter().find(|(number, _)| *number == error).map_or(c"unknown error", |(_, text)| text);
    text.as_ptr()
}

/// It worked.
pub const JSP_ERROR_OK: JspError = 0;
/// A pointer is `NULL` that must not be.
pub const JSP_ERROR_NULL: JspError = -1;
/// An argument is out of its bounds; the function's description has them.
pub const JSP_ERROR_INVALID_ARGUMENT: JspError = -2;
/// The `size` of a structure is none that this library knows, or a field it does not know is not zero.
pub const JSP_ERROR_STRUCT_SIZE: JspError = -3;
/// The buffer is too small. The length that is needed was reported; nothing was consumed.
pub const JSP_ERROR_BUFFER_TOO_SMALL: JspError = -4;
/// Nothing there yet, or no room yet: an event follows when that changes.
pub const JSP_ERROR_WOULD_BLOCK: JspError = -5;
/// No connection has this id: it is over and was read empty, or it never was.
pub const JSP_ERROR_NO_CONNECTION: JspError = -6;
/// No stream has this id: it is over, or it never was.
pub const JSP_ERROR_NO_STREAM: JspError = -7;
/// Bytes for a stream of messages or the reverse, or the wrong direction of a one-way stream.
pub const JSP_ERROR_WRONG_KIND: JspError = -8;
/// The connection is closed, or so is the handle.
pub const JSP_ERROR_CLOSED: JspError = -9;
/// This side has finished the stream already.
pub const JSP_ERROR_FINISHED: JspError = -10;
/// The stream was reset. If the peer did it, `JSP_EVENT_STREAM_RESET` has its code.
pub const JSP_ERROR_RESET: JspError = -11;
/// The peer wants no more of this stream (`JSP_EVENT_STREAM_STOPPED` has its code), or this side stopped it.
pub const JSP_ERROR_STOPPED: JspError = -12;
/// The peer has finished the stream and everything was read.
pub const JSP_ERROR_END: JspError = -13;
/// A message must have at least one byte.
pub const JSP_ERROR_EMPTY_MESSAGE: JspError = -14;
/// The message is larger than the peer accepts.
pub const JSP_ERROR_MESSAGE_TOO_LARGE: JspError = -15;
/// Only streams of messages can be other than reliable.
pub const JSP_ERROR_MODE_NEEDS_MESSAGES: JspError = -16;
/// The peer allows no more streams of this type now. `JSP_EVENT_STREAMS_AVAILABLE` follows.
pub const JSP_ERROR_STREAM_LIMIT: JspError = -17;
/// The bytes are no usable public key.
pub const JSP_ERROR_INVALID_KEY: JspError = -18;
/// The text is no key id: `jsp1-` and 52 letters and digits.
pub const JSP_ERROR_INVALID_KEY_ID: JspError = -19;
/// No key is trusted for a server that is not on the loopback address: pin its key or its key id.
pub const JSP_ERROR_TRUST_REQUIRED: JspError = -20;
/// The endpoint is shutting down.
pub const JSP_ERROR_SHUTTING_DOWN: JspError = -21;
/// The endpoint has as many connections as its bounds allow.
pub const JSP_ERROR_TOO_MANY_CONNECTIONS: JspError = -22;
/// Identity key, token and protocols together do not fit the first message.
pub const JSP_ERROR_TOO_LARGE: JspError = -23;
/// The client has given up, or the five seconds for a decision are over.
pub const JSP_ERROR_INCOMING_GONE: JspError = -24;
/// The connection is not established yet.
pub const JSP_ERROR_NOT_CONNECTED: JspError = -25;
/// A defect in this library; the handle is of no more use. Please report what was printed.
pub const JSP_ERROR_PANIC: JspError = -26;
/// The handle is of no more use since an earlier call returned `JSP_ERROR_PANIC`. Free it.
pub const JSP_ERROR_POISONED: JspError = -27;
/// Another thread uses the handle at this moment.
pub const JSP_ERROR_BUSY: JspError = -28;
/// The header belongs to another version of the binary interface than the library.
pub const JSP_ERROR_ABI: JspError = -29;
/// The operating system refused: a socket or randomness.
pub const JSP_ERROR_SYSTEM: JspError = -30;
/// The time given to the call is up. The connection goes on.
pub const JSP_ERROR_TIMEOUT: JspError = -31;
/// The address cannot be read or stands for nothing.
pub const JSP_ERROR_ADDRESS: JspError = -32;
/// A call at the wrong time: connecting twice, or a handshake without an address.
pub const JSP_ERROR_WRONG_STATE: JspError = -33;
/// Messages had to be discarded because nobody received them. Reported once; the rest can be received.
pub const JSP_ERROR_DISCARDED: JspError = -34;
/// Only the client of a connection moves it.
pub const JSP_ERROR_NOT_A_CLIENT: JspError = -35;
/// The server does not allow connections to move.
pub const JSP_ERROR_MIGRATION_FORBIDDEN: JspError = -36;
/// The server has given no connection id for another path yet: try again after a round trip.
pub const JSP_ERROR_NO_CONNECTION_ID: JspError = -37;
/// Not before `JSP_EVENT_HANDSHAKE_CONFIRMED`.
pub const JSP_ERROR_NOT_CONFIRMED: JspError = -38;
/// The key update before is not complete: the peer has not followed it yet, or did so less than three probe timeouts or
/// 3 s ago.
pub const JSP_ERROR_KEY_UPDATE_PENDING: JspError = -39;

/// The connection ended: this side closed it.
pub const JSP_ERROR_LOCALLY_CLOSED: JspError = -64;
/// The connection ended: the peer's application closed it.
pub const JSP_ERROR_PEER_CLOSED: JspError = -65;
/// The connection ended: the peer's protocol implementation objects to something.
pub const JSP_ERROR_PEER_ERROR: JspError = -66;
/// The connection ended: the peer broke the protocol.
pub const JSP_ERROR_PROTOCOL: JspError = -67;
/// The connection ended: nothing was heard from the peer for the idle timeout.
pub const JSP_ERROR_IDLE_TIMEOUT: JspError = -68;
/// No answer to the handshake: nothing is there, UDP is blocked, or the server holds another key and stays silent.
pub const JSP_ERROR_NO_ANSWER: JspError = -69;
/// The server holds another key than the one that is trusted.
pub const JSP_ERROR_KEY_MISMATCH: JspError = -70;
/// The application rejected the key that the server offered.
pub const JSP_ERROR_KEY_REJECTED: JspError = -71;
/// The server refused the connection.
pub const JSP_ERROR_REFUSED: JspError = -72;
/// The server speaks no protocol version that this library knows.
pub const JSP_ERROR_VERSION: JspError = -73;
/// Nobody drives the endpoint any more: its socket failed.
pub const JSP_ERROR_ENDPOINT_GONE: JspError = -74;
/// The connection ended: the peer has lost it, most likely because its program was restarted.
pub const JSP_ERROR_PEER_RESET: JspError = -75;
/// The connection ended: this side closed it, and the peer took nothing more for the time of `linger_ns`, or the program
/// aborted a close that was still delivering. Not everything was delivered.
pub const JSP_ERROR_UNDELIVERED: JspError = -76;

const TEXTS: &[(JspError, &CStr)] = &[
    (JSP_ERROR_OK, c"no error"),
    (JSP_ERROR_NULL, c"a pointer is NULL that must not be"),
    (JSP_ERROR_INVALID_ARGUMENT, c"an argument is out of its bounds"),
    (JSP_ERROR_STRUCT_SIZE, c"the size of a structure is not known: zero it and set its size to its sizeof"),
    (JSP_ERROR_BUFFER_TOO_SMALL, c"the buffer is too small; nothing was consumed"),
    (JSP_ERROR_WOULD_BLOCK, c"nothing there yet, or no room yet"),
    (JSP_ERROR_NO_CONNECTION, c"no connection has this id (any more)"),
    (JSP_ERROR_NO_STREAM, c"no stream has this id (any more)"),
    (JSP_ERROR_WRONG_KIND, c"the stream is of another kind or direction"),
    (JSP_ERROR_CLOSED, c"closed"),
    (JSP_ERROR_FINISHED, c"this side has finished the stream already"),
    (JSP_ERROR_RESET, c"the stream was reset"),
    (JSP_ERROR_STOPPED, c"the stream was stopped"),
    (JSP_ERROR_END, c"the stream is finished and everything was read"),
    (JSP_ERROR_EMPTY_MESSAGE, c"a message must have at least one byte"),
    (JSP_ERROR_MESSAGE_TOO_LARGE, c"the message is larger than the peer accepts"),
    (JSP_ERROR_MODE_NEEDS_MESSAGES, c"only streams of messages can be other than reliable"),
    (JSP_ERROR_STREAM_LIMIT, c"the peer allows no more streams of this type now"),
    (JSP_ERROR_INVALID_KEY, c"no usable public key"),
    (JSP_ERROR_INVALID_KEY_ID, c"no key id: jsp1- and 52 letters and digits are expected"),
    (JSP_ERROR_TRUST_REQUIRED, c"no trusted key for a server beyond the loopback address: pin its key or its key id"),
    (JSP_ERROR_SHUTTING_DOWN, c"the endpoint is shutting down"),
    (JSP_ERROR_TOO_MANY_CONNECTIONS, c"the endpoint has as many connections as its bounds allow"),
    (JSP_ERROR_TOO_LARGE, c"identity key, token and protocols together do not fit the first message"),
    (JSP_ERROR_INCOMING_GONE, c"the client has given up, or the time for a decision is over"),
    (JSP_ERROR_NOT_CONNECTED, c"the connection is not established yet"),
    (JSP_ERROR_PANIC, c"a defect in the library; the handle is of no more use"),
    (JSP_ERROR_POISONED, c"the handle is of no more use since an earlier call failed inside the library; free it"),
    (JSP_ERROR_BUSY, c"another thread uses the handle at this moment"),
    (JSP_ERROR_ABI, c"header and library are of different versions"),
    (JSP_ERROR_SYSTEM, c"the operating system refused a socket or randomness"),
    (JSP_ERROR_TIMEOUT, c"the time given to the call is up"),
    (JSP_ERROR_ADDRESS, c"the address cannot be read or stands for nothing: give HOST:PORT"),
    (JSP_ERROR_WRONG_STATE, c"the call comes at the wrong time"),
    (JSP_ERROR_DISCARDED, c"messages were discarded because nobody received them"),
    (JSP_ERROR_NOT_A_CLIENT, c"only the client of a connection moves it"),
    (JSP_ERROR_MIGRATION_FORBIDDEN, c"the server does not allow connections to move"),
    (JSP_ERROR_NO_CONNECTION_ID, c"the server has given no connection id for another path yet"),
    (JSP_ERROR_NOT_CONFIRMED, c"the handshake is not confirmed yet"),
    (JSP_ERROR_KEY_UPDATE_PENDING, c"the key update before is not complete"),
    (JSP_ERROR_LOCALLY_CLOSED, c"this side closed the connection"),
    (JSP_ERROR_PEER_CLOSED, c"the peer closed the connection"),
    (JSP_ERROR_PEER_ERROR, c"the peer reported a protocol error"),
    (JSP_ERROR_PROTOCOL, c"the peer broke the protocol"),
    (JSP_ERROR_IDLE_TIMEOUT, c"nothing was heard from the peer for the idle timeout"),
    (JSP_ERROR_NO_ANSWER, c"no answer: nothing listens there, UDP is blocked, or the server holds another key"),
    (JSP_ERROR_KEY_MISMATCH, c"the server's key is not the trusted one"),
    (JSP_ERROR_KEY_REJECTED, c"the offered server key was rejected"),
    (JSP_ERROR_REFUSED, c"the server refused the connection"),
    (JSP_ERROR_VERSION, c"the server speaks no protocol version that this library knows"),
    (JSP_ERROR_ENDPOINT_GONE, c"the endpoint is gone: its socket failed"),
    (JSP_ERROR_PEER_RESET, c"the peer has lost the connection, it was probably restarted"),
    (JSP_ERROR_UNDELIVERED, c"this side closed the connection, but not everything was delivered"),
];

pub(crate) fn of_open(error: OpenError) -> JspError {
    match error {
        OpenError::Limit => JSP_ERROR_STREAM_LIMIT,
        OpenError::ModeNeedsMessages => JSP_ERROR_MODE_NEEDS_MESSAGES,
        OpenError::Fec => JSP_ERROR_INVALID_ARGUMENT,
        _ => JSP_ERROR_CLOSED,
    }
}

pub(crate) fn of_send(error: SendError) -> JspError {
    match error {
        SendError::UnknownStream => JSP_ERROR_NO_STREAM,
        SendError::WrongKind => JSP_ERROR_WRONG_KIND,
        SendError::Finished => JSP_ERROR_FINISHED,
        SendError::Stopped(_) => JSP_ERROR_STOPPED,
        SendError::Reset => JSP_ERROR_RESET,
        SendError::Empty => JSP_ERROR_EMPTY_MESSAGE,
        SendError::TooLarge { .. } => JSP_ERROR_MESSAGE_TOO_LARGE,
        SendError::Blocked => JSP_ERROR_WOULD_BLOCK,
        SendError::Fec => JSP_ERROR_INVALID_ARGUMENT,
        _ => JSP_ERROR_CLOSED,
    }
}

pub(crate) fn of_recv(error: RecvError) -> JspError {
    match error {
        RecvError::WrongKind => JSP_ERROR_WRONG_KIND,
        RecvError::Stopped | RecvError::Corrupt => JSP_ERROR_STOPPED,
        _ => JSP_ERROR_NO_STREAM,
    }
}

pub(crate) fn of_migrate(error: MigrateError) -> JspError {
    match error {
        MigrateError::NotAClient => JSP_ERROR_NOT_A_CLIENT,
        MigrateError::Forbidden => JSP_ERROR_MIGRATION_FORBIDDEN,
        MigrateError::NoConnectionId => JSP_ERROR_NO_CONNECTION_ID,
        _ => JSP_ERROR_NOT_CONNECTED,
    }
}

pub(crate) fn of_key_update(error: KeyUpdateError) -> JspError {
    match error {
        KeyUpdateError::NotConfirmed => JSP_ERROR_NOT_CONFIRMED,
        KeyUpdateError::Pending => JSP_ERROR_KEY_UPDATE_PENDING,
        _ => JSP_ERROR_CLOSED,
    }
}

pub(crate) fn of_connect(error: &ConnectError) -> JspError {
    match error {
        ConnectError::TrustRequired { .. } => JSP_ERROR_TRUST_REQUIRED,
        ConnectError::TooLarge => JSP_ERROR_TOO_LARGE,
        ConnectError::InvalidKey => JSP_ERROR_INVALID_KEY,
        ConnectError::TooManyConnections => JSP_ERROR_TOO_MANY_CONNECTIONS,
        ConnectError::ShuttingDown => JSP_ERROR_SHUTTING_DOWN,
        _ => JSP_ERROR_INVALID_ARGUMENT,
    }
}

/// The error that stands for the end of a connection, and the code that goes with it.
pub(crate) fn of_end(end: &ConnectionError) -> (JspError, u64) {
    match end {
        ConnectionError::LocallyClosed { code } => (JSP_ERROR_LOCALLY_CLOSED, code.get()),
        ConnectionError::Undelivered { code, .. } => (JSP_ERROR_UNDELIVERED, code.get()),
        ConnectionError::PeerClosed { code, .. } => (JSP_ERROR_PEER_CLOSED, code.get()),
        ConnectionError::PeerError { error, .. } => (JSP_ERROR_PEER_ERROR, error.code()),
        ConnectionError::Protocol { error, .. } => (JSP_ERROR_PROTOCOL, error.code()),
        ConnectionError::IdleTimeout { .. } => (JSP_ERROR_IDLE_TIMEOUT, 0),
        ConnectionError::NoAnswer { .. } => (JSP_ERROR_NO_ANSWER, 0),
        ConnectionError::PeerKeyMismatch { .. } => (JSP_ERROR_KEY_MISMATCH, 0),
        ConnectionError::KeyRejected => (JSP_ERROR_KEY_REJECTED, 0),
        ConnectionError::Refused { code } => (JSP_ERROR_REFUSED, code.get()),
        ConnectionError::VersionMismatch => (JSP_ERROR_VERSION, 0),
        ConnectionError::Reset => (JSP_ERROR_PEER_RESET, 0),
        _ => (JSP_ERROR_ENDPOINT_GONE, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_error_has_a_number_and_words_of_its_own() {
        let numbers: HashSet<JspError> = TEXTS.iter().map(|(number, _)| *number).collect();
        // SAFETY: the function gives a text that lives forever.
        let text = |error| unsafe { CStr::from_ptr(jsp_error_string(error)) };
        assert!(TEXTS.iter().all(|(number, expected)| *number <= 0 && text(*number) == *expected));
        let texts: HashSet<&CStr> = TEXTS.iter().map(|(_, text)| *text).collect();
        assert_eq!((numbers.len(), texts.len()), (TEXTS.len(), TEXTS.len()));
        assert_eq!(text(1), c"unknown error");
    }
}
