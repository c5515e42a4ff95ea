"""In-memory transports whose other end is in the test's hand."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from cooee.client.transport import Transport, TransportClosed, TransportName
from cooee.client.turn import Turn
from cooee.protocol import codec, frames
from tests.fakes.client_frames import welcome

Answer = Callable[["Wire", frames.ClientFrame], None]


def greet(wire: "Wire", frame: frames.ClientFrame) -> None:
    """Answer hello with a welcome, and say that nothing was missed."""
    if isinstance(frame, frames.Hello):
        wire.push(welcome(), frames.CaughtUp("t1"))


class Wire:
    """One transport; `push` and `shut` are the server's side, ``said`` is what the client said."""

    def __init__(
        self, name: TransportName = "websocket", answer: Answer = greet, refuse: Exception | None = None
    ) -> None:
        self.name: TransportName = name
        self.said: list[frames.ClientFrame] = []
        self.closed = False
        self._answer = answer
        self._refuse = refuse
        self._incoming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._spoke = asyncio.Condition()

    async def open(self) -> None:
        if self._refuse is not None:
            raise self._refuse

    async def send(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            frame = codec.decode_client(payload)
            self.said.append(frame)
            self._answer(self, frame)
        async with self._spoke:
            self._spoke.notify_all()

    async def receive(self) -> Sequence[bytes]:
        payload = await self._incoming.get()
        if isinstance(payload, Exception):
            raise payload
        return (payload,)

    async def close(self, code: int = 1000) -> None:
        self.closed = True

    def push(self, *pushed: frames.ServerFrame | bytes) -> None:
        for frame in pushed:
            self._incoming.put_nowait(frame if isinstance(frame, bytes) else codec.encode(frame))

    def shut(self, code: int, reason: str = "") -> None:
        self._incoming.put_nowait(TransportClosed(code, reason))

    async def heard(self, kind: type) -> frames.ClientFrame:
        """Wait until the client has said a frame of ``kind``, and return the last of them."""
        async with self._spoke:
            await self._spoke.wait_for(lambda: any(isinstance(frame, kind) for frame in self.said))
        return [frame for frame in self.said if isinstance(frame, kind)][-1]


class Plan:
    """Hands out the planned transports, one after the other; more are refused a test."""

    token = "secret"

    def __init__(self, wires: Iterable[Wire], *, list_error: Exception | None = None) -> None:
        self._wires = list(wires)
        self.list_error = list_error
        self.listed = 0

    def _take(self, name: TransportName) -> Transport:
        wire = self._wires.pop(0)
        assert wire.name == name, f"{wire.name} was to be next, {name} was asked for"
        return wire

    def websocket(self) -> Transport:
        return self._take("websocket")

    def longpoll(self) -> Transport:
        return self._take("longpoll")

    async def load_conversations(self) -> Callable[[Turn], None]:
        self.listed += 1
        if self.list_error is not None:
            raise self.list_error
        return _nothing

    async def load_details(self, conversation_id: str, *, roster: bool) -> Callable[[Turn], None]:
        return _nothing


def _nothing(turn: Turn) -> None:
    """Change nothing."""
