"""The stock of pre-keys is full when it is published, is filled up in time, and forgets what its grace is over for."""

import pytest

from cooee.client.e2ee import stock
from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.results import Problem
from cooee.crypto.prekeys import KemPreKey, SignedPreKey
from cooee.crypto.session import Decrypted, SessionRecord
from cooee.protocol import keys
from tests.fakes.e2ee_scene import on, quiet, run, talk, view
from tests.fakes.e2ee_world import Box, Faults, World
from tests.fakes.pairwise import make_pair

DAY = 24 * 3_600_000
ALICE, BOB = make_pair(talk=False)
RECORD = SessionRecord(ALICE.party, BOB.party)


def test_a_hundred_one_time_keys_of_each_kind_are_published() -> None:
    world = World(1, Faults(), users=1, devices=1)
    held = world.server.stocks[world.boxes[0].me]
    assert (len(held.ones), len(held.kems)) == (100, 100)
    assert stock.STOCK == 100
    assert stock.REFILL_BELOW == 20


@pytest.mark.parametrize(("left", "after"), [(20, 20), (19, 100), (0, 100)])
def test_the_stock_is_filled_up_below_twenty(left: int, after: int) -> None:
    world = quiet(1)
    box = world.boxes[0]
    held = world.server.stocks[box.me]
    del held.ones[left:], held.kems[left:]
    box.connect()
    run(world)
    assert (len(held.ones), len(held.kems)) == (after, after)
    assert len({one.id for one in held.ones}) == after


def test_the_server_having_nothing_gets_everything_again() -> None:
    world = quiet(1)
    box = world.boxes[0]
    del world.server.stocks[box.me]
    box.connect()
    run(world, 20)
    held = world.server.stocks[box.me]
    assert held.signed is not None
    assert held.last_resort is not None
    assert len(held.ones) == 100


def test_the_signed_keys_are_new_each_week_and_the_former_ones_stay_for_thirty_days() -> None:
    world = quiet(1)
    box = world.boxes[0]
    first = world.server.stocks[box.me].signed
    assert first is not None
    world.server.now += 7 * DAY - 10_000
    run(world, 2)
    assert world.server.stocks[box.me].signed == first
    world.server.now += 10_000
    run(world)
    second = world.server.stocks[box.me].signed
    assert second is not None
    assert second.id > first.id
    secrets = stock.Secrets(view(box))
    assert secrets.signed_pre_key(first.id) is not None
    world.server.now += 30 * DAY
    run(world)
    assert stock.Secrets(view(box)).signed_pre_key(first.id) is None
    assert stock.Secrets(view(box)).signed_pre_key(second.id) is not None


def test_replay_tags_go_with_their_last_resort_key() -> None:
    world = quiet(1)
    box = world.boxes[0]
    on(box, lambda draft: draft.step.put("tag", "1/aa", b"\x01"))
    number = next(iter(view(box).device.last_resort))
    assert number.made_at <= world.server.now
    for _ in range(2):
        world.server.now += 31 * DAY
        run(world)
    assert not [key for key in box.records if key[0] == "tag"]


def uses(box: Box, key_id: int, count: int, name: str) -> None:
    """Begin so many sessions with a last-resort key, as far as the stock is concerned."""

    def fill(draft: Draft) -> None:
        for number in range(count):
            tag = f"{name} {number}".encode()
            stock.used(draft.step, Decrypted(RECORD, b"", replay_tag=tag, last_resort_id=key_id))

    on(box, fill)


def last_resorts(box: Box) -> list[int]:
    return [KemPreKey.load(one.dump).key_id for one in view(box).device.last_resort]


def test_a_last_resort_key_that_is_used_up_makes_one_new_key_and_not_one_with_each_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock, "TAGS_LIMIT", 5)
    box = quiet(1).boxes[0]
    [first] = last_resorts(box)
    uses(box, first, 4, "a")
    assert last_resorts(box) == [first]
    uses(box, first, 1, "b")
    second, _ = last_resorts(box)
    uses(box, first, 4, "under way")
    assert stock.Secrets(view(box)).kem_key(first) is not None
    uses(box, first, 1, "the last")
    assert last_resorts(box) == [second, first]
    assert stock.Secrets(view(box)).kem_key(first) is None
    assert stock.Secrets(view(box)).kem_key(second) is not None
    uses(box, second, 1, "c")
    assert last_resorts(box) == [second, first], "the uses of the former one do not count"


def test_who_uses_up_key_after_key_makes_nothing_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "TAGS_LIMIT", 2)
    box = quiet(1).boxes[0]
    for number in range(20):
        uses(box, last_resorts(box)[0], 2, str(number))
    kept = last_resorts(box)
    assert len(kept) == len(view(box).device.signed) == stock.KEPT_LIMIT
    assert kept == sorted(kept, reverse=True)
    tags = [ident for kind, ident in box.records if kind == "tag"]
    assert {int(tag.partition("/")[0]) for tag in tags} == set(kept[1:])
    assert len(tags) == 2 * (stock.KEPT_LIMIT - 1)
    assert stock.KEPT_LIMIT * stock.SIGNED_FOR_MS > stock.GRACE_MS + 2 * stock.SIGNED_FOR_MS, "weekly ones stay whole"


def test_secrets_that_were_never_used_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "SECRETS_LIMIT", 130)
    world = quiet(1)
    box = world.boxes[0]
    for _ in range(2):
        world.server.stocks[box.me].ones.clear()
        box.connect()
        run(world)
    ids = sorted(int(ident) for kind, ident in box.records if kind == "prekey")
    assert len(ids) == 130
    assert ids[-1] >= 300, "the newest are kept"


def test_a_one_time_key_is_gone_once_it_was_used_and_not_before() -> None:
    world = quiet(2)
    one, other = world.boxes
    before = sum(kind == "prekey" for kind, _ in other.records)
    talk(world, one, other)
    assert sum(kind == "prekey" for kind, _ in other.records) == before - 1


def test_the_stock_is_looked_at_after_twenty_uses() -> None:
    world = quiet(1)
    box = world.boxes[0]
    assert not box.agent._memory.status_due
    for _ in range(stock.LOOK_AFTER_USES):
        stock._count_use(view(box))
    assert box.agent._memory.status_due


def test_new_ids_are_above_all_that_the_server_ever_had() -> None:
    world = quiet(1)
    box = world.boxes[0]
    identity = world.server.stocks[box.me].identity
    signed = SignedPreKey.load(view(box).device.signed[0].dump).key_id
    status = keys.KeyStatus(identity, signed, 1, 50, 50, 900, 800, True)
    on(box, lambda draft: stock.looked(draft.step, status))
    assert view(box).device.next_id == 901
    assert view(box).device.next_kem_id == 801
    assert view(box).device.lack == 0


def test_other_keys_under_this_devices_name_are_told() -> None:
    world = quiet(1)
    draft = world.boxes[0].agent.draft(world.server.now)
    stock.not_published(draft.step, "conflict")
    stock.not_published(draft.step, "unavailable")
    assert [type(notice) for notice in draft.notices] == [Problem]
