"""Carries one file to the store: in one piece or in parts, again and again until it is there (PROTOCOL.md §18).

What is there already is not sent again: on the server's own addresses it is asked for, and parts are noted one by one.
Only `PIECE` bytes of the file are in memory.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec

from cooee.client.api import refusal
from cooee.client.errors import ConnectionFailed, SendFailed, ServerError
from cooee.client.files import PIECE, FileEntry, Progress, stamp_of
from cooee.client.media_api import MediaApi
from cooee.client.reasons import reason_of
from cooee.domain.errors import ErrorCode
from cooee.protocol.media import Upload, UploadPart, UploadParts

TRIES = 8
"""How often nothing may come of it, one time after another."""
STALL_S = 60.0
"""How long not a byte may move."""
_LONGEST_S = 15.0
_THERE = re.compile(r"bytes=0-([0-9]{1,16})")
_FINAL = frozenset({400, 413, 415})

Save = Callable[[FileEntry], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]


class _Again(Exception):
    """The address is no good any more, or the store holds something else than was thought: ask, and go on."""


class Carrier:
    """One file on its way. ``save`` is given the entry whenever what is known of it changes; ``pause`` waits (s)."""

    def __init__(
        self,
        api: MediaApi,
        entry: FileEntry,
        save: Save,
        progress: Progress | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.entry = entry
        self._api = api
        self._save = save
        self._progress = progress
        self._pause = pause
        self._failures = 0
        self._broken = entry.upload is not None
        self._doubted = False
        self._most = 0

    async def carry(self) -> FileEntry:
        """Upload the file, and return the entry with its ``media_key``.

        Raises:
            SendFailed: it is refused for good, or is another file than before.
            ConnectionFailed: it did not work now; what is there stays there for the next time.
            NotLoggedIn: the token is no good any more.
        """
        while True:
            self._check_file()
            try:
                if await self._attempt():
                    return self.entry
            except _Again:
                await self._note(upload=None, parts_done=())
                await self._failed(ConnectionFailed("the store does not take the file; try again later"), 0.0)
            except ServerError as problem:
                await self._refused(problem)
            except ConnectionFailed as problem:
                await self._failed(problem)
            except (aiohttp.ClientError, OSError) as problem:
                await self._failed(ConnectionFailed(f"the upload broke off ({reason_of(problem)})"))
            self._broken = True

    def _check_file(self) -> None:
        if stamp_of(Path(self.entry.path)) != self.entry.stamp:
            raise SendFailed("bad_frame", f"{self.entry.path} was changed since; send it anew")

    async def _note(self, **changes: object) -> None:
        self.entry = msgspec.structs.replace(self.entry, **changes)
        await self._save(self.entry)

    async def _refused(self, problem: ServerError) -> None:
        """Wait, or begin anew, or give up, as the server's refusal asks for."""
        if problem.code == ErrorCode.UNAUTHORIZED:
            raise problem
        if problem.code == ErrorCode.NOT_FOUND and self.entry.media_key:
            await self._note(media_key="", upload=None, parts_done=())
            await self._failed(problem, 0.0)
        elif problem.code == ErrorCode.CONFLICT and self.entry.upload is not None:
            await self._note(upload=None, parts_done=())
            await self._failed(problem, 0.0)
        elif problem.retryable:
            await self._failed(problem, (problem.retry_after_ms or 0) / 1000 or None)
        else:
            raise SendFailed(problem.code, problem.message)

    async def _failed(self, problem: ConnectionFailed | ServerError, wait_s: float | None = None) -> None:
        self._failures += 1
        if self._failures >= TRIES:
            raise ConnectionFailed(str(problem)) from None
        if wait_s is None:
            wait_s = min(0.5 * 2**self._failures, _LONGEST_S) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        await self._pause(wait_s)

    def _moved(self, done: int) -> None:
        """Tell how far it is; what was never reached before is progress, and forgives the failures so far."""
        if done > self._most:
            self._most = done
            self._failures = 0
        if self._progress is not None:
            self._progress(done, self.entry.size)

    # --- one attempt

    async def _attempt(self) -> bool:
        upload = self.entry.upload
        if upload is None:
            upload = await self._api.request_upload(self.entry.wanted())
            await self._note(media_key=upload.media_key, upload=upload, parts_done=())
        if upload.uploaded:
            self._moved(self.entry.size)
            return True
        if upload.parts is not None:
            return await self._in_parts(upload.media_key, upload.parts)
        return await self._in_one(upload)

    async def _in_one(self, upload: Upload) -> bool:
        if upload.upload_url is None or upload.method is None:
            raise SendFailed("bad_frame", "the server does not say where to upload the file")
        request = UploadPart(upload.upload_url, upload.method, upload.headers)
        start = 0
        if self._broken and request.url.startswith("/"):
            start = await self._there(request)
            if start >= self.entry.size:
                return True
        span = {"Content-Range": f"bytes {start}-{self.entry.size - 1}/{self.entry.size}"} if start else {}
        await self._put(request, start, self.entry.size, span)
        return True

    async def _there(self, request: UploadPart) -> int:
        """Ask how much of the file is there."""
        headers = request.headers | {"Content-Length": "0", "Content-Range": f"bytes */{self.entry.size}"}
        async with self._api.blob(request.method, request.url, headers) as answer:
            if answer.status == 308:
                found = _THERE.fullmatch(answer.headers.get("Range", ""))
                return min(int(found[1]) + 1, self.entry.size) if found else 0
            await self._taken(answer)
        self._moved(self.entry.size)
        return self.entry.size

    async def _in_parts(self, media_key: str, parts: UploadParts) -> bool:
        for number, request in enumerate(parts.requests):
            start = number * parts.part_size
            end = min(start + parts.part_size, self.entry.size)
            if number not in self.entry.parts_done:
                await self._put(request, start, end, {})
                await self._note(parts_done=(*self.entry.parts_done, number))
            self._moved(end)
        await self._api.complete_upload(media_key, parts.upload_id)
        return True

    async def _put(self, request: UploadPart, start: int, end: int, span: dict[str, str]) -> None:
        """Send the bytes from ``start`` to ``end``, with an eye on whether they move."""
        headers = request.headers | {"Content-Length": str(end - start)} | span
        with await asyncio.to_thread(Path(self.entry.path).open, "rb") as file:
            file.seek(start)
            async with asyncio.timeout(STALL_S) as limit:
                body = self._bytes(file, start, end, limit)
                async with self._api.blob(request.method, request.url, headers, body) as answer:
                    await self._taken(answer)

    async def _bytes(self, file: BinaryIO, start: int, end: int, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        while start < end:
            piece = await asyncio.to_thread(file.read, min(PIECE, end - start))
            if not piece:
                raise OSError("the file became shorter")
            yield piece
            start += len(piece)
            with suppress(RuntimeError):  # the answer came already
                limit.reschedule(clock() + STALL_S)
            self._moved(start)

    async def _taken(self, answer: aiohttp.ClientResponse) -> None:
        """Look at what the store answered."""
        if answer.status < 300:
            return
        content = await answer.content.read(PIECE)
        if answer.status in {403, 404, 409, 410, 412, 416, 308}:
            raise _Again
        problem = refusal(answer.status, content)
        if answer.status in _FINAL and self._broken and not self._doubted:
            self._doubted = True
            raise _Again  # what came in two halves may not fit together: once more from the beginning
        raise problem
