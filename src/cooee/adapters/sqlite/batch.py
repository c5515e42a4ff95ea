"""What travels to the writer thread and back: operations, and the stage that carries out the hot ones in bulk."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import apsw
import msgspec


class Stage(Protocol):
    """Carries out hot operations in memory and writes their rows with few statements. Lives in the writer thread.

    Every method runs inside the batch's transaction, `committed` and `discard` excepted.
    """

    def apply(self, connection: apsw.Connection, operations: Sequence["Operation"]) -> None:
        """Carry out a run of operations in order and set the ``result`` of each. Rows may stay buffered."""
        ...

    def flush(self, connection: apsw.Connection) -> None:
        """Write what is buffered: afterwards SQL sees everything that was applied."""
        ...

    def mark(self) -> object:
        """Return a mark of the present state, taken after `flush`."""
        ...

    def rewind(self, mark: object) -> None:
        """Forget what was applied since ``mark``: the savepoint around it was rolled back."""
        ...

    def discard(self) -> None:
        """Forget everything: the transaction was rolled back."""
        ...

    def committed(self) -> Callable[[], None] | None:
        """The batch is durable. What is returned runs on the event loop, after all ``done`` of the batch."""
        ...


class _Outcome(msgspec.Struct, kw_only=True):
    result: Any = None


class Operation(_Outcome):
    """One operation of a batch. ``result`` is set in the writer thread and given to ``done`` on the event loop.

    An operation with a stage is hot: neighbours of the same kind are carried out together.
    """

    hot: ClassVar[bool] = True

    done: Callable[[Any], None]


class Work(Operation):
    """Any function on the writer's connection, in a savepoint of its own: its failure rolls back only itself."""

    hot: ClassVar[bool] = False

    run: Callable[[apsw.Connection], Any]


BATCH_SIZE_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Upper bounds of the histogram's buckets; one more bucket holds what is larger."""


class WriterCounters:
    """What the writer thread did since it began. Plain numbers, written by that thread alone and read by anyone."""

    __slots__ = ("batch_sizes", "commit_seconds", "commits", "failures", "operations", "wal_pages")

    def __init__(self) -> None:
        self.commits = 0
        """Transactions that became durable."""
        self.failures = 0
        """Transactions that were rolled back because the store took nothing."""
        self.operations = 0
        """Operations in those that became durable."""
        self.commit_seconds = 0.0
        """Time from BEGIN to the end of COMMIT, summed."""
        self.batch_sizes = [0] * (len(BATCH_SIZE_BOUNDS) + 1)
        """Commits by number of operations, one count for each bucket of `BATCH_SIZE_BOUNDS` (not cumulative)."""
        self.wal_pages = 0
        """Pages in the write-ahead log at the last commit."""
