//! Arbitrary bytes as the content of authentic packets of a live connection.

use std::time::Duration;

use jsp_proto::internals::wire::{Frame, FrameError, Reader};
use jsp_proto::{ConnectionError, Side};

use crate::app::App;
use crate::input::Input;
use crate::sealed::Sealed;

/// What the first reading of a packet must find, as far as it can be told without the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing in it can be wrong.
    Harmless,
    /// It cannot be parsed, and no frame before that place can be wrong in another way.
    Malformed(FrameError),
    /// It cannot be parsed.
    Broken,
    /// It depends.
    Unknown,
}

fn judge(payload: &[u8]) -> Verdict {
    let mut r = Reader::new(payload);
    let (mut harmless, mut surveyed) = (!payload.is_empty(), false);
    while !r.is_empty() {
        match Frame::decode(&mut r) {
            Ok(frame) => {
                surveyed |= frame.is_stream_frame() || matches!(frame, Frame::Parity(_));
                harmless &= matches!(
                    frame,
                    Frame::Padding { .. }
                        | Frame::Ping
                        | Frame::ImmediateAck
                        | Frame::PathChallenge(_)
                        | Frame::PathResponse(_)
                        | Frame::ObservedAddr { .. }
                        | Frame::Extension { .. }
                );
            }
            Err(_) if surveyed => return Verdict::Broken,
            Err(error) => return Verdict::Malformed(error),
        }
    }
    if harmless { Verdict::Harmless } else { Verdict::Unknown }
}

/// Sends the input in packets. The first byte says to whom, and what the application does meanwhile.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let setting = input.u8();
    let mut sealed = Sealed::new(if setting & 1 == 0 { Side::Server } else { Side::Client });
    let mut app = App::new(setting >> 1);
    app.start(&mut sealed);
    for _ in 0..32 {
        if input.is_empty() || !sealed.is_open() {
            break;
        }
        match input.u8() {
            control @ 0xf0.. => {
                sealed.pass(Duration::from_millis(1 << (control & 0x0f)).min(Duration::from_secs(10)));
            }
            0xef => sealed.acknowledge(),
            0xee => sealed.next_pn += u64::from(input.u8()),
            _ => packet(&mut sealed, input.chunk(1400)),
        }
        app.turn(&mut sealed);
    }
    sealed.finish();
}

fn packet(sealed: &mut Sealed, payload: &[u8]) {
    let verdict = judge(payload);
    sealed.send_bytes(payload);
    match (verdict, &sealed.end) {
        (Verdict::Unknown, _) | (Verdict::Harmless, None) => {}
        (Verdict::Malformed(expected), Some(ConnectionError::Protocol { error, .. })) => {
            assert_eq!(*error, expected.transport_error(), "{expected}");
        }
        (Verdict::Broken, Some(ConnectionError::Protocol { .. })) => {}
        (verdict, end) => panic!("{verdict:?} ended in {end:?}"),
    }
}
