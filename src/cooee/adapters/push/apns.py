"""Apple's push service: HTTP/2 with tokens that are signed by the team's key (ES256)."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cooee.adapters.push import outcomes
from cooee.adapters.push.http2 import Http2, Reply, Unreached
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification, PushOutcome

PRODUCTION = "https://api.push.apple.com"
SANDBOX = "https://api.sandbox.push.apple.com"
MAX_PAYLOAD = 4096
MAX_COLLAPSE_ID = 64
RENEWED_S = 45 * 60
"""Age of a token that is renewed: Apple takes none that is older than an hour, and no two within 20 minutes."""
YOUNGEST_S = 20 * 60
_PRIORITIES = {"very-low": "1", "low": "5", "normal": "5", "high": "10"}
_GONE = frozenset({"BadDeviceToken", "Unregistered", "ExpiredToken"})
_RESERVED = "aps"


class ApnsKeyUnusable(ValueError):
    """The file is not a key of P-256 in PEM, as Apple gives it (.p8); the message names it."""


class ApnsIdentity(msgspec.Struct, frozen=True):
    """Who sends: the key's PEM text with its id, the team, and the app (``topic``: its bundle id)."""

    key: str
    key_id: str
    team_id: str
    topic: str


class _Refusal(msgspec.Struct, frozen=True):
    reason: str = ""


def read_apns_key(path: Path) -> str:
    """Return the text of the key's file. Blocks; raises OSError.

    Raises:
        ApnsKeyUnusable: it holds something else.
    """
    text = path.read_bytes()
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError):
        raise ApnsKeyUnusable(f"{path} holds no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ApnsKeyUnusable(f"{path} holds no key of P-256")
    return text.decode("ascii")


class ProviderTokens:
    """The current token: one for all, renewed between 20 and 60 minutes."""

    def __init__(self, identity: ApnsIdentity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._token = ""
        self._made_at = 0.0

    def get(self, expired: str = "") -> str:
        """Return a token; a new one instead of the one that Apple calls ``expired``, unless that is too young."""
        age = self._clock.monotonic() - self._made_at
        if not self._token or age >= (YOUNGEST_S if expired == self._token else RENEWED_S):
            identity = self._identity
            claims = {"iss": identity.team_id, "iat": self._clock.wall_ms() // 1000}
            self._token = jwt.encode(claims, identity.key, "ES256", {"kid": identity.key_id})
            self._made_at = self._clock.monotonic()
        return self._token


class ApnsSender:
    """`PushSender` for iPhones, iPads and Macs. ``base``: `PRODUCTION`, `SANDBOX` or another, without a final slash."""

    def __init__(self, identity: ApnsIdentity, http: Http2, clock: Clock, base: str) -> None:
        self._base = base
        self._topic = identity.topic
        self._http = http
        self._clock = clock
        self._tokens = ProviderTokens(identity, clock)

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Post the notification; a token that has expired is renewed once."""
        body = apns_payload(notification)
        if body is None:
            return outcomes.failed(outcomes.TOO_LARGE)
        token = self._tokens.get()
        try:
            reply = await self._post(notification, token, body)
            if reply.status == 403 and _reason(reply) == "ExpiredProviderToken":
                renewed = self._tokens.get(expired=token)
                if renewed != token:
                    reply = await self._post(notification, renewed, body)
        except Unreached as problem:
            return outcomes.later(problem.reason)
        return self._outcome(reply)

    async def aclose(self) -> None:
        """Break off what is on its way. Idempotent."""
        await self._http.aclose()

    async def _post(self, notification: PushNotification, token: str, body: bytes) -> Reply:
        until = self._clock.wall_ms() // 1000 + notification.ttl_s if notification.ttl_s else 0
        headers = {
            "authorization": f"bearer {token}",
            "apns-topic": self._topic,
            "apns-push-type": "background" if notification.silent else "alert",
            "apns-priority": "5" if notification.silent else _PRIORITIES[notification.urgency],
            "apns-expiration": str(until),
            "apns-collapse-id": notification.collapse_key[:MAX_COLLAPSE_ID],
        }
        device = quote(notification.target.get("token", ""), safe="")
        return await self._http.post(f"{self._base}/3/device/{device}", headers, body)

    def _outcome(self, reply: Reply) -> PushOutcome:
        reason = _reason(reply)
        if reply.status == 410 or (reply.status == 400 and reason in _GONE):
            return outcomes.GONE
        if reply.status == 400 and reason == "DeviceTokenNotForTopic":
            return outcomes.failed(outcomes.BAD_TARGET)
        return outcomes.by_status(reply.status, reply.headers.get("retry-after", "")[:64], self._clock.wall_ms() / 1000)


def _reason(reply: Reply) -> str:
    try:
        return msgspec.json.decode(reply.body, type=_Refusal).reason
    except msgspec.DecodeError:
        return ""


def apns_payload(notification: PushNotification) -> bytes | None:
    """Return the request's body (docs/push.md); None: it does not fit.

    A background notification may have no badge of the system's own (Apple drops such ones): it is among the data.
    """
    more: dict[str, Any] = {name: value for name, value in notification.data.items() if name != _RESERVED}
    badge = {} if notification.badge is None else {"badge": notification.badge}
    if notification.silent:
        packed = msgspec.json.encode({"aps": {"content-available": 1}, **more, **badge})
        return packed if len(packed) <= MAX_PAYLOAD else None

    def encode(body: str) -> bytes:
        alert = {"title": notification.title, "body": body}
        return msgspec.json.encode({"aps": {"alert": alert, "sound": "default", **badge}, **more})

    return outcomes.fitted(encode, notification.body, MAX_PAYLOAD)
