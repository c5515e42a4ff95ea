"""The checkers notice: one story, told to the real server and to servers that each have one bug planted in them."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from tests.integration import checker
from tests.integration.checker import Violation, check_all
from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Peer
from tests.integration.scene import Person, Scene, dm
from tests.integration.seen import DeviceRecord, Look, Record

PROGRAM = ("-m", "tests.integration.planted")
SETTINGS = {"LIMITS_LARGE_GROUP_MEMBERS": "3"}
CAUGHT_BY: dict[str, Callable[[Record], None]] = {
    "ack_before_commit": checker.check_acks,
    "receipt_before_commit": checker.check_watermarks,
    "dedup_in_memory": checker.check_copies,
    "watermark_not_max": checker.check_watermarks,
    "hint_as_delivery": checker.check_watermarks,
    "lost_frame": checker.check_order,
    "sequence_hole": checker.check_numbers,
    "nothing_missed": checker.check_convergence,
}
PATIENCE_S = 2.0


@pytest.fixture
def transport() -> str:
    """The bugs lie behind both transports."""
    return "websocket"


class Story:
    """Alice talks to Bob and in a large group; he comes and goes; the server is killed."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.record = Record()
        self._devices: dict[str, DeviceRecord] = {}

    async def tell(self) -> Record:
        """Live through all of it and return what was seen."""
        alice, bob, carol = await self.scene.people("alice", "bob", "carol")
        chat = dm(alice, bob)
        body = {"name": "Large", "memberIds": [bob.user_id, carol.user_id]}
        group = (await alice.http("POST", "/v1/groups", body))["conversationId"]
        a, b = await self.connect(alice), await self.connect(bob)
        for _ in range(6):
            await self.wait_for(b, chat, await self.say(a, alice, chat))
        await self.receive(bob, b, chat, 6)
        await b.send("received", conversationId=chat, sequenceNumber=2)
        await b.leave()
        for _ in range(3):
            await self.say(a, alice, group)
        b = await self.connect(bob)
        await b.caught_up()
        await self.look(bob)
        await self.say(a, alice, chat, "twice")
        await self.say(a, alice, chat, "acked")
        await self.crash()
        await self.look(bob)
        a = await self.connect(alice)
        await self.say(a, alice, chat, "twice")
        late = await self.say(a, alice, chat)
        b = await self.connect(bob)
        await self.wait_for(b, chat, late)
        await self.receive(bob, b, chat, late)
        await self.crash()
        await self.look(bob)
        a, b = await self.connect(alice), await self.connect(bob)
        await self.bring_to_end(alice, a, bob, b, (chat, group))
        return self.record

    async def crash(self) -> None:
        """Kill the server at once, before anything that was promised too early can become true."""
        self.scene.server.kill9()
        await self.scene.restart()

    async def bring_to_end(self, alice: Person, a: Peer, bob: Person, b: Peer, places: tuple[str, ...]) -> None:
        await asyncio.gather(a.caught_up(), b.caught_up())
        for place in places:
            self.record.histories[place] = await alice.history(place)
        for place in places[1:]:
            for peer in (a, b):
                await peer.ask("fetch", conversationId=place, after=0)
        for person in (alice, bob):
            await self.look(person)

    async def connect(self, person: Person) -> Peer:
        if person.user_id not in self._devices:
            self._devices[person.user_id] = DeviceRecord(person.user_id, person.device_id)
            self.record.devices.append(self._devices[person.user_id])
        peer = await person.connect()
        self._devices[person.user_id].connections.append(peer.log)
        return peer

    async def say(self, peer: Peer, person: Person, place: str, message_id: str = "") -> int:
        message_id = message_id or f"m{len(self.record.contents)}"
        self.record.contents[person.user_id, person.device_id, message_id] = message_id
        ack = await peer.say(place, message_id, clientMessageId=message_id)
        return int(ack["sequenceNumber"])

    async def receive(self, person: Person, peer: Peer, place: str, number: int) -> None:
        self._devices[person.user_id].told[place] = number
        await peer.ask("received", conversationId=place, sequenceNumber=number)

    async def wait_for(self, peer: Peer, place: str, number: int) -> None:
        """Wait for a message, which a bug may keep for ever: then the checkers say so."""
        with contextlib.suppress(AssertionError, TimeoutError):
            await asyncio.wait_for(peer.expect("message", conversationId=place, sequenceNumber=number), PATIENCE_S)

    async def look(self, person: Person) -> None:
        device = self._devices[person.user_id]
        seen = [len(frames) for frames in device.connections]
        page = await person.http("GET", "/v1/conversations")
        device.looks.append(Look({one["conversationId"]: one for one in page["items"]}, seen, dict(device.told)))


@pytest.mark.crash
async def test_the_story_holds_on_the_real_server(new_scene: NewScene, new_server: NewServer) -> None:
    check_all(await Story(new_scene(new_server(program=PROGRAM, **SETTINGS))).tell())


@pytest.mark.crash
@pytest.mark.parametrize("plant", CAUGHT_BY)
async def test_a_planted_bug_is_noticed(new_scene: NewScene, new_server: NewServer, plant: str) -> None:
    scene = new_scene(new_server(program=PROGRAM, TEST_PLANT=plant, **SETTINGS))
    record = await Story(scene).tell()
    with pytest.raises(Violation):
        CAUGHT_BY[plant](record)
