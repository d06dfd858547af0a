//! The code of forward error correction (specification sections 5.2 and 13 item 19).

use jsp_proto::internals::fec;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::value::{Computed, Inputs, hex, hex_list};

/// Longer symbols stand in the files as their SHA-256.
const WRITTEN_OUT: usize = 66;

/// All parity symbols of a block of `payloads`.
pub(super) fn parity(inputs: &Inputs<'_>) -> Computed {
    let payloads = inputs.list("payloads")?;
    let symbols = fec::parity(&payloads, inputs.small("class")?).ok_or("no such block")?;
    let symbol_len = symbols.first().map_or(0, Vec::len);
    Ok(json!({ "sources": payloads.len(), "symbol_len": symbol_len, "symbols": hex_list(&symbols) }))
}

/// The same for payloads that follow from a rule, see [`pattern`].
pub(super) fn parity_pattern(inputs: &Inputs<'_>) -> Computed {
    let (sources, len) = (inputs.small::<u8>("sources")?, inputs.small::<u16>("payload_len")?);
    let payloads = pattern(inputs.text("seed")?, sources, len.into());
    let symbols = fec::parity(&payloads, inputs.small("class")?).ok_or("no such block")?;
    let symbol_len = symbols.first().map_or(0, Vec::len);
    let payloads_sha256 = hex(&Sha256::digest(payloads.concat()));
    let mut expected = json!({ "payloads_sha256": payloads_sha256, "symbol_len": symbol_len });
    if symbol_len <= WRITTEN_OUT {
        expected["symbols"] = json!(hex_list(&symbols));
    } else {
        let digests: Vec<_> = symbols.iter().map(Sha256::digest).collect();
        expected["symbols_sha256"] = json!(hex_list(&digests));
    }
    Ok(expected)
}

/// `sources` payloads: payload i has `len` bytes less i modulo 3, the first of SHA-256(seed || u16 i || u16 0) ||
/// SHA-256(seed || u16 i || u16 1) || ...
pub(super) fn pattern(seed: &str, sources: u8, len: usize) -> Vec<Vec<u8>> {
    let payload = |source: u16| {
        let blocks = (0..).map(|block: u16| {
            let mut hash = Sha256::new();
            hash.update(seed);
            hash.update(source.to_be_bytes());
            hash.update(block.to_be_bytes());
            <[u8; 32]>::from(hash.finalize())
        });
        blocks.flatten().take(len.saturating_sub(usize::from(source % 3))).collect()
    };
    (0..u16::from(sources)).map(payload).collect()
}

/// The payloads missing of a block of `sources` packets.
pub(super) fn repair(inputs: &Inputs<'_>) -> Computed {
    let (class, sources) = (inputs.small("class")?, inputs.small::<u8>("sources")?);
    let (known, symbols) = (inputs.indexed("known", "payload")?, inputs.indexed("parity", "symbol")?);
    let places: Vec<_> = known.iter().map(|(place, payload)| (usize::from(*place), payload.clone())).collect();
    let Some(repaired) = fec::repair(class, sources.into(), &places, &symbols) else {
        return Ok(json!({ "error": "unrepairable" }));
    };
    let missing: Vec<_> = (0..sources).filter(|place| !known.iter().any(|(other, _)| other == place)).collect();
    if missing.len() != repaired.len() {
        return Err(format!("{} payloads are missing and {} were repaired", missing.len(), repaired.len()));
    }
    // Parity that is not of these payloads repairs them to anything.
    let mut block = known.clone();
    block.extend(missing.iter().copied().zip(repaired.iter().cloned()));
    block.sort();
    let payloads: Vec<_> = block.into_iter().map(|(_, payload)| payload).collect();
    let all = fec::parity(&payloads, class).ok_or("no such block")?;
    if symbols.iter().any(|(index, symbol)| all.get(usize::from(*index)) != Some(symbol)) {
        return Ok(json!({ "error": "inconsistent" }));
    }
    let missing: Vec<_> = missing
        .iter()
        .zip(&repaired)
        .map(|(place, payload)| json!({ "index": place, "payload": hex(payload) }))
        .collect();
    Ok(json!({ "missing": missing }))
}
