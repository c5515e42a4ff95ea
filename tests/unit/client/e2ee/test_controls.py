"""Blobs: read once, held until their sender is known, doubted when they do not decrypt; and frames that are refused."""

import pytest

from cooee.client.e2ee import controls, pairwise
from cooee.client.e2ee.kinds import OutFrame, OutItem
from cooee.client.e2ee.results import OwnStateTold
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from cooee.protocol.body import ArchiveControl, OwnControl, OwnConversation, SenderKeyControl, SessionControl
from tests.fakes.e2ee_scene import on, quiet, run, talk, view
from tests.fakes.e2ee_world import Box, World


@pytest.fixture
def world() -> World:
    world = quiet(2)
    talk(world, *world.boxes)
    talk(world, *reversed(world.boxes))
    return world


def blob(sender: Box, content: str, number: int = 1) -> frames.ToDevice:
    return frames.ToDevice(number, *sender.me, content)


def test_what_does_not_decrypt_begins_a_new_session_but_not_each_time(world: World) -> None:
    one, other = world.boxes
    for number in range(5):
        on(other, lambda draft, number: draft.to_device(blob(one, "AAAA", number)), number)
    assert other.tallies()["blob_failed_UnsupportedVersion"] == 5
    assert other.tallies()["sessions_renewed"] == 1
    assert other.tallies()["renewals_held_back"] == 4
    run(world)
    begun = other.tallies()["sessions_begun"]
    world.server.now += pairwise.RENEW_AFTER_MS
    on(other, lambda draft: draft.to_device(blob(one, "AAAA", 9)))
    run(world)
    assert other.tallies()["sessions_begun"] == begun + 1
    assert one.tallies()["blob_failed_NoSession"] == 0


def test_the_same_blob_again_does_no_harm(world: World) -> None:
    one, other = world.boxes
    world.server.queues[other.me].clear()
    other.online = False
    on(one, lambda draft: pairwise.tell(draft.step, other.me, SessionControl(), "session"))
    run(world)
    frame = world.server.queues[other.me][0]
    for _ in range(3):
        on(other, lambda draft: draft.to_device(frame))
    assert other.tallies()["controls_read"] >= 1
    assert other.tallies()["blobs_repeated"] == 2
    assert other.tallies()["sessions_renewed"] == 0


def test_a_blob_of_an_unknown_device_is_held_until_its_list_is_here(world: World) -> None:
    one, other = world.boxes
    late = world.log_in("user1")
    world.settle()
    assert late.agent.standing == "linked"
    one.online = False
    late.online = True
    on(late, lambda draft: draft.look_up("user0"))
    run(world)
    on(late, lambda draft: pairwise.tell(draft.step, one.me, SessionControl(), "session"))
    run(world)
    frame = world.server.queues[one.me][-1]
    on(one, lambda draft: draft.to_device(frame))
    assert one.agent.diagnostics(world.server.now).held == 1
    one.start()
    assert one.agent.looks_up("user1"), "after a restart too"
    one.connect()
    run(world)
    assert one.agent.diagnostics(world.server.now).held == 0
    assert one.tallies()["sessions_accepted"] >= 1
    assert other.me != late.me


def test_a_blob_of_a_device_that_is_in_no_list_is_dropped(world: World) -> None:
    one, other = world.boxes
    strange = frames.ToDevice(7, other.me.user_id, "strange", "AAAA")
    on(one, lambda draft: draft.to_device(strange))
    run(world)
    assert one.tallies()["blobs_of_unlisted"] == 1
    assert one.agent.diagnostics(world.server.now).held == 0


def test_what_is_held_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert controls.HELD_LIMIT == 500
    monkeypatch.setattr(controls, "HELD_LIMIT", 2)
    one = world.boxes[0]
    one.online = False
    for number in range(5):
        strange = frames.ToDevice(number, "somebody", "strange", "AAAA")
        on(one, lambda draft, strange: draft.to_device(strange), strange)
    assert one.agent.diagnostics(world.server.now).held == 2
    assert one.tallies()["blobs_dropped"] == 3


def test_others_cannot_speak_as_an_own_device(world: World) -> None:
    one, other = world.boxes
    own = OwnControl(conversations=(OwnConversation(conversation_id="dm:user0:user1", mode="plain"),))
    archive = ArchiveControl(media_key="m" * 22, key="A" * 43, digest="A" * 43, size=1)
    for control in (own, archive):
        on(one, lambda draft, control: pairwise.tell(draft.step, other.me, control, "own"), control)
    run(world)
    assert other.tallies()["controls_ignored"] == 2
    assert other.counts["OwnStateTold"] == 0
    assert other.agent.diagnostics(world.server.now).counts["controls_ignored"] == 2


def test_own_devices_are_told_how_conversations_are_set() -> None:
    world = quiet(1, devices=2)
    one, other = world.boxes
    told = OwnConversation(conversation_id="group:g", mode="plain", expires_in=5_000)
    on(one, lambda draft: draft.tell_own(told))
    run(world)
    assert other.counts["OwnStateTold"] == 1
    assert OwnStateTold((told,)).conversations[0].mode == "plain"


@pytest.mark.parametrize("distribution", ["AAAA", "A"])
def test_a_malformed_distribution_is_counted(world: World, distribution: str) -> None:
    one, other = world.boxes
    for name in ("group:g", "dm:user0:user1"):
        control = SenderKeyControl(conversation_id=name, distribution=distribution)
        on(one, lambda draft, control: pairwise.tell(draft.step, other.me, control, "sender_key"), control)
    run(world)
    assert other.tallies()["controls_malformed"] == 2


def test_controls_that_wait_for_one_device_are_bounded(world: World) -> None:
    one, other = world.boxes
    step = one.agent.draft(world.server.now).step
    for _ in range(pairwise.TASKS_LIMIT + 3):
        pairwise.tell(step, other.me, SenderKeyControl(conversation_id="group:g", distribution="AAAA"), "sender_key")
    assert len(step.todo(other.me).tasks) == pairwise.TASKS_LIMIT
    assert one.tallies()["controls_dropped"] == 3


# --- frames


def frame_with(world: World, box: Box, count: int) -> str:
    items = tuple(OutItem(DeviceRef("user1", f"x{number}"), base64url.encode(bytes(9))) for number in range(count))
    on(box, lambda draft: draft.step.put("out", "e1", OutFrame(items)))
    return "e1"


def test_a_frame_that_is_refused_for_a_while_is_sent_again_then(world: World) -> None:
    box = world.boxes[0]
    ident = frame_with(world, box, 2)
    assert [one.client_message_id for one in box.agent.outgoing(frames.WireLimits(), world.server.now)] == [ident]
    assert not box.agent.outgoing(frames.WireLimits(), world.server.now), "once a connection"
    on(box, lambda draft: draft.to_device_refused(ident, "rate_limited", 7_000))
    assert not box.agent.outgoing(frames.WireLimits(), world.server.now + 6_999)
    assert box.agent.next_due(world.server.now) <= world.server.now + 7_000  # type: ignore[operator]
    assert box.agent.outgoing(frames.WireLimits(), world.server.now + 7_000)
    box.agent.reconnected(world.server.now)
    assert box.agent.outgoing(frames.WireLimits(), world.server.now)


def test_one_recipient_that_may_not_be_sent_to_does_not_hold_up_the_others(world: World) -> None:
    box = world.boxes[0]
    frame_with(world, box, 5)
    sent: list[str] = []
    for _ in range(20):
        for frame in box.agent.outgoing(frames.WireLimits(), world.server.now):
            names = [item.device_id for item in frame.messages]
            if "x3" in names:
                on(box, lambda draft, frame: draft.to_device_refused(frame.client_message_id, "forbidden"), frame)
            else:
                sent += names
                on(box, lambda draft, frame: draft.to_device_acked(frame.client_message_id), frame)
    assert sorted(sent) == ["x0", "x1", "x2", "x4"]
    assert box.tallies()["blobs_given_up"] == 1
    assert pairwise.barred(view(box), DeviceRef("user1", "x3"))


def test_a_full_queue_of_one_device_holds_the_others_up_for_a_few_tries_only(world: World) -> None:
    box = world.boxes[0]
    frame_with(world, box, 2)
    ident = "e1"
    for attempt in range(controls.RETRIES_WHOLE + 1):
        assert ident in view(box).ids("out"), attempt
        on(box, lambda draft: draft.to_device_refused(ident, "rate_limited", 1))
    alone, other = view(box).ids("out")
    for _ in range(controls.RETRIES_ALONE):
        on(box, lambda draft: draft.to_device_refused(alone, "rate_limited", 1))
    assert view(box).ids("out") == [alone, other]
    on(box, lambda draft: draft.to_device_refused(alone, "rate_limited", 1))
    assert view(box).ids("out") == [other]
    assert box.tallies()["blobs_given_up"] == 1


def test_a_server_that_is_away_costs_no_blob(world: World) -> None:
    box = world.boxes[0]
    ident = frame_with(world, box, 1)
    for _ in range(3 * controls.RETRIES_ALONE):
        on(box, lambda draft: draft.to_device_refused(ident, "unavailable"))
    assert view(box).ids("out") == [ident]


def test_an_acknowledgement_of_nothing_is_harmless(world: World) -> None:
    draft = world.boxes[0].agent.draft(world.server.now)
    draft.to_device_acked("nothing")
    draft.to_device_refused("nothing", "forbidden")
    assert draft.is_empty
