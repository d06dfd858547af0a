//! The parameters both sides exchange in the handshake, from and to the configuration (specification section 4.10).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{ClientConfig, Config, KeepAlive};
use crate::conn::grease::GreaseParameter;
use crate::crypto::schedule::MAX_P1;
use crate::entropy::Drbg;
use crate::wire::cursor::{Full, Writer};
use crate::wire::params::{
    COMPRESSION_LZ4, Extras, FEC_REED_SOLOMON, FEC_XOR, FLAG_GREASE_FIXED_BIT, FLAG_NO_MIGRATION, FLAG_OBSERVED_ADDR,
    Params, ParamsContext, Protocols, encode_params,
};
use crate::wire::{Side, StreamKind, StreamType};

/// What this side grants its peer.
pub(crate) fn local_params(config: &Config, side: Side) -> Params {
    let transport = &config.transport;
    let mut streams = [0; 16];
    for ty in StreamType::ALL {
        let understood = ty.kind() != StreamKind::Blocks || transport.accept_compressed;
        let offered = ty.initiator() == side.peer() && understood;
        if let Some(slot) = streams.get_mut(ty.as_usize()) {
            *slot = if offered { transport.max_streams } else { 0 };
        }
    }
    Params {
        max_idle_timeout_ms: millis(transport.idle_timeout),
        max_udp_payload: u64::from(transport.sizes.max),
        initial_max_data: transport.receive_window,
        initial_max_stream_data: transport.stream_receive_window,
        initial_max_streams: streams,
        max_ack_delay_ms: millis(transport.max_ack_delay),
        max_message_size: transport.max_message_size,
        active_cid_limit: crate::config::bounds::ACTIVE_CIDS as u64,
        flags: flags(config, side),
        compression: if transport.accept_compressed { COMPRESSION_LZ4 } else { 0 },
        fec_max_symbols: u64::from(transport.fec_max_symbols),
        fec_schemes: if transport.fec_max_symbols == 0 { 0 } else { FEC_XOR | FEC_REED_SOLOMON },
        ..Params::default()
    }
}

fn flags(config: &Config, side: Side) -> u64 {
    let grease = if config.transport.grease { FLAG_GREASE_FIXED_BIT } else { 0 };
    let stay = if side == Side::Server && !config.allow_migration { FLAG_NO_MIGRATION } else { 0 };
    let observe = if config.transport.keep_alive == KeepAlive::Adaptive { FLAG_OBSERVED_ADDR } else { 0 };
    grease | stay | observe
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(crate::wire::varint::MAX)
}

/// Names as the wire lists them; the default protocol when there are none.
pub(crate) fn protocol_list(names: &[Box<[u8]>]) -> Vec<u8> {
    if names.is_empty() {
        return b"\x03jsp".to_vec();
    }
    let mut list = Vec::new();
    for name in names {
        list.push(name.len() as u8);
        list.extend_from_slice(name);
    }
    list
}

/// The largest PARAMS.
const MAX_PARAMS: usize = 1100;

/// The client's parameters, sealed in its first message.
pub(crate) fn client_params(config: &Config, client: &ClientConfig, rng: &mut Drbg) -> Result<Vec<u8>, Full> {
    let protocols = protocol_list(&client.protocols);
    let identity = client.identity.as_deref().map(crate::crypto::SecretKey::public);
    let key_id = identity.map(crate::crypto::PublicKey::key_id);
    let extras = Extras {
        app_protocols: Protocols::from_encoded(&protocols),
        client_key_id: key_id.as_ref().filter(|_| !client.identity_inline).map(|id| id.as_bytes()),
        client_key: identity.filter(|_| client.identity_inline).map(|key| &key.as_bytes()[..]),
        psk_id: client.psk.as_ref().map(|(id, _)| &**id),
        app_token: (!client.app_token.is_empty()).then_some(&*client.app_token),
        ..Extras::default()
    };
    let grease = GreaseParameter::draw(config, rng);
    encoded(&local_params(config, Side::Client), extras, grease.as_ref(), ParamsContext::P1, MAX_P1)
}

/// The server's parameters, sent in its first 1-RTT packet.
pub(crate) fn server_params(
    config: &Config,
    reset_token: [u8; 16],
    protocol: &[u8],
    rng: &mut Drbg,
) -> Result<Box<[u8]>, Full> {
    let mut protocols = vec![protocol.len() as u8];
    protocols.extend_from_slice(protocol);
    let extras = Extras { app_protocols: Protocols::from_encoded(&protocols), ..Extras::default() };
    let params = Params { reset_token: Some(reset_token), ..local_params(config, Side::Server) };
    let grease = GreaseParameter::draw(config, rng);
    encoded(&params, extras, grease.as_ref(), ParamsContext::ServerParams, MAX_PARAMS).map(Vec::into_boxed_slice)
}

fn encoded<'a>(
    params: &Params,
    mut extras: Extras<'a>,
    grease: Option<&'a GreaseParameter>,
    context: ParamsContext,
    max: usize,
) -> Result<Vec<u8>, Full> {
    let mut bytes = vec![0; max];
    let mut writer = Writer::new(&mut bytes);
    extras.grease = grease.map(GreaseParameter::as_extra);
    if encode_params(params, &extras, context, &mut writer).is_err() {
        // What means nothing must not be what does not fit.
        extras.grease = None;
        let modest = Params { flags: params.flags & !FLAG_GREASE_FIXED_BIT, ..params.clone() };
        encode_params(&modest, &extras, context, &mut writer)?;
    }
    let len = writer.position();
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use crate::entropy::Entropy;
    use crate::wire::cursor::Reader;
    use crate::wire::params::decode_params;

    fn rng(seed: u8) -> Drbg {
        Drbg::new(&Entropy::new([seed; 32]))
    }

    fn client(token: usize) -> ClientConfig {
        let key = SecretKey::from_seed([1; 32]);
        let long = [b'x'; 240];
        ClientConfig::pinned(key.public().clone())
            .identity(key)
            .identity_inline(true)
            .protocols(&[&long])
            .app_token(&vec![7; token])
    }

    fn ids(bytes: &[u8]) -> Vec<u64> {
        let (mut reader, mut ids) = (Reader::new(bytes), Vec::new());
        while !reader.is_empty() {
            ids.push(reader.varint().expect("an id"));
            reader.length_prefixed().expect("a value");
        }
        ids
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_there_unless_there_is_no_room() {
        let (with, without) = (Config::default(), Config::builder().grease(false).build().expect("valid"));
        let (mut greased, mut full, mut refused) = (0, 0, 0);
        for token in 350..=512 {
            let plain = client_params(&without, &client(token), &mut rng(1));
            let bytes = client_params(&with, &client(token), &mut rng(1));
            assert_eq!(bytes.is_ok(), plain.is_ok(), "what means nothing does not decide");
            let Ok(bytes) = bytes else {
                refused += 1;
                continue;
            };
            decode_params(&bytes, ParamsContext::P1).expect("sound");
            match ids(&bytes).last() {
                Some(id) if *id >= 58 && id % 31 == 27 => greased += 1,
                _ => full += 1,
            }
        }
        assert!(greased > 0 && full > 0 && refused > 0, "{greased}, {full}, {refused}");
    }

    #[test]
    fn it_follows_from_the_seed() {
        let params = |seed| server_params(&Config::default(), [2; 16], b"jsp", &mut rng(seed)).expect("it fits");
        assert_eq!(params(1), params(1));
        assert_ne!(ids(&params(1)).last(), ids(&params(2)).last());
    }
}
