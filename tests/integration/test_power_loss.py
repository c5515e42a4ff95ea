"""A power cut loses nothing that was acknowledged, and the test would notice if it did.

Many instants of one run are looked at; for each, the disk holds what was fsynced and a random part of the rest. The
same run with `synchronous` weakened must be reported as loss: so the checker is known to be able to fail.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import apsw
import pytest

from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.errors import StoreError
from cooee.adapters.sqlite.store import DATABASE_FILE, SqliteStore, StoreSettings, open_store
from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.message import LogRecord, Placed
from tests.fakes.power import Disk, PowerVFS

MESSAGES = 400
CUTS = 12
CONVERSATIONS = [f"dm:ann:{peer}" for peer in ("bob", "cat", "dan")]
ANN = DeviceRef("ann", "d1")

Acked = dict[tuple[str, str], Placed]
Cut = tuple[Acked, dict[str, bytes]]


class Loss(AssertionError):
    """Something that was acknowledged is not there any more, or not as it was."""


@pytest.fixture
def exclusive() -> Iterator[None]:
    """Let connections through our file layer keep the wal-index in memory."""

    def hook(connection: apsw.Connection) -> None:
        if connection.open_vfs == "power":
            connection.pragma("locking_mode", "exclusive")

    apsw.connection_hooks.append(hook)
    yield
    apsw.connection_hooks.remove(hook)


def record(random: Random, number: int) -> LogRecord:
    body = b'{"content":"%d %s"}' % (number, b"x" * random.choice((3, 40, 3000)))
    conversation = random.choice(CONVERSATIONS)
    return LogRecord(conversation, *ANN, f"m{number}", 1_764_000_000_000 + number, "text", body)


async def run(folder: Path, seed: int, synchronous: str) -> list[Cut]:
    """Append messages and return what was acknowledged at some instants, with the disk of that instant."""
    random = Random(seed)
    disk = Disk()
    vfs = PowerVFS("power", disk)
    settings = DatabaseSettings(vfs="power", synchronous=synchronous, checkpoint_pages=16, commit_delay_s=0.0)
    store = await open_store(folder, StoreSettings(database=settings))
    acked: Acked = {}
    cuts: list[Cut] = []
    complete = asyncio.Event()
    try:
        for number in range(MESSAGES):
            one = record(random, number)
            store.message_log.append(one, partial(note, acked, complete, one))
            if random.random() < 0.1:
                await asyncio.sleep(random.choice((0, 0.0005, 0.002)))
            if len(cuts) < CUTS and random.random() < 2 * CUTS / MESSAGES:
                seen = dict(acked)
                cuts.append((seen, disk.image(random)))
        await complete.wait()
        cuts.append((dict(acked), disk.image(random)))
    finally:
        await store.aclose()
        vfs.unregister()
    return cuts


def note(acked: Acked, complete: asyncio.Event, one: LogRecord, placed: Placed | CooeeError | None) -> None:
    assert isinstance(placed, Placed)
    acked[one.conversation_id, one.client_message_id] = placed
    if len(acked) == MESSAGES:
        complete.set()


async def check(folder: Path, cut: Cut) -> None:
    """Start on what the disk holds, and compare with what was acknowledged.

    Raises:
        Loss: an acknowledged message is missing, elsewhere, or double, or the numbers have a hole.
    """
    acked, image = cut
    for name, content in image.items():
        (folder / name).write_bytes(content)
    if DATABASE_FILE not in image:
        if acked:
            raise Loss("the file itself is gone")
        return
    store = await open_store(folder)
    try:
        await compare(store, acked)
    finally:
        await store.aclose()


async def is_lost(folder: Path, cut: Cut) -> bool:
    """Tell whether the cut lost something: a message, or the whole file."""
    try:
        await check(folder, cut)
    except (Loss, StoreError):
        return True
    return False


async def compare(store: SqliteStore, acked: Acked) -> None:
    for conversation_id in CONVERSATIONS:
        page = await store.timeline.read_after(conversation_id, 0, MESSAGES + 1, [Span(1)], ANN)
        numbers = [message.sequence_number for message in page.messages]
        if numbers != list(range(1, len(numbers) + 1)):
            raise Loss(f"the numbers have a hole: {numbers}")
        there = {message.client_message_id: message for message in page.messages}
        if len(there) != len(numbers):
            raise Loss("a message is there twice")
        for (conversation, name), placed in acked.items():
            if conversation != conversation_id:
                continue
            message = there.get(name)
            if message is None:
                raise Loss(f"{name} was acknowledged and is gone")
            if (message.message_id, message.sequence_number) != (placed.message_id, placed.sequence_number):
                raise Loss(f"{name} stands elsewhere than was told")
            if await store.message_log.find_place((conversation, *ANN, name)) != placed:
                raise Loss(f"a re-send of {name} would be stored again")


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(6))
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, exclusive: None, seed: int) -> None:
    (tmp_path / "run").mkdir()
    cuts = await run(tmp_path / "run", seed, "FULL")
    assert len(cuts) > 3
    assert any(len(acked) not in (0, MESSAGES) for acked, _ in cuts), "no cut fell into the run"
    for index, cut in enumerate(cuts):
        folder = tmp_path / f"cut{index}"
        folder.mkdir()
        await check(folder, cut)


@pytest.mark.crash
@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_weaker_settings_are_reported_as_loss(tmp_path: Path, exclusive: None, synchronous: str) -> None:
    losses = 0
    for seed in range(3):
        (tmp_path / f"run{seed}").mkdir()
        for index, cut in enumerate(await run(tmp_path / f"run{seed}", seed, synchronous)):
            folder = tmp_path / f"cut{seed}-{index}"
            folder.mkdir()
            losses += await is_lost(folder, cut)
    assert losses, "the checker does not see what is lost"
