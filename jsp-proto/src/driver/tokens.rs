//! Address tokens that servers have handed out, for the next connection to each (row 41 of the table in specification
//! section 7).

use std::boxed::Box;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::vec::Vec;

use crate::config::bounds::TOKENS_KEPT;
use crate::{ClientConfig, Conn, KeyId, Trust};

/// Servers whose tokens are kept. The one that was heard of longest ago is forgotten for a new one.
const SERVERS: usize = 64;

/// The tokens of one endpoint: at most 64 servers, 4 tokens of at most 64 bytes each.
///
/// A server is its key and its address. A token is given out once.
#[derive(Debug, Default)]
pub struct TokenStore {
    /// The server heard of last comes last.
    servers: VecDeque<Server>,
}

#[derive(Debug)]
struct Server {
    key: KeyId,
    remote: SocketAddr,
    tokens: VecDeque<Box<[u8]>>,
}

impl TokenStore {
    fn remove(&mut self, key: &KeyId, remote: SocketAddr) -> Option<Server> {
        let at = self.servers.iter().position(|server| server.key == *key && server.remote == remote)?;
        self.servers.remove(at)
    }

    fn insert(&mut self, server: Server) {
        if self.servers.len() >= SERVERS {
            self.servers.pop_front();
        }
        self.servers.push_back(server);
    }

    /// Keeps a token of the server with this key at this address.
    pub fn put(&mut self, key: KeyId, remote: SocketAddr, token: Box<[u8]>) {
        let known = self.remove(&key, remote);
        let mut server = known.unwrap_or_else(|| Server { key, remote, tokens: VecDeque::new() });
        if server.tokens.len() >= TOKENS_KEPT {
            server.tokens.pop_front();
        }
        server.tokens.push_back(token);
        self.insert(server);
    }

    /// Takes and keeps what the server of a connection has sent: after [`Event::NewToken`](crate::Event::NewToken).
    pub fn collect(&mut self, conn: Option<Conn<'_>>) {
        let Some(mut conn) = conn else { return };
        let (Some(key), Some(path)) = (conn.peer_key_id(), conn.path()) else { return };
        // The newest is kept last, to be used first.
        let mut tokens = Vec::from_iter(std::iter::from_fn(|| conn.take_token()));
        while let Some(token) = tokens.pop() {
            self.put(key, path.remote, token);
        }
    }

    /// The configuration with a token for the server at `remote`, if there is one and it is of use.
    pub fn equip(&mut self, remote: SocketAddr, client: &ClientConfig) -> Option<ClientConfig> {
        let Trust::Pinned(key) = client.trust() else { return None };
        if !client.token.is_empty() {
            return None;
        }
        let token = self.take(&key.key_id(), remote)?;
        Some(client.clone().token(&token))
    }

    /// Takes the newest token for the server: if this side's address has changed, it is the one that fits.
    pub fn take(&mut self, key: &KeyId, remote: SocketAddr) -> Option<Box<[u8]>> {
        let mut server = self.remove(key, remote)?;
        let token = server.tokens.pop_back();
        if !server.tokens.is_empty() {
            self.insert(server);
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyId {
        KeyId::new([number; 32])
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn token(number: u8) -> Box<[u8]> {
        Box::from([number; 49])
    }

    #[test]
    fn a_token_goes_to_its_server_and_once() {
        let mut store = TokenStore::default();
        store.put(key(1), address(1), token(1));
        assert_eq!(store.take(&key(2), address(1)), None);
        assert_eq!(store.take(&key(1), address(2)), None);
        assert_eq!(store.take(&key(1), address(1)), Some(token(1)));
        assert_eq!(store.take(&key(1), address(1)), None);
        assert!(store.servers.is_empty());
    }

    #[test]
    fn four_tokens_of_each_server_and_sixty_four_servers_are_kept() {
        let mut store = TokenStore::default();
        (0..6).for_each(|number| store.put(key(1), address(1), token(number)));
        for number in [5, 4, 3, 2] {
            assert_eq!(store.take(&key(1), address(1)), Some(token(number)));
        }
        assert_eq!(store.take(&key(1), address(1)), None, "the oldest two were dropped");
        for port in 0..100 {
            store.put(key(1), address(port), token(1));
            store.put(key(1), address(0), token(port as u8));
        }
        assert_eq!(store.servers.len(), SERVERS);
        assert_eq!(store.take(&key(1), address(50)), Some(token(1)));
        assert_eq!(store.take(&key(1), address(20)), None);
        assert_eq!(store.take(&key(1), address(0)), Some(token(99)), "who is heard of is not forgotten");
    }
}
