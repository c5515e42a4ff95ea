"""`push`: messages to people who are away, until the push service of their browser has the notification."""

import asyncio
import base64
import contextlib
import os
import time
from functools import partial

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cooee.bench import traffic
from cooee.bench.connection import LoadConnection, connect_all
from cooee.bench.figures import Figures, Progress, no_progress, percentiles, share
from cooee.bench.reconnect import write_beside
from cooee.bench.target import Target
from cooee.domain.ids import direct_conversation_id

_BEFORE_S = 2.0
_LAST_S = 15.0
_AT_ONCE = 16
_CREATED = 201


class PushService:
    """A push service of browsers on this machine: it takes everything and notes when."""

    def __init__(self) -> None:
        self.sent_at: dict[str, float] = {}
        self.waits: list[float] = []
        self.complete = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen, and return the address."""
        app = web.Application()
        app.router.add_post("/{user}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        at = self.sent_at.pop(request.match_info["user"], None)
        if at is not None:
            self.waits.append(time.perf_counter() - at)
        if not self.sent_at:
            self.complete.set()
        await request.read()
        return web.Response(status=_CREATED)


async def run(server: Target, *, users: int, every: float, rate: float, progress: Progress = no_progress) -> Figures:
    """Write once to each of ``users``, who are away, while ``rate`` messages a second go between others."""
    service = PushService()
    address = await service.start()
    try:
        absent = await server.enrol(users, progress)
        await _subscribe(server, absent, address, progress)
        ((writer_id, token),) = await server.enrol(1)
        errors: list[bytes] = []
        (writer,) = await connect_all(server.url, [token], partial(_note_errors, errors))
        others = asyncio.create_task(write_beside(server, rate, users * every + 2 * _BEFORE_S))
        await asyncio.sleep(_BEFORE_S)
        cpu, began = server.cpu_s(), time.perf_counter()
        for number, (user_id, _) in enumerate(absent):
            service.sent_at[user_id] = time.perf_counter()
            writer.send(traffic.send(direct_conversation_id(writer_id, user_id), traffic.message_name(number)))
            progress("Messages", number, users)
            await asyncio.sleep(every)
        took, used = time.perf_counter() - began, server.cpu_s() - cpu
        beside = await others
        await _rest(service)
    finally:
        await service.stop()
    return {
        "scenario": "push",
        "users": users,
        "rate": rate,
        "seconds": round(took, 3),
        "notifications": len(service.waits),
        "lost": len(service.sent_at),
        "messages_per_s": beside["messages_per_s"],
        "errors": beside["errors"] + len(errors),
        "server_cores": round(used / took, 3) if server.pid else None,
        "push_ms": percentiles(service.waits),
        "push_p95_ms": share(service.waits, 0.95),
        "delivery_ms": beside["delivery_ms"],
    }


async def _rest(service: PushService) -> None:
    """Wait for the last notifications."""
    if service.sent_at:
        service.complete.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(service.complete.wait(), _LAST_S)


async def _subscribe(server: Target, users: list[tuple[str, str]], address: str, progress: Progress) -> None:
    """Give everybody a browser, all with the same keys: nobody reads what comes."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": _text(point), "auth": _text(os.urandom(16))}
    gate = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(base_url=server.url) as http:

        async def one(number: int, user_id: str, token: str) -> None:
            body = {"endpoint": f"{address}/{user_id}", "keys": keys}
            headers = {"Authorization": f"Bearer {token}"}
            async with gate, http.put("/v1/push/subscription", json=body, headers=headers) as answer:
                if not answer.ok:
                    raise ConnectionError(f"no subscription: {await answer.text()}")
            progress("Subscribing", number, len(users))

        await asyncio.gather(*(one(number, *user) for number, user in enumerate(users)))


def _note_errors(errors: list[bytes], _connection: LoadConnection, payload: bytes) -> None:
    if traffic.read(payload).type == "error":
        errors.append(payload)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
