"""Watermarks and receipts in direct chats and small groups."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from cooee.domain.conversation import Member, Role, Span
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.ports.router import RouteKind
from cooee.protocol import frames
from tests.fakes.message_scene import MessageScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[MessageScene]:
    async with MessageScene() as scene:
        await scene.people("alice", "bob", "carol")
        for _ in range(3):
            await scene.send("alice", DM)
        scene.take_routed()
        yield scene


def refused(answers: list[frames.ServerFrame]) -> str:
    [answer] = answers
    assert isinstance(answer, frames.Error), answer
    return str(answer.code)


async def test_the_sender_hears_that_his_messages_arrived(scene: MessageScene) -> None:
    assert await scene.received("bob", DM, 2) == []
    assert scene.take_receipts() == [
        (("alice",), frames.Receipt(DM, "delivered", 2, "bob", timestamp=scene.clock.wall_ms()))
    ]


async def test_reading_implies_receiving(scene: MessageScene) -> None:
    assert await scene.read("bob", DM, 3) == []
    told = [(users, receipt.status, receipt.sequence_number) for users, receipt in scene.take_receipts()]
    assert told == [(("bob",), "read", 3), (("alice",), "delivered", 3), (("alice",), "read", 3)]
    assert scene.store.marks[DM]["bob"] == Watermark(3, 3)
    assert scene.store.received[DM, "bob", "d1"] == 3


async def test_reading_is_told_to_the_own_other_devices_only(scene: MessageScene) -> None:
    await scene.read("bob", DM, 3)
    own = [item for item in scene.take_routed(RouteKind.EVENT) if item.user_ids == ("bob",)]
    assert [item.except_device for item in own] == [DeviceRef("bob", "d1")]


async def test_a_repeated_watermark_says_nothing(scene: MessageScene) -> None:
    await scene.received("bob", DM, 2)
    scene.take_routed()
    assert await scene.received("bob", DM, 2) == []
    assert scene.take_receipts() == []


async def test_a_lower_watermark_is_answered_with_the_state(scene: MessageScene) -> None:
    await scene.received("bob", DM, 3)
    await scene.read("bob", DM, 2)
    scene.take_routed()
    now = scene.clock.wall_ms()
    assert await scene.received("bob", DM, 1) == [frames.Receipt(DM, "delivered", 3, "bob", timestamp=now)]
    assert await scene.read("bob", DM, 1) == [frames.Receipt(DM, "read", 2, "bob", timestamp=now)]
    assert scene.take_receipts() == []
    assert scene.store.marks[DM]["bob"] == Watermark(3, 2)


async def test_a_ref_is_answered(scene: MessageScene) -> None:
    now = scene.clock.wall_ms()
    assert await scene.received("bob", DM, 1, ref="r1") == [
        frames.Receipt(DM, "delivered", 1, "bob", timestamp=now, ref="r1")
    ]
    assert await scene.read("bob", DM, 2, ref="r2") == [frames.Receipt(DM, "read", 2, "bob", timestamp=now, ref="r2")]


async def test_the_first_device_counts_as_delivery(scene: MessageScene) -> None:
    await scene.received("bob", DM, 3, "d2")
    scene.take_routed()
    assert await scene.received("bob", DM, 2, "d1") == []
    assert scene.take_receipts() == []
    assert scene.store.received[DM, "bob", "d1"] == 2


@pytest.mark.parametrize("forget", [False, True])
async def test_above_the_head_is_refused_and_stores_nothing(scene: MessageScene, *, forget: bool) -> None:
    if forget:
        scene.views.forget(DM)
    assert refused(await scene.received("bob", DM, 4, ref="r")) == "bad_frame"
    assert refused(await scene.read("bob", DM, 4)) == "bad_frame"
    assert "bob" not in scene.store.marks[DM]
    assert scene.take_receipts() == []


async def test_the_head_is_what_the_timeline_says_and_not_what_the_view_knows(scene: MessageScene) -> None:
    view = scene.views.peek(DM)
    assert view is not None
    view.head = 1
    assert await scene.received("bob", DM, 3) == []
    assert [receipt.sequence_number for _, receipt in scene.take_receipts()] == [3]


@pytest.mark.parametrize(
    ("user_id", "conversation_id", "code"),
    [
        ("carol", DM, "not_a_member"),
        ("alice", "group:g", "not_a_member"),
        ("alice", "dm:bob:alice", "bad_frame"),
        ("alice", "dm:alice:nobody", "not_found"),
        ("alice", "nonsense", "bad_frame"),
    ],
)
async def test_watermarks_of_others_conversations_are_refused(
    scene: MessageScene, user_id: str, conversation_id: str, code: str
) -> None:
    assert refused(await scene.received(user_id, conversation_id, 1)) == code


async def test_a_store_that_cannot_be_read_is_told(scene: MessageScene) -> None:
    scene.store.broken = True
    assert refused(await scene.received("bob", DM, 4)) == "internal"
    scene.views.forget(DM)
    assert refused(await scene.received("bob", DM, 3)) == "unavailable"
    scene.store.broken = False
    assert await scene.received("bob", DM, 3) == []


async def test_a_full_disk_is_told_and_tells_nobody(scene: MessageScene) -> None:
    scene.store.full = True
    assert refused(await scene.received("bob", DM, 3, ref="r")) == "unavailable"
    assert scene.take_receipts() == []


async def test_a_dead_peer_does_not_hold_the_watermark_back(scene: MessageScene) -> None:
    await scene.send("bob", DM)
    await scene.accounts.erase("bob")
    scene.views.forget_user("bob")
    assert await scene.received("alice", DM, 4) == []
    assert scene.store.received[DM, "alice", "d1"] == 4


async def test_only_senders_of_what_is_newly_covered_hear_of_it(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob", "carol")
    await scene.send("alice", "group:g")
    await scene.send("carol", "group:g")
    await scene.send("bob", "group:g")
    scene.take_routed()
    await scene.received("bob", "group:g", 2)
    await scene.received("bob", "group:g", 4)
    told = [(users, receipt.sequence_number) for users, receipt in scene.take_receipts()]
    assert told == [(("alice",), 2), (("carol",), 4)]


async def test_a_view_from_before_is_asked_of_the_timeline(scene: MessageScene) -> None:
    scene.views.forget(DM)
    await scene.received("bob", DM, 3)
    assert [(users, receipt.sequence_number) for users, receipt in scene.take_receipts()] == [(("alice",), 3)]


async def test_what_moves_in_one_turn_is_told_once(scene: MessageScene) -> None:
    for number in (1, 2, 3):
        scene.receipts.received(DeviceRef("bob", "d1"), frames.Received(DM, number), lambda _answer: None)
    await scene.settle()
    assert [(users, receipt.sequence_number) for users, receipt in scene.take_receipts()] == [(("alice",), 3)]


async def test_a_failing_receipt_does_not_stop_the_others(scene: MessageScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.send("alice", "dm:alice:carol")
    scene.take_routed()
    view = scene.views.peek(DM)
    assert view is not None
    view.members = None  # type: ignore[assignment]  # something is broken in this view alone
    for user_id, conversation_id in (("bob", DM), ("carol", "dm:alice:carol")):
        update = frames.Received(conversation_id, 1)
        held = scene.views.peek(conversation_id)
        assert held is not None
        scene.receipts._advance(held, DeviceRef(user_id, "d1"), update, lambda _answer: None, 0)
    await scene.settle()
    assert [receipt.conversation_id for _, receipt in scene.take_receipts()] == ["dm:alice:carol"]


# --- former members


async def leave(scene: MessageScene, user_id: str, left: int) -> None:
    group = scene.store.groups["group:g"]
    members = {user: member for user, member in group.members.items() if user != user_id}
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members=members)
    scene.store.old_spans["group:g", user_id] = (Span(1, left),)
    scene.views.forget("group:g")


async def test_one_who_left_acknowledges_up_to_his_leaving(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob", "carol")
    for _ in range(3):
        await scene.send("alice", "group:g")
    await leave(scene, "bob", 3)
    scene.take_routed()
    assert await scene.received("bob", "group:g", 3) == []
    assert refused(await scene.received("bob", "group:g", 4)) == "bad_frame"
    assert scene.take_receipts() == [], "he counts no more"


# --- privacy


async def hide(scene: MessageScene, user_id: str) -> None:
    account = await scene.accounts.find(user_id)
    assert account is not None
    await scene.accounts.update(user_id, {"privacy": msgspec.structs.replace(account.privacy, read_receipts=False)})
    scene.views.forget_user(user_id)


@pytest.mark.parametrize("hidden", ["alice", "bob"])
async def test_read_receipts_that_are_off_on_either_side_stay_away(scene: MessageScene, hidden: str) -> None:
    await hide(scene, hidden)
    await scene.read("bob", DM, 3)
    told = {(users, receipt.status) for users, receipt in scene.take_receipts()}
    assert told == {(("bob",), "read"), (("alice",), "delivered")}


# --- who


async def test_who_names_the_members_who_may_see_the_message(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    await scene.send("alice", "group:g")
    await scene.read("bob", "group:g", 2)
    group = scene.store.groups["group:g"]
    joined = group.members | {"carol": Member("carol", Role.MEMBER, 3)}
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members=joined)
    await scene.system("group:g", "alice", "member_added", userIds=["carol"])
    before = await scene.receipts.who("alice", "group:g", 2)
    assert before == [frames.MemberWatermark("alice", 0, 0), frames.MemberWatermark("bob", 2, 2)]
    after = await scene.receipts.who("alice", "group:g", 3)
    assert [mark.user_id for mark in after] == ["alice", "bob", "carol"]


@pytest.mark.parametrize("hidden", ["alice", "bob"])
async def test_who_does_not_tell_of_reading_that_is_hidden(scene: MessageScene, hidden: str) -> None:
    await scene.read("bob", DM, 3)
    await hide(scene, hidden)
    assert await scene.receipts.who("alice", DM, 3) == [
        frames.MemberWatermark("alice", 3, 0),
        frames.MemberWatermark("bob", 3, 0),
    ]
    own = await scene.receipts.who("bob", DM, 3)
    assert own[1] == frames.MemberWatermark("bob", 3, 3)


@pytest.mark.parametrize(
    ("user_id", "number", "code"),
    [("carol", 1, "not_a_member"), ("alice", 4, "not_found"), ("alice", 0, "not_found")],
)
async def test_who_refuses_what_cannot_be_seen(scene: MessageScene, user_id: str, number: int, code: str) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.receipts.who(user_id, DM, number)
    assert caught.value.code == code


async def test_reading_stands_in_the_change_log_for_devices_that_are_away(scene: MessageScene) -> None:
    await scene.send("alice", "dm:alice:bob")
    await scene.read("bob", "dm:alice:bob", 1)
    await scene.settle()
    changes = await scene.preferences.changes_after("bob", 0, 10)
    assert changes is not None
    assert [change.conversation_id for change in changes] == ["dm:alice:bob"]
    assert await scene.preferences.position("alice") == 0


async def test_reading_nothing_is_answered_as_reading(scene: MessageScene) -> None:
    await scene.send("alice", "dm:alice:bob")
    [answer] = await scene.read("bob", "dm:alice:bob", 0, ref="r")
    assert isinstance(answer, frames.Receipt)
    assert (answer.status, answer.sequence_number) == ("read", 0)
