//! Another socket under a running endpoint: how a device that has changed its network, or lost its socket, keeps its
//! connections.

use std::io;
use std::net::SocketAddr;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};

use super::state::Shared;

/// Puts another socket under a running [`Driver`](super::Driver); see there.
#[derive(Debug)]
pub struct Rebinder<R> {
    pub(super) replacement: Replacement<R>,
    pub(super) shared: Arc<Shared>,
}

impl<R> Clone for Rebinder<R> {
    fn clone(&self) -> Self {
        Self { replacement: self.replacement.clone(), shared: self.shared.clone() }
    }
}

impl<R> Rebinder<R> {
    /// Goes on with `reactor`, which is bound to `local`. The connections that this endpoint has made go over it from
    /// now on, and lose nothing; those it has accepted are lost, because their clients know the old address only. The
    /// old socket is closed.
    ///
    /// # Errors
    /// `NotConnected` when the endpoint has ended.
    pub fn rebind(&self, local: SocketAddr, reactor: R) -> io::Result<()> {
        self.replacement.put((local, reactor));
        let ended = self.shared.act(|state, _| state.ended.clone());
        match ended {
            Some(reason) => Err(io::Error::new(io::ErrorKind::NotConnected, String::from(reason))),
            None => Ok(()),
        }
    }
}

/// A socket on its way to the driver, with the address it is bound to.
#[derive(Debug)]
pub(super) struct Replacement<R>(Arc<Mutex<Option<(SocketAddr, R)>>>);

impl<R> Default for Replacement<R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<R> Clone for Replacement<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Replacement<R> {
    fn put(&self, socket: (SocketAddr, R)) {
        // One that the driver has not seen yet is not needed any more.
        let _older = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(socket);
    }

    pub(super) fn take(&self) -> Option<(SocketAddr, R)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
