"""Recomputes the known answers of ../vectors: every case whose kind this implementation can compute.

    python verify.py [-v] [FILES...]

A case is right only if what is computed from its inputs alone equals all of `expected`, names included.
"""

import argparse
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from reference import verify_crypto, verify_handshake, verify_wire  # noqa: E402
from reference.frames import FrameError  # noqa: E402
from reference.wire import Malformed  # noqa: E402

TABLES = {
    "wire": verify_wire.WIRE, "keys": verify_crypto.KEYS, "protection": verify_crypto.PROTECTION,
    "handshake": verify_handshake.HANDSHAKE, "tokens": verify_crypto.TOKENS, "identity": verify_crypto.IDENTITY,
}
TABLES["negative"] = {k: f for table in TABLES.values() for k, f in table.items()}
# What the format knows beyond that; any other topic or kind is a failure.
NOT_COMPUTED = {"fec": {"parity", "parity_pattern", "repair"}, "lz4": {"message", "blocks"},
                "negative": {"message", "blocks", "repair", "datagrams"}}
# Cases that say the SHA-256 of their inputs even where they are not refused and nothing is rewritten.
STARRED = {"packet_number_encoding", "packet_number_decoding", "opened_packet", "retry_token_check",
           "new_token_check", "key_id_text"}


def plain(x):
    """Values as the format writes them: hex digits, and decimal digits above 2^53."""
    if isinstance(x, bytes):
        return x.hex()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    return str(x) if type(x) is int and x > 1 << 53 else x


def compute(case: dict, f) -> dict:
    """`expected` of a case, from its inputs."""
    try:
        got = f(**case["inputs"])
    except FrameError as e:
        got = {"error": e.reason, "close_code": e.code, "frame_type": e.frame_type}
    except Malformed as e:
        got = {"error": e.reason}
        if e.parameter is not None:
            got["parameter"] = e.parameter
    if "error" in got or "canonical" in got or case["kind"] in STARRED:
        text = json.dumps(case["inputs"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        got["inputs_sha256"] = hashlib.sha256(text.encode()).digest()
    return plain(got)


def same(a, b) -> bool:
    """Equality that does not take true for 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def complaint(topic: str, case: dict, f) -> str:
    """What is wrong with a case; empty if nothing is."""
    unknown = set(case) - {"name", "kind", "origin", "comment", "inputs", "expected"}
    if unknown or case.get("origin", "independent") != "independent":
        return f"unknown: {sorted(unknown) or case['origin']}"
    try:
        got, want = compute(case, f), case["expected"]
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    if topic == "negative" and "error" not in got:
        return f"is not refused: {str(got)[:200]}"
    return "; ".join(f"{k}: want {str(want.get(k))[:200]}, got {str(got.get(k))[:200]}"
                     for k in sorted(set(want) | set(got))
                     if k not in got or k not in want or not same(want[k], got[k]))


def verify(path: pathlib.Path, verbose: bool) -> tuple[str, bool]:
    """One line of the summary, and whether a case is wrong."""
    v = json.loads(path.read_text())
    topic, right, wrong, left, names = v["topic"], 0, 0, {}, set()
    known = topic in TABLES or topic in NOT_COMPUTED
    if v["format"] != "jsp-vectors/1" or set(v) - {"format", "topic", "comment", "cases"} or not known:
        return f"{path.name}: not a file of this format", True
    for case in v["cases"]:
        name, kind = case["name"], case["kind"]
        f = TABLES.get(topic, {}).get(kind)
        if name in names:
            bad = "name stands twice"
        elif f is None and kind in NOT_COMPUTED.get(topic, ()):
            left[kind] = left.get(kind, 0) + 1
            if verbose:
                print("----", topic, name)
            names.add(name)
            continue
        else:
            bad = complaint(topic, case, f) if f else f"unknown kind {kind}"
        names.add(name)
        right, wrong = right + (not bad), wrong + bool(bad)
        if bad or verbose:
            print("FAIL" if bad else "ok  ", topic, name, bad)
    kinds = ", ".join(f"{k} {n}" for k, n in sorted(left.items()))
    return (f"{topic}: {len(v['cases'])} cases, {right} right, {wrong} wrong, {sum(left.values())} not computed"
            + (f" ({kinds})" if left else "")), bool(wrong)


def main() -> int:
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("-v", "--verbose", action="store_true", help="a line for every case")
    a.add_argument("files", nargs="*", type=pathlib.Path, help="default: all of ../vectors")
    a = a.parse_args()
    results = [verify(p, a.verbose) for p in a.files or sorted((HERE.parent / "vectors").glob("*.json"))]
    for line, _ in results:
        print(line)
    return 1 if not results or any(wrong for _, wrong in results) else 0


if __name__ == "__main__":
    sys.exit(main())
