//! What the demo sends when no file is named, and where everything goes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::failure::Result;
use crate::proxy::SplitMix;
use crate::transfer::{Header, Place};

/// Bytes that a seed decides and nothing compresses, or words that compress. Never in memory as a whole.
#[derive(Debug)]
pub(super) struct Generated {
    random: SplitMix,
    /// How many different words there are, less one.
    vocabulary: u64,
    word: [u8; 8],
    /// Bytes of the word that were given out.
    used: usize,
}

impl Generated {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SplitMix(seed), vocabulary: u64::MAX, word: [0; 8], used: 8 }
    }

    /// 256 words of 8 bytes, in any order.
    pub(super) fn words(seed: u64) -> Self {
        Self { vocabulary: 255, ..Self::new(seed) }
    }
}

impl AsyncRead for Generated {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while buffer.remaining() > 0 {
            if this.used == this.word.len() {
                let next = this.random.next();
                // The number of a word decides its bytes.
                let next = if this.vocabulary == u64::MAX { next } else { SplitMix(next & this.vocabulary).next() };
                this.word = next.to_le_bytes();
                this.used = 0;
            }
            let some = buffer.remaining().min(this.word.len() - this.used);
            buffer.put_slice(&this.word[this.used..this.used + some]);
            this.used += some;
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes a file and keeps nothing of it: the hash is all that the demo wants.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Place for Nowhere {
    async fn begin(&mut self, _: &Header) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    async fn keep(&mut self) -> Result<String> {
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn the_content_does_not_depend_on_how_it_is_read() {
        let mut whole = vec![0; 1000];
        Generated::new(5).read_exact(&mut whole).await.expect("endless");
        let mut source = Generated::new(5);
        for part in whole.chunks(7) {
            let mut read = vec![0; part.len()];
            source.read_exact(&mut read).await.expect("endless");
            assert_eq!(read, part);
        }
        let mut other = vec![0; 1000];
        Generated::new(6).read_exact(&mut other).await.expect("endless");
        assert_ne!(whole, other);
    }
}
