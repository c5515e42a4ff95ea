"""Routing: one look-up, one batch per server, nothing that fails stops the next."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.domain.ids import DeviceRef
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.protocol.frames import Pong
from cooee.services.routes import Routes


class Gateway:
    """A server that keeps what is published to it, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Routed]] = []

    def receive(self, items: Sequence[Routed]) -> None:
        self.batches.append(items)

    @property
    def items(self) -> list[Routed]:
        return [item for batch in self.batches for item in batch]


class Scene:
    """Alice on gw-1, bob on gw-1 and gw-2, carol nowhere."""

    def __init__(self) -> None:
        self.sessions = MemorySessions()
        self.router = MemoryRouter()
        self.routes = Routes(self.sessions, self.router)
        self.one, self.two = Gateway(), Gateway()

    async def connect(self, user_id: str, device_id: str, server_id: str) -> None:
        await self.sessions.register(SessionEntry(user_id, device_id, server_id, f"c-{user_id}", "web", 0))

    async def start(self) -> None:
        await self.router.subscribe("gw-1", self.one.receive)
        await self.router.subscribe("gw-2", self.two.receive)
        await self.connect("alice", "d1", "gw-1")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.start()
    task = asyncio.get_running_loop().create_task(scene.routes.run())
    yield scene
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def item(*user_ids: str, frame: bytes = b"{}") -> Routed:
    return Routed(RouteKind.MESSAGE, user_ids, frame)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_posted_in_one_turn_leaves_in_one_batch(scene: Scene) -> None:
    first, second = item("alice", frame=b"1"), item("alice", frame=b"2")
    scene.routes.post(first)
    scene.routes.post(second)
    await turns()
    assert [list(batch) for batch in scene.one.batches] == [[first, second]]
    scene.routes.post(first)
    await turns()
    assert len(scene.one.batches) == 2


async def test_delivery_tells_who_is_online(scene: Scene) -> None:
    online = await scene.routes.deliver([item("alice", "carol"), item("carol")])
    assert [entry.device_id for entry in online["alice"]] == ["d1"]
    assert "carol" not in online
    assert scene.one.items == [item("alice", "carol")]


async def test_each_server_gets_its_own_users_in_order(scene: Scene) -> None:
    await scene.connect("bob", "d2", "gw-2")
    await scene.connect("bob", "d1", "gw-1")
    sent = [item("alice", "bob", "carol", frame=b"1"), item("bob", frame=b"2"), item("alice", frame=b"3")]
    await scene.routes.deliver(sent)
    assert scene.one.items == [item("alice", "bob", frame=b"1"), item("bob", frame=b"2"), item("alice", frame=b"3")]
    assert scene.two.items == [item("bob", frame=b"1"), item("bob", frame=b"2")]


async def test_events_are_encoded_and_narrowed(scene: Scene) -> None:
    device = DeviceRef("alice", "d1")
    scene.routes.to_user("alice", Pong(7), except_device=device)
    scene.routes.to_user("alice", b"raw", only_device="d2")
    await turns()
    first, second = scene.one.items
    assert (first.kind, first.frame, first.except_device) == (
        RouteKind.EVENT,
        b'{"type":"pong","serverTime":7}',
        device,
    )
    assert (second.frame, second.only_device) == (b"raw", "d2")


async def test_closing_names_code_and_reason(scene: Scene) -> None:
    scene.routes.close_device(DeviceRef("alice", "d1"), 4003, "revoked")
    scene.routes.close_user("alice", 4003, "account deleted")
    scene.routes.refresh(("alice",))
    await turns()
    device, user, refresh = scene.one.items
    assert (device.kind, device.frame, device.only_device) == (RouteKind.CLOSE, b"4003 revoked", "d1")
    assert (user.kind, user.frame, user.only_device) == (RouteKind.CLOSE, b"4003 account deleted", "")
    assert refresh.kind is RouteKind.REFRESH


async def test_a_failing_router_loses_the_batch_and_nothing_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(user_ids: Sequence[str]) -> dict[str, list[SessionEntry]]:
        raise OSError("the registry is away")

    with monkeypatch.context() as patch:
        patch.setattr(MemorySessions, "of_users", staticmethod(fail))
        scene.routes.post(item("alice"))
        await turns()
    assert scene.routes.dropped == 1
    scene.routes.post(item("alice"))
    await turns()
    assert scene.one.items == [item("alice")]


async def test_what_is_pending_is_bounded(scene: Scene) -> None:
    routes = Routes(scene.sessions, scene.router, max_pending=2)
    for _ in range(5):
        routes.post(item("alice"))
    assert routes.dropped == 3
