//! Reading parameters (specification section 4.10).

use core::fmt;

use super::{
    CLIENT_KEY_LEN, Extras, MAX_APP_TOKEN, MAX_ENCODED, MAX_ENTRIES, MAX_PSK_ID, Params, ParamsContext, Protocols, id,
};
use crate::wire::cursor::{Reader, Truncated};
use crate::wire::stream_id::StreamType;

/// Why parameters are not accepted. Numbers are ids of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamsError {
    /// The bytes end within a parameter.
    Truncated,
    /// More than [`MAX_ENCODED`] bytes or [`MAX_ENTRIES`] parameters.
    TooMany,
    /// A parameter appears twice or after one with a larger id.
    Order(u64),
    /// The value has a wrong length or form.
    Malformed(u64),
    /// The value is out of its bounds.
    Range(u64),
    /// The parameter is not allowed from this sender or in this place.
    Misplaced(u64),
    /// The client names its key in two ways (specification section 13.1).
    TwoClientKeys,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("parameters are cut off"),
            Self::TooMany => f.write_str("too many parameters"),
            Self::Order(id) => write!(f, "parameter {id:#04x} is repeated or out of order"),
            Self::Malformed(id) => write!(f, "parameter {id:#04x} is malformed"),
            Self::Range(id) => write!(f, "parameter {id:#04x} is out of range"),
            Self::Misplaced(id) => write!(f, "parameter {id:#04x} is not allowed here"),
            Self::TwoClientKeys => f.write_str("the client names its key twice"),
        }
    }
}

impl core::error::Error for ParamsError {}

impl From<Truncated> for ParamsError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Reads a set of parameters; unknown ids are ignored.
///
/// Guaranteed of the result: every bound of specification section 4.10, the floor of 2.10, and the rules of 13.1,
/// 13.11 and 13.13.
pub fn decode_params(bytes: &[u8], context: ParamsContext) -> Result<(Params, Extras<'_>), ParamsError> {
    if bytes.len() > MAX_ENCODED {
        return Err(ParamsError::TooMany);
    }
    let mut decoder = Decoder { context, params: Params::default(), extras: Extras::default() };
    let mut r = Reader::new(bytes);
    let mut previous = None;
    let mut entries = 0;
    while !r.is_empty() {
        let id = r.varint()?;
        let value = r.length_prefixed()?;
        if previous.is_some_and(|previous| id <= previous) {
            return Err(ParamsError::Order(id));
        }
        previous = Some(id);
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(ParamsError::TooMany);
        }
        decoder.entry(id, value)?;
    }
    decoder.finish()
}

struct Decoder<'a> {
    context: ParamsContext,
    params: Params,
    extras: Extras<'a>,
}

impl<'a> Decoder<'a> {
    fn entry(&mut self, id: u64, value: &'a [u8]) -> Result<(), ParamsError> {
        if !is_allowed(id, self.context) {
            return Err(ParamsError::Misplaced(id));
        }
        let params = &mut self.params;
        let extras = &mut self.extras;
        let malformed = ParamsError::Malformed(id);
        match id {
            id::MAX_IDLE_TIMEOUT => params.max_idle_timeout_ms = number(id, value)?,
            id::MAX_UDP_PAYLOAD => params.max_udp_payload = number(id, value)?,
            id::INITIAL_MAX_DATA => params.initial_max_data = number(id, value)?,
            id::INITIAL_MAX_STREAM_DATA => params.initial_max_stream_data = number(id, value)?,
            id::INITIAL_MAX_STREAMS => self.max_streams(value)?,
            id::MAX_ACK_DELAY => params.max_ack_delay_ms = number(id, value)?,
            id::MAX_MESSAGE_SIZE => params.max_message_size = number(id, value)?,
            id::ACTIVE_CID_LIMIT => params.active_cid_limit = number(id, value)?,
            id::FEC_MAX_SYMBOLS => params.fec_max_symbols = number(id, value)?,
            id::FEC_SCHEMES => params.fec_schemes = number(id, value)?,
            id::COMPRESSION => params.compression = number(id, value)?,
            id::FLAGS => params.flags = number(id, value)?,
            id::MIN_ACK_DELAY => params.min_ack_delay_us = Some(number(id, value)?),
            id::APP_PROTOCOLS => self.app_protocols(value)?,
            id::VERSION_INFO => extras.version_info = Some(list(id, value, 4)?),
            id::SUITES => extras.suites = Some(list(id, value, 2)?),
            id::RESET_TOKEN => params.reset_token = Some(value.try_into().map_err(|_| malformed)?),
            id::CLIENT_KEY_ID => extras.client_key_id = Some(value.try_into().map_err(|_| malformed)?),
            id::CLIENT_KEY if value.len() == CLIENT_KEY_LEN => extras.client_key = Some(value),
            id::PSK_ID if value.len() <= MAX_PSK_ID => extras.psk_id = Some(value),
            id::APP_TOKEN if value.len() <= MAX_APP_TOKEN => extras.app_token = Some(value),
            id::CLIENT_KEY | id::PSK_ID | id::APP_TOKEN => return Err(malformed),
            id::REFUSE => extras.refuse = Some(number(id, value)?),
            _ => {}
        }
        Ok(())
    }

    /// `{u8 type, varint max}*`, each type at most once and none that the sender opens itself (section 13.11).
    fn max_streams(&mut self, value: &[u8]) -> Result<(), ParamsError> {
        let malformed = ParamsError::Malformed(id::INITIAL_MAX_STREAMS);
        let mut seen = 0u16;
        let mut r = Reader::new(value);
        while !r.is_empty() {
            let ty = r.u8().ok().and_then(StreamType::new).ok_or(malformed)?;
            let limit = r.varint().map_err(|_| malformed)?;
            let bit = 1 << ty.as_u8();
            if ty.initiator() == self.context.sender() || seen & bit != 0 {
                return Err(malformed);
            }
            seen |= bit;
            if let Some(slot) = self.params.initial_max_streams.get_mut(ty.as_usize()) {
                *slot = limit;
            }
        }
        Ok(())
    }

    fn app_protocols(&mut self, value: &'a [u8]) -> Result<(), ParamsError> {
        let protocols = Protocols::from_encoded(value);
        // The server answers with the one it chose.
        let sound = protocols.filter(|list| self.context != ParamsContext::ServerParams || list.iter().count() == 1);
        self.extras.app_protocols = Some(sound.ok_or(ParamsError::Malformed(id::APP_PROTOCOLS))?);
        Ok(())
    }

    fn finish(self) -> Result<(Params, Extras<'a>), ParamsError> {
        if let Some(id) = self.params.out_of_range(self.context.sender()) {
            return Err(ParamsError::Range(id));
        }
        if self.extras.client_key_id.is_some() && self.extras.client_key.is_some() {
            return Err(ParamsError::TwoClientKeys);
        }
        Ok((self.params, self.extras))
    }
}

/// Whether a parameter may stand here. Unknown ones may stand anywhere.
fn is_allowed(id: u64, context: ParamsContext) -> bool {
    match id {
        id::RESET_TOKEN => context == ParamsContext::ServerParams,
        id::CLIENT_KEY_ID | id::CLIENT_KEY | id::PSK_ID | id::APP_TOKEN => context == ParamsContext::P1,
        id::REFUSE => context == ParamsContext::P2,
        id::MAX_IDLE_TIMEOUT..=id::MIN_ACK_DELAY | id::APP_PROTOCOLS..=id::SUITES => context != ParamsContext::P2,
        _ => true,
    }
}

fn number(id: u64, value: &[u8]) -> Result<u64, ParamsError> {
    let mut r = Reader::new(value);
    match r.varint() {
        Ok(number) if r.is_empty() => Ok(number),
        _ => Err(ParamsError::Malformed(id)),
    }
}

/// A list of at least one element of `size` bytes.
fn list(id: u64, value: &[u8], size: usize) -> Result<&[u8], ParamsError> {
    if value.is_empty() || !value.len().is_multiple_of(size) {
        return Err(ParamsError::Malformed(id));
    }
    Ok(value)
}
