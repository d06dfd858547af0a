//! Protected packets of which some get lost, and their parity, whole or broken.

use jsp_proto::internals::wire::frame::{Parity, Stream};
use jsp_proto::internals::wire::{Frame, Reader, StreamKind};
use jsp_proto::{Recv, Side, StreamId};
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateEncoder, RateEncoder};

use crate::input::Input;
use crate::sealed::{Sealed, encode};

/// Protected packets that were sealed, sent or not.
struct Block {
    pns: Vec<u64>,
    payloads: Vec<Vec<u8>>,
    lost: Vec<bool>,
    class: u8,
}

/// The bytes of the one stream, and which of them the endpoint must have.
struct Content {
    sid: StreamId,
    sent: Vec<u8>,
    arrived: Vec<bool>,
    read: Vec<u8>,
}

impl Content {
    /// The next `len` bytes as the content of a packet.
    fn next(&mut self, len: usize) -> Vec<u8> {
        let start = self.sent.len();
        self.sent.extend((start..start + len).map(|at| ((at * 13) ^ (at >> 7)) as u8));
        self.arrived.resize(start + len, false);
        let (sid, offset) = (self.sid, start as u64);
        encode(&[Frame::Stream(Stream { sid, offset, fin: false, data: &self.sent[start..] })])
    }

    /// The endpoint must have what this packet carries.
    fn arrive(&mut self, payload: &[u8]) {
        if let Ok(Frame::Stream(stream)) = Frame::decode(&mut Reader::new(payload)) {
            let start = stream.offset as usize;
            self.arrived[start..start + stream.data.len()].fill(true);
        }
    }

    fn read(&mut self, sealed: &mut Sealed) {
        let Some(mut conn) = sealed.conn() else { return };
        let mut buffer = [0; 4096];
        while let Ok(Recv::Data(len)) = conn.recv(self.sid, &mut buffer) {
            self.read.extend_from_slice(&buffer[..len]);
        }
        sealed.drain();
    }

    /// What was read is what was sent; it reaches at least as far as it must.
    fn check(&self) {
        assert!(self.sent.starts_with(&self.read), "a repair made something else");
        let least = self.arrived.iter().take_while(|arrived| **arrived).count();
        assert!(self.read.len() >= least, "{} of {least} bytes", self.read.len());
    }
}

/// All parity symbols of this class, computed from the specification.
fn symbols(payloads: &[Vec<u8>], class: u8) -> Vec<Vec<u8>> {
    let longest = payloads.iter().map(Vec::len).max().unwrap_or_default();
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

impl Block {
    /// Sends protected packets, loses those that the input names, and leaves numbers out between them.
    fn send(sealed: &mut Sealed, content: &mut Content, input: &mut Input<'_>) -> Self {
        let (count, lost, gap) = (input.below(16) + 1, input.u16(), input.u16());
        let class = 1 << input.below(6);
        let mut block = Self { pns: Vec::new(), payloads: Vec::new(), lost: Vec::new(), class };
        for place in 0..count {
            if gap >> place & 1 == 1 {
                // Another packet in between, not of the block.
                sealed.send(&[Frame::Ping]);
            }
            let start = content.sent.len();
            let payload = content.next(input.below(256) + 1);
            let is_lost = lost >> place & 1 == 1;
            let pn = sealed.next_pn;
            let packet = sealed.seal(&payload, true);
            if !is_lost {
                sealed.deliver(pn, &packet);
                content.arrived[start..].fill(true);
            }
            block.pns.push(pn);
            block.payloads.push(payload);
            block.lost.push(is_lost);
        }
        block
    }

    fn parity<'s>(&self, pn: u64, index: u8, symbol: &'s [u8]) -> Parity<'s> {
        let (first, last) = (self.pns[0], self.pns[self.pns.len() - 1]);
        let mask = self.pns.iter().fold(0, |mask, pn| mask | 1u128 << (pn - first));
        let (span, class) = ((last - first + 1) as u8, self.class);
        Parity { back: pn - first, span, mask, index, class, planned: class, symbol }
    }

    /// Sends some of the parity. What that suffices for has arrived, unless there was no time to repair it.
    fn repair(&self, sealed: &mut Sealed, content: &mut Content, input: &mut Input<'_>) {
        let symbols = symbols(&self.payloads, self.class);
        let (chosen, mut sent) = (input.u32(), 0);
        for (index, symbol) in symbols.iter().enumerate() {
            if chosen >> (index % 32) & 1 == 0 || !sealed.is_open() {
                continue;
            }
            let parity = self.parity(sealed.next_pn, index as u8, symbol);
            sealed.send(&[Frame::Parity(parity)]);
            sent += 1;
        }
        let lost = self.lost.iter().filter(|lost| **lost).count();
        let refused = sealed.conn().map_or(1, |conn| conn.stats().fec.repairs_refused);
        if lost <= sent && refused == 0 {
            self.payloads.iter().for_each(|payload| content.arrive(payload));
        }
    }

    /// Sends parity that is made up. Whatever it repairs is then the sender's own doing: it ends the checks.
    fn lie(&self, sealed: &mut Sealed, input: &mut Input<'_>) {
        let mut symbols = symbols(&self.payloads, self.class);
        let index = input.below(symbols.len());
        let symbol = &mut symbols[index];
        for (byte, with) in symbol.iter_mut().zip(input.chunk(64)) {
            *byte ^= with;
        }
        let len = (symbol.len() + input.below(8) * 2).saturating_sub(6).max(2);
        symbol.resize(len, 0x5a);
        let mut parity = self.parity(sealed.next_pn, index as u8, symbol);
        if input.flag() {
            let last = 1u128 << (parity.span - 1);
            parity.mask = (parity.mask ^ u128::from(input.u32()) << 1) & (last | (last - 1)) | 1 | last;
        }
        if input.flag() {
            parity.back = (parity.back + u64::from(input.u8())).min(sealed.next_pn).max(parity.span.into());
        }
        if parity.mask.count_ones() <= 64 {
            sealed.send(&[Frame::Parity(parity)]);
        }
    }
}

/// Sends blocks with losses and repairs them; lies in the last one if the input says so.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut sealed = Sealed::new(Side::Server);
    let sid = StreamId::new(0, StreamKind::Bytes, true, Side::Client);
    let mut content = Content { sid, sent: Vec::new(), arrived: Vec::new(), read: Vec::new() };
    let lies = input.u8() & 3 == 3;
    for _ in 0..8 {
        if input.is_empty() || !sealed.is_open() {
            break;
        }
        let block = Block::send(&mut sealed, &mut content, &mut input);
        if input.u8() & 7 == 7 {
            sealed.pass_round_trip();
        }
        if lies && input.flag() {
            block.lie(&mut sealed, &mut input);
            content.read(&mut sealed);
            sealed.check_bounds();
            continue;
        }
        block.repair(&mut sealed, &mut content, &mut input);
        content.read(&mut sealed);
        if !lies {
            assert!(sealed.is_open(), "{:?}", sealed.end);
            content.check();
        }
    }
    sealed.finish();
}
