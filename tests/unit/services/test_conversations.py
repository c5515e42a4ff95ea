"""Views in memory: loaded once, in order, never older than what was told."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import msgspec
import pytest

from cooee.domain.conversation import Group, Member, Role, Span
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.receipt import Watermark
from cooee.services.conversations import ConversationView, check_takes_part
from tests.fakes.message_scene import MessageScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[MessageScene]:
    async with MessageScene(capacity=3) as scene:
        await scene.people("alice", "bob", "carol", "dave", "eve")
        yield scene


def written(number: int, sender: str = "alice", conversation_id: str = DM) -> Message:
    return Message(conversation_id, number, number, sender, "d1", f"c{number}", 0, "text", b'{"content":"x"}')


async def test_a_view_is_loaded_once_however_many_ask(scene: MessageScene) -> None:
    order: list[int] = []
    views: list[ConversationView | CooeeError] = []

    def ready(turn: int, view: ConversationView | CooeeError) -> None:
        order.append(turn)
        views.append(view)

    for turn in range(3):
        scene.views.use(DM, partial(ready, turn))
    assert scene.views.peek(DM) is None
    await scene.settle()
    assert order == [0, 1, 2]
    assert scene.store.reads == 1
    assert views == [scene.views.peek(DM)] * 3
    scene.views.use(DM, lambda _view: order.append(3))
    assert order[-1] == 3, "what is in memory is given at once"


async def test_a_caller_that_fails_does_not_hurt_the_next(scene: MessageScene) -> None:
    def fail(_view: object) -> None:
        raise RuntimeError("a bug")

    got: list[object] = []
    scene.views.use(DM, fail)
    scene.views.use(DM, got.append)
    await scene.settle()
    assert len(got) == 1


@pytest.mark.parametrize(
    ("conversation_id", "code"),
    [("dm:bob:alice", "bad_frame"), ("dm:alice:nobody", "not_found"), ("group:nothing", "not_a_member")],
)
async def test_what_is_not_there_is_told(scene: MessageScene, conversation_id: str, code: str) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.views.load(conversation_id)
    assert caught.value.code == code
    assert scene.views.peek(conversation_id) is None


async def test_a_deleted_peer_leaves_a_view_that_is_gone(scene: MessageScene) -> None:
    await scene.accounts.erase("bob")
    view = await scene.views.load(DM)
    assert view.gone
    assert set(view.members) == {"alice", "bob"}


async def test_the_least_recently_written_view_is_dropped(scene: MessageScene) -> None:
    for peer in ("bob", "carol", "dave"):
        await scene.views.load(f"dm:alice:{peer}")
    scene.views.observe(written(1))
    await scene.views.load("dm:alice:eve")
    assert len(scene.views) == 3
    assert scene.views.peek(DM) is not None
    assert scene.views.peek("dm:alice:carol") is None


async def test_forgetting_a_user_drops_all_his_conversations(scene: MessageScene) -> None:
    await scene.views.load(DM)
    await scene.views.load("dm:alice:carol")
    scene.views.forget_user("bob")
    assert scene.views.peek(DM) is None
    assert scene.views.peek("dm:alice:carol") is not None


async def test_nothing_is_kept_of_views_that_are_dropped(scene: MessageScene) -> None:
    for peer in ("bob", "carol", "dave", "eve"):
        await scene.views.load(f"dm:alice:{peer}")
    scene.views.forget("dm:alice:carol")
    scene.views.forget("dm:alice:carol")
    for user_id in ("alice", "nobody"):
        scene.views.forget_user(user_id)
    assert len(scene.views) == 0
    assert scene.views._of_user == {}


async def test_what_changes_during_the_loading_is_not_missed(scene: MessageScene) -> None:
    loading = asyncio.ensure_future(scene.views.load(DM))
    await asyncio.sleep(0)
    await scene.contacts.set_block("bob", "alice", present=True)
    scene.views.forget(DM)
    assert (await loading).blocked
    assert scene.store.reads == 2


async def test_messages_of_the_loading_time_are_in_the_view(scene: MessageScene) -> None:
    loading = asyncio.ensure_future(scene.views.load(DM))
    await asyncio.sleep(0)
    scene.views.observe(written(1, "bob"))
    view = await loading
    assert view.head == 1
    assert view.senders(0, 1) == frozenset({"bob"})


async def test_watermarks_of_the_loading_time_are_in_the_view_of_a_large_group(scene: MessageScene) -> None:
    members = {f"u{n}": Member(f"u{n}", Role.MEMBER, 1) for n in range(50)}
    scene.store.groups["group:big"] = Group("group:big", "B", "u0", members, 1, 0)
    loading = asyncio.ensure_future(scene.views.load("group:big"))
    await asyncio.sleep(0)
    scene.views.note_watermark("group:big", "u7", Watermark(1, 1))
    assert (await loading).watermarks == {"u7": Watermark(1, 1)}


async def test_a_roster_change_during_the_loading_loads_again(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    scene.views.forget("group:g")
    loading = asyncio.ensure_future(scene.views.load("group:g"))
    await asyncio.sleep(0)
    group = scene.store.groups["group:g"]
    members = group.members | {"carol": Member("carol", Role.MEMBER, 2)}
    scene.store.groups["group:g"] = msgspec.structs.replace(group, members=members)
    body = b'{"content":{"event":"member_added","actorId":"alice","userIds":["carol"]}}'
    scene.views.observe(Message("group:g", 2, 2, "alice", "", "s", 0, CONTENT_SYSTEM, body))
    view = await loading
    assert set(view.members) == {"alice", "bob", "carol"}
    assert view.recipients(1) == ("alice", "bob")


async def test_a_roster_change_drops_the_view(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    await scene.views.load("group:g")
    body = b'{"content":{"event":"member_left","actorId":"bob","userIds":["bob"]}}'
    scene.views.observe(Message("group:g", 2, 2, "bob", "", "s", 0, CONTENT_SYSTEM, body))
    assert scene.views.peek("group:g") is None


async def test_a_group_is_large_by_the_threshold(scene: MessageScene) -> None:
    members = {f"u{n}": Member(f"u{n}", Role.MEMBER, 1) for n in range(50)}
    scene.store.groups["group:big"] = Group("group:big", "B", "u0", members, 1, 0)
    fewer = dict(list(members.items())[:49])
    scene.store.groups["group:small"] = Group("group:small", "S", "u0", fewer, 1, 0)
    assert (await scene.views.load("group:big")).large
    assert not (await scene.views.load("group:small")).large


async def test_spans_say_who_may_see_what(scene: MessageScene) -> None:
    await scene.group("group:g", "alice", "bob")
    scene.store.old_spans["group:g", "carol"] = (Span(1, 4),)
    assert list(await scene.views.spans(DM, "alice")) == [Span(1)]
    assert list(await scene.views.spans("group:g", "bob")) == [Span(1)]
    assert list(await scene.views.spans("group:g", "carol")) == [Span(1, 4)]
    for conversation_id, user_id in (("group:g", "dave"), ("group:x", "alice"), (DM, "carol")):
        with pytest.raises(CooeeError) as caught:
            await scene.views.spans(conversation_id, user_id)
        assert caught.value.code is ErrorCode.NOT_A_MEMBER


async def test_strangers_are_those_whom_the_other_does_not_know(scene: MessageScene) -> None:
    await scene.contacts.set_contact("bob", "alice", present=True)
    assert (await scene.views.load(DM)).strangers == {"bob"}
    assert (await scene.views.load("dm:alice:alice")).strangers == frozenset()
    await scene.send("alice", DM)
    scene.views.forget(DM)
    assert (await scene.views.load(DM)).strangers == frozenset(), "a chat that has begun has no strangers"


async def test_a_caller_who_gave_up_does_no_harm(scene: MessageScene) -> None:
    loading = asyncio.ensure_future(scene.views.load(DM))
    await asyncio.sleep(0)
    loading.cancel()
    await scene.settle()
    assert scene.views.peek(DM) is not None


def test_taking_part_is_decided_by_the_id_alone() -> None:
    check_takes_part(DM, "alice")
    check_takes_part("group:g", "alice")
    for conversation_id, code in ((DM, "not_a_member"), ("dm:b:a", "bad_frame"), ("nonsense", "bad_frame")):
        with pytest.raises(CooeeError) as caught:
            check_takes_part(conversation_id, "carol")
        assert caught.value.code == code
