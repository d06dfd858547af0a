//! Secrets on their way to the observer of a program that asked for them (part "key log" of the specification). Nothing
//! here exists in any other program's connections.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::Connection;
use crate::crypto::{KeyId, Secrets};
use crate::observe::{ExportedSecret, Observation, SecretLabel};
use crate::wire::{Cid, Side};

/// What the observer is to be shown at the end of the current call.
pub(super) struct Export {
    /// The client's connection id.
    id: Cid,
    /// The server's key as it was last shown.
    server_key: Option<KeyId>,
    /// Wiped as soon as they are shown.
    kept: Vec<(SecretLabel, Zeroizing<[u8; 32]>)>,
}

impl Export {
    pub(super) fn keep(&mut self, secrets: &Secrets) {
        let both = [(SecretLabel::ClientSecret, &secrets.client), (SecretLabel::ServerSecret, &secrets.server)];
        self.kept.extend(both.map(|(label, secret)| (label, Zeroizing::new(*secret.as_bytes()))));
    }

    pub(super) fn tell(&mut self, server_key: Option<KeyId>, tell: &mut dyn FnMut(&Observation<'_>)) {
        let id = self.id;
        let mut show = |label, secret: &[u8; 32]| {
            let secret = ExportedSecret::new(secret);
            tell(&Observation::Secret { label, id, secret });
        };
        if let Some(key) = server_key.filter(|_| server_key != self.server_key) {
            show(SecretLabel::ServerKeyId, key.as_bytes());
            self.server_key = server_key;
        }
        // Taken, not drained: the place where they stood is given back, too.
        for (label, secret) in core::mem::take(&mut self.kept) {
            show(label, &secret);
        }
    }
}

impl Connection {
    /// What a connection that is observed from now on needs to show its secrets; `None` unless the program allows it. A
    /// peer without a connection id has no name under which a tool could find them.
    pub(super) fn export(&self) -> Option<Export> {
        let id = match self.side {
            Side::Client => self.cids.local.first(),
            Side::Server => self.remote_cid(),
        };
        let shown = self.config.export_secrets && !id.is_empty();
        shown.then_some(Export { id, server_key: None, kept: Vec::new() })
    }

    /// The key that the server is held to, as far as it is known.
    pub(super) fn server_key(&self) -> Option<KeyId> {
        match self.side {
            Side::Client => self.client.as_ref().map_or(self.peer_key, |client| client.server_key_id()),
            Side::Server => self.config.server_key.as_ref().map(|key| key.public().key_id()),
        }
    }
}
