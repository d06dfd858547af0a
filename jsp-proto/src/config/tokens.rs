//! Address tokens of a server: their keys, and whether clients get some for later (specification section 2.9).

use core::time::Duration;

use super::{ConfigBuilder, ConfigError, check};

/// See the setters.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) key: Option<[u8; 32]>,
    pub(crate) secret: Option<[u8; 32]>,
    pub(crate) rotation: Duration,
    pub(crate) hand_out: bool,
    pub(crate) lifetime: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Tokens {
    fn default() -> Self {
        Self { key: None, secret: None, rotation: DAY, hand_out: true, lifetime: DAY }
    }
}

impl Tokens {
    /// Seconds that a token for a later connection is good for.
    pub(crate) fn lifetime_seconds(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check(self.rotation >= Duration::from_secs(60), "token_rotation is at least 1 minute")?;
        let lifetimes = Duration::from_secs(1)..=DAY.saturating_mul(30);
        check(lifetimes.contains(&self.lifetime), "token_lifetime is 1 s to 30 days")
    }
}

impl ConfigBuilder {
    /// The key of address tokens, 32 uniformly random bytes. It stays until
    /// [`Endpoint::set_token_keys`](crate::Endpoint::set_token_keys) gives another, for clusters that hand out their keys
    /// by means of their own; [`token_secret`](Self::token_secret) is less work. Default: none, keys take turns by
    /// themselves.
    pub fn token_key(mut self, key: [u8; 32]) -> Self {
        self.config.tokens.key = Some(key);
        self
    }

    /// The secret from which the keys of address tokens are derived, 32 uniformly random bytes, for servers behind one
    /// address that must accept each other's tokens. Each [period](Self::token_rotation) has its key, which all who
    /// share the secret and the [wall time](Self::unix_time_at_origin) have at the same time; whoever learns the secret
    /// has all of them. [`token_key`](Self::token_key) wins over it. Default: drawn from the endpoint's entropy.
    pub fn token_secret(mut self, secret: [u8; 32]) -> Self {
        self.config.tokens.secret = Some(secret);
        self
    }

    /// How long a derived key of address tokens is used, at least one minute; for as long again its tokens are
    /// accepted. Default: 24 h.
    pub fn token_rotation(mut self, period: Duration) -> Self {
        self.config.tokens.rotation = period;
        self
    }

    /// Whether the server gives each client that has proven its address a token, with which its next connection from
    /// the same IP address needs no further proof. Default: yes.
    pub fn new_tokens(mut self, hand_out: bool) -> Self {
        self.config.tokens.hand_out = hand_out;
        self
    }

    /// How long such a token is good for, 1 s to 30 days; never longer than two [periods](Self::token_rotation) of its
    /// key. Default: 24 h.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.tokens.lifetime = lifetime;
        self
    }
}
