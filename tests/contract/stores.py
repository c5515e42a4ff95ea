"""The stores that every contract is held against, and hostile text to feed them."""

from pathlib import Path

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite.store import SqliteStore, open_store

Store = MemoryStore | SqliteStore

HOSTILE = (
    "'; DROP TABLE account; --",
    '"quoted"',
    "100%_\\*?[a-z]",
    "nul\x00inside",
    "\x00",
    "ünïcödé ẞ ﬁ",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\u202egnp.exe",
    "x" * 10_000,
    "ж" * 10_000,
    "\U0010ffff",
    " ",
    "\r\n\t",
)


async def reopened(store: SqliteStore, folder: Path) -> SqliteStore:
    """Close the store and open its folder again."""
    await store.aclose()
    return await open_store(folder)
