//! The beginning and the end of every packet with short header: its number, its first byte, its protection, and the
//! note of what was sent (specification sections 3.1 to 3.3).

use super::{Connection, Record};
use crate::Ecn;
use crate::crypto::TAG_LEN;
use crate::recovery::{Flags, Recovery};
use crate::time::Instant;
use crate::wire::Cid;
use crate::wire::cursor::Writer;
use crate::wire::header::{ShortFlags, first_byte};

/// Where the parts of a packet are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) pn: u64,
    pub(super) pn_len: usize,
    pub(super) pn_at: usize,
    pub(super) payload_at: usize,
}

/// Takes a packet number and writes the connection id. The rest of the header comes last. Gives the room for frames.
pub(super) fn begin<'a>(
    recovery: &mut Recovery<Record>,
    cid: &Cid,
    slot: &'a mut [u8],
) -> Option<(Layout, Writer<'a>)> {
    let pn_len = recovery.next_pn_len();
    let pn = recovery.begin();
    let cid = cid.as_slice();
    let pn_at = 1 + cid.len();
    let payload_at = pn_at + pn_len;
    let end = slot.len().checked_sub(TAG_LEN)?;
    slot.get_mut(1..pn_at)?.copy_from_slice(cid);
    let w = Writer::new(slot.get_mut(payload_at..end)?);
    Some((Layout { pn, pn_len, pn_at, payload_at }, w))
}

impl Connection {
    /// Completes the header of `packet`, which has room for the tag at its end, seals it, and remembers it as sent.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        layout: Layout,
        packet: &mut [u8],
        flags: Flags,
        ecn: Ecn,
    ) -> Option<()> {
        let Layout { pn, pn_len, pn_at, payload_at } = layout;
        let random_bit = self.rng.array::<1>() < [0x80];
        let secure = self.secure.as_deref_mut()?;
        let (keys, key_phase) = secure.keys.sealing(now, pn);
        let first = first_byte(ShortFlags { fec: flags.coded, key_phase, pn_len }, random_bit);
        *packet.first_mut()? = self.grease.first_byte(first, &mut self.rng);
        let end = packet.len().checked_sub(TAG_LEN)?;
        self.trace.sent(pn, payload_at, packet.get(..end)?, ecn);
        keys.seal(packet, pn_at, pn_len, pn);
        secure.recovery.commit(now, packet.len() as u16, flags, ecn);
        if flags.ack_eliciting {
            secure.acks.on_eliciting_sent();
            self.keep_alive.on_activity(now);
            if !self.idle.spoke {
                self.idle.spoke = true;
                self.idle.since = now;
            }
        }
        Some(())
    }
}
