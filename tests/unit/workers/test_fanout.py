"""Fan-out: encoded once, to everybody who may see it, in order, and nothing that fails ends it."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from cooee.domain.conversation import Group, Member, Role
from cooee.domain.ids import DeviceRef
from cooee.domain.message import Envelope, Message
from cooee.ports.push_queue import PushEntry
from cooee.ports.router import RouteKind
from cooee.protocol import frames
from cooee.protocol.codec import decode_server, message_frame
from cooee.workers import fanout as fanout_module
from tests.fakes.message_scene import MessageScene, numbers

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[MessageScene]:
    async with MessageScene() as scene:
        await scene.people("alice", "bob", "carol")
        yield scene


def written(conversation_id: str, number: int, sender: str = "alice", body: bytes = b'{"content":"x"}') -> Message:
    return Message(conversation_id, number, number, sender, "d1", f"c{number}", 0, "text", body)


async def test_a_message_goes_to_both_and_not_to_the_sending_device(scene: MessageScene) -> None:
    ack = await scene.send("alice", DM, "hello")
    [item] = scene.take_routed()
    assert isinstance(ack, frames.Ack)
    assert (item.kind, set(item.user_ids), item.except_device) == (
        RouteKind.MESSAGE,
        {"alice", "bob"},
        DeviceRef("alice", "d1"),
    )
    frame = decode_server(item.frame)
    assert isinstance(frame, frames.MessageFrame)
    assert (frame.message_id, frame.sequence_number, frame.content) == (ack.message_id, 1, msgspec.Raw(b'"hello"'))


async def test_a_conversation_keeps_its_order_within_and_over_batches(scene: MessageScene) -> None:
    for _ in range(3):
        for sender in ("alice", "bob"):
            frame = scene.send_frame(DM)
            scene.messages.send(DeviceRef(sender, "d1"), frame, lambda _answer: None)
    await scene.settle()
    await scene.send("alice", DM)
    assert numbers(scene.take_routed()) == [1, 2, 3, 4, 5, 6, 7]


async def test_notes_to_oneself_go_to_the_own_devices_once(scene: MessageScene) -> None:
    await scene.send("alice", "dm:alice:alice")
    scene.views.forget("dm:alice:alice")
    await scene.fanout.fan_out([written("dm:alice:alice", 2)])
    assert [item.user_ids for item in scene.take_routed()] == [("alice",), ("alice",)]


async def test_a_direct_chat_that_is_not_in_memory_needs_no_reading(scene: MessageScene) -> None:
    await scene.fanout.fan_out([written(DM, 1)])
    assert scene.store.reads == 0
    assert set(scene.take_routed()[0].user_ids) == {"alice", "bob"}


async def test_a_large_group_is_hinted(scene: MessageScene) -> None:
    members = [f"u{n}" for n in range(50)]
    await scene.people(*members)
    await scene.group("group:big", *members)
    scene.take_routed()
    await scene.send("u7", "group:big")
    [item] = scene.take_routed()
    assert (item.kind, len(item.user_ids)) == (RouteKind.HINT, 50)


async def test_envelopes_go_beside_the_frame(scene: MessageScene) -> None:
    message = msgspec.structs.replace(written(DM, 1), envelopes=(Envelope("bob", "d1", "secret"),))
    await scene.fanout.fan_out([message])
    [item] = scene.take_routed()
    assert item.envelopes == {DeviceRef("bob", "d1"): "secret"}
    assert b"secret" not in item.frame


async def test_one_who_is_removed_hears_of_it_and_of_nothing_after(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob", "carol")
    group = scene.store.groups["group:g"]
    scene.take_routed()
    without = {user: member for user, member in group.members.items() if user != "carol"}
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members=without)
    await scene.system("group:g", "alice", "member_removed", userIds=["carol"])
    await scene.send("alice", "group:g")
    removal, after = scene.take_routed()
    assert set(removal.user_ids) == {"alice", "bob", "carol"}
    assert set(after.user_ids) == {"alice", "bob"}
    assert removal.except_device is None


async def test_one_who_joins_gets_nothing_from_before(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    group = scene.store.groups["group:g"]
    joined = group.members | {"carol": Member("carol", Role.MEMBER, 3)}
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members=joined)
    scene.views.forget("group:g")
    scene.take_routed()
    added = b'{"content":{"event":"member_added","actorId":"alice","userIds":["carol"]}}'
    system = msgspec.structs.replace(written("group:g", 3, body=added), content_type="system", device_id="")
    await scene.fanout.fan_out([written("group:g", 2), system, written("group:g", 4)])
    before, joining, after = scene.take_routed()
    assert "carol" not in before.user_ids
    assert "carol" in joining.user_ids
    assert "carol" in after.user_ids


async def test_the_last_message_of_a_deleted_group_reaches_its_members(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    scene.take_routed()
    group = scene.store.groups["group:g"]
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members={}, deleted=True)
    await scene.system("group:g", "alice", "member_removed", userIds=["alice", "bob"], groupDeleted=True)
    [item] = scene.take_routed()
    assert set(item.user_ids) == {"alice", "bob"}


async def test_absent_receivers_are_handed_over_to_push(scene: MessageScene) -> None:
    await scene.people("zoe", online=False)
    await scene.send("alice", "dm:alice:zoe")
    await scene.send("alice", DM)
    entries = await scene.push_queue.due(2**60, 10)
    assert entries == [PushEntry("zoe", "", "dm:alice:zoe", 1, scene.clock.wall_ms())]


async def test_a_message_that_cannot_be_routed_does_not_stop_the_others(
    scene: MessageScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_or_fail(message: Message) -> bytes:
        if message.sender_id == "bob":
            raise RuntimeError("a bug")
        return message_frame(message)

    monkeypatch.setattr(fanout_module, "message_frame", encode_or_fail)
    await scene.fanout.fan_out([written(DM, 1, "bob"), written("dm:alice:carol", 1), written(DM, 2)])
    assert [(item.conversation_id, item.sequence_number) for item in scene.take_routed()] == [
        ("dm:alice:carol", 1),
        (DM, 2),
    ]
    assert scene.fanout.failed == 1


async def test_a_group_that_cannot_be_read_does_not_stop_the_others(scene: MessageScene) -> None:
    await scene.fanout.fan_out([written("group:lost", 1), written(DM, 1)])
    assert [item.conversation_id for item in scene.take_routed()] == [DM]
    assert scene.fanout.failed == 1


async def test_a_failing_batch_does_not_end_the_follower(scene: MessageScene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_items: object) -> None:
        raise OSError("the router is away")

    with monkeypatch.context() as patch:
        patch.setattr(scene.routes, "deliver", fail)
        await scene.send("alice", DM)
    assert scene.fanout.failed == 1
    await scene.send("alice", DM)
    assert numbers(scene.take_routed()) == [2]


async def test_a_log_that_cannot_be_followed_is_followed_again(
    scene: MessageScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "_RESTART_DELAY_S", 0)
    scene.store.fail_follower(OSError("the log is away"))
    await scene.settle()
    await scene.send("alice", DM)
    assert numbers(scene.take_routed()) == [1]


async def test_missing_groups_of_a_batch_are_loaded_together(scene: MessageScene) -> None:
    for name in ("group:a", "group:b"):
        members = {"alice": Member("alice", Role.OWNER, 1), "bob": Member("bob", Role.MEMBER, 1)}
        scene.store.groups[name] = Group(name, name, "alice", members, 1, 0)
    await scene.fanout.fan_out([written("group:a", 1), written("group:b", 1), written("group:a", 2)])
    assert scene.store.reads == 2
    assert [(item.conversation_id, item.sequence_number) for item in scene.take_routed()] == [
        ("group:a", 1),
        ("group:b", 1),
        ("group:a", 2),
    ]
