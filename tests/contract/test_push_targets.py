"""The contract of `PushTargets`."""

from pathlib import Path

import pytest

from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account
from cooee.ports.devices import Device
from cooee.ports.push_targets import PushTarget, Shown
from tests.contract.stores import HOSTILE, Store, reopened


def target(user: str = "alice", device: str = "d1", token: str = "", platform: str = "fcm") -> PushTarget:
    return PushTarget(user, device, platform, {"token": token or f"{user}-{device}"}, 1)


def web(user: str, device: str, endpoint: str, auth: str = "a") -> PushTarget:
    return PushTarget(user, device, "web", {"endpoint": endpoint, "p256dh": "p", "auth": auth}, 2)


def shown(number: int = 1, device: str = "d1", conversation: str = "c", user: str = "alice", key: str = "k") -> Shown:
    return Shown(user, device, conversation, number, key)


async def devices(store: Store, *names: str) -> None:
    """Make devices, written ``user-device``."""
    for name in names:
        user, _, device = name.partition("-")
        await store.devices.create(Device(user, device, "x", "x", name.encode(), 1, 1))


async def test_a_device_has_one_target(store: Store) -> None:
    await devices(store, "alice-d1", "alice-d2", "bob-d1")
    assert await store.push_targets.find(DeviceRef("alice", "d1")) is None
    for one in (target(device="d2"), target(), web("alice", "d1", "https://a/1"), target("bob")):
        await store.push_targets.put(one)
    assert await store.push_targets.find(DeviceRef("alice", "d1")) == web("alice", "d1", "https://a/1")
    assert await store.push_targets.of_user("alice") == [web("alice", "d1", "https://a/1"), target(device="d2")]
    assert await store.push_targets.of_user("nobody") == []


async def test_a_place_is_one_devices_the_latest_that_said_so(store: Store) -> None:
    await devices(store, "alice-d1", "bob-d1")
    await store.push_targets.put(web("alice", "d1", "https://a/1"))
    await store.push_targets.note_shown([shown()])
    await store.push_targets.put(web("bob", "d1", "https://a/1", "b"))
    assert await store.push_targets.of_user("alice") == []
    assert await store.push_targets.shown("alice") == []
    assert await store.push_targets.of_user("bob") == [web("bob", "d1", "https://a/1", "b")]


async def test_the_same_token_of_two_platforms_is_two_places(store: Store) -> None:
    await devices(store, "alice-d1", "bob-d1")
    await store.push_targets.put(target(token="t", platform="fcm"))
    await store.push_targets.put(target("bob", token="t", platform="apns"))
    assert await store.push_targets.users("", 9) == ["alice", "bob"]


async def test_users_come_in_pages(store: Store) -> None:
    await devices(store, "alice-d1", "alice-d2", "bob-d1", "carol-d1")
    for one in (target("carol"), target(), target(device="d2"), target("bob")):
        await store.push_targets.put(one)
    assert await store.push_targets.users("", 2) == ["alice", "bob"]
    assert await store.push_targets.users("bob", 2) == ["carol"]
    assert await store.push_targets.users("carol", 2) == []


async def test_only_what_was_meant_is_removed(store: Store) -> None:
    await devices(store, "alice-d1")
    await store.push_targets.put(target(token="old"))
    await store.push_targets.put(target(token="new"))
    assert not await store.push_targets.remove(target(token="old"))
    assert await store.push_targets.of_user("alice") == [target(token="new")]
    await store.push_targets.note_shown([shown()])
    assert await store.push_targets.remove(target(token="new"))
    assert not await store.push_targets.remove(target(token="new"))
    assert await store.push_targets.shown("alice") == []


async def test_what_is_shown_is_the_latest_per_device_and_conversation(store: Store) -> None:
    await devices(store, "alice-d1", "alice-d2")
    await store.push_targets.put(target())
    await store.push_targets.put(target(device="d2"))
    await store.push_targets.note_shown([shown(3), shown(5, key="k5"), shown(4), shown(1, "d2"), shown(1, "d2", "x")])
    await store.push_targets.note_shown([])
    await store.push_targets.note_shown([shown(9, "d3"), shown(9, user="bob")])
    assert await store.push_targets.shown("alice") == [shown(5, key="k5"), shown(1, "d2"), shown(1, "d2", "x")]
    assert await store.push_targets.shown("bob") == []
    await store.push_targets.forget_shown([shown(4), shown(1, "d2"), shown(1, "d9")])
    await store.push_targets.forget_shown([])
    assert await store.push_targets.shown("alice") == [shown(5, key="k5"), shown(1, "d2", "x")]


async def test_all_ends_with_the_device_and_with_the_account(store: Store) -> None:
    await store.accounts.create(Account("bob", "Bob", "", 1))
    await devices(store, "alice-d1", "bob-d1")
    for one in (target(), target("bob")):
        await store.push_targets.put(one)
        await store.push_targets.note_shown([shown(user=one.user_id)])
    await store.devices.revoke([DeviceRef("alice", "d1")])
    await store.accounts.erase("bob")
    assert await store.push_targets.users("", 9) == []
    assert [*await store.push_targets.shown("alice"), *await store.push_targets.shown("bob")] == []
    with pytest.raises(CooeeError, match="not found"):
        await store.push_targets.put(target())


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    await store.devices.create(Device(text, text, text, text, text.encode(), 1, 1))
    await store.push_targets.put(target(text, text, text))
    await store.push_targets.note_shown([shown(1, text, text, text, text)])
    assert await store.push_targets.find(DeviceRef(text, text)) == target(text, text, text)
    assert await store.push_targets.shown(text) == [shown(1, text, text, text, text)]


async def test_targets_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await devices(sqlite_store, "alice-d1")
    await sqlite_store.push_targets.put(web("alice", "d1", "https://a/1"))
    await sqlite_store.push_targets.note_shown([shown(4)])
    again = await reopened(sqlite_store, tmp_path)
    assert await again.push_targets.of_user("alice") == [web("alice", "d1", "https://a/1")]
    assert await again.push_targets.shown("alice") == [shown(4)]
    await again.aclose()
