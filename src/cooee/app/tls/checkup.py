"""The doctor's look at the certificate: whether it can be used, how long it lasts, and who may read its key."""

from collections.abc import Iterator
from pathlib import Path

from cooee.app.config import ServerConfig
from cooee.app.doctor import Finding
from cooee.app.tls.keeper import SOON_S
from cooee.app.tls.lan import AUTHORITY, LEAF
from cooee.app.tls.pair import CertificateFailed, Loaded, Pair, load, open_to_others

_DAY_S = 86_400
_CHECK = "certificate"


def certificate(server: ServerConfig) -> Iterator[Finding]:
    """Judge the certificate that a server of this configuration encrypts with; nothing is told when it has none."""
    if server.lan:
        folder = Path(server.data_dir)
        pair = Pair(*(folder / path for path in LEAF))
        if not pair.certificate.exists():
            yield Finding(_CHECK, "ok", "the local network's is made at the start")
            return
        yield from _keys(Pair(*(folder / path for path in AUTHORITY)))
        advice = "start the server: it makes a new one by itself, unless its authority has ended"
    elif server.tls_cert:
        pair = Pair(Path(server.tls_cert), Path(server.tls_key))
        advice = "put a new one in its place; the server reads it by itself"
    else:
        return
    yield from _keys(pair)
    try:
        loaded = load(pair)
    except CertificateFailed as problem:
        yield Finding(_CHECK, "problem", str(problem), advice)
        return
    yield _lasting(loaded, advice)


def _keys(pair: Pair) -> Iterator[Finding]:
    for wrong in open_to_others(pair):
        yield Finding(_CHECK, "warning", wrong, f"chmod 600 {pair.key}")


def _lasting(loaded: Loaded, advice: str) -> Finding:
    left, until = loaded.seconds_left(), f"{loaded.expires:%Y-%m-%d}"
    if left < 0:
        return Finding(_CHECK, "problem", f"it has expired ({until}): clients refuse it", advice)
    text = f"it lasts {left / _DAY_S:.0f} days more, until {until}"
    return Finding(_CHECK, "warning", text, advice) if left < SOON_S else Finding(_CHECK, "ok", text)
