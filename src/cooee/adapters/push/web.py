"""Web Push: RFC 8030 with the encryption of RFC 8291; the push service sees neither text nor sender."""

import asyncio
import binascii
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
import http_ece
import msgspec
from aiohttp.abc import AbstractResolver
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from cooee.adapters.push import outcomes
from cooee.adapters.push.vapid import Vapid
from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.errors import CooeeError
from cooee.domain.push import PushSettings
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification, PushOutcome

MAX_PAYLOAD = 3072
"""Bytes before encryption, padding included; push services take 4,096 encrypted ones at least (RFC 8030 §7.2)."""
PADDED_TO = 1024
"""Payloads have a multiple of this many bytes, so that their lengths tell little."""
_RECORD = 4096
_MAX_ANSWER = 4096
_MAX_HEADER = 8190
_SHARE = 0.9
_GONE = frozenset({404, 410})


class BadTarget(ValueError):
    """The keys of the subscription are none."""


class Ways(NamedTuple):
    """How senders connect: ``resolver`` looks at the addresses of names, ``connector`` connects to them."""

    resolver: AbstractResolver
    connector: Callable[..., aiohttp.TCPConnector]


class WebPushSender:
    """`PushSender` for browsers. Goes where ``settings`` allow, follows no redirect, uses no proxy.

    The resolver is closed with the sender. Connections are reused. How many there are at a time is for the caller to
    bound, for each push service by itself: with a bound on all of them slow ones would hold up the others here.
    """

    def __init__(
        self,
        vapid: Vapid,
        settings: PushSettings,
        ways: Ways,
        clock: Clock,
        tls: ssl.SSLContext,
    ) -> None:
        self._vapid = vapid
        self._settings = settings
        self._rules = AddressRules(settings.allowed_networks)
        self._resolver, self._connector = ways
        self._clock = clock
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def send(self, notification: PushNotification) -> PushOutcome:
        """Encrypt for the browser and post to its push service."""
        target = notification.target
        endpoint = target.get("endpoint", "")
        try:
            check_target(endpoint, self._rules, allow_http=self._settings.allow_http)
            payload = web_payload(notification)
            if payload is None:
                return outcomes.failed(outcomes.TOO_LARGE)
            body = encrypted(payload, target.get("p256dh", ""), target.get("auth", ""))
        except (CooeeError, BadTarget):
            return outcomes.failed(outcomes.BAD_TARGET)
        return await self._post(endpoint, self._headers(notification, endpoint), body)

    async def aclose(self) -> None:
        """Break off what is on its way. Nothing is sent afterwards. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._resolver.close()

    def _headers(self, notification: PushNotification, endpoint: str) -> dict[str, str]:
        return {
            "Authorization": self._vapid.authorization(endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(notification.ttl_s),
            "Urgency": notification.urgency,
            "Topic": self._vapid.topic(notification.collapse_key),
        }

    async def _post(self, endpoint: str, headers: dict[str, str], body: bytes) -> PushOutcome:
        try:
            async with (
                asyncio.timeout(self._settings.timeout_s * _SHARE),
                self._open().post(
                    URL(endpoint, encoded=True), data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                await response.content.read(_MAX_ANSWER)  # an answer that was read leaves its connection to the next
                status, retry_after = response.status, response.headers.get("Retry-After", "")[:64]
        except TimeoutError:
            return outcomes.later(outcomes.TIMEOUT)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError):
            return outcomes.later(outcomes.TLS)
        except (aiohttp.ClientError, OSError, ValueError):
            return outcomes.later(outcomes.UNREACHED)
        if status in _GONE:
            return outcomes.GONE
        return outcomes.by_status(status, retry_after, self._clock.wall_ms() / 1000)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(limit=0, resolver=self._resolver, use_dns_cache=False, ssl=self._tls),
                headers={"User-Agent": "Cooee"},
                skip_auto_headers=("Accept", "Accept-Encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
            )
        return self._session


def web_payload(notification: PushNotification) -> bytes | None:
    """Return what the page's service worker gets: JSON (docs/push.md), padded by spaces; None: it does not fit."""

    def encode(body: str) -> bytes:
        shown = {} if notification.silent else {"title": notification.title, "body": body}
        badge = {} if notification.badge is None else {"badge": notification.badge}
        more = {"tag": notification.collapse_key, "silent": notification.silent, "data": notification.data}
        return msgspec.json.encode({**shown, **badge, **more})

    packed = outcomes.fitted(encode, notification.body, MAX_PAYLOAD)
    return None if packed is None else packed.ljust(-(-len(packed) // PADDED_TO) * PADDED_TO)


def encrypted(
    payload: bytes, p256dh: str, auth: str, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """Return the body of the request (RFC 8291): one record of aes128gcm. ``key``, ``salt``: fresh ones if None.

    Raises:
        BadTarget: the subscription's keys are none.
    """
    try:
        point, secret = _decoded(p256dh), _decoded(auth)
        receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, binascii.Error):
        raise BadTarget from None
    sealed: bytes = http_ece.encrypt(
        payload,
        salt=salt,
        private_key=key or ec.generate_private_key(ec.SECP256R1()),
        dh=receiver,
        auth_secret=secret,
        rs=_RECORD,
        version="aes128gcm",
    )
    return sealed


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
