//! The keys of a connection and what to do with them.

use jsp_proto::internals::crypto::packet::{Secret, unprotect};
use jsp_proto::internals::crypto::{KeyId, PacketKeys, Secrets, TAG_LEN};
use jsp_proto::internals::wire::header::{Cid, ShortFlags, decode_packet_number, first_byte};
use jsp_proto::internals::wire::{Frame, Reader};
use jsp_proto::{Side, TransportError};

use super::hello::answer_flight;

/// A connection: seals what it is told to, opens what comes, and decides nothing.
#[derive(Debug)]
pub struct Session {
    /// The id to which the client sent its hello.
    pub first_dcid: Cid,
    /// The id by which the peer addresses this side.
    pub local: Cid,
    /// The id by which this side addresses the peer.
    pub remote: Cid,
    tx: PacketKeys,
    /// Of all key phases so far and the next one.
    rx: Vec<PacketKeys>,
    /// The secret that follows the one of `tx`, and that of the last of `rx`.
    secrets: (Secret, Secret),
    /// The key phase it sends in, counted from 0.
    pub phase: usize,
    /// The key phase of the packet of the peer that came in last.
    pub heard: usize,
    /// Packets of the peer, opened: number and payload.
    pub packets: Vec<(u64, Vec<u8>)>,
    /// The number of the next packet.
    pub next_pn: u64,
    largest: Option<u64>,
}

impl Session {
    /// The side of a connection that has these secrets. The ids are that of the hello, this side's and the peer's.
    pub fn new(side: Side, (first_dcid, local, remote): (Cid, Cid, Cid), secrets: &Secrets) -> Self {
        let (tx, rx) = match side {
            Side::Client => (&secrets.client, &secrets.server),
            Side::Server => (&secrets.server, &secrets.client),
        };
        let secrets = (tx.next(), rx.next());
        let (tx, rx) = (PacketKeys::from_secret(tx), PacketKeys::from_secret(rx));
        let next = rx.updated(&secrets.1);
        Self {
            first_dcid,
            local,
            remote,
            tx,
            rx: vec![rx, next],
            secrets,
            phase: 0,
            heard: 0,
            packets: Vec::new(),
            next_pn: 0,
            largest: None,
        }
    }

    /// As a server: an answer to the client's hello that is sealed rightly and made up inside, different for every
    /// number.
    pub fn forged_answer(&self, server: &KeyId, number: u8) -> Vec<Vec<u8>> {
        self.forged_answer_of(server, number, 1137)
    }

    /// [`forged_answer`](Self::forged_answer) with a message of so many bytes.
    pub fn forged_answer_of(&self, server: &KeyId, number: u8, len: usize) -> Vec<Vec<u8>> {
        let scid = Cid::new(&[number; 8]).expect("eight bytes");
        let mut message = vec![number; len];
        message[0] = 0;
        answer_flight(server, self.first_dcid, self.remote, scid, &message)
    }

    /// Packets are sealed in the next key phase from now on, whether or not that is allowed.
    pub fn update_keys(&mut self) {
        let (tx, rx) = &mut self.secrets;
        self.tx = self.tx.updated(tx);
        (*tx, *rx) = (tx.next(), rx.next());
        self.rx.push(self.rx[0].updated(rx));
        self.phase += 1;
    }

    /// Seals these bytes as the content of the next packet.
    pub fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, false, self.phase)
    }

    /// Seals these bytes as the content of the next packet, which claims to be of the other key phase.
    pub fn seal_in_the_wrong_phase(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, false, self.phase + 1)
    }

    /// Seals these bytes as the content of the next packet, one that parity may protect.
    pub fn seal_protected(&mut self, payload: &[u8]) -> Vec<u8> {
        self.seal_as(payload, true, self.phase)
    }

    fn seal_as(&mut self, payload: &[u8], fec: bool, phase: usize) -> Vec<u8> {
        self.seal_under(payload, ShortFlags { fec, key_phase: phase % 2 == 1, pn_len: 4 }, 0)
    }

    /// Seals these bytes as the content of the next packet, under a header with these flags and the bits of `more`.
    pub fn seal_under(&mut self, payload: &[u8], flags: ShortFlags, more: u8) -> Vec<u8> {
        let pn = self.next_pn;
        self.next_pn += 1;
        let cid = self.remote.as_slice();
        let pn_at = 1 + cid.len();
        let mut packet = vec![first_byte(flags, false) | more];
        packet.extend_from_slice(cid);
        packet.resize(pn_at + flags.pn_len, 0);
        packet.extend_from_slice(payload);
        packet.extend_from_slice(&[0; TAG_LEN]);
        self.tx.seal(&mut packet, pn_at, flags.pn_len, pn);
        packet
    }

    /// Takes in what the peer sends: what does not open is nothing.
    pub fn on_datagram(&mut self, mut bytes: Vec<u8>) {
        if bytes.first().is_none_or(|byte| byte & 0x80 != 0) {
            return;
        }
        let pn_at = 1 + self.local.len();
        let Ok(header) = unprotect(self.rx[0].header(), &mut bytes, pn_at) else { return };
        let expected = self.largest.map_or(0, |largest| largest + 1);
        let pn = decode_packet_number(header.truncated_pn, header.pn_len, expected);
        let at = pn_at + header.pn_len;
        let odd = usize::from(ShortFlags::from_first_byte(header.first).key_phase);
        let mut of_the_bit = self.rx.iter().enumerate().rev().filter(|(phase, _)| phase % 2 == odd);
        let opened = of_the_bit.find_map(|(phase, keys)| {
            let mut bytes = bytes.clone();
            let len = keys.open(&mut bytes, at, pn).ok()?;
            Some((phase, bytes[at..at + len].to_vec()))
        });
        if let Some((phase, payload)) = opened {
            self.heard = phase;
            self.largest = self.largest.max(Some(pn));
            self.packets.push((pn, payload));
        }
    }

    /// All frames of the peer so far.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        for (_, payload) in &self.packets {
            let mut reader = Reader::new(payload);
            while !reader.is_empty() {
                frames.push(Frame::decode(&mut reader).expect("the peer sends sound frames"));
            }
        }
        frames
    }

    /// Whether the peer acknowledged this packet.
    pub fn is_acked(&self, pn: u64) -> bool {
        self.frames().iter().any(|frame| match frame {
            Frame::Ack(ack) => ack.ranges.iter().any(|range| range.contains(&pn)),
            _ => false,
        })
    }

    /// The error with which the peer has closed, if it did.
    pub fn closed_with(&self) -> Option<TransportError> {
        self.frames().iter().find_map(|frame| match frame {
            Frame::Close(close) => Some(TransportError::from_code(close.error)),
            _ => None,
        })
    }
}
