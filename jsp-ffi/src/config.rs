//! What a program may set.

use std::ffi::c_char;
use std::mem::offset_of;
use std::time::Duration;

use jsp_proto::{
    AcceptPolicy, ClientAuth, ClientConfig, Config, ConfigBuilder, Congestion, KemJobs, KeyFetch, KeyId, RetryPolicy,
    SecretKey,
};

use crate::alive::keep_alive;
use crate::guard::catch;
use crate::keys::{JSP_PUBLIC_KEY_LEN, parse_key_id, public_key};
pub use crate::memory::JspBytes;
use crate::memory::{Sized32, bytes, copied, copied_if_any, elements, put, put_text, read};
use crate::path::{JSP_SERVER_ID_LEN, paths};
use crate::policy::{JSP_FEC_NO_SYMBOLS, compression, fec, profile, switch};
use crate::secrets::secrets;
use crate::status::{JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_NULL, JspError};

/// The server shows its public key to clients that know its key id; to others it stays silent.
pub const JSP_KEY_FETCH_KNOWN_FINGERPRINT: u32 = 0;
/// The server shows its key to nobody: clients must hold it.
pub const JSP_KEY_FETCH_OFF: u32 = 1;
/// The server shows its key to everybody, as trust on first use needs.
pub const JSP_KEY_FETCH_OPEN: u32 = 2;

/// Handshakes take one round trip while few clients of unproven addresses press; otherwise as `JSP_RETRY_ALWAYS`.
pub const JSP_RETRY_ADAPTIVE: u32 = 0;
/// Each new client proves its address first: one more round trip, no state for those who cannot.
pub const JSP_RETRY_ALWAYS: u32 = 1;
/// Handshakes take one round trip; bounds on half-open connections protect the server.
pub const JSP_RETRY_NEVER: u32 = 2;

/// Everybody that may authenticate is accepted.
pub const JSP_ACCEPT_AUTO: u32 = 0;
/// The program is asked: `JSP_EVENT_INCOMING`.
pub const JSP_ACCEPT_ASK: u32 = 1;

/// A client may prove a key of its own, or stay anonymous. One that offers to prove something is let in by a program that
/// is asked (`JSP_ACCEPT_ASK`) and gives the key to `jsp_incoming_accept`; otherwise it is refused.
pub const JSP_CLIENT_AUTH_OPTIONAL: u32 = 0;
/// A client must prove a key of its own or a pre-shared key. Needs `JSP_ACCEPT_ASK`.
pub const JSP_CLIENT_AUTH_REQUIRED: u32 = 1;

/// Public-key work runs inside the calls.
pub const JSP_KEM_INLINE: u32 = 0;
/// A server's public-key work is handed out: `jsp_endpoint_take_job`.
pub const JSP_KEM_HANDED_OUT: u32 = 1;

/// A model of the path, which tells loss from congestion.
pub const JSP_CONGESTION_BBR: u32 = 0;
/// CUBIC: every loss counts as congestion.
pub const JSP_CONGESTION_CUBIC: u32 = 1;

/// Nobody was named: only servers on the loopback address can be reached.
pub const JSP_TRUST_LOOPBACK_ONLY: u32 = 0;
/// The server with exactly `public_key`.
pub const JSP_TRUST_PINNED: u32 = 1;
/// A server whose key has one of `key_ids`.
pub const JSP_TRUST_KEY_IDS: u32 = 2;
/// The program decides: `JSP_EVENT_SERVER_KEY_OFFERED`.
pub const JSP_TRUST_ASK: u32 = 3;
/// Any key. Whoever is on the path can read and change everything.
pub const JSP_TRUST_DANGER_ACCEPT_ANY: u32 = 4;

/// The settings of an endpoint. All zeros, with `size` set, is a client with the defaults; with `server_seed` it is a
/// server too. Durations are nanoseconds, sizes bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspConfig {
    /// `sizeof(JspConfig)`.
    pub size: u32,
    /// `JSP_KEY_FETCH_...`.
    pub key_fetch: u32,
    /// `JSP_RETRY_...`.
    pub retry: u32,
    /// `JSP_ACCEPT_...`.
    pub accept: u32,
    /// `JSP_CLIENT_AUTH_...`.
    pub client_auth: u32,
    /// `JSP_KEM_...`.
    pub kem: u32,
    /// The seed of the server's secret key, `JSP_SEED_LEN` bytes; `NULL`: no server.
    pub server_seed: *const u8,
    /// Application protocols that the server speaks, best first; none: `jsp`.
    pub protocols: *const JspBytes,
    /// How many.
    pub protocols_len: usize,
    /// Silence after which a connection is over; the smaller of both sides' counts. Default 30 s.
    pub idle_timeout_ns: u64,
    /// How long a client tries to connect. Default 10 s.
    pub handshake_timeout_ns: u64,
    /// How long a close waits for a peer that takes nothing more, before it gives up and the connection ends with
    /// `JSP_ERROR_UNDELIVERED`. Default 10 s.
    pub linger_ns: u64,
    /// The largest datagram that is ever sent or received. Default 1472.
    pub max_udp_payload: u32,
    /// The size with which datagrams begin. Default 1200.
    pub initial_mtu: u32,
    /// Round-trip time assumed before the first measurement. Default 200 ms.
    pub initial_rtt_ns: u64,
    /// How long an acknowledgement may wait for others. Default 25 ms.
    pub max_ack_delay_ns: u64,
    /// Bytes that a peer may send at first before the program reads, on a connection. Default 1 MiB. Set both windows
    /// or none.
    pub receive_window: u64,
    /// The same for one stream. Default 256 KiB.
    pub stream_receive_window: u64,
    /// To where the windows may grow on fast connections. Set both or none.
    pub max_receive_window: u64,
    /// The same for one stream.
    pub max_stream_receive_window: u64,
    /// Bytes accepted for sending and not acknowledged, on a connection. Set both or none.
    pub send_buffer: u64,
    /// The same for one stream.
    pub stream_send_buffer: u64,
    /// Streams of each type that the peer may have open: at least 4. Default 100.
    pub max_streams: u64,
    /// The largest message that is accepted. Default 65536.
    pub max_message_size: u64,
    /// How long a best-effort message may wait to be sent. Default 100 ms.
    pub max_queue_age_ns: u64,
    /// Seconds of Unix time at `now_ns` 0, for the age of tokens. Servers set it.
    pub unix_time_at_origin: u64,
    /// The key of address tokens, 32 bytes, shared by servers on one address; `NULL`: a random one, a new one each day.
    pub token_key: *const u8,
    /// The key of stateless resets, 32 bytes, kept over restarts; `NULL`: a random one.
    pub reset_key: *const u8,
    /// `JSP_CONGESTION_...`: what decides how fast connections send.
    pub congestion: u32,
    /// Zero.
    pub reserved: u32,
    /// Not 0: send this many bytes of datagrams per second, whatever is lost, in place of `congestion`, which must be 0.
    /// For private links that carry nothing else: anywhere else it takes the path from all others and may bring it to a
    /// standstill.
    pub fixed_rate_without_congestion_control: u64,
    /// `JSP_PROFILE_...`: what fields stand for that are 0. The defaults that are written here are those without one.
    pub profile: u32,
    /// `JSP_SWITCH_...`: whether peers may send compressed data. It is expanded when it is read: at most 255 bytes come
    /// of each byte received, so a peer can make the reader do that much more work. Default no.
    pub accept_compressed: u32,
    /// `JSP_COMPRESSION_...` of what this side sends on streams that have none of their own. Default off.
    pub compression: u32,
    /// `JSP_FEC_...`: error correction of what this side sends on streams that have none of their own. Default off.
    pub fec: u32,
    /// For `JSP_FEC_ON`: packets per block, 1 to 64. Otherwise 0.
    pub fec_sources: u32,
    /// For `JSP_FEC_ON`: parity packets per block, 1 to 32. Otherwise 0.
    pub fec_parity: u32,
    /// The most parity that `JSP_FEC_AUTO` adds, in percent of what it protects, up to 400. Default 50.
    pub fec_max_overhead: u32,
    /// Packets of peers that are kept to repair others from, up to 256, or `JSP_FEC_NO_SYMBOLS`. Default 128.
    pub fec_max_symbols: u32,
    /// The share of packets that `JSP_FEC_AUTO` leaves unrepaired if it can, 1e-6 to 0.5. Default 5e-4.
    pub fec_target: f64,
    /// How long the first packet of a block may wait for its parity, 1 ms to 1 s. Default 20 ms.
    pub fec_max_delay_ns: u64,
    /// Not 0: each peer is held to that many bytes of stream data per second on a connection, 1000 to 2^40. Its credit
    /// waits; nothing is lost of what is reliable. Default no limit.
    pub rate_limit_bytes: u64,
    /// The same at once, up to 2^40; a smaller number than `receive_window` counts as that. At least what the connection
    /// carries in a round trip, or the rate is not reached.
    pub rate_limit_bytes_burst: u64,
    /// Not 0: of each connection at most that many messages can be received per second, up to 1,000,000. Others wait
    /// unread, and the peer's credit with them. Default no limit.
    pub rate_limit_messages: u32,
    /// The same at once, up to 1,000,000.
    pub rate_limit_messages_burst: u32,
    /// `JSP_KEEP_ALIVE_...`: whether connections without traffic are kept alive. Default off.
    pub keep_alive: u32,
    /// `JSP_SWITCH_...`: whether to look for the largest datagram that a path carries, up to `max_udp_payload`. Needs a
    /// socket that does not let the system fragment. Default yes.
    pub mtu_discovery: u32,
    /// For `JSP_KEEP_ALIVE_EVERY`: after how much silence, at least 1 s. Otherwise 0.
    pub keep_alive_interval_ns: u64,
    /// Packets after which a connection changes its keys, 16 to 2^40; the smaller number of both sides counts. Default
    /// 2^22.
    pub key_update_packets: u64,
    /// Age at which a connection changes its keys, 3 s to 24 h, when the next packet is sent. Default 10 minutes.
    pub key_update_age_ns: u64,
    /// `JSP_SWITCH_...`: whether clients may move their connections to another network. Without, they are told, and only
    /// a new port of the same host is followed, as a NAT gives it. Default yes.
    pub allow_migration: u32,
    /// `JSP_SWITCH_...`: whether to send now and then what every peer must ignore, so that nobody comes to rely on its
    /// absence. Off only to compare bytes. Default yes.
    pub grease: u32,
    /// The id of this server that load balancers read in connection ids (QUIC-LB in clear). Servers that share a
    /// `reset_key` must have different ones.
    pub load_balancing_server_id: [u8; JSP_SERVER_ID_LEN],
    /// Bytes of it that are in use, 1 to `JSP_SERVER_ID_LEN`; 0: connection ids say nothing to strangers.
    pub load_balancing_server_id_len: u8,
    /// The configuration of the load balancers, 0 to 6.
    pub load_balancing_rotation: u32,
    /// `JSP_SWITCH_...`: whether the server gives each client that has proven its address a token, with which its next
    /// connection needs no further proof. Default yes.
    pub new_tokens: u32,
    /// The secret from which the keys of address tokens are derived, 32 bytes, for servers behind one address that must
    /// accept each other's tokens; all of them set `unix_time_at_origin`. `token_key` wins over it. `NULL`: a random one.
    pub token_secret: *const u8,
    /// How long a derived key is used, at least 1 minute; for as long again its tokens are accepted. Default 24 h.
    pub token_rotation_ns: u64,
    /// How long a token for a later connection is good for, 1 s to 30 days. Default 24 h.
    pub token_lifetime_ns: u64,
}

// SAFETY: a `u32` first; numbers and pointers take any bits.
unsafe impl Sized32 for JspConfig {
    const FIRST: usize = offset_of!(Self, congestion);
}

/// The settings of one outgoing connection. All zeros, with `size` set, reaches servers on the loopback address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspClientConfig {
    /// `sizeof(JspClientConfig)`.
    pub size: u32,
    /// `JSP_TRUST_...`.
    pub trust: u32,
    /// The server's public key, `JSP_PUBLIC_KEY_LEN` bytes, for `JSP_TRUST_PINNED`.
    pub public_key: *const u8,
    /// Texts that end with a zero byte, for `JSP_TRUST_KEY_IDS`: 1 to 4.
    pub key_ids: *const *const c_char,
    /// How many.
    pub key_ids_len: usize,
    /// The seed of the client's own key, `JSP_SEED_LEN` bytes; `NULL`: anonymous.
    pub identity_seed: *const u8,
    /// Not 0: send the whole identity key, for servers that do not know it.
    pub identity_inline: u32,
    /// Zero.
    pub reserved: u32,
    /// A pre-shared key, 32 random bytes, never a password; `NULL`: none.
    pub psk: *const u8,
    /// Tells the server which: at most 64 bytes.
    pub psk_id: JspBytes,
    /// For the server's application to decide, at most 512 bytes. Can be replayed by who recorded it.
    pub app_token: JspBytes,
    /// Application protocols, best first; none: `jsp`.
    pub protocols: *const JspBytes,
    /// How many.
    pub protocols_len: usize,
    /// How long to try; 0: as the endpoint.
    pub handshake_timeout_ns: u64,
}

// SAFETY: a `u32` first; numbers and pointers take any bits.
unsafe impl Sized32 for JspClientConfig {
    const FIRST: usize = size_of::<Self>();
}

/// # Safety
/// As the fields say.
unsafe fn names<'a>(names: *const JspBytes, len: usize) -> Result<Vec<&'a [u8]>, JspError> {
    // SAFETY: the caller's promise.
    let names = unsafe { elements(names, len) }?;
    // SAFETY: the caller's promise.
    names.iter().map(|name| unsafe { bytes(name.data, name.len) }).collect()
}

/// Applies a number unless it is 0.
pub(crate) fn set<T>(builder: T, number: u64, apply: impl FnOnce(T, u64) -> T) -> T {
    if number == 0 { builder } else { apply(builder, number) }
}

/// Applies two numbers that belong together.
fn set_both<T>(builder: T, numbers: [u64; 2], apply: impl FnOnce(T, u64, u64) -> T) -> Result<T, JspError> {
    match numbers {
        [0, 0] => Ok(builder),
        [_, 0] | [0, _] => Err(JSP_ERROR_INVALID_ARGUMENT),
        [first, second] => Ok(apply(builder, first, second)),
    }
}

/// The controller with a number of the header.
pub(crate) fn congestion(controller: u32) -> Result<Congestion, JspError> {
    match controller {
        JSP_CONGESTION_BBR => Ok(Congestion::Bbr),
        JSP_CONGESTION_CUBIC => Ok(Congestion::Cubic),
        _ => Err(JSP_ERROR_INVALID_ARGUMENT),
    }
}

fn short(number: u32) -> Result<u64, JspError> {
    u16::try_from(number).map(u64::from).map_err(|_| JSP_ERROR_INVALID_ARGUMENT)
}

/// The configuration that the program's structure stands for; the default one for `NULL`.
///
/// # Safety
/// As the fields say.
pub(crate) unsafe fn endpoint_config(config: *const JspConfig) -> Result<Config, JspError> {
    // SAFETY: the caller's promise.
    unsafe { endpoint_builder(config) }?.build().map_err(|_| JSP_ERROR_INVALID_ARGUMENT)
}

/// Checks settings, and says in words what is wrong with them, with a zero byte at the end: 256 bytes are always enough.
///
/// Errors: `JSP_ERROR_INVALID_ARGUMENT` if `jsp_endpoint_new` would refuse them, and then `*len` is the length of the
/// text, 0 if a field has a value that it cannot have; `JSP_ERROR_BUFFER_TOO_SMALL`; `JSP_ERROR_STRUCT_SIZE`.
///
/// # Safety
/// `config` and what it points to may be read, `out` written for `capacity` bytes, and `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_config_check(
    config: *const JspConfig,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        unsafe { put(len, 0) }?;
        // SAFETY: the caller's promise.
        let Err(error) = unsafe { endpoint_builder(config) }?.build() else { return Ok(()) };
        let text = error.to_string();
        // SAFETY: the caller's promise.
        unsafe { put(len, text.len()) }?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&text, out, capacity) }?;
        Err(JSP_ERROR_INVALID_ARGUMENT)
    })
}

/// # Safety
/// As the fields say.
pub(crate) unsafe fn endpoint_builder(config: *const JspConfig) -> Result<ConfigBuilder, JspError> {
    if config.is_null() {
        return Ok(Config::builder());
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(config) }?;
    let mut builder = profile(given.profile)?
        .key_fetch(match given.key_fetch {
            JSP_KEY_FETCH_KNOWN_FINGERPRINT => KeyFetch::KnownFingerprint,
            JSP_KEY_FETCH_OFF => KeyFetch::Off,
            JSP_KEY_FETCH_OPEN => KeyFetch::Open,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .retry(match given.retry {
            JSP_RETRY_ADAPTIVE => RetryPolicy::Adaptive,
            JSP_RETRY_ALWAYS => RetryPolicy::Always,
            JSP_RETRY_NEVER => RetryPolicy::Never,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .accept(match given.accept {
            JSP_ACCEPT_AUTO => AcceptPolicy::Auto,
            JSP_ACCEPT_ASK => AcceptPolicy::Ask,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .client_auth(match given.client_auth {
            JSP_CLIENT_AUTH_OPTIONAL => ClientAuth::Optional,
            JSP_CLIENT_AUTH_REQUIRED => ClientAuth::Required,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .kem_jobs(match given.kem {
            JSP_KEM_INLINE => KemJobs::Inline,
            JSP_KEM_HANDED_OUT => KemJobs::HandedOut,
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .congestion(match (congestion(given.congestion)?, given.fixed_rate_without_congestion_control) {
            (controller, 0) => controller,
            (Congestion::Bbr, bytes_per_second) => Congestion::FixedRateWithoutCongestionControl { bytes_per_second },
            _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
        })
        .unix_time_at_origin(given.unix_time_at_origin);
    // SAFETY: the caller's promise.
    if let Some(seed) = unsafe { copied_if_any(given.server_seed) } {
        builder = builder.server_key(SecretKey::from_seed(seed));
    }
    // SAFETY: the caller's promise.
    builder = unsafe { secrets(builder, &given) }?;
    // SAFETY: the caller's promise.
    let protocols = unsafe { names(given.protocols, given.protocols_len) }?;
    if !protocols.is_empty() {
        builder = builder.protocols(&protocols);
    }
    builder = set(builder, given.idle_timeout_ns, |b, ns| b.idle_timeout(Duration::from_nanos(ns)));
    builder = set(builder, given.handshake_timeout_ns, |b, ns| b.handshake_timeout(Duration::from_nanos(ns)));
    builder = set(builder, given.linger_ns, |b, ns| b.linger(Duration::from_nanos(ns)));
    builder = set(builder, given.initial_rtt_ns, |b, ns| b.initial_rtt(Duration::from_nanos(ns)));
    builder = set(builder, given.max_ack_delay_ns, |b, ns| b.max_ack_delay(Duration::from_nanos(ns)));
    builder = set(builder, given.max_queue_age_ns, |b, ns| b.max_queue_age(Duration::from_nanos(ns)));
    // The program brings its own buffers: without a word from it they need not be larger than those for Ethernet.
    builder = builder.max_udp_payload(1472);
    builder = set(builder, short(given.max_udp_payload)?, |b, bytes| b.max_udp_payload(bytes as u16));
    if let Some(on) = switch(given.mtu_discovery)? {
        builder = builder.mtu_discovery(on);
    }
    if let Some(keep_alive) = keep_alive(given.keep_alive, given.keep_alive_interval_ns)? {
        builder = builder.keep_alive(keep_alive);
    }
    builder = set(builder, short(given.initial_mtu)?, |b, bytes| b.initial_mtu(bytes as u16));
    builder = set(builder, given.max_streams, |b, streams| b.max_streams(streams));
    builder = set(builder, given.max_message_size, |b, bytes| b.max_message_size(bytes));
    builder = set_both(builder, [given.receive_window, given.stream_receive_window], |b, c, s| b.receive_window(c, s))?;
    builder = set_both(builder, [given.max_receive_window, given.max_stream_receive_window], |b, c, s| {
        b.max_receive_window(c, s)
    })?;
    builder = set_both(builder, [given.send_buffer, given.stream_send_buffer], |b, c, s| b.send_buffer(c, s))?;
    paths(policy(rates(builder, &given)?, &given)?, &given)
}

/// Applies what is said about rates.
fn rates(mut builder: ConfigBuilder, given: &JspConfig) -> Result<ConfigBuilder, JspError> {
    match (given.rate_limit_bytes, given.rate_limit_bytes_burst) {
        (0, 0) => {}
        (0, _) => return Err(JSP_ERROR_INVALID_ARGUMENT),
        (rate, burst) => builder = builder.rate_limit_bytes(rate, burst),
    }
    match (given.rate_limit_messages, given.rate_limit_messages_burst) {
        (0, 0) => {}
        (0, _) => return Err(JSP_ERROR_INVALID_ARGUMENT),
        (rate, burst) => builder = builder.rate_limit_messages(rate, burst),
    }
    Ok(builder)
}

/// Applies what is said about compression and error correction.
fn policy(mut builder: ConfigBuilder, given: &JspConfig) -> Result<ConfigBuilder, JspError> {
    if let Some(accept) = switch(given.accept_compressed)? {
        builder = builder.accept_compressed(accept);
    }
    if let Some(compression) = compression(given.compression)? {
        builder = builder.compression(compression);
    }
    if let Some(fec) = fec(given.fec, given.fec_sources, given.fec_parity)? {
        builder = builder.fec(fec);
    }
    builder = set(builder, short(given.fec_max_overhead)?, |b, percent| b.fec_max_overhead(percent as u16));
    builder = match given.fec_max_symbols {
        JSP_FEC_NO_SYMBOLS => builder.fec_max_symbols(0),
        symbols => set(builder, short(symbols)?, |b, symbols| b.fec_max_symbols(symbols as u16)),
    };
    if given.fec_target != 0.0 {
        builder = builder.fec_target(given.fec_target);
    }
    Ok(set(builder, given.fec_max_delay_ns, |b, ns| b.fec_max_delay(Duration::from_nanos(ns))))
}

/// The client's configuration that the program's structure stands for; the default one for `NULL`.
///
/// # Safety
/// As the fields say.
pub(crate) unsafe fn client_config(config: *const JspClientConfig) -> Result<ClientConfig, JspError> {
    if config.is_null() {
        return Ok(ClientConfig::new());
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(config) }?;
    let mut client = match given.trust {
        JSP_TRUST_LOOPBACK_ONLY => ClientConfig::new(),
        JSP_TRUST_PINNED if given.public_key.is_null() => return Err(JSP_ERROR_NULL),
        // SAFETY: the caller's promise.
        JSP_TRUST_PINNED => ClientConfig::pinned(public_key(unsafe { bytes(given.public_key, JSP_PUBLIC_KEY_LEN) }?)?),
        // SAFETY: the caller's promise.
        JSP_TRUST_KEY_IDS => ClientConfig::fingerprints(unsafe { key_ids(given.key_ids, given.key_ids_len) }?),
        JSP_TRUST_ASK => ClientConfig::ask(),
        JSP_TRUST_DANGER_ACCEPT_ANY => ClientConfig::danger_accept_any(),
        _ => return Err(JSP_ERROR_INVALID_ARGUMENT),
    };
    // SAFETY: the caller's promise.
    if let Some(seed) = unsafe { copied_if_any(given.identity_seed) } {
        client = client.identity(SecretKey::from_seed(seed)).identity_inline(given.identity_inline != 0);
    }
    if !given.psk.is_null() {
        // SAFETY: the caller's promise.
        let id = unsafe { bytes(given.psk_id.data, given.psk_id.len) }?;
        // SAFETY: the caller's promise.
        client = client.psk(id, unsafe { copied(given.psk) }?);
    }
    // SAFETY: the caller's promise.
    client = client.app_token(unsafe { bytes(given.app_token.data, given.app_token.len) }?);
    // SAFETY: the caller's promise.
    let protocols = unsafe { names(given.protocols, given.protocols_len) }?;
    if !protocols.is_empty() {
        client = client.protocols(&protocols);
    }
    Ok(set(client, given.handshake_timeout_ns, |client, ns| client.handshake_timeout(Duration::from_nanos(ns))))
}

/// # Safety
/// As the fields say.
unsafe fn key_ids(ids: *const *const c_char, len: usize) -> Result<Vec<KeyId>, JspError> {
    // SAFETY: the caller's promise.
    let ids = unsafe { elements(ids, len) }?;
    // SAFETY: the caller's promise.
    ids.iter().map(|&id| unsafe { parse_key_id(id) }).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::status::{JSP_ERROR_BUFFER_TOO_SMALL, JSP_ERROR_OK};

    #[test]
    fn a_refused_setting_is_named() {
        // SAFETY: all zeros are the defaults.
        let mut config: JspConfig = unsafe { std::mem::zeroed() };
        config.size = size_of::<JspConfig>() as u32;
        let (mut out, mut len) = ([0; 256], 9);
        let mut check = |config: &JspConfig, capacity| {
            // SAFETY: the pointers are as described.
            let error = unsafe { jsp_config_check(config, out.as_mut_ptr(), capacity, &mut len) };
            // SAFETY: nothing else writes there.
            (error, len, unsafe { CStr::from_ptr(out.as_ptr()) }.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(check(&config, 256), (JSP_ERROR_OK, 0, String::new()));
        config.max_streams = 1;
        let (error, len, text) = check(&config, 256);
        assert_eq!((error, text.len()), (JSP_ERROR_INVALID_ARGUMENT, len));
        assert!(text.contains("streams"), "{text}");
        assert_eq!(check(&config, 5).0, JSP_ERROR_BUFFER_TOO_SMALL);
        config.kem = 7;
        assert_eq!(check(&config, 256).0, JSP_ERROR_INVALID_ARGUMENT);
    }

    #[test]
    fn corrections_and_profiles_are_checked() {
        let refused = |change: &dyn Fn(&mut JspConfig)| {
            // SAFETY: all zeros are the defaults.
            let mut config: JspConfig = unsafe { std::mem::zeroed() };
            config.size = size_of::<JspConfig>() as u32;
            change(&mut config);
            // SAFETY: it is as it says.
            unsafe { endpoint_config(&config) }.is_err()
        };
        for profile in 0..4 {
            assert!(!refused(&|config| config.profile = profile));
        }
        assert!(!refused(&|config| (config.fec, config.fec_sources, config.fec_parity) = (3, 64, 32)));
        assert!(!refused(&|config| (config.fec_max_overhead, config.fec_target) = (400, 0.5)));
        assert!(!refused(&|config| (config.fec_max_symbols, config.fec_max_delay_ns) = (256, 1_000_000_000)));
        assert!(!refused(&|config| config.fec_max_symbols = JSP_FEC_NO_SYMBOLS));
        assert!(!refused(&|config| (config.compression, config.accept_compressed) = (3, 2)));
        assert!(!refused(&|config| (config.rate_limit_bytes, config.rate_limit_messages) = (1000, 1)));
        assert!(!refused(&|config| (config.key_update_packets, config.key_update_age_ns) = (16, 3_000_000_000)));
        assert!(!refused(&|config| (config.allow_migration, config.grease, config.new_tokens) = (2, 2, 2)));
        assert!(!refused(&|config| (config.load_balancing_server_id_len, config.load_balancing_rotation) = (7, 6)));
        assert!(!refused(&|config| config.token_secret = [7; 32].as_ptr()));
        let wrong: [&dyn Fn(&mut JspConfig); 27] = [
            &|config| config.profile = 4,
            &|config| config.accept_compressed = 3,
            &|config| config.compression = 4,
            &|config| config.fec = 4,
            &|config| config.fec = 3,
            &|config| (config.fec, config.fec_sources, config.fec_parity) = (3, 65, 1),
            &|config| config.fec_parity = 1,
            &|config| config.fec_max_overhead = 401,
            &|config| config.fec_max_symbols = 257,
            &|config| config.fec_target = f64::NAN,
            &|config| config.fec_target = -1.0,
            &|config| config.fec_max_delay_ns = 1,
            &|config| config.rate_limit_bytes = 999,
            &|config| config.rate_limit_bytes_burst = 1,
            &|config| config.rate_limit_messages = 1_000_001,
            &|config| config.rate_limit_messages_burst = 1,
            &|config| config.key_update_packets = 15,
            &|config| config.key_update_age_ns = 1,
            &|config| config.allow_migration = 3,
            &|config| config.grease = 3,
            &|config| config.new_tokens = 3,
            &|config| config.load_balancing_server_id_len = 8,
            &|config| config.load_balancing_rotation = 1,
            &|config| (config.load_balancing_server_id_len, config.load_balancing_rotation) = (1, 7),
            &|config| (config.load_balancing_server_id_len, config.load_balancing_rotation) = (1, 256),
            &|config| config.token_rotation_ns = 1,
            &|config| config.token_lifetime_ns = 1,
        ];
        for (number, change) in wrong.into_iter().enumerate() {
            assert!(refused(change), "{number}");
        }
    }
}
