"""Frames over long polling (PROTOCOL.md §12), for where a WebSocket does not get through.

A poll that carries frames does not wait, and is repeated until it is answered: its number makes the server execute it
once. A poll that waits carries nothing, so that the next one may end it at any time.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from cooee.client.reasons import reason_of
from cooee.client.transport import ABNORMAL, TransportClosed, TransportName, TransportRefused, TransportUnreachable
from cooee.protocol import http as bodies
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollRequest, PollResponse

WAIT_MS = 25_000
_ANSWER_S = 10.0
"""How much longer than the poll's own wait an answer may take."""

_TRIES_S = (0.1, 0.3, 1.0, 2.0)
"""Waits before a poll is repeated."""

_BODY_BYTES = 256 * 1024
_UNREACHABLE = 0

_decode_answer = msgspec.json.Decoder(PollResponse).decode
_decode_error = msgspec.json.Decoder(bodies.ErrorBody).decode


class LongPollTransport:
    """One long-polling session at ``url`` (``http…/v1/poll``) with ``token``."""

    name: TransportName = "longpoll"

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._outgoing: deque[bytes] = deque()
        self._to_send = asyncio.Event()
        self._incoming: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._session = ""
        self._number = 0
        self._processed = 0
        self._loop_task: asyncio.Task[None] | None = None
        self._polls: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Begin to poll with the first frames that are sent."""
        self._loop_task = asyncio.create_task(self._run(), name="cooee-longpoll")

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Hand frames to the next poll, which goes out at once."""
        if self._failure is not None:
            raise self._failure
        self._outgoing.extend(payloads)
        self._to_send.set()

    async def receive(self) -> Sequence[bytes]:
        """Wait for the next frames."""
        while not self._incoming:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        frames = tuple(self._incoming)
        self._incoming.clear()
        return frames

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """Stop polling; the session lapses on the server."""
        self._fail(TransportClosed(code))
        tasks = [task for task in (self._loop_task, *self._polls) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._arrived.set()

    async def _run(self) -> None:
        try:
            await self._to_send.wait()
            while True:
                frames = self._take()
                if frames or not self._session:
                    await self._poll(self._request(frames, 0))
                else:
                    await self._wait(self._request((), WAIT_MS))
        except (TransportClosed, TransportRefused, TransportUnreachable) as failure:
            self._fail(failure)

    def _request(self, frames: tuple[msgspec.Raw, ...], wait_ms: int) -> PollRequest:
        self._number += 1
        return PollRequest(self._number, self._session, self._processed, frames, wait_ms)

    def _take(self) -> tuple[msgspec.Raw, ...]:
        taken: list[msgspec.Raw] = []
        size = 0
        while self._outgoing and (not taken or size + len(self._outgoing[0]) <= _BODY_BYTES):
            frame = self._outgoing.popleft()
            size += len(frame)
            taken.append(msgspec.Raw(frame))
        if not self._outgoing:
            self._to_send.clear()
        return tuple(taken)

    async def _wait(self, request: PollRequest) -> None:
        """Wait for frames from the server, or until there is something to send; then the next poll ends this one."""
        poll = asyncio.create_task(self._poll(request))
        self._polls.add(poll)
        sending = asyncio.create_task(self._to_send.wait())
        try:
            await asyncio.wait((poll, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
        if poll.done():
            self._polls.discard(poll)
            poll.result()
        else:
            poll.add_done_callback(self._ended)

    def _ended(self, poll: asyncio.Task[None]) -> None:
        self._polls.discard(poll)
        if not poll.cancelled():
            failure = poll.exception()
            if isinstance(failure, TransportClosed) and failure.code != ABNORMAL:
                self._fail(failure)

    async def _poll(self, request: PollRequest) -> None:
        """Send one poll until it is answered, and take in what it brings."""
        body = msgspec.json.encode(request)
        timeout = aiohttp.ClientTimeout(total=request.wait_ms / 1000 + _ANSWER_S)
        reason = ""
        for pause in (*_TRIES_S, None):
            try:
                status, content = await self._post(body, timeout)
            except (aiohttp.ClientError, OSError, TimeoutError) as problem:
                status, content, reason = _UNREACHABLE, b"", str(reason_of(problem))
            if status == 200:
                self._take_in(content)
                return
            wait = self._retry_in(status, content, pause)
            if wait is None:
                break
            if status == 409:
                await self._predecessor()
            await asyncio.sleep(wait)
        if not self._session:
            raise TransportUnreachable(reason or "the server does not answer polls")
        raise TransportClosed(ABNORMAL, reason or "polls are not answered")

    async def _predecessor(self) -> None:
        """Wait for the poll that this one has overtaken: it is being repeated until it is executed or given up."""
        others = self._polls - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    async def _post(self, body: bytes, limit: aiohttp.ClientTimeout) -> tuple[int, bytes]:
        params = {"session": self._session} if self._session else {}
        async with self._http.post(self._url, data=body, params=params, headers=self._headers, timeout=limit) as answer:
            return answer.status, await answer.read()

    def _retry_in(self, status: int, content: bytes, pause: float | None) -> float | None:
        """Return after how many seconds to repeat the poll, None: no more. Raises when the answer is final."""
        error: bodies.ErrorObject | None = None
        with suppress(msgspec.DecodeError):
            error = _decode_error(content).error
        message = error.message if error else f"polling was refused with status {status}"
        if status == 401:
            raise TransportClosed(CloseCode.UNAUTHORIZED, message)
        if status == 404 and self._session:
            raise TransportClosed(ABNORMAL, "the polling session has lapsed")
        if status in (400, 403, 404, 405, 413):
            if self._session:
                raise TransportClosed(ABNORMAL, message)
            raise TransportRefused(message)
        if pause is not None and error is not None and error.retry_after_ms is not None:
            return max(pause, error.retry_after_ms / 1000)
        return pause

    def _take_in(self, content: bytes) -> None:
        try:
            answer = _decode_answer(content)
        except msgspec.DecodeError as problem:
            raise TransportRefused(f"something else than the chat server answers polls: {problem}") from None
        self._session = self._session or answer.session
        if answer.answer_number > self._processed:
            self._processed = answer.answer_number
            self._incoming.extend(bytes(frame) for frame in answer.frames)
            self._arrived.set()
        if answer.closed is not None:
            raise TransportClosed(answer.closed.code, answer.closed.reason)
