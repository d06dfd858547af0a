//! The table of bounds (specification section 7): what can grow, how far, and what happens there.
//!
//! They hold for one endpoint. Each shard of an address ([`Shard`](super::Shard)) is an endpoint, so that `n` shards
//! together may hold and do `n` times as much, and what is recorded as used is used at one shard only.
//!
//! | bound | default | at the bound |
//! | --- | --- | --- |
//! | [`KEY_IDS_TRIED`] | 4 per fragment | fragment dropped |
//! | [`Bounds::seal_openings_per_second`], burst | 50,000, 5000 for first fragments and as much for others, without a valid token | fragment or request dropped; [`Adaptive`](super::RetryPolicy::Adaptive): from half the burst on first fragment is answered by RETRY |
//! | [`Bounds::tokenless_handshakes`] | 256 being reassembled or half-open | [`Adaptive`](super::RetryPolicy::Adaptive): first fragment is answered by RETRY |
//! | [`Bounds::tokenless_per_second`], burst | 200, 400 attempts | [`Adaptive`](super::RetryPolicy::Adaptive): first fragment is answered by RETRY |
//! | [`Bounds::reassembly_entries`] | 4096 | validated: oldest incomplete dropped; unvalidated: new one dropped |
//! | [`Bounds::reassembly_per_prefix`] | 32 | token-less first fragment is answered by RETRY |
//! | [`REASSEMBLY_LIFETIME`] | 5 s | entry freed |
//! | [`Bounds::half_open`] | 4096 with a proven address and 4096 without | fragment dropped |
//! | [`Bounds::half_open_per_prefix`] | 64 | token-less first fragment is answered by RETRY |
//! | [`HALF_OPEN_LIFETIME`] | 5 s | connection freed |
//! | [`Bounds::kem_jobs_per_second`], burst | 1000, 200 | completion left out; the client's resend tries again |
//! | tokens for later connections: age and use | [`ConfigBuilder::token_lifetime`](super::ConfigBuilder::token_lifetime), once; remembered in 2 MiB | counts as no token |
//! | retry tokens: age | 10 s, and 2 s ahead | answered by RETRY |
//! | [`TOKENS_KEPT`] | 4 per connection of a client; the `driver` keeps 4 per server of 64 servers, 64 bytes each | oldest dropped |
//! | [`Bounds::kem_queue`] | 256 | completion left out |
//! | [`Bounds::tombstones`], [`TOMBSTONE_LIFETIME`] | 8192, 5 s | oldest forgotten |
//! | [`Bounds::retries_per_second`], burst | 20,000, 20,000 | RETRY left out |
//! | [`Bounds::key_infos_per_second`], burst | 2000, 2000 | KEYINFO left out |
//! | [`Bounds::key_infos_per_prefix`], burst | 100 per second, 100; networks that share one of 4096 slots share them | KEYINFO left out |
//! | [`Bounds::resets_per_second`], burst | 100, 100 | datagram dropped without an answer |
//! | [`Bounds::resets_per_prefix`], burst | 10, 10 per second | datagram dropped without an answer |
//! | stateless resets | shorter than what they answer, which has 31 bytes or more | datagram dropped without an answer |
//! | [`Bounds::version_negotiations_per_second`], burst | 100, 100, to datagrams of 1200 bytes or more | datagram dropped without an answer |
//! | reset tokens known | one per connection | - |
//! | [`Bounds::connections`] | 100,000 | client refused silently |
//! | [`Bounds::connections_per_prefix`] | 1000 of clients, in whatever state | client refused silently |
//! | [`AMPLIFICATION`] | 3 x bytes received | sending waits, no timer grows |
//! | [`UNCONFIRMED_DATAGRAMS`] | 10, plus 1 per datagram received | sending waits |
//! | [`FORGED_INNER`] | 8 per probe timeout | further answers ignored |
//! | redirections of a client | 3 by RETRY, 3 by KEYINFO | further ones ignored |
//! | [`EARLY_DATAGRAMS`] | 4 | datagram dropped |
//! | [`AEAD_FAILURES`] | 2^36 per connection | closed with AEAD_LIMIT |
//! | [`AEAD_FAILURES_PER_SECOND`] | 10,000 per connection | its datagrams dropped unopened for 1 s |
//! | keys of the phase before, [`OLD_KEYS_LIFETIME`] | one, 1 s or three probe timeouts if that is less | dropped, and late packets with them |
//! | key updates of the peer | one per acknowledgement of a packet under its latest key | closed with KEY_UPDATE |
//! | replay window | 2048 packet numbers | older packet dropped |
//! | acknowledgement ranges | 64 kept, 32 sent, 64 parsed | oldest forgotten, rest ignored |
//! | acknowledgement of an unsent or skipped packet | 0 | closed with PROTOCOL_VIOLATION |
//! | [`EMPTY_PACKETS_PER_SECOND`] | 100 | acknowledged only after the delay, and counted |
//! | acknowledgements at once on request | 1 per eighth of a round trip | acknowledged as usual |
//! | paths of a connection | [`PATHS`]: 4 | the one longest unused is forgotten |
//! | proofs asked of a path | [`PATH_CHALLENGES`]: 3 | path given up; with none left, idle timeout |
//! | answers to path challenges | 1 pending per path, [`PATH_RESPONSES_PER_SECOND`] | the latest challenge is answered |
//! | changes of path by the peer | [`PATH_SWITCHES_PER_SECOND`], [`PATH_SWITCH_BURST`]; [`Bounds::path_switches_per_second`] per endpoint | its packets count, answers go where they went |
//! | connection ids of the peer | [`ACTIVE_CIDS`]: 4; numbers in [`CID_GAPS`] runs | closed with CID_LIMIT |
//! | connection ids given up, not acknowledged | [`PENDING_RETIRED_CIDS`]: 12 | closed with CID_LIMIT |
//! | connection ids given to the peer | [`SPARE_CIDS`] spare, [`NEW_CIDS_PER_SECOND`], [`NEW_CID_BURST`] at once | given later |
//! | [`ADDRESS_REPORTS_PER_SECOND`], burst | 1, 8 per connection | ignored, and counted |
//! | [`NETWORKS_REMEMBERED`] | 8 per connection | the oldest forgotten |
//! | sent packets remembered | 65,536 | sending waits |
//! | skipped packet numbers remembered | 64, about one per window | oldest forgotten |
//! | probes for larger datagrams | 3 of each of 6 sizes, one at a time, while data fills datagrams | the search rests for 10 minutes |
//! | wait between probes | 3 s, or twice the probe timeout if longer | stops doubling |
//! | memory of sent packets while none is in flight | 256 packets | given back |
//! | [`Bounds::receive_memory`] | 1 GiB | 80 %: windows stop growing; 90 %: no new credit; 100 %: the connection with the most unread data closed with EXCESSIVE_LOAD |
//! | packets kept to repair others | [`ConfigBuilder::fec_max_symbols`](super::ConfigBuilder::fec_max_symbols), and as many parity packets | the oldest forgotten; from 80 % of [`Bounds::receive_memory`] on none is kept |
//! | [`FEC_BLOCKS`], [`FEC_BLOCK_LIFETIME`] | 8 blocks that miss something, 64 packets and 32 parity packets each, 1 s or two times the packets kept | the oldest forgotten |
//! | [`FEC_REST`] | 2 s without a packet that is kept | memory given back |
//! | [`FEC_DECODES_PER_SECOND`], burst | 200, 20 per connection | not repaired, and counted |
//! | [`Bounds::decodes_per_second`], burst | 1000, 100, dealt to connections in turn | repair waits, and is counted if it comes to nothing |
//! | [`FEC_MALFORMED`] | 3 per connection | nothing is repaired any more |
//! | bytes from one peer | none unless [`ConfigBuilder::rate_limit_bytes`](super::ConfigBuilder::rate_limit_bytes) | its credit waits |
//! | messages from one peer | none unless [`ConfigBuilder::rate_limit_messages`](super::ConfigBuilder::rate_limit_messages) | they wait unread, and its credit with them |
//! | receive windows | up to [`MAX_RECEIVE_WINDOW`], [`MAX_STREAM_RECEIVE_WINDOW`] | closed with FLOW_CONTROL |
//! | memory of a stream's received data | 2 windows; 256 KiB while it is empty | no credit; given back |
//! | gaps in a stream | max(256, window / 1200) | packet not accepted |
//! | pieces remembered of a message stream | max(1024, window / 8) | packet not accepted |
//! | partial messages of a connection | max(64, connection window / 1200) | packet not accepted |
//! | packets not accepted | 1024 per second | closed with BUFFER_EXCEEDED |
//! | message received | [`ConfigBuilder::max_message_size`](super::ConfigBuilder::max_message_size) | closed with MESSAGE_TOO_LARGE |
//! | compressed message received | [`ConfigBuilder::max_message_size`](super::ConfigBuilder::max_message_size), 255 times its LZ4 block and 64 bytes | closed with COMPRESSION when it is read |
//! | block of a compressed stream of bytes | 64 KiB, encoded and expanded, 255 times its LZ4 block and 64 bytes; one per stream is held while it is read, and one buffer per connection | closed with COMPRESSION when it is read |
//! | [`STREAMS_PER_TYPE`] | 100 | closed with STREAM_LIMIT |
//! | streams that the peer resets | 200, then 50 per second | their places are given back later |
//! | frames that move nothing (STOP_SENDING, early resets, BLOCKED, priorities) | 200 per second, 400 at once | priorities ignored; 4000 over: closed with EXCESSIVE_LOAD |
//! | BLOCKED frames sent | 20 per second, 20 at once | left out |
//! | credit before the server's parameters | [`FLOOR_MAX_DATA`], [`FLOOR_MAX_STREAM_DATA`], [`FLOOR_MAX_STREAMS`] | sending and opening wait |
//! | parameters | 2 KiB, 64 entries, once | closed with PARAMETER |
//! | [`REASON_LEN`] | 128 bytes | cut |
//! | [`SEND_BUFFER`], [`STREAM_SEND_BUFFER`] | 16 MiB, 4 MiB, a message counts 32 bytes more | `SendError::Blocked` |
//! | best-effort queue | 1024 messages, [`BEST_EFFORT_QUEUE_AGE`] | oldest dropped as expired |
//! | untold outcomes | 1024 per connection | `SendError::Blocked` for tracked messages |
//! | untold events of streams | one of each kind per stream | - |
//! | [`Bounds::stateless_queue`] | 256 answers | answer left out |
//! | [`Bounds::undecided`] | 256 incoming | fragment dropped |
//! | datagrams that other shards have brought (`driver`) | 1024 and 2 MiB per shard | datagram dropped and counted |

use core::time::Duration;

pub use crate::wire::params::{FLOOR_MAX_DATA, FLOOR_MAX_STREAM_DATA, FLOOR_MAX_STREAMS};

/// Key ids tried for one datagram: that of the server and, for a request to an open one for its key, the zero id.
pub const KEY_IDS_TRIED: usize = 2;
/// How long fragments of a client's first message are kept.
pub const REASSEMBLY_LIFETIME: Duration = Duration::from_secs(5);
/// How long a connection may stay unconfirmed on a server, and the program may take to decide about a client.
pub const HALF_OPEN_LIFETIME: Duration = Duration::from_secs(5);
/// How long a finished or failed attempt is remembered so that its replay costs nothing.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(5);
/// Bytes that may be sent to an unproven address for each byte received from it.
pub const AMPLIFICATION: u64 = 3;
/// Datagrams an unconfirmed server connection with a validated address may send.
pub const UNCONFIRMED_DATAGRAMS: u64 = 10;
/// Server answers whose inner seal fails before a client ignores answers until its next probe timeout.
pub const FORGED_INNER: u32 = 8;
/// Address tokens that a client keeps of one server.
pub const TOKENS_KEPT: usize = 4;
/// 1-RTT datagrams a client keeps while it waits for the server's answer.
pub const EARLY_DATAGRAMS: usize = 4;
/// Failed packet openings over the life of a connection (RFC 9001 section 6.6).
pub const AEAD_FAILURES: u64 = 1 << 36;
/// Failed packet openings in one second.
pub const AEAD_FAILURES_PER_SECOND: u64 = 10_000;
/// How long the keys of the phase before are kept at most, once the peer has sent under the next ones.
pub const OLD_KEYS_LIFETIME: Duration = Duration::from_secs(1);
/// How long after the peer acknowledged a key update the next one is not started, at least. A peer's update is followed
/// whenever it comes.
pub const KEY_UPDATE_WAIT: Duration = Duration::from_secs(3);
/// Received packets in one second with nothing but PING and PADDING that are acknowledged as promptly as others.
pub const EMPTY_PACKETS_PER_SECOND: u32 = 100;
/// Words of a peer about the address at which it sees this side, per second.
pub const ADDRESS_REPORTS_PER_SECOND: u32 = 1;
/// The same at once.
pub const ADDRESS_REPORT_BURST: u32 = 8;
/// Networks of which a connection remembers how soon they forget it.
pub const NETWORKS_REMEMBERED: usize = 8;
/// Blocks of error correction that miss a packet.
pub const FEC_BLOCKS: usize = 8;
/// How long such a block may wait for more parity.
pub const FEC_BLOCK_LIFETIME: Duration = Duration::from_secs(1);
/// How long after the last protected packet the memory for repairs is kept.
pub const FEC_REST: Duration = Duration::from_secs(2);
/// Repairs per second of blocks with more than one parity packet, on one connection. Each takes about 200 microseconds
/// and, for that time, 128 KiB of stack in [`Endpoint::poll`](crate::Endpoint::poll).
pub const FEC_DECODES_PER_SECOND: u32 = 200;
/// The same at once.
pub const FEC_DECODE_BURST: u32 = 20;
/// Repaired packets that make no sense.
pub const FEC_MALFORMED: u64 = 3;
/// Connection ids of the peer that are kept, in use and spare.
pub const ACTIVE_CIDS: usize = 4;
/// Spare connection ids that a peer is given, if it keeps as many.
pub const SPARE_CIDS: usize = 2;
/// Connection ids given to a peer per second, however many it gives up.
pub const NEW_CIDS_PER_SECOND: u32 = 4;
/// The same at once.
pub const NEW_CID_BURST: u32 = 16;
/// Runs of connection id numbers that a peer may leave gaps between.
pub const CID_GAPS: usize = 16;
/// Connection ids given up that the peer has not taken note of.
pub const PENDING_RETIRED_CIDS: usize = 3 * ACTIVE_CIDS;
/// Paths of a connection: the one in use, the one to fall back to, and those that are being tried.
pub const PATHS: usize = 4;
/// Times that a path is asked whether it works before it is given up.
pub const PATH_CHALLENGES: u8 = 3;
/// Answers to path challenges per second and connection; as many at once.
pub const PATH_RESPONSES_PER_SECOND: u32 = 16;
/// Changes of a connection's path by its peer per second.
pub const PATH_SWITCHES_PER_SECOND: u32 = 2;
/// The same at once.
pub const PATH_SWITCH_BURST: u32 = 8;
/// Default maximum of the connection's receive window.
pub const MAX_RECEIVE_WINDOW: u64 = 24 << 20;
/// Default maximum of one stream's receive window.
pub const MAX_STREAM_RECEIVE_WINDOW: u64 = 6 << 20;
/// Default number of open streams of each type.
pub const STREAMS_PER_TYPE: u64 = 100;
/// Default bytes waiting for delivery on one connection.
pub const SEND_BUFFER: u64 = 16 << 20;
/// Default bytes waiting for delivery on one stream.
pub const STREAM_SEND_BUFFER: u64 = 4 << 20;
/// Default time a best-effort message may wait.
pub const BEST_EFFORT_QUEUE_AGE: Duration = Duration::from_millis(100);
/// The longest reason of a close, in bytes.
pub const REASON_LEN: usize = crate::wire::frame::MAX_REASON;

/// The bounds a server may want to move. See the [table](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Clients whose first message is being reassembled.
    pub reassembly_entries: usize,
    /// The same from one /24 (IPv4) or /64 (IPv6) without a valid token.
    pub reassembly_per_prefix: u32,
    /// Connections that are not confirmed yet: so many of clients with a token, and so many of clients without.
    pub half_open: usize,
    /// The same from one /24 or /64 without a valid token.
    pub half_open_per_prefix: u32,
    /// Clients without a valid token whose message is being reassembled or whose connection is not confirmed, at which
    /// an [adaptive](super::RetryPolicy::Adaptive) server begins to ask for one.
    pub tokenless_handshakes: usize,
    /// Attempts without a valid token per second that an [adaptive](super::RetryPolicy::Adaptive) server lets in.
    pub tokenless_per_second: u32,
    /// The same at once.
    pub tokenless_burst: u32,
    /// Seals opened per second for addresses without a valid token: so many of first fragments and key requests, and so
    /// many of other fragments.
    pub seal_openings_per_second: u32,
    /// The same at once.
    pub seal_opening_burst: u32,
    /// Handshakes begun per second.
    pub kem_jobs_per_second: u32,
    /// Handshakes begun at once.
    pub kem_burst: u32,
    /// Jobs handed out or waiting.
    pub kem_queue: usize,
    /// Finished or failed attempts remembered.
    pub tombstones: usize,
    /// RETRY answers per second.
    pub retries_per_second: u32,
    /// KEYINFO answers per second.
    pub key_infos_per_second: u32,
    /// KEYINFO answers per second to one /24 or /64.
    pub key_infos_per_prefix: u32,
    /// Stateless resets per second.
    pub resets_per_second: u32,
    /// The same to one /24 (IPv4) or /64 (IPv6).
    pub resets_per_prefix: u32,
    /// Version negotiation packets per second.
    pub version_negotiations_per_second: u32,
    /// Connections of the endpoint, both sides.
    pub connections: usize,
    /// Connections that clients of one /24 or /64 have made, whatever their state. A client counts for the network it
    /// came from, even if it moves. One more is not answered: a sealed refusal would cost two key exchanges.
    pub connections_per_prefix: u32,
    /// Bytes held for all connections' received data.
    pub receive_memory: u64,
    /// Repairs per second of blocks with more than one parity packet, for all connections.
    pub decodes_per_second: u32,
    /// The same at once.
    pub decode_burst: u32,
    /// Answers waiting that belong to no connection.
    pub stateless_queue: usize,
    /// Clients the program has not decided about.
    pub undecided: usize,
    /// Changes of path by peers per second, over all connections; as many at once.
    pub path_switches_per_second: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reassembly_entries: 4096,
            reassembly_per_prefix: 32,
            half_open: 4096,
            half_open_per_prefix: 64,
            tokenless_handshakes: 256,
            tokenless_per_second: 200,
            tokenless_burst: 400,
            seal_openings_per_second: 50_000,
            seal_opening_burst: 5000,
            kem_jobs_per_second: 1000,
            kem_burst: 200,
            kem_queue: 256,
            tombstones: 8192,
            retries_per_second: 20_000,
            key_infos_per_second: 2000,
            key_infos_per_prefix: 100,
            resets_per_second: 100,
            resets_per_prefix: 10,
            version_negotiations_per_second: 100,
            connections: 100_000,
            connections_per_prefix: 1000,
            receive_memory: 1 << 30,
            decodes_per_second: 1000,
            decode_burst: 100,
            stateless_queue: 256,
            undecided: 256,
            path_switches_per_second: 1000,
        }
    }
}
