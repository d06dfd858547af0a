//! What happens to connections as qlog, for viewers such as qvis (feature `qlog`, needs std).
//!
//! [`Qlog::dir`] writes a file per connection, [`QlogWriter`] one connection to any [`Write`]; both are an
//! [`Observer`]. Each trace is a JSON text sequence (RFC 7464) of qlog 0.3 with the events of
//! draft-ietf-quic-qlog-quic-events-04, the version that viewers draw. Later drafts have renamed every event, and no
//! viewer reads them yet.
//!
//! JSP is not QUIC: its handshake packets stand as `initial`, `handshake` and `retry`, with the place in their message
//! as packet number. Frames and events that QUIC does not have begin with `jsp:`. The file of a client and that of its
//! server begin with the same name, so that a viewer can be given both. They have no keys and no data in them, but
//! addresses, connection ids and reasons for closing.
//!
//! ```no_run
//! use jsp_proto::qlog::Qlog;
//! use jsp_proto::{Config, Endpoint, Entropy};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut endpoint = Endpoint::new(Config::default().into(), Entropy::new([7; 32]));
//! let qlog = Qlog::dir("traces", |error| eprintln!("no more traces: {error}"))?;
//! endpoint.set_observer(Some(Box::new(qlog)));
//! # Ok(())
//! # }
//! ```

mod events;
mod frames;

use std::boxed::Box;
use std::collections::HashMap;
use std::format;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::string::String;

use serde_json::{Value, json};

use crate::wire::{Cid, Side};
use crate::{ConnId, Instant, Observation, Observer};

/// What marks the beginning of a record (RFC 7464).
const RECORD: u8 = 0x1e;
/// Connections that [`Qlog::dir`] writes at once. Each has a file open; those beyond are not written.
const OPEN_FILES: usize = 512;

/// Told of the first error, after which nothing more is written.
type OnError = Box<dyn FnOnce(io::Error) + Send>;

/// Writes one connection as qlog: the first that begins. Others are left out.
pub struct QlogWriter<W: Write + Send> {
    trace: Trace<W>,
    conn: Option<ConnId>,
    on_error: Option<OnError>,
}

impl<W: Write + Send> QlogWriter<W> {
    /// Writes to `out`, in small pieces: a file should be buffered. `on_error` is told of the first error, after which
    /// nothing more is written.
    pub fn new(out: W, on_error: impl FnOnce(io::Error) + Send + 'static) -> Self {
        Self { trace: Trace { out, start: Instant::ZERO }, conn: None, on_error: Some(Box::new(on_error)) }
    }
}

impl<W: Write + Send> core::fmt::Debug for QlogWriter<W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("QlogWriter").field("conn", &self.conn).finish_non_exhaustive()
    }
}

impl<W: Write + Send> Observer for QlogWriter<W> {
    fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) {
        if self.on_error.is_none() || *self.conn.get_or_insert(conn) != conn {
            return;
        }
        if let Err(error) = self.trace.write(now, what)
            && let Some(on_error) = self.on_error.take()
        {
            on_error(error);
        }
    }
}

/// Writes each connection of an endpoint to a file of its own.
pub struct Qlog {
    dir: PathBuf,
    traces: HashMap<ConnId, Trace<BufWriter<File>>>,
    on_error: Option<OnError>,
}

impl Qlog {
    /// Writes to `dir`, which is made if it is not there. A file is named by the connection id of the client and the
    /// side, as in `5f0c22aa9e31_server.sqlog`; one of that name is replaced. `on_error` is told of the first error,
    /// after which nothing more is written.
    ///
    /// At most 512 connections are written at once; those that begin meanwhile are left out.
    ///
    /// # Errors
    /// If the directory is not there and cannot be made.
    pub fn dir(dir: impl Into<PathBuf>, on_error: impl FnOnce(io::Error) + Send + 'static) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, traces: HashMap::new(), on_error: Some(Box::new(on_error)) })
    }

    fn write(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) -> io::Result<()> {
        if let Observation::Started { side, local_cid, remote_cid, .. } = what
            && self.traces.len() < OPEN_FILES
        {
            let path = self.dir.join(file_name(*side, local_cid, remote_cid));
            let out = BufWriter::new(File::create(path)?);
            self.traces.insert(conn, Trace { out, start: now });
        }
        let Some(trace) = self.traces.get_mut(&conn) else { return Ok(()) };
        trace.write(now, what)?;
        match what {
            // What follows is little, and programs end without waiting for it.
            Observation::Closed(_) => trace.out.flush(),
            Observation::Forgotten => self.traces.remove(&conn).map_or(Ok(()), |mut trace| trace.out.flush()),
            _ => Ok(()),
        }
    }
}

fn file_name(side: Side, local: &Cid, remote: &Cid) -> String {
    match side {
        Side::Client => format!("{}_client.sqlog", hex(local.as_slice())),
        Side::Server => format!("{}_server.sqlog", hex(remote.as_slice())),
    }
}

impl core::fmt::Debug for Qlog {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Qlog").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Observer for Qlog {
    fn observe(&mut self, now: Instant, conn: ConnId, what: &Observation<'_>) {
        if self.on_error.is_none() {
            return;
        }
        if let Err(error) = self.write(now, conn, what) {
            self.traces.clear();
            if let Some(on_error) = self.on_error.take() {
                on_error(error);
            }
        }
    }
}

/// The trace of one connection.
struct Trace<W> {
    out: W,
    /// When the connection began: times count from here.
    start: Instant,
}

impl<W: Write> Trace<W> {
    fn write(&mut self, now: Instant, what: &Observation<'_>) -> io::Result<()> {
        if let Observation::Started { side, .. } = what {
            self.start = now;
            self.record(&header(*side, now))?;
        }
        let Some((name, data)) = events::event(what) else { return Ok(()) };
        let time = millis(now.saturating_since(self.start));
        self.record(&json!({ "time": time, "name": name, "data": data }))
    }

    fn record(&mut self, record: &Value) -> io::Result<()> {
        self.out.write_all(&[RECORD])?;
        serde_json::to_writer(&mut self.out, record)?;
        self.out.write_all(b"\n")
    }
}

/// The first record. Its fields come in the order of their names, which puts the version to the front, where tools look
/// for it.
fn header(side: Side, start: Instant) -> Value {
    let side = match side {
        Side::Client => "client",
        Side::Server => "server",
    };
    json!({
        "qlog_version": "0.3",
        "qlog_format": "JSON-SEQ",
        "title": concat!("jsp-proto ", env!("CARGO_PKG_VERSION")),
        "trace": {
            "vantage_point": { "name": "jsp", "type": side },
            "common_fields": {
                "protocol_type": ["JSP"],
                "time_format": "relative",
                "reference_time": millis(start.saturating_since(Instant::ZERO)),
            },
        },
    })
}

fn millis(duration: core::time::Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
