"""Chains: given to every device before the first message, however many there are, and begun anew when somebody goes."""

import pytest

from cooee.client.e2ee import lists, pairwise, senders
from cooee.client.e2ee.kinds import OutItem
from cooee.client.e2ee.results import NotYet, Sealed
from cooee.client.e2ee.step import SUITE
from cooee.crypto import device_list, prekeys, sender_key
from cooee.crypto.device_list import DeviceList, ListedDevice
from cooee.crypto.errors import NoSession
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames, keys
from tests.fakes.e2ee_scene import frame_of, letter, newest, on, quiet, run, texts, view
from tests.fakes.e2ee_server import Stock
from tests.fakes.e2ee_world import Box, World

GROUP = "group:g"
DAY = 24 * 3_600_000


@pytest.fixture
def world() -> World:
    world = quiet(3)
    world.server.create(GROUP, list(world.users))
    run(world)
    return world


def say(world: World, box: Box) -> None:
    box.write(GROUP)
    run(world, 20)


def chain_of(box: Box) -> int:
    chain = view(box).chain(GROUP)
    assert chain is not None
    return chain.chain_id


def test_the_chain_is_there_before_the_message(world: World) -> None:
    one, two, three = world.boxes
    say(world, one)
    say(world, one)
    for box in (two, three):
        assert texts(box, GROUP) == [True, True]
        assert box.tallies()["open_failed_NoSession"] == 0
    holders = view(one).holders(GROUP)
    assert holders is not None
    assert all(holder.acked for holder in holders.devices.values())
    assert len(holders.devices) == 2


def test_who_leaves_makes_the_chain_new_and_who_joins_does_not(world: World) -> None:
    one, two, three = world.boxes
    world.server.leave(GROUP, three.me.user_id)
    say(world, one)
    before = chain_of(one)
    world.server.join(GROUP, three.me.user_id)
    say(world, one)
    assert chain_of(one) == before
    assert texts(three, GROUP) == [True]
    world.server.leave(GROUP, three.me.user_id)
    say(world, one)
    assert chain_of(one) != before
    stored = newest(world, GROUP)
    assert stored.group_envelope is not None
    known = view(three).find("peer", f"{GROUP}/{one.me.user_id}/{one.me.device_id}")
    with pytest.raises(NoSession):
        sender_key.decrypt(
            known, base64url.decode(stored.group_envelope), stored.roster_version or 0, stored.hash or ""
        )
    assert texts(two, GROUP) == [True, True, True]


def test_the_chain_is_new_after_seven_days(world: World) -> None:
    one = world.boxes[0]
    say(world, one)
    before = chain_of(one)
    world.server.now += 7 * DAY
    say(world, one)
    assert chain_of(one) != before


def test_the_chain_is_new_after_a_thousand_messages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sender_key.MAX_MESSAGES == 1_000
    monkeypatch.setattr(sender_key, "MAX_MESSAGES", 2)
    one = world.boxes[0]
    chains = []
    for _ in range(4):
        say(world, one)
        chains.append(chain_of(one))
    assert chains[0] == chains[1] != chains[2] == chains[3]
    assert texts(world.boxes[1], GROUP) == [True] * 4


def test_a_device_whose_identity_changed_counts_as_gone(world: World) -> None:
    one, two = world.boxes[:2]
    say(world, one)
    devices = senders.group_devices(view(one), GROUP)
    draft = one.agent.draft(world.server.now)
    before = chain_of(one)
    draft = one.agent.draft(world.server.now)
    senders.ensure(draft.step, GROUP, devices)
    assert draft.is_empty
    senders.ensure(draft.step, GROUP, {**devices, two.me: bytes(32)})
    chain = draft.step.chain(GROUP)
    assert chain is not None
    assert chain.chain_id != before


def test_a_device_that_may_have_the_chain_counts_though_nobody_acknowledged_it(world: World) -> None:
    one, three = world.boxes[0], world.boxes[2]
    made = letter(one, GROUP)
    for _ in range(6):
        on(one, lambda draft: draft.seal(made))
        for want in one.agent.wants(world.server.now):
            one._carry_out(want)
        on(one, lambda draft: draft.work())
    holders = view(one).holders(GROUP)
    assert holders is not None
    assert [holder.acked for holder in holders.devices.values()] == [False, False]
    before = chain_of(one)
    world.server.leave(GROUP, three.me.user_id)
    run(world)
    on(one, lambda draft: draft.seal(made))
    assert chain_of(one) != before


def test_a_device_without_usable_keys_holds_nobody_up(world: World) -> None:
    one, two, three = world.boxes
    held = world.server.stocks[three.me]
    assert held.signed is not None
    held.signed = keys.SignedPreKey(held.signed.id, held.signed.key, base64url.encode(bytes(64)))
    say(world, one)
    assert texts(two, GROUP) == [True]
    assert one.tallies()["bundles_refused"] >= 1
    world.settle(days=3)
    assert one.agent._memory.barred


# --- many


def crowd(world: World, count: int) -> None:
    """Let ``count`` users with a device each be members, all with the same keys: only their owners would care."""
    random = world.chance.randbytes
    suite = SUITE
    identity, account = IdentityPrivateKey.generate(random), AccountPrivateKey.generate(random)
    signed = prekeys.make_signed_pre_key(suite, identity, 1, random)
    last = prekeys.make_last_resort_key(suite, identity, 1, random)
    public = base64url.encode(bytes(identity.public()))
    published = prekeys.publication(suite, identity.public(), signed_pre_key=signed, last_resort=last)
    for number in range(count):
        user_id = f"crowd{number}"
        made = DeviceList(user_id, 1, 0, account.public(), (ListedDevice("d", identity.public()),))
        text = device_list.sign(made, account).to_json()
        one = keys.SignedList(text["payload"], text["signature"])
        payload = keys.decode_list_payload(base64url.decode(one.payload))
        world.server.lists[user_id] = (one, payload)
        stock = Stock(public)
        stock.signed = keys.SignedPreKey(**published["signedPreKey"])
        stock.last_resort = keys.KemKey(**published["lastResortKemKey"])
        world.server.stocks[DeviceRef(user_id, "d")] = stock
        world.server.devices[user_id].add("d")


def test_a_large_group_is_set_up_in_batches_and_goes_on_after_a_restart(world: World) -> None:
    one = world.boxes[0]
    crowd(world, 250)
    name = "group:crowd"
    world.server.create(name, [one.me.user_id, *(f"crowd{number}" for number in range(250))])
    made = letter(one, name)
    seen: list[NotYet] = []
    restarted = False
    claims: list[int] = []
    claim = world.server.claim

    def counted(body: keys.ClaimKeys) -> keys.Claimed:
        claims.append(len(body.devices))
        return claim(body)

    world.server.claim = counted  # type: ignore[method-assign]
    result: object = None
    for _ in range(200):
        result = on(one, lambda draft: draft.seal(made))
        if isinstance(result, Sealed):
            break
        assert isinstance(result, NotYet)
        seen.append(result)
        if result.done >= 60 and not restarted:
            one.start()
            one.connect()
            restarted = True
        world.pass_time(50)
    assert isinstance(result, Sealed)
    assert restarted
    assert max(claims) <= keys.MAX_CLAIM
    assert sum(claims) <= 250 + keys.MAX_CLAIM, "what was done before the restart was done again"
    progress = [one.done for one in seen if one.reason == "distribution"]
    assert progress == sorted(progress)
    assert {one.total for one in seen if one.total} == {250}
    assert all(len(world.server.queues[DeviceRef(f"crowd{number}", "d")]) == 1 for number in range(250))


def test_frames_hold_at_most_a_hundred_blobs_and_sixty_kilobytes(world: World) -> None:
    one = world.boxes[0]
    draft = one.agent.draft(world.server.now)
    for number in range(150):
        pairwise.put_out(draft.step, OutItem(DeviceRef("bob", f"d{number}"), "x" * 10))
    for number in range(9):
        pairwise.put_out(draft.step, OutItem(DeviceRef("bob", f"d{number}"), "x" * 16_000))
    draft.records()
    draft.install()
    sizes, blobs = [], 0
    for _ in range(10):
        for frame in one.agent.outgoing(frames.WireLimits(), world.server.now):
            sizes.append((len(frame.messages), sum(len(item.content) for item in frame.messages)))
            blobs += len(frame.messages)
            on(one, lambda draft, frame: draft.to_device_acked(frame.client_message_id), frame)
    assert blobs == 159
    assert all(count <= 100 and size <= 60 * 1024 for count, size in sizes)
    assert len(sizes) == 4


def test_a_lost_chain_is_given_again(world: World) -> None:
    one, two = world.boxes[:2]
    say(world, one)
    on(two, lambda draft: draft.step.drop("peer", f"{GROUP}/{one.me.user_id}/{one.me.device_id}"))
    say(world, one)
    assert texts(two, GROUP) == [True, False]
    world.settle()
    assert texts(two, GROUP) == [True, True]
    say(world, one)
    assert texts(two, GROUP) == [True, True, True]
    assert frame_of(world, two, GROUP).group_envelope
    assert lists.identity_of(view(one), two.me)
