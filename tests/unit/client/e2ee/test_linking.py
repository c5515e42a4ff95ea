"""A device is linked by who saw its screen, in time, and by nobody else; it is revoked, and an account starts anew."""

import pytest

from cooee.client.e2ee.results import Refused
from cooee.crypto import link
from cooee.crypto.keys import IdentityPrivateKey
from cooee.domain.ids import DeviceRef
from tests.fakes.e2ee_scene import letter, on, quiet, run, view
from tests.fakes.e2ee_world import Box, Faults, World


@pytest.fixture
def world() -> World:
    return quiet(2)


def newcomer(world: World) -> Box:
    """Return a device that has published its keys, and that nobody links by himself."""
    world.link = lambda: None  # type: ignore[method-assign]
    box = world.log_in("user0")
    run(world, 20)
    assert box.agent.standing == "unlinked"
    return box


def test_it_is_linked_and_gets_key_and_history(world: World) -> None:
    old = world.boxes[0]
    old.keys["dm:user0:user1", DeviceRef("user1", "d1"), "old"] = (1, bytes(32))
    box = newcomer(world)
    code = on(box, lambda draft: draft.link_code())
    on(old, lambda draft: draft.link(code))
    run(world, 20)
    assert box.agent.standing == "linked"
    assert box.agent.own_account_key() == old.agent.own_account_key()
    assert box.keys == old.keys
    assert set(old.agent.person("user0").devices) == {old.me, box.me}
    assert view(box).device.code == ""


def test_an_unlinked_device_sends_nothing_encrypted(world: World) -> None:
    box = newcomer(world)
    made = letter(box, "dm:user0:user1")
    refused = on(box, lambda draft: draft.seal(made))
    assert isinstance(refused, Refused)
    assert refused.code == "not_linked"
    assert box.counts["NeedsLink"] == 1
    assert box.agent.own_account_key() is None


def test_a_code_is_honoured_for_ten_minutes(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    code = on(box, lambda draft: draft.link_code())
    world.server.now += link.LIFETIME_MS
    on(old, lambda draft: draft.link(code))
    run(world, 20)
    assert box.agent.standing == "unlinked"
    assert box.counts["Problem"] == 1


def test_an_answer_of_who_did_not_see_the_code_is_refused(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    on(box, lambda draft: draft.link_code())
    other = link.make(box.me, view(box).identity().public(), world.chance.randbytes)
    on(old, lambda draft: draft.link(other.text()))
    run(world, 20)
    assert box.agent.standing == "unlinked"
    assert box.counts["Problem"] == 1
    assert box.agent.own_account_key() is None


def test_a_device_with_other_keys_than_the_code_says_is_not_signed_in(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    foreign = IdentityPrivateKey.generate(world.chance.randbytes).public()
    code = link.make(box.me, foreign, world.chance.randbytes).text()
    on(old, lambda draft: draft.link(code))
    run(world, 20)
    assert old.counts["Problem"] == 1
    assert old.agent.person("user0").devices == (old.me,)


def test_a_device_without_keys_is_not_signed_in(world: World) -> None:
    old = world.boxes[0]
    foreign = IdentityPrivateKey.generate(world.chance.randbytes).public()
    code = link.make(DeviceRef("user0", "nobody"), foreign, world.chance.randbytes).text()
    on(old, lambda draft: draft.link(code))
    run(world, 20)
    assert old.counts["Problem"] == 1
    assert not view(old).device.wishes


@pytest.mark.parametrize("text", ["", "nonsense", "cooee-link:1:AAAA"])
def test_what_is_no_code_is_refused_at_once(world: World, text: str) -> None:
    with pytest.raises(ValueError, match="code"):
        on(world.boxes[0], lambda draft: draft.link(text))


def test_codes_of_others_and_own_codes_are_refused(world: World) -> None:
    old, other = world.boxes
    for box in (old, other):
        code = link.make(box.me, view(box).identity().public(), world.chance.randbytes).text()
        with pytest.raises(ValueError, match="another account"):
            on(old, lambda draft, code: draft.link(code), code)


def test_a_linked_device_has_no_code_and_an_unlinked_one_links_nobody(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    with pytest.raises(ValueError, match="link code"):
        on(old, lambda draft: draft.link_code())
    code = on(box, lambda draft: draft.link_code())
    with pytest.raises(ValueError, match="not linked"):
        on(box, lambda draft: draft.link(code))


def test_a_lost_account_key_is_handed_over_again(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    code = on(box, lambda draft: draft.link_code())
    on(old, lambda draft: draft.link(code))
    box.online = False
    run(world, 20)
    world.server.queues[box.me].clear()
    box.connect()
    run(world, 5)
    assert box.agent.standing == "unlinked"
    on(old, lambda draft: draft.link(code))
    run(world, 20)
    assert box.agent.own_account_key() == old.agent.own_account_key()


def test_a_revoked_device_is_unlinked_and_gives_its_account_key_up() -> None:
    world = quiet(1, devices=2)
    one, other = world.boxes
    on(one, lambda draft: draft.revoke(other.me.device_id))
    run(world)
    assert one.counts["DeviceUnlisted"] == 1
    assert one.agent.person("user0").devices == (one.me,)
    other.revoked, other.online = False, True
    world.server.devices["user0"].add(other.me.device_id)
    other.connect()
    run(world, 20)
    assert other.agent.standing == "unlinked"
    assert view(other).device.account == b""


def test_only_other_listed_devices_are_revoked(world: World) -> None:
    old = world.boxes[0]
    for name in (old.me.device_id, "nobody"):
        with pytest.raises(ValueError, match="no other own device"):
            on(old, lambda draft, name: draft.revoke(name), name)


def test_starting_anew_needs_the_password(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    on(box, lambda draft: draft.start_anew("wrong"))
    run(world, 20)
    assert box.agent.standing == "unlinked"
    assert box.counts["Problem"] == 1
    assert old.agent.standing == "linked"


def test_starting_anew_leaves_this_device_alone_and_unlinks_the_others(world: World) -> None:
    old, box = world.boxes[0], newcomer(world)
    before = old.agent.own_account_key()
    on(box, lambda draft: draft.start_anew("secret"))
    run(world, 20)
    assert box.agent.standing == "linked"
    assert box.agent.own_account_key() not in {None, before}
    assert box.agent.person("user0").devices == (box.me,)
    old.revoked, old.online = False, True
    world.server.devices["user0"].add(old.me.device_id)
    old.connect()
    run(world, 20)
    assert old.agent.standing == "unlinked"


def test_a_wish_to_start_anew_that_was_interrupted_is_told(world: World) -> None:
    box = newcomer(world)
    box.online = False
    on(box, lambda draft: draft.start_anew("secret"))
    box.start()
    box.connect()
    run(world, 20)
    assert box.agent.standing == "unlinked"
    assert box.counts["Problem"] == 1
    assert not view(box).device.wishes


def test_two_first_devices_at_once_agree_on_one_list() -> None:
    world = World(1, Faults(), users=1, devices=2)
    assert [box.agent.standing for box in world.boxes] == ["linked", "linked"]
