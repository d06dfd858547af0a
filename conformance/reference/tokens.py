"""Address tokens as handshake.md, section 11.5 describes them (informative there: tokens are opaque to clients)."""

import ipaddress

from . import crypto as c
from .wire import lp8


def address(ip: str, port: int) -> bytes:
    ip = ipaddress.ip_address(ip.split("%")[0])
    return (ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed) + port.to_bytes(2, "big")


def retry_token(k_tok: bytes, issued: bytes, odcid: bytes, addr: bytes, size: int = 8) -> tuple[bytes, bytes]:
    """Connection id and token of RETRY and KEYINFO (JSP-TOK-10)."""
    rscid = c.hmac256(k_tok, b"jsp1 retry cid" + issued + lp8(odcid) + addr)[:size]
    mac = c.hmac256(k_tok, b"jsp1 retry token\1" + issued + lp8(odcid) + lp8(rscid) + addr)[:16]
    return rscid, b"\1" + issued + lp8(odcid) + mac


def check_retry(k_tok: bytes, token: bytes, dcid: bytes, addr: bytes, now: int) -> bytes | None:
    """The odcid if the token is valid for a CI to `dcid` (JSP-TOK-10, JSP-TOK-11)."""
    if len(token) < 22 or len(token) != 22 + token[5]:
        return None
    issued, odcid = token[1:5], token[6:-16]
    made = retry_token(k_tok, issued, odcid, addr, len(dcid))
    age = now - int.from_bytes(issued, "big")
    return odcid if made == (dcid, token) and -2 <= age <= 10 else None


def period_key(secret: bytes, period: int) -> bytes:
    """K_tok of one period."""
    return c.expand(secret, "token key", period.to_bytes(8, "big"))


def new_token_key(k_tok: bytes) -> bytes:
    return c.expand(c.extract(b"jsp1 new token", k_tok), "nt")


def new_token(k_tok: bytes, nonce: bytes, issued: bytes, ip16: bytes) -> bytes:
    """JSP-TOK-15."""
    return b"\2" + nonce + c.seal(new_token_key(k_tok), nonce, b"jsp1 new token", issued + ip16)


def check_new_token(k_tok: bytes, token: bytes, addr: bytes, now: int, lifetime: int = 86400) -> bool:
    """JSP-TOK-13, but for the rule that a token counts once, which the caller keeps."""
    if len(token) != 49 or token[0] != 2:
        return False
    plain = c.open_(new_token_key(k_tok), token[1:13], b"jsp1 new token", token[13:])
    return plain is not None and plain[4:] == addr[:16] and 0 <= now - int.from_bytes(plain[:4], "big") <= lifetime
