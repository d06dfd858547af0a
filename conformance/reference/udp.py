"""Blocking loops over UDP sockets: a client's connection attempt and connection, and a server that echoes."""

import os
import socket
import time

from . import crypto as c
from .connection import Connection
from .handshake import Client
from .params import Params


class NoConnection(Exception):
    pass


def local_params(protocols: list[bytes], **more) -> Params:
    """What this implementation announces: no parity, no compression, datagrams of any size."""
    return Params(max_udp_payload=65527, initial_max_data=1 << 20, initial_max_stream_data=1 << 18,
                  fec_max_symbols=0, protocols=protocols, max_streams=more.pop("max_streams", {}), **more)


class ClientSocket:
    """One connection of a client. `loss` drops that part of all datagrams in both directions, for tests."""

    def __init__(self, address: tuple[str, int], server, protocols: list[bytes], client_key=None, psk=None,
                 psk_id: bytes | None = None, token: bytes = b"", loss: float = 0.0):
        family = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0][0]
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.loss, self.early = loss, []
        key_id = c.key_id(client_key.public) if client_key else None
        types = {t: 0 if t >= 12 else 100 for t in range(1, 16, 2)}          # JSP-COMP-02
        own = local_params(protocols, client_key_id=key_id, psk_id=psk_id, max_streams=types)
        self.handshake = Client(own, server, client_key, psk, token)
        self._shake_hands()
        self.connection = Connection(True, own, None, self.handshake.done, self.handshake.scid,
                                     self.handshake.peer_cid, time.monotonic(), protocols)
        for datagram in self.early:
            self.connection.receive(datagram, time.monotonic())
        if not self.run(lambda: self.connection.connected or self.connection.state != "open", 10):
            raise NoConnection("no parameters")

    def _send(self, datagrams: list[bytes]):
        for d in datagrams:
            if self.loss == 0 or int.from_bytes(os.urandom(4), "big") / 2**32 >= self.loss:
                try:
                    self.socket.send(d)
                except ConnectionRefusedError:
                    pass

    def _receive(self, until: float) -> bytes | None:
        self.socket.settimeout(max(0.0005, until - time.monotonic()))
        try:
            d = self.socket.recv(65535)
        except (TimeoutError, BlockingIOError, ConnectionRefusedError):
            return None
        lost = self.loss and int.from_bytes(os.urandom(4), "big") / 2**32 < self.loss
        return None if lost or not d else d

    def _shake_hands(self):
        """handshake.md, section 10.2."""
        h, now = self.handshake, time.monotonic()
        deadline, wait = now + 10, 0.6
        self._send(h.start())
        probe = time.monotonic() + wait
        while not h.done:
            now = time.monotonic()
            if now >= deadline:
                raise NoConnection("no answer")
            if now >= probe:
                self._send(h.probe())
                wait = min(2 * wait, 3.0)
                probe = now + wait
            d = self._receive(min(probe, deadline))
            if d and d[0] & 0x80:
                answer = h.receive(d)
                if answer:
                    self._send(answer)
                    wait = 0.6
                    probe = time.monotonic() + wait
            elif d and len(self.early) < 4:
                self.early.append(d)
            if h.refused is not None:
                raise NoConnection(f"refused with code {h.refused:#x}")

    def run(self, until, seconds: float) -> bool:
        """Sends and receives until the condition holds; False when the time is over first."""
        end, con = time.monotonic() + seconds, self.connection
        while True:
            now = time.monotonic()
            at = con.timeout()
            if at is not None and at <= now:
                con.on_timeout(now)
            self._send(con.send(now))
            if until():
                return True
            if now >= end or con.state == "over":
                return False
            at = con.timeout()
            d = self._receive(min(end, at if at is not None else end))
            if d and not d[0] & 0x80:
                con.receive(d, time.monotonic())

    def close(self, code: int = 0, reason: bytes = b""):
        self.connection.close(code, reason, time.monotonic())
        self.run(lambda: self.connection.state == "over", 5)
        self.socket.close()


class ServerSocket:
    """A server that sends back every byte and message. `handshake` is a reference.server.Server."""

    def __init__(self, address: tuple[str, int], handshake, log=print):
        family = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0][0]
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.handshake, self.log = handshake, log
        self.reset_key = os.urandom(32)
        self.by_cid: dict[bytes, tuple[Connection, tuple]] = {}
        self.connections: list[tuple[Connection, tuple]] = []

    def serve(self, until=lambda: False):
        while not until():
            at = [t for con, _ in self.connections if (t := con.timeout()) is not None]
            self.socket.settimeout(min(0.5, max(0.0005, min(at, default=1e18) - time.monotonic())))
            try:
                self._datagram(*self.socket.recvfrom(65535))
            except (TimeoutError, BlockingIOError):
                pass
            for con, addr in list(self.connections):
                self._turn(con, addr)

    def _datagram(self, d: bytes, addr: tuple):
        if not d or not addr[1]:                                             # JSP-PKT-03
            return
        now = time.monotonic()
        if not d[0] & 0x80:
            con = self.by_cid.get(d[1:9], (None,))[0]
            if con:
                con.receive(d, now)
            elif len(d) >= 31:                                               # JSP-RST-02
                self.socket.sendto(self._reset(d), addr)
            return
        answers, new = self.handshake.receive(d, addr, now, int(time.time()))
        for a in answers:
            self.socket.sendto(a, addr)
        if new:
            types = {t: 0 if t >= 12 else 100 for t in range(0, 16, 2)}
            own = local_params([new.protocol], max_streams=types,
                               reset_token=c.reset_token(self.reset_key, new.scid))
            con = Connection(False, own, new.params, new.schedule, new.scid, new.client_cid, now,
                             reset_key=self.reset_key)
            con.budget = 10 * 1200 if new.validated else 3 * new.received - new.sent
            self.by_cid[new.scid] = con, addr
            self.connections.append((con, addr))

    def _reset(self, d: bytes) -> bytes:
        """packets.md, section 10.1."""
        head = bytearray(os.urandom(len(d) - 17))
        head[0] = head[0] & 0x3F | 0x40
        return bytes(head) + c.reset_token(self.reset_key, d[1:9])

    def _turn(self, con: Connection, addr: tuple):
        now = time.monotonic()
        at = con.timeout()
        if at is not None and at <= now:
            con.on_timeout(now)
        while con.events:
            self._event(con, addr, con.events.popleft())
        for d in con.send(now):
            self.socket.sendto(d, addr)
        if con.state == "over":
            self.connections.remove((con, addr))
            self.by_cid = {cid: x for cid, x in self.by_cid.items() if x[0] is not con}

    def _event(self, con: Connection, addr: tuple, event: tuple):
        kind = event[0]
        if kind == "new cid":
            self.by_cid[event[1]] = con, addr
        elif kind in ("confirmed", "closed"):
            self.log(addr[0], addr[1], *event)
        elif kind in ("readable", "message", "ended") and event[1] in con.streams:
            half = con.streams[event[1]].send
            data = con.read(event[1]) if kind == "readable" else event[2] if kind == "message" else b""
            if half and event[1] in con.streams:
                con.write(event[1], data, kind == "ended")
