"""The two hot operations: they are carried out in bulk by the ledger."""

from cooee.adapters.sqlite.batch import Operation
from cooee.domain.message import LogRecord
from cooee.ports.cursors import CursorUpdate


class Append(Operation, gc=False):
    """Number and store one record."""

    record: LogRecord


class Advance(Operation, gc=False):
    """Merge one watermark."""

    update: CursorUpdate


def ignore(_result: object) -> None:
    """Take a result that nobody waits for."""
