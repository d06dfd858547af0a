//! Key files: text that a person can read, paste and check.
//!
//! A secret key file holds two lines beside comments, a public key file likewise:
//!
//! ```text
//! # lines that begin with # are comments
//! jsp1sk-...   the secret key: the 32-byte seed of an X-Wing key in base32 (RFC 4648, lower case, no padding)
//! jsp1pk-...   the public key: 1216 bytes in base64 (RFC 4648, URL and file name safe, no padding)
//! jsp1-...     the key's id, printed by servers and given to clients; if it is there, it must fit the key
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use jsp_tokio::{KeyId, PublicKey, SecretKey};

use crate::args::Keygen;
use crate::failure::{Context, Failure, Result};
use crate::term::{say, tell};

pub(crate) const PUBLIC: &str = "jsp1pk-";
const SECRET: &str = "jsp1sk-";
const ID: &str = "jsp1-";

pub(crate) fn keygen(args: &Keygen) -> Result<()> {
    let key = generate()?;
    let public = public_file(&args.out);
    write_new(&args.out, &secret_file_text(&key), 0o600)?;
    if let Err(failure) = write_new(&public, &public_file_text(key.public()), 0o644) {
        // A secret key without its public half would only be in the way of the next attempt.
        let _ = std::fs::remove_file(&args.out);
        return Err(failure);
    }
    tell!("secret key in {}, readable by its owner only; start a server with", args.out.display());
    tell!("  jsp serve --key {}", args.out.display());
    tell!("public key in {}; clients pin the id, or the whole key for a shorter handshake:", public.display());
    tell!("  --pin {}", key.public().key_id());
    tell!("  --server-key {}", public.display());
    say!("{}", key.public().key_id());
    say!("{}", public_text(key.public()));
    Ok(())
}

pub(crate) fn generate() -> Result<SecretKey> {
    Ok(SecretKey::from_seed(jsp_tokio::random_seed().context(|| "the system gives no random numbers")?))
}

/// The key of a server: from the file, or a new one that lives as long as the process.
pub(crate) fn server_key(file: Option<&Path>) -> Result<SecretKey> {
    let Some(path) = file else { return generate() };
    let key = parse_secret(&read(path)?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    warn_if_shared(path);
    Ok(key)
}

/// A public key from a file, or written out in the option itself.
pub(crate) fn public_key(file_or_text: &str) -> Result<PublicKey> {
    if file_or_text.starts_with(PUBLIC) {
        return parse_public(file_or_text).map_err(Failure::usage);
    }
    let text = read(Path::new(file_or_text))?;
    let key = token(&text, PUBLIC).ok_or_else(|| format!("no line that begins with {PUBLIC}")).and_then(parse_public);
    key.and_then(|key| check_id(&text, &key).map(|()| key))
        .map_err(|error| Failure::new(format!("{file_or_text}: {error}")).hint(NOT_A_KEY_FILE))
}

pub(crate) fn public_text(key: &PublicKey) -> String {
    format!("{PUBLIC}{}", BASE64URL_NOPAD.encode(key.as_bytes()))
}

pub(crate) fn parse_public(text: &str) -> std::result::Result<PublicKey, String> {
    let bytes = text.strip_prefix(PUBLIC).and_then(|digits| BASE64URL_NOPAD.decode(digits.as_bytes()).ok());
    bytes
        .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
        .ok_or_else(|| format!("not a whole public key: {PUBLIC} and 1622 letters, digits, - and _"))
}

fn parse_secret(text: &str) -> std::result::Result<SecretKey, String> {
    let digits = token(text, SECRET).ok_or_else(|| format!("no line that begins with {SECRET}"))?;
    let seed = BASE32_NOPAD.decode(digits.trim_start_matches(SECRET).to_ascii_uppercase().as_bytes()).ok();
    let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let key = seed.map(SecretKey::from_seed).ok_or("the secret key is damaged: it must have 52 characters")?;
    check_id(text, key.public()).map(|()| key)
}

fn check_id(text: &str, key: &PublicKey) -> std::result::Result<(), String> {
    let Some(id) = token(text, ID) else { return Ok(()) };
    match id.parse::<KeyId>() {
        Ok(id) if id == key.key_id() => Ok(()),
        _ => Err(format!("damaged: the id is {id}, but the key's is {}", key.key_id())),
    }
}

/// The line of a key file that begins with `prefix`.
fn token<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.lines().map(str::trim).find(|line| line.starts_with(prefix))
}

fn secret_file_text(key: &SecretKey) -> String {
    let seed = BASE32_NOPAD.encode(key.seed()).to_ascii_lowercase();
    let id = key.public().key_id();
    format!(
        "# JetStreamProto secret key. Whoever has it can pose as its owner: keep it to yourself.\n{SECRET}{seed}\n{id}\n"
    )
}

fn public_file_text(key: &PublicKey) -> String {
    format!(
        "# JetStreamProto public key (X-Wing: X25519 and ML-KEM-768), and its id.\n{}\n{}\n",
        public_text(key),
        key.key_id()
    )
}

fn public_file(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

const NOT_A_KEY_FILE: &str = "`jsp keygen` writes the public key to a file that ends in .pub.";

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).context(|| format!("cannot read {}", path.display()));
    text.map_err(|failure| failure.hint("`jsp keygen --out FILE` makes a key."))
}

/// Never over a file that exists: it may be the only copy of a key.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(format!("{} exists already", path.display()))
            .hint("Keys are never overwritten. Give another name with --out, or move the old key away."),
        _ => Failure::new(format!("cannot write {}: {error}", path.display())),
    })
}

#[cfg(unix)]
fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o077);
    if mode.is_ok_and(|shared| shared != 0) {
        tell!("warning: others may read the secret key; close it with: chmod 600 {}", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let key = SecretKey::from_seed([3; 32]);
        let id = key.public().key_id();
        let again = parse_secret(&secret_file_text(&key)).expect("readable");
        assert_eq!(again.public().key_id(), id);
        assert_eq!(parse_public(&public_text(key.public())).expect("readable").key_id(), id);
        assert_eq!(public_text(key.public()).len(), PUBLIC.len() + 1622);
    }

    #[test]
    fn damage_is_found() {
        let key = SecretKey::from_seed([3; 32]);
        let other = SecretKey::from_seed([4; 32]).public().key_id().to_string();
        let text = secret_file_text(&key);
        let swapped = text.replace(&key.public().key_id().to_string(), &other);
        assert!(parse_secret(&swapped).expect_err("another id").contains("damaged"));
        assert!(parse_secret(&text.replace(SECRET, "jsp1sk-a")).expect_err("too long").contains("52"));
        assert!(parse_secret("# nothing\n").expect_err("empty").contains(SECRET));
    }

    #[test]
    fn files_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_new(&path, &secret_file_text(&SecretKey::from_seed([3; 32])), 0o600).expect("written");
        assert!(write_new(&path, "", 0o600).expect_err("exists").text.contains("exists already"));
        assert!(server_key(Some(&path)).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
}
