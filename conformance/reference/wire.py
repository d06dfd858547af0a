"""Varints, headers, fragments, packet numbers, version negotiation (specification: packets.md)."""

import os
import struct

VERSION = 0x4A535001
CI, SI, RETRY, KEY = 0, 1, 2, 3          # types of long packets; KEY is KEYREQ from a client, KEYINFO from a server
MAX_MESSAGE = 4600                       # JSP-PKT-17
FULL = 1200                              # bytes of a full datagram of the handshake (JSP-PKT-11, JSP-PKT-13)


class Malformed(Exception):
    """Bytes that cannot be parsed; the caller drops the packet or closes, as the specification says.

    `reason` is the word for it in the test vectors, `parameter` the id of the parameter that is wrong.
    """

    def __init__(self, why: str, reason: str = "malformed", parameter: int | None = None):
        super().__init__(why)
        self.reason, self.parameter = reason, parameter


def varint(value: int) -> bytes:
    """The shortest encoding of RFC 9000, section 16."""
    if value < 1 << 6:
        return bytes([value])
    if value < 1 << 14:
        return struct.pack(">H", value | 1 << 14)
    if value < 1 << 30:
        return struct.pack(">I", value | 2 << 30)
    if value < 1 << 62:
        return struct.pack(">Q", value | 3 << 62)
    raise ValueError("varint out of range")


class Reader:
    """Reads fields one after the other from bytes."""

    def __init__(self, data: bytes, at: int = 0):
        self.data, self.at = data, at

    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, n: int) -> bytes:
        if n > self.left():
            raise Malformed("cut off", "truncated")
        self.at += n
        return self.data[self.at - n:self.at]

    def rest(self) -> bytes:
        return self.take(self.left())

    def uint(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")

    def varint(self) -> int:
        first = self.uint(1)
        size = 1 << (first >> 6)
        return (first & 0x3F) << 8 * (size - 1) | self.uint(size - 1)


def lp8(data: bytes) -> bytes:
    return bytes([len(data)]) + data


# ---- long header -------------------------------------------------------------------------------------------------

class Long:
    """A parsed long packet; `header` is the aad, `payload` the sealed rest."""

    def __init__(self, kind, count, index, dcid, scid, token, header, payload):
        self.kind, self.count, self.index = kind, count, index
        self.dcid, self.scid, self.token = dcid, scid, token
        self.header, self.payload = header, payload


def long_header(kind: int, count: int, index: int, dcid: bytes, scid: bytes, token: bytes | None) -> bytes:
    """JSP-PKT-05. `token` is None in packets of a server, which have no token field."""
    first = 0xC0 | kind << 4 | count - 1 << 2 | index
    out = bytes([first]) + struct.pack(">I", VERSION) + lp8(dcid) + lp8(scid)
    return out if token is None else out + varint(len(token)) + token


def parse_invariant(datagram: bytes) -> tuple[int, bytes, bytes, Reader]:
    """The part of a long header that all versions share (JSP-VER-01): version, dcid, scid, reader behind it."""
    r = Reader(datagram, 1)
    version = r.uint(4)
    dcid = r.take(r.uint(1))
    scid = r.take(r.uint(1))
    return version, dcid, scid, r


def parse_header(datagram: bytes, from_client: bool) -> Long:
    """JSP-PKT-06: raises Malformed where the header is not one of version 1."""
    first = Reader(datagram).uint(1)
    if first & 0xC0 != 0xC0:
        raise Malformed("first byte", "fixed_bit" if first & 0x80 else "not_long")
    if Reader(datagram, 1).uint(4) != VERSION:
        raise Malformed("version", "version")
    kind, count, index = first >> 4 & 3, (first >> 2 & 3) + 1, first & 3
    if kind in ((SI, RETRY) if from_client else (CI,)):
        raise Malformed("type from the wrong side", "type")
    if index >= count or count > 1 and (kind == RETRY or kind == KEY and from_client):
        raise Malformed("fragments where there are none", "fragment")
    _, dcid, scid, r = parse_invariant(datagram)
    if len(dcid) > 16 or len(scid) > 16:
        raise Malformed("long connection id", "cid_length")
    token = b""
    if from_client:
        length = r.varint()
        if length > 128:
            raise Malformed("long token", "token_length")
        token = r.take(length)
    return Long(kind, count, index, dcid, scid, token, datagram[:r.at], datagram[r.at:])


def parse_long(datagram: bytes, from_client: bool) -> Long:
    """Raises Malformed where the datagram has to be dropped."""
    packet = parse_header(datagram, from_client)
    if from_client and len(packet.dcid) < 8:               # JSP-PKT-07
        raise Malformed("destination id too short")
    if not from_client and packet.kind in (RETRY, KEY) and len(packet.scid) < 8:           # JSP-PKT-09
        raise Malformed("source id too short")
    if len(packet.payload) < 16:
        raise Malformed("no tag")
    return packet


# ---- fragments ---------------------------------------------------------------------------------------------------

def fragment(total: int, offset: int, data: bytes, pad_to: int = 0) -> bytes:
    body = struct.pack(">HHH", total, offset, len(data)) + data
    return body.ljust(pad_to, b"\0")


def parse_fragment(plaintext: bytes) -> tuple[int, int, bytes, bytes]:
    """Total, offset, data, padding (JSP-PKT-17)."""
    r = Reader(plaintext)
    total, offset, length = r.uint(2), r.uint(2), r.uint(2)
    data = r.take(length)
    if not length or total > MAX_MESSAGE or offset + length > total:
        raise Malformed("fragment", "fragment")
    return total, offset, data, r.rest()


def cut(message: bytes, share: int) -> list[tuple[int, bytes]]:
    """Pieces of `share` bytes but the last (JSP-PKT-10)."""
    pieces = [(at, message[at:at + share]) for at in range(0, len(message), share)]
    if len(pieces) > 4 or len(message) > MAX_MESSAGE:
        raise ValueError("message too long")
    return pieces


class Assembly:
    """Puts one message together (JSP-PKT-17 to JSP-PKT-19)."""

    def __init__(self):
        self.count = self.total = None
        self.pieces: dict[int, tuple[int, bytes]] = {}

    def add(self, count: int, index: int, plaintext: bytes) -> bytes | None:
        """The whole message once it is complete; Malformed for a fragment that has to be dropped."""
        total, offset, data, _ = parse_fragment(plaintext)
        length = len(data)
        if self.count is None:
            self.count, self.total = count, total
        if (count, total) != (self.count, self.total) or index in self.pieces:
            raise Malformed("contradicts or repeats")
        if any(offset < at + len(d) and at < offset + length for at, d in self.pieces.values()):
            raise Malformed("overlap")
        self.pieces[index] = offset, data
        if len(self.pieces) < count or sum(len(d) for _, d in self.pieces.values()) != total:
            return None
        return b"".join(d for _, d in sorted(self.pieces.values()))


# ---- packet numbers ----------------------------------------------------------------------------------------------

def pn_len(pn: int, largest_acked: int | None) -> int:
    """JSP-PKT-28."""
    unacked = pn + 1 if largest_acked is None else pn - largest_acked
    for n in (1, 2, 3):
        if 2 * unacked < 1 << 8 * n:
            return n
    return 4


def decode_pn(truncated: int, length: int, largest: int | None) -> int:
    """JSP-PKT-29."""
    expected = 0 if largest is None else largest + 1
    window = 1 << 8 * length
    candidate = expected - expected % window + truncated
    if candidate + window // 2 <= expected and candidate < (1 << 62) - window:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate


# ---- version negotiation -----------------------------------------------------------------------------------------

def version_negotiation(dcid: bytes, scid: bytes, reserved: int | None = None) -> bytes:
    """The answer to a packet of another version with these ids (JSP-VER-03)."""
    if reserved is None:
        reserved = int.from_bytes(os.urandom(4), "big") & 0xF0F0F0F0 | 0x0A0A0A0A
    return b"\xc0\0\0\0\0" + lp8(scid) + lp8(dcid) + struct.pack(">II", VERSION, reserved)


def parse_version_negotiation(datagram: bytes, own: bytes, sent_to: set[bytes]) -> list[int] | None:
    """The versions that are named, None if the packet is to be dropped (JSP-VER-06, JSP-VER-07)."""
    version, dcid, scid, r = parse_invariant(datagram)
    if version or dcid != own or scid not in sent_to or not r.left() or r.left() % 4:
        return None
    versions = [r.uint(4) for _ in range(r.left() // 4)]
    return None if VERSION in versions else versions
