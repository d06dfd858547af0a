//! Packets (specification sections 2.4 and 3.1 to 3.6).

use jsp_proto::internals::crypto::initial::InitialKeys;
use jsp_proto::internals::crypto::key_id::KeyId;
use jsp_proto::internals::crypto::packet::{HeaderKey, PacketKeys, Secret, unprotect};
use jsp_proto::wire::header::{ShortFlags, decode_long, decode_packet_number, first_byte};
use jsp_proto::wire::{LongType, Side};
use serde_json::json;

use super::value::{Computed, Inputs, hex, number};

const TAG_LEN: usize = 16;

/// What is sealed.
struct Packet {
    header: Vec<u8>,
    pn_at: usize,
    pn_len: usize,
    pn: u64,
    plaintext: Vec<u8>,
}

impl Packet {
    fn given(inputs: &Inputs<'_>, key_phase: bool) -> Result<Self, String> {
        let pn = inputs.number("packet_number")?;
        let pn_len: usize = inputs.small("packet_number_length")?;
        if !(1..=4).contains(&pn_len) || pn >= 1 << 62 {
            return Err("inputs.packet_number_length: not 1 to 4, or the number is above 2^62-1".into());
        }
        let flags = ShortFlags { fec: inputs.flag("fec")?, key_phase, pn_len };
        let mut header = vec![first_byte(flags, inputs.flag("random_bit")?)];
        header.extend_from_slice(&inputs.cid("dcid")?);
        let pn_at = header.len();
        header.extend_from_slice(&pn.to_be_bytes()[8 - pn_len..]);
        let plaintext = inputs.bytes("plaintext")?;
        if pn_len + plaintext.len() < 4 {
            return Err("inputs.plaintext: too short for a sample".into());
        }
        Ok(Self { header, pn_at, pn_len, pn, plaintext })
    }

    /// Seals it, opens it again and compares.
    fn seal(&self, keys: &PacketKeys) -> Result<Vec<u8>, String> {
        let mut packet = [&self.header[..], &self.plaintext, &[0; TAG_LEN]].concat();
        keys.seal(&mut packet, self.pn_at, self.pn_len, self.pn);
        let mut opened = packet.clone();
        let seen = unprotect(keys.header(), &mut opened, self.pn_at).map_err(|error| error.to_string())?;
        let pn = decode_packet_number(seen.truncated_pn, seen.pn_len, self.pn);
        let len = keys.open(&mut opened, self.header.len(), pn).map_err(|error| error.to_string())?;
        let plain = &opened[self.header.len()..][..len];
        if opened[..self.header.len()] != self.header || pn != self.pn || plain != self.plaintext {
            return Err("the packet opens to something else".into());
        }
        Ok(packet)
    }
}

/// The packet of key phase `phase` under the keys that follow from the `secret` of phase 0.
pub(super) fn sealed_packet(inputs: &Inputs<'_>) -> Computed {
    let mut secret = Secret::new(inputs.array("secret")?);
    let mut keys = PacketKeys::from_secret(&secret);
    let hp = secret.hp();
    let phase: u8 = inputs.small("phase")?;
    for _ in 0..phase {
        secret = secret.next();
        keys = keys.updated(&secret);
    }
    let packet = Packet::given(inputs, phase % 2 == 1)?.seal(&keys)?;
    Ok(json!({
        "key": hex(secret.key().as_bytes()),
        "iv": hex(&secret.iv()),
        "hp": hex(hp.as_bytes()),
        "packet": hex(&packet),
    }))
}

/// The packet under given keys, with every step between.
pub(super) fn packet_steps(inputs: &Inputs<'_>) -> Computed {
    let (key, iv, hp) = (inputs.array("key")?, inputs.array("iv")?, inputs.array("hp")?);
    let packet = Packet::given(inputs, inputs.flag("key_phase")?)?;
    let sealed = packet.seal(&PacketKeys::from_parts(&key, iv, &hp))?;
    let mut nonce: [u8; 12] = iv;
    nonce[4..].iter_mut().zip(packet.pn.to_be_bytes()).for_each(|(byte, pn)| *byte ^= pn);
    let mut sample = [0; 16];
    sample.copy_from_slice(&sealed[packet.pn_at + 4..][..16]);
    Ok(json!({
        "header": hex(&packet.header),
        "nonce": hex(&nonce),
        "sample": hex(&sample),
        "mask": hex(&HeaderKey::new(&hp).mask(&sample)),
        "packet": hex(&sealed),
    }))
}

/// A packet as its receiver opens it, whose ids are `cid_length` bytes long and whose next packet is expected to be
/// `expected_packet_number`.
pub(super) fn opened_packet(inputs: &Inputs<'_>) -> Computed {
    let (key, iv, hp) = (inputs.array("key")?, inputs.array("iv")?, inputs.array("hp")?);
    let keys = PacketKeys::from_parts(&key, iv, &hp);
    let mut packet = inputs.bytes("packet")?;
    let pn_at = 1 + inputs.small::<u8>("cid_length")? as usize;
    let expected = inputs.number("expected_packet_number")?;
    let Ok(seen) = unprotect(keys.header(), &mut packet, pn_at) else { return Ok(json!({ "error": "too_short" })) };
    let pn = decode_packet_number(seen.truncated_pn, seen.pn_len, expected);
    let payload_at = pn_at + seen.pn_len;
    let Ok(len) = keys.open(&mut packet, payload_at, pn) else { return Ok(json!({ "error": "aead" })) };
    Ok(json!({
        "header": hex(&packet[..payload_at]),
        "packet_number": number(pn),
        "plaintext": hex(&packet[payload_at..][..len]),
    }))
}

/// A handshake packet: `header` is everything before the sealed payload. `client_dcid` is the destination of the client's
/// packet, also if this is an answer to it.
pub(super) fn long_packet(inputs: &Inputs<'_>) -> Computed {
    let key_id = KeyId::new(inputs.array("key_id")?);
    let (from, header) = (inputs.side("from")?, inputs.bytes("header")?);
    let read = decode_long(&header, from).map_err(|error| error.to_string())?;
    if read.payload_at != header.len() {
        return Err("inputs.header: bytes follow it".into());
    }
    let keys = InitialKeys::new(&key_id, &inputs.cid("client_dcid")?);
    let ty: LongType = read.ty;
    let (key_iv, key) = match from {
        Side::Client => (keys.key_iv("ci", ty, b""), keys.client(ty)),
        Side::Server => (keys.key_iv("si", ty, read.scid.as_slice()), keys.server(ty, read.scid.as_slice())),
    };
    let mut packet = [&header[..], &inputs.bytes("plaintext")?, &[0; TAG_LEN]].concat();
    key.seal_datagram(read.index, &mut packet, header.len()).map_err(|error| error.to_string())?;
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&key_iv[32..]);
    nonce[11] ^= read.index;
    Ok(json!({
        "key": hex(&key_iv[..32]),
        "iv": hex(&key_iv[32..]),
        "nonce": hex(&nonce),
        "packet": hex(&packet),
    }))
}
