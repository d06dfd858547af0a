"""The server's part of the handshake (specification: handshake.md, sections 9 and 11), without sockets and clocks.

Bounds on strangers (limits.md, section 5.2) are reduced to a number of attempts: this is no server for the Internet.
"""

import os
from dataclasses import dataclass, field

from . import crypto as c, params as p, tokens
from .handshake import (K_FLAG, P_FLAG, REFUSED, ZERO_ID, Schedule, keyinfo_message, message_datagrams, retry_datagram)
from .wire import CI, FULL, KEY, SI, VERSION, Assembly, Malformed, parse_invariant, parse_long, version_negotiation

ACCESS_DENIED, NO_PROTOCOL = 0x13, 0x14
LIFETIME, REPEAT = 5.0, 0.05                 # seconds; sections 9.1 and 9.3
MOST_ATTEMPTS = 256


@dataclass
class Accepted:
    """What a Connection is made from."""

    schedule: Schedule
    params: p.Params                         # of the client
    protocol: bytes
    scid: bytes                              # own id number 0
    client_cid: bytes
    validated: bool                          # by a token
    received: int                            # bytes that count for the limit before validation
    sent: int


@dataclass
class Attempt:
    odcid: bytes
    validated: bool
    made: float
    scid: bytes = b""
    assembly: Assembly = field(default_factory=Assembly)
    failed: set = field(default_factory=set)
    answer: list = field(default_factory=list)
    answered: float = 0.0
    received: int = 0
    sent: int = 0


class Server:
    """`retry` asks every client for a token; `key_fetch` is "off", "known" or "open" (section 11.2)."""

    def __init__(self, key: c.KeyPair, protocols: list[bytes], psks: dict[bytes, bytes] = {},
                 clients: dict[bytes, bytes] | None = None, require: bool = False, retry: bool = False,
                 key_fetch: str = "open"):
        self.key, self.ident, self.protocols = key, c.key_id(key.public), protocols
        self.psks, self.clients, self.require = psks, clients or {}, require
        self.retry, self.key_fetch = retry, key_fetch
        self.k_tok = os.urandom(32)
        self.used_tokens: set[bytes] = set()
        self.attempts: dict[tuple, Attempt] = {}

    def receive(self, datagram: bytes, addr: tuple, now: float, wall: int) -> tuple[list[bytes], Accepted | None]:
        """Answers to a datagram with a long header, and a connection if one begins."""
        try:
            version, dcid, scid, _ = parse_invariant(datagram)
            if version != VERSION:                                           # JSP-VER-02, JSP-VER-04
                return ([version_negotiation(dcid, scid)] if version and len(datagram) >= FULL else []), None
            packet = parse_long(datagram, from_client=True)
        except Malformed:
            return [], None
        least = 64 if packet.kind == CI and packet.index == packet.count - 1 else FULL
        if len(datagram) < least:                                            # JSP-PKT-12, JSP-HS-06
            return [], None
        for where in [w for w, a in self.attempts.items() if now - a.made > 2 * LIFETIME]:
            del self.attempts[where]
        try:
            if packet.kind == KEY:
                return self._key_asked(packet, addr, wall), None
            return self._hello(packet, datagram, addr, now, wall)
        except Malformed:
            return [], None

    def _open(self, packet, ident: bytes) -> bytes | None:
        keys = c.initial_keys(ident, packet.dcid, packet.kind)
        return c.open_long(keys, packet.index, packet.header, packet.payload)

    # ---- key fetch and RETRY -----------------------------------------------------------------------------------

    def _key_asked(self, packet, addr, wall) -> list[bytes]:
        """Section 11.2 (JSP-TOK-07)."""
        if self.key_fetch == "off":
            return []
        if self._open(packet, self.ident) is not None:
            return self._keyinfo(packet, self.ident, addr, wall)
        return self._keyinfo(packet, ZERO_ID, addr, wall) if self.key_fetch == "open" else []

    def _keyinfo(self, packet, ident, addr, wall) -> list[bytes]:
        scid, token = tokens.retry_token(self.k_tok, wall.to_bytes(4, "big"), packet.dcid, tokens.address(*addr[:2]))
        keys = c.initial_keys(ident, packet.dcid, KEY, scid)
        return message_datagrams(KEY, keyinfo_message(token, self.key.public), packet.scid, scid, None, keys, False)

    def _retry(self, packet, addr, wall) -> list[bytes]:
        """Step R of section 9.1 (JSP-TOK-05, JSP-HS-17)."""
        if packet.index or self._open(packet, self.ident) is None:
            return []
        scid, token = tokens.retry_token(self.k_tok, wall.to_bytes(4, "big"), packet.dcid, tokens.address(*addr[:2]))
        return [retry_datagram(self.ident, packet.dcid, packet.scid, scid, token)]

    # ---- CI ----------------------------------------------------------------------------------------------------

    def _hello(self, packet, datagram, addr, now, wall):
        """Section 9.1, steps 3 to 14."""
        where = addr[:2], packet.dcid                                        # JSP-HS-19
        attempt, address = self.attempts.get(where), tokens.address(*addr[:2])
        odcid, validated = packet.dcid, False
        if attempt is None and packet.token[:1] == b"\1":                    # JSP-TOK-12
            odcid = tokens.check_retry(self.k_tok, packet.token, packet.dcid, address, wall)
            if odcid is None:
                return self._retry(packet, addr, wall), None
            validated = True
        elif attempt is None:
            validated = packet.token not in self.used_tokens and \
                tokens.check_new_token(self.k_tok, packet.token, address, wall)
            if not validated and self.retry:
                return self._retry(packet, addr, wall), None
        plain = self._open(packet, self.ident)
        if plain is None:                                                    # JSP-HS-18
            if self.key_fetch == "open" and not packet.index and packet.count > 1 and len(datagram) >= FULL:
                return self._keyinfo(packet, ZERO_ID, addr, wall), None
            return [], None
        if attempt is None:
            if len(self.attempts) >= MOST_ATTEMPTS:
                return [], None
            attempt = self.attempts[where] = Attempt(odcid, validated, now, packet.scid)
        if attempt.scid != packet.scid:                                      # JSP-HS-07
            return [], None
        attempt.received += len(datagram)
        if attempt.answer:                                                   # section 9.3 (JSP-HS-22, JSP-HS-23)
            size = sum(map(len, attempt.answer))
            if now - attempt.answered < REPEAT or attempt.sent + size > 3 * attempt.received:
                return [], None
            attempt.answered, attempt.sent = now, attempt.sent + size
            return attempt.answer, None
        m1 = attempt.assembly.add(packet.count, packet.index, plain)
        if m1 is None or c.sha256(m1) in attempt.failed:
            return [], None
        if packet.token[:1] == b"\2":
            self.used_tokens.add(packet.token)                               # JSP-TOK-13
        try:
            accepted = self._answer(attempt, packet, m1)
        except Malformed:                                                    # JSP-HS-21, JSP-HS-24
            attempt.failed.add(c.sha256(m1))
            attempt.assembly = Assembly()
            return [], None
        attempt.answered, attempt.sent = now, sum(map(len, attempt.answer))
        if accepted:
            accepted.received, accepted.sent = attempt.received, attempt.sent
        return attempt.answer, accepted

    def _answer(self, attempt: Attempt, packet, m1: bytes) -> Accepted | None:
        """Opens M1 (section 7.2) and makes M2; Malformed if M1 does not verify."""
        if not 2352 <= len(m1) <= 4292:                                      # JSP-HS-05
            raise Malformed("M1")
        e_pk, ct_s, sealed1 = m1[:1216], m1[1216:2336], m1[2336:]
        c.check_public(e_pk)
        s = Schedule(self.key.public, attempt.odcid, packet.dcid, packet.scid, e_pk, ct_s, self.key.decapsulate(ct_s))
        p1 = s.open1(sealed1)
        if p1 is None:
            raise Malformed("sealed1")
        params = p.Params.decode(p1, from_client=True)                       # JSP-PAR-06
        flags, ct_c, ss_c, psk, refuse = self._authenticate(params)
        protocol = next((n for n in self.protocols if n in params.protocols), None)
        if protocol is None and refuse is None:                              # JSP-PAR-10
            flags, ct_c, ss_c, psk, refuse = REFUSED, b"", c.ZERO32, c.ZERO32, NO_PROTOCOL
        ct_e, ss_e = c.encapsulate(e_pk)
        scid = os.urandom(8)                                                 # JSP-HS-12
        s.answer(flags, scid, ct_e, ss_e, ct_c, ss_c, psk)
        p2 = b"" if refuse is None else p.encode({p.REFUSE: p.varint(refuse)})
        m2 = bytes([flags]) + ct_e + ct_c + s.seal2(p2)
        keys = c.initial_keys(self.ident, packet.dcid, SI, scid)
        attempt.answer = message_datagrams(SI, m2, packet.scid, scid, None, keys, False)
        if refuse is not None:
            return None
        return Accepted(s, params, protocol, scid, packet.scid, attempt.validated, 0, 0)

    def _authenticate(self, params: p.Params):
        """Flags, ct_c, ss_c, psk and a code of refusal (JSP-HS-14, JSP-HS-15)."""
        flags, ct_c, ss_c, psk = 0, b"", c.ZERO32, c.ZERO32
        pk = params.client_key or self.clients.get(params.client_key_id)
        offered = params.client_key is not None or params.client_key_id is not None
        refused = offered and c.key_id(pk or b"") not in self.clients
        refused = refused or params.psk_id is not None and params.psk_id not in self.psks
        if refused or self.require and not offered and params.psk_id is None:
            return REFUSED, b"", c.ZERO32, c.ZERO32, ACCESS_DENIED
        if offered:
            flags, (ct_c, ss_c) = flags | K_FLAG, c.encapsulate(pk)
        if params.psk_id is not None:
            flags, psk = flags | P_FLAG, self.psks[params.psk_id]
        return flags, ct_c, ss_c, psk, None
