"""The keys of a connection: sealing, opening, replay window of numbers, key update (specification: protection.md)."""

from . import crypto as c
from .frames import FrameError
from .wire import Malformed, decode_pn

INFINITE = 1 << 63
KEY_UPDATE, AEAD_LIMIT = 0x0D, 0x0E


class Keys:
    """Both directions. `phase` counts from 0 for both (JSP-UPD-01)."""

    def __init__(self, secret_send: bytes, secret_recv: bytes):
        self.hp_send, self.hp_recv = c.header_key(secret_send), c.header_key(secret_recv)
        self.send, self.recv = c.Phase(secret_send), c.Phase(secret_recv)
        self.next: c.Phase | None = self.recv.next()
        self.old: c.Phase | None = None
        self.old_until: float | None = None
        self.phase, self.lowest, self.failures = 0, 0, 0
        self.acked_own = False               # the peer has acknowledged a packet of this phase
        self.sent_in_phase = self.sent_ack = self.begun = False
        self.ready_at = 0.0

    def seal(self, dcid: bytes, pn: int, pn_bytes: int, frames: bytes, grease: int) -> bytes:
        if self.next is None:                # section 8.5: with the first packet of the phase
            self.next = self.recv.next()
        self.sent_in_phase = True
        first = 0x40 | grease | (self.phase & 1) << 2
        return c.seal_short(self.send, self.hp_send, first, dcid, pn, pn_bytes, frames)

    def open(self, packet: bytes, cid_len: int, largest: int | None, now: float, pto: float):
        """(packet number, first byte, plaintext); None if it does not open. Raises FrameError to close."""
        if self.old_until is not None and now >= self.old_until:             # JSP-UPD-12
            self.old = self.old_until = None
            self.next = self.next or self.recv.next()
        try:
            first, cut, n, header, sealed = c.unmask(self.hp_recv, packet, cid_len)
        except Malformed:
            return None
        pn = decode_pn(cut, n, largest)
        if (first >> 2 & 1) == (self.phase & 1):                             # the table of section 8.4 (JSP-UPD-09)
            key, which = self.recv, "current"
        elif self.old and (pn < self.lowest or not self.next):
            key, which = self.old, "old"
        else:
            key, which = self.next, "next"
        plain = c.open_(key.key, key.nonce(pn), header, sealed) if key else None
        if plain is None or which == "old" and pn >= self.lowest:            # JSP-UPD-10, JSP-UPD-11
            self.failures += 1
            if self.failures >= 1 << 36:
                raise FrameError(AEAD_LIMIT, 0, "too many packets that do not open")
            return None
        if which == "next":
            if self.phase and not self.sent_ack:                             # JSP-UPD-08
                raise FrameError(KEY_UPDATE, 0, "key update too early")
            self._advance(self.send.next())
            self.next, self.lowest = None, pn                                # derived with the next packet sent
            self.old_until = now + min(3 * pto, 1.0)
        elif which == "current":
            if self.lowest == INFINITE and self.begun:
                self.old_until, self.begun = now + min(3 * pto, 1.0), False
            self.lowest = min(self.lowest, pn)
        return pn, first, plain

    def _advance(self, send: c.Phase):
        self.old, self.recv, self.send = self.recv, self.next, send
        self.phase += 1
        self.acked_own = self.sent_in_phase = self.sent_ack = self.begun = False

    def on_acked(self, phase: int, now: float, pto: float):
        if phase == self.phase and not self.acked_own and (not phase or self.lowest != INFINITE):
            self.acked_own, self.ready_at = True, now + (max(3 * pto, 3.0) if phase else 0)

    def begin_update(self, confirmed: bool, now: float) -> bool:
        """Section 8.2 (JSP-UPD-03, JSP-UPD-04); False if the rules do not allow it yet."""
        if not confirmed or not self.acked_own or now < self.ready_at or not self.next or self.begun:
            return False
        self._advance(self.send.next())
        self.next, self.lowest, self.begun = self.recv.next(), INFINITE, True
        self.old_until = None
        return True
