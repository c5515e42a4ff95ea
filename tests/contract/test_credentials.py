"""The contract of `Credentials`."""

import asyncio
from pathlib import Path

import pytest

from cooee.adapters.sqlite.store import SqliteStore
from tests.contract.stores import HOSTILE, Store, reopened

CODES = [bytes([number]) * 32 for number in range(10)]


async def test_a_recovery_code_works_once(store: Store) -> None:
    await store.credentials.put_recovery_codes("alice", CODES)
    assert not await store.credentials.use_recovery_code("bob", CODES[0])
    assert not await store.credentials.use_recovery_code("alice", b"unknown")
    assert not await store.credentials.use_recovery_code("alice", b"")
    assert await store.credentials.use_recovery_code("alice", CODES[0])
    assert not await store.credentials.use_recovery_code("alice", CODES[0])
    assert await store.credentials.use_recovery_code("alice", CODES[1])


async def test_of_two_at_once_one_wins(store: Store) -> None:
    await store.credentials.put_recovery_codes("alice", CODES)
    used = await asyncio.gather(*(store.credentials.use_recovery_code("alice", CODES[3]) for _ in range(2)))
    assert sorted(used) == [False, True]


async def test_new_codes_replace_the_old_ones(store: Store) -> None:
    await store.credentials.put_recovery_codes("alice", CODES[:5])
    await store.credentials.put_recovery_codes("bob", CODES[:5])
    await store.credentials.put_recovery_codes("alice", [*CODES[5:], CODES[5]])
    assert not await store.credentials.use_recovery_code("alice", CODES[0])
    assert await store.credentials.use_recovery_code("alice", CODES[5])
    assert not await store.credentials.use_recovery_code("alice", CODES[5])
    await store.credentials.put_recovery_codes("alice", [])
    assert not await store.credentials.use_recovery_code("alice", CODES[6])
    assert await store.credentials.use_recovery_code("bob", CODES[0])


async def test_an_invite_lets_in_as_many_as_it_says(store: Store) -> None:
    await store.credentials.put_invite(b"invite", 0, 2)
    assert [await store.credentials.use_invite(b"invite", 10) for _ in range(3)] == [True, True, False]
    assert not await store.credentials.use_invite(b"unknown", 10)


async def test_of_many_at_once_no_more_than_the_invite_says(store: Store) -> None:
    await store.credentials.put_invite(b"invite", 0, 3)
    used = await asyncio.gather(*(store.credentials.use_invite(b"invite", 10) for _ in range(20)))
    assert used.count(True) == 3


async def test_an_invite_expires(store: Store) -> None:
    await store.credentials.put_invite(b"invite", 100, 0)
    assert await store.credentials.use_invite(b"invite", 99)
    assert not await store.credentials.use_invite(b"invite", 100)
    assert not await store.credentials.use_invite(b"invite", 101)


async def test_an_invite_without_bounds(store: Store) -> None:
    await store.credentials.put_invite(b"invite", 0, 0)
    assert all([await store.credentials.use_invite(b"invite", 1 << 60) for _ in range(30)])


async def test_using_one_invite_leaves_the_others_valid(store: Store) -> None:
    await store.credentials.put_invite(b"once", 0, 1)
    await store.credentials.put_invite(b"soon", 50, 5)
    await store.credentials.put_invite(b"ever", 0, 0)
    assert await store.credentials.use_invite(b"once", 10)
    assert await store.credentials.use_invite(b"ever", 10)
    assert await store.credentials.use_invite(b"soon", 10)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_and_bytes(store: Store, text: str) -> None:
    secret = text.encode()
    await store.credentials.put_recovery_codes(text, [secret])
    await store.credentials.put_invite(secret, 0, 1)
    assert not await store.credentials.use_recovery_code(text + "x", secret)
    assert await store.credentials.use_recovery_code(text, secret)
    assert await store.credentials.use_invite(secret, 1)


async def test_what_is_used_stays_used_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await sqlite_store.credentials.put_recovery_codes("alice", CODES)
    await sqlite_store.credentials.put_invite(b"invite", 0, 2)
    await sqlite_store.credentials.use_recovery_code("alice", CODES[0])
    await sqlite_store.credentials.use_invite(b"invite", 1)
    again = await reopened(sqlite_store, tmp_path)
    assert not await again.credentials.use_recovery_code("alice", CODES[0])
    assert await again.credentials.use_recovery_code("alice", CODES[1])
    assert [await again.credentials.use_invite(b"invite", 1) for _ in range(2)] == [True, False]
    await again.aclose()


async def test_spent_invites_are_removed(sqlite_store: SqliteStore) -> None:
    await sqlite_store.credentials.put_invite(b"expired", 5, 0)
    await sqlite_store.credentials.put_invite(b"once", 0, 1)
    await sqlite_store.credentials.put_invite(b"kept", 0, 2)
    assert await sqlite_store.credentials.use_invite(b"once", 10)
    left = await sqlite_store.database.read(
        lambda connection: list(connection.execute("SELECT token_hash FROM registration_invite"))
    )
    assert left == [(b"kept",)]
