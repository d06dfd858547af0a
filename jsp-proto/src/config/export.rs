//! Whether secrets leave the connection at all (specification, part "key log").

use super::ConfigBuilder;

impl ConfigBuilder {
    /// Shows the secrets of each connection to the [observer](crate::Observer) of the endpoint, as
    /// [`Observation::Secret`](crate::Observation::Secret). Whoever has them and a recording of the datagrams reads all
    /// that was said, on either side and at any later time; key updates take nothing of that back. It is for debugging
    /// with data that may be lost to others, never for production. Without an observer nothing is shown. Default: off.
    pub fn danger_export_secrets_to_observer(mut self, export: bool) -> Self {
        self.config.export_secrets = export;
        self
    }
}
