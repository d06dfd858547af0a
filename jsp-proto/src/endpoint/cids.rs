//! The connection ids of all connections (specification section 3.7): the endpoint makes them, because it finds
//! connections by them.

use super::Endpoint;
use crate::conn::Issued;
use crate::slab::Key;

impl Endpoint {
    /// Gives a connection the ids it wants for its peer, and forgets those that the peer has given up.
    pub(super) fn keep_cids(&mut self, key: Key) {
        let now = self.now;
        loop {
            let Some(entry) = self.connections.get_mut(key) else { return };
            while let Some(cid) = entry.connection.pop_retired_cid() {
                self.cids.remove(&cid);
            }
            if !entry.connection.wants_cid(now) {
                return;
            }
            let cid = self.fresh_cid();
            let reset_token = self.reset_key.reset_token(cid.as_slice());
            self.cids.insert(cid, key);
            if let Some(entry) = self.connections.get_mut(key) {
                entry.connection.issue_cid(Issued { cid, reset_token });
            }
        }
    }
}
