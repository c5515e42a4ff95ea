"""A changed conversation is told to live devices, noted for the others; nobody else hears of it (PROTOCOL.md §5)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

from cooee.domain.ids import DeviceRef
from cooee.ports.sessions import SessionEntry
from tests.fakes.memory_house import MemoryHouse

ANN, BOB = DeviceRef("ann", "d1"), DeviceRef("bob", "d1")
DM = "dm:ann:bob"


class Scene(MemoryHouse):
    """A house whose worker runs, and the frames that were posted."""

    async def online(self, device: DeviceRef) -> None:
        entry = SessionEntry(device.user_id, device.device_id, "gw-1", f"c-{device.device_id}", "test", 0)
        await self.house.ports.sessions.register(entry)

    async def posted(self) -> list[tuple[tuple[str, ...], DeviceRef | None, dict[str, object]]]:
        for _ in range(50):
            await self.settle()
        pending, self.house.routes._pending = self.house.routes._pending, []
        frames = [(item.user_ids, item.except_device, msgspec.json.decode(item.frame)) for item in pending]
        return [each for each in frames if each[2]["type"] == "conversation"]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    for user in ("ann", "bob"):
        await scene.user(user, devices=2)
    worker = asyncio.create_task(scene.house.own_conversations.run())
    yield scene
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker


async def test_live_devices_but_the_one_that_changed_it_are_told(scene: Scene) -> None:
    await scene.send(BOB, DM, "hi")
    await scene.online(ANN)
    await scene.online(DeviceRef("ann", "d2"))
    await scene.house.own_conversations.changed(["ann"], DM, except_device=ANN)
    [(users, unwanted, frame)] = await scene.posted()
    assert (users, unwanted) == (("ann",), ANN)
    assert frame["conversation"]["conversationId"] == DM  # type: ignore[index]  # a JSON object
    position = await scene.store.preferences.position("ann")
    assert frame["syncToken"] == f"1.{position}"


async def test_a_user_without_another_live_device_costs_no_snapshot(scene: Scene) -> None:
    await scene.send(BOB, DM, "hi")
    await scene.online(ANN)
    await scene.house.own_conversations.changed(["ann", "bob"], DM, except_device=ANN)
    assert await scene.posted() == []
    for user in ("ann", "bob"):
        assert await scene.store.preferences.position(user) > 0


async def test_who_is_added_to_a_group_hears_of_it_live(scene: Scene) -> None:
    await scene.online(BOB)
    group = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group.conversation_id
    [(users, _, frame)] = await scene.posted()
    assert users == ("bob",)
    assert (frame["conversation"]["conversationId"], frame["conversation"]["title"]) == (group, "Tea")  # type: ignore[index]


async def test_what_cannot_be_seen_is_not_told(scene: Scene) -> None:
    await scene.online(ANN)
    await scene.house.own_conversations.changed(["ann"], "group:none")
    assert await scene.posted() == []
