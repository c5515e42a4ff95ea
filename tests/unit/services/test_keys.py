"""Keys and signed device lists: who may have what, and what nobody may."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.ports.accounts import Account
from cooee.ports.sessions import SessionEntry
from cooee.protocol import keys
from cooee.services.keys import read_list
from tests.fakes.device_keys import AccountKey, base64url, identity, publication
from tests.fakes.encrypted_house import EncryptedHouse

ANN, BOB = DeviceRef("ann", "d1"), DeviceRef("bob", "d1")
BOBS = keys.DeviceName("bob", "d1")
PASSWORD = "correct horse"


@pytest.fixture
async def scene() -> EncryptedHouse:
    """Return ann and bob, linked."""
    scene = EncryptedHouse()
    await scene.linked("ann")
    await scene.linked("bob")
    return scene


def wanted(signed: dict[str, Any], **fields: Any) -> keys.PutDeviceList:
    """Return the body of a request."""
    return msgspec.convert(signed | fields, keys.PutDeviceList)


async def put(scene: EncryptedHouse, signed: dict[str, Any], by: DeviceRef = ANN, **fields: Any) -> int:
    """Put a list of the user who asks."""
    return await scene.house.keys.put_list(by, by.user_id, wanted(signed, **fields))


async def refused(scene: EncryptedHouse, signed: dict[str, Any], by: DeviceRef = ANN, **fields: Any) -> CooeeError:
    """Put a list that is refused, and return why."""
    with pytest.raises(CooeeError) as caught:
        await put(scene, signed, by, **fields)
    return caught.value


async def lists_of(scene: EncryptedHouse, asking: str, *user_ids: str, version: int = 0) -> list[keys.UserDevices]:
    """Look lists up."""
    asked = [keys.AskedList(user_id, version) for user_id in user_ids]
    return list(await scene.house.keys.lists(asking, asked))


# --- claims


async def test_a_bundle_has_what_the_device_published(scene: EncryptedHouse) -> None:
    (bundle,) = (await scene.house.keys.claim("ann", [BOBS])).items
    published = publication("d1")
    told = json.loads(msgspec.json.encode(bundle))
    assert (told["userId"], told["deviceId"], told["identityKey"]) == ("bob", "d1", identity("d1"))
    assert told["signedPreKey"] == published["signedPreKey"]
    assert told["oneTimePreKey"] == published["oneTimePreKeys"][0]
    assert told["kemKey"] == published["oneTimeKemKeys"][0] | {"lastResort": False}


async def test_when_all_are_gone_there_is_the_last_resort_and_it_is_counted(scene: EncryptedHouse) -> None:
    claims = [await scene.house.keys.claim("ann", [BOBS]) for _ in range(4)]
    bundles = [claim.items[0] for claim in claims]
    assert [bundle.kem_key.last_resort for bundle in bundles] == [False, False, True, True]
    assert [bundle.one_time_pre_key is None for bundle in bundles] == [False, False, False, True]
    assert bundles[3].kem_key.id == publication("d1")["lastResortKemKey"]["id"]
    counters = scene.house.keys.counters
    assert (counters.claims, counters.last_resorts) == (4, 2)


async def test_a_device_that_is_not_current_is_missing(scene: EncryptedHouse) -> None:
    """Neither unlinked devices nor revoked ones, nor what is no device."""
    await scene.user("eve", devices=2)
    await scene.publish(DeviceRef("eve", "d1"))
    names = [keys.DeviceName(*pair) for pair in (("eve", "d1"), ("eve", "d2"), ("bob", "d9"), ("nobody", "d1"))]
    names += [keys.DeviceName("../x", "d1"), keys.DeviceName("bob", "a b")]
    claimed = await scene.house.keys.claim("ann", [*names, BOBS, BOBS])
    assert [bundle.user_id for bundle in claimed.items] == ["bob"]
    assert list(claimed.missing) == names
    await scene.house.devices.revoke(BOB, "d1")
    assert (await scene.house.keys.claim("ann", [BOBS])).missing == (BOBS,)


async def test_an_own_device_can_be_reached_before_it_is_linked(scene: EncryptedHouse) -> None:
    await scene.user("eve", devices=2)
    await scene.publish(DeviceRef("eve", "d2"))
    unlinked = keys.DeviceName("eve", "d2")
    assert [one.device_id for one in (await scene.house.keys.claim("eve", [unlinked])).items] == ["d2"]
    assert (await scene.house.keys.claim("ann", [unlinked])).missing == (unlinked,)


async def test_a_blocked_user_gets_what_one_gets_of_nobody_and_uses_nothing_up(scene: EncryptedHouse) -> None:
    for blocker, blocked in (("bob", "ann"), ("ann", "bob")):
        await scene.store.contacts.set_block(blocker, blocked, present=True)
        assert (await scene.house.keys.claim("ann", [BOBS])).missing == (BOBS,)
        assert await lists_of(scene, "ann", "bob") == [keys.UserDevices("bob", None, bot=False, current=())]
        await scene.store.contacts.set_block(blocker, blocked, present=False)
    state = await scene.store.device_keys.state(BOB)
    assert state is not None
    assert state.pre_keys == 3
    group = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group.conversation_id
    await scene.store.contacts.set_block("bob", "ann", present=True)
    assert len((await scene.house.keys.claim("ann", [BOBS])).items) == 1
    await scene.house.groups.remove_member(ANN, group, "bob")
    assert (await scene.house.keys.claim("ann", [BOBS])).missing == (BOBS,)


async def test_deleted_and_disabled_users_are_nobody(scene: EncryptedHouse) -> None:
    await scene.house.accounts.set_disabled("bob", disabled=True)
    assert (await scene.house.keys.claim("ann", [BOBS])).missing == (BOBS,)
    await scene.house.accounts.set_disabled("bob", disabled=False)
    assert len((await scene.house.keys.claim("ann", [BOBS])).items) == 1
    await scene.house.accounts.delete("bob")
    nobody = keys.UserDevices("bob", None, bot=False, current=())
    assert await lists_of(scene, "ann", "bob") == [nobody]
    assert (await scene.house.keys.claim("ann", [BOBS])).missing == (BOBS,)
    assert await scene.store.device_keys.state(BOB) is None


async def test_one_user_cannot_use_up_a_devices_keys(scene: EncryptedHouse) -> None:
    scene = EncryptedHouse(one_time_keys_per_claimer=Rate(0.001, 2))
    await scene.linked("ann")
    await scene.linked("eve")
    await scene.user("bob")
    await scene.publish(BOB, pre=20, kem=20)
    await scene.put_list("bob", "d1")
    taken = [(await scene.house.keys.claim("eve", [BOBS])).items[0] for _ in range(10)]
    assert [bundle.kem_key.last_resort for bundle in taken] == [False] * 2 + [True] * 8
    assert all(bundle.one_time_pre_key is None for bundle in taken[2:])
    (other,) = (await scene.house.keys.claim("ann", [BOBS])).items
    assert not other.kem_key.last_resort
    assert (await scene.house.keys.status(BOB)).one_time_pre_keys == 17


async def test_many_users_together_cannot_either(scene: EncryptedHouse) -> None:
    scene = EncryptedHouse(one_time_keys_per_device=Rate(0.001, 2))
    for name in ("ann", "bob", "eve", "joe"):
        await scene.linked(name)
    taken = [(await scene.house.keys.claim(name, [BOBS])).items[0] for name in ("ann", "eve", "joe")]
    assert [bundle.kem_key.last_resort for bundle in taken] == [False, False, True]


async def test_claims_are_limited_per_user_by_bundles() -> None:
    scene = EncryptedHouse(key_claims=Rate(1, 5))
    await scene.linked("ann")
    await scene.linked("bob")
    names = [keys.DeviceName("bob", f"d{number}") for number in range(1, 4)]
    await scene.house.keys.claim("ann", names)
    with pytest.raises(CooeeError) as caught:
        await scene.house.keys.claim("ann", names)
    assert (caught.value.code, caught.value.retry_after_ms) == (ErrorCode.RATE_LIMITED, 1000)
    await scene.house.keys.claim("bob", names)
    scene.clock.advance(1)
    await scene.house.keys.claim("ann", names)


async def test_look_ups_and_uploads_are_limited() -> None:
    scene = EncryptedHouse(device_list_lookups=Rate(1, 2), key_uploads=Rate(1, 1), device_list_changes=Rate(1, 1))
    await scene.linked("ann")
    await lists_of(scene, "ann", "ann", "bob")
    for call in (
        scene.house.keys.find_list("ann", "ann"),
        scene.house.keys.publish(ANN, keys.PublishKeys(identity("d1"))),
        put(scene, AccountKey("ann").list("ann", 2, "d1")),
    ):
        with pytest.raises(CooeeError) as caught:
            await call
        assert caught.value.code is ErrorCode.RATE_LIMITED


# --- device lists


async def test_a_list_is_given_as_it_was_signed_and_not_again(scene: EncryptedHouse) -> None:
    signed = AccountKey("bob").list("bob", 1, "d1")
    (told,) = await lists_of(scene, "ann", "bob")
    assert told == keys.UserDevices("bob", keys.SignedList(**signed), bot=False, current=("d1",))
    (told,) = await lists_of(scene, "ann", "bob", version=1)
    assert told == keys.UserDevices("bob", None, bot=False, current=("d1",), unchanged=True)
    assert await scene.house.keys.find_list("ann", "bob") == keys.SignedList(**signed)
    with pytest.raises(CooeeError) as caught:
        await scene.house.keys.find_list("ann", "nobody")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_bots_are_told_apart_and_a_revoked_device_is_listed_but_not_current(scene: EncryptedHouse) -> None:
    await scene.bot("echo")
    (told,) = await lists_of(scene, "ann", "echo")
    assert told == keys.UserDevices("echo", None, bot=True, current=())
    await scene.house.devices.revoke(BOB, "d1")
    (told,) = await lists_of(scene, "ann", "bob")
    assert (told.list is not None, told.current) == (True, ())


async def test_the_status_says_whether_the_device_is_listed(scene: EncryptedHouse) -> None:
    await scene.user("new")
    new = DeviceRef("new", "d1")
    assert await scene.house.keys.status(new) == keys.KeyStatus()
    await scene.publish(new)
    status = await scene.house.keys.status(new)
    assert status == keys.KeyStatus(identity("d1"), 1, 1_000, 3, 2, 3, 2, listed=False)
    await scene.put_list("new", "d1")
    assert (await scene.house.keys.status(new)).listed


async def test_a_list_is_put_by_its_own_user_only(scene: EncryptedHouse) -> None:
    with pytest.raises(CooeeError) as caught:
        await scene.house.keys.put_list(ANN, "bob", wanted(AccountKey("bob").list("bob", 2, "d1")))
    assert caught.value.code is ErrorCode.FORBIDDEN


async def test_an_older_list_or_a_wide_gap_is_a_conflict_that_shows_the_list_in_force(scene: EncryptedHouse) -> None:
    account = AccountKey("ann")
    first, second = account.list("ann", 1, "d1"), account.list("ann", 2, "d1", createdAt=7)
    assert await put(scene, second) == 2
    assert await put(scene, second) == 2
    for stale in (first, account.list("ann", 2, "d1"), account.list("ann", 2_000, "d1")):
        refusal = await refused(scene, stale)
        assert refusal.code is ErrorCode.CONFLICT
        assert refusal.extra == {"device_list": keys.SignedList(**second)}
    await scene.user("new")
    await scene.publish(DeviceRef("new", "d1"))
    refusal = await refused(scene, AccountKey("new").list("new", 2_000, "d1"), DeviceRef("new", "d1"))
    assert (refusal.code, refusal.extra) == (ErrorCode.CONFLICT, {})


async def test_of_two_lists_at_once_one_wins_and_the_other_learns_of_it(scene: EncryptedHouse) -> None:
    account = AccountKey("ann")
    both = [account.list("ann", 2, "d1", createdAt=number) for number in (1, 2)]
    outcomes = await asyncio.gather(*(put(scene, each) for each in both), return_exceptions=True)
    (lost,) = [each for each in outcomes if isinstance(each, CooeeError)]
    winner = both[[isinstance(each, CooeeError) for each in outcomes].index(False)]
    assert lost.code is ErrorCode.CONFLICT
    assert lost.extra == {"device_list": keys.SignedList(**winner)}
    assert await scene.house.keys.find_list("bob", "ann") == keys.SignedList(**winner)


async def test_a_new_account_key_takes_a_reset_with_the_right_password() -> None:
    scene = EncryptedHouse()
    await scene.linked("ann")
    stored = await scene.house.passwords.hash(PASSWORD)
    await scene.store.accounts.update("ann", {"password_hash": stored})
    other = AccountKey("somebody else").list("ann", 2, "d1")
    assert (await refused(scene, other)).code is ErrorCode.CONFLICT
    for wrong in ("", "wrong horse"):
        assert (await refused(scene, other, reset=True, password=wrong)).code is ErrorCode.FORBIDDEN
    older = AccountKey("somebody else").list("ann", 1, "d1")
    assert (await refused(scene, older, reset=True, password=PASSWORD)).code is ErrorCode.CONFLICT
    assert await put(scene, other, reset=True, password=PASSWORD) == 2
    assert (await refused(scene, AccountKey("ann").list("ann", 3, "d1"))).code is ErrorCode.CONFLICT


async def test_guesses_of_the_password_are_limited() -> None:
    scene = EncryptedHouse(log_ins_per_account_and_address=Rate(0.001, 3))
    await scene.linked("ann")
    other = AccountKey("somebody else").list("ann", 2, "d1")
    codes = [(await refused(scene, other, reset=True, password="x")).code for _ in range(5)]
    assert codes == [ErrorCode.FORBIDDEN] * 3 + [ErrorCode.RATE_LIMITED] * 2


async def test_only_own_devices_with_the_keys_that_they_published_are_listed(scene: EncryptedHouse) -> None:
    account = AccountKey("ann")
    wrong_key = [{"deviceId": "d1", "identityKey": identity("d2")}]
    for signed in (account.list("ann", 2, "d1", "d7"), account.list("ann", 2, devices=wrong_key)):
        refusal = await refused(scene, signed)
        assert refusal.code is ErrorCode.MISMATCHED_DEVICES
        assert len(refusal.extra["extra"]) == 1
    (told,) = await lists_of(scene, "bob", "ann")
    assert told.list == keys.SignedList(**account.list("ann", 1, "d1"))


async def test_a_new_list_is_told_to_the_users_other_devices_and_to_nobody_else(scene: EncryptedHouse) -> None:
    routed: list[Any] = []
    await scene.house.ports.router.subscribe("gw", routed.extend)
    for user_id, device_id in (("ann", "d1"), ("ann", "d2"), ("bob", "d1")):
        entry = SessionEntry(user_id, device_id, "gw", f"c-{user_id}{device_id}", "cli", 0)
        await scene.house.ports.sessions.register(entry)
    task = asyncio.create_task(scene.house.routes.run())
    await _settle()
    routed.clear()  # of how they were linked
    await put(scene, AccountKey("ann").list("ann", 2, "d1"))
    await _settle()
    task.cancel()
    (item,) = routed
    told = json.loads(item.frame)
    assert (told["type"], told["changed"], "account" in told) == ("account", "devices", False)
    assert (tuple(item.user_ids), item.except_device) == (("ann",), ANN)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


# --- reading what is signed


def fields(**changes: Any) -> dict[str, Any]:
    """Return a signed list of ann's with something changed."""
    return AccountKey("ann").list("ann", 1, "d1", "d2", **changes)


def listed(*names: str) -> list[dict[str, str]]:
    """Return devices as they stand in a list."""
    return [{"deviceId": name, "identityKey": identity(name)} for name in names]


def flipped(text: str) -> str:
    """Return base64url with another first character."""
    return ("B" if text[0] == "A" else "A") + text[1:]


GOOD = fields()
BAD = {
    "another user's": fields(userId="bob"),
    "another type": fields(type="cooee-list"),
    "another format": fields(v=2),
    "no version": fields(version=0),
    "a version that is too large": fields(version=2**53),
    "a version as text": fields(version="1"),
    "an unknown field": fields(extra=1),
    "no devices": fields(devices=[]),
    "devices in another order": fields(devices=listed("d2", "d1")),
    "a device twice": fields(devices=listed("d1", "d1")),
    "what is no deviceId": fields(devices=[{"deviceId": "a/b", "identityKey": identity("d1")}]),
    "a short identity key": fields(devices=[{"deviceId": "d1", "identityKey": identity("d1")[:-1]}]),
    "another key's signature": GOOD | {"signature": AccountKey("bob").list("ann", 1, "d1", "d2")["signature"]},
    "another account key in the payload": fields(accountKey=AccountKey("bob").public),
    "a changed signature": GOOD | {"signature": flipped(GOOD["signature"])},
    "a changed payload": GOOD | {"payload": base64url(b"{}")},
    "what is no JSON": AccountKey("ann").signed(b"\xff\xfe"),
    "deep JSON": AccountKey("ann").signed(b"[" * 5_000),
    "an odd length": GOOD | {"payload": "A" * 5},
}


@pytest.mark.parametrize("signed", BAD.values(), ids=BAD.keys())
def test_what_is_no_good_list_is_refused(signed: dict[str, Any]) -> None:
    with pytest.raises(CooeeError) as caught:
        read_list("ann", wanted(signed), 20)
    assert caught.value.code is ErrorCode.BAD_FRAME


def test_a_list_is_read_whole_and_is_bounded() -> None:
    read = read_list("ann", wanted(GOOD), 2)
    assert (read.user_id, read.version, read.account_key) == ("ann", 1, AccountKey("ann").public)
    assert read.devices == {"d1": identity("d1"), "d2": identity("d2")}
    with pytest.raises(CooeeError) as caught:
        read_list("ann", wanted(GOOD), 1)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_base64url_is_taken_in_its_canonical_form_only() -> None:
    """A list has one spelling, so that a repeat is known by it."""
    signed = [fields(createdAt=10**number) for number in range(3)]
    for each in signed:
        read_list("ann", wanted(each), 20)
    odd = [each for each in signed if len(each["payload"]) % 4]
    assert odd, "the last character of some has bits to spare"
    for each in odd:
        text = each["payload"]
        with pytest.raises(CooeeError) as caught:
            read_list("ann", wanted(each | {"payload": text[:-1] + chr(ord(text[-1]) + 1)}), 20)
        assert caught.value.code is ErrorCode.BAD_FRAME
        assert "base64url" in caught.value.message


async def test_an_account_that_is_not_there_any_more_has_no_password(scene: EncryptedHouse) -> None:
    await scene.store.accounts.create(Account("gone", "gone", "", 1))
    gone = DeviceRef("gone", "d1")
    refusal = await refused(scene, AccountKey("gone").list("gone", 1, "d1"), gone, reset=True, password="")
    assert refusal.code is ErrorCode.FORBIDDEN
