"""Saying how a conversation is written: by whom, and seen by all."""

import json

import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from tests.fakes.memory_house import MemoryHouse

ANN, BOB, EVE = DeviceRef("ann", "d1"), DeviceRef("bob", "d1"), DeviceRef("eve", "d1")


@pytest.fixture
async def scene() -> MemoryHouse:
    """Return three people."""
    scene = MemoryHouse()
    for name in ("ann", "bob", "eve"):
        await scene.user(name)
    return scene


async def refused(scene: MemoryHouse, actor: DeviceRef, conversation_id: str) -> ErrorCode:
    """Say it where that is refused, and return why."""
    with pytest.raises(CooeeError) as caught:
        await scene.house.modes.set(actor, conversation_id, "plain")
    return caught.value.code


async def test_it_is_a_message_in_the_timeline(scene: MemoryHouse) -> None:
    await scene.send(ANN, "dm:ann:bob", "hi")
    said = await scene.house.modes.set(BOB, "dm:ann:bob", "plain")
    assert (said.mode, said.sequence_number) == ("plain", 2)
    assert (await scene.house.modes.set(ANN, "dm:ann:bob", "encrypted")).sequence_number == 3
    message = await scene.store.timeline.find("dm:ann:bob", 2)
    assert message is not None
    assert (message.content_type, message.sender_id, message.device_id) == ("system", "bob", "")
    assert json.loads(message.body)["content"] == {
        "event": "settings_changed",
        "actorId": "bob",
        "encryption": "plain",
    }
    assert not message.counts_as_unread


async def test_in_a_group_its_admins_say_it(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group.conversation_id
    assert await refused(scene, BOB, group) is ErrorCode.FORBIDDEN
    assert (await scene.house.modes.set(ANN, group, "plain")).sequence_number == 2


async def test_nobody_says_it_of_others(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group.conversation_id
    for conversation_id in ("dm:ann:bob", group, "group:nowhere"):
        assert await refused(scene, EVE, conversation_id) is ErrorCode.NOT_A_MEMBER
    assert await refused(scene, EVE, "dm:eve:nobody") is ErrorCode.NOT_FOUND
    assert (await scene.store.timeline.head("dm:ann:bob")).last == 0


async def test_neither_over_a_block_nor_in_what_has_ended(scene: MemoryHouse) -> None:
    await scene.store.contacts.set_block("bob", "ann", present=True)
    assert await refused(scene, ANN, "dm:ann:bob") is ErrorCode.BLOCKED
    await scene.house.accounts.delete("eve")
    assert await refused(scene, ANN, "dm:ann:eve") is ErrorCode.NOT_FOUND


async def test_beginning_a_chat_so_counts_as_beginning_one() -> None:
    scene = MemoryHouse(new_direct_chats_with_strangers=Rate(0.001, 1))
    for name in ("ann", "bob", "eve"):
        await scene.user(name)
    await scene.house.modes.set(ANN, "dm:ann:bob", "plain")
    assert await refused(scene, ANN, "dm:ann:eve") is ErrorCode.RATE_LIMITED
    await scene.house.modes.set(ANN, "dm:ann:bob", "encrypted")
