"""python -m reference client|server: see --help."""

import argparse
import os
import sys
import time

from . import crypto as c
from .server import Server
from .udp import ClientSocket, NoConnection, ServerSocket


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def client(a) -> int:
    server = bytes.fromhex(open(a.server_key).read().strip()) if a.server_key else \
        [c.key_id_from_text(t) for t in a.pin] or None
    try:
        s = ClientSocket(a.address, server, [a.protocol.encode()], psk=a.psk, psk_id=a.psk_id and a.psk_id.encode(),
                         client_key=c.KeyPair(a.client_seed) if a.client_seed else None, loss=a.loss)
    except NoConnection as e:
        print("no connection:", e)
        return 4
    con = s.connection
    print("connected, server key", c.key_id_text(c.key_id(s.handshake.pk_s)))
    good = s.run(lambda: con.confirmed, 10)
    good &= _echo_bytes(s, os.urandom(a.bytes))
    for kind in (1, 2):
        good &= _echo_messages(s, kind, [os.urandom(n) for n in (1, 56, 3000, 60000)] * a.rounds)
    if a.update:
        begun = con.update_keys(time.monotonic())
        good &= begun and s.run(lambda: not con.keys.begun, 5)
        print("key update:", "done" if good else "failed")
    s.close()
    return 0 if good else 1


def _echo_bytes(s: ClientSocket, data: bytes) -> bool:
    con, back, ended = s.connection, bytearray(), []
    ident = con.open(0)
    con.write(ident, data, finish=True)

    def pump():
        while con.events:
            event = con.events.popleft()
            if event[0] == "readable" and event[1] in con.streams:
                back.extend(con.read(event[1]))
            if event[0] in ("ended", "closed"):
                ended.append(event)
        return bool(ended)

    began = time.monotonic()
    good = s.run(pump, 60) and bytes(back) == data
    print(f"{len(data)} bytes there and back:", "equal" if good else "failed", f"{time.monotonic() - began:.3f} s")
    return good


def _echo_messages(s: ClientSocket, kind: int, messages: list[bytes]) -> bool:
    con, back, ended = s.connection, [], []
    ident = con.open(kind)
    for m in messages:
        con.write(ident, m)
    con.write(ident, b"", finish=True)

    def pump():
        while con.events:
            event = con.events.popleft()
            if event[0] == "message":
                back.append(event[2])
            if event[0] in ("ended", "closed"):
                ended.append(event)
        return bool(ended)

    ran = s.run(pump, 60)
    good = ran and (back == messages if kind == 1 else sorted(back) == sorted(messages))
    print(f"{len(messages)} messages, {'ordered' if kind == 1 else 'unordered'}:", "equal" if good else "failed")
    return good


def server(a) -> int:
    key = c.KeyPair(a.seed)
    psks = {a.psk_id.encode(): a.psk} if a.psk_id is not None else {}
    clients = [c.KeyPair(a.client_seed).public] if a.client_seed else []
    handshake = Server(key, [n.encode() for n in a.protocol.split(",")], psks, {c.key_id(k): k for k in clients},
                       a.require, a.retry, a.key_fetch)
    print("key", c.key_id_text(handshake.ident), flush=True)
    if a.public_key:
        with open(a.public_key, "w") as f:
            f.write(key.public.hex())
    ServerSocket(a.address, handshake, log=lambda *x: print(*x, flush=True)).serve()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reference", description="JetStreamProto 1, for comparison.")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("client", help="connects, has bytes and messages echoed, closes")
    one.add_argument("--pin", action="append", default=[], help="key id of the server (jsp1-...); up to 4 times")
    one.add_argument("--server-key", help="file with the server's public key in hexadecimal")
    one.add_argument("--bytes", type=int, default=100_000, help="bytes to send on a stream")
    one.add_argument("--rounds", type=int, default=1, help="how often to send the four messages")
    one.add_argument("--update", action="store_true", help="update the keys before the end")
    one.add_argument("--loss", type=float, default=0.0, help="drop this part of the datagrams, both ways")
    one.add_argument("--protocol", default="jsp", help="application protocol to offer")
    one.set_defaults(run=client)
    two = commands.add_parser("server", help="echoes bytes and messages until it is stopped")
    two.add_argument("--seed", type=bytes.fromhex, help="32 bytes in hexadecimal that the key is made from")
    two.add_argument("--public-key", help="file to write the public key to, in hexadecimal")
    two.add_argument("--retry", action="store_true", help="ask every client to prove its address")
    two.add_argument("--require", action="store_true", help="refuse clients without client key or PSK")
    two.add_argument("--key-fetch", choices=("off", "known", "open"), default="open")
    two.add_argument("--protocol", default="jsp", help="application protocols, separated by commas")
    two.set_defaults(run=server)
    for x in (one, two):
        x.add_argument("address", type=address, help="host:port")
        x.add_argument("--psk", type=bytes.fromhex, help="pre-shared key, 32 bytes in hexadecimal")
        x.add_argument("--psk-id", help="name of the pre-shared key")
        x.add_argument("--client-seed", type=bytes.fromhex, help="seed of the client's key")
    return (a := parser.parse_args()).run(a)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(1)
