"""Messages, transcript and key schedule, and the client's part of the handshake (specification: handshake.md)."""

import os

from . import crypto as c
from . import params as p
from .wire import (CI, FULL, KEY, RETRY, SI, VERSION, Assembly, Malformed, Reader, cut, fragment, long_header, lp8,
                   parse_long)

NONCE0 = bytes(12)
ZERO_ID = bytes(32)
K_FLAG, P_FLAG, REFUSED = 1, 2, 4


class Schedule:
    """The computation of section 7.1, step by step; every intermediate value is an attribute (JSP-KEY-07)."""

    def __init__(self, pk_s, odcid, dcid, scid_c, e_pk, ct_s, ss_s):
        self.h0 = c.sha256(b"JSP1 X-Wing handshake" + VERSION.to_bytes(4, "big") + c.SUITE + pk_s)
        self.h1 = c.sha256(self.h0 + lp8(odcid) + lp8(dcid) + lp8(scid_c) + e_pk + ct_s)
        self.prk1 = c.extract(self.h0, ss_s)
        self.k1 = c.expand(self.prk1, "k1", self.h1)

    def seal1(self, p1: bytes) -> bytes:
        self.take1(c.seal(self.k1, NONCE0, self.h1, p1))
        return self.sealed1

    def open1(self, sealed1: bytes) -> bytes | None:
        self.take1(sealed1)
        return c.open_(self.k1, NONCE0, self.h1, sealed1)

    def take1(self, sealed1: bytes):
        self.sealed1 = sealed1
        self.h2 = c.sha256(self.h1 + sealed1)

    def answer(self, flags: int, scid_s: bytes, ct_e: bytes, ss_e: bytes, ct_c=b"", ss_c=c.ZERO32, psk=c.ZERO32):
        self.prk2 = c.extract(c.expand(self.prk1, "d1", self.h2), ss_e)
        self.prk3 = c.extract(c.expand(self.prk2, "d2"), ss_c)
        self.prk4 = c.extract(c.expand(self.prk3, "d3"), psk)
        self.h3 = c.sha256(self.h2 + bytes([flags]) + lp8(scid_s) + ct_e + ct_c)
        self.k2 = c.expand(self.prk4, "k2", self.h3)

    def seal2(self, p2: bytes) -> bytes:
        sealed2 = c.seal(self.k2, NONCE0, self.h3, p2)
        self.finish(sealed2)
        return sealed2

    def open2(self, sealed2: bytes) -> bytes | None:
        p2 = c.open_(self.k2, NONCE0, self.h3, sealed2)
        if p2 is not None:
            self.finish(sealed2)
        return p2

    def finish(self, sealed2: bytes):
        self.h4 = c.sha256(self.h3 + sealed2)
        self.secret_c = c.expand(self.prk4, "c ap", self.h4)
        self.secret_s = c.expand(self.prk4, "s ap", self.h4)
        self.exporter = c.expand(self.prk4, "exp", self.h4)

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        """Section 7.5."""
        return c.expand(self.exporter, b"app " + label, c.sha256(context), length)


# ---- datagrams ---------------------------------------------------------------------------------------------------

def message_datagrams(kind, message, dcid, scid, token, key_iv, from_client) -> list[bytes]:
    """Cuts and seals a CI, SI or KEYINFO as packets.md, section 5.2 says (JSP-PKT-10, -11, -13)."""
    head = len(long_header(kind, 1, 0, dcid, scid, token if from_client else None))
    capacity = FULL - head - 22
    count = max(1, -(-len(message) // capacity))
    share = -(-len(message) // count) if kind == KEY else capacity
    pieces, out = cut(message, share), []
    for i, (at, data) in enumerate(pieces):
        header = long_header(kind, count, i, dcid, scid, token if from_client else None)
        smallest = FULL if kind == SI else 64 if kind == CI else 0
        plain = fragment(len(message), at, data, smallest - head - 16)
        out.append(c.seal_long(key_iv, i, header, plain))
    return out


def keyreq_datagram(ident: bytes, dcid: bytes, scid: bytes) -> bytes:
    """Section 11.2."""
    header = long_header(KEY, 1, 0, dcid, scid, b"")
    return c.seal_long(c.initial_keys(ident, dcid, KEY), 0, header, bytes(FULL - len(header) - 16))


def retry_datagram(ident: bytes, odcid: bytes, client: bytes, scid: bytes, token: bytes) -> bytes:
    """Section 11.1."""
    header = long_header(RETRY, 1, 0, client, scid, None)
    return c.seal_long(c.initial_keys(ident, odcid, RETRY, scid), 0, header, token)


def keyinfo_message(token: bytes, pk: bytes, endorsement: bytes | None = None) -> bytes:
    """JSP-TOK-06."""
    tail = b"" if endorsement is None else len(endorsement).to_bytes(2, "big") + endorsement
    return bytes([endorsement is not None]) + lp8(token) + pk + tail


def parse_keyinfo(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Token, public key, endorsement (JSP-TOK-06)."""
    r = Reader(message)
    flags, token = r.uint(1), r.take(r.uint(1))
    pk = r.take(1216)
    endorsement = r.take(r.uint(2)) if flags & 1 else b""
    c.check_public(pk)
    if flags > 1 or len(token) > 64 or len(endorsement) > 1024 or r.left():
        raise Malformed("KEYINFO")
    return token, pk, endorsement


def split_m2(m2: bytes) -> tuple[int, bytes, bytes, bytes]:
    """flags, ct_e, ct_c, sealed2 (sections 6.1 and 7.3, step 1)."""
    r = Reader(m2)
    flags = r.uint(1)
    ct_e = r.take(1120)
    ct_c = r.take(1120) if flags & K_FLAG else b""
    sealed2 = r.rest()
    if len(sealed2) < 16:
        raise Malformed("M2")
    return flags, ct_e, ct_c, sealed2


# ---- client ------------------------------------------------------------------------------------------------------

class Flight:
    """A KEYREQ (schedule is None) or a CI that was sent, and what was put together of its answers."""

    def __init__(self, ident, dcid, odcid, token, schedule, datagrams):
        self.ident, self.dcid, self.odcid, self.token = ident, dcid, odcid, token
        self.schedule, self.datagrams = schedule, datagrams
        self.assemblies: dict[tuple, Assembly] = {}

    def add(self, where: tuple, packet, plain: bytes) -> bytes | None:
        """A complete message, if this fragment completes one. Keeps at most four."""
        if where not in self.assemblies:
            while len(self.assemblies) >= 4:
                del self.assemblies[next(iter(self.assemblies))]
            self.assemblies[where] = Assembly()
        message = self.assemblies[where].add(packet.count, packet.index, plain)
        if message is not None:
            del self.assemblies[where]
        return message


class Client:
    """A connection attempt without sockets and clocks.

    `server` is the public key (policy *pinned*), a list of key ids (*fingerprint*) or None (*any*). After `receive`
    either `done` is set (the schedule then has the secrets), or `refused` is a code, or the attempt goes on.
    """

    def __init__(self, own: p.Params, server: bytes | list[bytes] | None, client_key: c.KeyPair | None = None,
                 psk: bytes | None = None, token: bytes = b""):
        self.own, self.server, self.client_key, self.psk = own, server, client_key, psk
        self.scid = os.urandom(8)
        self.p1 = p.encode(own.entries(), grease=True)
        self.mode = (K_FLAG if client_key else 0) | (P_FLAG if psk is not None else 0)
        self.flights: list[Flight] = []
        self.pk_s: bytes | None = None
        self.retries, self.retried, self.failed = 0, False, 0
        self.done: Schedule | None = None
        self.refused: int | None = None
        self.peer_cid = b""
        self.first_token = token

    def start(self) -> list[bytes]:
        if isinstance(self.server, bytes):
            self._know(self.server)
            return self._hello(os.urandom(8), None, self.first_token)
        out = []
        for ident in self.server or [ZERO_ID]:                                   # JSP-HS-03
            dcid = os.urandom(8)
            out.append(keyreq_datagram(ident, dcid, self.scid))
            self.flights.append(Flight(ident, dcid, dcid, b"", None, out[-1:]))
        return out

    def _know(self, pk: bytes):
        self.pk_s, self.ident = pk, c.key_id(pk)
        self.ephemeral = c.KeyPair()                                             # JSP-HS-09
        self.ct_s, self.ss_s = c.encapsulate(pk)

    def _hello(self, dcid: bytes, odcid: bytes | None, token: bytes) -> list[bytes]:
        odcid = dcid if odcid is None else odcid
        s = Schedule(self.pk_s, odcid, dcid, self.scid, self.ephemeral.public, self.ct_s, self.ss_s)
        m1 = self.ephemeral.public + self.ct_s + s.seal1(self.p1)
        out = message_datagrams(CI, m1, dcid, self.scid, token, c.initial_keys(self.ident, dcid, CI), True)
        self.flights.append(Flight(self.ident, dcid, odcid, token, s, out))
        self.flights = self.flights[-8:]                                         # JSP-HS-28
        return out

    def probe(self) -> list[bytes]:
        """The probe timeout (section 10.2): the same bytes again, or a new CI after section 5.3."""
        failed, self.failed, self.retried = self.failed, 0, False
        if self.pk_s and failed:
            return self._hello(os.urandom(8), None, b"")
        if self.pk_s:
            return self.flights[-1].datagrams
        return [d for f in self.flights for d in f.datagrams]

    def receive(self, datagram: bytes) -> list[bytes]:
        """A long packet; what is to be sent in answer. Whatever is wrong with the packet drops it (JSP-HS-29)."""
        if self.done or self.refused is not None:                                # JSP-HS-31
            return []
        try:
            packet = parse_long(datagram, from_client=False)
            if packet.dcid != self.scid:
                return []
            for flight in reversed(self.flights):                                # JSP-PROT-02
                answer = self._try(flight, packet)
                if answer is not None:
                    return answer
        except Malformed:
            pass
        return []

    def _try(self, flight: Flight, packet) -> list[bytes] | None:
        """None if the packet does not open as an answer to this flight."""
        if (packet.kind == KEY) != (flight.schedule is None):
            return None
        idents = [flight.ident] if packet.kind != KEY else list(dict.fromkeys([flight.ident, ZERO_ID]))
        for ident in idents:                                                     # section 3.3
            keys = c.initial_keys(ident, flight.dcid, packet.kind, packet.scid)
            plain = c.open_long(keys, packet.index, packet.header, packet.payload)
            if plain is None:
                continue
            if packet.kind == RETRY:
                return self._retry(flight, packet, plain)
            if packet.kind == SI and self.failed >= 8:                           # JSP-HS-30
                return []
            message = flight.add((ident, packet.scid), packet, plain)
            if message is None:
                return []
            return self._si(flight, packet, message) if packet.kind == SI else self._keyinfo(flight, packet, message)
        return None

    def _retry(self, flight: Flight, packet, token: bytes) -> list[bytes]:
        if not 1 <= len(token) <= 64 or self.retries >= 3 or self.retried:       # JSP-HS-33
            return []
        self.retries, self.retried = self.retries + 1, True
        return self._hello(packet.scid, flight.dcid, token)                      # JSP-HS-32, JSP-TOK-03

    def _keyinfo(self, flight: Flight, packet, message: bytes) -> list[bytes]:
        token, pk, _ = parse_keyinfo(message)
        if self.pk_s or flight.ident != ZERO_ID and c.key_id(pk) != flight.ident:    # JSP-HS-02, JSP-HS-34
            return []
        self._know(pk)
        return self._hello(packet.scid, flight.dcid, token)

    def _si(self, flight: Flight, packet, m2: bytes) -> list[bytes]:
        try:
            self._verify(flight, packet.scid, m2)
        except Malformed:
            self.failed += 1                                                     # JSP-KEY-09: nothing ends
        return []

    def _verify(self, flight: Flight, scid_s: bytes, m2: bytes):
        """Section 7.3."""
        flags, ct_e, ct_c, sealed2 = split_m2(m2)
        if flags not in (self.mode, REFUSED):                                    # JSP-HS-11
            raise Malformed("flags")
        ss_e = self.ephemeral.decapsulate(ct_e)
        ss_c = self.client_key.decapsulate(ct_c) if ct_c else c.ZERO32
        s = flight.schedule
        s.answer(flags, scid_s, ct_e, ss_e, ct_c, ss_c, self.psk if flags & P_FLAG else c.ZERO32)
        p2 = s.open2(sealed2)
        if p2 is None:
            raise Malformed("sealed2")
        entries = p.split(p2)
        if (p.REFUSE in entries) != (flags == REFUSED):
            raise Malformed("P2")
        if flags == REFUSED:
            self.refused = p.number(entries[p.REFUSE])                           # JSP-HS-16
        else:
            self.done, self.peer_cid = s, scid_s
