"""Only lists that are signed and newer are believed; a changed account key is told, and stops sending if verified."""

import msgspec
import pytest

from cooee.client.e2ee import lists, pairwise
from cooee.client.e2ee.results import KeyChanged, Problem, Refused, Sealed
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys
from tests.fakes.e2ee_scene import letter, on, quiet, run, talk, view
from tests.fakes.e2ee_world import Box, World


def answer(world: World, user_id: str) -> keys.UserDevices:
    return world.server.fetch_lists(keys.AskLists((keys.AskedList(user_id),))).items[0]


def take(box: Box, item: keys.UserDevices) -> list[object]:
    draft = box.agent.draft(box.server.now)
    lists.take(draft.step, item)
    draft.records()
    draft.install()
    return list(draft.notices)


def anew(world: World, box: Box) -> None:
    on(box, lambda draft: draft.start_anew("secret"))
    run(world)
    assert box.agent.standing == "linked"


def test_an_older_list_is_refused_and_told() -> None:
    world = quiet(2)
    one, other = world.boxes
    name = talk(world, one, other)
    old = answer(world, other.me.user_id)
    world.log_in(other.me.user_id)
    world.settle()
    take(one, answer(world, other.me.user_id))
    devices = one.agent.person(other.me.user_id).devices
    assert len(devices) == 2
    notices = take(one, old)
    assert [type(notice) for notice in notices] == [Problem]
    assert one.agent.person(other.me.user_id).devices == devices
    assert name in world.server.timelines


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_a_list_that_was_changed_on_the_way_is_refused(part: str) -> None:
    world = quiet(2)
    one, other = world.boxes
    item = answer(world, other.me.user_id)
    assert item.list is not None
    signed = answer(world, one.me.user_id).list
    assert signed is not None
    mixed = keys.SignedList(
        signed.payload if part == "payload" else item.list.payload,
        signed.signature if part == "signature" else item.list.signature,
    )
    forged = keys.UserDevices(other.me.user_id, mixed, False, item.current)
    assert [type(notice) for notice in take(one, forged)] == [Problem]
    assert one.agent.person(other.me.user_id).devices == ()


def test_a_list_that_the_server_has_lost_is_not_forgotten() -> None:
    world = quiet(2)
    one, other = world.boxes
    talk(world, one, other)
    assert take(one, keys.UserDevices(other.me.user_id, None, False, ()))
    assert one.agent.person(other.me.user_id).devices == (other.me,)


def test_devices_without_keys_are_not_current() -> None:
    world = quiet(2, devices=2)
    one, other = world.boxes[0], world.boxes[2]
    item = answer(world, other.me.user_id)
    take(one, keys.UserDevices(other.me.user_id, item.list, False, (other.me.device_id, "made-up")))
    assert one.agent.person(other.me.user_id).devices == (other.me,)


def test_a_changed_key_is_told_and_an_unverified_contact_is_still_written_to() -> None:
    world = quiet(2)
    one, other = world.boxes
    talk(world, one, other)
    before = one.agent.person(other.me.user_id)
    anew(world, other)
    assert take(one, answer(world, other.me.user_id)) == [KeyChanged(other.me.user_id, verified=False)]
    after = one.agent.person(other.me.user_id)
    assert after.changed
    assert after.account_key != before.account_key
    name = talk(world, one, other)
    assert other.rows[name, 2][1] is not None
    on(one, lambda draft: draft.accept_key(other.me.user_id))
    assert not one.agent.person(other.me.user_id).changed


def test_a_changed_key_of_a_verified_contact_stops_sending_until_it_is_accepted() -> None:
    world = quiet(2)
    one, other = world.boxes
    name = talk(world, one, other)
    on(one, lambda draft: draft.set_verified(other.me.user_id, on=True))
    anew(world, other)
    assert take(one, answer(world, other.me.user_id)) == [KeyChanged(other.me.user_id, verified=True)]
    sealed_letter = letter(one, name)
    refused = on(one, lambda draft: draft.seal(sealed_letter))
    assert isinstance(refused, Refused)
    assert refused.code == "key_changed"
    on(one, lambda draft: draft.accept_key(other.me.user_id))
    assert not one.agent.person(other.me.user_id).verified
    run(world)
    on(one, lambda draft: draft.seal(sealed_letter))
    run(world)
    assert isinstance(on(one, lambda draft: draft.seal(sealed_letter)), Sealed)


def test_a_key_that_comes_back_needs_no_acceptance() -> None:
    world = quiet(2)
    one, other = world.boxes
    talk(world, one, other)
    step = view(one)
    user = step.user(other.me.user_id)
    assert user.changed_at == 0
    anew(world, other)
    take(one, answer(world, other.me.user_id))
    changed = view(one).user(other.me.user_id)
    assert changed.had_key == user.account_key
    assert changed.changed_at == world.server.now


def test_who_has_no_known_key_cannot_be_verified() -> None:
    world = quiet(2)
    with pytest.raises(ValueError, match="no account key"):
        on(world.boxes[0], lambda draft: draft.set_verified("user1", on=True))
    with pytest.raises(ValueError, match="no account key"):
        on(world.boxes[0], lambda draft: draft.set_verified("user0", on=True))


def test_trust_is_told_to_the_own_devices_and_only_for_the_key_that_they_know_too() -> None:
    world = quiet(2, devices=2)
    one, second, other = world.boxes[0], world.boxes[1], world.boxes[2]
    talk(world, one, other)
    on(one, lambda draft: draft.set_verified(other.me.user_id, on=True))
    run(world)
    assert second.agent.person(other.me.user_id).verified
    on(second, lambda draft: lists.told(draft.step, other.me.user_id, bytes(32), verified=False))
    assert second.agent.person(other.me.user_id).verified


def test_a_device_that_vanished_counts_only_for_what_it_sent_before() -> None:
    world = quiet(2, devices=2)
    one, gone, other = world.boxes[0], world.boxes[1], world.boxes[2]
    talk(world, gone, other)
    assert pairwise.ready(view(other), gone.me)
    on(one, lambda draft: draft.revoke(gone.me.device_id))
    run(world)
    take(other, answer(world, one.me.user_id))
    step = view(other)
    assert not pairwise.ready(step, gone.me)
    until = step.user(gone.me.user_id).former[gone.me.device_id].until
    assert lists.identity_at(step, gone.me, until) is not None
    assert lists.identity_at(step, gone.me, until + lists.SKEW_MS + 1) is None
    assert lists.identity_of(step, gone.me) is None
    assert lists.identity_at(step, DeviceRef(gone.me.user_id, "never"), 0) is None


def test_what_it_sent_before_is_opened_after_its_revocation_and_its_sessions_go_after_thirty_days() -> None:
    world = quiet(2, devices=2)
    one, gone, other = world.boxes[0], world.boxes[1], world.boxes[2]
    talk(world, gone, other)
    name = talk(world, other, gone)
    other.online = False
    gone.write(name)
    run(world)
    on(one, lambda draft: draft.revoke(gone.me.device_id))
    run(world)
    on(other, lambda draft: lists.take(draft.step, answer(world, one.me.user_id)))
    world.server.now += 60 * 60_000
    other.connect()
    run(world, 3)
    assert other.rows[name, 3][1] is not None
    assert other.tallies()["keys_asked"] == 0
    world.server.now += lists.FORMER_FOR_MS
    run(world, 3)
    assert view(other).session(gone.me) is None
    assert view(other).session(one.me) is not None


def test_a_device_that_comes_back_with_another_key_has_no_session() -> None:
    world = quiet(2)
    one, other = world.boxes
    talk(world, one, other)
    draft = one.agent.draft(world.server.now)
    user = draft.step.user(other.me.user_id)
    draft.step.put("user", other.me.user_id, msgspec.structs.replace(user, devices={other.me.device_id: bytes(32)}))
    newer = world.server.lists[other.me.user_id][0]
    item = keys.UserDevices(other.me.user_id, newer, False, (other.me.device_id,))
    lists.take(draft.step, item)
    assert draft.step.session(other.me) is None
