"""Delivery of one push notification through a platform."""

from enum import Enum
from typing import Literal, Protocol

import msgspec

Urgency = Literal["very-low", "low", "normal", "high"]
"""How much a notification is worth a sleeping device's power (RFC 8030 §5.3)."""


class PushVerdict(Enum):
    """What came of a notification."""

    DELIVERED = "delivered"
    """The platform took it."""
    GONE = "gone"
    """The target is there no more, and never will be."""
    RETRY = "retry"
    """Not now: the platform is busy, failing, or was not reached."""
    FAILED = "failed"
    """Never: the platform refuses this notification, or this server."""


class PushOutcome(msgspec.Struct, frozen=True):
    """What the platform said. ``reason``: a few words of our own, the same for the same cause, fit to be counted.

    ``retry_after_s``: for how long the platform asks to be left alone, 0.0 when it does not say.
    """

    verdict: PushVerdict
    reason: str = ""
    retry_after_s: float = 0.0


class PushNotification(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown, at the place that ``target`` names as `ports.push_targets.PushTarget.address` does.

    A later one with the same ``collapse_key`` (at most 32 characters of base64url) replaces the former. ``silent``:
    nothing is shown, the app is told ``data`` and the badge. ``ttl_s``: for how long the platform keeps it.
    """

    target: dict[str, str]
    title: str
    body: str
    collapse_key: str
    ttl_s: int
    badge: int | None = None
    urgency: Urgency = "high"
    silent: bool = False
    data: dict[str, str] = {}


class PushSender(Protocol):
    """One platform: APNs, FCM or Web Push."""

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Hand the notification to the platform; never raises for what the platform or the network does."""
        ...
