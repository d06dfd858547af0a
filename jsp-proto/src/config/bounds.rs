//! The table of bounds (specification section 7): what can grow, how far, what happens there, and what counts it.
//!
//! They hold for one endpoint. Each shard of an address ([`Shard`](super::Shard)) is an endpoint, so that `n` shards
//! together may hold and do `n` times as much, and what is recorded as used is used at one shard only.
//!
//! | row | bound | default | at the bound | counted by |
//! | --- | --- | --- | --- | --- |
//! | 1 | datagrams that cannot be parsed or belong to nobody | any number, each costs a look at its header and one in a table | dropped; answered by a reset or version negotiation as far as their bounds allow | `DropReason::Malformed`, `DropReason::UnknownConnection`, `DropReason::Version` |
//! | 53 | empty datagrams, and those from the endpoint's own address | 0 | dropped, and part of the batch they came in | `DropReason::Empty` |
//! | 2 | [`KEY_IDS_TRIED`] | 2: one per fragment, both for a request to an open server | datagram dropped | `EndpointStats::seal_openings`, `DropReason::Seal` |
//! | 3 | [`Bounds::seal_openings_per_second`], [`Bounds::seal_opening_burst`] | 50,000, 5000 for first fragments and as much for others, without a valid token | fragment or request dropped; [`Adaptive`](super::RetryPolicy::Adaptive): from half the burst on first fragment is answered by RETRY | `EndpointStats::seal_openings`, `DropReason::SealLimit` |
//! | 4 | [`Bounds::tokenless_handshakes`] | 256 being reassembled or half-open | [`Adaptive`](super::RetryPolicy::Adaptive): first fragment is answered by RETRY | `EndpointStats::retries_sent`, `DropReason::Token` |
//! | 4 | [`Bounds::tokenless_per_second`], [`Bounds::tokenless_burst`] | 200, 400 attempts | [`Adaptive`](super::RetryPolicy::Adaptive): first fragment is answered by RETRY | `EndpointStats::retries_sent`, `DropReason::Token` |
//! | 5 | [`Bounds::retries_per_second`] | 20,000, as many at once | RETRY left out | `EndpointStats::retries_sent`, `DropReason::AnswerLimit` |
//! | 5 | [`Bounds::key_infos_per_second`] | 2000, as many at once | KEYINFO left out | `EndpointStats::key_infos_sent`, `DropReason::AnswerLimit` |
//! | 5 | [`Bounds::key_infos_per_prefix`] | 100, as many at once; networks that share one of 4096 slots share them | KEYINFO left out | `EndpointStats::key_infos_sent`, `DropReason::AnswerLimit` |
//! | 6 | [`Bounds::reassembly_entries`] | 4096 | validated: oldest incomplete dropped; unvalidated: new one dropped | `DropReason::HandshakeLimit` |
//! | 6 | [`Bounds::reassembly_per_prefix`] | 32 | token-less first fragment is answered by RETRY | `EndpointStats::retries_sent`, `DropReason::HandshakeLimit` |
//! | 7 | [`REASSEMBLY_LIFETIME`] | 5 s | entry freed | - |
//! | 8 | [`Bounds::half_open`] | 4096 with a proven address and as many without | fragment dropped | `DropReason::HandshakeLimit` |
//! | 8 | [`Bounds::half_open_per_prefix`] | 64 | token-less first fragment is answered by RETRY | `EndpointStats::retries_sent`, `DropReason::HandshakeLimit` |
//! | 8 | [`HALF_OPEN_LIFETIME`] | 5 s | connection freed | `EndpointStats::connections_closed` |
//! | 9 | [`Bounds::kem_jobs_per_second`], [`Bounds::kem_burst`] | 1000, 200 | completion left out; the client's resend tries again | `EndpointStats::handshakes_started`, `DropReason::HandshakeLimit` |
//! | 9 | [`Bounds::kem_queue`] | 256 | completion left out | `DropReason::HandshakeLimit` |
//! | 10 | [`Bounds::tombstones`], [`TOMBSTONE_LIFETIME`] | 8192, 5 s | oldest forgotten | `DropReason::Tombstone` |
//! | 11 | tokens for later connections: age and use | [`ConfigBuilder::token_lifetime`](super::ConfigBuilder::token_lifetime), once; remembered in 2 MiB | counts as no token | `EndpointStats::tokens_rejected` |
//! | 11, 55 | retry tokens: age | 10 s, and 2 s ahead | answered by RETRY | `EndpointStats::tokens_rejected` |
//! | 41 | [`TOKENS_KEPT`] | 4 per connection of a client; the `driver` keeps as many per server of 64 servers, 64 bytes each | oldest dropped | - |
//! | 46 | [`Bounds::resets_per_second`] | 100, as many at once | datagram dropped without an answer | `EndpointStats::resets_sent`, `DropReason::AnswerLimit` |
//! | 46 | [`Bounds::resets_per_prefix`] | 10, as many at once | datagram dropped without an answer | `EndpointStats::resets_sent`, `DropReason::AnswerLimit` |
//! | 46 | stateless resets | shorter than what they answer, which has 31 bytes or more | datagram dropped without an answer | `DropReason::UnknownConnection` |
//! | 47 | [`Bounds::version_negotiations_per_second`] | 100, as many at once, to datagrams of 1200 bytes or more | datagram dropped without an answer | `EndpointStats::version_negotiations_sent`, `DropReason::AnswerLimit`, `DropReason::Version` |
//! | - | [`Bounds::stateless_queue`] | 256 answers | answer left out | `DropReason::AnswerLimit` |
//! | - | [`Bounds::undecided`] | 256 incoming | the message of the client is forgotten; its resend tries again | `DropReason::HandshakeLimit` |
//! | - | reset tokens known | one per connection | - | - |
//! | 13 | [`Bounds::connections`] | 100,000 | client refused silently; own attempt: `ConnectError::TooManyConnections` | `DropReason::HandshakeLimit` |
//! | 13 | [`Bounds::connections_per_prefix`] | 1000 of clients, in whatever state | client refused silently | `DropReason::HandshakeLimit` |
//! | 54 | tables with keys that strangers choose | keyed by a secret | - | - |
//! | 12 | [`AMPLIFICATION`] | 3 x bytes received | sending waits, no timer grows | - |
//! | 12 | [`UNCONFIRMED_DATAGRAMS`] | 10, plus 1 per datagram received | sending waits | - |
//! | 14 | [`FORGED_INNER`] | 8 per probe timeout | further answers ignored | `DropReason::InnerSeal` |
//! | - | redirections of a client | 3 by RETRY, 1 by KEYINFO | further ones ignored | `DropReason::Unexpected` |
//! | - | answers that a client puts together | 4 at once | the oldest forgotten | - |
//! | 15 | [`EARLY_DATAGRAMS`] | 4 | datagram dropped | `DropReason::TooEarly` |
//! | 16 | [`AEAD_FAILURES`] | 2^36 per connection | closed with AEAD_LIMIT | `DropReason::Aead` |
//! | 16 | [`AEAD_FAILURES_PER_SECOND`] | 10,000 per connection | datagrams from other addresses than its peer's dropped unopened for 1 s | `DropReason::Aead` |
//! | - | keys of the phase before, [`OLD_KEYS_LIFETIME`] | 1 s or three probe timeouts if that is less; of one phase | dropped, and late packets with them | `DropReason::KeyPhase` |
//! | 37 | key updates of the peer | one per acknowledgement of a packet under its latest key | closed with KEY_UPDATE | `ConnStats::key_updates`, `DropReason::KeyPhase` |
//! | - | own key updates, [`KEY_UPDATE_WAIT`] | 3 s or three probe timeouts if that is more, after the one before | the next one waits | `ConnStats::key_updates` |
//! | 17 | replay window | 2048 packet numbers | older packet dropped | `DropReason::TooOld`, `DropReason::Duplicate` |
//! | 18, 21 | acknowledgement ranges | 64 kept, 32 sent, 64 parsed | oldest forgotten, rest ignored | - |
//! | 19 | acknowledgement of an unsent or skipped packet | 0 | closed with PROTOCOL_VIOLATION | - |
//! | 45 | [`EMPTY_PACKETS_PER_SECOND`] | 100 | acknowledged only after the delay, and counted | `ConnStats::empty_packets_over_bound` |
//! | 48 | acknowledgements at once on request | 1 per eighth of a round trip | acknowledged as usual | `ConnStats::ack_requests_over_bound` |
//! | 35 | paths of a connection, [`PATHS`] | 4 | the one longest unused is forgotten | - |
//! | 35 | proofs asked of a path, [`PATH_CHALLENGES`] | 3 | path given up; with none left, idle timeout | - |
//! | 35 | answers to path challenges, [`PATH_RESPONSES_PER_SECOND`] | 16, as many at once; 1 pending per path | ignored; of several the latest challenge is answered | `ConnStats::path_challenges_over_bound` |
//! | 36 | [`PATH_SWITCHES_PER_SECOND`], [`PATH_SWITCH_BURST`] | 2, 8 changes of path by the peer | its packets count, answers go where they went | `ConnStats::path_changes`, `ConnStats::path_switches_refused` |
//! | 36 | [`Bounds::path_switches_per_second`] | 1000, as many at once | its packets count, answers go where they went | `ConnStats::path_switches_refused` |
//! | 33 | connection ids of the peer, [`ACTIVE_CIDS`], [`CID_GAPS`] | 4; numbers in 16 runs | closed with CID_LIMIT | - |
//! | 34 | connection ids given up, not acknowledged, [`PENDING_RETIRED_CIDS`] | 12 | closed with CID_LIMIT | - |
//! | 33 | connection ids given to the peer, [`SPARE_CIDS`], [`NEW_CIDS_PER_SECOND`], [`NEW_CID_BURST`] | 2 spare, 4 per second, 16 at once | given later | - |
//! | - | [`ADDRESS_REPORTS_PER_SECOND`], [`ADDRESS_REPORT_BURST`] | 1, 8 per connection | ignored, and counted | `ConnStats::address_reports_over_bound` |
//! | - | [`NETWORKS_REMEMBERED`] | 8 per connection | the oldest forgotten | - |
//! | 22 | sent packets remembered | 65,536 | sending waits | - |
//! | 20 | skipped packet numbers remembered | 64, about one per window | oldest forgotten | - |
//! | - | probes for larger datagrams | 3 of each of 6 sizes, one at a time, while data fills datagrams | the search rests for 10 minutes | `ConnStats::mtu_probes_sent` |
//! | - | wait between probes | 3 s, or twice the probe timeout if longer | stops doubling | `ConnStats::probe_timeouts` |
//! | - | memory of sent packets while none is in flight | 256 packets | given back | - |
//! | 23 | [`Bounds::receive_memory`] | 1 GiB | 80 %: windows stop growing; 90 %: no new credit; 100 %: the connection with the most unread data closed with EXCESSIVE_LOAD | `ConnStats::receive_memory`, `EndpointStats::connections_closed` |
//! | 38 | packets kept to repair others | [`ConfigBuilder::fec_max_symbols`](super::ConfigBuilder::fec_max_symbols), and as many parity packets | the oldest forgotten; from 80 % of [`Bounds::receive_memory`] on none is kept | - |
//! | 38 | [`FEC_BLOCKS`], [`FEC_BLOCK_LIFETIME`] | 8 blocks that miss something, 1 s or two times the packets kept; 64 packets and 32 parity packets each | the oldest forgotten | - |
//! | - | [`FEC_REST`] | 2 s without a packet that is kept | memory given back | - |
//! | 38 | [`FEC_DECODES_PER_SECOND`], [`FEC_DECODE_BURST`] | 200, 20 per connection | not repaired, and counted | `FecStats::repairs_refused` |
//! | 38 | [`Bounds::decodes_per_second`], [`Bounds::decode_burst`] | 1000, 100, dealt to connections in turn | repair waits, and is counted if it comes to nothing | `FecStats::repairs_refused` |
//! | 39 | [`FEC_MALFORMED`] | 3 per connection | nothing is repaired any more | `FecStats::malformed` |
//! | - | bytes from one peer | none unless [`ConfigBuilder::rate_limit_bytes`](super::ConfigBuilder::rate_limit_bytes) | its credit waits | `ConnStats::credit_delays` |
//! | - | messages from one peer | none unless [`ConfigBuilder::rate_limit_messages`](super::ConfigBuilder::rate_limit_messages) | they wait unread, and its credit with them | `ConnStats::message_delays` |
//! | 24 | receive windows, [`MAX_RECEIVE_WINDOW`], [`MAX_STREAM_RECEIVE_WINDOW`] | 24 MiB, 6 MiB; from 64 KiB on | they stop growing; more than was granted: closed with FLOW_CONTROL | - |
//! | - | memory of a stream's received data | 2 windows; 256 KiB while it is empty | no credit; given back | `ConnStats::receive_memory` |
//! | 25 | gaps in a stream | max(256, window / 1200) | packet not accepted | `DropReason::Refused` |
//! | 26 | pieces remembered of a message stream | max(1024, window / 8) | packet not accepted | `DropReason::Refused` |
//! | 27 | partial messages of a connection | max(64, connection window / 1200) | packet not accepted | `DropReason::Refused` |
//! | 25, 26, 27 | packets not accepted | 1024 per second | closed with BUFFER_EXCEEDED | `DropReason::Refused` |
//! | 27 | message received | [`ConfigBuilder::max_message_size`](super::ConfigBuilder::max_message_size) | closed with MESSAGE_TOO_LARGE | - |
//! | 40 | compressed message received | [`ConfigBuilder::max_message_size`](super::ConfigBuilder::max_message_size), 255 times its LZ4 block and 64 bytes | closed with COMPRESSION when it is read | - |
//! | 40 | block of a compressed stream of bytes | 64 KiB, encoded and expanded, 255 times its LZ4 block and 64 bytes; one per stream is held while it is read, and one buffer per connection | closed with COMPRESSION when it is read | - |
//! | 28 | [`STREAMS_PER_TYPE`] | 100 | closed with STREAM_LIMIT | `ConnStats::streams_open` |
//! | 29 | streams that the peer resets | 200, then 50 per second | their places are given back later | `ConnStats::stream_places_delayed` |
//! | 30 | streams that are over | no memory: those below the latest of a type that are not open are over | frames for them are ignored | - |
//! | 31 | frames that move nothing (STOP_SENDING, early resets, BLOCKED, priorities) | 200 per second, 400 at once | priorities ignored; 4000 over: closed with EXCESSIVE_LOAD | `ConnStats::futile_frames_over_bound` |
//! | 32 | control frames to be sent | the latest value of each kind, per stream and connection | an earlier value is never sent again | - |
//! | - | BLOCKED frames sent | 20 per second, 20 at once | left out | - |
//! | - | credit before the server's parameters, [`FLOOR_MAX_DATA`], [`FLOOR_MAX_STREAM_DATA`], [`FLOOR_MAX_STREAMS`] | 16 KiB, 8 KiB, 4 of each type | sending and opening wait | `ConnStats::send_credit` |
//! | 42 | parameters | 2 KiB, 64 entries, once | closed with PARAMETER; of a client: no answer | `DropReason::Malformed` |
//! | 43 | [`REASON_LEN`] | 128 bytes | cut | - |
//! | 44 | frames that say nothing (STREAM without data or end, MSG without data), packets without frames | 0 | closed with PROTOCOL_VIOLATION | - |
//! | 49 | [`SEND_BUFFER`], [`STREAM_SEND_BUFFER`] | 16 MiB, 4 MiB, a message counts 32 bytes more | `SendError::Blocked` | `ConnStats::send_buffered` |
//! | 50 | best-effort queue, [`BEST_EFFORT_QUEUE_AGE`] | 100 ms, 1024 messages | oldest dropped as expired | - |
//! | 51 | untold outcomes | 1024 per connection | `SendError::Blocked` for tracked messages | - |
//! | 51 | untold events of streams | one of each kind per stream | - | - |
//! | 52 | silence | [`ConfigBuilder::idle_timeout`](super::ConfigBuilder::idle_timeout) | connection over | `EndpointStats::connections_closed` |
//! | 52 | closing and draining | 3 probe timeouts | freed; until then a peer that goes on is answered ever more rarely | `DropReason::Closed` |
//! | - | datagrams that other shards have brought (`driver`) | 1024 and 2 MiB per shard | datagram dropped and counted | `driver::Endpoint::handovers_dropped` |
//!
//! The first column is the row of specification section 7. A last column without a name says that nothing is counted:
//! what is forgotten there was of no use any more, or the end of the connection tells of it.
//!
//! Where the bounds are others than those of the specification: a server has one key, so that there are 2 key ids to
//! try and not 4 (2). Tombstones last 5 s (10). A client beyond the bounds is refused silently, because a sealed refusal
//! would cost two key exchanges (13). A peer that resets streams gets no more places than it should have, and cannot be
//! ten times over (29). There are no ranges of streams that are over, since opening a stream opens all below it (30).
//! Address tokens have at most 64 bytes (41). Events are flags, so that only outcomes of messages need a bound (51).

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
