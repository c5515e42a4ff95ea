"""What a connection and an echoed frame cost a server process, over loopback, ours beside other libraries.

``python -m cooee.bench.echo [--library cooee] [--connections 5000] [--window 1] [--seconds 3] [--json]``

The server is this module run as a child process; it says where it listens and, when asked, what it has used so far.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import resource
import secrets
import sys
import time
import tracemalloc
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

import msgspec

from cooee.domain.limits import Limits
from cooee.gateway.connection import Connection
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.protocol import websocket

_REQUEST = (
    "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
_KEY = b"\x37\xfa\x21\x3d"
_AT_ONCE = 100
_FILES = 100
LIBRARIES = ("cooee", "websockets", "aiohttp")


async def run(
    library: str = "cooee", *, connections: int = 5000, size: int = 200, window: int = 1, seconds: float = 3.0
) -> dict[str, Any]:
    """Return the memory of an idle connection and the CPU of an echoed frame of ``library``'s server.

    ``window``: frames on their way on each of 100 busy connections. Traced memory is Python's own (tracemalloc), from
    a server of its own, since tracing costs time.
    """
    _allow_files(connections)
    async with _Server(library) as server:
        before = await server.used()
        clients = await _connect(server.port, connections)
        idle = await server.used()
        busy = clients[:100]
        for client in busy:
            client.echo(b"x" * size, window)
        await asyncio.sleep(seconds / 3)
        start, sent = await server.used(), sum(client.echoed for client in busy)
        await asyncio.sleep(seconds)
        stop, echoed = await server.used(), sum(client.echoed for client in busy) - sent
        for client in clients:
            client.close()
    async with _Server(library, "--trace") as server:
        traced_before = await server.used()
        clients = await _connect(server.port, connections)
        traced = await server.used()
        for client in clients:
            client.close()
    return {
        "library": library,
        "connections": connections,
        "rss_bytes_per_connection": round((idle["rss"] - before["rss"]) / connections),
        "python_bytes_per_connection": round((traced["traced"] - traced_before["traced"]) / connections),
        "echoes_per_s": round(echoed / (stop["time"] - start["time"])),
        "server_cpu_us_per_echo": round((stop["cpu"] - start["cpu"]) / max(1, echoed) * 1e6, 2),
        "payload_bytes": size,
        "window": window,
    }


# --- the load ---------------------------------------------------------------------------------------------------------


class _Client(asyncio.Protocol):
    """Connects, and then sends a frame for each that comes back."""

    __slots__ = ("_data", "_frame", "_size", "_transport", "echoed", "open")

    def __init__(self) -> None:
        self._transport: Any = None
        self._data = 0
        self._frame = b""
        self._size = 0
        self.echoed = 0
        self.open: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(_REQUEST.format(key=base64.b64encode(secrets.token_bytes(16)).decode()).encode())

    def data_received(self, data: bytes) -> None:
        if self.open is not None:
            self.open.set_result(None)  # the answer to the handshake is small and comes whole
            self.open = None
            return
        whole, self._data = divmod(self._data + len(data), self._size)
        if whole:
            self.echoed += whole
            self._transport.write(self._frame * whole)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.open is not None:
            self.open.set_exception(ConnectionError("the server closed"))

    def echo(self, payload: bytes, window: int) -> None:
        self._frame = websocket.client_frame(websocket.TEXT, payload, _KEY)
        self._size = len(self._frame) - len(_KEY)
        self._transport.write(self._frame * window)

    def close(self) -> None:
        self._transport.abort()


async def _connect(port: int, count: int) -> list[_Client]:
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    while len(clients) < count:
        some = min(_AT_ONCE, count - len(clients))
        made = await asyncio.gather(*(loop.create_connection(_Client, "127.0.0.1", port) for _ in range(some)))
        opened = [client for _, client in made]
        await asyncio.gather(*(client.open for client in opened if client.open is not None))
        clients += opened
    return clients


def _allow_files(connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


class _Server:
    """The child process."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cooee.bench.echo", "--serve", *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=None if self._arguments[0] == "cooee" else asyncio.subprocess.DEVNULL,  # others tell of each reset
        )  # fmt: skip
        self.port = (await self._line())["port"]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    async def used(self) -> dict[str, Any]:
        """Ask what the server has used so far."""
        if self._process is None or self._process.stdin is None:
            raise AssertionError("not started")
        self._process.stdin.write(b"\n")
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise AssertionError("not started")
        line = await self._process.stdout.readline()
        if not line:
            raise ConnectionError("the server ended; is the library installed?")
        return msgspec.json.decode(line, type=dict)


# --- the servers, in the child ----------------------------------------------------------------------------------------


class _Echo:
    """A `Receiver`."""

    __slots__ = ("_send",)

    def __init__(self, connection: Connection) -> None:
        self._send = connection.send

    def bytes_received(self) -> None:
        """A sign of life."""

    def frame_received(self, payload: bytes) -> None:
        self._send(payload)

    def binary_received(self) -> None:
        """Nobody sends it."""

    def connection_lost(self) -> None:
        """Nothing to do."""


async def _serve_cooee() -> int:
    limits = Limits(max_connections=1_000_000)
    server = FrontServer(None, lambda connection, _: _Echo(connection), FrontSettings(port=0, limits=limits))
    await server.start()
    _keep.append(server)
    return server.port


async def _serve_websockets() -> int:
    from websockets.asyncio.server import ServerConnection, serve  # noqa: PLC0415  # only to compare

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    server = await serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=4096)
    _keep.append(server)
    return int(next(iter(server.sockets)).getsockname()[1])


async def _serve_aiohttp() -> int:
    from aiohttp import web  # noqa: PLC0415  # only to compare

    async def echo(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data)
        return response

    app = web.Application()
    app.router.add_get("/v1/ws", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    _keep.append(runner)
    return int(runner.addresses[0][1])


_keep: list[object] = []
_SERVERS = {"cooee": _serve_cooee, "websockets": _serve_websockets, "aiohttp": _serve_aiohttp}


def _used() -> dict[str, Any]:
    gc.collect()
    rss = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "time": time.monotonic(),
        "cpu": time.process_time(),
        "rss": rss,
        "traced": tracemalloc.get_traced_memory()[0],
    }


async def _child(library: str, *, trace: bool) -> None:
    _allow_files(1_000_000)
    if trace:
        tracemalloc.start()
    port = await _SERVERS[library]()
    print(json.dumps({"port": port}), flush=True)  # noqa: T201  # the parent reads it
    ended = asyncio.Event()

    def asked() -> None:
        data = os.read(0, 4096)
        if not data:
            ended.set()
            return
        for _ in data.splitlines():
            print(json.dumps(_used()), flush=True)  # noqa: T201  # the parent reads it

    asyncio.get_running_loop().add_reader(0, asked)
    await ended.wait()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        import uvloop  # noqa: PLC0415  # absent where it cannot be built
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def main() -> None:
    """Print the figures, or serve as the child process."""
    if sys.argv[1:2] == ["--serve"]:
        _run(_child(sys.argv[2], trace="--trace" in sys.argv))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES, default="cooee")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--size", type=int, default=200, help="bytes in a frame")
    parser.add_argument("--window", type=int, default=1, help="frames on their way on each of 100 connections")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    figures = _run(run(options.pop("library"), **options))
    if as_json:
        sys.stdout.write(f"{json.dumps(figures)}\n")
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:<28} {value}\n")


if __name__ == "__main__":
    main()
