"""Calls an ASGI application without a socket, as one HTTP client would."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Message


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json["error"]["code"])


class AsgiClient:
    """A client at ``address`` (None: a Unix socket) that speaks to ``app`` directly."""

    def __init__(self, app: ASGIApp, address: str | None = "127.0.0.1", token: str = "") -> None:
        self.app = app
        self.address = address
        self.token = token

    def having(self, token: str) -> "AsgiClient":
        """The same client with a token."""
        return AsgiClient(self.app, self.address, token)

    async def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Send ``body`` as JSON, or ``raw`` as it is, and return the whole answer."""
        payload = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        given = {"host": "chat.example", "content-length": str(len(payload))}
        if payload:
            given["content-type"] = "application/json"
        if self.token:
            given["authorization"] = f"Bearer {self.token}"
        given |= headers or {}
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given.items()],
            "client": None if self.address is None else (self.address, 50_000),
            "server": ("127.0.0.1", 8080),
        }
        return await exchange(self.app, scope, [payload[:7], payload[7:]] if len(payload) > 7 else [payload])


async def exchange(app: ASGIApp, scope: dict[str, Any], pieces: list[bytes], *, leaves: bool = False) -> Reply:
    """Run one request whose body comes in ``pieces``; the client stays for its answer, or ``leaves`` before the end."""
    rest = list(pieces)
    sent: list[Message] = []

    async def receive() -> Message:
        if not rest:
            if leaves:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        piece = rest.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(rest) or leaves}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = next(message for message in sent if message["type"] == "http.response.start")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
    return Reply(head["status"], headers, b"".join(message.get("body", b"") for message in sent))
