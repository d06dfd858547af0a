//! Counters.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;

use jsp_proto::{Conn, DropReason};

use crate::conn::look;
use crate::endpoint::{Inner, JspEndpoint, with};
use crate::memory::{Sized32, write};
use crate::status::JspError;
use crate::time::nanos;

/// Room for reasons of drops. `jsp_drop_reason_name` tells which there are.
pub const JSP_DROP_REASONS: usize = 32;

/// What an endpoint has done so far. Counters only grow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspEndpointStats {
    /// `sizeof(JspEndpointStats)`.
    pub size: u32,
    /// Connections there are now.
    pub connections: u32,
    /// Datagrams given to `jsp_endpoint_receive`.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams that `jsp_endpoint_poll` gave out.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Connections that both sides confirmed.
    pub connections_confirmed: u64,
    /// Connections that ended.
    pub connections_closed: u64,
    /// Handshakes whose public-key work was begun.
    pub handshakes_started: u64,
    /// Clients refused.
    pub handshakes_refused: u64,
    /// Clients asked to prove their address.
    pub retries_sent: u64,
    /// Answers with the server's key.
    pub key_infos_sent: u64,
    /// Datagrams dropped for any reason.
    pub dropped_total: u64,
    /// Datagrams dropped, by reason.
    pub dropped: [u64; JSP_DROP_REASONS],
    /// Seals that were opened, or tried, for addresses without a valid token.
    pub seal_openings: u64,
    /// Peers told that their connection is lost.
    pub resets_sent: u64,
    /// Connections that ended because their peer said so.
    pub resets_received: u64,
    /// Clients of another version told which one is spoken here.
    pub version_negotiations_sent: u64,
    /// Address tokens for later connections that were given to clients.
    pub tokens_issued: u64,
    /// Attempts that began with a token that proved the client's address.
    pub tokens_accepted: u64,
    /// Datagrams with a token that proved nothing: expired, used, of another address or key, or made up.
    pub tokens_rejected: u64,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspEndpointStats {
    const FIRST: usize = offset_of!(Self, seal_openings);
}

/// One connection in numbers. What is not known yet is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspConnStats {
    /// `sizeof(JspConnStats)`.
    pub size: u32,
    /// Probe timeouts since the peer last acknowledged something. Above 2 or 3 the path is probably gone.
    pub probe_timeouts_in_row: u32,
    /// Smoothed round-trip time.
    pub rtt_ns: u64,
    /// The last sample of it.
    pub latest_rtt_ns: u64,
    /// The smallest sample of the last minutes.
    pub min_rtt_ns: u64,
    /// How much samples differ on average.
    pub rtt_variation_ns: u64,
    /// Bytes that may be in flight.
    pub congestion_window: u64,
    /// Bytes per second over which packets are spread.
    pub pacing_rate: u64,
    /// Bytes sent and neither acknowledged nor lost.
    pub bytes_in_flight: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Datagrams that authenticated.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams of this connection that were dropped.
    pub datagrams_dropped: u64,
    /// Packets sent after the handshake.
    pub packets_sent: u64,
    /// Of these, declared lost.
    pub packets_lost: u64,
    /// Of these, arrived after all.
    pub packets_lost_spuriously: u64,
    /// Bytes of stream data written into packets again.
    pub bytes_retransmitted: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Received packets with a mark of congestion.
    pub ce_received: u64,
    /// How long the handshake took.
    pub handshake_time_ns: u64,
    /// Streams there are now, of both sides.
    pub streams_open: u64,
    /// Bytes accepted for sending and not settled.
    pub send_buffered: u64,
    /// Bytes that the peer still lets this side send.
    pub send_credit: u64,
    /// Bytes of memory for received data.
    pub receive_memory: u64,
    /// The largest datagram sent on the path.
    pub datagram_size: u32,
    /// 1 if the path carries marks of congestion (ECN).
    pub ecn_capable: u32,
    /// Messages, and blocks of streams of bytes, on which compression was tried.
    pub compressions_tried: u64,
    /// Of these, sent compressed.
    pub messages_compressed: u64,
    /// Bytes of what was compressed before.
    pub bytes_before_compression: u64,
    /// Bytes of what was compressed after.
    pub bytes_after_compression: u64,
    /// Packets sent under the protection of parity.
    pub fec_sources_sent: u64,
    /// Parity packets sent.
    pub fec_parity_sent: u64,
    /// Bytes of UDP payload in them.
    pub fec_parity_bytes_sent: u64,
    /// Packets sent that the peer has repaired.
    pub fec_repaired_by_peer: u64,
    /// Protected packets that were lost and not repaired, or not in time.
    pub fec_unrepaired: u64,
    /// Protected packets received.
    pub fec_sources_received: u64,
    /// Parity packets received.
    pub fec_parity_received: u64,
    /// Of these, of no use: nothing was missing, or too much.
    pub fec_parity_unused: u64,
    /// Packets of the peer that were repaired.
    pub fec_repaired: u64,
    /// Repairs that were possible and not made, because there were too many at once.
    pub fec_repairs_refused: u64,
    /// Repaired packets that made no sense.
    pub fec_malformed: u64,
    /// The loss that `JSP_FEC_AUTO` counts on, in millionths of the packets sent.
    pub fec_loss_ppm: u32,
    /// Packets per block, as the latest was begun; 0 while nothing is protected.
    pub fec_block_sources: u32,
    /// Parity packets per block.
    pub fec_block_parity: u32,
    /// Blocks that packets are dealt to in turn, against losses in bursts.
    pub fec_interleaving: u32,
    /// Times that a rate limit began to hold back credit for the peer.
    pub credit_delays: u64,
    /// Times that a reader was told to wait for a message that was there, because of a rate limit.
    pub message_delays: u64,
    /// Datagrams of padding sent to find out whether the path carries larger ones.
    pub mtu_probes_sent: u64,
    /// How often datagrams became small again because larger ones did not get through any more.
    pub mtu_black_holes: u64,
    /// PINGs sent to keep the connection alive.
    pub keep_alive_pings: u64,
    /// Changes of the path, back and forth included.
    pub path_changes: u64,
    /// Packets of the peer from elsewhere that this side did not follow, because it moves too often.
    pub path_switches_refused: u64,
    /// Key updates of both sides that the peer has taken part in.
    pub key_updates: u64,
    /// The key phase, counted from 0: one more than `key_updates` while the peer is still to follow an update.
    pub key_phase: u64,
}

// SAFETY: a `u32` first; numbers take any bits.
unsafe impl Sized32 for JspConnStats {
    const FIRST: usize = offset_of!(Self, compressions_tried);
}

/// The counters of an endpoint.
///
/// # Safety
/// `stats` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_stats(endpoint: *mut JspEndpoint, stats: *mut JspEndpointStats) -> JspError {
    let work = |endpoint: &mut Inner| {
        let from = endpoint.proto.stats();
        let mut dropped = [0; JSP_DROP_REASONS];
        for (count, &reason) in dropped.iter_mut().zip(DropReason::ALL) {
            *count = from.dropped(reason);
        }
        let value = JspEndpointStats {
            size: 0,
            connections: u32::try_from(endpoint.proto.connections()).unwrap_or(u32::MAX),
            datagrams_received: from.datagrams_received,
            bytes_received: from.bytes_received,
            datagrams_sent: from.datagrams_sent,
            bytes_sent: from.bytes_sent,
            connections_confirmed: from.connections_confirmed,
            connections_closed: from.connections_closed,
            handshakes_started: from.handshakes_started,
            handshakes_refused: from.handshakes_refused,
            retries_sent: from.retries_sent,
            key_infos_sent: from.key_infos_sent,
            dropped_total: from.dropped_total(),
            dropped,
            seal_openings: from.seal_openings,
            resets_sent: from.resets_sent,
            resets_received: from.resets_received,
            version_negotiations_sent: from.version_negotiations_sent,
            tokens_issued: from.tokens_issued,
            tokens_accepted: from.tokens_accepted,
            tokens_rejected: from.tokens_rejected,
        };
        // SAFETY: the caller's promise.
        unsafe { write(stats, &value) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// How many reasons there are. The order of reasons may be another one in another version; their names stay.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_drop_reason_count() -> u32 {
    NAMES.len() as u32
}

/// The name of the reason with this index in `dropped`, such as `malformed`; `NULL` beyond the last. Lives as long as the
/// library.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_drop_reason_name(index: u32) -> *const c_char {
    NAMES.get(index as usize).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// The names of all reasons in their order, with a zero byte at their ends.
const NAMES: &[&CStr] = &[
    c"empty",
    c"malformed",
    c"version",
    c"unknown_connection",
    c"unexpected",
    c"seal",
    c"inner_seal",
    c"fragment",
    c"tombstone",
    c"handshake_limit",
    c"answer_limit",
    c"token",
    c"too_early",
    c"aead",
    c"duplicate",
    c"too_old",
    c"key_phase",
    c"address",
    c"refused",
    c"closed",
    c"seal_limit",
];

/// One connection in numbers.
///
/// Errors: `JSP_ERROR_NO_CONNECTION`.
///
/// # Safety
/// `stats` may be written for as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_conn_stats(
    endpoint: *mut JspEndpoint,
    connection: u64,
    stats: *mut JspConnStats,
) -> JspError {
    let work = |conn: Conn<'_>| {
        let value = JspConnStats::from(&conn.stats());
        // SAFETY: the caller's promise.
        unsafe { write(stats, &value) }
    };
    // SAFETY: the caller's promise.
    unsafe { look(endpoint, connection, work) }
}

impl From<&jsp_proto::ConnStats> for JspConnStats {
    fn from(from: &jsp_proto::ConnStats) -> Self {
        let fec = &from.fec;
        Self {
            size: 0,
            probe_timeouts_in_row: from.probe_timeouts_in_row,
            rtt_ns: nanos(from.rtt),
            latest_rtt_ns: from.latest_rtt.map_or(0, nanos),
            min_rtt_ns: from.min_rtt.map_or(0, nanos),
            rtt_variation_ns: nanos(from.rtt_variation),
            congestion_window: from.congestion_window,
            pacing_rate: from.pacing_rate,
            bytes_in_flight: from.bytes_in_flight,
            datagrams_sent: from.datagrams_sent,
            bytes_sent: from.bytes_sent,
            datagrams_received: from.datagrams_received,
            bytes_received: from.bytes_received,
            datagrams_dropped: from.datagrams_dropped,
            packets_sent: from.packets_sent,
            packets_lost: from.packets_lost,
            packets_lost_spuriously: from.packets_lost_spuriously,
            bytes_retransmitted: from.bytes_retransmitted,
            probe_timeouts: from.probe_timeouts,
            ce_received: from.ce_received,
            handshake_time_ns: from.handshake_time.map_or(0, nanos),
            streams_open: from.streams_open,
            send_buffered: from.send_buffered,
            send_credit: from.send_credit,
            receive_memory: from.receive_memory,
            datagram_size: u32::from(from.datagram_size),
            ecn_capable: u32::from(from.ecn_capable),
            compressions_tried: from.compressions_tried,
            messages_compressed: from.messages_compressed,
            bytes_before_compression: from.bytes_before_compression,
            bytes_after_compression: from.bytes_after_compression,
            fec_sources_sent: fec.sources_sent,
            fec_parity_sent: fec.parity_sent,
            fec_parity_bytes_sent: fec.parity_bytes_sent,
            fec_repaired_by_peer: fec.repaired_by_peer,
            fec_unrepaired: fec.unrepaired,
            fec_sources_received: fec.sources_received,
            fec_parity_received: fec.parity_received,
            fec_parity_unused: fec.parity_unused,
            fec_repaired: fec.repaired,
            fec_repairs_refused: fec.repairs_refused,
            fec_malformed: fec.malformed,
            fec_loss_ppm: fec.loss_ppm,
            fec_block_sources: u32::from(fec.block_sources),
            fec_block_parity: u32::from(fec.block_parity),
            fec_interleaving: u32::from(fec.interleaving),
            credit_delays: from.credit_delays,
            message_delays: from.message_delays,
            mtu_probes_sent: from.mtu_probes_sent,
            mtu_black_holes: from.mtu_black_holes,
            keep_alive_pings: from.keep_alive_pings,
            path_changes: from.path_changes,
            path_switches_refused: from.path_switches_refused,
            key_updates: from.key_updates,
            key_phase: from.key_phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_room_and_its_name() {
        assert!(DropReason::ALL.len() <= JSP_DROP_REASONS);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            let name = jsp_drop_reason_name(index as u32);
            assert!(!name.is_null(), "{}", reason.name());
            // SAFETY: a text of this library.
            assert_eq!(unsafe { CStr::from_ptr(name) }.to_str(), Ok(reason.name()));
        }
        assert_eq!(jsp_drop_reason_count() as usize, DropReason::ALL.len());
        assert!(jsp_drop_reason_name(jsp_drop_reason_count()).is_null());
        assert!(jsp_drop_reason_name(u32::MAX).is_null());
    }
}
