"""The kinds of keys.json, protection.json, tokens.json and identity.json: a function of the inputs for each."""

from . import crypto as c, handshake as h, tokens as t, wire as w
from .verify_wire import bytes_of as raw, first_byte, side
from .wire import Malformed


# ---- keys --------------------------------------------------------------------------------------------------------

def initial_keys(key_id, dcid, scid_s):
    ident, dcid, scid = raw(key_id), raw(dcid), raw(scid_s)
    return {"salt": c.SALT, "secret": c.initial_secret(ident, dcid),
            "ci_key_iv": c.initial_keys(ident, dcid, w.CI), "keyreq_key_iv": c.initial_keys(ident, dcid, w.KEY),
            "si_key_iv": c.initial_keys(ident, dcid, w.SI, scid),
            "retry_key_iv": c.initial_keys(ident, dcid, w.RETRY, scid),
            "keyinfo_key_iv": c.initial_keys(ident, dcid, w.KEY, scid)}


def encapsulation(seed, eseed):
    key = c.KeyPair(raw(seed))
    ciphertext, secret = c.encapsulate(key.public, raw(eseed))
    if key.decapsulate(ciphertext) != secret:
        raise ValueError("decapsulation differs")
    return {"public_key_sha256": c.sha256(key.public), "ciphertext_sha256": c.sha256(ciphertext),
            "shared_secret": secret}


def decapsulation(seed, ciphertext):
    return {"shared_secret": c.KeyPair(raw(seed)).decapsulate(raw(ciphertext))}


def values(s: h.Schedule) -> dict:
    names = ("h0", "h1", "h2", "h3", "h4", "prk1", "prk2", "prk3", "prk4", "k1", "k2", "sealed1", "exporter")
    return {n: getattr(s, n) for n in names} | {"c_ap0": s.secret_c, "s_ap0": s.secret_s}


def key_schedule(pk_s, odcid, dcid, scid_c, e_pk, ct_s, ss_s, p1, flags, scid_s, ct_e, ss_e, p2, ct_c="", ss_c=None,
                 psk=None):
    s = h.Schedule(*map(raw, (pk_s, odcid, dcid, scid_c, e_pk, ct_s, ss_s)))
    s.seal1(raw(p1))
    s.answer(raw(flags)[0], raw(scid_s), raw(ct_e), raw(ss_e), raw(ct_c), raw(ss_c) if ss_c else c.ZERO32,
             raw(psk) if psk else c.ZERO32)
    sealed2 = s.seal2(raw(p2))
    return values(s) | {"sealed2": sealed2}


def packet_keys(secret, phases):
    phase, out = c.Phase(raw(secret)), []
    for _ in range(phases):
        out.append({"secret": phase.secret, "key": phase.key, "iv": phase.iv})
        phase = phase.next()
    return {"hp": c.header_key(raw(secret)), "phases": out}


def export(exporter, label, context, length):
    s = h.Schedule.__new__(h.Schedule)
    s.exporter = raw(exporter)
    return {"key": s.export(raw(label), raw(context), length)}


# ---- protection --------------------------------------------------------------------------------------------------

def sealed_packet(secret, phase, dcid, packet_number, packet_number_length, fec, random_bit, plaintext):
    keys, hp = c.Phase(raw(secret)), c.header_key(raw(secret))
    for _ in range(phase):
        keys = keys.next()
    packet = c.seal_short(keys, hp, first_byte(bool(phase & 1), fec, random_bit), raw(dcid), int(packet_number),
                          packet_number_length, raw(plaintext))
    return {"key": keys.key, "iv": keys.iv, "hp": hp, "packet": packet}


def with_keys(key: str, iv: str) -> c.Phase:
    phase = c.Phase.__new__(c.Phase)
    phase.key, phase.iv = raw(key), raw(iv)
    return phase


def packet_steps(key, iv, hp, key_phase, dcid, packet_number, packet_number_length, fec, random_bit, plaintext):
    phase, hp, dcid, pn = with_keys(key, iv), raw(hp), raw(dcid), int(packet_number)
    packet = c.seal_short(phase, hp, first_byte(key_phase, fec, random_bit), dcid, pn, packet_number_length,
                          raw(plaintext))
    sample = packet[len(dcid) + 5:len(dcid) + 21]
    return {"header": c.unmask(hp, packet, len(dcid))[3], "nonce": phase.nonce(pn), "sample": sample,
            "mask": c.header_mask(hp, sample), "packet": packet}


def opened_packet(key, iv, hp, cid_length, expected_packet_number, packet):
    phase, expected = with_keys(key, iv), int(expected_packet_number)
    _, cut, n, header, sealed = c.unmask(raw(hp), raw(packet), cid_length)
    pn = w.decode_pn(cut, n, expected - 1 if expected else None)
    plaintext = c.open_(phase.key, phase.nonce(pn), header, sealed)
    if plaintext is None:
        raise Malformed("does not open", "aead")
    return {"header": header, "packet_number": pn, "plaintext": plaintext}


def long_packet(key_id, client_dcid, header, plaintext, **inputs):
    client, header = side(inputs.pop("from")), raw(header)
    if inputs:
        raise ValueError("unknown input")
    x = w.parse_header(header, client)
    keys = c.initial_keys(raw(key_id), raw(client_dcid), x.kind, None if client else x.scid)
    packet = c.seal_long(keys, x.index, header, raw(plaintext))
    return {"key": keys[:32], "iv": keys[32:], "nonce": c._initial_nonce(keys, x.index), "packet": packet}


# ---- tokens ------------------------------------------------------------------------------------------------------

def number(text: str) -> int:
    return int.from_bytes(raw(text), "big")


def retry_token(token_key, odcid, cid_length, issued, client_ip16_port):
    scid, token = t.retry_token(raw(token_key), raw(issued), raw(odcid), raw(client_ip16_port), cid_length)
    return {"retry_scid": scid, "token": token}


def retry_token_check(token_key, token, dcid, now, client_ip16_port):
    odcid = t.check_retry(raw(token_key), raw(token), raw(dcid), raw(client_ip16_port), number(now))
    if odcid is None:
        raise Malformed("token", "token")
    return {"odcid": odcid}


def new_token(token_key, nonce, plain):
    key, nonce, plain = raw(token_key), raw(nonce), raw(plain)
    return {"key": t.new_token_key(key), "token": t.new_token(key, nonce, plain[:4], plain[4:])}


def new_token_check(token_key, token, client_ip16, now, lifetime):
    key, token = raw(token_key), raw(token)
    if not t.check_new_token(key, token, raw(client_ip16), number(now), lifetime):
        raise Malformed("token", "token")
    plain = c.open_(t.new_token_key(key), token[1:13], b"jsp1 new token", token[13:])
    return {"nonce": token[1:13], "issued": plain[:4]}


def token_keys(secret, period):
    key = t.period_key(raw(secret), int(period))
    return {"token_key": key, "new_token_key": t.new_token_key(key)}


def reset(reset_key, cid, random=None):
    token = c.reset_token(raw(reset_key), raw(cid))
    if random is None:
        return {"token": token}
    random = raw(random)
    return {"token": token, "packet": bytes([0x40 | random[0] & 0x3F]) + random[1:] + token}


# ---- identity ----------------------------------------------------------------------------------------------------

def static_key(seed):
    key = c.KeyPair(raw(seed)).public
    return {"public_key": key, "key_id": c.key_id(key), "text": c.key_id_text(c.key_id(key))}


def public_key(public_key):
    c.check_public(raw(public_key))
    return {"key_id": c.key_id(raw(public_key))}


def key_id_text(text):
    ident = c.key_id_from_text(text)
    written = c.key_id_text(ident)
    return {"key_id": ident} if written == text else {"key_id": ident, "canonical": written}


def table(*kinds) -> dict:
    return {f.__name__: f for f in kinds}


KEYS = table(initial_keys, encapsulation, decapsulation, key_schedule, packet_keys, export)
PROTECTION = table(sealed_packet, packet_steps, opened_packet, long_packet)
TOKENS = table(retry_token, retry_token_check, new_token, new_token_check, token_keys, reset)
IDENTITY = table(static_key, public_key, key_id_text)
