"""The archive for a newly linked device, from one store to another."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from cooee.client import archives
from cooee.client.archives import Archives
from cooee.client.changes import MessageKey
from cooee.client.errors import DownloadFailed
from cooee.client.events import SetupProgress
from cooee.client.ledger import Ledger
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from tests.fakes.client_store import STORE_KEY
from tests.unit.client.media_server import MediaServer

KEYS = [MessageKey("dm:alice:bob", n, "bob", "d7", f"c{n}", bytes([n % 256]) * 32) for n in range(1, 30)]


@pytest.fixture
async def ledgers(tmp_path: Path) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """The ledgers of an old device and of a new one."""
    both = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        both.append(await Ledger.open(Store(tmp_path / name, STORE_KEY), DeviceRef("alice", name)))
    yield both[0], both[1]
    for one in both:
        await one.close()


async def put_keys(ledger: Ledger) -> None:
    await ledger.step(lambda turn: turn.message_keys.extend(KEYS))


async def held(ledger: Ledger) -> list[MessageKey]:
    return sorted(await ledger.run(ledger.store.held_keys, None, 1_000), key=lambda key: key.sequence_number)


async def test_all_keys_get_over(
    ledgers: tuple[Ledger, Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "PART", 7)
    old, new = ledgers
    await put_keys(old)
    told = new.subscribe()
    async with MediaServer().run() as (server, api):
        stored = await Archives(old, api, tmp_path / "old", old.step).export("new")
        [grant] = server.grants
        assert (grant["contentType"], grant["encrypted"]) == ("application/octet-stream", True)
        assert stored.digest == hashlib.sha256(server.content).digest()
        assert stored.size == len(server.content)
        assert not any(bytes(key.key) in server.content for key in KEYS)
        assert stored.key.hex() not in repr(stored)
        taken = Archives(new, api, tmp_path / "new", new.step)
        await taken.take_in(stored)
        await taken.take_in(stored)
    assert await held(new) == KEYS
    event = await anext(told)
    assert event == SetupProgress("", stored.size, stored.size)
    for name in ("old", "new"):
        assert list((tmp_path / name / "archives").iterdir()) == []


@pytest.mark.parametrize("wrong", ["digest", "key", "content"])
async def test_another_archive_than_was_made_is_not_taken_in(
    ledgers: tuple[Ledger, Ledger], tmp_path: Path, wrong: str
) -> None:
    old, new = ledgers
    await put_keys(old)
    async with MediaServer().run() as (server, api):
        stored = await Archives(old, api, tmp_path / "old", old.step).export("new")
        if wrong == "content":
            server.content = server.content[:-1] + b"x"
        else:
            stored = msgspec.structs.replace(stored, **{wrong: bytes(32)})
        with pytest.raises(DownloadFailed):
            await Archives(new, api, tmp_path / "new", new.step).take_in(stored)
    assert await held(new) == []
    assert list((tmp_path / "new" / "archives").iterdir()) == []


async def test_a_device_with_nothing_sends_an_empty_archive(ledgers: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    old, new = ledgers
    steps: list[Callable[[Turn], None]] = []

    async def step(fill: Callable[[Turn], None]) -> Turn:
        steps.append(fill)
        return await new.step(fill)

    async with MediaServer().run() as (_, api):
        stored = await Archives(old, api, tmp_path / "old", old.step).export("new")
        await Archives(new, api, tmp_path / "new", step).take_in(stored)
    assert steps == []
