"""One store with all ports, in memory and on SQLite: every contract holds for both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite.store import SqliteStore, open_store
from tests.contract.stores import Store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Yield an empty store of each kind."""
    opened: Store = MemoryStore() if request.param == "memory" else await open_store(tmp_path)
    yield opened
    await opened.aclose()


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Yield an empty store on SQLite in ``tmp_path``, for what only a file can do."""
    opened = await open_store(tmp_path)
    yield opened
    await opened.aclose()
