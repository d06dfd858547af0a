"""Recomputes every value of ../vectors/vectors.json: one line per value, and a failure if one differs.

    python verify.py [vectors.json]
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from reference import crypto as c, frames as f, handshake as h, params as p, tokens as t, wire as w  # noqa: E402

seen: dict[str, bool] = {}


def check(name: str, expected: str, got: bytes):
    seen[name] = expected == got.hex()
    print("ok  " if seen[name] else "FAIL", name, "" if seen[name] else f"\n  want {expected}\n  got  {got.hex()}")


def handshakes(v: dict):
    raw = {k: bytes.fromhex(x) for k, x in v["inputs"].items()}
    for k in raw:
        seen["inputs/" + k] = True
    server, client = c.KeyPair(raw["server_static_seed"]), c.KeyPair(raw["client_static_seed"])
    e = c.KeyPair(raw["client_ephemeral_seed"])
    check("initial_salt", v["initial_salt"], c.SALT)
    for side, key in (("s", server), ("c", client)):
        check("pk_" + side, v["pk_" + side], key.public)
        check("key_id_" + side, v["key_id_" + side], c.key_id(key.public))
    ct_s, ss_s = c.encapsulate(server.public, raw["eseed_s"])
    ct_e, ss_e = c.encapsulate(e.public, raw["eseed_e"])
    assert server.decapsulate(ct_s) == ss_s and e.decapsulate(ct_e) == ss_e
    for mode in ("nk", "ik_psk", "nk_retry"):
        one_handshake(mode, v[mode], raw, server, client, e, (ct_s, ss_s), (ct_e, ss_e))


def p1_of(key_id: bytes | None, psk_id: bytes | None) -> bytes:
    own = p.Params(max_idle_timeout=30000, max_udp_payload=1452, initial_max_data=1 << 20,
                   initial_max_stream_data=1 << 18, active_cid_limit=4, fec_max_symbols=64, max_streams={1: 100},
                   protocols=[b"hello"], client_key_id=key_id, psk_id=psk_id)
    return p.encode(own.entries())


def one_handshake(mode, d, raw, server, client, e, to_s, to_e):
    strong = mode == "ik_psk"
    odcid, dcid, scid_c, scid_s = (bytes.fromhex(d[k]) for k in ("odcid", "dcid", "scid_c", "scid_s"))
    got = {"odcid": odcid, "scid_c": scid_c, "scid_s": scid_s, "dcid": dcid, "token": b""}
    if mode == "nk_retry":
        addr, issued = bytes.fromhex(d["client_ip16_port"]), bytes.fromhex(d["issued"])
        got.update(issued=issued, client_ip16_port=t.address("192.0.2.7", 50000))
        assert addr == got["client_ip16_port"]
        rscid, token = t.retry_token(raw["token_key"], issued, odcid, addr)
        got.update(retry_scid=rscid, dcid=rscid, token=token, retry_datagram=h.retry_datagram(
            c.key_id(server.public), odcid, scid_c, rscid, token))
        dcid = rscid
    (ct_s, ss_s), (ct_e, ss_e) = to_s, to_e
    ct_c, ss_c = c.encapsulate(client.public, raw["eseed_c"]) if strong else (b"", c.ZERO32)
    psk, flags = (raw["psk"], 3) if strong else (c.ZERO32, 0)
    p1 = p1_of(c.key_id(client.public) if strong else None, b"psk-1" if strong else None)
    assert p.Params.decode(p1, True).entries() == p.split(p1)
    s = h.Schedule(server.public, odcid, dcid, scid_c, e.public, ct_s, ss_s)
    m1 = e.public + ct_s + s.seal1(p1)
    s.answer(flags, scid_s, ct_e, ss_e, ct_c, ss_c, psk)
    m2 = bytes([flags]) + ct_e + ct_c + s.seal2(b"")
    ident = c.key_id(server.public)
    ci_keys, si_keys = c.initial_keys(ident, dcid, w.CI), c.initial_keys(ident, dcid, w.SI, scid_s)
    got.update(e_pk=e.public, ct_s=ct_s, ss_s=ss_s, p1=p1, h0=s.h0, h1=s.h1, prk1=s.prk1, k1=s.k1, sealed1=s.sealed1,
               h2=s.h2, flags=bytes([flags]), ct_e=ct_e, ss_e=ss_e, ct_c=ct_c, ss_c=ss_c, psk=psk, prk2=s.prk2,
               prk3=s.prk3, prk4=s.prk4, h3=s.h3, k2=s.k2, sealed2=m2[-16:], h4=s.h4, c_ap0=s.secret_c,
               s_ap0=s.secret_s, exporter=s.exporter, init_secret=c.initial_secret(ident, dcid),
               init_c_ci_key_iv=ci_keys, init_s_si_key_iv=si_keys, m1=m1, m2=m2)
    for k in d:
        if not isinstance(d[k], list):
            check(f"{mode}/{k}", d[k], got[k])
    cis = h.message_datagrams(w.CI, m1, dcid, scid_c, got["token"], ci_keys, True)
    sis = h.message_datagrams(w.SI, m2, scid_c, scid_s, None, si_keys, False)
    for name, made, keys, message in (("ci", cis, ci_keys, m1), ("si", sis, si_keys, m2)):
        lists(f"{mode}/{name}_datagrams", d[f"{name}_datagrams"], made)
        assert reassembled(made, keys, name == "ci") == message
    if mode == "nk":
        want = "6a533b7264907f9101714d9dd47c9de0"           # handshake.md, section 7.6
        check("text: export", want, s.export(b"login", b"ctx", 16))
        check("text: key id", "jsp1-p5fkieszs3ftppbea34e42qjtyfoky26lw3xajuqwjzgeyzi5qwq".encode().hex(),
              c.key_id_text(ident).encode())
        assert c.key_id_from_text(c.key_id_text(ident)) == ident


def reassembled(datagrams, keys, from_client):
    assembly = w.Assembly()
    for d in reversed(datagrams):
        packet = w.parse_long(d, from_client)
        message = assembly.add(packet.count, packet.index,
                               c.open_long(keys, packet.index, packet.header, packet.payload))
    return message


def lists(name, expected, got):
    check(f"{name}: count", "%02x" % len(expected), bytes([len(got)]))
    for i, (want, have) in enumerate(zip(expected, got)):
        check(f"{name}/{i}", want, have)


def key_fetch(v: dict):
    d, token_key = v["keyfetch"], bytes.fromhex(v["inputs"]["token_key"])
    pk = bytes.fromhex(v["pk_s"])
    ident, dcid, scid_c = h.ZERO_ID, bytes.fromhex(d["dcid"]), bytes.fromhex(d["scid_c"])
    issued, addr = bytes.fromhex(d["issued"]), bytes.fromhex(d["client_ip16_port"])
    rscid, token = t.retry_token(token_key, issued, dcid, addr)
    message = h.keyinfo_message(token, pk)
    assert h.parse_keyinfo(message) == (token, pk, b"")
    keys = c.initial_keys(ident, dcid, w.KEY, rscid)
    got = {"dcid": dcid, "scid_c": scid_c, "issued": issued, "client_ip16_port": addr, "retry_scid": rscid,
           "message": message, "keyreq_datagram": h.keyreq_datagram(ident, dcid, scid_c)}
    for k in got:
        check("keyfetch/" + k, d[k], got[k])
    lists("keyfetch/keyinfo_datagrams", d["keyinfo_datagrams"],
          h.message_datagrams(w.KEY, message, scid_c, rscid, None, keys, False))


def one_rtt(v: dict):
    d, nk = v["one_rtt"], v["nk"]
    c0, s0 = c.Phase(bytes.fromhex(nk["c_ap0"])), c.Phase(bytes.fromhex(nk["s_ap0"]))
    c_hp, s_hp, c1 = c.header_key(c0.secret), c.header_key(s0.secret), c0.next()
    scid_c, scid_s = bytes.fromhex(nk["scid_c"]), bytes.fromhex(nk["scid_s"])
    reset = c.reset_token(bytes.fromhex(v["inputs"]["reset_key"]), scid_s)
    params = p.Params(max_idle_timeout=30000, initial_max_data=1 << 20, initial_max_stream_data=1 << 18,
                      max_streams={0: 100}, protocols=[b"hello"], reset_token=reset)
    s0_plain = f.encode(f.make(f.PARAMS, data=p.encode(params.entries())))
    c0_plain = (f.encode(f.make(f.ACK, delay=0, ranges=[(0, 0)]))
                + f.encode(f.make(f.STREAM | 3, id=0, offset=0, data=b"hello")))
    msg = f.encode(f.make(f.MSG | 7, id=8, offset=0, data=b"abc"))
    ping = b"\1\0\0\0"
    got = {"c_key": c0.key, "c_iv": c0.iv, "c_hp": c_hp, "s_key": s0.key, "s_iv": s0.iv, "s_hp": s_hp,
           "s0_plain": s0_plain, "c0_plain": c0_plain, "c1234_plain_F1": msg,
           "s0_packet": c.seal_short(s0, s_hp, 0x40, scid_c, 0, 1, s0_plain),
           "c0_packet": c.seal_short(c0, c_hp, 0x40, scid_s, 0, 1, c0_plain),
           "c1234_packet_F1": c.seal_short(c0, c_hp, 0x48, scid_s, 0x1234, 2, msg),
           "c_ap1": c1.secret, "c_key1": c1.key, "c_iv1": c1.iv,
           "c20000_packet_phase1_ping": c.seal_short(c1, c_hp, 0x44, scid_s, 0x20000, 3, ping),
           "reset_token_scid_s": reset}
    for k in d:
        check("one_rtt/" + k, d[k], got[k])
    for phase, pn, largest, name, plain in ((c0, 0, None, "c0_packet", c0_plain),
                                            (c0, 0x1234, 0x1230, "c1234_packet_F1", msg),
                                            (c1, 0x20000, 0x1FFFF, "c20000_packet_phase1_ping", ping)):
        _, cut_pn, n, header, sealed = c.unmask(c_hp, bytes.fromhex(d[name]), 8)
        assert w.decode_pn(cut_pn, n, largest) == pn
        assert c.open_(phase.key, phase.nonce(pn), header, sealed) == plain


def new_token(v: dict):
    d, inputs = v["new_token"], v["inputs"]
    token_key, nonce = bytes.fromhex(inputs["token_key"]), bytes.fromhex(inputs["new_token_nonce"])
    plain = bytes.fromhex("00001234") + t.address("192.0.2.7", 0)[:16]
    check("new_token/key", d["key"], t.new_token_key(token_key))
    check("new_token/plain", d["plain"], plain)
    check("new_token/token", d["token"], t.new_token(token_key, nonce, plain[:4], plain[4:]))


def all_frames(v: dict):
    m, b = f.make, bytes
    ranges = [(990, 1000), (980, 985)]
    made = {
        "ping": m(f.PING), "handshake_done": m(f.HANDSHAKE_DONE), "immediate_ack": m(f.IMMEDIATE_ACK),
        "ack_1000_990__985_980_delay5": m(f.ACK, delay=5, ranges=ranges),
        "ack_ecn_same_7_0_1": m(f.ACK_ECN, delay=5, ranges=ranges, ecn=[7, 0, 1]),
        "close_code10_frame0x22_reason_bad": m(f.CLOSE, code=10, frame_type=0x22, reason=b"bad"),
        "close_app_code300_reason_empty": m(f.CLOSE_APP, code=300, reason=b""),
        "ack_freq_seq1_thr10_delay25000us_reorder3": m(f.ACK_FREQ, sequence=1, threshold=10, delay=25000, reordering=3),
        "observed_addr_seq2_192.0.2.7:50000": m(f.OBSERVED_ADDR, sequence=2, family=4, ip=b([192, 0, 2, 7]), port=50000),
        "path_challenge": m(f.PATH_CHALLENGE, data=b(range(1, 9))),
        "path_response": m(f.PATH_RESPONSE, data=b(range(1, 9))),
        "new_cid_seq1_rpt0_cid8_token16": m(f.NEW_CID, sequence=1, retire_prior_to=0, token=b(range(1, 17)),
                                            cid=b.fromhex("1122334455667788")),
        "retire_cid_0": m(f.RETIRE_CID, sequence=0),
        "stream_sid16_off1000_len3_fin_xyz": m(f.STREAM | 7, id=16, offset=1000, data=b"xyz"),
        "reset_stream_sid0_code7_final1000_reliable200": m(f.RESET_STREAM, id=0, code=7, final=1000, reliable=200),
        "stop_sending_sid0_code7": m(f.STOP_SENDING, id=0, code=7),
        "skip_sid8_off4096": m(f.SKIP, id=8, offset=4096),
        "max_data_1MiB": m(f.MAX_DATA, limit=1 << 20),
        "max_stream_data_sid0_256KiB": m(f.MAX_STREAM_DATA, id=0, limit=1 << 18),
        "max_streams_type8_100": m(f.MAX_STREAMS, stream_type=8, limit=100),
        "blocked_stream_sid0_at_65536": m(f.BLOCKED, kind=1, id=0, limit=65536),
        "stream_priority_sid0_192": m(f.STREAM_PRIORITY, id=0, priority=192),
        "msg_bom_len_sid4_off0_len3": m(f.MSG | 3, id=4, offset=0, data=b"abc"),
        "msg_eom_len_sid4_off3_len2": m(f.MSG | 5, id=4, offset=3, data=b"de"),
        "msg_compressed_single_sid8_off0_rawlen1000": m(f.MSG | 15, id=8, offset=0, data=b.fromhex("43e8deadbeef")),
        "recovered_largest8_only": m(f.RECOVERED, ranges=[(8, 8)]),
        "recovered_8_and_5": m(f.RECOVERED, ranges=[(8, 8), (5, 5)]),
    }
    for name, want in v["frames"].items():
        check("frames/" + name, want, f.encode(made[name]))
        assert f.decode(bytes.fromhex(want)) == [made[name]], name


def names(v, prefix=""):
    for k, x in v.items():
        if isinstance(x, dict):
            yield from names(x, prefix + k + "/")
        elif isinstance(x, list):
            yield from (f"{prefix}{k}/{i}" for i in range(len(x)))
        elif k != "comment":
            yield prefix + k


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "vectors" / "vectors.json"
    v = json.loads(pathlib.Path(path).read_text())
    for part in (handshakes, key_fetch, one_rtt, new_token, all_frames):
        part(v)
    left = [n for n in names(v) if n not in seen]
    wrong = [n for n, good in seen.items() if not good]
    for n in left:
        print("NOT RECOMPUTED", n)
    print(f"{len(seen)} values, {len(wrong)} differ, {len(left)} not recomputed")
    return 1 if wrong or left else 0


if __name__ == "__main__":
    sys.exit(main())
