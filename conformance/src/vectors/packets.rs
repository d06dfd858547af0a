//! Packets of an established connection, and the tokens that it hands out.

use jsp_proto::internals::crypto::packet::{PacketKeys, Secret, unprotect};
use jsp_proto::wire::header::{KEY_PHASE_BIT, RANDOM_BIT, RESERVED_BIT};
use serde_json::{Map, Value};

use super::Inputs;
use super::keyfetch::canonical;
use super::report::{Report, Section, Stop, Verdict, difference};

const ONE_RTT: &[&str] = &[
    "c_key",
    "c_iv",
    "c_hp",
    "s_key",
    "s_iv",
    "s_hp",
    "s0_plain",
    "s0_packet",
    "c0_plain",
    "c0_packet",
    "c1234_plain_F1",
    "c1234_packet_F1",
    "c_ap1",
    "c_key1",
    "c_iv1",
    "c20000_packet_phase1_ping",
    "reset_token_scid_s",
];
const NEW_TOKEN: &[&str] = &["key", "plain", "token"];

/// The keys of one direction: two phases.
struct Direction {
    dcid: Vec<u8>,
    phases: [PacketKeys; 2],
}

impl Direction {
    fn new(secret: &Secret, dcid: Vec<u8>) -> Self {
        let first = PacketKeys::from_secret(secret);
        let second = first.updated(&secret.next());
        Self { dcid, phases: [first, second] }
    }
}

pub(super) fn check(file: &Map<String, Value>, inputs: Option<&Inputs>, report: &mut Report) {
    // The packets belong to the connection of section `nk`, whose own check reports what is wrong there.
    let mut ignored = Report::default();
    let mut nk = Section::new("nk", file, &mut ignored);
    let from_nk = (|| {
        let secret = |section: &mut Section<'_>, key| Ok::<_, Stop>(Secret::new(section.given_array(key)?));
        let (client, server) = (secret(&mut nk, "c_ap0")?, secret(&mut nk, "s_ap0")?);
        Ok::<_, Stop>((client, server, nk.given_cid("scid_c")?, nk.given_cid("scid_s")?))
    })();
    let mut section = Section::new("one_rtt", file, report);
    if let (Some(inputs), Ok((client, server, scid_c, scid_s))) = (inputs, from_nk) {
        for (secret, names) in [(&client, ["c_key", "c_iv", "c_hp"]), (&server, ["s_key", "s_iv", "s_hp"])] {
            section.compare(names[0], secret.key().as_bytes());
            section.compare(names[1], &secret.iv());
            section.compare(names[2], secret.hp().as_bytes());
        }
        section.compare("c_ap1", client.next().as_bytes());
        section.compare("c_key1", client.next().key().as_bytes());
        section.compare("c_iv1", &client.next().iv());
        section.compare("reset_token_scid_s", &inputs.reset_key.reset_token(&scid_s));
        let to_server = Direction::new(&client, scid_s);
        let to_client = Direction::new(&server, scid_c);
        for key in section.keys() {
            if key.contains("_packet") {
                let direction = if key.starts_with('s') { &to_client } else { &to_server };
                // Stop means that the report already names what is missing.
                let _ = check_packet(&mut section, key, direction);
            }
        }
    }
    section.finish(ONE_RTT);
}

/// Opens a packet, compares its content, seals it again and compares that.
fn check_packet(section: &mut Section<'_>, key: &str, direction: &Direction) -> Result<(), Stop> {
    let packet = section.read(key)?;
    let plain_key = key.replace("_packet", "_plain");
    let given = section.keys().contains(&plain_key.as_str()).then(|| section.given(&plain_key)).transpose()?;
    let verdict = match reseal(&packet, given.as_deref(), direction) {
        Ok(sealed) => difference(&packet, &sealed).map_or(Verdict::Right, Verdict::Wrong),
        Err(why) => Verdict::Wrong(why),
    };
    section.verdict(key, verdict);
    Ok(())
}

fn reseal(packet: &[u8], plain: Option<&[u8]>, direction: &Direction) -> Result<Vec<u8>, String> {
    let pn_at = 1 + direction.dcid.len();
    let mut opened = packet.to_vec();
    let [first, second] = &direction.phases;
    let header = unprotect(first.header(), &mut opened, pn_at).map_err(|error| error.to_string())?;
    let keys = if header.first & KEY_PHASE_BIT == 0 { first } else { second };
    let payload_at = pn_at + header.pn_len;
    let len = keys.open(&mut opened, payload_at, header.truncated_pn).map_err(|error| error.to_string())?;
    let content = &opened[payload_at..payload_at + len];
    if let Some(why) = plain.and_then(|plain| difference(plain, content)) {
        return Err(format!("the plaintext is not the one in the file: {why}"));
    }
    let mut sealed = vec![header.first & !RESERVED_BIT & !RANDOM_BIT];
    sealed.extend_from_slice(&direction.dcid);
    sealed.resize(payload_at, 0);
    sealed.extend_from_slice(plain.unwrap_or(content));
    sealed.resize(packet.len(), 0);
    keys.seal(&mut sealed, pn_at, header.pn_len, header.truncated_pn);
    Ok(sealed)
}

pub(super) fn check_new_token(file: &Map<String, Value>, inputs: Option<&Inputs>, report: &mut Report) {
    let mut section = Section::new("new_token", file, report);
    if let Some(inputs) = inputs {
        section.compare("key", inputs.token_key.new_token_key().as_bytes());
        if let Ok(plain) = section.given_array::<20>("plain") {
            let (issued, mut ip) = (u32::from_be_bytes([plain[0], plain[1], plain[2], plain[3]]), [0; 16]);
            ip.copy_from_slice(&plain[4..]);
            section.compare(
                "token",
                &inputs.token_key.new_token_key().seal(inputs.new_token_nonce, issued, canonical(ip)),
            );
        }
    }
    section.finish(NEW_TOKEN);
}
