//! Addresses as a person writes them: `host:port`, and behind a `#` the key that must answer there.

use std::fmt;
use std::str::FromStr;

use jsp_tokio::{KeyId, PublicKey};

use crate::keys;

/// Where a server is and, if the address says so, which key it must hold.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) host: String,
    pub(crate) key: Option<Named>,
}

/// A key, by its id or whole.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    Id(KeyId),
    Key(PublicKey),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, key) = match text.split_once('#') {
            Some((host, key)) => (host, Some(key.parse()?)),
            None => (text, None),
        };
        let Some((name, port)) = host.rsplit_once(':') else {
            return Err(format!("an address is host:port, for example {host}:4433"));
        };
        if name.contains(':') && !(name.starts_with('[') && name.ends_with(']')) {
            return Err("an IPv6 address stands in brackets: [::1]:4433".into());
        }
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err("the host is missing: an address is host:port".into());
        }
        match port.parse::<u16>() {
            Ok(1..) => Ok(Self { host: host.to_owned(), key }),
            _ => Err(format!("a port is a number from 1 to 65535, not {port:?}")),
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(keys::PUBLIC) {
            return keys::parse_public(text).map(Self::Key);
        }
        text.parse().map(Self::Id).map_err(|error: jsp_tokio::proto::KeyIdError| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsp_tokio::SecretKey;

    #[test]
    fn hosts_and_pins() {
        let key = SecretKey::from_seed([7; 32]);
        let id = key.public().key_id();
        let target: Target = "localhost:4433".parse().expect("plain");
        assert_eq!((target.host.as_str(), target.key.is_none()), ("localhost:4433", true));
        let target: Target = format!("[::1]:9#{id}").parse().expect("pinned");
        assert_eq!(target.host, "[::1]:9");
        assert!(matches!(target.key, Some(Named::Id(pinned)) if pinned == id));
        let target: Target = format!("a:9#{}", keys::public_text(key.public())).parse().expect("whole key");
        assert!(matches!(target.key, Some(Named::Key(whole)) if whole.key_id() == id));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Target>().expect_err(text);
        assert!(wrong("localhost").contains("localhost:4433"));
        assert!(wrong("::1:4433").contains("brackets"));
        assert!(wrong(":4433").contains("host is missing"));
        assert!(wrong("a:0").contains("1 to 65535"));
        assert!(wrong("a:port").contains("port"));
        assert!(wrong("a:1#jsp1-abc").contains("52 characters"));
        assert!(wrong("a:1#jsp1pk-abc").contains("public key"));
    }
}
