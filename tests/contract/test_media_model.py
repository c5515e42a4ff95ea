"""Media in SQLite and in memory, led through the same random histories: they never disagree, and nothing held goes."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite.store import open_store
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.media import LEAST_COUNTED, SEND_HOLD_MS
from cooee.ports.media import MediaObject, MediaState
from tests.contract.log import NOW_MS, append
from tests.contract.stores import Store

KEYS = tuple(letter * 22 for letter in "abc")
USERS = ("alice", "bob", "carol")
CHATS = ("dm:alice:bob", "dm:bob:carol")
QUOTA = 2 * LEAST_COUNTED
MINUTE_MS = 60_000

KEY, USER = st.sampled_from(KEYS), st.sampled_from(USERS)
STEP = st.one_of(
    st.tuples(st.just("create"), KEY, USER, st.integers(0, 30)),
    st.tuples(st.just("send"), KEY, st.sampled_from(CHATS)),
    st.tuples(st.just("erase"), st.sampled_from(CHATS), st.integers(1, 4)),
    st.tuples(st.just("hold"), KEY, USER, st.integers(0, 30)),
    st.tuples(st.just("update"), KEY, st.sampled_from(MediaState)),
    st.tuples(st.just("pass"), st.integers(1, 20)),
    st.tuples(st.just("collect"), st.booleans()),
)


class History:
    """One store's way through the steps, and all that it said."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW_MS
        self.said: list[Any] = []
        self.held: dict[tuple[str, int], str] = {}
        self._count = 0

    async def walk(self, steps: list[Any]) -> list[Any]:
        """Do all steps, asking who sees what after each."""
        for name, *arguments in steps:
            self._count += 1
            await getattr(self, f"_{name}")(*arguments)
            seen = [(key, user, await self.store.media.find(key, user)) for key in KEYS for user in USERS]
            waiting = sorted(one.key for one in await self.store.media.waiting(10, 10))
            holders = [sorted(await self.store.media.holders(key, 10)) for key in KEYS]
            self.said.append((seen, waiting, holders))
        return self.said

    async def _create(self, key: str, user: str, minutes: int) -> None:
        media = MediaObject(key, user, 1, b"h", "image/png", NOW_MS)
        try:
            await self.store.media.create(media, self.now + minutes * MINUTE_MS, QUOTA)
        except (CooeeError, ValueError) as refused:
            self.said.append(str(refused))

    async def _send(self, key: str, chat: str) -> None:
        """Send as the service does: hold, then append."""
        sender = DeviceRef("bob", "b1")
        if await self.store.media.hold(key, "bob", self.now + SEND_HOLD_MS) is None:
            return
        fields: dict[str, Any] = {"sender": sender, "timestamp": self.now, "media": (key,), "content_type": "image"}
        placed = await append(self.store, f"m{self._count}", conversation_id=chat, **fields)
        self.held[chat, placed.sequence_number] = key

    async def _erase(self, chat: str, number: int) -> None:
        nobody = DeviceRef("bob", "")
        fields: dict[str, Any] = {"sender": nobody, "timestamp": self.now, "content_type": "system", "erases": number}
        await append(self.store, f"m{self._count}", conversation_id=chat, **fields)
        self.held.pop((chat, number), None)

    async def _hold(self, key: str, user: str, minutes: int) -> None:
        self.said.append(await self.store.media.hold(key, user, self.now + minutes * MINUTE_MS))

    async def _update(self, key: str, state: MediaState) -> None:
        await self.store.media.update(key, state, b"{}")

    async def _pass(self, minutes: int) -> None:
        self.now += minutes * MINUTE_MS

    async def _collect(self, forget: bool) -> None:
        garbage = sorted(one.key for one in await self.store.media.garbage(self.now, 10))
        assert not set(garbage) & set(self.held.values()), "a visible message's file was collected"
        self.said.append(garbage)
        if forget:
            await self.store.media.forget(garbage)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=30))
def test_both_stores_say_the_same_and_collect_nothing_that_is_held(steps: list[Any]) -> None:
    asyncio.run(_compare(steps))


async def _compare(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sqlite = await open_store(Path(folder))
        async with contextlib.aclosing(sqlite):
            assert await History(sqlite).walk(steps) == await History(MemoryStore()).walk(steps)
