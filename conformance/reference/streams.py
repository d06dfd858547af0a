"""The halves of streams (specification: streams.md). Kind 3 and partial reliability in sending are not implemented."""

from .frames import FrameError
from .ranges import Ranges

FLOW_CONTROL, STREAM_STATE, FINAL_SIZE, PROTOCOL_VIOLATION, MESSAGE_TOO_LARGE = 0x03, 0x05, 0x06, 0x0A, 0x11


class SendHalf:
    """What is written, what of it was sent, acknowledged, and lost. Nothing is ever freed before the stream is over."""

    def __init__(self, messages: bool, limit: int):
        self.messages, self.limit = messages, limit
        self.data, self.sent, self.reserved = bytearray(), 0, 0
        self.starts: set[int] = set()
        self.ends: dict[int, int] = {}           # start of a message: its end
        self.acked, self.lost = Ranges(), Ranges()
        self.finished = self.fin_sent = self.fin_acked = False
        self.reset_code: int | None = None

    def write(self, data: bytes):
        if self.messages:                        # JSP-MSG-01
            self.starts.add(len(self.data))
            self.ends[len(self.data)] = len(self.data) + len(data)
        self.data += data

    def next_chunk(self, room: int, credit: int) -> tuple[int, int, int] | None:
        """Offset, length and new bytes of the connection's credit for the next frame; lost data comes first."""
        if self.reset_code is not None:
            return None
        if self.lost.list:
            a, b = self.lost.list[0]
            return a, min(room, self._stop(a) - a, b - a), 0
        new = min(len(self.data), self.limit) - self.sent
        if new <= 0:
            return None
        if not self.messages:
            n = min(room, new, credit)
            return (self.sent, n, n) if n > 0 else None
        stop, cost = self._stop(self.sent), 0
        if self.sent >= self.reserved:           # JSP-MSG-09: the credit covers the whole message
            cost = stop - self.sent
            if stop > self.limit or cost > credit:
                return None
        return self.sent, min(room, stop - self.sent), cost

    def _stop(self, at: int) -> int:
        """Where the message that contains the offset ends; the end of all data on streams of bytes."""
        return min(e for e in self.ends.values() if e > at) if self.messages else len(self.data)

    def take(self, offset: int, length: int, cost: int):
        self.lost.remove(offset, offset + length)
        if self.messages and cost:
            self.reserved = offset + cost
        self.sent = max(self.sent, offset + length)

    def wants_fin(self) -> bool:
        return self.finished and not self.fin_sent and self.sent == len(self.data) and not self.lost.list

    def on_lost(self, offset: int, length: int, fin: bool):
        if fin and not self.fin_acked:
            self.fin_sent = False
        for a, b in self.acked.missing(offset, offset + length):
            self.lost.add(a, b)

    def on_acked(self, offset: int, length: int, fin: bool):
        self.acked.add(offset, offset + length)
        self.lost.remove(offset, offset + length)
        self.fin_acked |= fin

    def over(self) -> bool:
        return self.fin_acked and (self.reset_code is not None or not self.acked.missing(0, len(self.data)))


class RecvHalf:
    """Common part of both receiving halves: sizes, credit and the end."""

    def __init__(self, window: int):
        self.window = self.limit = window
        self.high = self.base = 0
        self.final: int | None = None
        self.promised: int | None = None
        self.code: int | None = None
        self.stopped = self.told = False
        self.buf = bytearray()                   # bytes from `base` on
        self.have = Ranges()
        self.done = Ranges()                     # released: read or dead

    def grow(self, end: int, fin: bool, frame_type: int, credit: int) -> int:
        """Checks an end of data, SKIP or final size; the new bytes for the connection's account (JSP-STRM-11)."""
        wrong = self.final is not None and (end > self.final or fin and end != self.final)
        if wrong or fin and end < self.high:
            raise FrameError(FINAL_SIZE, frame_type, "final size")
        if end > self.limit or end - self.high > credit:                     # JSP-FLOW-01
            raise FrameError(FLOW_CONTROL, frame_type, "beyond the credit")
        new = max(0, end - self.high)
        self.high = max(self.high, end)
        if fin:
            self.final = end
        return new

    def store(self, offset: int, data: bytes) -> list[tuple[int, int]]:
        """Keeps the bytes that are new; their ranges."""
        end = offset + len(data)
        new = [r for a, b in self.have.missing(max(offset, self.base), end) for r in self.done.missing(a, b)]
        if len(self.buf) < end - self.base:
            self.buf.extend(bytes(end - self.base - len(self.buf)))
        for a, b in new:
            self.buf[a - self.base:b - self.base] = data[a - offset:b - offset]
            self.have.add(a, b)
        return new

    def bytes_at(self, a: int, b: int) -> bytes:
        return bytes(self.buf[a - self.base:b - self.base])

    def release(self, a: int, b: int) -> int:
        n = sum(y - x for x, y in self.done.add(a, b))
        base = self.done.end_from(0) if 0 in self.done else 0
        del self.buf[:base - self.base]
        self.base = base
        return n

    def reset(self, code: int, final: int, reliable: int) -> int:
        """JSP-STRM-13; the sizes were checked by grow(). Gives the number of bytes released."""
        if self.promised is None or reliable < self.promised:
            self.promised, self.code = reliable, code
        return self.release(self.promised, final)

    def grant(self) -> int:
        """The limit as streams.md, section 6.3 gives it."""
        released = self.done.total()
        return self.window + released - max(0, released - self.base - self.window)

    def ended(self) -> bool:
        return self.promised is not None and self.base >= self.promised


class RecvBytes(RecvHalf):
    def on_data(self, offset: int, data: bytes, flags: int, frame_type: int):
        self.store(offset, data)

    def pop(self) -> bytes:
        """The bytes in order that can be read (JSP-STRM-12)."""
        end = self.have.end_from(self.base)
        if self.promised is not None:
            end = max(self.base, min(end, self.promised))
        return self.bytes_at(self.base, end)


class RecvMessages(RecvHalf):
    """Reassembly of streams.md, section 4.2. `bom` and `eom` hold offsets at which messages begin and end."""

    def __init__(self, window: int, ordered: bool, largest: int):
        super().__init__(window)
        self.ordered, self.largest = ordered, largest
        self.bom: set[int] = set()
        self.eom: set[int] = {0}
        self.ready: list[bytes] = []

    def on_data(self, offset: int, data: bytes, flags: int, frame_type: int):
        end, new = offset + len(data), self.store(offset, data)
        if any(a == offset for a, _ in new) and flags & 2:
            self.bom.add(offset)
        if any(b == end for _, b in new) and flags & 4:
            self.eom.add(end)
        self.settle(frame_type)

    def pieces(self) -> list[tuple[int, int]]:
        """What is there and not done, cut where messages begin or end."""
        out = []
        for x, y in self.have.list:
            for a, b in self.done.missing(x, y):
                cuts = [a] + sorted(c for c in self.bom | self.eom if a < c < b) + [b]
                out += zip(cuts, cuts[1:])
        return out

    def settle(self, frame_type: int):
        """Applies the table of section 4.2 until nothing changes."""
        changed = True
        while changed:
            changed = False
            for a, b in self.pieces():
                begins, ends, after_dead = a in self.bom, b in self.eom, a > 0 and a - 1 in self.done
                if not begins and a in self.eom:                             # JSP-MSG-04
                    raise FrameError(PROTOCOL_VIOLATION, frame_type, "no start of a message behind an end")
                complete = begins and ends
                abandoned = not ends and (b in self.bom or b in self.done)   # JSP-MSG-05
                if b - a > self.largest and not after_dead:                  # JSP-MSG-02
                    raise FrameError(MESSAGE_TOO_LARGE, frame_type, "message too large")
                if self.promised is not None and (b > self.promised or b == self.promised and not ends):
                    abandoned, complete = True, False
                if complete and (not self.ordered or a == self.base):
                    self.ready.append(self.bytes_at(a, b))                   # JSP-MSG-06, JSP-MSG-07
                elif not abandoned and not (after_dead and not begins):
                    continue
                self.release(a, b)
                changed = True
                break

    def skip(self, offset: int, frame_type: int):
        """JSP-MSG-13, section 4.6."""
        for x, y in self.done.missing(0, offset):
            for a, b in self.have.missing(x, y):
                self.release(a, b)
        for a, b in self.pieces():
            if b == offset and b not in self.eom:
                self.release(a, b)
        self.settle(frame_type)

    def pop(self) -> list[bytes]:
        out, self.ready = self.ready, []
        return out
