"""Clients that talk, listen, stall and come back at random, seeded, and keep a record of everything they saw.

Each keeps the rules that PROTOCOL.md sets to a client: an outbox until the number is known, positions without holes.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Sequence

import aiohttp
from websockets.exceptions import WebSocketException

from tests.integration.peers import Http, Peer, Refused
from tests.integration.scene import Person, Scene, dm
from tests.integration.seen import DeviceRecord, Frame, Look, Record

TROUBLE = (OSError, aiohttp.ClientError, WebSocketException, Refused, TimeoutError, EOFError)
RETRY_S = 0.05


class Talker:
    """One device. ``lazy``: it acknowledges nothing until `finish`."""

    def __init__(
        self, scene: Scene, person: Person, http: Http, places: Sequence[str], seed: str, *, lazy: bool = False
    ) -> None:
        self.scene = scene
        self.http = http
        self.places = places
        self.record = DeviceRecord(person.user_id, person.device_id)
        self.contents: dict[tuple[str, str, str], str] = {}
        self.outbox: dict[str, Frame] = {}
        self._random = random.Random(seed)
        self._lazy = lazy
        self._transport = self._random.choice(["websocket", "websocket", "longpoll"])
        self._have: dict[str, set[int]] = {}
        self._position: dict[str, int] = {}
        self._hinted: dict[str, int] = {}
        self._due: set[str] = set()
        self._sent = 0
        self._changed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Talk and listen until told to stop, over as many connections as it takes."""
        while not stop.is_set():
            try:
                peer = await self._connect()
                await self._talk(peer, stop)
                await peer.leave()
            except TROUBLE:
                await asyncio.sleep(RETRY_S)

    async def finish(self) -> None:
        """Come back, have every message in the outbox acknowledged, and leave."""
        peer = await self._connect()
        while self.outbox:
            assert not peer.is_closed
            await self._wait()
        await peer.leave()

    async def converge(self, heads: dict[str, int]) -> None:
        """Come back and receive everything up to ``heads``; acknowledge it with proof."""
        self._lazy = False
        peer = await self._connect()
        while any(self._position.get(place, 0) < head for place, head in heads.items()):
            assert not peer.is_closed, peer.log[-3:]
            await self._acknowledge(peer)
            await self._fetch(peer)
            await self._wait()
        for place in heads:
            self._say(place)
            receipt = await peer.ask("received", conversationId=place, sequenceNumber=self._position[place])
            assert receipt["type"] == "receipt", receipt
        await peer.leave()

    async def look(self) -> None:
        """Note how the server describes the conversations now."""
        seen = [len(frames) for frames in self.record.connections]
        page = await self.http("GET", "/v1/conversations?limit=100")
        found = {one["conversationId"]: one for one in page["items"]}
        self.record.looks.append(Look(found, seen, dict(self.record.told)))

    async def _connect(self) -> Peer:
        peer = self.scene.peer(self.http, self._transport)
        peer.on_frame = self._got
        self.record.connections.append(peer.log)
        await peer.open()
        while not peer.log:
            if peer.is_closed:
                raise ConnectionResetError
            await self._wait()
        for frame in tuple(self.outbox.values()):
            await peer.put(json.dumps(frame))
        return peer

    async def _talk(self, peer: Peer, stop: asyncio.Event) -> None:
        turns = self._random.randrange(20, 400)
        while turns and not stop.is_set() and not peer.is_closed:
            turns -= 1
            if self._random.random() < 0.4:
                await peer.put(json.dumps(self._new_message()))
            if self._random.random() < 0.02:
                await self._post()
            if not self._lazy and self._random.random() < 0.2:
                await self._acknowledge(peer)
            if self._random.random() < 0.1:
                await self._fetch(peer)
            await asyncio.sleep(self._random.random() * 0.01)

    def _new_message(self) -> Frame:
        """Put a message into the outbox, and return the frame that sends it."""
        self._sent += 1
        message_id = f"m{self._sent}"
        frame = {
            "type": "send",
            "clientMessageId": message_id,
            "conversationId": self._random.choice(self.places),
            "contentType": "text",
            "content": f"{self.record.user_id} {self._sent}",
        }
        self.outbox[message_id] = frame
        self.contents[self.record.user_id, self.record.device_id, message_id] = str(frame["content"])
        return frame

    async def _post(self) -> None:
        """Send a message by HTTP. When no answer comes, the next connection sends it again."""
        answer: list[Frame] = []
        self.record.connections.append(answer)
        ack = await self.http("POST", "/v1/messages", self._new_message())
        answer.append(ack)
        self._got(ack)

    async def _acknowledge(self, peer: Peer) -> None:
        """Say what was received, or that it was read; now and then ask for an answer."""
        due, self._due = self._due, set()
        for place in due:
            self._say(place)
            asked = {"ref": "seen"} if self._random.random() < 0.3 else {}
            type_ = "read" if self._random.random() < 0.3 else "received"
            await peer.send(type_, conversationId=place, sequenceNumber=self._position[place], **asked)

    def _say(self, place: str) -> None:
        self.record.told[place] = max(self.record.told.get(place, 0), self._position[place])

    async def _fetch(self, peer: Peer) -> None:
        """Fetch what was only hinted, one page of it."""
        for place, head in self._hinted.items():
            if self._position.get(place, 0) < head:
                await peer.send("fetch", conversationId=place, after=self._position.get(place, 0), limit=200)

    async def _wait(self) -> None:
        """Wait until a frame comes, but not for ever: a connection may have ended."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.2)

    def _got(self, frame: Frame) -> None:
        self._changed.set()
        match frame["type"]:
            case "ack" if frame["status"] == "sent":
                self.outbox.pop(frame["clientMessageId"], None)
                self._hold(frame["conversationId"], [frame["sequenceNumber"]])
            case "message":
                self._hold(frame["conversationId"], [frame["sequenceNumber"]])
            case "messages":
                self._hold(frame["conversationId"], range(frame["coveredFrom"], frame["coveredThrough"] + 1))
            case "timeline":
                self._hinted[frame["conversationId"]] = frame["lastSequenceNumber"]

    def _hold(self, place: str, numbers: Sequence[int]) -> None:
        have = self._have.setdefault(place, set())
        have.update(numbers)
        position = self._position.get(place, 0)
        while position + 1 in have:
            position += 1
        self._position[place] = position
        self._due.add(place)


class Crowd:
    """Five people with seven devices, who talk in pairs, in a small group and in a large one."""

    def __init__(self, scene: Scene, talkers: Sequence[Talker], witness: Person, places: Sequence[str]) -> None:
        self.scene = scene
        self.talkers = talkers
        self._witness = witness
        self._places = places
        self._stop = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to talk."""
        self._stop = asyncio.Event()
        self._running = [asyncio.create_task(talker.run(self._stop)) for talker in self.talkers]

    async def stop(self) -> None:
        """Fall silent, as soon as the server takes it."""
        self._stop.set()
        await asyncio.gather(*self._running)

    async def busy(self) -> None:
        """Wait until messages are under way."""
        while not any(talker.outbox for talker in self.talkers):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)

    async def look(self) -> None:
        """Have everybody note what the server says of the conversations."""
        await asyncio.gather(*(talker.look() for talker in self.talkers))

    async def record(self) -> Record:
        """Bring everything to its end and return what was seen."""
        await asyncio.gather(*(talker.finish() for talker in self.talkers))
        await self.look()
        histories = {place: await self._witness.history(place) for place in self._places}
        heads = {place: len(history) for place, history in histories.items()}
        heads = {place: head for place, head in heads.items() if head}
        await asyncio.gather(*(talker.converge(self._own(talker, heads)) for talker in self.talkers))
        await self.look()
        record = Record([talker.record for talker in self.talkers], histories=histories)
        for talker in self.talkers:
            record.contents |= talker.contents
        return record

    def _own(self, talker: Talker, heads: dict[str, int]) -> dict[str, int]:
        return {place: head for place, head in heads.items() if place in talker.places}


async def gather_crowd(scene: Scene, seed: int) -> Crowd:
    """Register everybody and found the groups. The first person is in every conversation and reads them in the end."""
    people = await scene.people("ada", "bea", "cleo", "dora", "emma")
    first = people[0]
    groups = []
    for members in (people[1:3], people[1:]):
        body = {"name": "Group", "memberIds": [member.user_id for member in members]}
        groups.append((await first.http("POST", "/v1/groups", body))["conversationId"])
    small, large = groups
    talkers = []
    for number, person in enumerate(people):
        places = [dm(first, person), large] + ([small] if number < 3 else [])
        if number == 0:
            places += [dm(first, other) for other in people[1:]]
        seeds = f"{seed}.{number}"
        talkers.append(Talker(scene, person, person.http, places, seeds, lazy=number == 1))
        if number in (0, 2):
            device = await person.log_in()
            talkers.append(Talker(scene, person, device, places, f"{seeds}.2"))
    everywhere = [*groups, *(dm(first, person) for person in people)]
    return Crowd(scene, talkers, first, everywhere)
