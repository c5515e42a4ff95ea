"""What was stored is told to its sender for ever, also when he may not write there any more (PROTOCOL.md §3)."""

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from tests.fakes.memory_house import MemoryHouse

ANN = DeviceRef("ann", "d1")


def text(name: str, conversation_id: str) -> frames.Send:
    return frames.Send(name, "text", msgspec.Raw(b'"hi"'), conversation_id)


@pytest.fixture
async def scene() -> MemoryHouse:
    scene = MemoryHouse()
    await scene.user("ann", devices=2)
    await scene.user("bob")
    return scene


async def refused(scene: MemoryHouse, sender: DeviceRef, frame: frames.Send, code: ErrorCode) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.house.messages.send_and_wait(sender, frame)
    assert caught.value.code is code


async def test_after_a_block_a_re_send_gets_its_number_and_a_new_message_is_refused(scene: MemoryHouse) -> None:
    first = await scene.house.messages.send_and_wait(ANN, text("m1", "dm:ann:bob"))
    await scene.store.contacts.set_block("bob", "ann", present=True)
    scene.house.views.forget("dm:ann:bob")
    again = await scene.house.messages.send_and_wait(ANN, text("m1", "dm:ann:bob"))
    assert (again.message_id, again.sequence_number) == (first.message_id, first.sequence_number)
    await refused(scene, ANN, text("m2", "dm:ann:bob"), ErrorCode.BLOCKED)
    await refused(scene, DeviceRef("ann", "d2"), text("m1", "dm:ann:bob"), ErrorCode.BLOCKED)


async def test_after_a_removal_a_re_send_gets_its_number(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(DeviceRef("bob", "d1"), "Tea", ["ann"])).group.conversation_id
    first = await scene.house.messages.send_and_wait(ANN, text("m1", group))
    await scene.house.groups.remove_member(DeviceRef("bob", "d1"), group, "ann")
    again = await scene.house.messages.send_and_wait(ANN, text("m1", group))
    assert again.sequence_number == first.sequence_number
    await refused(scene, ANN, text("m2", group), ErrorCode.NOT_A_MEMBER)


async def test_strangers_learn_nothing_by_guessing_ids(scene: MemoryHouse) -> None:
    await scene.user("eve")
    await scene.house.messages.send_and_wait(ANN, text("m1", "dm:ann:bob"))
    await refused(scene, DeviceRef("eve", "d1"), text("m1", "dm:ann:bob"), ErrorCode.NOT_A_MEMBER)
