//! The lower layers, for this project's conformance checks and fuzzers. Not part of the stable API.

pub use crate::{crypto, wire};

/// The code of a block (specification section 5.2).
pub mod fec {
    use alloc::vec::Vec;

    use crate::fec::code::{Decoder, Encoder, Shape, Sources, payload_of};

    /// All parity symbols of the block of these payloads. `None` if there is no such block: no or more than 64
    /// payloads, or no such class.
    pub fn parity(payloads: &[Vec<u8>], class: u8) -> Option<Vec<Vec<u8>>> {
        let mut sources = Sources::new();
        payloads.iter().for_each(|payload| sources.push(payload));
        let mut symbols = Vec::new();
        let symbol_len = Encoder::new().encode(&sources, class, &mut symbols)?;
        Some(symbols.chunks_exact(symbol_len).map(<[u8]>::to_vec).collect())
    }

    /// The payloads that are missing of a block of `sources` packets, in order, from the places and payloads that are
    /// `known` and the indexes and symbols of `parity`. `None` if they cannot be computed, or if what was computed is
    /// no payload.
    pub fn repair(
        class: u8,
        sources: usize,
        known: &[(usize, Vec<u8>)],
        parity: &[(u8, Vec<u8>)],
    ) -> Option<Vec<Vec<u8>>> {
        let symbol_len = parity.first().map(|(_, symbol)| symbol.len())?;
        let shape = Shape { sources, class, symbol_len };
        let mut symbols = Vec::new();
        let known = known.iter().map(|(place, payload)| (*place, payload.as_slice()));
        let parity = parity.iter().map(|(index, symbol)| (*index, symbol.as_slice()));
        Decoder::new().repair(shape, known, parity, &mut symbols)?;
        symbols.chunks_exact(symbol_len).map(|symbol| payload_of(symbol).map(<[u8]>::to_vec)).collect()
    }
}

/// Compression (specification sections 4.6 and 4.12).
pub mod lz4 {
    use alloc::vec::Vec;

    use crate::stream::{Header, MAX_BLOCK, unpack};

    /// The message of at most `max` bytes that a compressed body stands for. `None` if it stands for none.
    pub fn message(body: &[u8], max: u64) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        unpack((body, &[]), max, &mut message).ok()?;
        Some(message)
    }

    /// What a whole block-encoded stream stands for. `None` if a block is corrupt or the stream ends inside one.
    pub fn blocks(mut stream: &[u8]) -> Option<Vec<u8>> {
        let (mut content, mut expanded) = (Vec::new(), Vec::new());
        while !stream.is_empty() {
            let (body, whole) = match Header::read((stream, &[])).ok()?? {
                Header::Stored { header, length } => {
                    let whole = usize::try_from(header + length).ok()?;
                    content.extend_from_slice(stream.get(usize::try_from(header).ok()?..whole)?);
                    (None, whole)
                }
                Header::Packed { body, whole } => {
                    let whole = usize::try_from(whole).ok()?;
                    (Some(stream.get(usize::try_from(body).ok()?..whole)?), whole)
                }
            };
            if let Some(body) = body {
                unpack((body, &[]), MAX_BLOCK, &mut expanded).ok()?;
                content.extend_from_slice(&expanded);
            }
            stream = stream.get(whole..)?;
        }
        Some(content)
    }
}
