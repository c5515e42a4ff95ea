"""A small server of files with the routes of PROTOCOL.md §18, whose store does what a test wants."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from cooee.client.api import Api
from cooee.client.files import FileEntry

KEY = "k" * 32


class MediaServer:
    """``answers``: what the store says to its next requests, before it does as it should: status and body.

    ``absolute``: addresses are as those of a foreign store. ``part_size`` 0: in one piece.
    """

    def __init__(self, *, absolute: bool = False, part_size: int = 0) -> None:
        self.absolute = absolute
        self.part_size = part_size
        self.answers: list[tuple[int, str]] = []
        self.grants: list[dict[str, Any]] = []
        self.puts: list[tuple[str, str, int]] = []
        self.gets: list[tuple[str, str]] = []
        self.completed: list[str] = []
        self.parts: dict[int, bytes] = {}
        self.tokens: list[str] = []
        self.content = b""
        self.etag = '"one"'
        self.url = ""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[tuple[Self, Api]]:
        """Serve, and give the API of a client."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/media/uploads", self._grant)
        app.router.add_post("/v1/media/{key}/complete", self._complete)
        app.router.add_get("/v1/media/{key}", self._link)
        app.router.add_put("/store/{part}", self._put)
        app.router.add_get("/store/{part}", self._get)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            async with Api(self.url, "secret") as api:
                yield self, api

    def _at(self, part: str) -> str:
        return f"{self.url if self.absolute else ''}/store/{part}?grant={len(self.grants)}"

    async def _grant(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self.grants.append(wanted)
        answer: dict[str, Any] = {
            "mediaKey": KEY,
            "uploadUrl": None,
            "method": None,
            "headers": {},
            "expiresAt": 1,
            "parts": None,
        }
        if self.part_size:
            count = -(-wanted["size"] // self.part_size)
            requests = [{"url": self._at(str(at)), "method": "PUT", "headers": {}} for at in range(count)]
            answer["parts"] = {"uploadId": "u", "partSize": self.part_size, "requests": requests}
        else:
            answer |= {"uploadUrl": self._at("whole"), "method": "PUT", "headers": {"x-signed": "yes"}}
        return web.json_response(answer, status=201)

    async def _complete(self, request: web.Request) -> web.Response:
        self.completed.append((await request.json())["uploadId"])
        self.content = b"".join(self.parts[at] for at in sorted(self.parts))
        return web.Response(status=204)

    async def _put(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        span = request.headers.get("Content-Range", "")
        body = await request.read()
        part = request.match_info["part"]
        self.puts.append((part, span, len(body)))
        if span.startswith("bytes */"):
            held = len(self.content)
            return web.Response(status=308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})
        if self.answers:
            status, text = self.answers.pop(0)
            self.content = body[: len(body) // 2] if status >= 500 else b""
            return web.Response(status=status, text=text)
        if part == "whole":
            self.content = self.content + body if span else body
        else:
            self.parts[int(part)] = body
        return web.Response(status=201)

    async def _link(self, _: web.Request) -> web.Response:
        fields = {
            "mediaKey": KEY,
            "url": self._at("whole"),
            "expiresAt": 1,
            "contentType": "text/plain",
            "filename": "x",
        }
        self.grants.append({})
        digest = hashlib.sha256(self.content).hexdigest()
        return web.json_response(fields | {"size": len(self.content), "sha256": digest})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        wanted, only_if = request.headers.get("Range", ""), request.headers.get("If-Range", "")
        self.gets.append((wanted, only_if))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and only_if in {"", self.etag} else 0
        status, text = self.answers.pop(0) if self.answers else (206 if start else 200, "")
        if status >= 300:
            return web.Response(status=status, text=text)
        answer = web.StreamResponse(status=206 if start else 200, headers={"ETag": self.etag})
        answer.content_length = len(self.content) - start
        await answer.prepare(request)
        if text == "cut":
            await answer.write(self.content[start : start + (len(self.content) - start) // 2])
            assert request.transport is not None
            request.transport.close()
            return answer
        await answer.write(text.encode() or self.content[start:])
        return answer


def refused(code: str, *, retryable: bool) -> str:
    """Return the body of a refusal."""
    return json.dumps({"error": {"code": code, "message": "no", "retryable": retryable}})


def entry_of(path: Path, **changes: Any) -> FileEntry:
    """Return a file that is to be uploaded."""
    content, found = path.read_bytes(), path.stat()
    fields: dict[str, Any] = {
        "client_message_id": "c1",
        "conversation_id": "dm:alice:bob",
        "created_at": 5,
        "path": str(path),
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_type": "document",
        "content": {"mimeType": "text/plain", "size": found.st_size, "filename": path.name},
    }
    return FileEntry(**fields | changes)
