//! A connection that is made anew when it is lost: the part that needs no runtime. An adapter adds the waiting.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use std::vec::Vec;

use super::clock::Clock;
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::error::ConnectError;
use crate::entropy::Drbg;
use crate::{Breaker, BreakerConfig, ClientConfig, ConfigError, Entropy, Failure, Permit};

/// Holds the connection to a server, and makes it anew through a [`Breaker`] when it was lost. One caller at a time: an
/// adapter keeps it behind a lock of its runtime, and sleeps when it is told to.
pub struct Reconnect {
    endpoint: Endpoint,
    remotes: Vec<SocketAddr>,
    client: ClientConfig,
    breaker: Breaker,
    clock: Clock,
    random: Drbg,
    live: Option<Connection>,
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("remotes", &self.remotes)
            .field("breaker", &self.breaker)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

impl Reconnect {
    /// Connects from `endpoint` to the first of `remotes` that answers, whenever there is no connection.
    ///
    /// # Errors
    /// When the settings of the breaker are out of their bounds.
    pub fn new(
        endpoint: Endpoint,
        remotes: Vec<SocketAddr>,
        client: ClientConfig,
        breaker: BreakerConfig,
        entropy: Entropy,
    ) -> Result<Self, ConfigError> {
        let (breaker, random) = (Breaker::new(breaker)?, Drbg::new(&entropy));
        Ok(Self { endpoint, remotes, client, breaker, clock: Clock::new(), random, live: None })
    }

    /// The connection, if there is one that is not over.
    pub fn live(&mut self) -> Option<Connection> {
        match self.live.as_ref()?.close_reason() {
            None => self.live.clone(),
            Some(reason) => {
                self.live = None;
                self.breaker.ended(self.clock.now(), &reason, self.random.u64());
                None
            }
        }
    }

    /// How long the breaker asks to wait before the next attempt; `None` if it may begin.
    pub fn wait(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        match self.breaker.allows(now) {
            Ok(permit) => {
                self.breaker.cancelled(permit);
                None
            }
            Err(retry) => Some(retry.at - now),
        }
    }

    /// Makes one attempt, over all addresses. Dropping the future gives it up.
    ///
    /// # Errors
    /// Why it failed; [`ConnectError::BackOff`] if the breaker is open.
    pub async fn connect(&mut self) -> Result<Connection, ConnectError> {
        let now = self.clock.now();
        let permit = self.breaker.allows(now).map_err(|retry| ConnectError::BackOff { after: retry.at - now })?;
        let mut attempt = Attempt { breaker: &mut self.breaker, permit: Some(permit) };
        let result = self.endpoint.connect_any(self.remotes.iter().copied(), &self.client, |_| false).await;
        let (now, permit) = (self.clock.now(), attempt.permit.take());
        let Some(permit) = permit else { return result };
        match &result {
            Ok(connection) => {
                attempt.breaker.succeeded(now, permit);
                self.live = Some(connection.clone());
            }
            Err(error) => match failure(error) {
                Some(failure) => attempt.breaker.failed(now, permit, failure, self.random.u64()),
                None => attempt.breaker.cancelled(permit),
            },
        }
        result
    }
}

/// What an attempt that failed says about the next one; `None` if it says nothing about the server.
fn failure(error: &ConnectError) -> Option<Failure> {
    match error {
        ConnectError::Connection(error) => Failure::of(error),
        ConnectError::Io(_) => Some(Failure::Passing),
        ConnectError::Start(_) | ConnectError::BackOff { .. } => None,
    }
}

/// An attempt that is dropped hands its permit back.
struct Attempt<'a> {
    breaker: &'a mut Breaker,
    permit: Option<Permit>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.cancelled(permit);
        }
    }
}
