"""The contract of `Bots`, and what accounts and devices keep of bots."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from cooee.adapters.sqlite.migrations import known_migrations, migrate
from cooee.adapters.sqlite.store import DATABASE_FILE, SqliteStore, open_store
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import EVERYTHING, scopes_of
from cooee.ports.accounts import Account, AccountKind
from cooee.ports.bots import IncomingHook
from cooee.ports.devices import Device
from tests.contract.stores import HOSTILE, Store, reopened


def person(user_id: str) -> Account:
    """Somebody who may own bots."""
    return Account(user_id, user_id.title(), "hash", 1)


def bot(user_id: str, owner_id: str = "alice") -> Account:
    """Return a bot of alice's."""
    return Account(user_id, user_id.title(), "", 1, kind=AccountKind.BOT, owner_id=owner_id)


def hook(hook_id: str, bot_id: str = "echo", created_at: int = 1) -> IncomingHook:
    """Return a hook of echo's."""
    return IncomingHook(hook_id, bot_id, "builds", "dm:alice:echo", b"secret " + hook_id.encode(), created_at)


async def with_bots(store: Store, *bots: Account) -> None:
    """Store alice and bob, and these bots."""
    for user_id in ("alice", "bob"):
        await store.accounts.create(person(user_id))
    for each in bots:
        await store.bots.create(each, 10)


async def names(store: Store, owner_id: str | None, after: str = "", limit: int = 100) -> list[str]:
    """Return the userIds of an owner's bots."""
    return [each.user_id for each in await store.bots.of_owner(owner_id, after, limit)]


async def test_bots_are_listed_by_their_owner(store: Store) -> None:
    await with_bots(store, bot("echo"), bot("alarm"), bot("build", "bob"), bot("house", ""))
    assert await names(store, "alice") == ["alarm", "echo"]
    assert await names(store, "alice", "alarm") == ["echo"]
    assert await names(store, "bob") == ["build"]
    assert await names(store, "") == ["house"]
    assert await names(store, None) == ["alarm", "build", "echo", "house"]
    assert await names(store, None, "alarm", 2) == ["build", "echo"]
    found = await store.accounts.find("echo")
    assert found == bot("echo")
    assert found is not None
    assert found.is_bot


async def test_a_bot_is_found_like_anybody(store: Store) -> None:
    await with_bots(store, bot("echo"))
    assert [each.user_id for each in await store.accounts.search("ech", 5)] == ["echo"]
    changed = await store.accounts.update("echo", {"disabled": True, "disabled_with_owner": True})
    assert changed == msgspec.structs.replace(bot("echo"), disabled=True, disabled_with_owner=True)
    with pytest.raises(ValueError, match="kind"):
        await store.accounts.update("echo", {"kind": AccountKind.PERSON})


async def test_a_name_is_given_once(store: Store) -> None:
    await with_bots(store, bot("echo"))
    for taken in ("echo", "alice"):
        assert await refusal(store.bots.create(bot(taken), 10)) is ErrorCode.CONFLICT
    await store.accounts.erase("echo")
    assert await refusal(store.bots.create(bot("echo"), 10)) is ErrorCode.CONFLICT


async def test_an_owner_has_no_more_bots_than_he_may(store: Store) -> None:
    await with_bots(store)
    made = await asyncio.gather(*(store.bots.create(bot(f"bot{n}"), 3) for n in range(8)), return_exceptions=True)
    refused = [each for each in made if each is not None]
    assert len(refused) == 5
    assert {each.code for each in refused if isinstance(each, CooeeError)} == {ErrorCode.TOO_LARGE}
    assert len(await names(store, "alice")) == 3
    await store.accounts.erase((await names(store, "alice"))[0])
    await store.bots.create(bot("again"), 3)
    assert await refusal(store.bots.create(bot("more"), 0)) is ErrorCode.TOO_LARGE


async def test_only_a_living_person_owns_bots(store: Store) -> None:
    await with_bots(store, bot("echo"))
    await store.accounts.update("bob", {"disabled": True})
    for owner in ("nobody", "echo", "bob"):
        assert await refusal(store.bots.create(bot("more", owner), 10)) is ErrorCode.NOT_FOUND
    await store.accounts.erase("alice")
    assert await refusal(store.bots.create(bot("more"), 10)) is ErrorCode.NOT_FOUND
    assert await store.accounts.find("more") is None


async def test_a_token_keeps_its_scopes_and_its_end(store: Store) -> None:
    await with_bots(store, bot("echo"))
    given = scopes_of(("messages:read", "webhooks"))
    token = Device("echo", "t1", "laptop", "bot", b"hash", 5, 5, given, 99)
    await store.devices.create(token)
    await store.devices.create(Device("alice", "d1", "phone", "phone", b"other", 5, 5))
    assert await store.devices.find_by_token(b"hash") == token
    await store.devices.touch((token.ref,), 7)
    assert await store.devices.of_user("echo") == [msgspec.structs.replace(token, last_seen=7)]
    other = await store.devices.find_by_token(b"other")
    assert other is not None
    assert (other.scopes, other.expires_at) == (EVERYTHING, 0)


async def test_hooks_come_and_go(store: Store) -> None:
    await with_bots(store, bot("echo"), bot("alarm"))
    await store.bots.create_hook(hook("h2", created_at=2), 10)
    await store.bots.create_hook(hook("h1"), 10)
    await store.bots.create_hook(hook("h3", "alarm"), 10)
    assert [each.hook_id for each in await store.bots.hooks_of("echo")] == ["h1", "h2"]
    assert await store.bots.find_hook("h1") == hook("h1")
    assert await store.bots.find_hook("h9") is None
    assert not await store.bots.delete_hook("alarm", "h1")
    assert await store.bots.delete_hook("echo", "h1")
    assert not await store.bots.delete_hook("echo", "h1")
    assert await store.bots.find_hook("h1") is None
    with pytest.raises(ValueError, match="taken"):
        await store.bots.create_hook(hook("h3", "echo"), 10)


async def test_a_bot_has_no_more_hooks_than_it_may(store: Store) -> None:
    await with_bots(store, bot("echo"))
    made = await asyncio.gather(*(store.bots.create_hook(hook(f"h{n}"), 2) for n in range(5)), return_exceptions=True)
    assert len([each for each in made if each is None]) == 2
    assert len(await store.bots.hooks_of("echo")) == 2


async def test_hooks_are_for_bots(store: Store) -> None:
    await with_bots(store)
    for nobody in ("alice", "nobody"):
        assert await refusal(store.bots.create_hook(hook("h1", nobody), 10)) is ErrorCode.NOT_FOUND


async def test_a_secret_is_replaced_and_use_is_noted(store: Store) -> None:
    await with_bots(store, bot("echo"))
    await store.bots.create_hook(hook("h1"), 10)
    assert not await store.bots.set_hook_secret("alarm", "h1", b"new")
    assert not await store.bots.set_hook_secret("echo", "h9", b"new")
    assert await store.bots.set_hook_secret("echo", "h1", b"new")
    for at in (9, 7):
        await store.bots.note_hook_used("h1", at)
    await store.bots.note_hook_used("h9", 9)
    assert await store.bots.find_hook("h1") == msgspec.structs.replace(hook("h1"), secret_hash=b"new", last_used=9)


async def test_all_of_a_bot_goes_with_it(store: Store) -> None:
    await with_bots(store, bot("echo"))
    await store.bots.create_hook(hook("h1"), 10)
    await store.devices.create(Device("echo", "t1", "laptop", "bot", b"hash", 5, 5, scopes_of(("contacts",)), 0))
    await store.accounts.erase("echo")
    assert await names(store, "alice") == []
    assert await store.bots.find_hook("h1") is None
    assert await store.devices.find_by_token(b"hash") is None
    assert await refusal(store.bots.create_hook(hook("h2"), 10)) is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_stays_text(store: Store, text: str) -> None:
    await with_bots(store, bot("echo"))
    odd = IncomingHook(text, "echo", text, text, text.encode(), 1)
    await store.bots.create_hook(odd, 10)
    assert await store.bots.find_hook(text) == odd
    assert await store.bots.hooks_of(text) == []
    assert await names(store, text) == []
    assert await store.bots.delete_hook("echo", text)


async def test_all_of_it_is_there_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await with_bots(sqlite_store, bot("echo"))
    await sqlite_store.bots.create_hook(hook("h1"), 10)
    token = Device("echo", "t1", "laptop", "bot", b"hash", 5, 5, scopes_of(("contacts",)), 77)
    await sqlite_store.devices.create(token)
    again = await reopened(sqlite_store, tmp_path)
    assert await names(again, "alice") == ["echo"]
    assert await again.bots.hooks_of("echo") == [hook("h1")]
    assert await again.devices.find(DeviceRef("echo", "t1")) == token
    await again.aclose()


async def test_a_store_from_before_bots_holds_people(tmp_path: Path) -> None:
    file = tmp_path / DATABASE_FILE
    connection = apsw.Connection(str(file))
    migrate(connection, file, known_migrations()[:2])
    connection.execute("INSERT INTO account VALUES ('alice', 'Alice', 'hash', 1, '', '{}', 0, 0, 1, 5)")
    connection.execute("INSERT INTO device VALUES ('alice', 'd1', 'phone', 'phone', x'aa', 1, 2, 0)")
    connection.close()
    store = await open_store(tmp_path)
    assert await store.accounts.find("alice") == Account("alice", "Alice", "hash", 1, admin=True, last_seen=5)
    assert await store.devices.find_by_token(b"\xaa") == Device("alice", "d1", "phone", "phone", b"\xaa", 1, 2)
    assert await names(store, None) == []
    await store.aclose()


async def refusal(work: object) -> ErrorCode:
    """Return the code of the error that ``work`` ends with."""
    with pytest.raises(CooeeError) as caught:
        await work  # type: ignore[misc]  # an awaitable
    return caught.value.code
