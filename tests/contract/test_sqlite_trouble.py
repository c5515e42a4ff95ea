"""When the disk takes nothing: refusals, no loss of what was acknowledged, and recovery by itself."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import pytest

from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import direct_conversation_id
from cooee.domain.message import Placed
from cooee.domain.receipt import Watermark
from cooee.ports.cursors import CursorChange, CursorUpdate
from tests.contract.log import (
    ALL,
    BOB,
    CHAT,
    GROUP,
    advance,
    append,
    append_all,
    create_group,
    fill,
    numbers,
    record,
)
from tests.fakes.failing_disk import FailingDisk

disk_names = itertools.count()
Break = Callable[[FailingDisk], None]


def full(disk: FailingDisk) -> None:
    """No write goes through."""
    disk.fail_writes = apsw.FullError


def nearly_full(disk: FailingDisk) -> None:
    """The commit breaks off in the middle of its writes."""
    disk.fail_writes = apsw.FullError
    disk.writes_left = 3


def broken(disk: FailingDisk) -> None:
    """Writes fail with an I/O error."""
    disk.fail_writes = apsw.IOError


def unsynced(disk: FailingDisk) -> None:
    """Everything is written and cannot be synced."""
    disk.fail_syncs = apsw.IOError


def repair(disk: FailingDisk) -> None:
    disk.fail_writes = disk.fail_syncs = disk.writes_left = None


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    failing = FailingDisk(f"failing-{next(disk_names)}")
    yield failing
    failing.unregister()


@pytest.fixture
async def store(disk: FailingDisk, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    settings = StoreSettings(database=DatabaseSettings(vfs=disk.name, commit_delay_s=0))
    opened = await open_store(tmp_path, settings)
    yield opened
    repair(disk)
    await opened.aclose()


async def try_append(store: SqliteStore, client_message_id: str) -> Placed | CooeeError | None:
    future: asyncio.Future[Placed | CooeeError | None] = asyncio.get_running_loop().create_future()
    store.message_log.append(record(client_message_id), future.set_result)
    return await future


def is_unavailable(result: object) -> bool:
    return isinstance(result, CooeeError) and result.code is ErrorCode.UNAVAILABLE and result.retryable


@pytest.mark.parametrize("trouble", [full, nearly_full, broken, unsynced])
async def test_refused_then_recovered(store: SqliteStore, disk: FailingDisk, tmp_path: Path, trouble: Break) -> None:
    """Nothing acknowledged is lost, nothing refused is numbered, and the same records go in later."""
    acked = await fill(store, 20)
    await advance(store, BOB, 11)
    trouble(disk)
    refused = await asyncio.gather(*(try_append(store, f"refused{number}") for number in range(20)))
    assert all(map(is_unavailable, refused))
    changes: list[CursorChange | CooeeError] = []
    store.cursors.advance(CursorUpdate(CHAT, *BOB, 20, 20), changes.append)
    with pytest.raises(CooeeError) as error:
        await create_group(store, "bob")
    assert is_unavailable(error.value)
    assert is_unavailable(changes[0])
    repair(disk)
    again = await append_all(store, [record(f"refused{number}") for number in range(20)])
    assert [place.sequence_number for place in [*acked, *again]] == list(range(1, 41))
    assert await store.cursors.member(CHAT, "bob") == Watermark(11, 0)
    await create_group(store, "bob")
    await store.aclose()
    store = await open_store(tmp_path)
    page = await store.timeline.read_after(CHAT, 0, 100, ALL, BOB)
    assert numbers(page) == list(range(1, 41))
    assert [message.message_id for message in page.messages] == [place.message_id for place in [*acked, *again]]
    assert (await store.timeline.head(GROUP)).last == 1
    await store.aclose()


async def test_reading_goes_on_while_nothing_can_be_written(store: SqliteStore, disk: FailingDisk) -> None:
    await fill(store, 20)
    full(disk)
    assert is_unavailable(await try_append(store, "refused"))
    assert numbers(await store.timeline.read_after(CHAT, 0, 100, ALL, BOB)) == list(range(1, 21))
    assert await store.timeline.missed(BOB)


async def test_the_follower_hears_of_nothing_that_was_refused(store: SqliteStore, disk: FailingDisk) -> None:
    follower = store.message_log.follow()
    full(disk)
    assert is_unavailable(await try_append(store, "refused"))
    repair(disk)
    await append(store, "taken")
    assert [message.client_message_id for message in await anext(follower)] == ["taken"]


async def test_no_page_is_left(tmp_path: Path) -> None:
    """The file may not grow any more: the same from inside SQLite."""
    store = await open_store(tmp_path)
    await fill(store, 100)
    pages = await store.database.write(
        lambda connection: (
            connection.execute("PRAGMA max_page_count").get
            if connection.execute("PRAGMA max_page_count = 1").get
            else 0
        )
    )
    refused = None
    placed = 100
    for number in range(10_000):
        result = await try_append(store, f"more{number}")
        if not isinstance(result, Placed):
            refused = result
            break
        placed = result.sequence_number
    assert is_unavailable(refused)
    assert pages
    await store.database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").get)
    assert (await append(store, "after")).sequence_number == placed + 1
    assert (await store.timeline.head(CHAT)).last == placed + 1
    await store.aclose()


async def test_closing_on_a_full_disk_loses_nothing(disk: FailingDisk, tmp_path: Path) -> None:
    settings = StoreSettings(database=DatabaseSettings(vfs=disk.name, commit_delay_s=0))
    store = await open_store(tmp_path, settings)
    await fill(store, 20)
    full(disk)
    await store.aclose()
    repair(disk)
    store = await open_store(tmp_path)
    assert (await store.timeline.head(CHAT)).last == 20
    await store.aclose()


async def test_one_record_that_cannot_be_stored_harms_no_other(store: SqliteStore) -> None:
    """Text that is no text (a lone surrogate) is refused alone; its neighbours in the batch are stored."""
    other = direct_conversation_id("alice", "carol")
    results = await asyncio.gather(
        try_append(store, "m1"), try_append(store, "\ud800"), try_append(store, "m2"), try_append(store, "m3")
    )
    assert is_unavailable(results[1])
    assert [one.sequence_number for one in results if isinstance(one, Placed)] == [1, 2, 3]
    assert (await append(store, conversation_id=other)).sequence_number == 1
