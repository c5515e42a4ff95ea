"""Delivery of one push notification through a platform."""

from enum import Enum
from typing import Protocol

import msgspec


class PushOutcome(Enum):
    """What the platform said: done, target gone for ever (drop it), or try again later."""

    DELIVERED = "delivered"
    GONE = "gone"
    RETRY = "retry"


class PushNotification(msgspec.Struct, frozen=True):
    """What is shown. ``collapse_key`` lets a repeat replace the former; an empty body is a silent push."""

    target: dict[str, str]
    title: str
    body: str
    collapse_key: str
    ttl_s: int


class PushSender(Protocol):
    """One platform: APNs, FCM or Web Push."""

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Hand the notification to the platform; never raises for what the platform refuses."""
        ...
