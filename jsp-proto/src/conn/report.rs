//! What a connection says about itself.

use super::Connection;
use crate::crypto::kdf;
use crate::stats::ConnStats;
use crate::stream::Streams;
use crate::time::Instant;

impl Connection {
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(crate) fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// For reading, which gives credit by the time.
    pub(crate) fn streams_at(&mut self, now: Instant) -> &mut Streams {
        self.streams.at(now);
        &mut self.streams
    }

    /// Whether data flows in both directions.
    pub(crate) fn is_connected(&self) -> bool {
        self.life.is_live() && self.secure.is_some() && self.server.is_none() && self.params_due.is_none()
    }

    pub(crate) fn protocol(&self) -> &[u8] {
        &self.protocol
    }

    pub(crate) fn stats(&self) -> ConnStats {
        let mut stats = self.stats;
        let streams = self.streams.stats();
        stats.streams_open = streams.open;
        stats.send_buffered = streams.send_buffered;
        stats.send_credit = streams.send_credit;
        stats.bytes_retransmitted = streams.retransmitted;
        stats.credit_delays = streams.credit_delays;
        stats.message_delays = streams.message_delays;
        stats.futile_frames_over_bound = streams.futile;
        stats.stream_places_delayed = streams.places_delayed;
        stats.compressions_tried = streams.compression.tried;
        stats.messages_compressed = streams.compression.packed;
        stats.bytes_before_compression = streams.compression.before;
        stats.bytes_after_compression = streams.compression.after;
        stats.receive_memory = self.receive_memory();
        stats.rtt = self.config.transport.initial_rtt;
        if let Some(secure) = &self.secure {
            let recovery = &secure.recovery;
            stats.rtt = recovery.srtt();
            stats.latest_rtt = recovery.has_rtt().then(|| recovery.latest_rtt());
            stats.min_rtt = recovery.has_rtt().then(|| recovery.min_rtt());
            stats.rtt_variation = recovery.rtt_var();
            stats.pacing_rate = recovery.pacing_rate();
            stats.congestion_window = recovery.cwnd();
            stats.bytes_in_flight = recovery.bytes_in_flight();
            stats.packets_sent = recovery.sent_packets();
            stats.packets_lost = recovery.lost_packets();
            stats.packets_lost_spuriously = recovery.late_packets();
            stats.probe_timeouts_in_row = recovery.pto_count();
            stats.mtu_probes_sent = recovery.mtu().probes();
            stats.mtu_black_holes = recovery.mtu().black_holes();
            stats.ecn_capable = recovery.is_ecn_capable();
            stats.ack_requests_over_bound = secure.acks.requests_over_bound();
            stats.key_updates = secure.keys.updates();
            stats.key_phase = secure.keys.phase();
            if let Some(fec) = &secure.fec_tx {
                fec.add_stats(&mut stats.fec);
            }
            stats.fec.loss_ppm = (recovery.path_loss().rate * 1e6) as u32;
        }
        stats
    }

    pub(crate) fn export_key(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Option<()> {
        let secure = self.secure.as_ref()?;
        kdf::exporter(&secure.exporter, label, context, out).ok()
    }
}
