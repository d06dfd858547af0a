"""Keys and seals (specification: protection.md; handshake.md, sections 3, 4 and 7)."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from kyber_py.ml_kem import ML_KEM_768

from .wire import Malformed, lp8

ZERO32 = bytes(32)
SALT = hashlib.sha256(b"JetStreamProto v1 initial salt").digest()
SUITE = b"\0\1"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac256(salt, ikm)


def expand(prk: bytes, label: str | bytes, ctx: bytes = b"", length: int = 32) -> bytes:
    """protection.md, section 2."""
    label = b"jsp1 " + (label.encode() if isinstance(label, str) else label)
    info = length.to_bytes(2, "big") + lp8(label) + lp8(ctx)
    out = block = b""
    for i in range(-(-length // 32)):
        block = hmac256(prk, block + info + bytes([i + 1]))
        out += block
    return out[:length]


def seal(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def open_(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


# ---- X-Wing ------------------------------------------------------------------------------------------------------

def _x25519(private: bytes, public: bytes) -> bytes:
    """JSP-KEY-06: an all-zero result raises Malformed."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as e:
        raise Malformed("X25519", "non_contributory") from e


def _x25519_base(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _combine(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + rb"\.//^\ "[:6]).digest()


class KeyPair:
    """An X-Wing key pair from its seed (JSP-KEY-04)."""

    def __init__(self, seed: bytes | None = None):
        self.seed = seed or os.urandom(32)
        x = hashlib.shake_256(self.seed).digest(96)
        ek, self._dk = ML_KEM_768._keygen_internal(x[:32], x[32:64])
        self._sk_x, self._pk_x = x[64:], _x25519_base(x[64:])
        self.public = ek + self._pk_x

    def decapsulate(self, ct: bytes) -> bytes:
        ss_m = ML_KEM_768.decaps(self._dk, ct[:1088])
        return _combine(ss_m, _x25519(self._sk_x, ct[1088:]), ct[1088:], self._pk_x)


def check_public(pk: bytes):
    """JSP-KEY-05: length, and every 12-bit coefficient below q."""
    if len(pk) != 1216:
        raise Malformed("public key", "invalid_key")
    for i in range(0, 1152, 3):
        a, b, c = pk[i:i + 3]
        if a | (b & 15) << 8 >= 3329 or b >> 4 | c << 4 >= 3329:
            raise Malformed("public key", "invalid_key")


def encapsulate(pk: bytes, coins: bytes | None = None) -> tuple[bytes, bytes]:
    """Ciphertext and shared secret."""
    check_public(pk)
    coins = coins or os.urandom(64)
    ss_m, ct_m = ML_KEM_768._encaps_internal(pk[:1184], coins[:32])
    ct_x = _x25519_base(coins[32:])
    return ct_m + ct_x, _combine(ss_m, _x25519(coins[32:], pk[1184:]), ct_x, pk[1184:])


def key_id(pk: bytes) -> bytes:
    """handshake.md, section 1.1."""
    return sha256(b"JSP1 static key" + SUITE + pk)


_B32 = "abcdefghijklmnopqrstuvwxyz234567"


def key_id_text(ident: bytes) -> str:
    bits = int.from_bytes(ident, "big") << 4
    return "jsp1-" + "".join(_B32[bits >> 5 * i & 31] for i in range(51, -1, -1))


def key_id_from_text(text: str) -> bytes:
    if not text[:5].lower() == "jsp1-":
        raise Malformed("not a key id", "prefix")
    if len(text) != 57:
        raise Malformed("not a key id", "length")
    if not text.isascii() or any(c not in _B32 for c in text[5:].lower()):
        raise Malformed("not a key id", "character")
    text = text.lower()
    bits = 0
    for c in text[5:]:
        bits = bits << 5 | _B32.index(c)
    if bits & 15:
        raise Malformed("not a key id", "trailing")
    return (bits >> 4).to_bytes(32, "big")


# ---- long packets ------------------------------------------------------------------------------------------------

def initial_secret(ident: bytes, dcid: bytes) -> bytes:
    return extract(SALT, ident + lp8(dcid))


def initial_keys(ident: bytes, dcid: bytes, kind: int, scid: bytes | None = None) -> bytes:
    """key || iv, 44 bytes. `scid` is None for packets of a client (JSP-PROT-01, JSP-KEY-01)."""
    init = initial_secret(ident, dcid)
    if scid is None:
        return expand(init, "ci", bytes([kind]), 44)
    return expand(init, "si", bytes([kind]) + scid, 44)


def _initial_nonce(key_iv: bytes, index: int) -> bytes:
    return key_iv[32:43] + bytes([key_iv[43] ^ index])


def seal_long(key_iv: bytes, index: int, header: bytes, plaintext: bytes) -> bytes:
    return header + seal(key_iv[:32], _initial_nonce(key_iv, index), header, plaintext)


def open_long(key_iv: bytes, index: int, header: bytes, payload: bytes) -> bytes | None:
    return open_(key_iv[:32], _initial_nonce(key_iv, index), header, payload)


# ---- short packets -----------------------------------------------------------------------------------------------

def reset_token(key: bytes, cid: bytes) -> bytes:
    """packets.md, section 10.1."""
    return hmac256(key, b"jsp1 reset" + cid)[:16]


class Phase:
    """Keys of one direction in one key phase (JSP-PROT-05)."""

    def __init__(self, secret: bytes):
        self.secret = secret
        self.key, self.iv = expand(secret, "key"), expand(secret, "iv", b"", 12)

    def next(self) -> "Phase":
        return Phase(expand(self.secret, "ku"))

    def nonce(self, pn: int) -> bytes:
        return xor(self.iv, bytes(4) + pn.to_bytes(8, "big"))


def header_key(secret0: bytes) -> bytes:
    return expand(secret0, "hp")


def header_mask(hp: bytes, sample: bytes) -> bytes:
    """protection.md, section 4.3. The library takes counter and nonce as one string of 16 bytes."""
    return Cipher(algorithms.ChaCha20(hp, sample), None).encryptor().update(bytes(5))


def seal_short(phase: Phase, hp: bytes, first: int, dcid: bytes, pn: int, pn_bytes: int, frames: bytes) -> bytes:
    """JSP-PROT-07, JSP-PROT-09. `first` has K, F and R; P is added here. Adds PADDING (JSP-PKT-22)."""
    frames = frames.ljust(4 - pn_bytes, b"\0")
    header = bytes([first | pn_bytes - 1]) + dcid + (pn & (1 << 8 * pn_bytes) - 1).to_bytes(pn_bytes, "big")
    packet = bytearray(header + seal(phase.key, phase.nonce(pn), header, frames))
    at = 1 + len(dcid)
    mask = header_mask(hp, bytes(packet[at + 4:at + 20]))
    packet[0] ^= mask[0] & 0x1F
    for i in range(pn_bytes):
        packet[at + i] ^= mask[1 + i]
    return bytes(packet)


def unmask(hp: bytes, packet: bytes, cid_len: int) -> tuple[int, int, int, bytes, bytes]:
    """First byte, truncated number, its length, header, sealed rest; Malformed if too short (JSP-PKT-23)."""
    at = 1 + cid_len
    if len(packet) < at + 20:
        raise Malformed("short packet", "too_short")
    mask = header_mask(hp, packet[at + 4:at + 20])
    first = packet[0] ^ mask[0] & 0x1F
    n = (first & 3) + 1
    number = xor(packet[at:at + n], mask[1:1 + n])
    header = bytes([first]) + packet[1:at] + number
    return first, int.from_bytes(number, "big"), n, header, packet[at + n:]
