"""What is remembered of lists: for a moment, bounded, and never against a change that is known."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cooee.domain.conversation import Member, Role
from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef
from cooee.ports.device_keys import CurrentDevices, DeviceList
from cooee.services import device_lists
from cooee.services.conversation_view import ConversationView
from cooee.services.device_lists import CACHE_S, DeviceLists, current_of, hash_of
from tests.fakes.clock import ManualClock


class Keys:
    """`DeviceKeys.current`: answers when a test says, counts what it was asked."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, ...]] = []
        self.gate: asyncio.Event | None = None

    async def current(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices]:
        """Return what there is now."""
        self.asked.append(tuple(user_ids))
        found = {
            user_id: CurrentDevices(DeviceList(user_id, 1, "A", "p", "s", devices), dict(devices))
            for user_id, devices in self.devices.items()
            if user_id in user_ids
        }
        if self.gate is not None:
            await self.gate.wait()
        return found


class Scene:
    """A cache over keys, with a clock in the test's hand."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.keys.devices = {"ann": {"d1": "K1"}, "bob": {"d1": "K2", "d2": "K3"}}
        self.clock = ManualClock()
        keys: Any = self.keys
        self.lists = DeviceLists(keys, self.clock.monotonic)


@pytest.fixture
def scene() -> Scene:
    """Return ann with one device, and bob with two."""
    return Scene()


def group(version: int, *user_ids: str) -> ConversationView:
    """Return a group."""
    members = {user_id: Member(user_id, Role.MEMBER, 1) for user_id in user_ids}
    return ConversationView("group:tea", members, roster_version=version)


async def test_it_is_asked_once_within_two_seconds(scene: Scene) -> None:
    assert scene.lists.peek(["ann"]) is None
    found = await scene.lists.load(["ann", "bob", "nobody", "ann"])
    for _ in range(3):
        scene.clock.advance(CACHE_S / 4)
        assert await scene.lists.load(["ann", "bob", "nobody"]) == found
    assert scene.keys.asked == [("ann", "bob", "nobody")]
    assert (current_of(found, "bob"), current_of(found, "nobody")) == ({"d1": "K2", "d2": "K3"}, {})
    scene.clock.advance(CACHE_S / 2)
    assert scene.lists.peek(["ann"]) is None
    await scene.lists.load(["ann"])
    assert len(scene.keys.asked) == 2


async def test_what_changes_while_it_is_read_is_not_remembered(scene: Scene) -> None:
    scene.keys.gate = asyncio.Event()
    reading = asyncio.ensure_future(scene.lists.load(["bob"]))
    await asyncio.sleep(0)
    scene.keys.devices["bob"] = {"d9": "K9"}
    scene.lists.forget(["bob"])
    scene.keys.gate.set()
    await reading
    assert scene.lists.peek(["bob"]) is None
    assert current_of(await scene.lists.load(["bob"]), "bob") == {"d9": "K9"}


async def test_the_hash_follows_lists_and_roster(scene: Scene) -> None:
    pair = group(1, "ann", "bob")
    assert scene.lists.peek_hash(pair) is None
    found = await scene.lists.load(pair.user_ids)
    refs = {DeviceRef("ann", "d1"): "K1", DeviceRef("bob", "d1"): "K2", DeviceRef("bob", "d2"): "K3"}
    assert scene.lists.peek_hash(pair) == hash_of(found) == device_list_hash(refs.items())
    alone = group(2, "ann")
    assert scene.lists.peek_hash(alone) == device_list_hash([(DeviceRef("ann", "d1"), "K1")])
    scene.lists.forget(["bob"])
    assert scene.lists.peek_hash(pair) is None
    assert scene.lists.peek_hash(alone) == device_list_hash([(DeviceRef("ann", "d1"), "K1")])


async def test_of_a_group_only_the_list_that_changed_is_read_anew(scene: Scene) -> None:
    pair = group(1, "ann", "bob")
    before = hash_of(await scene.lists.load(pair.user_ids))
    scene.lists.forget(["bob"])
    assert hash_of(await scene.lists.load(pair.user_ids)) == scene.lists.peek_hash(pair) == before
    scene.keys.devices["bob"] = {"d1": "K2"}
    scene.lists.forget(["bob"])
    assert hash_of(await scene.lists.load(pair.user_ids)) == scene.lists.peek_hash(pair) != before
    assert scene.keys.asked == [("ann", "bob"), ("bob",), ("bob",)]


async def test_a_hash_is_as_old_as_its_oldest_list(scene: Scene) -> None:
    pair = group(1, "ann", "bob")
    await scene.lists.load(["ann"])
    scene.clock.advance(CACHE_S * 0.75)
    await scene.lists.load(["bob"])
    assert scene.lists.peek_hash(pair) is not None
    scene.clock.advance(CACHE_S * 0.5)
    assert scene.lists.peek_hash(pair) is None


async def test_it_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_lists, "CAPACITY", 3)
    await scene.lists.load([f"u{number}" for number in range(10)])
    assert scene.lists.peek(["u6"]) is None
    assert scene.lists.peek(["u7", "u8", "u9"]) is not None
