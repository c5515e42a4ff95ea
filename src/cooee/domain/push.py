"""Rules of push notifications: what the pipeline is bounded by, whose addresses are whose, and when to try again."""

import base64
import binascii
from typing import Annotated, Any

import msgspec

from cooee.domain.errors import bad_frame
from cooee.domain.limits import Rate
from cooee.domain.retry import full_jitter_ms

WEB = "web"
FCM = "fcm"
APNS = "apns"
PLATFORMS = (WEB, FCM, APNS)

MAX_TOKEN = 4096
"""Characters of a device's token."""
_APNS_TOKEN = range(64, 201)
_POINT_BYTES = 65
_UNCOMPRESSED = 4
_AUTH_BYTES = 16


def _doc(text: str, **bounds: Any) -> Any:
    return msgspec.Meta(description=text, **bounds)


class PushSettings(msgspec.Struct, frozen=True):
    """How notifications are paced and repeated. Each field's description is what the configuration reference prints."""

    burst_s: Annotated[
        float, _doc("Seconds after a notification in which a user's further messages are gathered into one.", ge=0)
    ] = 5.0
    per_device: Annotated[Rate, _doc("Notifications per device; beyond them they are gathered for longer.")] = Rate(
        0.1, 20
    )
    in_flight: Annotated[int, _doc("Notifications on their way at the same time, per platform.", ge=1, le=1000)] = 32
    timeout_s: Annotated[float, _doc("Seconds in which a platform must have answered.", gt=0)] = 10.0
    retry_base_s: Annotated[float, _doc("Longest wait before the second attempt; it doubles with each.", gt=0)] = 2.0
    retry_cap_s: Annotated[float, _doc("Longest wait between two attempts, in seconds.", gt=0)] = 300.0
    retry_after_cap_s: Annotated[
        float, _doc("Longest wait that a platform's Retry-After can ask for, in seconds.", ge=0)
    ] = 3600.0
    give_up_s: Annotated[
        float, _doc("Seconds after which a message is notified of no more; platforms keep notifications as long.", gt=0)
    ] = 86_400.0
    allow_http: Annotated[bool, _doc("Whether Web Push may go to http:// endpoints, unencrypted.")] = False
    allowed_networks: Annotated[
        tuple[str, ...], _doc("Networks Web Push may go to though they are not public, e.g. 10.1.2.0/24.")
    ] = ()


def next_attempt_s(settings: PushSettings, attempts: int, unit: float, asked_s: float = 0.0) -> float:
    """Return how long to wait after ``attempts`` (1, 2, …) failures in a row; ``unit`` is uniform in [0, 1).

    Exponential, jittered over its upper half, and at least what the platform asked for, as far as that is bounded.
    """
    base_ms, cap_ms = round(settings.retry_base_s * 1000), round(settings.retry_cap_s * 1000)
    waited = full_jitter_ms(attempts - 1, 0.5 + unit / 2, base_ms, cap_ms) / 1000
    return max(waited, min(asked_s, settings.retry_after_cap_s))


def check_web_keys(p256dh: str, auth: str) -> None:
    """Refuse keys of a web subscription that have not the form of RFC 8291: a P-256 point and 16 bytes, base64url.

    Raises:
        CooeeError: ``bad_frame``.
    """
    point, secret = _decoded(p256dh, "p256dh"), _decoded(auth, "auth")
    if len(point) != _POINT_BYTES or point[0] != _UNCOMPRESSED:
        raise bad_frame("p256dh is not an uncompressed P-256 point")
    if len(secret) != _AUTH_BYTES:
        raise bad_frame("auth does not have 16 bytes")


def check_token(platform: str, token: str) -> None:
    """Refuse what cannot be a device's token of FCM or APNs.

    Raises:
        CooeeError: ``bad_frame``.
    """
    if not 1 <= len(token) <= MAX_TOKEN or not token.isascii() or not all("!" <= letter <= "~" for letter in token):
        raise bad_frame("the token has 1 to 4,096 visible ASCII characters")
    if platform == APNS and not (
        len(token) in _APNS_TOKEN and all(letter in "0123456789abcdefABCDEF" for letter in token)
    ):
        raise bad_frame("the token of APNs has 64 to 200 hexadecimal digits")


def _decoded(text: str, name: str) -> bytes:
    bare = text.rstrip("=")
    if not bare.isascii() or any(letter in bare for letter in "+/"):
        raise bad_frame(f"{name} is not base64url")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise bad_frame(f"{name} is not base64url") from None
