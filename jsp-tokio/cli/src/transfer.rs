//! How a file crosses: one bidirectional stream of bytes per file, on a connection with the protocol `jsp-file/1`.
//! All numbers are big-endian.
//!
//! ```text
//! sender                                            receiver
//! header: length of the name, 2 bytes
//!         name, UTF-8, 1 to 1024 bytes
//!         size of the content, 8 bytes
//!                                                   reply: go on, or why not
//! content
//! SHA-256 of the content, 32 bytes
//! end of the stream
//!                                                   reply: saved under this name, or what failed
//!                                                   SHA-256 of what was written, 32 bytes, if saved
//!                                                   end of the stream
//!
//! reply:  0 for yes, 1 for no, 1 byte
//!         length of the text, 2 bytes; text, UTF-8, at most 1024 bytes
//! ```
//!
//! A receiver that cannot go on replies no and stops the stream. A sender that cannot go on resets the stream; the
//! receiver then keeps nothing. The sender believes in success only when the second reply says yes and carries the
//! hash of what it sent.

use jsp_tokio::{AppCode, ReadError, RecvStream, SendStream, WriteError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::failure::{Failure, Result};
use crate::term::printable;

pub(crate) type Hash = [u8; 32];

/// How much is read, hashed and written at once.
const CHUNK: usize = 128 << 10;
const MAX_TEXT: usize = 1024;
/// The code of a stream that one side gave up.
const GAVE_UP: AppCode = AppCode::new(1);

/// What the sender says about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// What both sides know at the end.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) saved_as: String,
    /// Of what this side read or wrote itself.
    pub(crate) hash: Hash,
}

/// Where a received file goes.
pub(crate) trait Place: Send {
    /// Before the content comes.
    fn begin(&mut self, header: &Header) -> impl Future<Output = Result<()>> + Send;
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send;
    /// The content is whole and its hash right. Gives the name it is saved under.
    fn keep(&mut self) -> impl Future<Output = Result<String>> + Send;
}

/// Sends a file. `progress` is told how many bytes went to the transport.
pub(crate) async fn send(
    stream: (SendStream, RecvStream),
    header: &Header,
    content: &mut (impl AsyncRead + Unpin),
    progress: impl FnMut(u64),
) -> Result<Receipt> {
    let (mut to, mut from) = stream;
    to.write_all(&header.encode()).await?;
    yes(&mut from).await?;
    let hash = match send_content(&mut to, header.size, content, progress).await {
        Ok(hash) => hash,
        Err(Broken::Content(failure)) => {
            to.reset(GAVE_UP);
            return Err(failure);
        }
        // The receiver stopped the stream and says why.
        Err(Broken::Stream(WriteError::Stopped(_))) => {
            yes(&mut from).await?;
            return Err(Failure::new("the receiver gave up in the middle of the file"));
        }
        Err(Broken::Stream(error)) => return Err(error.into()),
    };
    let saved_as = yes(&mut from).await?;
    let mut theirs = [0; 32];
    read_exact(&mut from, &mut theirs).await?;
    if theirs != hash {
        return Err(Failure::new("the receiver has other content than was sent: the hashes differ"));
    }
    Ok(Receipt { saved_as, hash })
}

enum Broken {
    Content(Failure),
    Stream(WriteError),
}

async fn send_content(
    to: &mut SendStream,
    size: u64,
    content: &mut (impl AsyncRead + Unpin),
    mut progress: impl FnMut(u64),
) -> std::result::Result<Hash, Broken> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < size {
        let want = CHUNK.min(usize::try_from(size - done).unwrap_or(usize::MAX));
        let read = content.read(&mut buffer[..want]).await.map_err(|error| Broken::Content(error.into()))?;
        if read == 0 {
            return Err(Broken::Content(Failure::new(format!("the file became shorter: {done} of {size} bytes"))));
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read]).await.map_err(Broken::Stream)?;
        done += read as u64;
        progress(done);
    }
    let hash: Hash = hasher.finalize().into();
    to.write_all(&hash).await.map_err(Broken::Stream)?;
    to.finish().map_err(Broken::Stream)?;
    Ok(hash)
}

/// Receives a file. `progress` is told the size and how many bytes came.
pub(crate) async fn receive(
    stream: (SendStream, RecvStream),
    place: &mut impl Place,
    progress: impl FnMut(u64, u64),
) -> Result<(Header, Receipt)> {
    let (mut to, mut from) = stream;
    let received = receive_content(&mut to, &mut from, place, progress).await;
    match &received {
        Ok((_, receipt)) => {
            to.write_all(&reply(true, &receipt.saved_as)).await?;
            to.write_all(&receipt.hash).await?;
        }
        Err(failure) => {
            // If the connection is what failed, nobody is there to be told.
            let _ = to.write_all(&reply(false, &failure.text)).await;
            from.stop(GAVE_UP);
        }
    }
    let _ = to.finish();
    received
}

async fn receive_content(
    to: &mut SendStream,
    from: &mut RecvStream,
    place: &mut impl Place,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Header, Receipt)> {
    let header = Header::read(from).await?;
    place.begin(&header).await?;
    to.write_all(&reply(true, "")).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < header.size {
        let want = CHUNK.min(usize::try_from(header.size - done).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..want]).await.map_err(cut)?;
        if read == 0 {
            return Err(Failure::new(format!("the sender ended after {done} of {} bytes", header.size)));
        }
        hasher.update(&buffer[..read]);
        place.write(&buffer[..read]).await?;
        done += read as u64;
        progress(header.size, done);
    }
    let mut theirs = [0; 32];
    read_exact(from, &mut theirs).await?;
    let hash: Hash = hasher.finalize().into();
    if hash != theirs {
        return Err(Failure::new("the content is not what the sender read: the hashes differ"));
    }
    let saved_as = place.keep().await?;
    Ok((header, Receipt { saved_as, hash }))
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = text(&self.name);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes
    }

    async fn read(from: &mut RecvStream) -> Result<Self> {
        let name = read_text(from).await?;
        let mut size = [0; 8];
        read_exact(from, &mut size).await?;
        Ok(Self { name, size: u64::from_be_bytes(size) })
    }
}

/// Reads a reply: its text if it says yes.
async fn yes(from: &mut RecvStream) -> Result<String> {
    let mut answer = [0];
    read_exact(from, &mut answer).await?;
    let text = printable(&read_text(from).await?);
    if answer == [0] { Ok(text) } else { Err(Failure::new(format!("the receiver says: {text}"))) }
}

fn reply(yes: bool, say: &str) -> Vec<u8> {
    let mut bytes = vec![u8::from(!yes)];
    bytes.extend(text(say));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let end = text.floor_char_boundary_at(MAX_TEXT);
    let mut bytes = (end as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(&text.as_bytes()[..end]);
    bytes
}

async fn read_text(from: &mut RecvStream) -> Result<String> {
    let mut len = [0; 2];
    read_exact(from, &mut len).await?;
    let len = usize::from(u16::from_be_bytes(len));
    if len > MAX_TEXT {
        return Err(Failure::new("the peer does not speak this protocol: a text is too long"));
    }
    let mut bytes = vec![0; len];
    read_exact(from, &mut bytes).await?;
    String::from_utf8(bytes).map_err(|_| Failure::new("the peer does not speak this protocol: a text is not UTF-8"))
}

async fn read_exact(from: &mut RecvStream, mut buffer: &mut [u8]) -> Result<()> {
    while !buffer.is_empty() {
        match from.read(buffer).await.map_err(cut)? {
            0 => return Err(Failure::new("the peer ended in the middle")),
            read => buffer = &mut buffer[read..],
        }
    }
    Ok(())
}

fn cut(error: ReadError) -> Failure {
    match error {
        ReadError::Reset(_) => Failure::new("the sender gave up in the middle of the file"),
        other => other.into(),
    }
}

/// Hashes in the way `sha256sum` prints them.
pub(crate) fn hex(hash: &Hash) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    /// The largest boundary of a character that is not beyond `at`.
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(600);
        let bytes = text(&format!("x{long}"));
        assert_eq!(bytes.len(), 2 + 1023);
        assert!(std::str::from_utf8(&bytes[2..]).is_ok());
        assert_eq!(reply(false, "no"), [1, 0, 2, b'n', b'o']);
    }

    #[test]
    fn known_hash() {
        assert_eq!(
            hex(&Sha256::digest(b"abc").into()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
