"""Sending: what is refused before the append, what is acknowledged after it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits, Rate
from cooee.protocol import frames
from tests.fakes.message_scene import MessageScene

ALICE = DeviceRef("alice", "d1")
DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[MessageScene]:
    async with MessageScene() as scene:
        await scene.people("alice", "bob", "carol")
        yield scene


def refused(answer: frames.ServerFrame) -> str:
    assert isinstance(answer, frames.Error), answer
    return str(answer.code)


async def test_the_ack_follows_the_commit_and_repeats_what_was_asked(scene: MessageScene) -> None:
    answers: list[frames.ServerFrame] = []
    frame = scene.send_frame(DM, ref="r1", client_message_id="c1")
    scene.messages.send(ALICE, frame, answers.append)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(scene.store.waiting) == 1
    assert answers == [], "an ack before the commit would be a lie"
    [message] = scene.store.commit()
    assert answers == [
        frames.Ack("sent", "r1", "c1", str(message.message_id), DM, message.sequence_number, scene.clock.wall_ms())
    ]


async def test_to_names_the_direct_chat(scene: MessageScene) -> None:
    frame = frames.Send("c1", "text", scene.send_frame(DM).content, to="alice")
    answers: list[frames.ServerFrame] = []
    scene.messages.send(DeviceRef("bob", "d1"), frame, answers.append)
    await scene.settle()
    [answer] = answers
    assert isinstance(answer, frames.Ack)
    assert answer.conversation_id == DM


async def test_the_body_and_the_preview_are_kept(scene: MessageScene) -> None:
    await scene.send(
        "alice", DM, "hé\n", reply_to="77", mentions=("bob",), silent=True, notification_preview="alice: hé"
    )
    [message] = scene.store.messages[DM]
    assert message.body == b'{"content":"h\xc3\xa9\\n","replyTo":"77","mentions":["bob"],"silent":true}'
    assert (message.silent, message.preview, message.device_id) == (True, "alice: hé", "d1")


@pytest.mark.parametrize(
    ("conversation_id", "code"),
    [
        ("dm:alice:nobody", "not_found"),
        ("dm:bob:alice", "bad_frame"),
        ("dm:alice", "bad_frame"),
        ("dm:alice:bob:carol", "bad_frame"),
        ("dm:bob:carol", "not_a_member"),
        ("group:unknown", "not_a_member"),
        ("group:a/b", "bad_frame"),
        ("group:", "bad_frame"),
        ("other:x", "bad_frame"),
        ("", "bad_frame"),
    ],
)
async def test_impossible_conversations_are_refused(scene: MessageScene, conversation_id: str, code: str) -> None:
    assert refused(await scene.send("alice", conversation_id)) == code
    assert scene.store.messages == {}


@pytest.mark.parametrize("to", ["nobody", "", "Bob", "a:b", "x" * 100])
async def test_unknown_receivers_are_not_found(scene: MessageScene, to: str) -> None:
    frame = frames.Send("c1", "text", scene.send_frame(DM).content, to=to)
    with pytest.raises(CooeeError) as caught:
        await asyncio.wait_for(scene.messages.send_and_wait(ALICE, frame), 5)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_stranger_is_no_member_of_a_direct_chat_that_is_in_memory(scene: MessageScene) -> None:
    await scene.send("alice", DM)
    assert refused(await scene.send("carol", DM)) == "not_a_member"


@pytest.mark.parametrize("changes", [{"disabled": True}, {"deleted": True}])
async def test_a_peer_who_is_gone_is_not_found(scene: MessageScene, changes: dict[str, bool]) -> None:
    await scene.send("alice", DM)
    if "deleted" in changes:
        await scene.accounts.erase("bob")
    else:
        await scene.accounts.update("bob", changes)
    scene.views.forget_user("bob")
    assert refused(await scene.send("alice", DM)) == "not_found"
    assert len(scene.store.messages[DM]) == 1


@pytest.mark.parametrize(("blocker", "blocked"), [("alice", "bob"), ("bob", "alice")])
async def test_a_block_either_way_is_refused_at_once(scene: MessageScene, blocker: str, blocked: str) -> None:
    await scene.send("alice", DM)
    await scene.contacts.set_block(blocker, blocked, present=True)
    scene.views.forget(DM)
    assert refused(await scene.send("alice", DM)) == "blocked"
    await scene.contacts.set_block(blocker, blocked, present=False)
    scene.views.forget(DM)
    assert isinstance(await scene.send("alice", DM), frames.Ack)


async def test_only_members_send_to_a_group(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    assert isinstance(await scene.send("bob", "group:g"), frames.Ack)
    assert refused(await scene.send("carol", "group:g")) == "not_a_member"


async def test_notes_to_oneself_work(scene: MessageScene) -> None:
    assert isinstance(await scene.send("alice", "dm:alice:alice"), frames.Ack)


async def test_messages_keep_their_order_while_the_conversation_is_loaded(scene: MessageScene) -> None:
    for text in "abc":
        scene.messages.send(ALICE, scene.send_frame(DM, text), lambda _answer: None)
    await scene.settle()
    assert [message.body for message in scene.store.messages[DM]] == [
        b'{"content":"a"}',
        b'{"content":"b"}',
        b'{"content":"c"}',
    ]


async def test_a_resend_gets_the_same_place_and_stores_nothing(scene: MessageScene) -> None:
    first = await scene.send("alice", DM, client_message_id="same")
    again = await scene.send("alice", DM, client_message_id="same")
    assert first == again
    assert len(scene.store.messages[DM]) == 1


async def test_a_full_disk_is_told_as_unavailable(scene: MessageScene) -> None:
    await scene.send("alice", DM)
    scene.store.full = True
    answer = await scene.send("alice", DM, client_message_id="c7", ref="r7")
    assert isinstance(answer, frames.Error)
    assert (answer.code, answer.retryable, answer.ref, answer.client_message_id) == ("unavailable", True, "r7", "c7")
    scene.store.full = False
    assert isinstance(await scene.send("alice", DM, client_message_id="c7"), frames.Ack)


async def test_a_store_that_cannot_be_read_is_unavailable_and_recovers(scene: MessageScene) -> None:
    scene.store.broken = True
    assert refused(await scene.send("alice", DM)) == "unavailable"
    scene.store.broken = False
    assert isinstance(await scene.send("alice", DM), frames.Ack)


async def test_a_failure_inside_is_answered_and_never_raised(
    scene: MessageScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("a bug")

    await scene.send("alice", DM)
    monkeypatch.setattr(scene.store, "append", fail)
    answer = await scene.send("alice", DM)
    assert refused(answer) == "internal"
    scene.views.forget(DM)
    assert refused(await scene.send("alice", DM)) == "internal"


async def test_new_chats_with_strangers_are_counted_once_each() -> None:
    limits = Limits(new_direct_chats_with_strangers=Rate(1 / 60, 2))
    async with MessageScene(limits) as scene:
        await scene.people("alice", "bob", "carol", "dave", "friend")
        await scene.contacts.set_contact("friend", "alice", present=True)
        await scene.contacts.set_contact("alice", "dave", present=True)
        for peer in ("bob", "carol"):
            for _ in range(3):
                assert isinstance(await scene.send("alice", f"dm:alice:{peer}"), frames.Ack)
        answer = await scene.send("alice", "dm:alice:dave")
        assert isinstance(answer, frames.Error)
        assert (answer.code, answer.retry_after_ms) == ("rate_limited", 60_000)
        assert isinstance(await scene.send("alice", "dm:alice:friend"), frames.Ack)
        assert isinstance(await scene.send("alice", "dm:alice:alice"), frames.Ack)
        assert isinstance(await scene.send("bob", "dm:alice:bob"), frames.Ack)
        scene.clock.advance(60)
        assert isinstance(await scene.send("alice", "dm:alice:dave"), frames.Ack)


async def test_send_and_wait_returns_the_ack_or_raises(scene: MessageScene) -> None:
    waiting = asyncio.ensure_future(scene.messages.send_and_wait(ALICE, scene.send_frame(DM)))
    await scene.settle()
    assert (await waiting).sequence_number == 1
    refusal = asyncio.ensure_future(scene.messages.send_and_wait(ALICE, scene.send_frame("dm:bob:carol")))
    with pytest.raises(CooeeError) as caught:
        await refusal
    assert caught.value.code is ErrorCode.NOT_A_MEMBER


async def test_a_caller_who_gave_up_does_no_harm(scene: MessageScene) -> None:
    waiting = asyncio.ensure_future(scene.messages.send_and_wait(ALICE, scene.send_frame(DM)))
    await asyncio.sleep(0)
    waiting.cancel()
    await scene.settle()
    assert len(scene.store.messages[DM]) == 1


async def test_a_deleted_group_has_no_members(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    group = scene.store.groups["group:g"]
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members={}, deleted=True)
    scene.views.forget("group:g")
    assert refused(await scene.send("bob", "group:g")) == "not_a_member"


async def test_a_log_that_does_not_number_at_once_is_acknowledged_without_a_number(
    scene: MessageScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.send("alice", DM)
    monkeypatch.setattr(scene.store, "append", lambda _record, done: done(None))
    assert await scene.send("alice", DM, client_message_id="c9") == frames.Ack(
        "sent", client_message_id="c9", conversation_id=DM
    )


# --- delete for everyone


async def delete(scene: MessageScene, user_id: str, conversation_id: str, number: int) -> None:
    working = asyncio.ensure_future(
        scene.messages.delete_for_everyone(DeviceRef(user_id, "d1"), conversation_id, number)
    )
    await scene.settle()
    await working


async def test_deleting_erases_and_tells_the_members_once(scene: MessageScene) -> None:
    await scene.send("alice", DM, "oops")
    await delete(scene, "alice", DM, 1)
    await delete(scene, "alice", DM, 1)
    erased, notice = scene.store.messages[DM]
    assert (erased.content_type, erased.body) == ("deleted", b"{}")
    assert notice.content_type == "system"
    assert notice.body == (
        b'{"content":{"event":"message_deleted","actorId":"alice","sequenceNumber":1,"messageId":"%d"}}'
        % erased.message_id
    )


async def test_two_deletions_at_once_make_one_notice(scene: MessageScene) -> None:
    await scene.send("alice", DM, "oops")
    both = [asyncio.ensure_future(scene.messages.delete_for_everyone(ALICE, DM, 1)) for _ in range(2)]
    await scene.settle()
    await asyncio.gather(*both)
    assert len(scene.store.messages[DM]) == 2


@pytest.mark.parametrize(
    ("user_id", "conversation_id", "number", "code"),
    [
        ("bob", DM, 1, "forbidden"),
        ("carol", DM, 1, "not_a_member"),
        ("alice", DM, 9, "not_found"),
        ("alice", DM, 0, "not_found"),
        ("bob", "group:g", 2, "forbidden"),
        ("alice", "group:g", 1, "forbidden"),
        ("carol", "group:g", 2, "not_a_member"),
        ("alice", "dm:nonsense", 1, "bad_frame"),
    ],
)
async def test_who_may_not_delete(
    scene: MessageScene, user_id: str, conversation_id: str, number: int, code: str
) -> None:
    await scene.send("alice", DM)
    await scene.group("group:g", "alice", "bob")
    await scene.send("alice", "group:g")
    with pytest.raises(CooeeError) as caught:
        await delete(scene, user_id, conversation_id, number)
    assert caught.value.code == code


async def test_an_admin_deletes_what_members_wrote(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    await scene.send("bob", "group:g")
    await delete(scene, "alice", "group:g", 2)
    assert scene.store.messages["group:g"][1].content_type == "deleted"


async def test_a_deletion_that_cannot_be_stored_is_unavailable(scene: MessageScene) -> None:
    await scene.send("alice", DM)
    scene.store.full = True
    with pytest.raises(CooeeError) as caught:
        await delete(scene, "alice", DM, 1)
    assert caught.value.code is ErrorCode.UNAVAILABLE
