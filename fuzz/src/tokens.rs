//! Address tokens and the key offer.

use std::net::{IpAddr, SocketAddr};

use jsp_proto::internals::crypto::token::{
    CLOCK_SKEW, KeyInfo, MAX_ENDORSEMENT, MAX_TOKEN, RETRY_LIFETIME, TokenKey, TokenSecret, is_new_token,
    is_retry_token,
};

use crate::input::Input;

/// Tokens that were made verify where they should and nowhere else; nothing else verifies.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let key = TokenSecret::new([3; 32]).key(u64::from(input.u8()));
    let address = address(&mut input);
    match input.below(3) {
        0 => retry(&key, address, &mut input),
        1 => new(&key, address.ip(), &mut input),
        _ => offer(&mut input),
    }
    foreign(&key, address, data);
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let ip = if input.flag() { IpAddr::from(input.array::<16>()) } else { IpAddr::from(input.array::<4>()) };
    SocketAddr::new(ip, input.u16())
}

/// A change to a token: a flipped bit, fewer bytes, more bytes, or none.
fn change(token: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut token = token.to_vec();
    let bit = input.below(token.len() * 8);
    match input.below(4) {
        0 => {}
        1 => token[bit / 8] ^= 1 << (bit % 8),
        2 => token.truncate(bit / 8),
        _ => token.push(bit as u8),
    }
    token
}

const fn in_time(issued: u32, now: u32, lifetime: u32) -> bool {
    issued as i64 >= now as i64 - lifetime as i64 && issued as i64 <= now as i64 + CLOCK_SKEW as i64
}

fn retry(key: &TokenKey, from: SocketAddr, input: &mut Input<'_>) {
    let (issued, odcid) = (input.u32(), input.chunk(20));
    let rscid = key.retry_cid(issued, odcid, from);
    let Some(made) = key.retry_token(issued, odcid, &rscid, from) else {
        assert!(odcid.len() > 16);
        return;
    };
    let (token, elsewhere) = (change(made.as_bytes(), input), address(input));
    let now = issued.wrapping_add(input.u8().into()).wrapping_sub(5);
    let from_there = if input.flag() { elsewhere } else { from };
    let same = token == made.as_bytes() && canonical(from_there) == canonical(from);
    let expected = same && in_time(issued, now, RETRY_LIFETIME);
    assert_eq!(key.verify_retry(&token, &rscid, from_there, now), expected.then_some(odcid));
    assert!(is_retry_token(made.as_bytes()) && made.as_bytes().len() <= MAX_TOKEN);
}

/// IPv4 and IPv4 mapped into IPv6 are one address to a token.
fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

fn new(key: &TokenKey, ip: IpAddr, input: &mut Input<'_>) {
    let key = key.new_token_key();
    let (nonce, issued, lifetime) = (input.array(), input.u32(), input.u32());
    let made = key.seal(nonce, issued, ip);
    assert!(is_new_token(&made) && made.len() <= MAX_TOKEN);
    let (token, elsewhere) = (change(&made, input), address(input).ip());
    let now = if input.flag() { input.u32() } else { issued };
    let from_there = if input.flag() { elsewhere } else { ip };
    let same = token == made && from_there.to_canonical() == ip.to_canonical();
    let opened = key.open(&token, from_there, now, lifetime);
    assert_eq!(opened.is_some(), same && in_time(issued, now, lifetime));
    assert!(opened.is_none_or(|token| token.nonce == nonce && token.issued == issued));
}

fn offer(input: &mut Input<'_>) {
    let public = crate::sealed::server_key().public();
    let (token, endorsed) = (input.chunk(80), input.flag());
    let info = KeyInfo { token, key: public.clone(), endorsement: endorsed.then(|| input.chunk(1100)) };
    let Ok(message) = info.encode() else {
        assert!(token.len() > MAX_TOKEN || info.endorsement.is_some_and(|bytes| bytes.len() > MAX_ENDORSEMENT));
        return;
    };
    assert_eq!(KeyInfo::decode(&message), Ok(info));
    let changed = change(&message, input);
    if changed.len() != message.len() {
        assert!(KeyInfo::decode(&changed).is_err(), "the length is exact");
    } else if let Ok(read) = KeyInfo::decode(&changed) {
        assert_eq!(read.encode().expect("within bounds"), changed);
    }
}

/// Nobody who does not hold the key makes a token that verifies.
fn foreign(key: &TokenKey, from: SocketAddr, data: &[u8]) {
    let ours = TokenKey::new(*key.as_bytes()).new_token_key();
    for now in [0, 1 << 20] {
        assert_eq!(key.verify_retry(data, &[9; 8], from, now), None);
        assert_eq!(ours.open(data, from.ip(), now, u32::MAX), None);
    }
    if let Ok(info) = KeyInfo::decode(data) {
        assert_eq!(info.encode().as_deref(), Ok(data));
    }
}
