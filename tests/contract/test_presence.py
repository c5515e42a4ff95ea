"""The contract of `Presence`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.adapters.memory.presence import MemoryPresence
from cooee.ports.presence import Presence, PresenceState


@pytest.fixture
def presence() -> Presence:
    return MemoryPresence()


class Watcher:
    """A gateway that remembers which changes it heard."""

    def __init__(self) -> None:
        self.calls: list[list[PresenceState]] = []

    def receive(self, changes: Sequence[PresenceState]) -> None:
        self.calls.append(list(changes))


async def test_the_first_connection_makes_online_and_the_last_offline(presence: Presence) -> None:
    online = await presence.connect("alice", "gw-1", "c1", 100)
    assert online == PresenceState("alice", online=True, last_seen=0, changed_at=100)
    assert await presence.connect("alice", "gw-2", "c1", 110) is None
    assert await presence.disconnect("alice", "gw-1", "c1", 120) is None
    assert await presence.states(["alice", "bob"]) == {"alice": online}
    offline = await presence.disconnect("alice", "gw-2", "c1", 130)
    assert offline == PresenceState("alice", online=False, last_seen=130, changed_at=130)
    assert await presence.states(["alice"]) == {"alice": offline}


async def test_a_connection_counts_once(presence: Presence) -> None:
    await presence.connect("alice", "gw-1", "c1", 1)
    assert await presence.connect("alice", "gw-1", "c1", 2) is None
    assert await presence.disconnect("alice", "gw-1", "c1", 3) is not None
    assert await presence.disconnect("alice", "gw-1", "c1", 4) is None
    assert await presence.disconnect("bob", "gw-1", "c1", 4) is None


async def test_last_seen_stays_known_while_online_again(presence: Presence) -> None:
    await presence.connect("alice", "gw-1", "c1", 100)
    await presence.disconnect("alice", "gw-1", "c1", 200)
    again = await presence.connect("alice", "gw-1", "c2", 300)
    assert again == PresenceState("alice", online=True, last_seen=200, changed_at=300)


async def test_changes_of_a_user_have_an_order_whatever_the_clock_does(presence: Presence) -> None:
    states = [
        await presence.connect("alice", "gw-1", "c1", 1000),
        await presence.disconnect("alice", "gw-1", "c1", 500),
        await presence.connect("alice", "gw-1", "c2", 500),
        await presence.disconnect("alice", "gw-1", "c2", 400),
    ]
    times = [state.changed_at for state in states if state is not None]
    assert times == sorted(set(times))
    assert len(times) == 4
    assert states[-1] is not None
    assert states[-1].last_seen == 500


async def test_changes_reach_the_servers_that_watch_in_one_call_each(presence: Presence) -> None:
    one, two = Watcher(), Watcher()
    await presence.subscribe("gw-1", one.receive)
    await presence.subscribe("gw-2", two.receive)
    await presence.watch("gw-1", ["alice", "bob", "alice"])
    await presence.watch("gw-1", ["alice"])
    await presence.watch("gw-2", ["bob"])
    alice, bob, carol = (PresenceState(name, online=True, changed_at=1) for name in ("alice", "bob", "carol"))
    await presence.publish([alice, bob, carol])
    await presence.publish([carol])
    await presence.publish([])
    assert one.calls == [[alice, bob]]
    assert two.calls == [[bob]]


async def test_unwatch_and_unsubscribe_end_it(presence: Presence) -> None:
    one, two = Watcher(), Watcher()
    await presence.subscribe("gw-1", one.receive)
    await presence.subscribe("gw-2", two.receive)
    await presence.watch("gw-1", ["alice", "bob"])
    await presence.watch("gw-2", ["alice"])
    await presence.unwatch("gw-1", ["alice", "nobody"])
    await presence.unsubscribe("gw-2", 1)
    await presence.subscribe("gw-2", two.receive)
    await presence.publish([PresenceState("alice", online=True)])
    assert one.calls == two.calls == []
    await presence.publish([PresenceState("bob", online=True)])
    assert len(one.calls) == 1


async def test_a_server_that_ends_takes_its_connections_along(presence: Presence) -> None:
    await presence.connect("alice", "gw-1", "c1", 10)
    await presence.connect("alice", "gw-2", "c2", 10)
    await presence.connect("bob", "gw-1", "c3", 10)
    gone = await presence.unsubscribe("gw-1", 20)
    assert list(gone) == [PresenceState("bob", online=False, last_seen=20, changed_at=20)]
    states = await presence.states(["alice", "bob"])
    assert (states["alice"].online, states["bob"].online) == (True, False)
    assert await presence.disconnect("alice", "gw-2", "c2", 30) is not None


async def test_a_watcher_that_fails_does_not_fail_the_others(presence: Presence) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    watcher = Watcher()

    def broken(_changes: Sequence[PresenceState]) -> None:
        raise RuntimeError("broken watcher")

    await presence.subscribe("gw-1", broken)
    await presence.subscribe("gw-2", watcher.receive)
    for server_id in ("gw-1", "gw-2"):
        await presence.watch(server_id, ["alice"])
    await presence.publish([PresenceState("alice", online=True)])
    assert len(watcher.calls) == 1
    assert str(reported[0]["exception"]) == "broken watcher"


async def test_users_who_went_offline_are_remembered_up_to_a_bound() -> None:
    presence = MemoryPresence(remember_offline=2)
    for number in range(3):
        await presence.connect(f"u{number}", "gw", "c", 1)
        await presence.disconnect(f"u{number}", "gw", "c", 2)
    assert (await presence.states(["u0", "u1", "u2"])).keys() == {"u1", "u2"}


moves = st.lists(
    st.tuples(st.booleans(), st.sampled_from("ab"), st.sampled_from(["s1", "s2"]), st.sampled_from("xyz")), max_size=40
)


@given(moves)
async def test_online_means_at_least_one_open_connection(changes: list[tuple[bool, str, str, str]]) -> None:
    presence = MemoryPresence()
    there: dict[str, set[tuple[str, str]]] = {"a": set(), "b": set()}
    for now, (up, user, server, connection) in enumerate(changes, 1):
        before = bool(there[user])
        if up:
            there[user].add((server, connection))
            change = await presence.connect(user, server, connection, now)
        else:
            there[user].discard((server, connection))
            change = await presence.disconnect(user, server, connection, now)
        assert (change is not None) == (bool(there[user]) != before)
        states = await presence.states(["a", "b"])
        assert {name for name, state in states.items() if state.online} == {name for name in "ab" if there[name]}
