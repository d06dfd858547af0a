//! Whose a datagram is (specification sections 2.4, 3.1, 3.7 and 13 items 3, 8 and 10). Nothing here trusts a byte of
//! it.

use super::{Endpoint, Received, RecvMeta};
use crate::Ecn;
use crate::bucket::Bucket;
use crate::config::names_one;
use crate::conn::{Arrival, Connection, Path};
use crate::observe::Observation;
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::header::{
    HeaderError, LongHeader, LongType, decode_long, decode_version_negotiation, is_long, long_type,
};
use crate::wire::{Cid, Side};

/// What became of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    Replied,
    Dropped(DropReason),
    /// Dropped by a connection, which has noted it.
    DroppedInside(DropReason),
    /// Another shard's. The datagram is as it was.
    Foreign,
}

impl Endpoint {
    /// Takes datagrams from the socket. Bytes are decrypted in place; after the call their content means nothing.
    ///
    /// Hostile or broken datagrams are dropped and counted in [`EndpointStats`](crate::EndpointStats); nothing that
    /// arrives is an error.
    pub fn handle_datagram(&mut self, now: Instant, meta: RecvMeta, bytes: &mut [u8]) -> Received {
        let now = self.advance(now);
        let mut received = Received::default();
        let stride = meta.stride.map_or(bytes.len(), |stride| usize::from(stride.get())).max(1);
        if bytes.is_empty() {
            self.count(&mut received, 0, Fate::Dropped(DropReason::Empty));
        }
        for datagram in bytes.chunks_mut(stride) {
            let len = datagram.len();
            let fate = self.dispatch(now, meta.path, meta.ecn, datagram);
            self.count(&mut received, len, fate);
        }
        received
    }

    fn count(&mut self, received: &mut Received, len: usize, fate: Fate) {
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += len as u64;
        let counter = match fate {
            Fate::Accepted => &mut received.accepted,
            Fate::Replied => &mut received.replied,
            Fate::Dropped(reason) => {
                self.observe_stray(&Observation::DatagramDropped { bytes: len, reason });
                self.stats.count_drop(reason);
                &mut received.dropped
            }
            Fate::DroppedInside(reason) => {
                self.stats.count_drop(reason);
                &mut received.dropped
            }
            Fate::Foreign => {
                self.stats.datagrams_foreign += 1;
                &mut received.foreign
            }
        };
        *counter = counter.saturating_add(1);
    }

    fn dispatch(&mut self, now: Instant, path: Path, ecn: Ecn, datagram: &mut [u8]) -> Fate {
        if path.local == Some(path.remote) {
            return Fate::Dropped(DropReason::Empty);
        }
        if !names_one(path.remote) {
            return Fate::Dropped(DropReason::Address);
        }
        if datagram.len() > self.config.max_udp_payload() {
            return Fate::Dropped(DropReason::Malformed);
        }
        if is_long(datagram) {
            self.dispatch_long(now, path, datagram)
        } else {
            self.dispatch_short(now, path, ecn, datagram)
        }
    }

    /// The fixed bit of the first byte is not looked at: peers that were told so send it at random.
    fn dispatch_short(&mut self, now: Instant, path: Path, ecn: Ecn, datagram: &mut [u8]) -> Fate {
        let Some(cid) = self.short_cid(datagram) else { return Fate::Dropped(DropReason::Malformed) };
        // What cannot be an id of this endpoint is not worth a look at the table.
        let ours = self.config.core_of(cid.as_slice()).is_some();
        let key = if ours { self.cids.get(&cid).copied() } else { None };
        let Some(key) = key else { return self.on_stray(now, path, &cid, datagram) };
        let fate = self.with_connection(key, |connection, switches| {
            connection.handle_packet(now, Arrival { cid, path, ecn, switches }, datagram)
        });
        let unopened = matches!(fate, Fate::DroppedInside(DropReason::Aead | DropReason::KeyPhase));
        if unopened && self.take_reset(now, datagram) { Fate::Accepted } else { fate }
    }

    fn short_cid(&self, datagram: &[u8]) -> Option<Cid> {
        datagram.get(1..1 + self.config.cid_len()).and_then(Cid::new)
    }

    fn dispatch_long(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> Fate {
        let for_client = match long_type(datagram) {
            Some(LongType::ServerInit | LongType::Retry) => true,
            Some(LongType::Key) => self.answers_pending_client(datagram),
            _ => false,
        };
        let from = if for_client { Side::Server } else { Side::Client };
        let header = match decode_long(datagram, from) {
            Ok(header) => header,
            Err(HeaderError::Version { .. }) => return self.on_other_version(now, path, datagram),
            Err(_) => return Fate::Dropped(DropReason::Malformed),
        };
        let token = header.token.to_vec();
        let header = LongHeader { token: &token, ..header };
        if !for_client {
            return self.handle_stranger(now, path, &header, datagram);
        }
        let Some(&key) = self.cids.get(&header.dcid) else { return self.without_connection(&header.dcid) };
        self.with_connection(key, |connection, _| {
            let outcome = connection.handle_handshake(now, &header, datagram);
            let bytes = datagram.len();
            outcome.inspect_err(|&reason| connection.on_dropped(bytes, reason))
        })
    }

    /// Whether a packet of the type that both sides send answers a connection attempt of this endpoint or another
    /// shard. Of the requests to ids that clients chose a few look like the latter; that shard answers them as well.
    fn answers_pending_client(&self, datagram: &[u8]) -> bool {
        decode_long(datagram, Side::Server)
            .is_ok_and(|header| self.cids.contains_key(&header.dcid) || self.other_issuer(&header.dcid).is_some())
    }

    /// What becomes of a datagram to an id that no connection of this endpoint has. Only now it matters whether another
    /// shard issued it.
    pub(super) fn without_connection(&self, cid: &Cid) -> Fate {
        match self.other_issuer(cid) {
            Some(_) => Fate::Foreign,
            None => Fate::Dropped(DropReason::UnknownConnection),
        }
    }

    fn other_issuer(&self, cid: &Cid) -> Option<u8> {
        self.config.other_issuer(cid.as_slice())
    }

    /// The other shard of this address to which a datagram belongs: one of those that
    /// [`handle_datagram`](Self::handle_datagram) has just counted in [`Received::foreign`]. `None` for all others, what
    /// it did to their bytes notwithstanding, and without [`ConfigBuilder::shard`](crate::ConfigBuilder::shard).
    ///
    /// Give the datagram to the `handle_datagram` of that shard with the `meta` it came with, as a single one. If it
    /// has no such connection it drops the datagram; it never names a third shard.
    pub fn owner(&self, datagram: &[u8]) -> Option<u8> {
        if datagram.len() > self.config.max_udp_payload() {
            return None;
        }
        let cid = if let Some(packet) = decode_version_negotiation(datagram) {
            Cid::new(packet.dcid)?
        } else if is_long(datagram) {
            // What a client chose says nothing, and a first message belongs to the shard where it arrives.
            match long_type(datagram)? {
                LongType::ClientInit => return None,
                LongType::ServerInit | LongType::Retry | LongType::Key => {}
            }
            decode_long(datagram, Side::Server).ok()?.dcid
        } else {
            self.short_cid(datagram)?
        };
        self.other_issuer(&cid)
    }

    pub(super) fn with_connection(
        &mut self,
        key: Key,
        handle: impl FnOnce(&mut Connection, &mut Bucket) -> Result<(), DropReason>,
    ) -> Fate {
        let Some(entry) = self.connections.get_mut(key) else {
            return Fate::Dropped(DropReason::UnknownConnection);
        };
        let outcome = handle(&mut entry.connection, &mut self.budgets.path_switches);
        self.touch(key);
        match outcome {
            Ok(()) => Fate::Accepted,
            Err(reason) => Fate::DroppedInside(reason),
        }
    }
}
