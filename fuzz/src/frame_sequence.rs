//! Frames that can all be read and say what no honest peer says, in authentic packets of a live connection, with time,
//! moves of the peer, key updates and packets out of order.

use std::net::SocketAddr;
use std::time::Duration;

use jsp_proto::internals::wire::Frame;
use jsp_proto::{Side, TransportError};

use crate::app::App;
use crate::input::Input;
use crate::make;
use crate::sealed::{Sealed, encode, peer_address};

/// Plays the input's script.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let setting = input.u8();
    let mut sealed = Sealed::new(if setting & 1 == 0 { Side::Server } else { Side::Client });
    let mut app = App::new(setting >> 1);
    app.start(&mut sealed);
    let (mut late, mut below) = (Vec::new(), false);
    for _ in 0..64 {
        if input.is_empty() || !sealed.is_open() {
            break;
        }
        below |= step(&mut sealed, &mut input, &mut late);
        sealed.check_bounds();
        app.turn(&mut sealed);
    }
    // A frame that can be read is never called one that cannot, except for a block of parity below packet 0.
    assert!(below || sealed.violation() != Some(TransportError::FRAME_ENCODING), "{:?}", sealed.end);
    sealed.finish();
}

/// Gives whether the packet has a block of parity that begins below packet 0.
fn step(sealed: &mut Sealed, input: &mut Input<'_>, late: &mut Vec<(u64, Vec<u8>)>) -> bool {
    match input.below(16) {
        0 => sealed.pass(Duration::from_millis(input.number().min(20_000))),
        1 => sealed.pass_round_trip(),
        2 => sealed.acknowledge(),
        3 => sealed.next_pn += input.number().min(1 << 16),
        4 => sealed.update_keys(),
        5 => {
            let moved = SocketAddr::from(([203, 0, 113, input.u8() % 8], 777));
            sealed.from = if input.flag() { moved } else { peer_address() };
        }
        6 => {
            if let Some((pn, packet)) = late.pop() {
                sealed.deliver(pn, &packet);
                if input.flag() {
                    sealed.deliver(pn, &packet);
                }
            }
        }
        kind => {
            let (pn, protected) = (sealed.next_pn, kind >= 14);
            let (payload, below) = payload(input, sealed.packets.len() as u64, pn);
            let packet = sealed.seal(&payload, protected);
            if kind == 7 {
                late.push((pn, packet));
            } else {
                sealed.deliver(pn, &packet);
            }
            return below;
        }
    }
    false
}

fn payload(input: &mut Input<'_>, sent: u64, pn: u64) -> (Vec<u8>, bool) {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut room = 1300;
    for _ in 0..=input.below(6) {
        let frame = make::frame(input, room, sent);
        let len = encode(&[frame]).len();
        if len > room {
            break;
        }
        room -= len;
        frames.push(frame);
        if room < 100 {
            break;
        }
    }
    if frames.is_empty() {
        frames.push(Frame::Ping);
    }
    let below = frames.iter().any(|frame| matches!(frame, Frame::Parity(parity) if parity.first(pn).is_none()));
    (encode(&frames), below)
}
