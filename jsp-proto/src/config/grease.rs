//! Whether this side sends what means nothing, so that nobody comes to rely on its absence (specification section 3.9).

use super::ConfigBuilder;

impl ConfigBuilder {
    /// Whether to send now and then what every peer must ignore: a parameter that nobody knows, an extension frame in
    /// about one of 1000 packets that have room for it, and a random value for a bit of the header that used to be
    /// fixed, if the peer agrees. It costs a few bytes and keeps future versions possible. Off only to compare bytes.
    /// Default: on.
    pub fn grease(mut self, grease: bool) -> Self {
        self.config.transport.grease = grease;
        self
    }
}
