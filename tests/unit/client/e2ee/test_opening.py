"""A message is opened for who sent it, where it stands, once; a failing one changes nothing and is healed."""

import msgspec
import pytest

from cooee.client.e2ee import opening
from cooee.client.e2ee.results import BadKeyDropped, Opened, Unreadable
from cooee.domain import base64url
from cooee.protocol import frames
from tests.fakes.e2ee_scene import frame_of, on, quiet, run, talk, texts, view
from tests.fakes.e2ee_world import Box, World


@pytest.fixture
def world() -> World:
    return quiet(2)


def sent(world: World) -> tuple[Box, str, frames.MessageFrame]:
    """Return a receiver that has not taken a message yet, its conversation, and the message."""
    one, other = world.boxes
    name = talk(world, one, other)
    other.online = False
    one.write(name)
    run(world)
    return other, name, frame_of(world, other, name)


def changed(frame: frames.MessageFrame, part: str) -> frames.MessageFrame:
    assert isinstance(frame.content, msgspec.Raw)
    content = base64url.decode(msgspec.json.decode(frame.content, type=str))
    forged = bytes([*content[:-1], content[-1] ^ 1])
    match part:
        case "content":
            return msgspec.structs.replace(frame, content=msgspec.Raw(msgspec.json.encode(base64url.encode(forged))))
        case "envelope":
            return msgspec.structs.replace(frame, envelope=base64url.encode(bytes(100)))
        case "no envelope":
            return msgspec.structs.replace(frame, envelope=None)
        case "conversation":
            return msgspec.structs.replace(frame, conversation_id="dm:user0:user9")
        case _:
            return msgspec.structs.replace(frame, client_message_id="another")


@pytest.mark.parametrize("part", ["content", "envelope", "no envelope", "conversation", "id"])
def test_a_changed_message_is_not_opened_and_the_right_one_is_afterwards(world: World, part: str) -> None:
    box, _, frame = sent(world)
    result = on(box, lambda draft: draft.open(changed(frame, part)))
    assert isinstance(result, Unreadable)
    assert result.problem == "waiting"
    assert isinstance(on(box, lambda draft: draft.open(frame)), Opened)


def test_a_failing_message_leaves_the_session_as_it_is(world: World) -> None:
    box, _, frame = sent(world)
    draft = box.agent.draft(world.server.now)
    draft.open(changed(frame, "content"))
    assert {kind for kind, _ in draft.records()} <= {"waiting", "session", "todo"}
    before = view(box).session(world.boxes[0].me)
    after = draft.step.session(world.boxes[0].me)
    assert before is not None
    assert after == before.retired(), "at most it is put aside for a new one"


@pytest.mark.parametrize("content", [msgspec.UNSET, msgspec.Raw(b"7"), msgspec.Raw(b'"%"'), msgspec.Raw(b"{")])
def test_malformed_content_is_refused(world: World, content: msgspec.Raw) -> None:
    box, _, frame = sent(world)
    result = on(box, lambda draft: draft.open(msgspec.structs.replace(frame, content=content)))
    assert result == Unreadable("refused", "the content is malformed")


def test_a_key_opens_a_message_without_any_session(world: World) -> None:
    box, _, frame = sent(world)
    sender = world.boxes[0]
    key = sender.keys[frame.conversation_id, sender.me, frame.client_message_id][1]
    lone = quiet(1, seed=2).boxes[0]
    result = on(lone, lambda draft: draft.open(frame, key))
    assert isinstance(result, Opened)
    assert b"says" in result.body
    assert "says" not in repr(result)
    assert box.me


@pytest.mark.parametrize("key", [bytes(32), b"", bytes(31)])
def test_a_wrong_key_is_dropped_and_asked_for_again(world: World, key: bytes) -> None:
    box, name, frame = sent(world)
    on(box, lambda draft: draft.open(changed(frame, "no envelope")))
    draft = box.agent.draft(world.server.now)
    assert isinstance(draft.open(frame, key), Unreadable)
    assert draft.notices == [BadKeyDropped(name, frame.sequence_number)]
    waiting = draft.step.waiting(name, frame.sequence_number)
    assert waiting is not None
    assert waiting.next_at == world.server.now


def test_a_right_key_for_other_content_than_the_envelope_said_is_refused(world: World) -> None:
    box, name, frame = sent(world)
    sender = world.boxes[0]
    key = sender.keys[frame.conversation_id, sender.me, frame.client_message_id][1]
    on(box, lambda draft: draft.open(changed(frame, "no envelope")))
    waiting = view(box).waiting(name, frame.sequence_number)
    assert waiting is not None
    on(box, lambda draft: opening.put(draft.step, msgspec.structs.replace(waiting, digest=bytes(32))))
    draft = box.agent.draft(world.server.now)
    assert isinstance(draft.open(frame, key), Unreadable)


def test_an_unknown_device_of_a_known_user_is_looked_up_first(world: World) -> None:
    box, _, frame = sent(world)
    strange = msgspec.structs.replace(frame, sender_device_id="strange")
    assert on(box, lambda draft: draft.open(strange)) == Unreadable("waiting", "list")
    assert box.agent.looks_up(frame.sender_id)


def test_a_device_that_was_revoked_before_is_refused() -> None:
    world = quiet(2, devices=2)
    one, gone, box = world.boxes[0], world.boxes[1], world.boxes[2]
    name = talk(world, gone, box)
    frame = frame_of(world, box, name)
    on(one, lambda draft: draft.revoke(gone.me.device_id))
    run(world)
    on(box, lambda draft: draft.look_up(one.me.user_id))
    run(world)
    later = msgspec.structs.replace(frame, sequence_number=9, timestamp=world.server.now + 10 * 60_000)
    assert on(box, lambda draft: draft.open(later)) == Unreadable("refused", "unsigned device")
    assert box.tallies()["messages_of_unlisted"] == 1
    assert on(box, lambda draft: draft.open(msgspec.structs.replace(frame, sequence_number=8))).problem == "waiting"


def test_what_waits_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.WAITING_LIMIT == 5_000
    monkeypatch.setattr(opening, "WAITING_LIMIT", 3)
    box, _, frame = sent(world)
    for number in range(100, 110):
        lost = msgspec.structs.replace(changed(frame, "no envelope"), sequence_number=number)
        assert on(box, lambda draft, lost: draft.open(lost), lost).problem == "waiting"
    assert box.agent.diagnostics(world.server.now).waiting == 3
    assert box.tallies()["waiting_full"] == 7


def test_another_message_at_the_same_place_takes_the_place_over(world: World) -> None:
    box, name, frame = sent(world)
    on(box, lambda draft: draft.open(changed(frame, "id")))
    on(box, lambda draft: draft.open(changed(frame, "no envelope")))
    waiting = view(box).waiting(name, frame.sequence_number)
    assert waiting is not None
    assert waiting.client_message_id == frame.client_message_id
    on(box, lambda draft: opening.put(draft.step, msgspec.structs.replace(waiting, attempts=3)))
    on(box, lambda draft: draft.open(changed(frame, "no envelope")))
    same = view(box).waiting(name, frame.sequence_number)
    assert same is not None
    assert same.attempts == 3


def test_a_forgotten_message_is_not_asked_for(world: World) -> None:
    box, name, frame = sent(world)
    on(box, lambda draft: draft.open(changed(frame, "no envelope")))
    on(box, lambda draft: draft.forget(name, frame.sequence_number))
    on(box, lambda draft: draft.forget(name, 4_711))
    assert box.agent.diagnostics(world.server.now).waiting == 0


def test_before_its_keys_are_made_a_device_lets_messages_wait(world: World) -> None:
    _, _, frame = sent(world)
    fresh = Box(world, world.boxes[1].me)
    assert on(fresh, lambda draft: draft.open(frame)) == Unreadable("waiting", "keys")


def test_notes_to_oneself_reach_the_other_own_devices() -> None:
    world = quiet(1, devices=3)
    name = talk(world, world.boxes[0], world.boxes[1])
    assert name == "dm:user0:user0"
    assert texts(world.boxes[1], name) == texts(world.boxes[2], name) == [True]
