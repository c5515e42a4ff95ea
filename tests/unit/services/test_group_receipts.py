"""Receipts of large groups: the minimum over all members but the sender, once a second."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.conversation import Member, Role
from cooee.domain.limits import Limits
from cooee.domain.receipt import Watermark
from cooee.protocol import frames
from cooee.services.conversation_view import ConversationView
from cooee.services.group_receipts import minimum
from tests.fakes.message_scene import MessageScene

GROUP = "group:big"
MEMBERS = ("alice", "bob", "carol", "dave")


@pytest.fixture
async def scene() -> AsyncIterator[MessageScene]:
    async with MessageScene(Limits(large_group_members=4)) as scene:
        await scene.people(*MEMBERS)
        await scene.group(GROUP, *MEMBERS)
        for user_id in MEMBERS:
            await scene.received(user_id, GROUP, 1)
        await scene.second()
        scene.take_routed()
        yield scene


def told(scene: MessageScene) -> list[tuple[tuple[str, ...], str, int]]:
    found = []
    for users, receipt in scene.take_receipts():
        assert receipt.scope == "all"
        assert receipt.user_id is None
        found.append((users, receipt.status, receipt.sequence_number))
    return found


async def test_the_sender_hears_once_all_others_have_it(scene: MessageScene) -> None:
    await scene.send("alice", GROUP)
    scene.take_routed()
    await scene.received("bob", GROUP, 2)
    await scene.received("carol", GROUP, 2)
    await scene.second()
    assert told(scene) == []
    await scene.received("dave", GROUP, 2)
    assert told(scene) == [], "not before the second is over"
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 2)]


async def test_a_sender_who_lags_himself_still_hears(scene: MessageScene) -> None:
    await scene.send("bob", GROUP)
    await scene.send("alice", GROUP)
    scene.take_routed()
    for user_id in ("bob", "carol", "dave"):
        await scene.received(user_id, GROUP, 3)
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 3)], "alice lacks 2, so bob hears nothing yet"
    await scene.received("alice", GROUP, 3)
    await scene.second()
    assert told(scene) == [(("bob",), "delivered", 3)]


async def test_reading_is_told_apart_from_receiving(scene: MessageScene) -> None:
    await scene.send("alice", GROUP)
    scene.take_routed()
    for user_id in ("bob", "carol", "dave"):
        await scene.read(user_id, GROUP, 2)
    scene.take_routed()
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 2), (("alice",), "read", 2)]


async def test_many_moves_of_a_second_are_one_receipt(scene: MessageScene) -> None:
    for _ in range(5):
        await scene.send("alice", GROUP)
    scene.take_routed()
    for number in range(2, 7):
        for user_id in ("bob", "carol", "dave"):
            await scene.received(user_id, GROUP, number)
    assert len(scene.timers) == 1
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 6)]
    await scene.second()
    assert told(scene) == []


async def test_one_timer_serves_all_groups(scene: MessageScene) -> None:
    await scene.group("group:other", *MEMBERS)
    for conversation_id in (GROUP, "group:other"):
        await scene.send("alice", conversation_id)
        for user_id in ("bob", "carol", "dave"):
            await scene.received(user_id, conversation_id, 2)
    assert len(scene.timers) == 1
    scene.take_routed()
    await scene.second()
    assert sorted(receipt.conversation_id for _, receipt in scene.take_receipts()) == [GROUP, "group:other"]


async def test_one_who_hides_his_reading_holds_the_read_minimum_back(scene: MessageScene) -> None:
    account = await scene.accounts.find("dave")
    assert account is not None
    await scene.accounts.update("dave", {"privacy": msgspec.structs.replace(account.privacy, read_receipts=False)})
    scene.views.forget_user("dave")
    await scene.send("alice", GROUP)
    for user_id in ("bob", "carol", "dave"):
        await scene.read(user_id, GROUP, 2)
    scene.take_routed()
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 2)]


async def test_own_devices_hear_of_reading_in_large_groups_too(scene: MessageScene) -> None:
    await scene.send("alice", GROUP)
    scene.take_routed()
    await scene.read("bob", GROUP, 2)
    [(users, receipt)] = scene.take_receipts()
    assert users == ("bob",)
    assert receipt == frames.Receipt(GROUP, "read", 2, "bob", timestamp=scene.clock.wall_ms())


async def test_what_rose_by_a_leaving_is_told_with_the_next_move(scene: MessageScene) -> None:
    await scene.send("alice", GROUP)
    await scene.people("eve")
    group = scene.store.groups[GROUP]
    members = {user: member for user, member in group.members.items() if user != "dave"}
    members["eve"] = Member("eve", Role.MEMBER, 3)
    scene.store.groups[GROUP] = msgspec.structs.replace(group, members=members)
    await scene.received("bob", GROUP, 2)
    await scene.system(GROUP, "alice", "member_left", userIds=["dave"])
    scene.take_routed()
    await scene.received("carol", GROUP, 2)
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 2)]


async def test_a_group_that_cannot_be_read_does_not_stop_the_others(scene: MessageScene) -> None:
    scene.group_receipts.moving("group:lost")
    await scene.send("alice", GROUP)
    for user_id in ("bob", "carol", "dave"):
        await scene.received(user_id, GROUP, 2)
    scene.take_routed()
    await scene.second()
    assert told(scene) == [(("alice",), "delivered", 2)]


MARKS = st.dictionaries(st.sampled_from(MEMBERS), st.builds(Watermark, st.integers(0, 9), st.integers(0, 9)))
JOINED = st.dictionaries(st.sampled_from(MEMBERS), st.integers(1, 9), min_size=1)


@given(MARKS, JOINED, st.frozensets(st.sampled_from(MEMBERS)))
def test_the_minimum_leaves_each_sender_himself_out(
    marks: dict[str, Watermark], joined: dict[str, int], hidden: frozenset[str]
) -> None:
    members = {user: Member(user, Role.MEMBER, at) for user, at in joined.items()}
    view = ConversationView(GROUP, members, large=True, watermarks=marks)
    view.hidden_readers = hidden
    found = minimum(view)
    for sender in joined:
        others = [user for user in joined if user != sender]
        delivered = [max(marks.get(user, Watermark()).delivered, joined[user] - 1) for user in others]
        read = [0 if user in hidden else marks.get(user, Watermark()).read for user in others]
        read = [max(mark, joined[user] - 1) for mark, user in zip(read, others, strict=True)]
        if others:
            assert found.delivered.for_sender(sender) == min(delivered)
            assert found.read.for_sender(sender) == min(read)
