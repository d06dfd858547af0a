"""The kinds of wire.json: a function of the inputs for each."""

import ipaddress

from . import frames as f, params as p, wire as w
from .wire import Malformed

ACTS = {f.PARAMS, f.HANDSHAKE_DONE, f.NEW_TOKEN, f.ACK_FREQ, f.NEW_CID, f.RETIRE_CID} | set(range(0x10, 0x30))
NAMES = {i: n for n in (
    "PADDING PING ACK ACK_ECN PARAMS HANDSHAKE_DONE NEW_TOKEN CLOSE CLOSE_APP IMMEDIATE_ACK ACK_FREQ OBSERVED_ADDR "
    "PATH_CHALLENGE PATH_RESPONSE NEW_CID RETIRE_CID STREAM RESET_STREAM STOP_SENDING SKIP MAX_DATA MAX_STREAM_DATA "
    "MAX_STREAMS BLOCKED STREAM_PRIORITY MSG PARITY RECOVERED").split() for i in [getattr(f, n)]}
# Fields whose names in the vectors differ from those in frames.py.
RENAMED = {
    "id": "sid", "sequence": "seq", "token": "reset_token", "final": "final_size", "reliable": "reliable_size",
    "threshold": "eliciting_threshold", "delay": "max_ack_delay_us", "reordering": "reorder_threshold",
    "klass": "class", "index": "j", "planned": "r",
}
KINDS = ("bytes", "ordered_messages", "unordered_messages", "blocks")
TYPES = {w.CI: "CI", w.SI: "SI", w.RETRY: "RETRY", w.KEY: "KEY"}
PARAM_NAMES = {"max_idle_timeout": "max_idle_timeout_ms", "max_ack_delay": "max_ack_delay_ms",
               "min_ack_delay": "min_ack_delay_us"}


def with_canonical(got: dict, read: bytes, written: bytes) -> dict:
    return got if read == written else got | {"canonical": written}


def varint(bytes):
    raw = bytes_of(bytes)
    r = w.Reader(raw)
    value = r.varint()
    if r.left():
        raise Malformed("trailing bytes")
    return with_canonical({"value": value}, raw, w.varint(value))


def bytes_of(text: str) -> bytes:
    if text != text.lower() or " " in text:
        raise ValueError("not lower-case hex")
    return bytes.fromhex(text)


def stream_id(id):
    id = int(id)
    return {"index": id >> 4, "kind": KINDS[id >> 2 & 3], "unidirectional": bool(id & 2),
            "initiator": "server" if id & 1 else "client", "type": id & 15}


def side(text: str) -> bool:
    return {"client": True, "server": False}[text]


def long_header(datagram, **inputs):
    raw, client = bytes_of(datagram), side(inputs.pop("from"))
    if inputs:
        raise ValueError("unknown input")
    x = w.parse_header(raw, client)
    header = w.long_header(x.kind, x.count, x.index, x.dcid, x.scid, x.token if client else None)
    return with_canonical({"type": TYPES[x.kind], "fragments": x.count, "fragment": x.index, "dcid": x.dcid,
                           "scid": x.scid, "token": x.token, "payload": x.payload}, x.header, header)


def fragment(plaintext):
    total, offset, data, padding = w.parse_fragment(bytes_of(plaintext))
    return {"total": total, "offset": offset, "data": data, "padding": padding}


def version_negotiation(dcid, scid, reserved_version):
    packet = w.version_negotiation(bytes_of(dcid), bytes_of(scid), int(reserved_version, 16))
    r = w.parse_invariant(packet)[3]
    return {"packet": packet, "versions": [r.take(4) for _ in range(r.left() // 4)]}


def first_byte(key_phase: bool, fec: bool, random_bit: bool) -> int:
    """packets.md, section 3, without the length of the packet number."""
    return 0x40 | 0x20 * random_bit | 8 * fec | 4 * key_phase


def short_header(fec, key_phase, random_bit, packet_number_length):
    return {"first_byte": bytes([first_byte(key_phase, fec, random_bit) | packet_number_length - 1])}


def packet_number_encoding(packet_number, largest_acknowledged=None):
    pn = int(packet_number)
    n = w.pn_len(pn, None if largest_acknowledged is None else int(largest_acknowledged))
    return {"length": n, "bytes": (pn % (1 << 8 * n)).to_bytes(n, "big")}


def packet_number_decoding(bytes, largest_received=None):
    raw = bytes_of(bytes)
    largest = None if largest_received is None else int(largest_received)
    return {"packet_number": w.decode_pn(int.from_bytes(raw, "big"), len(raw), largest)}


def frame(bytes):
    raw = bytes_of(bytes)
    r = w.Reader(raw)
    x = f.decode_one(r)
    t, fields = x.type, {k: v for k, v in vars(x).items() if k != "type"}
    if t == f.PADDING:
        fields["length"] = 1
        while r.left() and f.decode_one(r).type == f.PADDING:
            fields["length"] += 1
        x.count = fields["length"]
    if r.left():
        raise ValueError("more than one frame")
    got = {"type": t, "ack_eliciting": f.eliciting([x]), "acts_when_repaired": t in ACTS,
           "frame": NAMES.get(0x10 if 0x10 <= t < 0x18 else 0x20 if 0x20 <= t < 0x30 else t, "extension")}
    if t in (f.ACK, f.ACK_ECN, f.RECOVERED, f.CLOSE, f.CLOSE_APP):
        return with_canonical(got | fields, raw, f.encode(x))
    if t == f.OBSERVED_ADDR:
        ip = ipaddress.ip_address(fields.pop("ip"))
        fields["address"] = f"[{ip}]:{fields.pop('port')}" if fields.pop("family") == 6 else f"{ip}:{fields.pop('port')}"
    elif t == f.PARAMS:
        fields = {"parameters": x.data}
    elif t == f.NEW_TOKEN:
        fields = {"token": x.data}
        return with_canonical(got | fields, raw, f.encode(x))
    elif t >= 0x40:
        fields = {"body": x.data}
    elif t == f.MAX_STREAMS:
        pass
    elif t == f.BLOCKED:
        kind, ident = fields.pop("kind"), fields.pop("id")
        fields["by"] = ("data", "stream", "streams")[kind]
        if kind:
            fields["sid" if kind == 1 else "stream_type"] = ident
    elif t == f.PARITY:
        bits = int.from_bytes(fields.pop("mask"), "little")
        fields["sources"] = [i for i in range(x.span) if bits >> i & 1]
    elif 0x10 <= t < 0x18:
        fields["fin"] = bool(t & 1)
        x.type = f.STREAM | 2 | t & 1 | (4 if x.offset else 0)
    elif 0x20 <= t < 0x30:
        fields |= {"compressed": bool(t & 8), "eom": bool(t & 4), "bom": bool(t & 2)}
        x.type = t | 1
    fields = {RENAMED.get(k, k): v for k, v in fields.items()}
    return with_canonical(got | fields, raw, f.encode(x))


def params(bytes, context):
    raw = bytes_of(bytes)
    entries = p.split(raw)
    if context == "P2":                         # handshake.md, section 6.2: other ids are ignored
        entries = {i: v for i, v in entries.items() if i == p.REFUSE}
        x = p.Params()
    else:
        x = p.Params.decode(raw, {"P1": True, "PARAMS": False}[context])
    got = {PARAM_NAMES.get(n, n): getattr(x, n) for n in p.NUMBERS if getattr(x, n) is not None}
    got["initial_max_streams"] = [x.streams_of(kind) for kind in range(16)]
    out = {ident: w.varint(getattr(x, n)) for n, (ident, default, _, _) in p.NUMBERS.items()
           if getattr(x, n) != default}
    streams = b"".join(w.varint(k) + w.varint(n) for k, n in sorted(x.max_streams.items()) if n != 100)
    if streams:
        out[p.MAX_STREAMS] = streams
    if p.PROTOCOLS in entries:
        got["app_protocols"], out[p.PROTOCOLS] = x.protocols, p.protocols_value(x.protocols)
    for name, ident in (("version_info", 0x11), ("suites", 0x12)):
        if ident in entries:
            got[name] = out[ident] = entries[ident]
    for name, ident in (("reset_token", p.RESET_TOKEN), ("client_key_id", p.CLIENT_KEY_ID),
                        ("client_key", p.CLIENT_KEY), ("psk_id", p.PSK_ID), ("app_token", p.APP_TOKEN)):
        if getattr(x, name) is not None:
            got[name] = out[ident] = getattr(x, name)
    if p.REFUSE in entries:
        got["refuse"] = p.number(entries[p.REFUSE], p.REFUSE)
        out[p.REFUSE] = w.varint(got["refuse"])
    return with_canonical(got, raw, p.encode(out))


WIRE = {g.__name__: g for g in (varint, stream_id, long_header, fragment, version_negotiation, short_header,
                                packet_number_encoding, packet_number_decoding, frame, params)}
