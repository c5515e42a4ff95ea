"""Counting what SQLite does, where time would be too vague."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import apsw

from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.store import SqliteStore, StoreSettings

ONE_READER = StoreSettings(database=DatabaseSettings(readers=1))
"""So that the connection that is looked at is the one that reads."""


class Steps:
    """How many steps SQLite's virtual machine took."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, event: dict[str, Any]) -> None:
        """Add what one finished statement took."""
        self.count += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]


@asynccontextmanager
async def counting_steps(store: SqliteStore) -> AsyncIterator[Steps]:
    """Count the steps of the reader's connection while the block runs; the store has one reader."""
    steps = Steps()
    await store.timeline.head("dm:warm:up")
    connections: list[apsw.Connection] = store.database._readers._connections
    (connection,) = connections
    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, steps.take)
    try:
        yield steps
    finally:
        connection.trace_v2(0, None)
    assert steps.count
