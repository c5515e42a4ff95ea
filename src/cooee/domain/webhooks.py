"""Rules of outgoing webhooks: what they are bounded by, and what follows from an attempt (PROTOCOL.md §17)."""

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec

from cooee.domain.retry import full_jitter_ms

ROTATION_MS = 24 * 3600 * 1000
"""How long the former secret signs beside the new one."""

Event = Literal["message", "system", "own"]
"""What a webhook may be told of: messages of others, system messages, messages of the bot itself."""
EVENTS: tuple[Event, ...] = ("message", "system", "own")


def _doc(text: str, **bounds: Any) -> Any:
    return msgspec.Meta(description=text, **bounds)


class WebhookSettings(msgspec.Struct, frozen=True):
    """How outgoing webhooks are sent. Each field's description is what the configuration reference prints."""

    per_bot: Annotated[int, _doc("Outgoing webhooks of one bot; 0: none may be made.", ge=0, le=100)] = 5
    allow_http: Annotated[bool, _doc("Whether webhooks may go to http:// URLs, unencrypted.")] = False
    allowed_networks: Annotated[
        tuple[str, ...], _doc("Networks webhooks may go to though they are not public, e.g. 10.1.2.0/24.")
    ] = ()
    batch_events: Annotated[int, _doc("Events in one request.", ge=1, le=1000)] = 50
    batch_bytes: Annotated[
        int, _doc("Bytes of events in one request; a single larger event still goes.", ge=1024, le=16_777_216)
    ] = 262_144
    connect_timeout_s: Annotated[float, _doc("Seconds in which a receiver must take the connection.", gt=0)] = 5.0
    timeout_s: Annotated[float, _doc("Seconds in which a receiver must have answered.", gt=0)] = 15.0
    in_flight: Annotated[
        int, _doc("Requests on their way at the same time; those of one person's bots have a quarter.", ge=1, le=1000)
    ] = 32
    retry_base_s: Annotated[float, _doc("Longest wait before the second attempt; it doubles with each.", gt=0)] = 5.0
    retry_cap_s: Annotated[float, _doc("Longest wait between two attempts, in seconds.", gt=0)] = 1800.0
    retry_after_cap_s: Annotated[
        float, _doc("Longest wait that a receiver's Retry-After can ask for, in seconds.", ge=0)
    ] = 3600.0
    attempts: Annotated[int, _doc("Attempts after which a request's events become a dead letter.", ge=1, le=1000)] = 12
    give_up_s: Annotated[float, _doc("Seconds after the first attempt when they do so whatever the count.", gt=0)] = (
        86_400.0
    )
    dead_letters: Annotated[int, _doc("Dead letters kept per webhook; beyond them the oldest goes.", ge=1)] = 1000
    disable_after: Annotated[
        int, _doc("Dead letters in a row, without a success between, that disable the webhook.", ge=1)
    ] = 5


class Verdict(Enum):
    """What an answer means."""

    DELIVERED = "delivered"
    GONE = "gone"
    """The receiver wants nothing any more (410): the webhook is disabled."""
    FAILED = "failed"


def judge(status: int) -> Verdict:
    """Return what an HTTP status means. A redirect is a failure: it is never followed."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.FAILED


def retry_after_s(header: str, now_s: float) -> float:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110 §10.2.3), 0.0 when it says nothing."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError, TypeError):
        return 0.0


def next_attempt_s(settings: WebhookSettings, attempts: int, unit: float, asked_s: float = 0.0) -> float:
    """Return how long to wait after ``attempts`` (1, 2, …) failures; ``unit`` is uniform in [0, 1).

    Exponential with full jitter, and at least what the receiver asked for, as far as that is bounded.
    """
    base_ms, cap_ms = round(settings.retry_base_s * 1000), round(settings.retry_cap_s * 1000)
    waited = full_jitter_ms(attempts - 1, unit, base_ms, cap_ms) / 1000
    return max(waited, min(asked_s, settings.retry_after_cap_s))
