"""A connection without sockets and clocks: datagrams go in and come out (specification: connections.md, streams.md).

Times are seconds of any monotonic clock. What happened is in `events`: ("connected",), ("confirmed",),
("opened", id), ("readable", id), ("message", id, bytes), ("ended", id, code or None), ("closed", code, reason, by).
"""

import os
from collections import deque
from hmac import compare_digest

from . import crypto as c, frames as f
from .frames import FrameError, make
from .keys import Keys
from .params import Params, encode
from .recovery import Acks, Recovery
from .sending import Sending
from .streams import STREAM_STATE, RecvBytes, RecvMessages, SendHalf
from .wire import Malformed

PROTOCOL_VIOLATION, PARAMETER, CID_LIMIT, STREAM_LIMIT, APP_PROTOCOL = 0x0A, 0x08, 0x09, 0x04, 0x14
FLOORS = Params(max_udp_payload=1200, initial_max_data=16384, initial_max_stream_data=8192, active_cid_limit=2,
                max_streams={t: 4 if t < 12 else 0 for t in range(16)})      # JSP-PAR-12, JSP-FLOW-05


class Stream:
    def __init__(self, send: SendHalf | None, recv):
        self.send, self.recv = send, recv


class Connection(Sending):
    def __init__(self, client: bool, own: Params, peer: Params | None, schedule, own_cid: bytes, peer_cid: bytes,
                 now: float, offered: list[bytes] = (), reset_key: bytes = b""):
        self.client, self.own, self.peer, self.offered = client, own, peer or FLOORS, list(offered)
        secrets = (schedule.secret_c, schedule.secret_s)
        self.keys = Keys(*(secrets if client else secrets[::-1]))
        self.acks, self.recovery = Acks(own.max_ack_delay), Recovery()
        self.cid_len, self.own_cids, self.retired_own = len(own_cid), {0: own_cid}, set()
        self.peer_cids = {0: (peer_cid, peer.reset_token if peer else None)}
        self.peer_cid, self.retire_prior = 0, 0
        self.retired_peer: set[int] = set()
        self.reset_key = reset_key or os.urandom(32)
        self.streams: dict[int, Stream] = {}
        self.opened = [0] * 16
        self.granted = [own.streams_of(t) for t in range(16)]
        self.max_streams = [self.peer.streams_of(t) for t in range(16)]
        self.max_data, self.data_sent = self.peer.initial_max_data, 0
        self.data_limit, self.data_received, self.released = own.initial_max_data, 0, 0
        self.control: deque = deque()        # contents to send: ("frame", Frame) or ("max_data",) and the like
        self.events: deque = deque()
        self.connected, self.confirmed, self.probes = not client, False, 0
        self.state, self.end_at, self.close_frame, self.peer_close = "open", None, None, None
        self.close_count, self.close_due, self.close_times = 0, False, []
        self.idle_from, self.asked = now, False
        if client:
            self.control.append(("ping",))                                   # JSP-HS-36
        else:
            self.control.append(("frame", make(f.PARAMS, data=encode(own.entries()))))

    # ---- for the application -----------------------------------------------------------------------------------

    def open(self, kind: int, one_way: bool = False) -> int | None:
        """A new stream's id; None while the peer has not granted one."""
        t = kind << 2 | one_way << 1 | (not self.client)
        if self.opened[t] >= self.max_streams[t]:
            return None
        ident = self.opened[t] << 4 | t
        self.opened[t] += 1
        self._make(ident)
        self.control.append(("frame", make(f.STREAM_PRIORITY, id=ident, priority=128)))
        return ident

    def write(self, ident: int, data: bytes, finish: bool = False):
        """Bytes, or one message on streams of messages."""
        half = self.streams[ident].send
        if data:
            half.write(data)
        half.finished |= finish

    def read(self, ident: int) -> bytes:
        """What can be read in order of a stream of bytes; gives credit back."""
        half = self.streams[ident].recv
        data = half.pop()
        self._released(ident, half.release(half.base, half.base + len(data)))
        self._check_end(ident)
        return data

    def stop(self, ident: int, code: int):
        half = self.streams[ident].recv
        half.stopped = True
        self.control.append(("frame", make(f.STOP_SENDING, id=ident, code=code)))
        self._released(ident, half.release(0, half.high))

    def reset(self, ident: int, code: int):
        half = self.streams[ident].send
        if half.reset_code is None and not half.fin_acked:
            half.reset_code, half.lost.list = code, []
            self.control.append(("frame", make(f.RESET_STREAM, id=ident, code=code, final=half.sent, reliable=0)))

    def close(self, code: int, reason: bytes, now: float, transport: bool = False, frame_type: int = 0):
        """Section 2. CLOSE_APP unless `transport` is set (JSP-CLOSE-01, JSP-ERR-02)."""
        if self.state != "open":
            return
        reason = reason[:128]
        self.close_frame = make(f.CLOSE, code=code, frame_type=frame_type, reason=reason) if transport else \
            make(f.CLOSE_APP, code=code, reason=reason)
        pto = self.pto()
        self.state, self.close_due, self.end_at = "closing", True, now + 3 * pto
        self.close_times = [now + pto, now + 2 * pto]
        self.events.append(("closed", code, reason, "here"))

    def all_delivered(self) -> bool:
        halves = [s.send for s in self.streams.values() if s.send]
        return all(h.reset_code is not None or not h.acked.missing(0, len(h.data)) for h in halves)

    # ---- datagrams in ------------------------------------------------------------------------------------------

    def receive(self, datagram: bytes, now: float):
        """A datagram with a short header that is addressed to this connection, or claims to be."""
        if self.state == "closing":                                          # JSP-CLOSE-06
            self.close_count += 1
            self.close_due |= self.close_count & self.close_count - 1 == 0
        if self.state != "open":
            return
        cid = datagram[1:1 + self.cid_len]
        if cid not in self.own_cids.values():
            return
        try:
            opened = self.keys.open(datagram, len(cid), self.acks.largest, now, self.pto())
            if opened is None:
                token = self.peer_cids[self.peer_cid][1]
                if token and len(datagram) >= 21 and compare_digest(datagram[-16:], token):    # JSP-RST-07
                    self._drain(now, None, b"stateless reset")
                return
            pn, first, plain = opened
            if not self.acks.is_new(pn):
                return
            if first & 0x10:                                                 # JSP-PKT-25
                raise FrameError(PROTOCOL_VIOLATION, 0, "reserved bit")
            frames = f.decode(plain)
            self.idle_from, self.asked = now, False
            if self.budget is not None:
                self.budget += 3 * len(datagram)
            if not self.client and not self.confirmed:                       # section 12.1 of handshake.md
                self._confirm()
                self.control.append(("frame", make(f.HANDSHAKE_DONE)))       # JSP-HS-37
            immediate = any(x.type == f.IMMEDIATE_ACK for x in frames)
            self.acks.accept(pn, f.eliciting(frames), immediate, now, self.recovery.srtt)
            for frame in frames:
                if frame.type == f.PARITY and frame.back > pn:
                    raise FrameError(f.FRAME_ENCODING, frame.type, "block before packet 0")
                self._act(frame, cid, now)
                if self.state != "open":                                     # JSP-FRM-04
                    return
        except FrameError as e:
            self.close(e.code, str(e).encode(), now, True, e.frame_type)

    def _act(self, x, cid: bytes, now: float):
        t = x.type
        if t in (f.PARAMS, f.HANDSHAKE_DONE, f.NEW_TOKEN) and not self.client:    # JSP-FRM-12, JSP-PAR-09
            raise FrameError(PROTOCOL_VIOLATION, t, "frame of a server")
        if t in (f.ACK, f.ACK_ECN):
            self._on_ack(x, now)
        elif t == f.PARAMS:
            self._on_params(x)
        elif t == f.HANDSHAKE_DONE:
            self._confirm()
        elif t == f.NEW_TOKEN:
            self.events.append(("token", x.data))
        elif t in (f.CLOSE, f.CLOSE_APP):
            self.peer_close = x
            self._drain(now, x.code, x.reason)
        elif t == f.ACK_FREQ:                                                # JSP-FRM-27: never announced here
            raise FrameError(PROTOCOL_VIOLATION, t, "ACK_FREQ was not offered")
        elif t == f.PATH_CHALLENGE:
            self.control.append(("once", make(f.PATH_RESPONSE, data=x.data)))
        elif t == f.NEW_CID:
            self._on_new_cid(x)
        elif t == f.RETIRE_CID:
            self._on_retire(x, cid)
        elif t == f.RECOVERED:                                               # JSP-FRM-39: nothing is protected here
            raise FrameError(PROTOCOL_VIOLATION, t, "was not protected")
        elif t == f.MAX_DATA:
            self.max_data = max(self.max_data, x.limit)                      # JSP-FLOW-02
        elif t == f.MAX_STREAMS:
            if x.stream_type & 1 == self.client:                             # JSP-FLOW-03
                raise FrameError(PROTOCOL_VIOLATION, t, "type of the peer")
            self.max_streams[x.stream_type] = max(self.max_streams[x.stream_type], x.limit)
        elif f.STREAM <= t < f.PARITY and not (t == f.BLOCKED and x.kind != 1):
            self._on_stream_frame(x)

    def _on_params(self, x):
        if self.connected:                                                   # JSP-PAR-08
            return
        try:
            self.peer = Params.decode(x.data, from_client=False)
        except Malformed as e:                                               # JSP-PAR-07
            raise FrameError(PARAMETER, x.type, str(e)) from e
        if self.peer.protocols[0] not in self.offered:                       # JSP-PAR-11
            raise FrameError(APP_PROTOCOL, x.type, "protocol was not offered")
        self.connected = True
        self.peer_cids[0] = (self.peer_cids[0][0], self.peer.reset_token)
        self.max_data = max(self.max_data, self.peer.initial_max_data)
        self.max_streams = [self.peer.streams_of(t) for t in range(16)]
        for s in self.streams.values():
            if s.send:
                s.send.limit = max(s.send.limit, self.peer.initial_max_stream_data)
        self.events.append(("connected",))

    def _confirm(self):
        if self.confirmed:
            return
        self.confirmed, self.budget = True, None
        self.events.append(("confirmed",))
        for sequence in range(1, min(self.peer.active_cid_limit, 3) if self.cid_len else 1):
            self._issue(sequence)

    # ---- connection ids ----------------------------------------------------------------------------------------

    def _issue(self, sequence: int):
        cid = os.urandom(self.cid_len)                                             # JSP-CID-01
        self.own_cids[sequence] = cid
        self.control.append(("frame", make(f.NEW_CID, sequence=sequence, retire_prior_to=0, cid=cid,
                                           token=c.reset_token(self.reset_key, cid))))
        self.events.append(("new cid", cid))

    def _on_retire(self, x, cid: bytes):
        number = x.sequence
        known = number in self.own_cids or number in self.retired_own
        if not known or self.own_cids.get(number) == cid:                    # JSP-CID-12
            raise FrameError(PROTOCOL_VIOLATION, x.type, "RETIRE_CID")
        if number in self.own_cids:
            del self.own_cids[number]
            self.retired_own.add(number)
            self._issue(max(self.own_cids | dict.fromkeys(self.retired_own)) + 1)

    def _on_new_cid(self, x):
        have = self.peer_cids.get(x.sequence)
        if not self.peer_cids[self.peer_cid][0] or have and x.sequence and have != (x.cid, x.token):    # JSP-CID-05, -07
            raise FrameError(PROTOCOL_VIOLATION, x.type, "NEW_CID")
        if x.sequence in self.retired_peer:
            return
        self.retire_prior = max(self.retire_prior, x.retire_prior_to)
        self.peer_cids.setdefault(x.sequence, (x.cid, x.token))
        for number in sorted(n for n in self.peer_cids if n < self.retire_prior):    # JSP-CID-08, JSP-CID-09
            others = sorted(n for n in self.peer_cids if n >= self.retire_prior)
            if number == self.peer_cid and not others:
                continue
            if number == self.peer_cid:
                self.peer_cid = others[0]
            del self.peer_cids[number]                                       # JSP-CID-10
            self.retired_peer.add(number)
            self.control.append(("frame", make(f.RETIRE_CID, sequence=number)))
        if len(self.peer_cids) > self.own.active_cid_limit:                  # JSP-CID-04
            raise FrameError(CID_LIMIT, x.type, "too many connection ids")

    # ---- streams -----------------------------------------------------------------------------------------------

    def _make(self, ident: int):
        own_side, kind, one_way = (ident & 1) != self.client, ident >> 2 & 3, ident & 2
        messages, window = kind in (1, 2), self.own.initial_max_stream_data
        send = SendHalf(messages, self.peer.initial_max_stream_data) if own_side or not one_way else None
        recv = None
        if not own_side or not one_way:
            recv = RecvMessages(window, kind == 1, self.own.max_message_size) if messages else RecvBytes(window)
        self.streams[ident] = Stream(send, recv)

    def _find(self, x) -> Stream | None:
        """streams.md, section 2.2; None for streams that are over."""
        t, index, own_side = x.id & 15, x.id >> 4, (x.id & 1) != self.client
        data_on = {f.STREAM: (0, 3), f.MSG: (1, 2), f.SKIP: (1, 2)}
        group = f.MSG if x.type >= f.MSG else f.STREAM if x.type < 0x18 else x.type
        if group in data_on and t >> 2 not in data_on[group]:                # JSP-STRM-02
            raise FrameError(PROTOCOL_VIOLATION, x.type, "wrong kind of stream")
        feedback = x.type in (f.STOP_SENDING, f.MAX_STREAM_DATA)
        if t & 2 and x.type != f.STREAM_PRIORITY and own_side != feedback:   # JSP-STRM-03
            raise FrameError(STREAM_STATE, x.type, "wrong direction")
        if x.id in self.streams:
            return self.streams[x.id]
        if index < self.opened[t]:                                           # JSP-STRM-07
            return None
        if own_side:                                                         # JSP-STRM-06
            raise FrameError(STREAM_STATE, x.type, "stream was never opened")
        if index >= self.granted[t]:                                         # JSP-STRM-05
            raise FrameError(STREAM_LIMIT, x.type, "too many streams")
        for n in range(self.opened[t], index + 1):                           # JSP-STRM-04
            self._make(n << 4 | t)
            self.events.append(("opened", n << 4 | t))
        self.opened[t] = index + 1
        return self.streams[x.id]

    def _on_stream_frame(self, x):
        t = x.type
        if t >= f.MSG and t & 8:                                             # JSP-COMP-01: never offered here
            raise FrameError(PROTOCOL_VIOLATION, t, "compression was not offered")
        s = self._find(x)
        if s is None or t in (f.BLOCKED, f.STREAM_PRIORITY):
            return
        if t == f.MAX_STREAM_DATA:
            s.send.limit = max(s.send.limit, x.limit)
        elif t == f.STOP_SENDING:                                            # JSP-STRM-08
            self.reset(x.id, x.code)
            self._check_end(x.id)
        else:
            self._on_data(x, s.recv)

    def _on_data(self, x, half):
        t, credit = x.type, self.data_limit - self.data_received
        if t == f.RESET_STREAM:
            self.data_received += half.grow(x.final, True, t, credit)
            released = half.done.total()
            half.reset(x.code, x.final, x.reliable)
        elif t == f.SKIP:
            self.data_received += half.grow(x.offset, False, t, credit)
            released = half.done.total()
            half.skip(x.offset, t)
        else:
            fin = t < f.RESET_STREAM and t & 1
            self.data_received += half.grow(x.offset + len(x.data), bool(fin), t, credit)
            released = half.done.total()
            if fin and half.promised is None:
                half.promised = half.final
            if x.data and not half.stopped:
                half.on_data(x.offset, x.data, t & 15 if t >= f.MSG else 0, t)
        if half.stopped:                                                     # JSP-STRM-15, JSP-FLOW-07
            half.release(0, half.high)
        elif isinstance(half, RecvMessages):
            half.settle(t)
            self.events.extend(("message", x.id, m) for m in half.pop())
        else:
            self.events.append(("readable", x.id))
        self._released(x.id, half.done.total() - released)
        self._check_end(x.id)

    def _released(self, ident: int, n: int):
        """Credit for what was released (streams.md, section 6.3), renewed by halves."""
        half = self.streams[ident].recv
        self.released += n
        if self.own.initial_max_data + self.released - self.data_limit >= self.own.initial_max_data // 2:
            self.data_limit = self.own.initial_max_data + self.released
            self.control.append(("max_data",))
        if half.final is None and not half.stopped and half.grant() - half.limit >= half.window // 2:
            half.limit = half.grant()
            self.control.append(("max_stream_data", ident))

    def _check_end(self, ident: int):
        """Tells the end of a receiving half, and forgets a stream whose halves are both over."""
        s, t = self.streams.get(ident), ident & 15
        if s is None:
            return
        if s.recv and s.recv.ended() and not s.recv.told:
            s.recv.told = True
            clean = isinstance(s.recv, RecvMessages) and s.recv.code == 0 and s.recv.promised == s.recv.final
            self.events.append(("ended", ident, None if clean else s.recv.code))
        if (s.recv is None or s.recv.told) and (s.send is None or s.send.over()):
            del self.streams[ident]
            if (ident & 1) == self.client:                                   # streams.md, section 6.4
                self.granted[t] += 1
                self.control.append(("max_streams", t))
