//! What a program may set, and the one table of all bounds.
//!
//! Every setting has a unit, a default and a consequence; [`ConfigBuilder::build`] checks them together. A bound that a
//! peer can press against is listed in [`bounds`].

mod addresses;
pub mod bounds;
mod cid;
mod client;
mod export;
mod grease;
mod keepalive;
mod keys;
mod mtu;
mod policy;
mod profile;
mod rate;
mod shard;
mod tokens;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

pub use addresses::AddressFilter;
pub(crate) use addresses::names_one;
pub use cid::LoadBalancing;
pub use client::{ClientConfig, ClientConfigError, Trust};
pub use keepalive::{AppState, KeepAlive};
pub(crate) use keys::KeyUpdates;
pub use policy::{Compression, Fec, Network};
pub(crate) use policy::{Policy, Wish};
pub(crate) use rate::{Rate, Rates};
pub use shard::Shard;
pub(crate) use tokens::Tokens;

use crate::crypto::SecretKey;

/// Whom a server shows its public key before a handshake (specification section 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFetch {
    /// Nobody: clients must hold the full key.
    Off,
    /// Clients that already know the key's fingerprint. To everybody else the server stays silent, so that a scanner
    /// does not even learn that it exists.
    #[default]
    KnownFingerprint,
    /// Everybody, as trust on first use needs.
    Open,
}

/// When a server makes a client prove its address before it spends work (specification section 2.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryPolicy {
    /// A quiet server lets everybody in after one round trip. One that is busy with clients of unproven addresses
    /// ([`tokenless_handshakes`](bounds::Bounds::tokenless_handshakes),
    /// [`tokenless_per_second`](bounds::Bounds::tokenless_per_second), half of
    /// [`seal_opening_burst`](bounds::Bounds::seal_opening_burst)) makes the others prove theirs, and keeps nothing for
    /// those who cannot.
    #[default]
    Adaptive,
    /// Each new client costs one more round trip and no state.
    Always,
    /// Handshakes take one round trip; the bounds on half-open connections alone protect the server.
    Never,
}

/// Who decides about a client whose first message opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptPolicy {
    /// Everybody that the authentication policy lets in is accepted.
    #[default]
    Auto,
    /// The program is asked by [`Output::Incoming`](crate::Output::Incoming) and answers within five seconds.
    Ask,
}

/// Whether clients must authenticate. A client that offers to is always held to it: it proves its key or gets no
/// connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// A client may prove an identity key or a pre-shared key, or stay anonymous.
    #[default]
    Optional,
    /// A client must prove an identity key or a pre-shared key, or is refused.
    Required,
}

/// Where the costly public-key operations of a handshake run (about 0.2 ms each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KemJobs {
    /// Inside [`Endpoint::handle_datagram`](crate::Endpoint::handle_datagram).
    #[default]
    Inline,
    /// Wherever the program likes: [`Endpoint::take_job`](crate::Endpoint::take_job), `Job::run`,
    /// [`Endpoint::job_done`](crate::Endpoint::job_done).
    HandedOut,
}

/// The congestion controller of a connection. The rule of each, its parameters, where it fails, and how they compare:
/// `conformance/CONGESTION.md` in the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Congestion {
    /// A model of the path, of the BBRv3 family: how much it delivers, and its round-trip time without a queue. Losses
    /// count as congestion only with evidence of a queue; what the path loses anyway is learned and discounted.
    #[default]
    Bbr,
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406): every loss counts as congestion.
    Cubic,
    /// This many bytes per second, however much of it is lost. For links that carry nothing else: anywhere else it
    /// takes the path from all others and may bring it to a standstill.
    FixedRateWithoutCongestionControl {
        /// Bytes of datagrams per second, at least 1.
        bytes_per_second: u64,
    },
}

/// What connections of either side share.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) idle_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) linger: Duration,
    pub(crate) sizes: mtu::Sizes,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) initial_rtt: Duration,
    pub(crate) max_ack_delay: Duration,
    pub(crate) receive_window: u64,
    pub(crate) stream_receive_window: u64,
    pub(crate) max_receive_window: u64,
    pub(crate) max_stream_receive_window: u64,
    pub(crate) send_buffer: u64,
    pub(crate) stream_send_buffer: u64,
    pub(crate) max_streams: u64,
    pub(crate) max_message_size: u64,
    pub(crate) accept_compressed: bool,
    pub(crate) max_queue_age: Duration,
    pub(crate) congestion: Congestion,
    pub(crate) policy: Policy,
    pub(crate) fec_max_overhead: u16,
    pub(crate) fec_target: f64,
    pub(crate) fec_max_delay: Duration,
    pub(crate) fec_max_symbols: u16,
    pub(crate) keys: KeyUpdates,
    pub(crate) rates: rate::Rates,
    pub(crate) grease: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(10),
            sizes: mtu::Sizes::default(),
            keep_alive: KeepAlive::default(),
            initial_rtt: Duration::from_millis(200),
            max_ack_delay: Duration::from_millis(25),
            receive_window: 1 << 20,
            stream_receive_window: 256 << 10,
            max_receive_window: bounds::MAX_RECEIVE_WINDOW,
            max_stream_receive_window: bounds::MAX_STREAM_RECEIVE_WINDOW,
            send_buffer: bounds::SEND_BUFFER,
            stream_send_buffer: bounds::STREAM_SEND_BUFFER,
            max_streams: bounds::STREAMS_PER_TYPE,
            max_message_size: 65_536,
            accept_compressed: false,
            max_queue_age: bounds::BEST_EFFORT_QUEUE_AGE,
            congestion: Congestion::default(),
            policy: Policy::default(),
            fec_max_overhead: 50,
            fec_target: 5e-4,
            fec_max_delay: Duration::from_millis(20),
            fec_max_symbols: 128,
            keys: KeyUpdates::default(),
            rates: rate::Rates::default(),
            grease: true,
        }
    }
}

/// The settings of an [`Endpoint`](crate::Endpoint): checked once, shared by reference, never changed.
///
/// `Config::default()` makes an endpoint that only connects. With a [`server_key`](ConfigBuilder::server_key) it also
/// accepts.
#[derive(Clone)]
pub struct Config {
    pub(crate) transport: Transport,
    pub(crate) server_key: Option<Arc<SecretKey>>,
    pub(crate) key_fetch: KeyFetch,
    pub(crate) retry: RetryPolicy,
    pub(crate) accept: AcceptPolicy,
    pub(crate) client_auth: ClientAuth,
    pub(crate) protocols: Vec<Box<[u8]>>,
    pub(crate) kem_jobs: KemJobs,
    pub(crate) unix_time_at_origin: u64,
    pub(crate) tokens: Tokens,
    pub(crate) reset_key: Option<[u8; 32]>,
    pub(crate) shard: Option<Shard>,
    pub(crate) address_filter: AddressFilter,
    pub(crate) allow_migration: bool,
    pub(crate) load_balancing: Option<LoadBalancing>,
    pub(crate) export_secrets: bool,
    pub(crate) bounds: bounds::Bounds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            server_key: None,
            key_fetch: KeyFetch::default(),
            retry: RetryPolicy::default(),
            accept: AcceptPolicy::default(),
            client_auth: ClientAuth::default(),
            protocols: Vec::new(),
            kem_jobs: KemJobs::default(),
            unix_time_at_origin: 0,
            tokens: Tokens::default(),
            reset_key: None,
            shard: None,
            load_balancing: None,
            export_secrets: false,
            address_filter: AddressFilter::default(),
            allow_migration: true,
            bounds: bounds::Bounds::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("transport", &self.transport)
            .field("server", &self.server_key.is_some())
            .field("key_fetch", &self.key_fetch)
            .field("retry", &self.retry)
            .field("accept", &self.accept)
            .field("client_auth", &self.client_auth)
            .field("shard", &self.shard)
            .field("load_balancing", &self.load_balancing)
            .field("export_secrets", &self.export_secrets)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A builder that starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder { config: Self::default() }
    }

    /// The largest datagram this endpoint sends or accepts, in bytes of UDP payload. A buffer of a multiple of this
    /// size lets [`Endpoint::poll`](crate::Endpoint::poll) fill batches.
    pub fn max_udp_payload(&self) -> usize {
        usize::from(self.transport.sizes.max)
    }

    /// The datagram size that connections start with.
    pub(crate) fn initial_datagram(&self) -> u16 {
        self.transport.sizes.first()
    }

    /// The negotiable idle timeout; zero means none.
    pub fn idle_timeout(&self) -> Duration {
        self.transport.idle_timeout
    }
}

/// Builds a [`Config`]; see there.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
}

impl ConfigBuilder {
    /// Makes the endpoint a server with this static key. Default: none, the endpoint only connects.
    pub fn server_key(mut self, key: impl Into<Arc<SecretKey>>) -> Self {
        self.config.server_key = Some(key.into());
        self
    }

    /// Whom the server shows its key. Default: [`KeyFetch::KnownFingerprint`].
    pub fn key_fetch(mut self, policy: KeyFetch) -> Self {
        self.config.key_fetch = policy;
        self
    }

    /// When clients must prove their address first. Default: [`RetryPolicy::Adaptive`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.config.retry = policy;
        self
    }

    /// Who decides about new clients. Default: [`AcceptPolicy::Auto`].
    pub fn accept(mut self, policy: AcceptPolicy) -> Self {
        self.config.accept = policy;
        self
    }

    /// Whether clients must authenticate. Only the program knows the clients' keys, so [`ClientAuth::Required`] needs
    /// [`AcceptPolicy::Ask`]. Default: [`ClientAuth::Optional`].
    pub fn client_auth(mut self, policy: ClientAuth) -> Self {
        self.config.client_auth = policy;
        self
    }

    /// The application protocols the server speaks, best first, 1 to 255 bytes each. A client that offers none of
    /// them is refused. Default: `jsp`.
    pub fn protocols(mut self, protocols: &[&[u8]]) -> Self {
        self.config.protocols = protocols.iter().map(|name| Box::from(*name)).collect();
        self
    }

    /// Where public-key work runs. Default: [`KemJobs::Inline`].
    pub fn kem_jobs(mut self, jobs: KemJobs) -> Self {
        self.config.kem_jobs = jobs;
        self
    }

    /// Silence after which a connection is given up; the smaller non-zero value of both sides counts. Zero: never.
    /// Default: 30 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.transport.idle_timeout = timeout;
        self
    }

    /// How long a client tries to connect. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.transport.handshake_timeout = timeout;
        self
    }

    /// How long a closing connection waits for the peer to take more of the data that was accepted for sending, before
    /// it gives up and ends as [`Undelivered`](crate::ConnectionError::Undelivered). Default: 10 s.
    pub fn linger(mut self, timeout: Duration) -> Self {
        self.config.transport.linger = timeout;
        self
    }

    /// The round-trip time assumed before the first measurement. Default: 200 ms.
    pub fn initial_rtt(mut self, rtt: Duration) -> Self {
        self.config.transport.initial_rtt = rtt;
        self
    }

    /// How long an acknowledgement may be held back, up to 1 s. Default: 25 ms.
    pub fn max_ack_delay(mut self, delay: Duration) -> Self {
        self.config.transport.max_ack_delay = delay;
        self
    }

    /// Bytes a peer may have under way before the application reads, at the start of a connection: over all streams
    /// and for each. They grow by themselves up to the maxima. Defaults: 1 MiB and 256 KiB.
    pub fn receive_window(mut self, connection: u64, stream: u64) -> Self {
        self.config.transport.receive_window = connection;
        self.config.transport.stream_receive_window = stream;
        self
    }

    /// Up to which size the receive windows grow. Defaults: 24 MiB and 6 MiB.
    pub fn max_receive_window(mut self, connection: u64, stream: u64) -> Self {
        self.config.transport.max_receive_window = connection;
        self.config.transport.max_stream_receive_window = stream;
        self
    }

    /// Bytes that may wait for delivery, over all streams and for each; beyond, sending reports `Blocked`.
    /// Defaults: 16 MiB and 4 MiB.
    pub fn send_buffer(mut self, connection: u64, stream: u64) -> Self {
        self.config.transport.send_buffer = connection;
        self.config.transport.stream_send_buffer = stream;
        self
    }

    /// Streams of each type that a peer may have open at once, 4 to 2^60. Default: 100.
    pub fn max_streams(mut self, streams: u64) -> Self {
        self.config.transport.max_streams = streams;
        self
    }

    /// The largest message to accept, in bytes, up to 16 MiB; also raises the receive windows if they are smaller.
    /// Default: 65,536.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.config.transport.max_message_size = bytes;
        self
    }

    /// Whether peers may send compressed data; they do on streams for which they ask for
    /// [`Compression`]. It is expanded when it is read: a message to at most
    /// [`max_message_size`](Self::max_message_size), bytes in blocks of at most 64 KiB. At most 255 bytes come of each
    /// byte received: a peer can make a reader do that much more work. Default: no.
    pub fn accept_compressed(mut self, accept: bool) -> Self {
        self.config.transport.accept_compressed = accept;
        self
    }

    /// How long a best-effort message may wait for the network before it is dropped as expired. Default: 100 ms.
    pub fn max_queue_age(mut self, age: Duration) -> Self {
        self.config.transport.max_queue_age = age;
        self
    }

    /// The congestion controller. Default: [`Congestion::Bbr`].
    pub fn congestion(mut self, controller: Congestion) -> Self {
        self.config.transport.congestion = controller;
        self
    }

    /// Forward error correction of streams that have no setting of their own. Default: [`Fec::Off`].
    pub fn fec(mut self, fec: Fec) -> Self {
        self.config.transport.policy.fec = fec;
        self
    }

    /// The most parity that [`Fec::Auto`] adds, in percent of the packets it protects, 0 to 400; whatever this says, not
    /// many more than twenty parity packets for each packet that is lost. Default: 50.
    pub fn fec_max_overhead(mut self, percent: u16) -> Self {
        self.config.transport.fec_max_overhead = percent;
        self
    }

    /// The share of packets that [`Fec::Auto`] leaves unrepaired if the bounds on overhead and delay allow, 1e-6 to
    /// 0.5. Of reliable data ten times as much, because what is left is sent again. Default: 5e-4.
    pub fn fec_target(mut self, loss: f64) -> Self {
        self.config.transport.fec_target = loss;
        self
    }

    /// How long the first packet of a block may wait for its parity, 1 ms to 1 s: a longer block repairs more for the
    /// same overhead, and later. It is cut to a quarter of a message's time to live, and to half a round trip where
    /// data is sent again when it is lost. Default: 20 ms.
    pub fn fec_max_delay(mut self, delay: Duration) -> Self {
        self.config.transport.fec_max_delay = delay;
        self
    }

    /// Packets of peers that are kept to repair others from, up to 256; about 1.2 kB each, or what the path
    /// carries if that is more, while a peer sends packets that are protected. 0: peers send no parity. Default: 128.
    pub fn fec_max_symbols(mut self, packets: u16) -> Self {
        self.config.transport.fec_max_symbols = packets;
        self
    }

    /// Compression of streams that have no setting of their own; mind the warning at
    /// [`Compression`]. Default: [`Compression::Off`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.transport.policy.compression = compression;
        self
    }

    /// Unix time in seconds at the origin of the [`Instant`](crate::Instant)s that will be passed in. Address tokens
    /// carry wall time; servers that share a token key must set it. Default: 0.
    pub fn unix_time_at_origin(mut self, seconds: u64) -> Self {
        self.config.unix_time_at_origin = seconds;
        self
    }

    /// The key of stateless-reset tokens, 32 uniformly random bytes, for a server that wants to be recognised after a
    /// restart: its clients then learn at once that it has lost their connections
    /// ([`ConnectionError::Reset`](crate::ConnectionError::Reset)). It is a secret: whoever has it can end connections.
    /// Servers may share it only if they are told apart by [`load_balancing`](Self::load_balancing) or
    /// [`shard`](Self::shard): otherwise one ends the connections of another when datagrams go astray. Default: drawn
    /// from the endpoint's entropy.
    pub fn reset_key(mut self, key: [u8; 32]) -> Self {
        self.config.reset_key = Some(key);
        self
    }

    /// Makes the endpoint one of several behind one address. The shards must share their
    /// [`token_secret`](Self::token_secret) or [`token_key`](Self::token_key) too. `driver::shards` sets all of this. Default: none, the endpoint has its
    /// address for itself.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.config.shard = Some(shard);
        self
    }

    /// Replaces the table of bounds. With [`shard`](Self::shard) they hold for each shard alone. Default: [`Bounds::default`](bounds::Bounds).
    pub fn bounds(mut self, bounds: bounds::Bounds) -> Self {
        self.config.bounds = bounds;
        self
    }

    /// Checks everything together.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its bounds.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        let transport = &mut self.config.transport;
        transport.sizes.check()?;
        transport.keep_alive.check()?;
        check(transport.max_ack_delay <= Duration::from_secs(1), "max_ack_delay is at most 1 s")?;
        check((1..=16 << 20).contains(&transport.max_message_size), "max_message_size is 1 byte to 16 MiB")?;
        check((4..=1 << 57).contains(&transport.max_streams), "max_streams is 4 to 2^57")?;
        let fixed = Congestion::FixedRateWithoutCongestionControl { bytes_per_second: 0 };
        check(transport.congestion != fixed, "a fixed rate is at least 1 byte per second")?;
        check(transport.policy.fec.is_valid(), "fec has 1 to 64 packets and 1 to 32 parity packets per block")?;
        check(transport.fec_max_overhead <= 400, "fec_max_overhead is at most 400 percent")?;
        check((1e-6..=0.5).contains(&transport.fec_target), "fec_target is 1e-6 to 0.5")?;
        let delays = Duration::from_millis(1)..=Duration::from_secs(1);
        check(delays.contains(&transport.fec_max_delay), "fec_max_delay is 1 ms to 1 s")?;
        check(transport.fec_max_symbols <= 256, "fec_max_symbols is at most 256")?;
        transport.keys.check()?;
        transport.rates.check()?;
        check(transport.initial_rtt > Duration::ZERO, "initial_rtt is above zero")?;
        check(transport.handshake_timeout > Duration::ZERO, "handshake_timeout is above zero")?;
        check(transport.send_buffer > 0 && transport.stream_send_buffer > 0, "send buffers are above zero")?;
        let floor = bounds::FLOOR_MAX_STREAM_DATA.max(transport.max_message_size);
        transport.stream_receive_window = transport.stream_receive_window.max(floor);
        transport.receive_window =
            transport.receive_window.max(transport.stream_receive_window).max(bounds::FLOOR_MAX_DATA);
        transport.max_stream_receive_window = transport.max_stream_receive_window.max(transport.stream_receive_window);
        transport.max_receive_window = transport.max_receive_window.max(transport.receive_window);
        check(transport.max_receive_window <= 1 << 40, "receive windows are at most 1 TiB")?;
        check(
            self.config.client_auth == ClientAuth::Optional || self.config.accept == AcceptPolicy::Ask,
            "client_auth needs AcceptPolicy::Ask: the program must say which client keys it knows",
        )?;
        check_protocols(&self.config.protocols)?;
        self.config.tokens.check()?;
        self.config.check_cids()?;
        Ok(self.config)
    }
}

/// Shared by servers and clients: at most what one parameter can carry beside the others.
fn check_protocols(protocols: &[Box<[u8]>]) -> Result<(), ConfigError> {
    check(protocols.iter().all(|name| (1..=255).contains(&name.len())), "protocol names have 1 to 255 bytes")?;
    let total: usize = protocols.iter().map(|name| 1 + name.len()).sum();
    check(total <= 512, "all protocol names together have at most 512 bytes")
}

pub(crate) fn check(holds: bool, rule: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { rule }) }
}

/// A setting is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    rule: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: {}", self.rule)
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_message_size() {
        let config = Config::builder().max_message_size(2 << 20).receive_window(1, 1).build().expect("valid");
        assert_eq!(config.transport.stream_receive_window, 2 << 20);
        assert_eq!(config.transport.receive_window, 2 << 20);
    }

    #[test]
    fn out_of_bounds_settings_are_named() {
        let error = Config::builder().max_udp_payload(1199).build().expect_err("too small");
        assert!(alloc::format!("{error}").contains("max_udp_payload"));
        assert!(Config::builder().max_message_size(0).build().is_err());
        assert!(Config::builder().max_streams(3).build().is_err());
        assert!(Config::builder().max_streams((1 << 57) + 1).build().is_err());
        assert!(Config::builder().client_auth(ClientAuth::Required).build().is_err());
        assert!(Config::builder().protocols(&[b""]).build().is_err());
        assert!(Config::builder().token_rotation(Duration::from_secs(59)).build().is_err());
        assert!(Config::builder().token_lifetime(Duration::ZERO).build().is_err());
        for (index, count) in [(0, 0), (1, 1), (4, 4), (0, 257)] {
            let error = Config::builder().shard(Shard::new(index, count, [0; 16])).build().expect_err("no such shard");
            assert!(alloc::format!("{error}").contains("shard"));
        }
        assert!(Config::builder().shard(Shard::new(255, 256, [0; 16])).build().is_ok());
    }
}
