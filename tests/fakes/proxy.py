"""A network in the test's hand: a TCP proxy that cuts, freezes, refuses WebSockets, and counts."""

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Stands before the server at ``target``.

    ``refuse_websocket``: upgrades get 403. ``cut_after``: each new connection is aborted after a number of bytes drawn
    from 1 to ``cut_after``; 0: never.
    """

    def __init__(self, target: str, seed: int = 0) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._random = random.Random(seed)
        self.refuse_websocket = False
        self.cut_after = 0
        self.opened = 0
        self.cuts = 0
        self.websockets = 0
        self._moving = asyncio.Event()
        self._moving.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self._port}"

    async def close(self) -> None:
        """Take no connection any more, and cut all; `reopen` listens again on the same port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reopen(self) -> None:
        """Listen again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    def cut(self) -> None:
        """Abort all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Let nothing pass any more, without closing anything."""
        self._moving.clear()

    def thaw(self) -> None:
        """Let everything pass again."""
        self._moving.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.opened += 1
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._writers.add(server_writer)
        budget = [self._random.randint(1, self.cut_after)] if self.cut_after else []
        try:
            there = asyncio.ensure_future(self._pump(reader, server_writer, budget, writer))
            back = asyncio.ensure_future(self._pump(server_reader, writer, budget, None))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._writers.discard(server_writer)
            server_writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        budget: list[int],
        client: asyncio.StreamWriter | None,
    ) -> None:
        """Carry bytes one way; ``client`` is given on the way from the client, who may ask for a WebSocket there."""
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._moving.wait()
                if client is not None and b"upgrade: websocket" in data.lower():
                    self.websockets += 1
                    if self.refuse_websocket:
                        client.write(_REFUSAL)
                        await client.drain()
                        return
                if budget:
                    budget[0] -= len(data)
                    if budget[0] <= 0:
                        self.cuts += 1
                        writer.write(data[: self._random.randint(0, len(data))])
                        writer.transport.abort()
                        return
                writer.write(data)
                await writer.drain()
