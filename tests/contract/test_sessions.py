"""The contract of `Sessions`."""

import msgspec
import pytest

from cooee.adapters.memory.sessions import MemorySessions
from cooee.ports.sessions import SessionEntry, Sessions
from tests.contract.stores import HOSTILE


@pytest.fixture
def sessions() -> Sessions:
    return MemorySessions()


def entry(
    device_id: str = "d1", connection_id: str = "c1", server_id: str = "gw-1", user: str = "alice"
) -> SessionEntry:
    return SessionEntry(user, device_id, server_id, connection_id, "android", 1)


async def test_connections_are_found_by_user(sessions: Sessions) -> None:
    phone, tablet, other = entry(), entry("d2", "c2"), entry(user="bob", connection_id="c3")
    for one in (phone, tablet, other):
        assert await sessions.register(one) is None
    found = await sessions.of_users(["alice", "bob", "carol"])
    assert found.keys() == {"alice", "bob"}
    assert sorted(found["alice"], key=repr) == sorted([phone, tablet], key=repr)
    assert found["bob"] == [other]
    assert await sessions.of_users([]) == {}


async def test_a_new_connection_of_a_device_replaces_the_old_one(sessions: Sessions) -> None:
    old, new = entry(connection_id="old"), entry(connection_id="new", server_id="gw-2")
    await sessions.register(old)
    assert await sessions.register(new) == old
    assert await sessions.of_users(["alice"]) == {"alice": [new]}


async def test_a_replaced_connection_cannot_release_its_successor(sessions: Sessions) -> None:
    old, new = entry(connection_id="old"), entry(connection_id="new")
    await sessions.register(old)
    await sessions.register(new)
    assert not await sessions.release(old)
    assert await sessions.of_users(["alice"]) == {"alice": [new]}
    assert await sessions.release(new)
    assert not await sessions.release(new)
    assert await sessions.of_users(["alice"]) == {}


async def test_the_same_connection_id_on_another_server_is_another_connection(sessions: Sessions) -> None:
    await sessions.register(entry(server_id="gw-1"))
    assert not await sessions.release(entry(server_id="gw-2"))


async def test_registering_again_replaces_nothing(sessions: Sessions) -> None:
    await sessions.register(entry())
    assert await sessions.register(entry()) is None
    assert await sessions.release(msgspec.structs.replace(entry(), connected_at=99))


async def test_the_answer_is_the_callers_own(sessions: Sessions) -> None:
    await sessions.register(entry())
    (await sessions.of_users(["alice"]))["alice"].clear()
    assert await sessions.of_users(["alice"]) == {"alice": [entry()]}


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text(sessions: Sessions, text: str) -> None:
    hostile = SessionEntry(text, text, text, text, text, 1)
    await sessions.register(hostile)
    assert await sessions.of_users([text]) == {text: [hostile]}
    assert await sessions.release(hostile)
