"""A browser's push service: HTTP/1.1 over TLS, as RFC 8030, 8188, 8291 and 8292 have it, and the browser behind it.

It decrypts by itself, from the text of the specifications, not with the library that encrypts.
"""

import asyncio
import base64
import json
import re
import secrets
import struct
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cooee.adapters.http.bounded_connector import BoundedConnector
from cooee.adapters.http.checked_resolver import CheckedResolver, Lookup, look_up
from cooee.adapters.push.vapid import Vapid, load_vapid_key
from cooee.adapters.push.web import Ways, WebPushSender
from cooee.domain.addresses import AddressRules
from cooee.domain.push import PushSettings
from cooee.ports.clock import Clock
from tests.fakes.certificates import certified, trusting
from tests.fakes.push_platform import Request, Response, Script, Seen, Trouble

_VAPID = re.compile(r"vapid t=([^, ]+), ?k=([^, ]+)")


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Read base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key, uncompressed."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def decrypted(body: bytes, key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Open a message of one record (RFC 8291 §3.4, RFC 8188 §2)."""
    salt, record, length = body[:16], struct.unpack("!L", body[16:20])[0], body[20]
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    assert len(sealed) <= record
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    material = _hkdf(shared, auth, b"WebPush: info\0" + point(key) + sender, 32)
    content_key = _hkdf(material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(material, salt, b"Content-Encoding: nonce\0", 12)
    padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\0")
    assert padded[-1:] == b"\x02"
    return padded[:-1]


class Subscription:
    """A browser's keys for one subscription."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = secrets.token_bytes(16)


class WebPlatform:
    """`Platform`. ``authorizations``: the headers by which it was asked."""

    name = "web"

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._subscriptions: dict[str, Subscription] = {}
        self._runner: web.AppRunner | None = None
        self._senders: list[WebPushSender] = []
        self._transports: set[object] = set()
        self._ended = asyncio.Event()
        self.vapid = Vapid(load_vapid_key(folder / "vapid.pem"), "mailto:operator@chat.example", clock)
        self.script = Script()
        self.seen: list[Seen] = []
        self.problems: list[str] = []
        self.authorizations: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lengths: list[int] = []
        self.connections = 0
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=8192)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=certified(self._folder).server)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more, and end every connection. Idempotent."""
        self._ended.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def aclose(self) -> None:
        """Stop, and close the senders."""
        for sender in self._senders:
            await sender.aclose()
        await self.stop()

    def target(self, host: str = "127.0.0.1") -> dict[str, str]:
        """Subscribe another browser."""
        path = f"/push/{secrets.token_urlsafe(8)}"
        made = self._subscriptions[path] = Subscription()
        endpoint = f"https://{host}:{self.port}{path}"
        return {"endpoint": endpoint, "p256dh": b64(point(made.key)), "auth": b64(made.auth)}

    def forget(self, target: dict[str, str]) -> None:
        """End a subscription."""
        del self._subscriptions["/push/" + target["endpoint"].rpartition("/")[2]]

    def sender(
        self,
        timeout_s: float = 5.0,
        networks: tuple[str, ...] = ("127.0.0.0/8",),
        lookup: Lookup = look_up,
    ) -> WebPushSender:
        """Return a sender that may go to this machine, unless ``networks`` says otherwise."""
        settings = PushSettings(timeout_s=timeout_s, allowed_networks=networks)
        resolver = CheckedResolver(AddressRules(networks), lookup, 2, "names")
        self._senders.append(
            WebPushSender(self.vapid, settings, Ways(resolver, BoundedConnector), self._clock, trusting())
        )
        return self._senders[-1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        transport = request.transport
        assert transport is not None
        if transport not in self._transports:
            self._transports.add(transport)
            self.connections += 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self._respond(Request(request.method, request.path, headers, body))
        if isinstance(answer, Response):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        if answer is Trouble.SILENCE:
            await self._ended.wait()
        transport.abort()
        return web.Response(status=500)

    def _respond(self, request: Request) -> Response | Trouble:
        happens = self.script.take()
        if isinstance(happens, str):
            return Response(int(happens))
        if happens is not None:
            return happens
        subscription = self._subscriptions.get(request.path)
        if subscription is None:
            return Response(410)
        problem = self._wrong(request)
        if problem:
            self.problems.append(problem)
            return Response(403 if "vapid" in problem else 400)
        if len(request.body) > 4096:
            return Response(413)
        try:
            payload = decrypted(request.body, subscription.key, subscription.auth)
        except (InvalidTag, AssertionError, ValueError) as refusal:
            self.problems.append(f"the browser cannot decrypt: {refusal!r}")
            return Response(201)
        self._see(request.headers, payload)
        return Response(201, {"Location": "/message/1"})

    def _wrong(self, request: Request) -> str:
        headers = request.headers
        if request.method != "POST":
            return "no POST"
        if headers.get("content-encoding") != "aes128gcm":
            return "content-encoding"
        if not headers.get("ttl", "").isdigit():
            return "ttl"
        if headers.get("urgency", "normal") not in {"very-low", "low", "normal", "high"}:
            return "urgency"
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers.get("topic", "")):
            return "topic"
        return self._wrong_vapid(headers.get("authorization", ""))

    def _wrong_vapid(self, authorization: str) -> str:
        self.authorizations.append(authorization)
        found = _VAPID.fullmatch(authorization)
        if found is None:
            return "vapid: no header"
        if found[2] != self.vapid.public_key:
            return "vapid: another key than the subscription's"
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(found[2]))
        options: Any = {"verify_exp": False, "verify_aud": False}
        try:
            claims = jwt.decode(found[1], key, ["ES256"], options=options)
        except (jwt.InvalidTokenError, InvalidSignature) as refusal:
            return f"vapid: {refusal}"
        now = self._clock.wall_ms() / 1000
        if claims.get("aud") not in {f"https://127.0.0.1:{self.port}", f"https://localhost:{self.port}"}:
            return "vapid: audience"
        if not now < claims["exp"] <= now + 86_400:
            return "vapid: expiry"
        return "" if claims.get("sub", "").startswith(("mailto:", "https:")) else "vapid: subject"

    def _see(self, headers: dict[str, str], payload: bytes) -> None:
        self.headers.append(headers)
        self.lengths.append(len(payload))
        told = json.loads(payload)
        self.seen.append(
            Seen(
                title=told.get("title", ""),
                body=told.get("body", ""),
                badge=told.get("badge"),
                silent=told["silent"],
                data=told["data"],
                collapse_key=told["tag"],
                ttl_s=int(headers["ttl"]),
                urgent=headers.get("urgency") == "high",
            )
        )
