"""Keys are asked for after a grace, of the right devices, not for ever; and given to who may have them."""

from itertools import pairwise

import msgspec
import pytest

from cooee.client.e2ee import healing, opening
from cooee.client.e2ee.kinds import GroupState, UserState
from cooee.client.e2ee.results import GaveUp
from cooee.client.e2ee.wants import FoundKey
from cooee.domain.ids import DeviceRef
from cooee.protocol.body import KeyReplyControl, KeyRequestControl, MessageKeyItem, MessageRef
from tests.fakes.e2ee_scene import frame_of, on, quiet, run, talk, texts, view
from tests.fakes.e2ee_world import Box, World

DAY = 24 * 3_600_000
GROUP = "group:g"


@pytest.fixture
def world() -> World:
    return quiet(3, devices=2)


def lose(world: World, sender: Box, box: Box) -> str:
    """Let a message come to a device without its envelope."""
    name = talk(world, sender, box)
    frame = msgspec.structs.replace(frame_of(world, box, name), envelope=None)
    place = (name, frame.sequence_number)
    del box.rows[place]
    del box.keys[name, sender.me, frame.client_message_id]
    stored = world.server.timelines[name][-1]
    assert box.step(lambda draft: draft.open(frame), lambda: box.rows.__setitem__(place, (stored, None)))
    return name


def asked(box: Box) -> list[DeviceRef]:
    """Return whom a device would ask now."""
    draft = box.agent.draft(box.server.now)
    healing.ask(draft.step)
    return [DeviceRef(*ident.split("/")) for ident in draft.step.ids("todo")]


def test_a_key_is_asked_for_after_five_seconds_and_comes(world: World) -> None:
    one, box = world.boxes[0], world.boxes[2]
    name = lose(world, one, box)
    world.pass_time(opening.GRACE_MS - 100)
    run(world, 1, 0)
    assert box.tallies()["keys_asked"] == 0
    run(world, 10)
    assert box.tallies()["keys_asked"] == 1
    assert texts(box, name) == [True]
    assert box.agent.diagnostics(world.server.now).waiting == 0


def test_first_the_senders_device_is_asked_then_all_of_his_and_the_own_ones(world: World) -> None:
    one, box = world.boxes[0], world.boxes[2]
    name = lose(world, one, box)
    world.server.now += opening.GRACE_MS
    assert asked(box) == [one.me]
    waiting = view(box).waiting(name, 1)
    assert waiting is not None
    on(box, lambda draft: opening.put(draft.step, msgspec.structs.replace(waiting, attempts=1)))
    assert set(asked(box)) == {world.boxes[0].me, world.boxes[1].me, world.boxes[3].me}


def test_it_is_asked_again_later_and_later_and_given_up_after_thirty_days(world: World) -> None:
    one, box = world.boxes[0], world.boxes[2]
    name = lose(world, one, box)
    for other in world.boxes:
        other.online = other is box
    times = []
    for _ in range(200):
        at = healing.next_ask(view(box))
        if at is None:
            break
        world.server.now = max(at, world.server.now)
        times.append(world.server.now)
        run(world, 2, 1)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == sorted(waits)
    assert len(times) == len(healing.ASK_AGAIN_MS) + 1
    assert 29 * DAY < times[-1] - times[0] < 31 * DAY
    assert (name, 1) in box.gave_up
    assert GaveUp(name, 1).sequence_number == 1


def test_a_key_that_comes_after_all_still_counts(world: World) -> None:
    one, box = world.boxes[0], world.boxes[2]
    name = lose(world, one, box)
    one.online = False
    world.server.now += opening.GRACE_MS
    run(world, 4)
    assert texts(box, name) == [False]
    world.server.now += healing.ASK_AGAIN_MS[0]
    run(world, 8)
    assert texts(box, name) == [True], "another device of the sender gave it"


def reply(world: World, sender: Box, name: str, client_message_id: str) -> KeyReplyControl:
    item = MessageKeyItem(
        conversation_id=name,
        sequence_number=1,
        sender_id=sender.me.user_id,
        sender_device_id=sender.me.device_id,
        client_message_id=client_message_id,
        key="A" * 43,
    )
    return KeyReplyControl(items=(item,))


def test_only_the_senders_and_the_own_devices_are_believed(world: World) -> None:
    one, own, box, stranger = world.boxes[0], world.boxes[3], world.boxes[2], world.boxes[4]
    name = lose(world, one, box)
    ident = world.server.timelines[name][0].client_message_id
    for ref, counted in ((stranger.me, 0), (own.me, 1), (world.boxes[1].me, 1)):
        draft = box.agent.draft(world.server.now)
        healing.replied(draft.step, ref, reply(world, one, name, ident))
        assert len(draft.message_keys) == counted
    draft = box.agent.draft(world.server.now)
    healing.replied(draft.step, one.me, reply(world, one, name, "never asked for"))
    assert not draft.message_keys
    assert box.tallies()["replies_refused"] == 1
    assert box.tallies()["replies_unasked"] == 1


# --- who is given a key

ME = "user0"


def found(sender: str, conversation_id: str, number: int, timestamp: int = 50) -> FoundKey:
    item = MessageRef(
        conversation_id=conversation_id,
        sequence_number=1,
        sender_id=sender,
        sender_device_id="d",
        client_message_id="c",
    )
    return FoundKey(item, number, timestamp, bytes(32))


@pytest.mark.parametrize(
    ("asker", "key", "may"),
    [
        (DeviceRef("user1", "listed"), found(ME, "dm:user0:user1", 5), True),
        (DeviceRef("user1", "unlisted"), found(ME, "dm:user0:user1", 5), False),
        (DeviceRef("user1", "listed"), found(ME, "dm:user0:user2", 5), False),
        (DeviceRef("user1", "listed"), found("user2", "dm:user1:user2", 5), False),
        (DeviceRef("user0", "other"), found("user2", "dm:user0:user2", 5), True),
        (DeviceRef("user0", "unlisted"), found("user2", "dm:user0:user2", 5), False),
        (DeviceRef("user1", "listed"), found(ME, GROUP, 9), False),
        (DeviceRef("user1", "listed"), found(ME, GROUP, 10), True),
        (DeviceRef("user1", "listed"), found("user2", GROUP, 10), False),
        (DeviceRef("left", "listed"), found(ME, GROUP, 7), True),
        (DeviceRef("left", "listed"), found(ME, GROUP, 3), False),
        (DeviceRef("left", "listed"), found(ME, GROUP, 8), False),
        (DeviceRef("never", "listed"), found(ME, GROUP, 7), False),
        (DeviceRef("user1", "listed"), found(ME, "group:unknown", 7), False),
        (DeviceRef("changed", "listed"), found(ME, "dm:changed:user0", 7, 99), False),
        (DeviceRef("changed", "listed"), found(ME, "dm:changed:user0", 7, 100), True),
    ],
)
def test_who_is_entitled(world: World, asker: DeviceRef, key: FoundKey, may: bool) -> None:
    step = world.boxes[0].agent.draft(world.server.now).step
    for name in ("user1", "left", "never", "changed"):
        step.put("user", name, UserState(True, devices={"listed": bytes(32)}, changed_at=100 * (name == "changed")))
    own = step.user(ME)
    step.put("user", ME, msgspec.structs.replace(own, devices={**own.devices, "other": bytes(32)}))
    step.put("group", GROUP, GroupState(5, {ME: 1, "user1": 10, "user2": 1}, past=(("left", 4, 7),)))
    assert healing.entitled(step, asker, key) is may


@pytest.mark.parametrize(("number", "may"), [(3, False), (4, True), (8, True), (9, False)])
def test_who_left_himself_gives_what_was_sent_until_then(world: World, number: int, may: bool) -> None:
    step = world.boxes[0].agent.draft(world.server.now).step
    step.put("user", "user1", UserState(True, devices={"listed": bytes(32)}))
    left = GroupState(5, since={"user1": 4}, past=((ME, 1, 8),), gone=True)
    step.put("group", GROUP, left)
    assert healing.entitled(step, DeviceRef("user1", "listed"), found(ME, GROUP, number)) is may
    step.put("group", GROUP, msgspec.structs.replace(left, past=()))
    assert not healing.entitled(step, DeviceRef("user1", "listed"), found(ME, GROUP, number))


def test_an_unlinked_device_gives_nobody_a_key(world: World) -> None:
    step = world.boxes[0].agent.draft(world.server.now).step
    step.put("user", "user1", UserState(True, devices={"listed": bytes(32)}))
    step.change_device(standing="unlinked")
    assert not healing.entitled(step, DeviceRef("user1", "listed"), found(ME, "dm:user0:user1", 5))


def test_the_true_number_counts_not_the_asserted_one(world: World) -> None:
    """The item says 1; the store says where the message stands."""
    draft = world.boxes[0].agent.draft(world.server.now)
    step = draft.step
    step.put("user", "user1", UserState(True, devices={"listed": bytes(32)}))
    step.put("group", GROUP, GroupState(5, {ME: 1, "user1": 10}))
    healing.found(step, DeviceRef("user1", "listed"), [found(ME, GROUP, 9)])
    assert not step.ids("todo")
    healing.found(step, DeviceRef("user1", "listed"), [found(ME, GROUP, 11)])
    assert step.ids("todo") == ["user1/listed"]


def test_requests_are_bounded_per_device_and_in_all(world: World) -> None:
    box = world.boxes[0]
    request = KeyRequestControl(items=(found(ME, "dm:user0:user1", 1).item,))
    asker = DeviceRef("user1", "listed")
    for _ in range(healing.REQUESTS_PER_DEVICE + 5):
        on(box, lambda draft: healing.requested(draft.step, asker, request))
    assert box.tallies()["requests_dropped"] == 5
    for number in range(healing.REQUESTS_LIMIT):
        ref = DeviceRef("user1", f"d{number}")
        on(box, lambda draft, ref: healing.requested(draft.step, ref, request), ref)
    assert len(box.agent._memory.requests) == healing.REQUESTS_LIMIT


def test_a_request_is_answered_by_a_list_that_is_newer_than_it(world: World) -> None:
    box, other = world.boxes[0], world.boxes[2]
    name = lose(world, box, other)
    item = found(ME, name, 1).item
    on(box, lambda draft: healing.requested(draft.step, other.me, KeyRequestControl(items=(item,))))
    assert box.agent.looks_up(other.me.user_id)
    world.server.now += 1
    assert not healing.answerable(view(box))
    run(world, 1)
    run(world, 1)
    assert not box.agent._memory.requests
