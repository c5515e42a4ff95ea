"""The contract of `DeviceKeys`."""

import asyncio
from pathlib import Path

import pytest

from cooee.adapters.sqlite import copies
from cooee.adapters.sqlite.store import DATABASE_FILE, SqliteStore, open_store
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account
from cooee.ports.device_keys import MAX_GAP, DeviceList, KeyBundle, OneTimeKey, Publication
from cooee.ports.devices import Device
from tests.contract.stores import HOSTILE, Store, reopened

PHONE, LAPTOP = DeviceRef("bob", "phone"), DeviceRef("bob", "laptop")
LIMIT = 50


def one_time(*ids: int, kind: str = "pre") -> tuple[OneTimeKey, ...]:
    """Return one-time keys of these ids."""
    return tuple(OneTimeKey(number, f'{{"{kind}":{number}}}'.encode()) for number in ids)


def keys(identity: str = "I", pre: tuple[int, ...] = (), kem: tuple[int, ...] = ()) -> Publication:
    """Return all that a device publishes at first."""
    return Publication(identity, b'"signed"', b'"last"', one_time(*pre), one_time(*kem, kind="kem"))


def listed(version: int = 1, account_key: str = "A", payload: str = "", **devices: str) -> DeviceList:
    """Return a list of bob's."""
    return DeviceList("bob", version, account_key, payload or f"p{version}{account_key}{devices}", "s", devices)


async def with_devices(store: Store, *refs: DeviceRef) -> None:
    """Store these devices and their accounts."""
    for user_id in {ref.user_id for ref in refs}:
        await store.accounts.create(Account(user_id, user_id, "", 1))
    for ref in refs:
        await store.devices.create(Device(*ref, "test", "test", ref.device_id.encode(), 1, 1))


async def claimed(store: Store, *refs: DeviceRef, once: bool = True) -> list[KeyBundle]:
    """Claim a bundle of each device."""
    return list(await store.device_keys.claim(dict.fromkeys(refs, once)))


async def refusal_of(store: Store, published: Publication, device: DeviceRef = PHONE, limit: int = LIMIT) -> ErrorCode:
    """Publish what is refused, and return why."""
    with pytest.raises(CooeeError) as refused:
        await store.device_keys.publish(device, published, limit)
    return refused.value.code


async def test_what_was_published_is_kept(store: Store) -> None:
    await with_devices(store, PHONE)
    assert await store.device_keys.state(PHONE) is None
    state = await store.device_keys.publish(PHONE, keys(pre=(1, 2, 3), kem=(7,)), LIMIT)
    assert await store.device_keys.state(PHONE) == state
    assert (state.identity, state.signed, state.last_resort) == ("I", b'"signed"', b'"last"')
    assert (state.pre_keys, state.kem_keys, state.last_pre_key, state.last_kem_key) == (3, 1, 3, 7)
    state = await store.device_keys.publish(PHONE, Publication("I", signed=b'"newer"'), LIMIT)
    assert (state.signed, state.last_resort, state.pre_keys) == (b'"newer"', b'"last"', 3)


async def test_a_device_that_is_not_there_publishes_nothing(store: Store) -> None:
    assert await refusal_of(store, keys()) is ErrorCode.NOT_FOUND
    await with_devices(store, PHONE)
    await store.devices.revoke([PHONE])
    assert await refusal_of(store, keys()) is ErrorCode.NOT_FOUND


async def test_the_first_time_all_long_lived_keys_are_needed(store: Store) -> None:
    await with_devices(store, PHONE)
    for lacking in (Publication("I"), Publication("I", signed=b"1"), Publication("I", last_resort=b"1")):
        assert await refusal_of(store, lacking) is ErrorCode.BAD_FRAME
    assert await store.device_keys.state(PHONE) is None


async def test_an_identity_key_never_changes(store: Store) -> None:
    await with_devices(store, PHONE)
    before = await store.device_keys.publish(PHONE, keys(pre=(1,)), LIMIT)
    assert await refusal_of(store, keys("J", pre=(2,))) is ErrorCode.CONFLICT
    assert await store.device_keys.state(PHONE) == before


async def test_the_stock_is_bounded_all_or_nothing(store: Store) -> None:
    await with_devices(store, PHONE)
    before = await store.device_keys.publish(PHONE, keys(pre=(1, 2), kem=(1,)), 3)
    assert await refusal_of(store, keys(pre=(3, 4), kem=(2,)), limit=3) is ErrorCode.TOO_LARGE
    assert await refusal_of(store, keys(kem=(2, 3, 4)), limit=3) is ErrorCode.TOO_LARGE
    assert await store.device_keys.state(PHONE) == before
    assert (await store.device_keys.publish(PHONE, keys(pre=(3,)), 3)).pre_keys == 3


async def test_each_one_time_key_is_given_once_lowest_first_and_the_last_resort_afterwards(store: Store) -> None:
    await with_devices(store, PHONE)
    await store.device_keys.publish(PHONE, keys(pre=(5, 3), kem=(4,)), LIMIT)
    bundles = [bundle for _ in range(3) for bundle in await claimed(store, PHONE)]
    assert [bundle.pre_key for bundle in bundles] == [b'{"pre":3}', b'{"pre":5}', None]
    assert [(bundle.kem_key, bundle.last_resort) for bundle in bundles] == [
        (b'{"kem":4}', False),
        (b'"last"', True),
        (b'"last"', True),
    ]
    assert {(bundle.device, bundle.identity, bundle.signed) for bundle in bundles} == {(PHONE, "I", b'"signed"')}


async def test_who_may_not_use_them_up_gets_the_last_resort(store: Store) -> None:
    await with_devices(store, PHONE)
    before = await store.device_keys.publish(PHONE, keys(pre=(1,), kem=(1,)), LIMIT)
    (bundle,) = await claimed(store, PHONE, once=False)
    assert (bundle.pre_key, bundle.kem_key, bundle.last_resort) == (None, b'"last"', True)
    assert await store.device_keys.state(PHONE) == before


async def test_a_key_that_was_given_out_does_not_come_back_by_a_repeat(store: Store) -> None:
    await with_devices(store, PHONE)
    first = keys(pre=(1, 2), kem=(1,))
    await store.device_keys.publish(PHONE, first, LIMIT)
    await claimed(store, PHONE)
    state = await store.device_keys.publish(PHONE, first, LIMIT)
    assert (state.pre_keys, state.kem_keys, state.last_pre_key) == (1, 0, 2)
    state = await store.device_keys.publish(PHONE, keys(pre=(2, 3), kem=(1, 2)), LIMIT)
    assert (state.pre_keys, state.kem_keys) == (2, 1)
    assert [(await claimed(store, PHONE))[0].pre_key for _ in range(3)] == [b'{"pre":2}', b'{"pre":3}', None]


async def test_many_claim_at_once_and_none_gets_what_another_got(store: Store) -> None:
    await with_devices(store, PHONE, LAPTOP)
    numbers = tuple(range(1, 21))
    for device in (PHONE, LAPTOP):
        await store.device_keys.publish(device, keys(device.device_id, numbers, numbers), LIMIT)
    answers = await asyncio.gather(*(claimed(store, PHONE, LAPTOP) for _ in range(30)))
    for device in (PHONE, LAPTOP):
        of_device = [bundle for bundles in answers for bundle in bundles if bundle.device == device]
        assert len(of_device) == 30
        pre_keys = [bundle.pre_key for bundle in of_device if bundle.pre_key is not None]
        kem_keys = [bundle.kem_key for bundle in of_device if not bundle.last_resort]
        assert (len(pre_keys), len(set(pre_keys)), len(kem_keys), len(set(kem_keys))) == (20, 20, 20, 20)


async def test_bundles_come_in_the_order_asked_for_and_without_those_that_have_none(store: Store) -> None:
    await with_devices(store, PHONE, LAPTOP)
    for device in (PHONE, LAPTOP):
        await store.device_keys.publish(device, keys(), LIMIT)
    bundles = await claimed(store, DeviceRef("nobody", "x"), PHONE, DeviceRef("bob", "x"), LAPTOP)
    assert [bundle.device for bundle in bundles] == [PHONE, LAPTOP]
    assert await claimed(store) == []


async def test_a_revoked_device_loses_its_keys_and_leaves_the_others(store: Store) -> None:
    await with_devices(store, PHONE, LAPTOP)
    await store.device_keys.publish(PHONE, keys("P", pre=(1,)), LIMIT)
    await store.device_keys.publish(LAPTOP, keys("L", pre=(1,)), LIMIT)
    both = listed(phone="P", laptop="L")
    assert await store.device_keys.put_list(both) == both
    await store.devices.revoke([PHONE])
    assert await store.device_keys.state(PHONE) is None
    assert [bundle.device for bundle in await claimed(store, PHONE, LAPTOP)] == [LAPTOP]
    found = (await store.device_keys.current(["bob"]))["bob"]
    assert (found.list, dict(found.current)) == (both, {"laptop": "L"})


async def test_a_deleted_account_leaves_nothing(store: Store) -> None:
    await with_devices(store, PHONE, DeviceRef("eve", "e"))
    await store.device_keys.publish(PHONE, keys("P", pre=(1,)), LIMIT)
    await store.device_keys.put_list(listed(phone="P"))
    await store.device_keys.publish(DeviceRef("eve", "e"), keys("E"), LIMIT)
    await store.accounts.erase("bob")
    assert await store.device_keys.state(PHONE) is None
    assert await store.device_keys.current(["bob"]) == {}
    assert await claimed(store, PHONE) == []
    assert await store.device_keys.state(DeviceRef("eve", "e")) is not None


async def test_lists_follow_one_another(store: Store) -> None:
    await with_devices(store, PHONE, LAPTOP)
    await store.device_keys.publish(PHONE, keys("P"), LIMIT)
    await store.device_keys.publish(LAPTOP, keys("L"), LIMIT)
    for version in (0, MAX_GAP + 1):
        assert await store.device_keys.put_list(listed(version, phone="P")) is None
    first, second = listed(1, phone="P"), listed(2, phone="P", laptop="L")
    assert await store.device_keys.put_list(first) == first
    assert await store.device_keys.put_list(listed(1 + MAX_GAP + 1, phone="P")) == first
    assert await store.device_keys.put_list(second) == second
    assert await store.device_keys.put_list(second) == second
    for older in (first, listed(1, phone="P", payload="forged"), listed(2, laptop="L")):
        assert await store.device_keys.put_list(older) == second
    assert (await store.device_keys.current(["nobody", "bob"])).keys() == {"bob"}
    later = listed(2 + MAX_GAP, phone="P")
    assert await store.device_keys.put_list(later) == later
    assert await store.device_keys.put_list(listed(3, phone="P")) == later


async def test_another_account_key_takes_a_reset(store: Store) -> None:
    await with_devices(store, PHONE)
    await store.device_keys.publish(PHONE, keys("P"), LIMIT)
    first, other = listed(1, phone="P"), listed(2, "B", phone="P")
    await store.device_keys.put_list(first)
    assert await store.device_keys.put_list(other) == first
    assert await store.device_keys.put_list(listed(1, "B", phone="P"), reset=True) == first
    assert await store.device_keys.put_list(other, reset=True) == other


@pytest.mark.parametrize("devices", [{"phone": "other"}, {"phone": "P", "laptop": "L"}, {"phone": "P", "none": "P"}])
async def test_a_list_names_only_what_is_published(store: Store, devices: dict[str, str]) -> None:
    await with_devices(store, PHONE, LAPTOP, DeviceRef("eve", "none"))
    await store.device_keys.publish(PHONE, keys("P"), LIMIT)
    await store.device_keys.publish(DeviceRef("eve", "none"), keys("P"), LIMIT)
    with pytest.raises(CooeeError) as refused:
        await store.device_keys.put_list(listed(1, **devices))
    assert refused.value.code is ErrorCode.MISMATCHED_DEVICES
    wrong = sorted(set(devices) - {"phone"}) or ["phone"]
    assert refused.value.extra == {"extra": tuple({"userId": "bob", "deviceId": name} for name in wrong)}
    assert await store.device_keys.current(["bob"]) == {}


async def test_of_lists_put_at_the_same_moment_one_is_in_force_for_all(store: Store) -> None:
    await with_devices(store, PHONE)
    await store.device_keys.publish(PHONE, keys("P"), LIMIT)
    wanted = [listed(1, payload=f"p{number}", phone="P") for number in range(8)]
    answers = await asyncio.gather(*(store.device_keys.put_list(each) for each in wanted))
    in_force = (await store.device_keys.current(["bob"]))["bob"].list
    assert in_force in wanted
    assert answers == [in_force] * 8


async def test_hostile_text_is_only_text(store: Store) -> None:
    await with_devices(store, PHONE)
    for text in HOSTILE:
        assert await store.device_keys.state(DeviceRef(text, text)) is None
        assert await claimed(store, DeviceRef("bob", text)) == []
    many = [f"u{number}" for number in range(1200)]
    assert await store.device_keys.current([*HOSTILE, *many]) == {}
    assert await store.device_keys.current([]) == {}


async def test_all_is_there_after_the_file_was_opened_anew(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await with_devices(sqlite_store, PHONE)
    await sqlite_store.device_keys.publish(PHONE, keys("P", pre=(1, 2), kem=(1,)), LIMIT)
    await sqlite_store.device_keys.put_list(listed(phone="P"))
    await claimed(sqlite_store, PHONE)
    store = await reopened(sqlite_store, tmp_path)
    try:
        state = await store.device_keys.state(PHONE)
        assert state is not None
        assert (state.pre_keys, state.kem_keys, state.last_pre_key) == (1, 0, 2)
        assert (await claimed(store, PHONE))[0].pre_key == b'{"pre":2}'
        assert dict((await store.device_keys.current(["bob"]))["bob"].current) == {"phone": "P"}
    finally:
        await store.aclose()


async def test_a_restored_copy_gives_no_one_time_key_out_that_was_given_out_since(
    sqlite_store: SqliteStore, tmp_path: Path
) -> None:
    await with_devices(sqlite_store, PHONE)
    await sqlite_store.device_keys.publish(PHONE, keys("P", pre=(1, 2), kem=(1,)), LIMIT)
    await sqlite_store.device_keys.put_list(listed(phone="P"))
    await sqlite_store.aclose()
    copies.begin_epoch(tmp_path / DATABASE_FILE)
    store = await open_store(tmp_path)
    try:
        (bundle,) = await claimed(store, PHONE)
        assert (bundle.pre_key, bundle.last_resort) == (None, True)
        state = await store.device_keys.publish(PHONE, keys("P", pre=(2, 3)), LIMIT)
        assert (state.pre_keys, state.last_pre_key) == (1, 3)
    finally:
        await store.aclose()
