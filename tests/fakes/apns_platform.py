"""Apple's push service: HTTP/2 with ALPN, provider tokens, and every rule on headers and payloads that it has."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cooee.adapters.push.apns import ApnsIdentity, ApnsSender, read_apns_key
from cooee.adapters.push.http2 import Http2
from cooee.ports.clock import Clock
from tests.fakes.certificates import certified, trusting
from tests.fakes.http2_server import Http2Server
from tests.fakes.push_platform import Request, Response, Script, Seen, Trouble

KEY_ID = "ABC123DEFG"
TEAM = "DEF123GHIJ"
TOPIC = "com.example.chat"
_REASONS = {400: "BadMessageId", 403: "InvalidProviderToken", 404: "BadPath", 405: "MethodNotAllowed",
            413: "PayloadTooLarge", 429: "TooManyRequests", 500: "InternalServerError", 503: "Shutdown"}  # fmt: skip
_PATH = re.compile(r"/3/device/([0-9a-f]{64})")


def refusal(status: int, reason: str = "", *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Return a refusal as Apple writes it."""
    body = {"reason": reason or _REASONS.get(status, "Unknown"), **more}
    return Response(status, {"apns-id": "1", **(headers or {})}, json.dumps(body).encode())


class ApnsPlatform:
    """`Platform`. ``tokens``: the provider tokens by which it was asked, each once, in order."""

    name = "apns"

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._devices: dict[str, bool] = {}
        self._senders: list[ApnsSender] = []
        self.server = Http2Server(certified(folder).server, self._respond)
        self.script = Script()
        self.seen: list[Seen] = []
        self.problems: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.tokens: list[tuple[str, float]] = []

    async def start(self) -> None:
        """Listen."""
        await self.server.start()

    async def stop(self) -> None:
        """Listen no more."""
        await self.server.stop()

    async def aclose(self) -> None:
        """Stop, and close the senders."""
        for sender in self._senders:
            await sender.aclose()
        await self.stop()

    @property
    def connections(self) -> int:
        """Connections so far."""
        return self.server.connections

    def target(self) -> dict[str, str]:
        """Register another phone."""
        token = secrets.token_hex(32)
        self._devices[token] = True
        return {"token": token}

    def forget(self, target: dict[str, str]) -> None:
        """Let the app be removed from a phone."""
        self._devices[target["token"]] = False

    def key_file(self) -> Path:
        """Write the file that an operator gets from Apple."""
        path = self._folder / "AuthKey.p8"
        path.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def sender(self, timeout_s: float = 5.0) -> ApnsSender:
        """Return a sender to this platform."""
        identity = ApnsIdentity(read_apns_key(self.key_file()), KEY_ID, TEAM, TOPIC)
        http = Http2(trusting(), timeout_s, http1=False)
        self._senders.append(ApnsSender(identity, http, self._clock, self.server.url))
        return self._senders[-1]

    def _respond(self, request: Request) -> Response | Trouble:
        happens = self.script.take()
        if isinstance(happens, str):
            return refusal(int(happens))
        if happens is not None:
            return happens
        if request.method != "POST":
            return refusal(405)
        path = _PATH.fullmatch(request.path)
        if path is None:
            return refusal(400, "BadDeviceToken") if request.path.startswith("/3/device/") else refusal(404)
        answer = self._by_token(request.headers) or self._by_headers(request.headers)
        answer = answer or self._by_payload(request.headers, request.body) or self._by_device(path[1])
        if answer is not None:
            self.problems.append(answer.body.decode())
            return answer
        self._see(request.headers, json.loads(request.body))
        return Response(200, {"apns-id": "1"})

    def _by_token(self, headers: dict[str, str]) -> Response | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind != "bearer":
            return refusal(403, "MissingProviderToken")
        options: Any = {"verify_iat": False}
        try:
            if jwt.get_unverified_header(token).get("kid") != KEY_ID:
                return refusal(403, "InvalidProviderToken")
            claims = jwt.decode(token, self._key.public_key(), ["ES256"], options)
        except jwt.InvalidTokenError:
            return refusal(403, "InvalidProviderToken")
        now = self._clock.wall_ms() / 1000
        if claims.get("iss") != TEAM or claims["iat"] > now + 60:
            return refusal(403, "InvalidProviderToken")
        if now - claims["iat"] > 3600:
            return refusal(403, "ExpiredProviderToken")
        if not self.tokens or self.tokens[-1][0] != token:
            if self.tokens and now - self.tokens[-1][1] < 1200:
                return refusal(429, "TooManyProviderTokenUpdates")
            self.tokens.append((token, now))
        return None

    def _by_headers(self, headers: dict[str, str]) -> Response | None:
        kind, priority = headers.get("apns-push-type", ""), headers.get("apns-priority", "10")
        reason = ""
        if headers.get("apns-topic") != TOPIC:
            reason = "BadTopic"
        elif kind not in {"alert", "background"}:
            reason = "InvalidPushType"
        elif priority not in {"1", "5", "10"} or (kind == "background" and priority == "10"):
            reason = "BadPriority"
        elif len(headers.get("apns-collapse-id", "").encode()) > 64:
            reason = "BadCollapseId"
        elif not headers.get("apns-expiration", "0").isdigit():
            reason = "BadExpirationDate"
        return refusal(400, reason) if reason else None

    def _by_payload(self, headers: dict[str, str], body: bytes) -> Response | None:
        if len(body) > 4096:
            return refusal(413)
        try:
            aps = json.loads(body)["aps"]
        except (ValueError, KeyError, TypeError):
            return refusal(400, "PayloadEmpty")
        is_background = headers["apns-push-type"] == "background"
        if is_background and (aps.get("content-available") != 1 or set(aps) & {"alert", "badge", "sound"}):
            return refusal(400, "InvalidPushType")
        return None

    def _by_device(self, token: str) -> Response | None:
        there = self._devices.get(token)
        if there is None:
            return refusal(400, "BadDeviceToken")
        return None if there else refusal(410, "Unregistered", timestamp=self._clock.wall_ms())

    def _see(self, headers: dict[str, str], payload: dict[str, Any]) -> None:
        aps = payload.pop("aps")
        silent = headers["apns-push-type"] == "background"
        badge = payload.pop("badge", None) if silent else aps.get("badge")
        self.headers.append(headers)
        self.seen.append(
            Seen(
                title=aps.get("alert", {}).get("title", ""),
                body=aps.get("alert", {}).get("body", ""),
                badge=badge,
                silent=silent,
                data=payload,
                collapse_key=headers["apns-collapse-id"],
                ttl_s=max(0, int(headers["apns-expiration"]) - self._clock.wall_ms() // 1000),
                urgent=headers["apns-priority"] == "10",
            )
        )
