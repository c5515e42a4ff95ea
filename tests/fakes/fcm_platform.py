"""Firebase Cloud Messaging with Google's token endpoint: HTTP/2, checking what the real ones check."""

import json
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cooee.adapters.push.fcm import FcmSender
from cooee.adapters.push.http2 import Http2
from cooee.adapters.push.service_account import SCOPE, ServiceAccount
from cooee.ports.clock import Clock
from tests.fakes.certificates import certified, trusting
from tests.fakes.http2_server import Http2Server
from tests.fakes.push_platform import Request, Response, Script, Seen, Trouble

PROJECT = "chat-example"
EMAIL = "push@chat-example.iam.gserviceaccount.com"
_SEND = f"/v1/projects/{PROJECT}/messages:send"
_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
             429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip
_ANDROID = {"priority", "ttl", "collapse_key", "notification"}


def problem(status: int, code: str = "", *, headers: dict[str, str] | None = None, field: str = "") -> Response:
    """Return an error as Google writes it."""
    details: list[dict[str, Any]] = [{"@type": _TYPE, "errorCode": code}] if code else []
    if field:
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]})
    error = {"code": status, "message": "no", "status": _STATUSES.get(status, "UNKNOWN"), "details": details}
    return Response(status, headers or {}, json.dumps({"error": error}).encode())


class FcmPlatform:
    """`Platform`. ``granted``: how many access tokens were given; ``token_script``: what the token endpoint meets."""

    name = "fcm"

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self._folder = folder
        self._key = rsa.generate_private_key(65_537, 2048)
        self._devices: set[str] = set()
        self._valid: dict[str, float] = {}
        self._senders: list[FcmSender] = []
        self.server = Http2Server(certified(folder).server, self._respond)
        self.script = Script()
        self.token_script = Script()
        self.seen: list[Seen] = []
        self.problems: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.granted = 0

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
        token = f"{secrets.token_urlsafe(12)}:{secrets.token_urlsafe(90)}"
        self._devices.add(token)
        return {"token": token}

    def forget(self, target: dict[str, str]) -> None:
        """Let the app be removed from a phone."""
        self._devices.discard(target["token"])

    def account_file(self) -> Path:
        """Write the file that an operator gets from Google."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        path = self._folder / "service-account.json"
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "k1",
                    "private_key": pem,
                    "client_email": EMAIL,
                    "client_id": "1",
                    "token_uri": f"{self.server.url}/token",
                }
            )
        )
        return path

    def sender(self, timeout_s: float = 5.0) -> FcmSender:
        """Return a sender to this platform."""
        account = ServiceAccount.read(self.account_file())
        self._senders.append(FcmSender(account, Http2(trusting(), timeout_s, http1=True), self._clock, self.server.url))
        return self._senders[-1]

    def revoke(self) -> None:
        """Let no access token that was given be valid any more."""
        self._valid.clear()

    def _respond(self, request: Request) -> Response | Trouble:
        if request.path == "/token":
            happens = self.token_script.take()
            return self._grant(request) if happens is None or isinstance(happens, str) else happens
        happens = self.script.take()
        if isinstance(happens, str):
            return problem(int(happens))
        if happens is not None:
            return happens
        if request.path != _SEND or request.method != "POST":
            return Response(404, {"content-type": "text/html"}, b"<p>not found</p>")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._valid.get(bearer, 0.0) <= self._clock.wall_ms() / 1000:
            return problem(401)
        return self._take(json.loads(request.body))

    def _grant(self, request: Request) -> Response:
        form = parse_qs(request.body.decode())
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            return Response(400, {}, b'{"error":"unsupported_grant_type"}')
        now = self._clock.wall_ms() / 1000
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            [assertion] = form["assertion"]
            assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": "k1", "typ": "JWT"}
            audience = f"{self.server.url}/token"
            claims = jwt.decode(assertion, self._key.public_key(), ["RS256"], options, audience=audience)
            assert claims["iss"] == EMAIL
            assert claims["scope"] == SCOPE
            assert claims["iat"] - 60 <= now < claims["exp"] <= claims["iat"] + 3600
        except (jwt.InvalidTokenError, AssertionError, KeyError, ValueError) as refusal:
            self.problems.append(f"token: {refusal!r}")
            return Response(400, {}, b'{"error":"invalid_grant"}')
        token = secrets.token_urlsafe(40)
        self._valid[token] = now + 3599
        self.granted += 1
        return Response(
            200, {}, json.dumps({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}).encode()
        )

    def _take(self, body: dict[str, Any]) -> Response:
        message = body["message"]
        wrong = _wrong(message)
        if wrong:
            self.problems.append(wrong)
            return problem(400, "INVALID_ARGUMENT")
        if len(json.dumps({**message, "token": ""}, separators=(",", ":"), ensure_ascii=False).encode()) > 4096:
            return problem(400, "INVALID_ARGUMENT", field="message")
        if message["token"] not in self._devices:
            return problem(404, "UNREGISTERED")
        self.sent.append(message)
        self._see(message)
        return Response(200, {}, json.dumps({"name": f"projects/{PROJECT}/messages/1"}).encode())

    def _see(self, message: dict[str, Any]) -> None:
        android = message["android"]
        shown = message.get("notification", {})
        data = dict(message["data"])
        badge = data.pop("badge", None)
        self.seen.append(
            Seen(
                title=shown.get("title", ""),
                body=shown.get("body", ""),
                badge=None if badge is None else int(badge),
                silent="notification" not in message,
                data=data,
                collapse_key=android["collapse_key"],
                ttl_s=int(android["ttl"][:-1]),
                urgent=android["priority"] == "HIGH",
            )
        )


def _wrong(message: dict[str, Any]) -> str:
    android = message.get("android", {})
    checks = {
        "field": set(message) <= {"token", "data", "notification", "android"},
        "android": set(android) <= _ANDROID,
        "notification": set(message.get("notification", {})) <= {"title", "body"},
        "data": all(isinstance(value, str) for value in message.get("data", {}).values()),
        "data keys": not any(re.match("from$|message_type$|google|gcm", key) for key in message.get("data", {})),
        "ttl": re.fullmatch(r"\d+s", android.get("ttl", "1s")) is not None,
        "priority": android.get("priority", "HIGH") in {"HIGH", "NORMAL"},
        "count": isinstance(android.get("notification", {}).get("notification_count", 0), int),
    }
    return ", ".join(name for name, fine in checks.items() if not fine)
