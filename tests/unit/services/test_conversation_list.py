"""The conversation list says what the timeline and the watermarks say, to each user his own."""

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Privacy
from cooee.protocol import http
from cooee.services.conversation_list import UNREAD_CAP
from tests.fakes.memory_house import MemoryHouse

ANN, BOB, CAT = (DeviceRef(user, "d1") for user in ("ann", "bob", "cat"))
DM = "dm:ann:bob"


@pytest.fixture
async def scene() -> MemoryHouse:
    scene = MemoryHouse(large_group_members=4)
    for user in ("ann", "bob", "cat", "dan"):
        await scene.user(user, devices=2)
    return scene


async def test_unread_counts_what_others_wrote_after_the_read_mark(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "1")
    await scene.send(BOB, DM, "2")
    await scene.send(ANN, DM, "3", silent=True)
    await scene.send(ANN, DM, "4")
    for_bob = await scene.house.conversations.one(BOB, DM)
    assert (for_bob.unread, for_bob.last_sequence_number, for_bob.title) == (2, 4, "Ann")
    await scene.mark(BOB, DM, read=1)
    assert (await scene.house.conversations.one(BOB, DM)).unread == 1
    assert (await scene.house.conversations.one(ANN, DM)).unread == 1


async def test_unread_is_the_same_on_all_devices(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "1")
    await scene.mark(BOB, DM, read=1)
    second = await scene.house.conversations.one(DeviceRef("bob", "d2"), DM)
    assert (second.unread, second.received_sequence_number, second.read_sequence_number) == (0, 0, 1)


async def test_unread_is_shown_up_to_its_cap(scene: MemoryHouse) -> None:
    for number in range(UNREAD_CAP + 5):
        await scene.send(ANN, DM, str(number))
    assert (await scene.house.conversations.one(BOB, DM)).unread == UNREAD_CAP


async def test_the_last_activity_comes_first_and_pages_do_not_overlap(scene: MemoryHouse) -> None:
    for peer in ("bob", "cat", "dan"):
        await scene.send(ANN, f"dm:ann:{peer}", "hi")
    first = await scene.house.conversations.page(ANN, None, 2)
    second = await scene.house.conversations.page(ANN, first.next_cursor, 2)
    ids = [item.conversation_id for page in (first, second) for item in page.items]
    assert ids == ["dm:ann:dan", "dm:ann:cat", "dm:ann:bob"]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "1", "-1~dm:ann:bob", "1~nonsense", "9" * 40 + "~dm:ann:bob"])
async def test_a_foreign_cursor_is_refused(scene: MemoryHouse, cursor: str) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.house.conversations.page(ANN, cursor, 2)
    assert caught.value.code is ErrorCode.BAD_FRAME


async def test_the_last_message_is_a_frame(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "hello")
    entry = await scene.house.conversations.one(BOB, DM)
    assert entry.last_message is not None
    frame = msgspec.json.decode(entry.last_message)
    assert (frame["type"], frame["content"], frame["sequenceNumber"]) == ("message", "hello", 1)


async def test_small_groups_tell_each_member_and_large_ones_the_minimum(scene: MemoryHouse) -> None:
    small = (await scene.house.groups.create(ANN, "Tea", ["bob", "cat"])).group.conversation_id
    large = (await scene.house.groups.create(ANN, "Rum", ["bob", "cat", "dan"])).group.conversation_id
    for conversation_id in (small, large):
        await scene.send(ANN, conversation_id, "hi")
        await scene.mark(BOB, conversation_id, received=2)
        await scene.mark(CAT, conversation_id, received=1)
    told = await scene.house.conversations.one(ANN, small)
    marks = {mark.user_id: mark.delivered for mark in told.members}
    assert marks == {"ann": 0, "bob": 2, "cat": 1}, "ann has not received that she founded the group"
    assert told.delivered_by_all is None
    summed = await scene.house.conversations.one(ANN, large)
    assert (summed.members, summed.delivered_by_all, summed.member_count) == ((), 0, 4)


async def test_one_who_left_keeps_the_conversation_up_to_his_leaving(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group.conversation_id
    await scene.house.groups.remove_member(ANN, group, "bob")
    await scene.send(ANN, group, "he is gone")
    entry = await scene.house.conversations.one(BOB, group)
    assert (entry.left, entry.last_sequence_number, entry.role, entry.members) == (True, 2, None, ())
    assert group in [item.conversation_id for item in (await scene.house.conversations.page(BOB, None, 10)).items]


async def test_a_strangers_conversation_is_none(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "hi")
    group = (await scene.house.groups.create(ANN, "Tea", [])).group.conversation_id
    for conversation_id in (DM, group, "group:none"):
        with pytest.raises(CooeeError) as caught:
            await scene.house.conversations.one(CAT, conversation_id)
        assert caught.value.code is ErrorCode.NOT_A_MEMBER
    assert (await scene.house.conversations.watermarks(CAT, [DM, group])).items == ()


async def test_flags_are_kept_per_user_and_tell_a_place_in_the_change_log(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "hi")
    changed = await scene.house.conversations.set_flags(ANN, DM, http.PatchConversation(muted_until=-1, pinned=True))
    assert (changed.muted_until, changed.pinned, changed.archived) == (-1, True, False)
    assert (await scene.house.conversations.one(BOB, DM)).pinned is False
    changes = await scene.store.preferences.changes_after("ann", 0, 10)
    assert changes is not None
    assert [change.conversation_id for change in changes] == [DM]


async def test_watermarks_of_many_conversations_are_refused(scene: MemoryHouse) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.house.conversations.watermarks(ANN, [f"group:{number}" for number in range(201)])
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_watermarks_say_where_everybody_is(scene: MemoryHouse) -> None:
    await scene.send(ANN, DM, "hi")
    await scene.mark(BOB, DM, read=1)
    [item] = (await scene.house.conversations.watermarks(ANN, [DM])).items
    assert (item.last_sequence_number, item.received_sequence_number, item.read_sequence_number) == (1, 1, 0)
    assert {mark.user_id: (mark.delivered, mark.read) for mark in item.members} == {"ann": (1, 0), "bob": (1, 1)}


async def test_notes_to_oneself_are_a_conversation(scene: MemoryHouse) -> None:
    await scene.send(ANN, "dm:ann:ann", "buy tea")
    entry = await scene.house.conversations.one(ANN, "dm:ann:ann")
    assert (entry.unread, entry.title, len(entry.members)) == (0, "Ann", 1)


@pytest.mark.parametrize("shy", ["ann", "bob"])
async def test_who_hides_his_reading_is_not_shown_and_is_shown_nothing(scene: MemoryHouse, shy: str) -> None:
    await scene.store.accounts.update(shy, {"privacy": Privacy(read_receipts=False)})
    await scene.send(ANN, DM, "hi")
    await scene.mark(BOB, DM, read=1)
    entry = await scene.house.conversations.one(ANN, DM)
    assert {mark.user_id: (mark.delivered, mark.read) for mark in entry.members}["bob"] == (1, 0)
    own = await scene.house.conversations.one(BOB, DM)
    assert {mark.user_id: mark.read for mark in own.members}["bob"] == 1
