//! Blocks of protected packets with their parity, as a peer of the tests sends them: computed from the specification with
//! the crate of the Reed-Solomon code alone.

use jsp_conformance::sim::Sim;
use jsp_proto::internals::wire::Frame;
use jsp_proto::internals::wire::frame::Parity;
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateEncoder, RateEncoder};

use super::hostile::Hostile;

/// Protected packets that were sealed, sent or not.
#[derive(Default)]
pub struct Block {
    pub pns: Vec<u64>,
    pub payloads: Vec<Vec<u8>>,
    pub packets: Vec<Vec<u8>>,
}

impl Block {
    /// Seals a packet for each payload.
    pub fn seal(peer: &mut Hostile, payloads: Vec<Vec<u8>>) -> Self {
        let mut block = Self::default();
        for payload in payloads {
            block.pns.push(peer.next_pn);
            block.packets.push(peer.seal_protected(&payload));
            block.payloads.push(payload);
        }
        block
    }

    /// Sends the packets but those at these places.
    pub fn send_without(&self, peer: &Hostile, sim: &mut Sim, lost: &[usize]) {
        for (place, packet) in self.packets.iter().enumerate() {
            if !lost.contains(&place) {
                peer.send_raw(sim, std::slice::from_ref(packet));
            }
        }
    }

    /// All parity symbols of this class.
    pub fn symbols(&self, class: u8) -> Vec<Vec<u8>> {
        symbols(&self.payloads, class)
    }

    /// A PARITY frame of the block, as packet `pn` may carry it.
    pub fn parity<'s>(&self, pn: u64, class: u8, index: u8, symbol: &'s [u8]) -> Frame<'s> {
        let (first, last) = (self.pns[0], self.pns[self.pns.len() - 1]);
        let mask = self.pns.iter().fold(0, |mask, pn| mask | 1u128 << (pn - first));
        let span = (last - first + 1) as u8;
        Frame::Parity(Parity { back: pn - first, span, mask, index, class, planned: class, symbol })
    }

    /// Sends the parities with these indices, each in a packet of its own.
    pub fn send_parity(&self, peer: &mut Hostile, sim: &mut Sim, class: u8, indices: impl IntoIterator<Item = u8>) {
        let symbols = self.symbols(class);
        for index in indices {
            let frame = self.parity(peer.next_pn, class, index, &symbols[usize::from(index)]);
            peer.send(sim, &[frame]);
        }
    }
}

/// All parity symbols of this class for a block of these payloads.
pub fn symbols(payloads: &[Vec<u8>], class: u8) -> Vec<Vec<u8>> {
    let longest = payloads.iter().map(Vec::len).max().expect("a payload");
    let len = (2 + longest).next_multiple_of(2);
    let mut encoder =
        HighRateEncoder::new(payloads.len(), class.into(), len, DefaultEngine::new(), None).expect("a block");
    for payload in payloads {
        let mut symbol = (payload.len() as u16).to_be_bytes().to_vec();
        symbol.extend_from_slice(payload);
        symbol.resize(len, 0);
        encoder.add_original_shard(symbol).expect("it fits");
    }
    encoder.encode().expect("complete").recovery_iter().map(<[u8]>::to_vec).collect()
}
