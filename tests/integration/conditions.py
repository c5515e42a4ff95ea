"""The real server under conditions that a test changes while it runs: a wall clock that is wrong, a disk that is full.

Run as ``python -m tests.integration.conditions serve …``. Files in the working folder say what is so:

==========  =========================================================================================================
clock       milliseconds by which the wall clock is wrong
full        while it exists, SQLite gets no further page for the data file
file_limit  bytes that no file may exceed, from the start on (as RLIMIT_FSIZE)
==========  =========================================================================================================
"""

import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cooee.adapters.memory.clock import SystemClock
from cooee.adapters.sqlite.batch import Operation
from cooee.adapters.sqlite.writer import WriterThread
from cooee.cli.main import main

CLOCK = "clock"
FULL = "full"
FILE_LIMIT = "file_limit"
_NO_CEILING = 4_294_967_294


def bend_clock() -> None:
    """Add what the file says to every wall time."""
    wall_ms = SystemClock.wall_ms
    file = Path(CLOCK).absolute()

    def bent(self: SystemClock) -> int:
        return wall_ms(self) + (int(file.read_text("utf-8") or 0) if file.exists() else 0)

    SystemClock.wall_ms = bent  # type: ignore[method-assign]


def bound_pages() -> None:
    """Set the ceiling of the data file before each transaction; SQLite itself then says that the disk is full."""
    transact = WriterThread._transact
    file = Path(FULL).absolute()

    def bounded(self: WriterThread, batch: Sequence[Operation]) -> Any:
        self._connection.pragma("max_page_count", 1 if file.exists() else _NO_CEILING)
        return transact(self, batch)

    WriterThread._transact = bounded  # type: ignore[method-assign]


def bound_files() -> None:
    """Take the limit for files that stands at the start."""
    file = Path(FILE_LIMIT)
    if file.exists():
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file.read_text("utf-8")), resource.RLIM_INFINITY))


if __name__ == "__main__":
    bend_clock()
    bound_pages()
    bound_files()
    main()
