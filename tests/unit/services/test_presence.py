"""Presence: who may know knows, drops are debounced, changes are coalesced, and load sheds it (PROTOCOL.md §7)."""

import msgspec
import pytest

from cooee.adapters.memory.accounts import MemoryAccounts
from cooee.adapters.memory.contacts import MemoryContacts
from cooee.adapters.memory.presence import MemoryPresence
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.ports.accounts import Account, LastSeenAudience, Privacy
from cooee.services.presence import PresenceService
from tests.fakes.clock import ManualClock

BOB = DeviceRef("bob", "d1")


class Scene:
    """One gateway with a service under test and what its connections were told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.accounts = MemoryAccounts()
        self.contacts = MemoryContacts()
        self.told: list[tuple[str, dict[str, object]]] = []
        self.overloaded = False
        self.service = PresenceService(
            MemoryPresence(),
            self.accounts,
            self.contacts,
            self.clock,
            Limits(),
            "gw-1",
            overloaded=lambda: self.overloaded,
        )
        self.service.attach(lambda connection, frame: self.told.append((connection, msgspec.json.decode(frame))))

    async def user(self, user_id: str, audience: LastSeenAudience = LastSeenAudience.EVERYONE) -> None:
        await self.accounts.create(Account(user_id, user_id, "", 1, privacy=Privacy(last_seen=audience)))

    async def pass_s(self, seconds: float) -> list[tuple[str, dict[str, object]]]:
        """Let time pass, tick, and return what was told."""
        self.told.clear()
        self.clock.advance(seconds)
        await self.service.tick()
        return list(self.told)


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.service.start()
    await scene.user("alice")
    await scene.user("bob")
    return scene


async def test_a_watcher_sees_the_state_at_once_and_each_change(scene: Scene) -> None:
    [first] = await scene.service.subscribe("alice", "c1", ["bob"])
    assert (first.user_id, first.status) == ("bob", "offline")
    await scene.service.connected(BOB, "c2")
    told = await scene.pass_s(0.3)
    assert told == [("c1", {"type": "presence", "userId": "bob", "status": "online"})]


async def test_a_short_drop_is_not_announced(scene: Scene) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.service.subscribe("alice", "c1", ["bob"])
    await scene.pass_s(0.3)
    await scene.service.disconnected(BOB, "c2")
    assert await scene.pass_s(9) == []
    await scene.service.connected(BOB, "c3")
    assert await scene.pass_s(30) == []


async def test_a_long_drop_is_announced_with_the_time_of_the_drop(scene: Scene) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.service.subscribe("alice", "c1", ["bob"])
    await scene.pass_s(1)
    left = scene.clock.wall_ms()
    await scene.service.disconnected(BOB, "c2")
    told = await scene.pass_s(10.1)
    assert told == [("c1", {"type": "presence", "userId": "bob", "status": "offline", "lastSeen": left})]
    account = await scene.accounts.find("bob")
    assert account is not None
    assert account.last_seen == left


async def test_within_the_debounce_a_new_watcher_sees_online(scene: Scene) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.service.disconnected(BOB, "c2")
    [state] = await scene.service.subscribe("alice", "c1", ["bob"])
    assert state.status == "online"


async def test_one_of_two_devices_leaving_changes_nothing(scene: Scene) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.service.connected(DeviceRef("bob", "d2"), "c3")
    await scene.service.subscribe("alice", "c1", ["bob"])
    await scene.pass_s(1)
    await scene.service.disconnected(BOB, "c2")
    assert await scene.pass_s(60) == []


@pytest.mark.parametrize(
    ("audience", "contact", "sees"),
    [
        (LastSeenAudience.EVERYONE, False, True),
        (LastSeenAudience.CONTACTS, False, False),
        (LastSeenAudience.CONTACTS, True, True),
        (LastSeenAudience.NOBODY, True, False),
    ],
)
async def test_the_watched_user_decides_who_sees(
    scene: Scene, audience: LastSeenAudience, contact: bool, sees: bool
) -> None:
    await scene.user("eve", audience)
    if contact:
        await scene.contacts.set_contact("eve", "alice", present=True)
    await scene.service.connected(DeviceRef("eve", "d1"), "c2")
    [state] = await scene.service.subscribe("alice", "c1", ["eve"])
    assert (state.status, state.last_seen) == ("online" if sees else "offline", None)
    await scene.service.disconnected(DeviceRef("eve", "d1"), "c2")
    told = await scene.pass_s(11)
    assert bool(told) is sees


async def test_being_a_contact_of_the_watcher_opens_nothing(scene: Scene) -> None:
    await scene.user("eve", LastSeenAudience.CONTACTS)
    await scene.contacts.set_contact("alice", "eve", present=True)
    await scene.service.connected(DeviceRef("eve", "d1"), "c2")
    [state] = await scene.service.subscribe("alice", "c1", ["eve"])
    assert state.status == "offline"


@pytest.mark.parametrize("blocker", [("alice", "bob"), ("bob", "alice")])
async def test_a_block_either_way_hides(scene: Scene, blocker: tuple[str, str]) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.contacts.set_block(*blocker, present=True)
    [state] = await scene.service.subscribe("alice", "c1", ["bob"])
    assert (state.status, state.last_seen) == ("offline", None)


async def test_a_block_during_the_watch_hides_at_once(scene: Scene) -> None:
    await scene.service.connected(BOB, "c2")
    await scene.service.subscribe("alice", "c1", ["bob"])
    await scene.contacts.set_block("bob", "alice", present=True)
    await scene.service.refresh("bob")
    assert scene.told[-1] == ("c1", {"type": "presence", "userId": "bob", "status": "offline"})
    await scene.service.disconnected(BOB, "c2")
    assert await scene.pass_s(11) == []


async def test_under_load_nothing_is_told_and_the_latest_state_afterwards(scene: Scene) -> None:
    await scene.service.subscribe("alice", "c1", ["bob"])
    scene.overloaded = True
    for number in range(20):
        await scene.service.connected(BOB, f"x{number}")
        await scene.service.disconnected(BOB, f"x{number}")
        assert await scene.pass_s(11) == []
    await scene.service.connected(BOB, "y")
    scene.overloaded = False
    assert await scene.pass_s(0.3) in ([], [("c1", {"type": "presence", "userId": "bob", "status": "online"})])


async def test_a_new_subscription_replaces_the_former(scene: Scene) -> None:
    await scene.user("eve")
    await scene.service.subscribe("alice", "c1", ["bob"])
    await scene.service.subscribe("alice", "c1", ["eve"])
    await scene.service.connected(BOB, "c2")
    assert await scene.pass_s(1) == []


async def test_unknown_and_deleted_users_are_offline_and_look_alike(scene: Scene) -> None:
    await scene.user("gone")
    await scene.accounts.update("gone", {"last_seen": 5})
    await scene.accounts.erase("gone")
    states = await scene.service.subscribe("alice", "c1", ["gone", "nobody"])
    assert {(state.status, state.last_seen) for state in states} == {("offline", None)}


async def test_too_many_and_impossible_ids_are_refused(scene: Scene) -> None:
    with pytest.raises(CooeeError) as too_many:
        await scene.service.subscribe("alice", "c1", [f"u{n}" for n in range(501)])
    assert too_many.value.code is ErrorCode.TOO_LARGE
    with pytest.raises(CooeeError) as impossible:
        await scene.service.subscribe("alice", "c1", ["no:body"])
    assert impossible.value.code is ErrorCode.BAD_FRAME
