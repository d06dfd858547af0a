//! Sends files over a stream of bytes. Run the receiver, which prints its address and fingerprint, then the sender:
//! `cargo run -p jsp-smol --example smol_file_transfer -- recv 127.0.0.1:4433 inbox`
//! `cargo run -p jsp-smol --example smol_file_transfer -- send FILE 127.0.0.1:4433 jsp1-...`
//!
//! On the stream: the file's length (8 bytes), the length of its name (1 byte), its name, its content, the end. The
//! answer is `stored` or what is wrong. Who reaches the receiver may send: give it a folder of its own.
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jsp_smol::{AppCode, ClientConfig, Config, Connection, Endpoint, KeyFetch, RecvStream, SecretKey, Stream};
use smol::fs::{self, File, OpenOptions};
use smol::io::{AsyncReadExt, AsyncWriteExt};

const USAGE: &str = "\
usage: smol_file_transfer recv ADDR DIR               receives files into DIR and prints its fingerprint
       smol_file_transfer send FILE ADDR FINGERPRINT  sends FILE to the receiver at ADDR";
const STORED: &str = "stored";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["recv", address, folder] => smol::block_on(receive(address, Path::new(folder))),
        ["send", file, address, fingerprint] => smol::block_on(send(Path::new(file), address, fingerprint)),
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

async fn receive(address: &str, folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(format!("{} is no folder: make it first", folder.display()).into());
    }
    // A real receiver keeps the seed in a file that only it can read, and its fingerprint stays the same.
    let key = SecretKey::from_seed(jsp_smol::random_seed()?);
    let fingerprint = key.public().key_id();
    let config = Config::builder().server_key(key).key_fetch(KeyFetch::Open).build()?;
    let bound = Endpoint::bind(address, config).await;
    let server = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on {}, fingerprint {fingerprint}", server.local_address());
    while let Some(connection) = server.accept().await {
        smol::spawn(serve(connection, folder.to_owned())).detach();
    }
    Err("the socket failed: start the receiver again".into())
}

async fn serve(connection: Connection, folder: PathBuf) {
    while let Ok(Some(stream)) = connection.accept_stream().await {
        let Stream::Bytes(mut send, mut recv) = stream else { continue };
        let answer = match store(&mut recv, &folder).await {
            Ok(()) => STORED.to_owned(),
            Err(error) => error.to_string(),
        };
        println!("answered: {answer}");
        let _ = send.write_all(answer.as_bytes()).await;
    }
}

/// Receives one file. It gets its name when it is whole.
async fn store(recv: &mut RecvStream, folder: &Path) -> Result<()> {
    let (mut length, mut name) = ([0; 8], [0; 1]);
    recv.read_exact(&mut length).await?;
    recv.read_exact(&mut name).await?;
    let (length, mut name) = (u64::from_be_bytes(length), vec![0; name[0].into()]);
    recv.read_exact(&mut name).await?;
    let name = String::from_utf8(name)?;
    // Folders in the name are not the sender's to choose, and `.part` is for files on their way.
    let name = Path::new(&name).file_name().and_then(|name| name.to_str());
    let allowed = name.filter(|name| !name.to_ascii_lowercase().ends_with(".part"));
    let name = allowed.ok_or("files of this name are not taken: send it under another name")?;
    let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
    let created = OpenOptions::new().write(true).create_new(true).open(&part).await;
    let mut file = created.map_err(|error| format!("cannot make the .part of {name:?}, remove a leftover: {error}"))?;
    let stored: Result<()> = async {
        if fs::symlink_metadata(&path).await.is_ok() {
            return Err(format!("{name:?} exists: remove it at the receiver or send under another name").into());
        }
        let mut progress = Progress::new(name, length);
        let mut buffer = vec![0; 64 << 10];
        while let count @ 1.. = recv.read(&mut buffer).await? {
            progress.add(count)?;
            file.write_all(&buffer[..count]).await?;
        }
        progress.end()?;
        file.sync_all().await?;
        Ok(fs::rename(&part, &path).await?)
    }
    .await;
    if stored.is_err() {
        let _ = fs::remove_file(&part).await;
    }
    stored
}

async fn send(path: &Path, address: &str, fingerprint: &str) -> Result<()> {
    let fingerprint = fingerprint.parse();
    let fingerprint =
        fingerprint.map_err(|error| format!("{error}: give the fingerprint that the receiver printed"))?;
    let opened = File::open(path).await;
    let file = opened.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(format!("{} is no file: pack a folder first", path.display()).into());
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the file's name is no Unicode: rename it")?;
    let client = Endpoint::bind("[::]:0", Config::default()).await?;
    let connected = client.connect(address, &ClientConfig::fingerprints([fingerprint])).await;
    let connection = connected.map_err(|error| format!("cannot connect to {address}: {error}"))?;
    let result = upload(&connection, file, name, metadata.len()).await;
    // The answer is here; this only spares the receiver a timeout.
    let _ = connection.close(AppCode::ZERO, b"").await;
    result
}

async fn upload(connection: &Connection, mut file: File, name: &str, length: u64) -> Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&length.to_be_bytes()).await?;
    send.write_all(&[u8::try_from(name.len()).map_err(|_| "the file's name is too long: rename it")?]).await?;
    send.write_all(name.as_bytes()).await?;
    let mut progress = Progress::new(name, length);
    let mut buffer = vec![0; 64 << 10];
    while let count @ 1.. = file.read(&mut buffer).await? {
        // A receiver that takes no more says why in its answer.
        let Ok(()) = send.write_all(&buffer[..count]).await else { break };
        progress.add(count)?;
    }
    drop(send);
    let answer = recv.read_to_end(1 << 10).await?;
    if answer != STORED.as_bytes() {
        return Err(
            format!("the receiver says: {}", String::from_utf8_lossy(&answer).replace(char::is_control, "?")).into()
        );
    }
    progress.end()
}

/// Counts the bytes of a file and prints how far it is.
struct Progress<'a> {
    name: &'a str,
    length: u64,
    done: u64,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, length: u64) -> Self {
        Self { name, length, done: 0 }
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
