"""Parameters of the handshake (specification: handshake.md, section 8)."""

import os
import random

from .wire import Malformed, Reader, lp8, varint

# name: (id, default, smallest, largest)
NUMBERS = {
    "max_idle_timeout": (0x01, 30000, 0, None),
    "max_udp_payload": (0x02, 1472, 1200, 65527),
    "initial_max_data": (0x03, 65536, 16384, None),
    "initial_max_stream_data": (0x04, 65536, 8192, None),
    "max_ack_delay": (0x06, 25, 0, 1000),
    "max_message_size": (0x07, 65536, 0, 1 << 24),
    "active_cid_limit": (0x08, 4, 2, 8),
    "fec_max_symbols": (0x09, 128, 0, 256),
    "fec_schemes": (0x0A, 3, 0, None),
    "compression": (0x0B, 0, 0, None),
    "flags": (0x0C, 0, 0, None),
    "min_ack_delay": (0x0D, None, 0, None),
}
MAX_STREAMS, PROTOCOLS, RESET_TOKEN = 0x05, 0x10, 0x15
CLIENT_KEY_ID, CLIENT_KEY, PSK_ID, APP_TOKEN, REFUSE = 0x20, 0x21, 0x22, 0x24, 0x30


def encode(entries: dict[int, bytes], grease: bool = False) -> bytes:
    """Entries in ascending order (JSP-PAR-01), with one of the reserved ids at the end if wanted."""
    out = b"".join(varint(i) + varint(len(v)) + v for i, v in sorted(entries.items()))
    if grease:
        value = os.urandom(random.randrange(17))
        ident = 31 * random.randrange(1 + max(entries, default=0) // 31, 65537) + 27
        out += varint(ident) + varint(len(value)) + value
    return out


def split(data: bytes, most: int | None = 64) -> dict[int, bytes]:
    """The entries by id; Malformed as JSP-PAR-03 says."""
    if most is not None and len(data) > 2048:
        raise Malformed("too many bytes of parameters", "too_many")
    r, out, last = Reader(data), {}, -1
    while r.left():
        ident = r.varint()
        value = r.take(r.varint())
        if ident <= last:
            raise Malformed("ids do not ascend", "order", ident)
        last = ident
        out[ident] = value
    if most is not None and len(out) > most:
        raise Malformed("too many entries", "too_many")
    return out


def number(value: bytes, ident: int | None = None) -> int:
    r = Reader(value)
    try:
        n = r.varint()
    except Malformed as e:
        raise Malformed("number cut off", parameter=ident) from e
    if r.left():
        raise Malformed("number does not fill its value", parameter=ident)
    return n


def protocols_value(names: list[bytes]) -> bytes:
    return b"".join(lp8(n) for n in names)


class Params:
    """The transport parameters of one side, with defaults for what was absent."""

    def __init__(self, **numbers):
        for name, (_, default, _, _) in NUMBERS.items():
            setattr(self, name, numbers.get(name, default))
        self.max_streams: dict[int, int] = numbers.get("max_streams", {})
        self.protocols: list[bytes] = numbers.get("protocols", [b"jsp"])
        self.reset_token: bytes | None = numbers.get("reset_token")
        self.client_key_id: bytes | None = numbers.get("client_key_id")
        self.client_key: bytes | None = numbers.get("client_key")
        self.psk_id: bytes | None = numbers.get("psk_id")
        self.app_token: bytes | None = numbers.get("app_token")
        self.explicit = [n for n in NUMBERS if n in numbers]

    def streams_of(self, kind: int) -> int:
        return self.max_streams.get(kind, 100)

    def entries(self) -> dict[int, bytes]:
        """What this side says of itself: only values that were given explicitly."""
        out = {NUMBERS[n][0]: varint(getattr(self, n)) for n in self.explicit}
        if self.max_streams:
            out[MAX_STREAMS] = b"".join(bytes([t]) + varint(n) for t, n in self.max_streams.items())
        out[PROTOCOLS] = protocols_value(self.protocols)
        for ident, value in ((RESET_TOKEN, self.reset_token), (CLIENT_KEY_ID, self.client_key_id),
                             (CLIENT_KEY, self.client_key), (PSK_ID, self.psk_id), (APP_TOKEN, self.app_token)):
            if value is not None:
                out[ident] = value
        return out

    @classmethod
    def decode(cls, data: bytes, from_client: bool) -> "Params":
        """Malformed where section 8 does not allow what is there (JSP-PAR-03, JSP-PAR-06, JSP-PAR-07)."""
        entries, p = split(data), cls()
        for name, (ident, _, _, _) in NUMBERS.items():
            if ident in entries:
                setattr(p, name, number(entries[ident], ident))
                p.explicit.append(name)
        wrong = (RESET_TOKEN, REFUSE) if from_client else (CLIENT_KEY_ID, CLIENT_KEY, PSK_ID, APP_TOKEN, REFUSE)
        for ident in wrong:                                                              # JSP-PAR-05
            if ident in entries:
                raise Malformed("parameter from the wrong side", "misplaced", ident)
        p._lists(entries, from_client)
        p.reset_token = _sized(entries, RESET_TOKEN, 16, 16)
        p.client_key_id = _sized(entries, CLIENT_KEY_ID, 32, 32)
        p.client_key = _sized(entries, CLIENT_KEY, 1216, 1216)
        p.psk_id = _sized(entries, PSK_ID, 0, 64)
        p.app_token = _sized(entries, APP_TOKEN, 0, 512)
        if p.client_key_id is not None and p.client_key is not None:                     # JSP-HS-10
            raise Malformed("two client keys", "two_client_keys")
        for name, (ident, _, low, high) in NUMBERS.items():
            value = getattr(p, name)
            if value is not None and (value < low or high is not None and value > high):
                raise Malformed(name, "range", ident)
        if p.max_message_size > min(p.initial_max_data, p.initial_max_stream_data):      # JSP-FLOW-10
            raise Malformed("max_message_size above the windows", "range", 0x07)
        if p.min_ack_delay is not None and p.min_ack_delay > 1000 * p.max_ack_delay:
            raise Malformed("min_ack_delay", "range", 0x0D)
        for kind, most in p.max_streams.items():
            if not (0 if kind >> 2 == 3 else 4) <= most <= 1 << 58:
                raise Malformed("initial_max_streams", "range", MAX_STREAMS)
        return p

    def _lists(self, entries: dict[int, bytes], from_client: bool):
        ident = MAX_STREAMS
        try:
            r = Reader(entries.get(MAX_STREAMS, b""))
            while r.left():
                kind, most = r.uint(1), r.varint()
                if kind > 15 or kind in self.max_streams or kind & 1 != from_client:
                    raise Malformed("initial_max_streams")
                self.max_streams[kind] = most
            if PROTOCOLS in entries:
                ident = PROTOCOLS
                r, self.protocols = Reader(entries[PROTOCOLS]), []
                while r.left():
                    self.protocols.append(r.take(r.uint(1)))
                if not self.protocols or b"" in self.protocols or not from_client and len(self.protocols) != 1:
                    raise Malformed("app_protocols")
        except Malformed as e:
            raise Malformed(str(e), parameter=ident) from e
        for ident, unit in ((0x11, 4), (0x12, 2)):
            if ident in entries and (not entries[ident] or len(entries[ident]) % unit):
                raise Malformed("list", parameter=ident)


def _sized(entries: dict[int, bytes], ident: int, low: int, high: int) -> bytes | None:
    value = entries.get(ident)
    if value is not None and not low <= len(value) <= high:
        raise Malformed("length of a parameter", parameter=ident)
    return value
