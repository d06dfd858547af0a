//! A peer that holds real keys and keeps no rule: it completes a handshake and then sends whatever frames a check wants.
//! Built from the lower layers alone, so that nothing in it behaves well by accident. Knows no network: it takes
//! datagrams and gives them.

mod hello;
mod session;

pub use hello::{Answer, Hello, Welcome, Welcomed, answer_flight};
use jsp_proto::internals::wire::params::{Extras, Params, ParamsContext, encode_params};
use jsp_proto::internals::wire::{Frame, Writer};
pub use session::Session;

/// Encoded parameters.
pub fn params(params: &Params, extras: &Extras<'_>, context: ParamsContext) -> Vec<u8> {
    let mut bytes = vec![0; 4000];
    let mut w = Writer::new(&mut bytes);
    encode_params(params, extras, context, &mut w).expect("they fit");
    let len = w.position();
    bytes.truncate(len);
    bytes
}

/// These frames as the content of a packet.
pub fn encode(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut payload = vec![0; 4000];
    let mut w = Writer::new(&mut payload);
    frames.iter().for_each(|frame| frame.encode(&mut w).expect("it fits"));
    let len = w.position();
    payload.truncate(len);
    payload
}
