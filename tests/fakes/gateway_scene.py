"""A gateway over real services and the memory adapters, with connections and clock in the test's hand."""

import asyncio
from typing import Any, Self

import msgspec

from cooee.app.house import House
from cooee.domain.ids import DeviceRef
from cooee.gateway.connection import Receiver
from cooee.gateway.gateway import Gateway
from cooee.gateway.longpoll import PollBounds
from cooee.gateway.services import GatewayServices
from cooee.ports.accounts import Account
from cooee.ports.devices import Device
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.services.secrets import hash_token
from tests.fakes.memory_house import MemoryHouse

SERVER = "gw-1"
_TURNS = 60


class FakeConnection:
    """A `Connection` whose bytes stay here. ``answers_pings`` makes the peer alive; ``stuck`` bytes are not taken."""

    def __init__(self, *, answers_pings: bool = True) -> None:
        self.peer = "127.0.0.1"
        self.sent: list[bytes] = []
        self.read = 0
        self.pings = 0
        self.closed: tuple[int, str] | None = None
        self.stuck = 0
        self.answers_pings = answers_pings
        self.breaks = False
        self.receiver: Receiver | None = None

    @property
    def buffered(self) -> int:
        return self.stuck

    def send(self, payload: bytes) -> None:
        if self.breaks:
            raise RuntimeError("planted")
        if self.closed is None:
            self.sent.append(payload)

    def ping(self) -> None:
        self.pings += 1
        if self.answers_pings and self.receiver is not None:
            self.receiver.bytes_received()

    def close(self, code: int, reason: str = "") -> None:
        if self.closed is None:
            self.closed = (int(code), reason)
            asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.close(1006)

    def lose(self) -> None:
        """End the connection, once."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.connection_lost()


class Client:
    """What a test does with one connection: say frames, and look at what came since it last looked."""

    def __init__(self, scene: "GatewayScene", connection: FakeConnection) -> None:
        self.scene = scene
        self.connection = connection

    @property
    def close_code(self) -> int | None:
        """The code it was closed with."""
        return None if self.connection.closed is None else self.connection.closed[0]

    def say_raw(self, payload: bytes) -> None:
        """Send bytes."""
        receiver = self.connection.receiver
        if receiver is not None:
            receiver.bytes_received()
            receiver.frame_received(payload)

    def say(self, kind: str, **fields: Any) -> None:
        """Send one frame, its fields named as on the wire."""
        self.say_raw(msgspec.json.encode({"type": kind, **fields}))

    async def got(self) -> list[Any]:
        """Return the frames that came since the last look."""
        await self.scene.settle()
        new = self.connection.sent[self.connection.read :]
        self.connection.read += len(new)
        return [frame for frame in map(decode_server, new) if frame is not None]

    async def messages(self) -> list[int]:
        """Return the numbers of the messages among what came."""
        return [frame.sequence_number for frame in await self.got() if isinstance(frame, frames.MessageFrame)]

    async def errors(self) -> list[tuple[str, str | None]]:
        """Return code and ref of the errors among what came."""
        return [(frame.code, frame.ref) for frame in await self.got() if isinstance(frame, frames.Error)]

    def send(self, conversation_id: str, text: str, name: str) -> None:
        """Send a text."""
        self.say("send", clientMessageId=name, conversationId=conversation_id, contentType="text", content=text)

    def received(self, conversation_id: str, number: int) -> None:
        """Acknowledge."""
        self.say("received", conversationId=conversation_id, sequenceNumber=number)


class GatewayScene:
    """Use as an async context manager. Time passes only by `advance`."""

    def __init__(self, *, poll_bounds: PollBounds | None = None, **limits: Any) -> None:
        self.memory = MemoryHouse(**limits)
        self.house: House = self.memory.house
        self.clock = self.memory.clock
        self.store = self.memory.store
        house = self.house
        self.limits = house.budgets.limits
        self.services = GatewayServices(
            messages=house.messages,
            receipts=house.receipts,
            sync=house.sync,
            views=house.views,
            presence=house.presence,
            typing=house.typing,
            devices=house.devices,
            to_device=house.to_device,
            conversation_list=house.conversations,
            sessions=house.ports.sessions,
            router=house.ports.router,
            push_queue=house.ports.push_queue,
        )
        self.gateway = Gateway(self.services, SERVER, self.limits, self.clock, poll_bounds)
        self._tasks: list[asyncio.Task[None]] = []
        self._names = 0

    async def __aenter__(self) -> Self:
        await self.house.presence.start()
        await self.route(True)
        for work in (self.house.routes.run(), self.house.fanout.run(), self.house.wakeups.run()):
            self._tasks.append(asyncio.get_running_loop().create_task(work))
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.house.passwords.close()

    async def route(self, on: bool) -> None:
        """Let live routing reach the gateway, or lose everything."""
        if on:
            await self.house.ports.router.subscribe(SERVER, self.gateway.receive)
        else:
            await self.house.ports.router.unsubscribe(SERVER)

    async def person(self, user_id: str, devices: int = 1) -> None:
        """Make an account with devices ``d1`` …, each logged in."""
        now = self.clock.wall_ms()
        await self.store.accounts.create(Account(user_id, user_id.title(), "", now))
        for number in range(1, devices + 1):
            token_hash = hash_token(f"{user_id}-{number}")
            device = Device(user_id, f"d{number}", "test", "test", token_hash, now, now)
            await self.store.devices.create(device)
            await self.store.cursors.start_device(device.ref)

    def connect(self, *, answers_pings: bool = True) -> Client:
        """Open a connection that has said nothing."""
        connection = FakeConnection(answers_pings=answers_pings)
        connection.receiver = self.gateway.new_session(connection)
        return Client(self, connection)

    async def client(self, user_id: str, number: int = 1, *, answers_pings: bool = True, **hello: Any) -> Client:
        """Connect a device and say hello; what it gets up to ``caught_up`` is still to be looked at."""
        client = self.connect(answers_pings=answers_pings)
        client.say("hello", token=f"{user_id}-{number}", **hello)
        await self.settle()
        return client

    async def online(self, user_id: str, number: int = 1, *, answers_pings: bool = True) -> Client:
        """Connect a device and look at what it gets."""
        client = await self.client(user_id, number, answers_pings=answers_pings)
        await client.got()
        return client

    async def message(self, sender: str, conversation_id: str, device_id: str = "d1", text: str = "hi") -> int:
        """Send a text past the gateway; return its number."""
        self._names += 1
        frame = frames.Send(f"m{self._names}", "text", msgspec.Raw(msgspec.json.encode(text)), conversation_id)
        ack = await self.house.messages.send_and_wait(DeviceRef(sender, device_id), frame)
        await self.settle()
        assert ack.sequence_number is not None
        return ack.sequence_number

    async def advance(self, seconds: float, *, step: float = 0.25) -> None:
        """Let time pass, tick by tick."""
        passed = 0.0
        while passed < seconds:
            self.clock.advance(step)
            passed += step
            self.gateway.tick()
            await self.settle()

    async def settle(self) -> None:
        """Let everything happen that can happen without time passing."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
