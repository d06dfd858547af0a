//! Address tokens, and the key request with its answer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use jsp_proto::internals::crypto::initial::{InitialKeys, Layout, build_flight};
use jsp_proto::internals::crypto::key_id::KeyId;
use jsp_proto::internals::crypto::token::KeyInfo;
use jsp_proto::wire::LongType;
use serde_json::{Map, Value};

use super::report::{Report, Section, Stop};
use super::{Inputs, from_client, from_server};

const EXPECTED: &[&str] =
    &["dcid", "keyreq_datagram", "retry_scid", "message", "keyinfo_datagrams", "scid_c", "issued", "client_ip16_port"];

/// A client's address as tokens bind it.
pub(super) struct Address(SocketAddr);

impl Address {
    pub(super) fn given(section: &mut Section<'_>) -> Result<Self, Stop> {
        let bytes: [u8; 18] = section.given_array("client_ip16_port")?;
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[..16]);
        let port = u16::from_be_bytes([bytes[16], bytes[17]]);
        Ok(Self(SocketAddr::new(canonical(ip), port)))
    }

    /// The server's connection id and the token it sends with it. `cid_len` is the length that this server uses.
    pub(super) fn token(&self, inputs: &Inputs, issued: u32, odcid: &[u8], cid_len: usize) -> (Vec<u8>, Vec<u8>) {
        let mut scid = inputs.token_key.retry_cid(issued, odcid, self.0).to_vec();
        scid.truncate(cid_len);
        let token = inputs.token_key.retry_token(issued, odcid, &scid, self.0);
        let token = token.map_or(Vec::new(), |token| token.as_bytes().to_vec());
        (scid, token)
    }
}

/// An IPv4 address may stand in 16 bytes as a mapped one.
pub(super) fn canonical(ip: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(ip).to_canonical()
}

pub(super) fn check(file: &Map<String, Value>, inputs: Option<&Inputs>, report: &mut Report) {
    // The server of the file has one length of connection ids; this section has no other witness of it.
    let cid_len = file.get("nk").and_then(|nk| nk.get("scid_s")).and_then(Value::as_str).map_or(8, |hex| hex.len() / 2);
    let mut section = Section::new("keyfetch", file, report);
    if let Some(inputs) = inputs {
        // Stop means that the report already names what is missing.
        let _ = check_section(&mut section, inputs, cid_len);
    }
    section.finish(EXPECTED);
}

fn check_section(section: &mut Section<'_>, inputs: &Inputs, cid_len: usize) -> Result<(), Stop> {
    let dcid = section.given_cid("dcid")?;
    let scid_c = section.given_cid("scid_c")?;
    let issued = u32::from_be_bytes(section.given_array("issued")?);
    let address = Address::given(section)?;

    // The client of this section knows nothing of the server, so both directions are sealed under the zero id.
    let keys = InitialKeys::new(&KeyId::ZERO, &dcid);
    let header = from_client(LongType::Key, &dcid, &scid_c, b"");
    match build_flight(&header, &keys.client(LongType::Key), b"", Layout::Padded) {
        Ok(flight) => section.compare("keyreq_datagram", &flight.concat()),
        Err(error) => section.wrong("keyreq_datagram", error.to_string()),
    }

    let (retry_scid, token) = address.token(inputs, issued, &dcid, cid_len);
    section.compare("retry_scid", &retry_scid);
    let info = KeyInfo { token: &token, key: inputs.server.public().clone(), endorsement: None };
    let message = match info.encode() {
        Ok(message) => message,
        Err(error) => {
            section.wrong("message", error.to_string());
            return Err(Stop);
        }
    };
    section.compare("message", &message);
    let header = from_server(LongType::Key, &scid_c, &retry_scid);
    match build_flight(&header, &keys.server(LongType::Key, &retry_scid), &message, Layout::Even) {
        Ok(flight) => section.compare_list("keyinfo_datagrams", &flight),
        Err(error) => section.wrong("keyinfo_datagrams", error.to_string()),
    }
    Ok(())
}
