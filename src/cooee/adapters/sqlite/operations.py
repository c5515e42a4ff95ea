"""The two hot operations: they are carried out in bulk by the ledger."""

from collections.abc import Callable
from typing import Any

from cooee.adapters.sqlite.batch import Operation
from cooee.domain.message import LogRecord
from cooee.ports.cursors import CursorUpdate


class Append(Operation):
    """Number and store one record."""

    __slots__ = ("record",)

    def __init__(self, record: LogRecord, done: Callable[[Any], None]) -> None:
        self.record = record
        self.done = done
        self.result = None


class Advance(Operation):
    """Merge one watermark."""

    __slots__ = ("update",)

    def __init__(self, update: CursorUpdate, done: Callable[[Any], None]) -> None:
        self.update = update
        self.done = done
        self.result = None


def ignore(_result: object) -> None:
    """Take a result that nobody waits for."""
