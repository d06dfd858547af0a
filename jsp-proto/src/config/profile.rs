//! Settings that go together: a place to start from.

use core::time::Duration;

use super::{Compression, Config, ConfigBuilder, Fec, KeepAlive};

impl Config {
    /// For phones and other devices on networks that lose packets, change and are metered: error correction and
    /// compression where they pay, and connections that outlive a stay in a pocket.
    ///
    /// [`Fec::Auto`] with an overhead of up to 100 %, [`Compression::Adaptive`] in both directions,
    /// [`KeepAlive::Adaptive`], an idle timeout of 15 minutes. Compression leaks lengths: mind the warning at [`Compression`], and turn it off on streams it is about.
    pub fn mobile() -> ConfigBuilder {
        Self::builder()
            .fec(Fec::Auto)
            .fec_max_overhead(100)
            .compression(Compression::Adaptive)
            .accept_compressed(true)
            .keep_alive(KeepAlive::Adaptive)
            .idle_timeout(Duration::from_secs(900))
    }

    /// For games, calls and control, where a late message is worth nothing: error correction at once where packets are
    /// lost, at up to twice the traffic, and short queues.
    ///
    /// [`Fec::Auto`] with an overhead of up to 100 %, acknowledgements within 10 ms, best-effort messages that wait for
    /// the network for 50 ms at most.
    pub fn low_latency() -> ConfigBuilder {
        Self::builder()
            .fec(Fec::Auto)
            .fec_max_overhead(100)
            .max_ack_delay(Duration::from_millis(10))
            .max_queue_age(Duration::from_millis(50))
    }

    /// For backups, files and other large transfers, where only the rate counts: no error correction, and windows and
    /// buffers for long, fast paths.
    ///
    /// Receive windows that start at 4 MiB and grow to 64 MiB per connection and 32 MiB per stream; send buffers of
    /// 64 MiB and 32 MiB.
    pub fn bulk() -> ConfigBuilder {
        Self::builder()
            .receive_window(4 << 20, 2 << 20)
            .max_receive_window(64 << 20, 32 << 20)
            .send_buffer(64 << 20, 32 << 20)
    }
}
