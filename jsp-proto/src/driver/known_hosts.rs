//! Trust on first use: which key each server showed when it was first met, kept in a text file.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::{Mutex, PoisonError};
use std::{format, vec::Vec};

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::error::ConnectError;
use crate::config::Trust;
use crate::{ClientConfig, KeyId};

/// The servers met so far. One line each: the server's name as the program calls it, and the id of its key.
///
/// The file may be edited: deleting a line makes its server a stranger again. Blank lines and lines that begin with
/// `#` are ignored.
#[derive(Debug)]
pub struct KnownHosts {
    path: PathBuf,
    hosts: Mutex<HashMap<String, KeyId>>,
}

impl KnownHosts {
    /// Reads the file. One that does not exist is empty and is made when the first server is met.
    ///
    /// # Errors
    /// When the file cannot be read, or `InvalidData` naming the line that makes no sense. A damaged file is never
    /// taken for an empty one: then every server would be a stranger whose key is trusted.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut hosts = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            if let Some((host, key)) = parse(line).map_err(|()| damaged(&path, number + 1))? {
                hosts.insert(host, key);
            }
        }
        Ok(Self { path, hosts: Mutex::new(hosts) })
    }

    /// The key that `host` is known by.
    pub fn get(&self, host: &str) -> Option<KeyId> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// Notes the key of a server. A later note of the same server wins over an earlier one.
    ///
    /// # Errors
    /// `InvalidInput` for a name with white space, otherwise when the file cannot be written.
    pub fn insert(&self, host: &str, key: KeyId) -> io::Result<()> {
        if host.is_empty() || host.starts_with('#') || host.contains(char::is_whitespace) {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("not a server's name: {host:?}")));
        }
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.get(host) == Some(&key) {
            return Ok(());
        }
        // One write of one line at the end: programs that share the file do not lose each other's lines.
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(format!("{host} {key}\n").as_bytes())?;
        hosts.insert(host.to_string(), key);
        Ok(())
    }
}

fn parse(line: &str) -> Result<Option<(String, KeyId)>, ()> {
    let mut words = line.split_whitespace();
    let Some(host) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let key = words.next().and_then(|word| word.parse().ok()).ok_or(())?;
    if words.next().is_some() { Err(()) } else { Ok(Some((host.to_string(), key))) }
}

fn damaged(path: &Path, line: usize) -> io::Error {
    let text = format!("{}:{line}: expected a server's name and its key id, `jsp1-...`", path.display());
    io::Error::new(ErrorKind::InvalidData, text)
}

impl Endpoint {
    /// Connects to a server that is known by `host` in `known`, or meets it for the first time: then the key it shows
    /// is trusted and, once the server has proven to hold it, noted. `client` says everything but whom to trust.
    ///
    /// Tries the addresses of `remotes` that this socket can reach one after the other. The server must show its key
    /// to strangers: [`KeyFetch::Open`](crate::KeyFetch).
    ///
    /// Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Those of the last attempt; [`ConnectionError::PeerKeyMismatch`](crate::ConnectionError::PeerKeyMismatch) when
    /// the server has another key than before, [`ConnectError::Io`] when a new one cannot be noted or there is no
    /// address.
    pub async fn connect_known(
        &self,
        remotes: impl IntoIterator<Item = SocketAddr>,
        host: &str,
        known: &KnownHosts,
        client: &ClientConfig,
    ) -> Result<Connection, ConnectError> {
        let mut client = client.clone();
        let expected = known.get(host);
        client.trust = expected.map_or(Trust::Ask, |key| Trust::Fingerprint(Vec::from([key])));
        let connection = self.connect_any(remotes, &client, |_| expected.is_none()).await?;
        if let (None, Some(key)) = (expected, connection.peer_key_id()) {
            known.insert(host, key)?;
        }
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_over_a_restart_and_refuses_a_damaged_file() {
        let path = std::env::temp_dir().join(format!("jsp-known-hosts-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let key = crate::SecretKey::from_seed([1; 32]).public().key_id();
        let other = crate::SecretKey::from_seed([2; 32]).public().key_id();
        let known = KnownHosts::open(&path).expect("no file yet");
        assert_eq!(known.get("a:1"), None);
        known.insert("a:1", key).expect("written");
        known.insert("b:1", key).expect("written");
        known.insert("a:1", other).expect("written");
        assert_eq!(known.insert("a b", key).map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
        let again = KnownHosts::open(&path).expect("readable");
        assert_eq!((again.get("a:1"), again.get("b:1")), (Some(other), Some(key)));
        fs::write(&path, "# comment\n\na:1 jsp1-nonsense\n").expect("written");
        let error = KnownHosts::open(&path).expect_err("damaged");
        assert!(error.to_string().contains(":3:"), "{error}");
        fs::remove_file(&path).expect("removed");
    }
}
