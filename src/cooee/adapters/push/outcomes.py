"""What the three platforms have in common: the words for what came of it, and texts that fit."""

from collections.abc import Callable

from cooee.domain.webhooks import retry_after_s
from cooee.ports.push_sender import PushOutcome, PushVerdict

BUSY = "busy"
"""The platform was asked too often."""
FAILING = "platform_error"
"""The platform says that it fails."""
UNREACHED = "unreached"
"""There is no connection, or it broke off."""
TIMEOUT = "timeout"
TLS = "tls"
"""The platform's certificate is not valid, or it does not speak the TLS and HTTP that it must."""
CREDENTIALS = "credentials"
"""The platform does not take this server for who it says it is; the operator has to look."""
TOO_LARGE = "too_large"
REFUSED = "refused"
"""The platform refuses this notification."""
BAD_TARGET = "bad_target"
"""The target is none, or one that this server does not push to."""
UNREGISTERED = "unregistered"

DELIVERED = PushOutcome(PushVerdict.DELIVERED)
GONE = PushOutcome(PushVerdict.GONE, UNREGISTERED)

_PLAIN = {401: CREDENTIALS, 403: CREDENTIALS, 413: TOO_LARGE}


def failed(reason: str) -> PushOutcome:
    """Return that it will never be."""
    return PushOutcome(PushVerdict.FAILED, reason)


def later(reason: str, after_s: float = 0.0) -> PushOutcome:
    """Return that it may be later."""
    return PushOutcome(PushVerdict.RETRY, reason, after_s)


def by_status(status: int, retry_after: str, now_s: float) -> PushOutcome:
    """Return what an HTTP status means where the platform says nothing more."""
    if 200 <= status < 300:
        return DELIVERED
    if status == 429:
        return later(BUSY, retry_after_s(retry_after, now_s))
    if status >= 500 or status == 408:
        return later(FAILING, retry_after_s(retry_after, now_s))
    return failed(_PLAIN.get(status, REFUSED))


def fitted(encode: Callable[[str], bytes], text: str, most: int) -> bytes | None:
    """Return ``encode(text)`` in at most ``most`` bytes, the text shortened as far as needed; None: it never fits."""
    kept, ending = text, ""
    while len(packed := encode(kept + ending)) > most:
        if not kept and not ending:
            return None
        ending = "…" if kept else ""
        kept = kept[: min(len(kept) - 1, len(kept) * most // len(packed))]
    return packed
