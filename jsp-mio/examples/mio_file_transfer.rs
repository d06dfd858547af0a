//! Sends files over a stream of bytes. Run the receiver, which prints its address and fingerprint, then the sender:
//! `cargo run -p jsp-mio --example mio_file_transfer -- recv 127.0.0.1:4433 inbox`
//! `cargo run -p jsp-mio --example mio_file_transfer -- send FILE 127.0.0.1:4433 jsp1-...`
//!
//! On the stream: the file's length (8 bytes), the length of its name (1 byte), its name, its content, the end. The
//! answer is `stored` or what is wrong. Who reaches the receiver may send: give it a folder of its own. There is one
//! thread, so that a slow disk holds up all senders.
use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jsp_mio::proto::{Event as On, Recv, SendError};
use jsp_mio::{
    AppCode, ClientConfig, Config, Conn, ConnId, Endpoint, Event, KeyFetch, SecretKey, StreamId, StreamOptions, run,
};

const USAGE: &str = "\
usage: mio_file_transfer recv ADDR DIR               receives files into DIR and prints its fingerprint
       mio_file_transfer send FILE ADDR FINGERPRINT  sends FILE to the receiver at ADDR";
const STORED: &str = "stored";
/// Bytes of a file that are handled at a time.
const PIECE: usize = 64 << 10;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["recv", address, folder] => receive(address, Path::new(folder)),
        ["send", file, address, fingerprint] => send(Path::new(file), address, fingerprint),
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ---- the receiver

fn receive(address: &str, folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(format!("{} is no folder: make it first", folder.display()).into());
    }
    // A real receiver keeps the seed in a file that only it can read, and its fingerprint stays the same.
    let key = SecretKey::from_seed(jsp_mio::random_seed()?);
    let fingerprint = key.public().key_id();
    let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build()?;
    let bound = resolve(address)?.next().ok_or("the address stands for nothing: give IP:PORT")?;
    let bound = Endpoint::bind(bound, config);
    let mut server = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on {}, fingerprint {fingerprint}", server.local_address());
    let mut receiver = Receiver { folder, buffer: vec![0; PIECE], files: HashMap::new() };
    let served = run(&mut server, |server, event| {
        if let Event::Connection(id, event) = event
            && let Some(connection) = server.conn(id)
        {
            receiver.handle(connection, event);
        }
        ControlFlow::<()>::Continue(())
    });
    served.map_err(|error| format!("the socket failed: {error}: start the receiver again").into())
}

struct Receiver<'a> {
    folder: &'a Path,
    buffer: Vec<u8>,
    files: HashMap<(ConnId, StreamId), Stage>,
}

/// How far a file is.
enum Stage {
    /// So much of what comes before the content.
    Head(Vec<u8>),
    Content(Part),
    /// The rest of the answer.
    Answer(Vec<u8>),
}

impl Receiver<'_> {
    fn handle(&mut self, mut connection: Conn<'_>, event: On) {
        let id = connection.id();
        match event {
            On::StreamOpened(stream) if !stream.kind().has_messages() && !stream.is_uni() => {
                self.files.insert((id, stream), Stage::Head(Vec::new()));
            }
            On::StreamOpened(stream) => {
                let _ = (connection.stop(stream, AppCode::ZERO), connection.finish(stream));
            }
            On::StreamReadable(stream) | On::StreamWritable(stream) | On::StreamReset(stream, _) => {
                if let Some(stage) = self.files.get_mut(&(id, stream))
                    && go_on(&mut connection, stream, stage, self.folder, &mut self.buffer).is_break()
                {
                    self.files.remove(&(id, stream));
                }
            }
            On::Closed => {
                // With the stages go the files that are not whole.
                self.files.retain(|(of, _), _| *of != id);
                connection.discard();
            }
            _ => {}
        }
    }
}

/// Takes what there is to read, or answers, as far as there is room. Breaks when the answer is on its way.
fn go_on(
    connection: &mut Conn<'_>,
    stream: StreamId,
    stage: &mut Stage,
    folder: &Path,
    buffer: &mut [u8],
) -> ControlFlow<()> {
    loop {
        if let Stage::Answer(rest) = stage {
            match connection.send(stream, rest) {
                Ok(sent) if sent < rest.len() => {
                    rest.drain(..sent);
                    continue;
                }
                Err(SendError::Blocked) => return ControlFlow::Continue(()),
                // It is on its way, or nobody wants it. After an error the rest of the file is of no use.
                _ => {
                    let _ = (connection.finish(stream), connection.stop(stream, AppCode::ZERO));
                    return ControlFlow::Break(());
                }
            }
        }
        let stored = match connection.recv(stream, buffer) {
            Ok(Recv::Data(count)) => stage.take(&buffer[..count], folder).map(|()| false),
            Ok(Recv::Blocked) => return ControlFlow::Continue(()),
            Ok(Recv::Finished) => stage.end().map(|()| true),
            Ok(Recv::Reset(_)) | Err(_) => Err("the sender gave up: send it again".into()),
        };
        let answer = match stored {
            Ok(false) => continue,
            Ok(true) => STORED.to_owned(),
            Err(error) => error.to_string(),
        };
        println!("answered: {answer}");
        *stage = Stage::Answer(answer.into_bytes());
    }
}

impl Stage {
    fn take(&mut self, bytes: &[u8], folder: &Path) -> Result<()> {
        match self {
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                let Some((length, rest)) = head.split_first_chunk() else { return Ok(()) };
                let Some((&[name_len], rest)) = rest.split_first_chunk() else { return Ok(()) };
                let Some((name, content)) = rest.split_at_checked(name_len.into()) else { return Ok(()) };
                let mut part = Part::new(folder, std::str::from_utf8(name)?, u64::from_be_bytes(*length))?;
                part.write(content)?;
                *self = Self::Content(part);
                Ok(())
            }
            Self::Content(part) => part.write(bytes),
            Self::Answer(_) => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        match self {
            Self::Content(part) => part.store(),
            _ => Err("the stream ended before the file began: send it again".into()),
        }
    }
}

/// A file on its way. It gets its name when it is whole, and is gone if it does not come so far.
struct Part {
    file: File,
    part: PathBuf,
    path: PathBuf,
    progress: Progress,
    is_stored: bool,
}

impl Part {
    fn new(folder: &Path, name: &str, length: u64) -> Result<Self> {
        // Folders in the name are not the sender's to choose, and `.part` is for files on their way.
        let name = Path::new(name).file_name().and_then(|name| name.to_str());
        let allowed = name.filter(|name| !name.to_ascii_lowercase().ends_with(".part"));
        let name = allowed.ok_or("files of this name are not taken: send it under another name")?;
        let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
        let created = OpenOptions::new().write(true).create_new(true).open(&part);
        let file = created.map_err(|error| format!("cannot make the .part of {name:?}, remove a leftover: {error}"))?;
        let part = Self { file, part, path, progress: Progress::new(name, length), is_stored: false };
        if fs::symlink_metadata(&part.path).is_ok() {
            return Err(format!("{name:?} exists: remove it at the receiver or send under another name").into());
        }
        Ok(part)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.progress.add(bytes.len())?;
        Ok(self.file.write_all(bytes)?)
    }

    fn store(&mut self) -> Result<()> {
        self.progress.end()?;
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.is_stored = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_stored {
            println!("{:?}: not stored", self.progress.name);
            let _ = fs::remove_file(&self.part);
        }
    }
}

// ---- the sender

fn send(path: &Path, address: &str, fingerprint: &str) -> Result<()> {
    let fingerprint = fingerprint.parse();
    let fingerprint =
        fingerprint.map_err(|error| format!("{error}: give the fingerprint that the receiver printed"))?;
    let opened = File::open(path);
    let file = opened.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(format!("{} is no file: pack a folder first", path.display()).into());
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the file's name is no Unicode: rename it")?;
    let (mut client, id) = connect(address, &ClientConfig::fingerprints([fingerprint]))?;
    let result = upload(&mut client, id, file, name, metadata.len());
    // The answer is here; this only spares the receiver a timeout.
    if let Some(mut connection) = client.conn(id).filter(|connection| !connection.is_closed()) {
        connection.close(AppCode::ZERO, b"");
        run(&mut client, |_, event| match event {
            Event::Connection(_, On::Closed) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })?;
    }
    result
}

/// Connects to the first address of that name that answers.
fn connect(address: &str, trust: &ClientConfig) -> Result<(Endpoint, ConnId)> {
    let mut failure = "it stands for no address".to_owned();
    for remote in resolve(address)? {
        let any: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let mut client = Endpoint::bind(any, Config::default())?;
        let id = client.connect(remote, trust)?;
        let connected = run(&mut client, |client, event| match event {
            Event::Connection(_, On::Connected) => ControlFlow::Break(Ok(())),
            Event::Connection(id, On::Closed) => ControlFlow::Break(Err(why(client, id))),
            _ => ControlFlow::Continue(()),
        })?;
        match connected {
            Ok(()) => return Ok((client, id)),
            Err(reason) => failure = reason,
        }
    }
    Err(format!("cannot connect to {address}: {failure}").into())
}

fn upload(client: &mut Endpoint, id: ConnId, file: File, name: &str, length: u64) -> Result<()> {
    let name_len = u8::try_from(name.len()).map_err(|_| "the file's name is too long: rename it")?;
    let mut connection = client.conn(id).ok_or("the connection is over")?;
    let stream = connection.open(StreamOptions::bytes())?;
    let head = [&length.to_be_bytes()[..], &[name_len], name.as_bytes()].concat();
    let mut upload =
        Upload { stream, file, progress: Progress::new(name, length), piece: head, is_sent: false, answer: Vec::new() };
    upload.go_on(&mut connection)?;
    run(client, |client, event| {
        let Event::Connection(id, event) = event else { return ControlFlow::Continue(()) };
        let done = match (event, client.conn(id)) {
            (On::StreamReadable(_) | On::StreamWritable(_) | On::StreamStopped(..), Some(mut connection)) => {
                upload.go_on(&mut connection)
            }
            (On::Closed, _) => Err(why(client, id).into()),
            _ => Ok(false),
        };
        match done {
            Ok(false) => ControlFlow::Continue(()),
            Ok(true) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    })??;
    if upload.answer != STORED.as_bytes() {
        let answer = String::from_utf8_lossy(&upload.answer).replace(char::is_control, "?");
        return Err(format!("the receiver says: {answer}").into());
    }
    upload.progress.end()
}

struct Upload {
    stream: StreamId,
    file: File,
    progress: Progress,
    /// What was read of the file and the stream had no room for.
    piece: Vec<u8>,
    is_sent: bool,
    answer: Vec<u8>,
}

impl Upload {
    /// Sends what there is room for and reads what there is of the answer; true at its end.
    fn go_on(&mut self, connection: &mut Conn<'_>) -> Result<bool> {
        while !self.is_sent {
            if self.piece.is_empty() {
                let count = (&self.file).take(PIECE as u64).read_to_end(&mut self.piece)?;
                self.progress.add(count)?;
            }
            if self.piece.is_empty() {
                let _ = connection.finish(self.stream);
                self.is_sent = true;
                break;
            }
            match connection.send(self.stream, &self.piece) {
                Ok(sent) => drop(self.piece.drain(..sent)),
                Err(SendError::Blocked) => break,
                // A receiver that takes no more says why in its answer.
                Err(_) => self.is_sent = true,
            }
        }
        let mut buffer = [0; 1 << 10];
        loop {
            match connection.recv(self.stream, &mut buffer)? {
                Recv::Data(count) => self.answer.extend_from_slice(&buffer[..count]),
                Recv::Blocked => return Ok(false),
                Recv::Finished => return Ok(true),
                Recv::Reset(_) => return Err("the receiver gave up: send it again".into()),
            }
            if self.answer.len() > 1 << 10 {
                return Err("the answer is too long for a receiver of files: look at the address".into());
            }
        }
    }
}

// ---- both

fn resolve(address: &str) -> Result<std::vec::IntoIter<SocketAddr>> {
    Ok(address.to_socket_addrs().map_err(|error| format!("{address}: {error}: give HOST:PORT"))?)
}

fn why(endpoint: &mut Endpoint, id: ConnId) -> String {
    let reason = endpoint.conn(id).and_then(|connection| connection.close_reason().map(ToString::to_string));
    reason.unwrap_or_else(|| "the connection is over".to_owned())
}

/// Counts the bytes of a file and prints how far it is.
struct Progress {
    name: String,
    length: u64,
    done: u64,
}

impl Progress {
    fn new(name: &str, length: u64) -> Self {
        Self { name: name.to_owned(), length, done: 0 }
    }

    fn add(&mut self, count: usize) -> Result<()> {
        let tenths = |done| done * 10 / self.length.max(1);
        let before = tenths(self.done);
        self.done += count as u64;
        if self.done > self.length {
            return Err(format!("{:?} grew over its {} bytes on the way: send it again", self.name, self.length).into());
        }
        if tenths(self.done) != before {
            println!("{:?}: {} of {} bytes, {} %", self.name, self.done, self.length, tenths(self.done) * 10);
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        if self.done < self.length {
            return Err(
                format!("{:?} ended at {} of {} bytes: send it again", self.name, self.done, self.length).into()
            );
        }
        println!("{:?}: all {} bytes", self.name, self.length);
        Ok(())
    }
}
