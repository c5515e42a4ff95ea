"""Raw clients written from PROTOCOL.md alone: frames over WebSocket (`websockets`) and over long polling (`aiohttp`).

Nothing of the server's or the SDK's code is used. Both kinds have one face, so that one scenario runs over both.
"""

import asyncio
import contextlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]
DEADLINE_S = 20.0
"""How long anything expected may take on a busy machine. A pass never waits for it."""
_refs = itertools.count(1)


class Closing(NamedTuple):
    """How the server ended a connection; code 1006: without saying so."""

    code: int
    reason: str


class Refused(Exception):
    """An HTTP request was refused: its status, and its body as parsed JSON."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.code = body["error"]["code"] if isinstance(body, dict) and "error" in body else ""


class Wire:
    """The way to one server: its address, and connections that are used again until `renew`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = _new_client()

    async def renew(self) -> None:
        """Drop all connections: the server at their other end is gone."""
        await self.client.close()
        self.client = _new_client()

    async def aclose(self) -> None:
        """Close for good."""
        await self.client.close()


def _new_client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


class Http:
    """The HTTP API of one server, for one device or for nobody."""

    def __init__(self, wire: Wire, token: str = "") -> None:
        self.wire = wire
        self.token = token

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the parsed answer, None when it is empty.

        Raises:
            Refused: the status is not 2xx.
        """
        given = dict(headers)
        if self.token:
            given.setdefault("authorization", f"Bearer {self.token}")
        async with self.wire.client.request(
            method, self.wire.url + path, json=body, headers=given, timeout=aiohttp.ClientTimeout(60)
        ) as answer:
            text = await answer.text()
            parsed = json.loads(text) if text.startswith(("{", "[")) else text or None
            if answer.status >= 300:
                raise Refused(answer.status, parsed)
            return parsed


class Peer(ABC):
    """One connection of one device. What it got and nobody has asked for yet waits in ``inbox``; ``log`` keeps all."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.inbox: list[Frame] = []
        self._taken: set[tuple[str, int]] = set()
        self.log: list[Frame] = []
        self.welcome: Frame = {}
        self.on_frame: Callable[[Frame], None] | None = None
        self._came = asyncio.Event()
        self._closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None

    # --- what differs -------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _connect(self, hello: Frame) -> None:
        """Connect, with ``hello`` as the first frame."""

    @abstractmethod
    async def _read(self) -> Closing:
        """Give every frame to `_got` until the connection ends."""

    @abstractmethod
    async def put(self, text: str) -> None:
        """Send raw text as one frame."""

    @abstractmethod
    async def _leave(self) -> None:
        """Disconnect."""

    # --- what is the same ---------------------------------------------------------------------------------------------

    async def open(self, **fields: Any) -> Self:
        """Connect and say hello, without waiting for the answer."""
        await self._connect({"type": "hello", "token": self.http.token, "client": "raw/1"} | fields)
        self._reading = asyncio.create_task(self._run())
        return self

    async def hello(self, **fields: Any) -> Self:
        """Connect, say hello and be welcomed."""
        await self.open(**fields)
        self.welcome = await self.expect("welcome")
        return self

    async def send(self, type_: str, **fields: Any) -> None:
        """Send one frame."""
        await self.put(json.dumps({"type": type_} | fields))

    async def ask(self, type_: str, **fields: Any) -> Frame:
        """Send one frame with a fresh ``ref`` and return what answers it."""
        ref = f"r{next(_refs)}"
        await self.send(type_, ref=ref, **fields)
        return await self.expect(ref=ref)

    async def say(self, conversation_id: str, text: str, **fields: Any) -> Frame:
        """Send a text and return its ``ack``."""
        fields = {"clientMessageId": f"m{next(_refs)}"} | fields
        ack = await self.ask("send", conversationId=conversation_id, contentType="text", content=text, **fields)
        assert ack["type"] == "ack", ack
        return ack

    async def expect(self, type_: str = "", **fields: Any) -> Frame:
        """Take the first frame out of the inbox that has this type and these fields, waiting for it if need be."""
        wanted = ({"type": type_} if type_ else {}) | fields
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    for frame in self.inbox:
                        if _has(frame, wanted):
                            self.inbox.remove(frame)
                            return frame
                    if self._closing.done():
                        break
                    self._came.clear()
                    await self._came.wait()
        closing = self._closing.result() if self._closing.done() else "open"
        raise AssertionError(f"no {wanted} came; the connection is {closing}; there is {self.inbox}")

    async def messages(self, count: int, conversation_id: str = "") -> list[Frame]:
        """Take ``count`` messages, in the order in which they came first; what a busy server sent again is dropped."""
        found: list[Frame] = []
        while len(found) < count:
            [frame] = await self.copies(1, conversation_id)
            key = (frame["conversationId"], frame["sequenceNumber"])
            if key not in self._taken:
                self._taken.add(key)
                found.append(frame)
        return found

    async def copies(self, count: int, conversation_id: str = "") -> list[Frame]:
        """Take ``count`` ``message`` frames, resends too, in the order in which they came."""
        where: Frame = {"conversationId": conversation_id} if conversation_id else {}
        return [await self.expect("message", **where) for _ in range(count)]

    def take(self, type_: str, **fields: Any) -> list[Frame]:
        """Take what is there already."""
        wanted = {"type": type_} | fields
        found = [frame for frame in self.inbox if _has(frame, wanted)]
        self.inbox = [frame for frame in self.inbox if not _has(frame, wanted)]
        return found

    async def settle(self) -> None:
        """Let everything arrive that the server had sent to this connection when it was asked."""
        await self.ask("ping")

    async def caught_up(self) -> Frame:
        """Wait for the end of catching up."""
        return await self.expect("caught_up")

    async def closed(self) -> Closing:
        """Wait for the server to end the connection."""
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.shield(self._closing)

    @property
    def is_closed(self) -> bool:
        """Whether the server has ended the connection."""
        return self._closing.done()

    async def leave(self) -> None:
        """End the connection."""
        reading, self._reading = self._reading, None
        await self._leave()
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        if not self._closing.done():
            self._closing.set_result(Closing(1000, "left"))
        self._came.set()

    async def _run(self) -> None:
        closing = await self._read()
        if not self._closing.done():
            self._closing.set_result(closing)
        self._came.set()

    def _got(self, frame: Frame) -> None:
        self.log.append(frame)
        self.inbox.append(frame)
        if self.on_frame is not None:
            self.on_frame(frame)
        self._came.set()


class WebSocketPeer(Peer):
    """Frames over a WebSocket."""

    socket: ClientConnection

    async def _connect(self, hello: Frame) -> None:
        url = "ws" + self.http.wire.url.removeprefix("http") + "/v1/ws"
        self.socket = await connect(url, max_size=None, ping_interval=None, compression=None, open_timeout=DEADLINE_S)
        await self.socket.send(json.dumps(hello))

    async def _read(self) -> Closing:
        try:
            async for text in self.socket:
                self._got(json.loads(text))
        except ConnectionClosed:
            pass
        return Closing(self.socket.close_code or 1006, self.socket.close_reason or "")

    async def put(self, text: str) -> None:
        await self.socket.send(text)

    async def _leave(self) -> None:
        await self.socket.close()


class LongPollPeer(Peer):
    """Frames over `POST /v1/poll` (PROTOCOL.md §12).

    A frame to send ends the poll that waits. At most two requests are under way: the server keeps their order.
    """

    wait_ms = 25_000

    def __init__(self, http: Http) -> None:
        super().__init__(http)
        self.session = ""
        self._numbers = itertools.count(1)
        self._acked = 0
        self._pending: list[str] = []
        self._something = asyncio.Event()

    async def poll(self, frames: list[str], wait_ms: int | None = None) -> Frame:
        """Make the next poll and return its answer."""
        session = f'"session":{json.dumps(self.session)},' if self.session else ""
        wait = self.wait_ms if wait_ms is None else wait_ms
        body = (
            f'{{{session}"requestNumber":{next(self._numbers)},"ack":{self._acked},"waitMs":{wait},'
            f'"frames":[{",".join(frames)}]}}'
        )
        return await self.post(body)

    async def post(self, body: str) -> Frame:
        """Post a body as it is.

        Raises:
            Refused: the status is not 200.
        """
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.http.token}"}
        async with self.http.wire.client.post(
            self.http.wire.url + "/v1/poll", data=body.encode("utf-8", "surrogatepass"), headers=headers
        ) as answer:
            parsed: Frame = await answer.json(content_type=None)
            if answer.status != 200:
                raise Refused(answer.status, parsed)
            return parsed

    async def _connect(self, hello: Frame) -> None:
        first = await self.poll([json.dumps(hello)], 0)
        self.session = first["session"]
        self._take_answer(first)

    def _take_answer(self, answer: Frame) -> Closing | None:
        if answer["frames"] and answer["answerNumber"] == self._acked + 1:
            self._acked += 1
            for frame in answer["frames"]:
                self._got(frame)
        closed = answer.get("closed")
        return Closing(closed["code"], closed.get("reason", "")) if closed else None

    async def _read(self) -> Closing:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not self._closing.done():
                pending, self._pending = self._pending, []
                self._something.clear()
                newest = asyncio.create_task(self._one(pending))
                under_way.add(newest)
                while not newest.done() and (len(under_way) > 1 or not self._something.is_set()):
                    something = asyncio.create_task(self._something.wait())
                    watched = under_way if self._something.is_set() else {*under_way, something}
                    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                    something.cancel()
                    under_way = {one for one in under_way if not one.done()}
        finally:
            for one in under_way:
                one.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return self._closing.result()

    async def _one(self, frames: list[str]) -> None:
        try:
            closing = self._take_answer(await self.poll(frames))
        except Refused as refused:
            closing = Closing(refused.status, refused.code)
        except aiohttp.ClientError:
            closing = Closing(1006, "")
        if closing is not None and not self._closing.done():
            self._closing.set_result(closing)

    async def put(self, text: str) -> None:
        self._pending.append(text)
        self._something.set()

    async def _leave(self) -> None:
        """Stop polling: there is no other way to leave."""


PEERS: Mapping[str, type[Peer]] = {"websocket": WebSocketPeer, "longpoll": LongPollPeer}


def _has(frame: Frame, wanted: Mapping[str, Any]) -> bool:
    return all(name in frame and frame[name] == value for name, value in wanted.items())
