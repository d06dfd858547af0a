"""What a connection sends and when: packets, acknowledged and lost contents, timers, the end (base of Connection).

A packet's contents are remembered as tuples, and what is lost is made anew from them (frames.md, section 3):
("frame", Frame) until acknowledged; ("once", Frame) and ("ping",) never again; ("max_data",),
("max_stream_data", id) and ("max_streams", type) as the current value; ("data", id, offset, length, fin);
("ack", largest) for the acknowledgement of an acknowledgement.
"""

import random

from . import frames as f
from .frames import make
from .keys import INFINITE
from .recovery import Sent
from .wire import pn_len

SIZE = 1200                                  # of the largest datagram; no search for a larger path MTU


class Sending:
    budget: int | None = None                # a server's bytes to an unproven address (JSP-HS-39, JSP-PATH-03)

    def pto(self) -> float:
        return self.recovery.pto_base(self.peer.max_ack_delay / 1000)

    def send(self, now: float) -> list[bytes]:
        """Every datagram that may leave now."""
        out = []
        if self.state == "closing" and self.close_due:
            self.close_due = False
            frames = ([f.encode(self.acks.all(now))] if self.acks.largest is not None else [])
            out.append(self._packet(frames + [f.encode(self.close_frame)], [], False, now))      # JSP-CLOSE-07
        while self.state == "open" and (self.budget is None or self.budget >= SIZE):
            free = self.probes > 0 or self.recovery.in_flight + SIZE <= self.recovery.window
            if not (free and self._waiting()) and not self.acks.due(now):
                break
            frames, contents, eliciting, full = self._fill(now, free)
            if not frames:
                break
            out.append(self._packet(frames, contents, eliciting, now, SIZE if full else 0))
            if eliciting:
                self.probes = max(0, self.probes - 1)
        return out

    def _credit(self) -> int:
        return self.max_data - self.data_sent

    def _waiting(self) -> bool:
        if self.control:
            return True
        return any(s.send and (s.send.wants_fin() or s.send.next_chunk(1, self._credit()))
                   for s in self.streams.values())

    def _fill(self, now: float, free: bool):
        """Frames for one packet: ACK, control frames, data."""
        frames, contents, eliciting, full = [], [], False, False
        room = SIZE - 1 - len(self.peer_cids[self.peer_cid][0]) - 4 - 16
        ack = self.acks.frame(now)
        if ack:
            frames.append(f.encode(ack))
            contents.append(("ack", ack.ranges[0][1]))
            room -= len(frames[-1])
            if self.keys.lowest != INFINITE and ack.ranges[0][1] >= self.keys.lowest:
                self.keys.sent_ack = True
        while free and self.control:
            content = self.control.popleft()
            frame = self._control_frame(content)
            if frame is None:
                continue
            data = f.encode(frame)
            if len(data) > room:
                self.control.appendleft(content)
                break
            frames.append(data)
            contents.append(content)
            room, eliciting = room - len(data), True
            full |= frame.type in (f.PATH_CHALLENGE, f.PATH_RESPONSE)
        for ident, s in list(self.streams.items()) if free else ():
            while s.send and room > 40:
                made = self._data_frame(ident, s.send, room - 25)
                if made is None:
                    break
                frames.append(f.encode(made[0]))
                contents.append(made[1])
                room, eliciting = room - len(frames[-1]), True
        return frames, contents, eliciting, full

    def _control_frame(self, content):
        kind = content[0]
        if kind in ("frame", "once"):
            return content[1]
        if kind == "ping":
            return make(f.PING)
        if kind == "max_data":
            return make(f.MAX_DATA, limit=self.data_limit)
        if kind == "max_streams":
            return make(f.MAX_STREAMS, stream_type=content[1], limit=self.granted[content[1]])
        s = self.streams.get(content[1])
        if s is None or s.recv.final is not None:
            return None
        return make(f.MAX_STREAM_DATA, id=content[1], limit=s.recv.limit)

    def _data_frame(self, ident: int, half, room: int):
        chunk = half.next_chunk(room, self._credit())
        if chunk is None:
            if not half.wants_fin():
                return None
            half.fin_sent, end = True, len(half.data)
            if half.messages:                                                # JSP-MSG-15
                frame = make(f.RESET_STREAM, id=ident, code=0, final=end, reliable=end)
                return frame, ("frame", frame)
            return make(f.STREAM | 7, id=ident, offset=end, data=b""), ("data", ident, end, 0, True)
        offset, length, cost = chunk
        half.take(offset, length, cost)
        self.data_sent += cost
        end, data = offset + length, bytes(half.data[offset:offset + length])
        if half.messages:
            flags = 1 | (2 if offset in half.starts else 0) | (4 if end in half.ends.values() else 0)
            return make(f.MSG | flags, id=ident, offset=offset, data=data), ("data", ident, offset, length, False)
        fin = half.wants_fin() and end == len(half.data)
        half.fin_sent |= fin
        return make(f.STREAM | 6 | fin, id=ident, offset=offset, data=data), ("data", ident, offset, length, fin)

    def _packet(self, frames: list[bytes], contents: list, eliciting: bool, now: float, size: int = 0) -> bytes:
        pn, cid = self.recovery.take_number(), self.peer_cids[self.peer_cid][0]
        n = pn_len(pn, self.recovery.largest_acked)
        least = max(size, 31) if eliciting else 0
        plain = b"".join(frames).ljust(least - 1 - len(cid) - n - 16, b"\0")
        packet = self.keys.seal(cid, pn, n, plain, random.choice((0, 0x20)))
        self.recovery.on_sent(Sent(pn, now, len(packet), eliciting, contents, self.keys.phase))
        if self.budget is not None:
            self.budget -= len(packet)
        if eliciting and not self.asked:                                     # JSP-IDLE-02
            self.idle_from, self.asked = now, True
        return packet

    # ---- what became of packets --------------------------------------------------------------------------------

    def _on_ack(self, frame, now: float):
        acked, lost = self.recovery.on_ack(frame, now, self.peer.max_ack_delay / 1000, self.confirmed)
        if acked and self.client:
            self._confirm()
        for packet in acked:
            self.keys.on_acked(packet.phase, now, self.pto())
            for content in packet.contents:
                self._delivered(content)
        self._lost(lost)

    def _delivered(self, content):
        s = self.streams.get(content[1]) if content[0] == "data" else None
        if s:
            s.send.on_acked(*content[2:])
            self._check_end(content[1])
        elif content[0] == "frame" and content[1].type == f.RESET_STREAM and content[1].id in self.streams:
            self.streams[content[1].id].send.fin_acked = True
            self._check_end(content[1].id)

    def _lost(self, packets: list[Sent]):
        for packet in packets:
            for content in packet.contents:
                kind = content[0]
                if kind == "data":
                    if content[1] in self.streams:
                        self.streams[content[1]].send.on_lost(*content[2:])
                elif kind not in ("once", "ping", "ack") and content not in self.control and self._wanted(content):
                    self.control.append(content)

    def _wanted(self, content) -> bool:
        frame = content[1] if content[0] == "frame" else None
        if frame and frame.type in (f.RESET_STREAM, f.STOP_SENDING, f.STREAM_PRIORITY):
            s = self.streams.get(frame.id)
            return s is not None and not (frame.type == f.STOP_SENDING and s.recv.final is not None)
        return not (frame and frame.type == f.NEW_CID and frame.sequence in self.retired_own)

    # ---- timers ------------------------------------------------------------------------------------------------

    def _idle_end(self) -> float | None:
        times = [t for t in (self.own.max_idle_timeout, self.peer.max_idle_timeout) if t]
        return self.idle_from + max(min(times) / 1000, 3 * self.pto()) if times else None

    def timeout(self) -> float | None:
        """When on_timeout has to be called at the latest."""
        if self.state != "open":
            return min([self.end_at] + self.close_times) if self.state != "over" else None
        timer = self.recovery.timer(self.peer.max_ack_delay / 1000)
        times = [self._idle_end(), self.acks.deadline, timer[0] if timer else None]
        return min((t for t in times if t is not None), default=None)

    def on_timeout(self, now: float):
        if self.state in ("closing", "draining"):
            due = [t for t in self.close_times if t <= now]
            self.close_times = [t for t in self.close_times if t > now]
            self.close_due |= bool(due) and self.state == "closing"
            if now >= self.end_at:
                self.state = "over"
        if self.state != "open":
            return
        end = self._idle_end()
        if end is not None and now >= end:                                   # JSP-IDLE-01, JSP-IDLE-03
            self._drain(now, None, b"idle timeout")
            return
        timer = self.recovery.timer(self.peer.max_ack_delay / 1000)
        if timer is None or timer[0] > now:
            return
        self.recovery.timer_from = now
        if not timer[1]:
            self._lost(self.recovery.detect(now))
            return
        self.recovery.expiries += 1                                          # JSP-LOSS-10
        self.probes = 2
        if not self._waiting():
            self._lost(self.recovery.oldest(2))
        if not self._waiting():
            self.control.append(("ping",))

    def _drain(self, now: float, code: int | None, reason: bytes):
        """Section 2.2 of connections.md (JSP-CLOSE-09)."""
        self.state, self.end_at, self.close_times = "draining", now + 3 * self.pto(), []
        self.events.append(("closed", code, reason, "peer"))

    def update_keys(self, now: float) -> bool:
        """Begins a key update if the rules allow one (protection.md, section 8.2)."""
        begun = self.keys.begin_update(self.confirmed, now)
        if begun:
            self.control.append(("ping",))
        return begun
