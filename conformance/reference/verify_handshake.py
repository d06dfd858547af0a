"""The kinds of handshake.json: a function of the inputs for each."""

from . import crypto as c, handshake as h, params as p, tokens as t, wire as w
from .verify_crypto import table, values
from .verify_wire import bytes_of as raw


def handshake(server_static_seed, client_ephemeral_seed, eseed_s, eseed_e, odcid, scid_c, scid_s, p1, dcid=None,
              token=None, token_key=None, issued=None, client_ip16_port=None, client_static_seed=None, eseed_c=None,
              psk=None, refuse=None):
    server, e = c.KeyPair(raw(server_static_seed)), c.KeyPair(raw(client_ephemeral_seed))
    ident, odcid, scid_c, scid_s, p1 = c.key_id(server.public), *map(raw, (odcid, scid_c, scid_s, p1))
    got = {"pk_s": server.public, "key_id_s": ident, "e_pk": e.public}
    if token_key is not None:
        dcid, token = t.retry_token(raw(token_key), raw(issued), odcid, raw(client_ip16_port))
        got |= {"retry_scid": dcid, "dcid": dcid, "token": token,
                "retry_datagram": h.retry_datagram(ident, odcid, scid_c, dcid, token)}
    else:
        dcid, token = raw(dcid), raw(token)
    ct_s, ss_s = c.encapsulate(server.public, raw(eseed_s))
    ct_e, ss_e = c.encapsulate(e.public, raw(eseed_e))
    ct_c, ss_c, flags, p2 = b"", c.ZERO32, 0, b""
    if client_static_seed is not None:
        client = c.KeyPair(raw(client_static_seed))
        got |= {"pk_c": client.public, "key_id_c": c.key_id(client.public)}
        if eseed_c is not None:
            (ct_c, ss_c), flags = c.encapsulate(client.public, raw(eseed_c)), h.K_FLAG
    flags |= h.P_FLAG if psk is not None else 0
    psk = c.ZERO32 if psk is None else raw(psk)
    if refuse is not None:
        flags = h.REFUSED
        got["p2"] = p2 = p.encode({p.REFUSE: w.varint(refuse)})
    p.Params.decode(p1, True)
    s = h.Schedule(server.public, odcid, dcid, scid_c, e.public, ct_s, ss_s)
    m1 = e.public + ct_s + s.seal1(p1)
    s.answer(flags, scid_s, ct_e, ss_e, ct_c, ss_c, psk)
    sealed2 = s.seal2(p2)
    m2 = bytes([flags]) + ct_e + ct_c + sealed2
    ci, si = c.initial_keys(ident, dcid, w.CI), c.initial_keys(ident, dcid, w.SI, scid_s)
    cis = h.message_datagrams(w.CI, m1, dcid, scid_c, token, ci, True)
    sis = h.message_datagrams(w.SI, m2, scid_c, scid_s, None, si, False)
    if (reassembled(cis, ci, True), reassembled(sis, si, False)) != (m1, m2):
        raise ValueError("datagrams do not give the message again")
    return got | values(s) | {
        "ct_s": ct_s, "ss_s": ss_s, "ct_e": ct_e, "ss_e": ss_e, "ct_c": ct_c, "ss_c": ss_c, "psk": psk,
        "flags": bytes([flags]), "sealed2": sealed2, "m1": m1, "m2": m2, "init_secret": c.initial_secret(ident, dcid),
        "init_c_ci_key_iv": ci, "init_s_si_key_iv": si, "ci_datagrams": cis, "si_datagrams": sis}


def reassembled(datagrams, keys, from_client):
    assembly = w.Assembly()
    for d in reversed(datagrams):
        packet = w.parse_long(d, from_client)
        message = assembly.add(packet.count, packet.index,
                               c.open_long(keys, packet.index, packet.header, packet.payload))
    return message


def key_fetch(server_static_seed, dcid, scid_c, cid_length, issued, client_ip16_port, token_key, key_id=None,
              endorsement=None):
    ident = h.ZERO_ID if key_id is None else raw(key_id)
    public, dcid, scid_c = c.KeyPair(raw(server_static_seed)).public, raw(dcid), raw(scid_c)
    scid, token = t.retry_token(raw(token_key), raw(issued), dcid, raw(client_ip16_port), cid_length)
    message = h.keyinfo_message(token, public, None if endorsement is None else raw(endorsement))
    keys = c.initial_keys(ident, dcid, w.KEY, scid)
    datagrams = h.message_datagrams(w.KEY, message, scid_c, scid, None, keys, False)
    if reassembled(datagrams, keys, False) != message:
        raise ValueError("datagrams do not give the message again")
    return {"keyreq_datagram": h.keyreq_datagram(ident, dcid, scid_c), "retry_scid": scid, "message": message,
            "keyinfo_datagrams": datagrams}


def key_info(message):
    message = raw(message)
    try:
        token, public, endorsement = h.parse_keyinfo(message)
    except w.Malformed as e:
        raise w.Malformed(str(e)) from e                # the vectors have one word for all that is wrong here
    got = {"token": token, "key_id": c.key_id(public)}
    return got | {"endorsement": endorsement} if message[0] & 1 else got


HANDSHAKE = table(handshake, key_fetch, key_info)
