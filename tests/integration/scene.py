"""People with devices on a running server: what a scenario begins with."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.integration.harness import ServerProcess
from tests.integration.peers import DEADLINE_S, PEERS, Frame, Http, Peer, Wire

_numbers = itertools.count(1)
PASSWORD = "correct horse"


def dm(a: "Person", b: "Person") -> str:
    """Return the id of the direct chat of two people."""
    return "dm:{}:{}".format(*sorted([a.user_id, b.user_id]))


def numbers(frames: Sequence[Frame]) -> list[int]:
    """Return the sequence numbers of frames."""
    return [frame["sequenceNumber"] for frame in frames]


class Person:
    """An account; ``http`` is the API as its first device sees it."""

    def __init__(self, scene: "Scene", user_id: str) -> None:
        self.scene = scene
        self.user_id = user_id
        self.http = Http(scene.wire)
        self.device_id = ""

    async def log_in(self, **device: Any) -> Http:
        """Log in another device and return its API."""
        body = {"userId": self.user_id, "password": PASSWORD, "device": {"name": "test"} | device}
        answer = await self.scene.http("POST", "/v1/sessions", body)
        self.device_id = answer["deviceId"]
        return Http(self.scene.wire, answer["token"])

    async def connect(self, device: Http | None = None, transport: str = "", **hello: Any) -> Peer:
        """Open a connection of the first or of the given device, and be welcomed."""
        return await self.scene.peer(device or self.http, transport).hello(**hello)

    async def ready(self, device: Http | None = None, transport: str = "", **hello: Any) -> Peer:
        """As `connect`, and catch up."""
        peer = await self.connect(device, transport, **hello)
        await peer.caught_up()
        return peer

    async def conversation(self, conversation_id: str, device: Http | None = None) -> Frame:
        """Return the conversation's snapshot."""
        found: Frame = await (device or self.http)("GET", f"/v1/conversations/{conversation_id}")
        return found

    async def history(self, conversation_id: str) -> list[Frame]:
        """Read the whole conversation, page by page, by HTTP."""
        found: list[Frame] = []
        after, complete = 0, False
        while not complete:
            path = f"/v1/conversations/{conversation_id}/messages?after={after}&limit=200"
            page = await self.http("GET", path)
            assert page["coveredFrom"] == after + 1
            found += page["messages"]
            after, complete = page["coveredThrough"], page["complete"]
        return found


class Scene:
    """One test's people and connections on one server; ``transport`` is how they connect unless told otherwise."""

    def __init__(self, server: ServerProcess, transport: str) -> None:
        self.server = server
        self.transport = transport
        self.wire = Wire(server.url)
        self.http = Http(self.wire)
        self._peers: list[Peer] = []

    async def people(self, *names: str) -> list[Person]:
        """Register accounts with unique ids that begin with ``names``, and log in a device of each."""
        return list(await asyncio.gather(*map(self.person, names)))

    async def person(self, name: str) -> Person:
        """Register one account and log in a device."""
        person = Person(self, f"{name}{next(_numbers)}")
        await self.http("POST", "/v1/accounts", {"userId": person.user_id, "password": PASSWORD})
        person.http = await person.log_in()
        return person

    def peer(self, device: Http, transport: str = "") -> Peer:
        """Return a connection that is not opened yet."""
        peer = PEERS[transport or self.transport](device)
        self._peers.append(peer)
        return peer

    async def restart(self, **settings: str) -> None:
        """Kill the server with ``kill -9`` and start it again on the same folder and port."""
        await asyncio.gather(*(peer.leave() for peer in self._peers), return_exceptions=True)
        self.server.kill9()
        self.server.start(**settings)
        await self.wire.renew()

    async def metric(self, name: str) -> float:
        """Return a metric of the server, 0 when it is not there."""
        text = await self.http("GET", "/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def reaches(self, name: str, value: float) -> bool:
        """Tell whether a metric is at least ``value``."""
        return await self.metric(name) >= value

    async def until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is so that nobody announces."""
        async with asyncio.timeout(DEADLINE_S):
            while not await happened():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def aclose(self) -> None:
        """End all connections."""
        await asyncio.gather(*(peer.leave() for peer in self._peers), return_exceptions=True)
        await self.wire.aclose()
