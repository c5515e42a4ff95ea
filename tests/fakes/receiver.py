"""A receiver of webhooks: a tiny HTTP server whose answers a test decides."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from cooee.client import verify_webhook


class Got(NamedTuple):
    """One request that came; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        """Which delivery this is an attempt at."""
        return self.headers.get("webhook-id", "")

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def verify(self, secret: str) -> None:
        """Raise when the signature does not fit."""
        assert verify_webhook(secret, self.headers, self.body) == self.webhook_id


Answer = Callable[[Got], bytes | None]
"""Returns the bytes to answer; None: never answer, and keep the connection open until the receiver ends."""


def answer(status: int = 200, *headers: str, body: bytes = b"") -> bytes:
    """Return an HTTP answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Receiver:
    """What came so far, and how the next request is answered."""

    def __init__(self, answers: Answer = lambda _got: answer()) -> None:
        self.answers = answers
        self.got: list[Got] = []
        self.port = 0
        self._news = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until ``done``, which is asked after each request."""
        async with asyncio.timeout(seconds):
            while not done():
                await self._news.wait()
                self._news.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        self._open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            got = Got(request.split(" ")[1], headers, body)
            reply = self.answers(got)
            self.got.append(got)
            self._news.set()
            if reply is None:
                await asyncio.Event().wait()
            else:
                writer.write(reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


@asynccontextmanager
async def receiving(
    answers: Answer = lambda _got: answer(), port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Run a receiver on a port of this machine."""
    receiver = Receiver(answers)
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
