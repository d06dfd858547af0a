//! What is sent to mean nothing, so that peers go on ignoring what they do not know (specification section 3.9).

use crate::config::Config;
use crate::entropy::Drbg;
use crate::wire::cursor::Writer;
use crate::wire::frame::{Frame, types};
use crate::wire::header::FIXED_BIT;
use crate::wire::params::{FLAG_GREASE_FIXED_BIT, Params, grease_id};

/// A frame in so many packets, on average.
const PACKETS_PER_FRAME: u64 = 1000;
/// Bytes that it carries at most.
const MAX_BODY: u64 = 8;
/// Bytes that it takes at most: type, length and body.
const MAX_FRAME: usize = 2 + 1 + MAX_BODY as usize;

/// The greasing part of a connection. It owns no frame that has to arrive, so it hears nothing of losses.
#[derive(Debug)]
pub(crate) struct Grease {
    enabled: bool,
    /// The peer ignores the fixed bit of short headers.
    peer_ignores_bit: bool,
    /// Packets until the next frame, once it is drawn.
    pause: Option<u64>,
}

impl Grease {
    pub(crate) fn new(config: &Config) -> Self {
        Self { enabled: config.transport.grease, peer_ignores_bit: false, pause: None }
    }

    pub(crate) fn on_peer_params(&mut self, params: &Params) {
        self.peer_ignores_bit = params.flags & FLAG_GREASE_FIXED_BIT != 0;
    }

    /// Adds a frame to a packet that asks for an acknowledgement anyway, if its time has come and there is room.
    pub(crate) fn write(&mut self, rng: &mut Drbg, w: &mut Writer<'_>) {
        if !self.enabled {
            return;
        }
        let pause = self.pause.get_or_insert_with(|| rng.below(2 * PACKETS_PER_FRAME));
        if let Some(less) = pause.checked_sub(1) {
            *pause = less;
        } else if w.remaining() >= MAX_FRAME {
            self.pause = None;
            let random: [u8; MAX_BODY as usize] = rng.array();
            let len = rng.below(MAX_BODY + 1) as usize;
            let body = random.get(..len).unwrap_or_default();
            let _ = Frame::Extension { ty: types::grease(rng.u64()), body }.encode(w);
        }
    }

    /// The first byte to send for one that is right: its fixed bit may be anything if the peer agrees.
    pub(crate) fn first_byte(&self, byte: u8, rng: &mut Drbg) -> u8 {
        let flips = self.enabled && self.peer_ignores_bit && rng.array::<1>() < [0x80];
        if flips { byte & !FIXED_BIT } else { byte }
    }
}

/// A parameter that nobody knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GreaseParameter {
    id: u64,
    value: [u8; 16],
    len: usize,
}

impl GreaseParameter {
    /// One to send, if this endpoint does that.
    pub(crate) fn draw(config: &Config, rng: &mut Drbg) -> Option<Self> {
        config.transport.grease.then(|| Self {
            id: grease_id(rng.u64()),
            value: rng.array(),
            len: rng.below(17) as usize,
        })
    }

    /// Id and value.
    pub(crate) fn as_extra(&self) -> (u64, &[u8]) {
        (self.id, self.value.get(..self.len).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::wire::cursor::Reader;

    fn rng() -> Drbg {
        Drbg::new(&Entropy::new([3; 32]))
    }

    #[test]
    fn one_in_a_thousand_packets_carries_a_frame_that_may_be_skipped() {
        let (mut grease, mut rng) = (Grease::new(&Config::default()), rng());
        let (mut frames, packets) = (0, 400_000);
        for _ in 0..packets {
            let mut packet = [0; MAX_FRAME];
            let mut w = Writer::new(&mut packet);
            grease.write(&mut rng, &mut w);
            let len = w.position();
            if len > 0 {
                let mut reader = Reader::new(&packet[..len]);
                let frame = Frame::decode(&mut reader).expect("a frame");
                assert!(matches!(frame, Frame::Extension { ty, .. } if ty >= 0x40 && ty % 2 == 1), "{frame:?}");
                assert!(reader.is_empty());
                frames += 1;
            }
        }
        assert!((340..460).contains(&frames), "{frames}, 400 are expected");
    }

    #[test]
    fn without_room_the_frame_waits_and_without_a_wish_there_is_none() {
        let (mut grease, mut rng) = (Grease::new(&Config::default()), rng());
        for _ in 0..5_000 {
            grease.write(&mut rng, &mut Writer::new(&mut [0; MAX_FRAME - 1]));
        }
        let mut packet = [0; MAX_FRAME];
        let mut w = Writer::new(&mut packet);
        grease.write(&mut rng, &mut w);
        assert!(w.position() >= 2, "the first packet with room");

        let mut grease = Grease::new(&Config::builder().grease(false).build().expect("valid"));
        grease.on_peer_params(&Params { flags: FLAG_GREASE_FIXED_BIT, ..Params::default() });
        for _ in 0..5_000 {
            let mut w = Writer::new(&mut packet);
            grease.write(&mut rng, &mut w);
            assert_eq!((w.position(), grease.first_byte(0x41, &mut rng)), (0, 0x41));
        }
    }

    #[test]
    fn the_fixed_bit_is_random_only_if_the_peer_agrees() {
        let (mut grease, mut rng) = (Grease::new(&Config::default()), rng());
        assert!((0..100).all(|_| grease.first_byte(0x63, &mut rng) == 0x63));
        grease.on_peer_params(&Params { flags: FLAG_GREASE_FIXED_BIT, ..Params::default() });
        let cleared = (0..1_000).filter(|_| grease.first_byte(0x63, &mut rng) == 0x23).count();
        assert!((400..600).contains(&cleared), "{cleared}");
    }
}
