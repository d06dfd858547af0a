//! How often a connection changes its keys (specification section 3.6).

use core::time::Duration;

use super::{ConfigBuilder, ConfigError, check};

/// When a connection starts a key update by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyUpdates {
    /// Packets sent under one key.
    pub(crate) packets: u64,
    /// Age of a key with which a packet is to be sent.
    pub(crate) age: Duration,
}

impl Default for KeyUpdates {
    fn default() -> Self {
        Self { packets: 1 << 22, age: Duration::from_secs(600) }
    }
}

impl KeyUpdates {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check((16..=1 << 40).contains(&self.packets), "key_update_packets is 16 to 2^40")?;
        let ages = Duration::from_secs(3)..=Duration::from_secs(24 * 3600);
        check(ages.contains(&self.age), "key_update_age is 3 s to 24 h")
    }
}

impl ConfigBuilder {
    /// Packets after which a connection changes its keys, 16 to 2^40. Whoever learns its keys at some time cannot read
    /// what was sent under earlier ones. Two updates are at least 3 s or three probe timeouts apart, however small this
    /// is. The peer follows, so that the smaller setting of both sides counts. Default: 2^22.
    pub fn key_update_packets(mut self, packets: u64) -> Self {
        self.config.transport.keys.packets = packets;
        self
    }

    /// Age at which a connection changes its keys, 3 s to 24 h. That happens when the next packet is sent: a silent
    /// connection is not woken for it. Default: 10 minutes.
    pub fn key_update_age(mut self, age: Duration) -> Self {
        self.config.transport.keys.age = age;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn intervals_have_bounds() {
        let builds = |packets, age| Config::builder().key_update_packets(packets).key_update_age(age).build().is_ok();
        let (three, day) = (Duration::from_secs(3), Duration::from_secs(24 * 3600));
        for (packets, age, valid) in [
            (16, three, true),
            (1 << 40, day, true),
            (15, three, false),
            ((1 << 40) + 1, three, false),
            (16, three - Duration::from_nanos(1), false),
            (16, day + Duration::from_nanos(1), false),
        ] {
            assert_eq!(builds(packets, age), valid, "{packets} packets, {age:?}");
        }
    }
}
