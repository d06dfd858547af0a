"""Acknowledgements, loss detection, probe timeout and a simple congestion window (specification: recovery.md)."""

import random

from .frames import ACK, Frame, FrameError, make
from .ranges import Ranges

MS = 0.001


class Acks:
    """What was received and when it has to be acknowledged (sections 2.1 to 2.3)."""

    def __init__(self, max_ack_delay_ms: int):
        self.delay = max_ack_delay_ms * MS
        self.received = Ranges()
        self.largest: int | None = None
        self.largest_at = self.last_at = 0.0
        self.count, self.at_once, self.deadline = 0, False, None

    def is_new(self, pn: int) -> bool:
        """The replay window (protection.md, section 6; JSP-PROT-14)."""
        return self.largest is None or self.largest - pn < 2048 and pn not in self.received

    def accept(self, pn: int, eliciting: bool, immediate: bool, now: float, srtt: float):
        disorder = self.received.end_from(0) != pn if self.largest is None else \
            pn < self.largest or bool(self.received.missing(self.largest, pn))
        pause = self.largest is None or now - self.last_at > max(srtt, self.delay)
        self.received.add(pn, pn + 1)
        while len(self.received.list) > 64:                                  # JSP-ACK-09
            self.received.list.pop(0)
        if self.largest is None or pn > self.largest:
            self.largest, self.largest_at = pn, now
        self.last_at = now
        if eliciting:
            self.count += 1
            self.at_once |= disorder or pause or immediate
            if self.deadline is None:
                self.deadline = now + self.delay

    def due(self, now: float) -> bool:
        return self.at_once or self.count >= 2 or self.deadline is not None and now >= self.deadline

    def frame(self, now: float) -> Frame | None:
        if self.largest is None or not (self.count or self.at_once or self.deadline is not None):
            return None
        self.count, self.at_once, self.deadline = 0, False, None
        return self.all(now)

    def all(self, now: float) -> Frame:
        ranges = [(a, b - 1) for a, b in reversed(self.received.list)][:32]  # JSP-ACK-08
        return make(ACK, delay=int((now - self.largest_at) * 1e6) // 8, ranges=ranges)


class Sent:
    def __init__(self, pn, at, size, eliciting, contents, phase):
        self.pn, self.at, self.size, self.eliciting = pn, at, size, eliciting
        self.contents, self.phase = contents, phase


class Recovery:
    """Packets sent, the estimate of the round-trip time, timers and the window."""

    def __init__(self):
        self.next_pn, self.skip_at = 0, random.randrange(3, 15)
        self.skipped: list[int] = []
        self.sent: dict[int, Sent] = {}
        self.remembered: dict[int, Sent] = {}    # lost ones, for late acknowledgements
        self.largest_acked: int | None = None
        self.srtt, self.rttvar, self.min_rtt, self.latest = 0.2, 0.1, None, None
        self.expiries, self.timer_from = 0, 0.0
        self.window, self.threshold, self.recovery_start = 12000, 1 << 40, -1.0
        self.in_flight = 0

    def take_number(self) -> int:
        """The next packet number; leaves some out (JSP-ACK-12)."""
        if self.next_pn == self.skip_at:
            w = max(10, self.window // 1200)
            self.skipped = (self.skipped + [self.next_pn])[-64:]
            self.next_pn += 1
            self.skip_at = self.next_pn + w // 2 + random.randrange(w)
        self.next_pn += 1
        return self.next_pn - 1

    def on_sent(self, packet: Sent):
        if packet.eliciting:
            self.in_flight += packet.size
            self.timer_from = packet.at
        self.sent[packet.pn] = packet

    def on_ack(self, f: Frame, now: float, max_ack_delay: float, confirmed: bool) -> tuple[list[Sent], list[Sent]]:
        """Newly acknowledged and newly lost packets; FrameError for what cannot be honest (JSP-ACK-13, -14)."""
        if f.ranges[0][1] >= self.next_pn:
            raise FrameError(0x0A, f.type, "acknowledges what was not sent")
        if any(a <= n <= b for n in self.skipped for a, b in f.ranges):
            raise FrameError(0x0A, f.type, "acknowledges a number that was left out")
        ranges = f.ranges[:64]
        acked = [p for n, p in (self.sent | self.remembered).items() if any(a <= n <= b for a, b in ranges)]
        if not acked:
            return [], []
        top = self.sent.get(f.ranges[0][1])
        if top and any(p.eliciting for p in acked):
            self._sample(now - top.at, f.delay * 8e-6, max_ack_delay, confirmed)
        for p in acked:
            self.remembered.pop(p.pn, None)
            if self.sent.pop(p.pn, None) and p.eliciting:
                self.in_flight -= p.size
                if p.at > self.recovery_start:
                    self.window += p.size if self.window < self.threshold else 1200 * p.size // self.window
        self.expiries = 0
        self.largest_acked = max(self.largest_acked or 0, f.ranges[0][1])
        return acked, self.detect(now)

    def _sample(self, sample, delay, max_ack_delay, confirmed):
        """Section 3 (JSP-LOSS-01)."""
        self.latest = sample
        if self.min_rtt is None:
            self.srtt, self.rttvar, self.min_rtt = sample, sample / 2, sample
            return
        self.min_rtt = min(self.min_rtt, sample)
        if confirmed:
            delay = min(delay, max_ack_delay)
        adjusted = sample - delay if sample - delay >= self.min_rtt else sample
        self.rttvar = 0.75 * self.rttvar + 0.25 * abs(self.srtt - adjusted)
        self.srtt = 0.875 * self.srtt + 0.125 * adjusted

    def _time_threshold(self) -> float:
        return max(9 / 8 * max(self.srtt, self.latest or 0), MS)

    def detect(self, now: float) -> list[Sent]:
        """Section 4.1 (JSP-LOSS-03 to JSP-LOSS-05)."""
        if self.largest_acked is None:
            return []
        lost = []
        for p in [p for n, p in self.sent.items() if n < self.largest_acked]:
            overtaken = self.largest_acked - p.pn - sum(p.pn < n < self.largest_acked for n in self.skipped)
            if overtaken >= 3 or now >= p.at + self._time_threshold():
                lost.append(p)
                del self.sent[p.pn]
                if p.eliciting:
                    self.in_flight -= p.size
                    self.remembered[p.pn] = p
                    if p.at > self.recovery_start:
                        self.recovery_start = now
                        self.window = self.threshold = max(2400, self.window // 2)
        while len(self.remembered) > 256:
            del self.remembered[next(iter(self.remembered))]
        return lost

    def pto_base(self, max_ack_delay: float) -> float:
        return self.srtt + max(4 * self.rttvar, MS) + max_ack_delay

    def timer(self, max_ack_delay: float) -> tuple[float, bool] | None:
        """When the next timer expires, and whether it is the probe timer (JSP-LOSS-09)."""
        waiting = [p for p in self.sent.values() if p.eliciting]
        below = [p.at for p in waiting if self.largest_acked is not None and p.pn < self.largest_acked]
        if below:
            return min(below) + self._time_threshold(), False
        if not waiting:
            return None
        base = self.pto_base(max_ack_delay)
        return self.timer_from + min(base * 2 ** min(self.expiries, 16), max(3.0, 2 * base)), True

    def oldest(self, n: int) -> list[Sent]:
        return sorted((p for p in self.sent.values() if p.eliciting), key=lambda p: p.pn)[:n]
