//! What an endpoint does for others per second (rows 3, 4, 5, 9, 36 and 47 of the table in specification section 7).

use core::time::Duration;

use super::prefix::{PerPrefixRate, Prefix};
use crate::bucket::Bucket;
use crate::config::bounds::Bounds;
use crate::map::KeyedHash;
use crate::time::Instant;

/// The budgets of one endpoint.
pub(super) struct Budgets {
    /// Handshakes begun.
    pub(super) kem: Bucket,
    /// Attempts without a token that an adaptive server lets in.
    pub(super) tokenless: Bucket,
    pub(super) retries: Bucket,
    key_infos: Bucket,
    key_infos_per_prefix: PerPrefixRate,
    /// Seals opened for addresses without proof. First fragments have a bucket of their own: they alone are answered by
    /// RETRY, and a flood of others must not keep a client from getting one.
    first_seals: Bucket,
    other_seals: Bucket,
    scarce_until: Instant,
    /// Version negotiation packets.
    pub(super) versions: Bucket,
    /// Connections that follow their peers to other addresses.
    pub(super) path_switches: Bucket,
}

/// How long a flood of fragments is remembered. An adaptive server opens none of strangers' in this time, so that the
/// bucket is soon full again although the flood goes on.
const SCARCITY: Duration = Duration::from_secs(1);

impl Budgets {
    pub(super) fn new(bounds: &Bounds, hash: KeyedHash) -> Self {
        let bucket = |rate, burst| Bucket::new(Instant::ZERO, rate, burst);
        let seals = bucket(bounds.seal_openings_per_second, bounds.seal_opening_burst);
        Self {
            kem: bucket(bounds.kem_jobs_per_second, bounds.kem_burst),
            tokenless: bucket(bounds.tokenless_per_second, bounds.tokenless_burst),
            retries: bucket(bounds.retries_per_second, bounds.retries_per_second),
            key_infos: bucket(bounds.key_infos_per_second, bounds.key_infos_per_second),
            key_infos_per_prefix: PerPrefixRate::new(hash, bounds.key_infos_per_prefix, bounds.key_infos_per_prefix),
            first_seals: seals,
            other_seals: seals,
            scarce_until: Instant::ZERO,
            versions: bucket(bounds.version_negotiations_per_second, bounds.version_negotiations_per_second),
            path_switches: bucket(bounds.path_switches_per_second, bounds.path_switches_per_second),
        }
    }

    /// Takes the opening of one seal of a fragment with this index.
    pub(super) fn take_seal(&mut self, now: Instant, index: u8) -> bool {
        if index == 0 {
            return self.first_seals.take(now);
        }
        let taken = self.other_seals.take(now);
        if self.other_seals.is_low() {
            self.scarce_until = now + SCARCITY;
        }
        taken
    }

    /// Whether strangers' fragments beyond the first are about to be left unopened, or were a moment ago: who has no
    /// token will not get its message through.
    pub(super) fn seals_are_scarce(&self, now: Instant) -> bool {
        now < self.scarce_until
    }

    /// Takes one KEYINFO to this network.
    pub(super) fn take_key_info(&mut self, now: Instant, prefix: Prefix) -> bool {
        self.key_infos_per_prefix.take(now, prefix, &mut self.key_infos)
    }
}
