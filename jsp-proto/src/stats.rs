//! Counters. They only grow, cost an addition each, and name every reason for which a datagram is dropped.

use core::fmt;
use core::time::Duration;

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a datagram was dropped. Nothing that arrives is dropped without being counted under one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A short name for metrics, in snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// No bytes, or from this endpoint's own address.
    Empty = "empty",
    /// The header cannot be parsed or a length is out of bounds.
    Malformed = "malformed",
    /// A version this endpoint does not speak.
    Version = "version",
    /// No connection has this connection id.
    UnknownConnection = "unknown_connection",
    /// A kind of packet that this endpoint or this connection does not expect now.
    Unexpected = "unexpected",
    /// The outer seal of a handshake packet opened under no key id.
    Seal = "seal",
    /// The inner seal of a handshake message failed.
    InnerSeal = "inner_seal",
    /// A fragment that contradicts or repeats stored ones.
    Fragment = "fragment",
    /// A replay of a finished or failed handshake.
    Tombstone = "tombstone",
    /// A bound on handshakes was reached.
    HandshakeLimit = "handshake_limit",
    /// A bound on answers was reached.
    AnswerLimit = "answer_limit",
    /// The address token is invalid.
    Token = "token",
    /// Kept 1-RTT datagrams had no more room before the handshake was done.
    TooEarly = "too_early",
    /// The packet failed authentication.
    Aead = "aead",
    /// The packet number was seen before.
    Duplicate = "duplicate",
    /// The packet number is older than the replay window.
    TooOld = "too_old",
    /// The key phase is not one this connection uses.
    KeyPhase = "key_phase",
    /// From an address that the connection does not use and its peer may not move to.
    Address = "address",
    /// A bound on gaps or partial messages was reached; the peer will send the data again.
    Refused = "refused",
    /// The connection is closed or closing.
    Closed = "closed",
    /// The bound on opening seals for unproven addresses was reached.
    SealLimit = "seal_limit",
}

const REASONS: usize = DropReason::ALL.len();

/// What an endpoint has done so far.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Datagrams handed in.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Of these, datagrams that belong to another [`Shard`](crate::Shard) and were left for it. They are no drops; when
    /// they are brought to their shard they count as received there.
    pub datagrams_foreign: u64,
    /// Datagrams given out.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Connections that reached confirmation, both sides.
    pub connections_confirmed: u64,
    /// Connections that ended, for whatever reason.
    pub connections_closed: u64,
    /// Handshakes whose public-key work was begun.
    pub handshakes_started: u64,
    /// Clients refused by the program or by policy.
    pub handshakes_refused: u64,
    /// Seals of fragments and key requests that were opened, or tried, for addresses without a valid token.
    pub seal_openings: u64,
    /// RETRY answers sent.
    pub retries_sent: u64,
    /// KEYINFO answers sent.
    pub key_infos_sent: u64,
    /// Peers told that their connection is lost.
    pub resets_sent: u64,
    /// Connections that ended because their peer said so.
    pub resets_received: u64,
    /// Clients of another version told which one is spoken here.
    pub version_negotiations_sent: u64,
    /// Address tokens for later connections that were given to clients.
    pub tokens_issued: u64,
    /// Attempts that began with an address token of either kind that proved the client's address.
    pub tokens_accepted: u64,
    /// Datagrams with an address token that proved nothing: expired, used, of another address or key, or made up.
    pub tokens_rejected: u64,
    drops: [u64; REASONS],
}

impl Default for EndpointStats {
    fn default() -> Self {
        Self {
            datagrams_received: 0,
            bytes_received: 0,
            datagrams_foreign: 0,
            datagrams_sent: 0,
            bytes_sent: 0,
            connections_confirmed: 0,
            connections_closed: 0,
            handshakes_started: 0,
            handshakes_refused: 0,
            seal_openings: 0,
            retries_sent: 0,
            key_infos_sent: 0,
            resets_sent: 0,
            resets_received: 0,
            version_negotiations_sent: 0,
            tokens_issued: 0,
            tokens_accepted: 0,
            tokens_rejected: 0,
            drops: [0; REASONS],
        }
    }
}

impl EndpointStats {
    /// Datagrams dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many datagrams were dropped for each reason, reasons that never came up included. With the
    /// [names](DropReason::name) of the reasons that is what a collector of metrics wants:
    ///
    /// ```
    /// use jsp_proto::{Config, Endpoint, Entropy};
    ///
    /// let endpoint = Endpoint::new(Config::default().into(), Entropy::new([7; 32]));
    /// for (reason, count) in endpoint.stats().drops() {
    ///     println!("jsp_dropped_total{{reason=\"{}\"}} {count}", reason.name());
    /// }
    /// ```
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + use<> {
        DropReason::ALL.iter().copied().zip(self.drops)
    }

    /// Datagrams dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        if let Some(counter) = self.drops.get_mut(reason as usize) {
            *counter += 1;
        }
    }
}

impl fmt::Debug for EndpointStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointStats")
            .field("datagrams_received", &self.datagrams_received)
            .field("datagrams_foreign", &self.datagrams_foreign)
            .field("datagrams_sent", &self.datagrams_sent)
            .field("connections_confirmed", &self.connections_confirmed)
            .field("connections_closed", &self.connections_closed)
            .field("drops", &Drops(self))
            .finish_non_exhaustive()
    }
}

struct Drops<'a>(&'a EndpointStats);

impl fmt::Debug for Drops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.0.drops().filter(|&(_, count)| count > 0);
        f.debug_map().entries(seen.map(|(reason, count)| (reason.name(), count))).finish()
    }
}

/// The state of one connection in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnStats {
    /// Smoothed round-trip time; the configured initial value before the first sample.
    pub rtt: Duration,
    /// The last round-trip sample, the peer's acknowledgement delay included; `None` before the first one.
    pub latest_rtt: Option<Duration>,
    /// Smallest round-trip sample of the last 5 to 10 minutes; `None` before the first one.
    pub min_rtt: Option<Duration>,
    /// How much round-trip samples differ from `rtt` on average; zero before the handshake is done.
    pub rtt_variation: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// The rate at which packets are spread over a round trip, in bytes per second; 0 before the handshake is done.
    pub pacing_rate: u64,
    /// Bytes sent and neither acknowledged nor lost.
    pub bytes_in_flight: u64,
    /// Datagrams sent, handshake included.
    pub datagrams_sent: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// Datagrams that authenticated.
    pub datagrams_received: u64,
    /// Bytes of UDP payload in them.
    pub bytes_received: u64,
    /// Datagrams of this connection that were dropped.
    pub datagrams_dropped: u64,
    /// Packets sent, those of the handshake not included: what `packets_lost` is a part of.
    pub packets_sent: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost that arrived after all.
    pub packets_lost_spuriously: u64,
    /// Bytes of stream data that were written into packets again, after a loss or in a probe.
    pub bytes_retransmitted: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Probe timeouts since the peer last acknowledged something. Above 2 or 3 the path is probably gone.
    pub probe_timeouts_in_row: u32,
    /// Whether the path has proved to carry congestion marks (ECN).
    pub ecn_capable: bool,
    /// Received packets that carried a congestion mark.
    pub ce_received: u64,
    /// Received packets with nothing but PING and PADDING, beyond the
    /// [bound](crate::config::bounds::EMPTY_PACKETS_PER_SECOND) up to which they are answered at once.
    pub empty_packets_over_bound: u64,
    /// Requests of the peer for an acknowledgement at once that came too soon after the one before, and were
    /// acknowledged as usual.
    pub ack_requests_over_bound: u64,
    /// Frames of the peer that moved nothing (STOP_SENDING, early resets, BLOCKED, priorities), beyond the
    /// [bound](crate::config::bounds) on their rate.
    pub futile_frames_over_bound: u64,
    /// Streams that the peer has reset and whose places it gets back later, because it resets so many
    /// ([bounds](crate::config::bounds)).
    pub stream_places_delayed: u64,
    /// Questions of the peer whether a path works, beyond the
    /// [bound](crate::config::bounds::PATH_RESPONSES_PER_SECOND), which were ignored.
    pub path_challenges_over_bound: u64,
    /// Changes of the path, back and forth included.
    pub path_changes: u64,
    /// Packets of the peer from elsewhere that this side did not follow, because it moves too often.
    pub path_switches_refused: u64,
    /// Key updates of both sides that the peer has taken part in.
    pub key_updates: u64,
    /// The key phase, counted from 0: one more than `key_updates` while the peer is still to follow an update.
    pub key_phase: u64,
    /// Words of the peer about this side's address beyond the
    /// [bound](crate::config::bounds::ADDRESS_REPORTS_PER_SECOND), which were ignored.
    pub address_reports_over_bound: u64,
    /// PINGs sent to keep the connection alive.
    pub keep_alive_pings: u64,
    /// The largest datagram sent on the path, in bytes of UDP payload.
    pub datagram_size: u16,
    /// Datagrams of padding sent to find out whether the path carries larger ones. They count as sent, never as lost.
    pub mtu_probes_sent: u64,
    /// How often datagrams became small again because larger ones did not get through any more.
    pub mtu_black_holes: u64,
    /// Time from the first datagram of the handshake until it was complete on this side; `None` before.
    pub handshake_time: Option<Duration>,
    /// Streams that exist now, of both sides.
    pub streams_open: u64,
    /// Bytes accepted for sending and not settled yet, 32 per message included.
    pub send_buffered: u64,
    /// Bytes of stream data that the peer still lets this side send, over all streams.
    pub send_credit: u64,
    /// Bytes of memory held for received data.
    pub receive_memory: u64,
    /// Times that a [rate limit](crate::ConfigBuilder::rate_limit_bytes) began to hold back credit for the peer that it
    /// would have got otherwise.
    pub credit_delays: u64,
    /// Times that a reader was told to wait for a message that was there, because of a
    /// [rate limit](crate::ConfigBuilder::rate_limit_messages).
    pub message_delays: u64,
    /// Messages, and blocks of streams of bytes, on which compression was tried; those that it hardly made smaller were
    /// sent as they were.
    pub compressions_tried: u64,
    /// Messages and blocks that were compressed.
    pub messages_compressed: u64,
    /// Bytes of these as the program gave them.
    pub bytes_before_compression: u64,
    /// Bytes of these as they are sent.
    pub bytes_after_compression: u64,
    /// What error correction did, in both directions.
    pub fec: FecStats,
}

/// Forward error correction of one connection in numbers (specification section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FecStats {
    /// Packets sent under the protection of parity.
    pub sources_sent: u64,
    /// Parity packets sent.
    pub parity_sent: u64,
    /// Bytes of UDP payload in them.
    pub parity_bytes_sent: u64,
    /// Packets sent that the peer has repaired.
    pub repaired_by_peer: u64,
    /// Protected packets that were lost and not repaired, or not in time: their data was sent again or given up.
    pub unrepaired: u64,
    /// Protected packets received.
    pub sources_received: u64,
    /// Parity packets received.
    pub parity_received: u64,
    /// Of these, those that were of no use: nothing was missing, or too much.
    pub parity_unused: u64,
    /// Packets of the peer that were repaired.
    pub repaired: u64,
    /// Repairs that were possible and not made, because too many were asked for at once
    /// ([bounds](crate::config::bounds)).
    pub repairs_refused: u64,
    /// Repaired packets that made no sense. After three of them nothing is repaired any more.
    pub malformed: u64,
    /// The loss that [`Fec::Auto`](crate::Fec) counts on, in millionths of the packets sent.
    pub loss_ppm: u32,
    /// Packets per block, as the latest block was begun; 0 while nothing is protected.
    pub block_sources: u8,
    /// Parity packets per block.
    pub block_parity: u8,
    /// Blocks that packets are dealt to in turn, against bursts of losses.
    pub interleaving: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn each_drop_is_found_under_its_reason() {
        let mut stats = EndpointStats::default();
        for (times, &reason) in DropReason::ALL.iter().enumerate() {
            (0..times).for_each(|_| stats.count_drop(reason));
        }
        let expected: Vec<_> = DropReason::ALL.iter().copied().zip(0..).collect();
        assert_eq!(stats.drops().collect::<Vec<_>>(), expected);
        assert!(stats.drops().all(|(reason, count)| stats.dropped(reason) == count));
        assert_eq!(stats.dropped_total(), expected.iter().map(|&(_, count)| count).sum::<u64>());
    }
}
