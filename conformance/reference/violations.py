"""Sends packets that break a rule to a live server, and compares the code of its CLOSE with the specification.

    python -m reference.violations HOST:PORT [jsp1-...]

The server must offer the protocol `jsp` and announce the default number of streams, no compression and windows of at
most 1 MiB. A code of None means that the connection must stay open.
"""

import sys
import time

from . import crypto as c
from .udp import ClientSocket

CID = "1122334455667788" + "00" * 16                      # an id of 8 bytes and a reset token
CASES = [
    # requirement, what, frames, code, type of the frame to blame
    ("JSP-FRM-05", "type not in its shortest form", "4001", 0x07, None),
    ("JSP-FRM-06", "type 0x32", "32", 0x07, 0x32),
    ("JSP-FRM-07", "even extension", "404200", 0x07, 0x42),
    ("JSP-FRM-08", "odd extension", "404102aabb", None, None),
    ("JSP-FRM-09", "long varint in a field", "13c000000000000000400161", None, None),
    ("JSP-FRM-10", "frame cut off", "01" * 12 + "1b", 0x07, 0x1b),
    ("JSP-FRM-10", "cut off inside the type", "01" * 12 + "7f", 0x07, 0),
    ("JSP-FRM-18", "padding between frames", "0100000100", None, None),
    ("JSP-FRM-19", "ACK below 0", "0200000005", 0x07, 0x02),
    ("JSP-FRM-21", "ACK of the future", "025000000000", 0x0a, 0x02),
    ("JSP-FRM-12", "PARAMS of a client", "0400", 0x0a, 0x04),
    ("JSP-FRM-12", "HANDSHAKE_DONE of a client", "05", 0x0a, 0x05),
    ("JSP-FRM-12", "NEW_TOKEN of a client", "0601aa", 0x0a, 0x06),
    ("JSP-FRM-24", "empty NEW_TOKEN of a client", "0600", 0x07, 0x06),
    ("JSP-FRM-27", "ACK_FREQ", "0a00020000", 0x0a, 0x0a),
    ("JSP-FRM-28", "NEW_CID, retire_prior_to", "0e030408" + CID, 0x07, 0x0e),
    ("JSP-FRM-28", "NEW_CID, length 0", "0e030000" + "00" * 16, 0x07, 0x0e),
    ("JSP-CID-04", "too many ids", "".join(f"0e{n:02x}0008{n:02x}" + CID[2:] for n in range(3, 8)), 0x09, 0x0e),
    ("JSP-CID-05", "one number, two ids", "0e030008aa" + CID[2:] + "0e030008bb" + CID[2:], 0x0a, 0x0e),
    ("JSP-CID-12", "RETIRE_CID never issued", "0f3f", 0x0a, 0x0f),
    ("JSP-CID-12", "RETIRE_CID of the id in use", "0f00", 0x0a, 0x0f),
    ("JSP-FRM-30", "OBSERVED_ADDR, family 5", "0b0005c0000207c350", 0x07, 0x0b),
    ("JSP-FRM-31", "OBSERVED_ADDR unasked for", "0b0004c0000207c350", None, None),
    ("JSP-FRM-32", "STREAM with nothing", "120000", 0x0a, 0x12),
    ("JSP-FRM-33", "STREAM beyond 2^62", "1600ffffffffffffffff0161", 0x07, 0x16),
    ("JSP-FRM-34", "RESET_STREAM, reliable size", "1800000102", 0x07, 0x18),
    ("JSP-FRM-35", "MAX_STREAMS, type 16", "1d1001", 0x07, 0x1d),
    ("JSP-FLOW-03", "MAX_STREAMS of the sender's type", "1d004064", 0x0a, 0x1d),
    ("JSP-FRM-36", "BLOCKED, kind 3", "1e030000", 0x07, 0x1e),
    ("JSP-FRM-36", "BLOCKED, kind 0 with an id", "1e000100", 0x07, 0x1e),
    ("JSP-FRM-37", "MSG without data", "23040000", 0x0a, 0x23),
    ("JSP-FRM-38", "PARITY, span 0", "300a0000010202aabb", 0x07, 0x30),
    ("JSP-FRM-39", "RECOVERED of the future", "3150000000" + "0000", 0x0a, 0x31),
    ("JSP-STRM-02", "STREAM on a stream of messages", "12040161", 0x0a, 0x12),
    ("JSP-STRM-02", "MSG on a stream of bytes", "2700000161", 0x0a, 0x27),
    ("JSP-STRM-03", "STREAM on the server's one-way stream", "12030161", 0x05, 0x12),
    ("JSP-STRM-03", "STOP_SENDING on the own one-way stream", "190200", 0x05, 0x19),
    ("JSP-STRM-05", "stream 100", "1246400161", 0x04, 0x12),
    ("JSP-STRM-05", "kind 3 without compression", "120c0161", 0x04, 0x12),
    ("JSP-STRM-06", "stream never opened", "12010161", 0x05, 0x12),
    ("JSP-STRM-11", "final size changes", "130002616213000161", 0x06, 0x13),
    ("JSP-STRM-11", "RESET_STREAM below the data", "1200026162" + "1800000000", 0x06, 0x18),
    ("JSP-FLOW-01", "STREAM beyond the credit", "1600bfffffff0161", 0x03, 0x16),
    ("JSP-FLOW-01", "RESET_STREAM beyond the credit", "180000bfffffff00", 0x03, 0x18),
    ("JSP-MSG-13", "SKIP beyond the credit", "1a04bfffffff", 0x03, 0x1a),
    ("JSP-MSG-04", "no start at offset 0", "2504000161", 0x0a, 0x25),
    ("JSP-MSG-04", "no start behind an end", "27040001612504010161", 0x0a, 0x25),
    ("JSP-COMP-01", "Z without an offer", "2f04000161", 0x0a, 0x2f),
    ("JSP-COMP-01", "Z without BOM and without an offer", "2d04050161", 0x0a, 0x2d),
    ("JSP-STRM-07", "MAX_STREAM_DATA opens a stream", "1c0000", None, None),
]


def closed_with(s: ClientSocket, packet: bytes) -> tuple[int | None, int | None]:
    con = s.connection
    s._send([packet])
    s.run(lambda: con.state != "open", 0.3)
    x = con.peer_close
    if con.state == "open":
        s.close()
    s.socket.close()
    return (None, None) if x is None else (x.code, getattr(x, "frame_type", None))


def main(where: str, pins: list[str]) -> int:
    host, _, port = where.rpartition(":")

    def connect() -> ClientSocket:
        s = ClientSocket((host, int(port)), [c.key_id_from_text(p) for p in pins] or None, [b"jsp"])
        s.run(lambda: s.connection.confirmed and not s.connection.control, 5)
        return s

    wrong = 0
    for requirement, what, frames, code, blamed in CASES:
        s = connect()
        got = closed_with(s, s.connection._packet([bytes.fromhex(frames)], [], True, time.monotonic()))
        good = got[0] == code and (blamed is None or got[1] == blamed)
        wrong += not good
        print("ok  " if good else "FAIL", requirement, what, got, "" if good else f"expected {code}, {blamed}")
    for requirement, what, first, frames in (("JSP-PKT-25", "reserved bit", 0x50, b"\1\0\0\0"),
                                             ("JSP-FRM-01", "no frames", 0x40, b"")):
        s = connect()
        con = s.connection
        keys, cid = con.keys, con.peer_cids[con.peer_cid][0]
        packet = c.seal_short(keys.send, keys.hp_send, first, cid, con.recovery.take_number(), 4, frames)
        got = closed_with(s, packet)
        wrong += got != (0x0a, 0)
        print("ok  " if got == (0x0a, 0) else "FAIL", requirement, what, got)
    print(len(CASES) + 2, "cases,", wrong, "failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
