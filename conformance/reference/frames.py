"""Encoding and decoding of every frame (specification: frames.md).

A frame is a dictionary-like object with a `type` and the fields of section 4, in lower case. `decode` parses a whole
packet before anything acts (JSP-FRM-02); `encode` is its inverse for one frame.
"""

from types import SimpleNamespace

from .wire import Malformed, Reader, varint

PADDING, PING, ACK, ACK_ECN, PARAMS, HANDSHAKE_DONE, NEW_TOKEN, CLOSE, CLOSE_APP = range(9)
IMMEDIATE_ACK, ACK_FREQ, OBSERVED_ADDR, PATH_CHALLENGE, PATH_RESPONSE, NEW_CID, RETIRE_CID = range(0x09, 0x10)
STREAM = 0x10                       # with flags: OFF 4, LEN 2, FIN 1
RESET_STREAM, STOP_SENDING, SKIP, MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS, BLOCKED, STREAM_PRIORITY = range(0x18, 0x20)
MSG = 0x20                          # with flags: Z 8, EOM 4, BOM 2, LEN 1
PARITY, RECOVERED = 0x30, 0x31

FRAME_ENCODING, PROTOCOL_VIOLATION = 0x07, 0x0A
NOT_ELICITING = {PADDING, ACK, ACK_ECN, CLOSE, CLOSE_APP, RECOVERED}        # section 1.6

# Frames that are nothing but varints.
PLAIN = {
    PING: (), HANDSHAKE_DONE: (), IMMEDIATE_ACK: (),
    ACK_FREQ: ("sequence", "threshold", "delay", "reordering"),
    RETIRE_CID: ("sequence",),
    RESET_STREAM: ("id", "code", "final", "reliable"),
    STOP_SENDING: ("id", "code"),
    SKIP: ("id", "offset"),
    MAX_DATA: ("limit",),
    MAX_STREAM_DATA: ("id", "limit"),
}


class FrameError(Exception):
    """A frame that closes the connection: transport error and type of the frame."""

    def __init__(self, code: int, frame_type: int, why: str, reason: str = "invalid"):
        super().__init__(why)
        self.code, self.frame_type, self.reason = code, frame_type, reason


class Frame(SimpleNamespace):
    pass


def make(kind: int, /, **fields) -> Frame:
    return Frame(type=kind, **fields)


# ---- ACK ranges --------------------------------------------------------------------------------------------------

def _ranges_out(ranges: list[tuple[int, int]]) -> bytes:
    """Ranges (first, last), descending, without the largest and the delay."""
    out = varint(len(ranges) - 1) + varint(ranges[0][1] - ranges[0][0])
    for (above, _), (first, last) in zip(ranges, ranges[1:]):
        out += varint(above - last - 2) + varint(last - first)
    return out


def _ranges_in(r: Reader, largest: int, count: int) -> list[tuple[int, int]]:
    low = largest - r.varint()
    ranges = [(low, largest)]
    for _ in range(count):
        high = low - r.varint() - 2
        low = high - r.varint()
        ranges.append((low, high))
    if any(first < 0 for first, _ in ranges):          # JSP-FRM-19
        raise Malformed("range below 0")
    return ranges


# ---- encoding ----------------------------------------------------------------------------------------------------

def encode(f: Frame) -> bytes:
    t, out = f.type, varint(f.type)
    if t in PLAIN:
        return out + b"".join(varint(getattr(f, name)) for name in PLAIN[t])
    if t == PADDING:
        return bytes(getattr(f, "count", 1))
    if t in (ACK, ACK_ECN):
        out += varint(f.ranges[0][1]) + varint(f.delay) + _ranges_out(f.ranges)
        return out + (b"".join(map(varint, f.ecn)) if t == ACK_ECN else b"")
    if t == RECOVERED:
        return out + varint(f.ranges[0][1]) + _ranges_out(f.ranges)
    if t in (PARAMS, NEW_TOKEN):
        return out + varint(len(f.data)) + f.data
    if t == CLOSE:
        return out + varint(f.code) + varint(f.frame_type) + varint(len(f.reason)) + f.reason
    if t == CLOSE_APP:
        return out + varint(f.code) + varint(len(f.reason)) + f.reason
    if t == OBSERVED_ADDR:
        return out + varint(f.sequence) + bytes([f.family]) + f.ip + f.port.to_bytes(2, "big")
    if t in (PATH_CHALLENGE, PATH_RESPONSE):
        return out + f.data
    if t == NEW_CID:
        return out + varint(f.sequence) + varint(f.retire_prior_to) + bytes([len(f.cid)]) + f.cid + f.token
    if STREAM <= t < 0x18:
        out += varint(f.id) + (varint(f.offset) if t & 4 else b"")
        return out + (varint(len(f.data)) if t & 2 else b"") + f.data
    if MSG <= t < 0x30:
        return out + varint(f.id) + varint(f.offset) + (varint(len(f.data)) if t & 1 else b"") + f.data
    if t == MAX_STREAMS:
        return out + bytes([f.stream_type]) + varint(f.limit)
    if t == BLOCKED:
        return out + bytes([f.kind]) + varint(f.id) + varint(f.limit)
    if t == STREAM_PRIORITY:
        return out + varint(f.id) + bytes([f.priority])
    if t == PARITY:
        return (out + varint(f.back) + bytes([f.span]) + f.mask + bytes([f.index, f.klass, f.planned])
                + varint(len(f.symbol)) + f.symbol)
    if t >= 0x40:
        return out + varint(len(f.data)) + f.data
    raise ValueError(f"no frame of type {t:#x}")


# ---- decoding ----------------------------------------------------------------------------------------------------

def decode(payload: bytes) -> list[Frame]:
    """All frames of a packet, or FrameError."""
    if not payload:                                                          # JSP-FRM-01
        raise FrameError(PROTOCOL_VIOLATION, 0, "no frames")
    r, out = Reader(payload), []
    while r.left():
        out.append(decode_one(r))
    return out


def decode_one(r: Reader) -> Frame:
    """The next frame, or FrameError."""
    start, t = r.at, 0
    try:
        t = r.varint()
        if r.at - start != len(varint(t)):                                   # JSP-FRM-05
            raise Malformed("type not in its shortest form", "non_minimal_type")
        return _decode_fields(r, t)
    except Malformed as e:
        raise FrameError(FRAME_ENCODING, t, str(e), "invalid" if e.reason == "malformed" else e.reason) from e


def _decode_fields(r: Reader, t: int) -> Frame:
    if t in PLAIN:
        f = make(t, **{name: r.varint() for name in PLAIN[t]})
        if t == RESET_STREAM and f.reliable > f.final:                       # JSP-FRM-34
            raise Malformed("reliable size above final size")
        return f
    if t == PADDING:
        return make(t)
    if t in (ACK, ACK_ECN):
        largest, delay, count = r.varint(), r.varint(), r.varint()
        f = make(t, delay=delay, ranges=_ranges_in(r, largest, count))
        if t == ACK_ECN:
            f.ecn = [r.varint() for _ in range(3)]
        return f
    if t == RECOVERED:
        largest, count = r.varint(), r.varint()
        return make(t, ranges=_ranges_in(r, largest, count))
    if t in (PARAMS, NEW_TOKEN):
        data = r.take(r.varint())
        if t == NEW_TOKEN and not 1 <= len(data) <= 64:                      # JSP-FRM-24
            raise Malformed("length of a token")
        return make(t, data=data)
    if t == CLOSE:
        return make(t, code=r.varint(), frame_type=r.varint(), reason=r.take(r.varint())[:128])
    if t == CLOSE_APP:
        return make(t, code=r.varint(), reason=r.take(r.varint())[:128])
    if t == OBSERVED_ADDR:
        sequence, family = r.varint(), r.uint(1)
        if family not in (4, 6):                                             # JSP-FRM-30
            raise Malformed("family")
        return make(t, sequence=sequence, family=family, ip=r.take(4 if family == 4 else 16), port=r.uint(2))
    if t in (PATH_CHALLENGE, PATH_RESPONSE):
        return make(t, data=r.take(8))
    if t == NEW_CID:
        f = make(t, sequence=r.varint(), retire_prior_to=r.varint(), cid=r.take(r.uint(1)), token=r.take(16))
        if f.retire_prior_to > f.sequence or not 1 <= len(f.cid) <= 16:      # JSP-FRM-28
            raise Malformed("connection id")
        return f
    if STREAM <= t < 0x18 or MSG <= t < 0x30:
        return _decode_data(r, t)
    if t == MAX_STREAMS:
        f = make(t, stream_type=r.uint(1), limit=r.varint())
        if f.stream_type > 15 or f.limit > 1 << 58:                          # JSP-FRM-35
            raise Malformed("streams")
        return f
    if t == BLOCKED:
        f = make(t, kind=r.uint(1), id=r.varint(), limit=r.varint())
        wrong = f.kind == 0 and f.id or f.kind == 2 and (f.id > 15 or f.limit > 1 << 58)
        if f.kind > 2 or wrong:                                              # JSP-FRM-35, JSP-FRM-36
            raise Malformed("blocked")
        return f
    if t == STREAM_PRIORITY:
        return make(t, id=r.varint(), priority=r.uint(1))
    if t == PARITY:
        return _decode_parity(r)
    if t >= 0x40 and t & 1:                                                  # JSP-FRM-08
        return make(t, data=r.take(r.varint()))
    raise Malformed("unknown type", "extension" if t >= 0x40 else "unknown_type")                                          # JSP-FRM-06, JSP-FRM-07


def _decode_data(r: Reader, t: int) -> Frame:
    ident = r.varint()
    is_msg = t >= MSG
    offset = r.varint() if is_msg or t & 4 else 0
    data = r.take(r.varint()) if t & (1 if is_msg else 2) else r.rest()
    if not data and (is_msg or not t & 1):                                   # JSP-FRM-32, JSP-FRM-37
        raise FrameError(PROTOCOL_VIOLATION, t, "no data", "empty")
    if offset + len(data) >= 1 << 62:                                        # JSP-FRM-33
        raise Malformed("offset")
    return make(t, id=ident, offset=offset, data=data)


def _decode_parity(r: Reader) -> Frame:
    """JSP-FRM-38; that `back` is not above the packet number is for the caller to check."""
    back, span = r.varint(), r.uint(1)
    if not 1 <= span <= 128:
        raise Malformed("block")
    mask = r.take((span + 7) // 8)
    f = make(PARITY, back=back, span=span, mask=mask, index=r.uint(1), klass=r.uint(1), planned=r.uint(1),
             symbol=r.take(r.varint()))
    bits = int.from_bytes(mask, "little")
    if not bits & 1 or bits.bit_length() != span or bits.bit_count() > 64 or back < span:
        raise Malformed("block")
    if f.klass not in (1, 2, 4, 8, 16, 32) or f.planned > f.klass or f.index >= f.planned:
        raise Malformed("class")
    if not f.symbol or len(f.symbol) % 2:
        raise Malformed("symbol")
    return f


def eliciting(frames: list[Frame]) -> bool:
    return any(f.type not in NOT_ELICITING for f in frames)
