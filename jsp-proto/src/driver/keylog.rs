//! Key logs: what tools need to open recorded packets, as lines of text (part "key log" of the specification).

use std::boxed::Box;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::string::String;

use zeroize::Zeroizing;

use crate::{ConnId, Instant, Observation, Observer};

/// Told of the first error, after which nothing more is written.
type OnError = Box<dyn FnOnce(io::Error) + Send>;

/// Writes the secrets of an endpoint's connections as a key log, one line for each, as the connections begin.
///
/// **Whoever has the file and a recording of the datagrams reads everything.** It stays empty unless
/// [`danger_export_secrets_to_observer`](crate::ConfigBuilder::danger_export_secrets_to_observer) is set; nothing in the
/// environment of the process can do that.
///
/// ```no_run
/// use jsp_proto::driver::KeyLog;
/// use jsp_proto::{Config, Endpoint, Entropy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::builder().danger_export_secrets_to_observer(true).build()?;
/// let mut endpoint = Endpoint::new(config.into(), Entropy::new([7; 32]));
/// let log = KeyLog::append("keys.log", |error| eprintln!("no more keys: {error}"))?;
/// endpoint.set_observer(Some(Box::new(log)));
/// # Ok(())
/// # }
/// ```
pub struct KeyLog<W: Write + Send> {
    out: W,
    on_error: Option<OnError>,
}

impl<W: Write + Send> KeyLog<W> {
    /// Writes to `out`, each line with one call. `on_error` is told of the first error, after which nothing more is
    /// written.
    pub fn new(out: W, on_error: impl FnOnce(io::Error) + Send + 'static) -> Self {
        Self { out, on_error: Some(Box::new(on_error)) }
    }
}

impl KeyLog<File> {
    /// Appends to the file `path`. If it is not there it is made, readable by its owner only where the system has such
    /// modes. Several endpoints and processes may append to one file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn append(path: impl AsRef<Path>, on_error: impl FnOnce(io::Error) + Send + 'static) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self::new(options.open(path)?, on_error))
    }
}

impl<W: Write + Send> core::fmt::Debug for KeyLog<W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyLog").finish_non_exhaustive()
    }
}

impl<W: Write + Send> Observer for KeyLog<W> {
    fn observe(&mut self, _: Instant, _: ConnId, what: &Observation<'_>) {
        let Observation::Secret { label, id, secret } = what else { return };
        if self.on_error.is_none() {
            return;
        }
        let line = line(label.as_str(), id.as_slice(), secret.as_bytes());
        if let Err(error) = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush())
            && let Some(on_error) = self.on_error.take()
        {
            on_error(error);
        }
    }

    fn wants_packets(&self) -> bool {
        false
    }
}

/// Made in one piece, so that the lines of several writers do not mix and no copy of the secret stays behind.
fn line(label: &str, id: &[u8], secret: &[u8; 32]) -> Zeroizing<String> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut line = Zeroizing::new(String::with_capacity(label.len() + 2 * (id.len() + secret.len()) + 3));
    let hex = |line: &mut String, bytes: &[u8]| {
        for byte in bytes {
            line.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
        }
    };
    line.push_str(label);
    line.push(' ');
    hex(&mut line, id);
    line.push(' ');
    hex(&mut line, secret);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::observe::{ExportedSecret, SecretLabel};
    use crate::wire::Cid;
    use crate::{ClientConfig, Config, Endpoint, Entropy};

    fn secret(secret: &[u8; 32]) -> Observation<'_> {
        let id = Cid::new(&[0xa1, 2]).expect("short");
        Observation::Secret { label: SecretLabel::ClientSecret, id, secret: ExportedSecret::new(secret) }
    }

    fn conn() -> ConnId {
        let mut endpoint = Endpoint::new(Config::default().into(), Entropy::new([1; 32]));
        let remote = crate::Path::to(([127, 0, 0, 1], 1).into());
        endpoint.connect(Instant::ZERO, remote, &ClientConfig::default()).expect("an attempt")
    }

    #[test]
    fn a_line_is_label_id_and_secret() {
        let path = std::env::temp_dir().join(std::format!("jsp-keylog-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for _ in 0..2 {
            let mut log = KeyLog::append(&path, |error| panic!("{error}")).expect("a file");
            log.observe(Instant::ZERO, conn(), &secret(&[0x5f; 32]));
            log.observe(Instant::ZERO, conn(), &Observation::Forgotten);
        }
        let line = std::format!("JSP_CLIENT_SECRET_0 a102 {}\n", "5f".repeat(32));
        assert_eq!(std::fs::read_to_string(&path).expect("written"), line.repeat(2));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_file(path).expect("there");
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = std::format!("{:?}", secret(&[0x5f; 32]));
        assert!(text.contains("ClientSecret") && !text.contains("5f") && !text.contains("95"), "{text}");
    }

    #[test]
    fn a_full_disk_is_told_once() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let mut log = KeyLog::new(Full, move |_| *count.lock().expect("no panic") += 1);
        (0..3).for_each(|_| log.observe(Instant::ZERO, conn(), &secret(&[1; 32])));
        assert_eq!(*told.lock().expect("no panic"), 1);
    }
}
