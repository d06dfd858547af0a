//! The connection ids that an endpoint issues (specification sections 3.7 and 13, item 8): for load balancers, their
//! layout begins with the id of the server (draft-ietf-quic-load-balancers, the layout in clear).
//!
//! Whatever an id begins with, its last eight bytes tell one connection from another: random ones, or six random ones
//! and two that name the shard.

use core::fmt;

use super::shard::CORE_LEN;
use super::{Config, ConfigBuilder, ConfigError, check};
use crate::entropy::Drbg;
use crate::wire::Cid;

/// The longest server id: with the first byte and the last eight it makes the longest connection id.
const MAX_SERVER_ID: usize = 7;

/// The server's id as load balancers read it in the connection ids that the server issues: a client's datagrams find
/// their way to the server that has its connection, also after the client's address has changed, and also on the way
/// back from a RETRY.
///
/// An id is laid out as the draft of QUIC-LB says for ids in clear: three bits for the rotation of the configuration and
/// five for the length of the rest, then the server id, then eight bytes of the endpoint's own. It is 10 to 16 bytes
/// long. Whoever sees an id on the network learns which server it names, and nothing else.
///
/// Servers that share a [`reset_key`](ConfigBuilder::reset_key) must have different server ids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoadBalancing {
    rotation: u8,
    /// First byte and server id, and how many bytes of this are in use.
    prefix: [u8; 1 + MAX_SERVER_ID],
    prefix_len: usize,
}

impl LoadBalancing {
    /// The server named `server_id`, 1 to 7 bytes, under the configuration `rotation`, 0 to 6, of its load balancers.
    /// [`ConfigBuilder::build`] checks both.
    pub fn new(rotation: u8, server_id: &[u8]) -> Self {
        let rest = server_id.len() + CORE_LEN;
        let mut prefix = [0; 1 + MAX_SERVER_ID];
        let bytes = core::iter::once(rotation << 5 | (rest & 0x1f) as u8).chain(server_id.iter().copied());
        prefix.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        Self { rotation, prefix, prefix_len: 1 + server_id.len() }
    }

    /// The rotation of the configuration.
    pub const fn rotation(&self) -> u8 {
        self.rotation
    }

    /// The server's id.
    pub fn server_id(&self) -> &[u8] {
        self.prefix().get(1..).unwrap_or_default()
    }

    /// What every id of this server begins with.
    fn prefix(&self) -> &[u8] {
        self.prefix.get(..self.prefix_len).unwrap_or(&self.prefix)
    }

    /// Rotation 7 is for ids that load balancers cannot read.
    fn check(&self) -> Result<(), ConfigError> {
        check(self.rotation <= 6, "load_balancing has a rotation of 0 to 6")?;
        check((2..=1 + MAX_SERVER_ID).contains(&self.prefix_len), "load_balancing has a server id of 1 to 7 bytes")
    }
}

impl fmt::Debug for LoadBalancing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBalancing")
            .field("rotation", &self.rotation)
            .field("server_id", &self.server_id())
            .finish_non_exhaustive()
    }
}

impl ConfigBuilder {
    /// Makes connection ids that load balancers can read. All shards of an address have the same. Default: none, ids
    /// say nothing to strangers.
    pub fn load_balancing(mut self, server: LoadBalancing) -> Self {
        self.config.load_balancing = Some(server);
        self
    }
}

impl Config {
    /// Bytes of every connection id that the endpoint issues: 8, or 10 to 16 with
    /// [`load_balancing`](ConfigBuilder::load_balancing).
    pub fn cid_len(&self) -> usize {
        self.cid_prefix().len() + CORE_LEN
    }

    fn cid_prefix(&self) -> &[u8] {
        self.load_balancing.as_ref().map_or(&[], LoadBalancing::prefix)
    }

    /// The id of this endpoint that ends with these bytes.
    pub(crate) fn cid_of(&self, core: [u8; CORE_LEN]) -> Cid {
        let prefix = self.cid_prefix();
        let mut id = [0; crate::wire::header::MAX_CID];
        id.iter_mut().zip(prefix.iter().chain(&core)).for_each(|(slot, byte)| *slot = *byte);
        id.get(..prefix.len() + CORE_LEN).and_then(Cid::new).unwrap_or_default()
    }

    /// A new connection id.
    pub(crate) fn new_cid(&self, rng: &mut Drbg) -> Cid {
        self.cid_of(match &self.shard {
            Some(shard) => shard.issue(rng.array()),
            None => rng.array(),
        })
    }

    /// The last bytes of an id that may be this endpoint's or another shard's: its length and what it begins with fit.
    /// A look at a few bytes, before any table is asked.
    pub(crate) fn core_of<'a>(&self, id: &'a [u8]) -> Option<&'a [u8]> {
        id.strip_prefix(self.cid_prefix()).filter(|core| core.len() == CORE_LEN)
    }

    /// The shard that issued `id`, if it is another one of this address.
    pub(crate) fn other_issuer(&self, id: &[u8]) -> Option<u8> {
        self.shard.as_ref()?.other_issuer(self.core_of(id)?)
    }

    /// Whether this endpoint may have issued `id`. With shards only its own ids pass, and of those that nobody issued
    /// one in 65,536; without, all that begin as its ids do.
    pub(crate) fn may_have_issued(&self, id: &[u8]) -> bool {
        let Some(core) = self.core_of(id) else { return false };
        self.shard.as_ref().is_none_or(|shard| shard.is_issuer(core))
    }

    pub(super) fn check_cids(&self) -> Result<(), ConfigError> {
        check(self.shard.is_none_or(|shard| shard.is_valid()), "shard is a number below a count of 1 to 256")?;
        self.load_balancing.map_or(Ok(()), |server| server.check())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shard;
    use super::*;
    use crate::entropy::Entropy;

    fn balanced(rotation: u8, server_id: &[u8]) -> ConfigBuilder {
        Config::builder().load_balancing(LoadBalancing::new(rotation, server_id))
    }

    #[test]
    fn ids_are_laid_out_as_the_draft_says() {
        let mut rng = Drbg::new(&Entropy::new([1; 32]));
        for len in 1..=7 {
            let server_id: [u8; 7] = rng.array();
            let server_id = &server_id[..len];
            for rotation in 0..=6 {
                let config = balanced(rotation, server_id).build().expect("valid");
                let (id, next) = (config.new_cid(&mut rng), config.new_cid(&mut rng));
                let id = id.as_slice();
                assert_eq!((id.len(), config.cid_len()), (len + 9, len + 9));
                assert_eq!((id[0] >> 5, usize::from(id[0] & 0x1f)), (rotation, id.len() - 1));
                assert_eq!(&id[1..=len], server_id);
                assert_ne!(id[len + 1..], next.as_slice()[len + 1..], "the rest is random");
                assert!(config.may_have_issued(id));
            }
        }
    }

    #[test]
    fn ids_of_others_are_known_at_a_glance() {
        let config = balanced(2, &[7, 8]).build().expect("valid");
        let mut rng = Drbg::new(&Entropy::new([2; 32]));
        let id = config.new_cid(&mut rng);
        assert!(config.core_of(id.as_slice()).is_some());
        for at in 0..3 {
            let mut other = id.as_slice().to_vec();
            other[at] ^= 1;
            assert_eq!(config.core_of(&other), None, "byte {at}");
        }
        assert_eq!(config.core_of(&id.as_slice()[..10]), None);
        assert!(Config::default().may_have_issued(&rng.array::<8>()));
        assert!(!Config::default().may_have_issued(&rng.array::<9>()));
    }

    #[test]
    fn shards_and_servers_go_together() {
        let config = |index| balanced(1, &[9]).shard(Shard::new(index, 3, [4; 16])).build().expect("valid");
        let id = config(1).new_cid(&mut Drbg::new(&Entropy::new([3; 32])));
        let id = id.as_slice();
        assert_eq!([0, 1, 2].map(|index| config(index).other_issuer(id)), [Some(1), None, Some(1)]);
        assert_eq!([0, 1, 2].map(|index| config(index).may_have_issued(id)), [false, true, false]);
        let elsewhere = balanced(1, &[8]).shard(Shard::new(0, 3, [4; 16])).build().expect("valid");
        assert_eq!((elsewhere.other_issuer(id), elsewhere.may_have_issued(id)), (None, false));
    }

    #[test]
    fn out_of_bounds_servers_are_named() {
        for (rotation, len) in [(7, 1), (255, 1), (0, 0), (0, 8), (0, 300)] {
            let error = balanced(rotation, &alloc::vec![1; len]).build().expect_err("no such layout");
            assert!(alloc::format!("{error}").contains("load_balancing"), "{error}");
        }
    }
}
