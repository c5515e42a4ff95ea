"""The bodies of push notifications (PROTOCOL.md §19): a device's subscription, a user's settings."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

TimeOfDay = Annotated[
    str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5, description="HH:MM, 24 hours.")
]
_KEY = msgspec.Meta(max_length=128, description="base64url.")


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of all bodies."""


class QuietHours(_Body, frozen=True):
    """When nothing is shown: from ``start`` to ``end``, over midnight too. ``offsetMin``: local time minus UTC."""

    start: TimeOfDay
    end: TimeOfDay
    offset_min: Annotated[int, msgspec.Meta(ge=-840, le=840, description="Minutes, local time minus UTC.")] = 0


class Notifications(_Body, frozen=True):
    """A user's own choices: texts of messages, mentions in muted chats, quiet hours."""

    preview: bool = True
    mentions: bool = True
    quiet_hours: QuietHours | None = None


class PatchNotifications(_Body, omit_defaults=True, frozen=True):
    """The choices to change; ``quietHours`` null: none."""

    preview: bool | UnsetType = UNSET
    mentions: bool | UnsetType = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET


class WebKeys(_Body, frozen=True):
    """The keys of a browser's subscription (RFC 8291)."""

    p256dh: Annotated[str, _KEY]
    auth: Annotated[str, _KEY]


class Subscribe(_Body, omit_defaults=True, frozen=True):
    """``PUT /v1/push/subscription``: what a browser's ``PushSubscription`` gives as JSON, or a platform's token."""

    platform: Annotated[Literal["web", "fcm", "apns"], msgspec.Meta(description="Who delivers.")] = "web"
    endpoint: Annotated[str, msgspec.Meta(max_length=2048, description="Of web: where to post.")] = ""
    keys: WebKeys | None = None
    token: Annotated[str, msgspec.Meta(max_length=4096, description="Of fcm and apns: the device's token.")] = ""


class VapidKey(_Body, frozen=True):
    """``GET /v1/push/vapid-key``: the ``applicationServerKey`` of this server, base64url."""

    public_key: str


class Subscription(_Body, frozen=True):
    """This device's push target. ``endpoint`` of web, ``token`` of the others; the other is empty. Times in ms."""

    platform: str
    endpoint: str
    token: str
    created_at: int


class PushTested(_Body, frozen=True):
    """What came of a test: ``delivered``, ``gone``, or why not."""

    device_id: str
    platform: str
    outcome: str
