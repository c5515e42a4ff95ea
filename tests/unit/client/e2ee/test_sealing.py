"""A letter is sealed for exactly the devices that are current; what cannot be sealed for holds nobody up."""

import msgspec
import pytest

from cooee.client.e2ee import pairwise, sealing, senders
from cooee.client.e2ee.results import NotYet, Sealed
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from tests.fakes.e2ee_scene import letter, on, quiet, run, talk, texts, view
from tests.fakes.e2ee_world import World

GROUP = "group:g"


@pytest.fixture
def world() -> World:
    return quiet(2, devices=2)


def test_a_direct_letter_has_one_envelope_for_each_device_but_this_one(world: World) -> None:
    one = world.boxes[0]
    name = talk(world, one, world.boxes[2])
    made = letter(one, name)
    sealed = on(one, lambda draft: draft.seal(made))
    assert isinstance(sealed, Sealed)
    assert {DeviceRef(it.user_id, it.device_id) for it in sealed.envelopes} == {box.me for box in world.boxes[1:]}
    again = on(one, lambda draft: draft.seal(made))
    assert isinstance(again, Sealed)
    assert {it.content for it in again.envelopes}.isdisjoint(it.content for it in sealed.envelopes), (
        "no key is used twice"
    )


def test_a_device_without_usable_keys_gets_an_empty_envelope_and_asks_for_the_key(world: World) -> None:
    one, other = world.boxes[0], world.boxes[2]
    held = world.server.stocks[other.me]
    assert held.signed is not None
    good, held.signed = held.signed, msgspec.structs.replace(held.signed, signature=held.kems[0].signature)
    name = talk(world, one, other)
    stored = world.server.timelines[name][0]
    assert stored.envelopes[other.me] == sealing.NO_ENVELOPE
    assert stored.envelopes[world.boxes[3].me] != sealing.NO_ENVELOPE
    assert pairwise.barred(view(one), other.me)
    assert one.tallies()["envelopes_left_empty"] == 1
    held.signed = good
    world.settle()
    assert texts(other, name) == [True]


def test_only_one_bundle_is_claimed_per_device(world: World) -> None:
    one = world.boxes[0]
    left = [len(world.server.stocks[box.me].kems) for box in world.boxes]
    talk(world, one, world.boxes[2])
    talk(world, one, world.boxes[2])
    now = [len(world.server.stocks[box.me].kems) for box in world.boxes]
    assert [before - after for before, after in zip(left, now, strict=True)][2:] == [1, 1]


def test_a_group_is_looked_at_again_when_the_server_knows_other_devices(world: World) -> None:
    one = world.boxes[0]
    world.server.create(GROUP, list(world.users))
    run(world)
    one.write(GROUP)
    run(world, 20)
    group = view(one).group(GROUP)
    assert group is not None
    on(one, lambda draft: draft.step.put("group", GROUP, msgspec.structs.replace(group, server_hash="other")))
    one.agent._memory.fetched[GROUP] = world.server.now + 1
    made = letter(one, GROUP)
    assert on(one, lambda draft: draft.seal(made)) == NotYet("lists")
    run(world)
    assert isinstance(on(one, lambda draft: draft.seal(made)), Sealed), "it is sealed for what is signed, all the same"


def test_a_new_device_of_a_member_gets_the_chain_before_the_next_message(world: World) -> None:
    one = world.boxes[0]
    world.server.create(GROUP, list(world.users))
    run(world)
    one.write(GROUP)
    run(world, 20)
    late = world.log_in("user1")
    world.settle()
    assert late.agent.standing == "linked"
    one.write(GROUP)
    run(world, 20)
    assert late.rows[GROUP, 3][1] is not None
    assert late.tallies()["open_failed_NoSession"] == 0
    assert one.tallies()["mismatches"] == 1


def test_a_conversation_nobody_asks_about_is_prepared_no_further(world: World) -> None:
    one = world.boxes[0]
    world.server.create(GROUP, list(world.users))
    run(world)
    made = letter(one, GROUP)
    one.online = False
    for _ in range(4):
        on(one, lambda draft: draft.seal(made))
        for want in one.agent.wants(world.server.now):
            one._carry_out(want)
    assert senders.demanded(view(one)) == [GROUP]
    assert sealing.DEMAND_MS == 600_000
    world.server.now += sealing.DEMAND_MS
    assert senders.demanded(view(one)) == []
    assert senders.distributable(view(one)) == {}


def test_the_sealed_frame_fits_the_servers_form(world: World) -> None:
    one = world.boxes[0]
    name = talk(world, one, world.boxes[2])
    made = letter(one, name)
    sealed = on(one, lambda draft: draft.seal(made))
    frame = frames.Send("m1", "encrypted", msgspec.Raw(msgspec.json.encode(made.content)), name)
    assert world.server.send(one.me, msgspec.structs.replace(frame, envelopes=sealed.envelopes)) is not None
    refused = world.server.send(one.me, msgspec.structs.replace(frame, client_message_id="m2", envelopes=()))
    assert isinstance(refused, frames.Error)
