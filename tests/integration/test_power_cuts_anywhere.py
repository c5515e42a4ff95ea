"""Power cuts in the middle of what the store does: before any single write, sync or deletion.

`test_power_loss` looks at the disk between the steps of a client; here the cut falls into a commit, a checkpoint or the
making of the file, and messages, envelopes, receipts and dedup keys are all looked for afterwards.
"""

import asyncio
import itertools
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.errors import StoreError
from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.message import Envelope, LogRecord, Message, Placed
from cooee.ports.cursors import CursorChange, CursorUpdate
from tests.fakes.cut_disk import CutDisk

NOW_MS = 1_764_000_000_000
ANN, BEN = DeviceRef("ann", "a1"), DeviceRef("ben", "b1")
CHATS = tuple(direct_conversation_id("ann", other) for other in ("ben", "cat", "dan", "ann"))
MESSAGES = 120
disk_names = itertools.count()


class Cut(NamedTuple):
    """One power cut: what was acknowledged before it, and the folder it left."""

    acked: list[tuple[LogRecord, Placed]]
    received: dict[str, int]
    folder: Path


class Load:
    """Appends and receipts, with what was acknowledged so far."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._sent = 0
        self.acked: list[tuple[LogRecord, Placed]] = []
        self.received: dict[str, int] = {}

    async def run(self, store: SqliteStore) -> None:
        """Send in bursts of random length; the receiver answers what was acknowledged."""
        end = self._sent + MESSAGES
        while self._sent < end:
            burst = self._chance.randint(1, 25)
            pending = [asyncio.get_running_loop().create_future() for _ in range(burst)]
            for future in pending:
                self._append(store, self._sent, future)
                self._sent += 1
            await asyncio.gather(*pending)
            conversation_id = self._chance.choice(CHATS)
            known = [place.sequence_number for one, place in self.acked if one.conversation_id == conversation_id]
            if known:
                await self._receive(store, conversation_id, max(known))

    def _append(self, store: SqliteStore, number: int, future: "asyncio.Future[None]") -> None:
        record = LogRecord(
            self._chance.choice(CHATS),
            *ANN,
            f"m{number}",
            NOW_MS + number,
            "text",
            b'{"content":"' + b"x" * self._chance.choice((5, 50, 500, 9000)) + b'"}',
            envelopes=(Envelope("ben", "b1", f"for ben {number}"),) if number % 3 else (),
        )

        def done(result: Placed | CooeeError | None) -> None:
            assert isinstance(result, Placed)
            self.acked.append((record, result))
            future.set_result(None)

        store.message_log.append(record, done)

    async def _receive(self, store: SqliteStore, conversation_id: str, number: int) -> None:
        future: asyncio.Future[CursorChange | CooeeError] = asyncio.get_running_loop().create_future()
        store.cursors.advance(CursorUpdate(conversation_id, *BEN, number), future.set_result)
        assert isinstance(await future, CursorChange)
        self.received[conversation_id] = max(number, self.received.get(conversation_id, 0))


async def cut_power(folder: Path, seed: int, synchronous: str) -> list[Cut]:
    """Run the load on a new store and cut the power at random moments of it; return what each cut left."""
    chance = random.Random(seed)
    disk = CutDisk(f"power-{next(disk_names)}")
    cuts: list[Cut] = []
    load = Load(chance)
    wait = itertools.count(1)
    due = chance.randint(1, 80)

    def watch() -> None:
        nonlocal due
        if next(wait) < due:
            return
        due += chance.randint(1, 80)
        # First the acknowledgements, then the image: what was told by now must be there.
        acked, received = list(load.acked), dict(load.received)
        left = folder / f"cut{len(cuts)}"
        left.mkdir()
        disk.image(left, chance.randrange(1 << 30))
        cuts.append(Cut(acked, received, left))

    database = DatabaseSettings(
        vfs=disk.name, synchronous=synchronous, checkpoint_pages=chance.choice((10, 60)), commit_delay_s=0
    )
    live = folder / "live"
    live.mkdir()
    for _ in range(2):
        store = await open_store(live, StoreSettings(database=database))
        disk.watch = watch
        await load.run(store)
        await store.aclose()
    disk.watch = None
    disk.unregister()
    return cuts


async def losses(cut: Cut) -> list[str]:
    """Open what a cut left, as a server would, and tell what is missing."""
    try:
        store = await open_store(cut.folder)
    except StoreError as error:
        return [f"the file does not open: {error}"] if cut.acked else []
    try:
        return await missing(store, cut)
    finally:
        await store.aclose()


async def missing(store: SqliteStore, cut: Cut) -> list[str]:
    """Tell what a store that did open lacks."""
    lost: list[str] = []
    there: dict[int, Message] = {}
    for conversation_id in CHATS:
        page = await store.timeline.read_after(conversation_id, 0, 10_000, (Span(1),), BEN)
        there |= {message.message_id: message for message in page.messages}
        if [message.sequence_number for message in page.messages] != list(range(1, page.covered_through + 1)):
            lost.append(f"{conversation_id} has a hole")
    for record, place in cut.acked:
        message = there.get(place.message_id)
        if message is None or (message.sequence_number, message.body) != (place.sequence_number, record.body):
            lost.append(f"{record.client_message_id} is not where it was said to be")
        elif message.envelopes != record.envelopes:
            lost.append(f"{record.client_message_id} has lost its envelope")
    for record, place in cut.acked[-20:]:
        if await store.message_log.find_place(record.dedup_key) != place:
            lost.append(f"{record.client_message_id} would be stored again")
    for conversation_id, number in cut.received.items():
        if await store.cursors.device(BEN, conversation_id) < number:
            lost.append(f"the receipt in {conversation_id} is gone")
    return lost


async def lost_in(folder: Path, seed: int, synchronous: str) -> tuple[int, list[str]]:
    """Return how many cuts were made and what they lost."""
    cuts = await cut_power(folder, seed, synchronous)
    lost = [loss for cut in cuts for loss in await losses(cut)]
    return len(cuts), lost


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(5))
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    cuts, lost = await lost_in(tmp_path, seed, "FULL")
    assert cuts >= 5
    assert lost == []


@pytest.mark.crash
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
async def test_weaker_syncing_is_noticed(tmp_path: Path, synchronous: str) -> None:
    """The checker sees the planted bug: an acknowledgement that comes before the sync."""
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        _, lost = await lost_in(folder, seed, synchronous)
        if lost:
            return
    pytest.fail("ten runs with the planted bug lost nothing: the checker is blind")


async def test_an_image_before_the_first_sync_is_an_empty_store(tmp_path: Path) -> None:
    """A cut while the file is made leaves something that opens, or nothing."""
    disk = CutDisk(f"power-{next(disk_names)}")
    images = itertools.count()

    def watch() -> None:
        left = tmp_path / f"early{next(images)}"
        left.mkdir()
        disk.image(left, random.Random(left.name).randrange(1 << 30))

    disk.watch = watch
    live = tmp_path / "live"
    live.mkdir()
    store = await open_store(live, StoreSettings(database=DatabaseSettings(vfs=disk.name)))
    disk.watch = None
    await store.aclose()
    disk.unregister()
    for number in range(next(images)):
        opened = await open_store(tmp_path / f"early{number}")
        assert (await opened.timeline.head(CHATS[0])).last == 0
        await opened.aclose()
