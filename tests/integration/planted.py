"""A server with one bug planted in it, so that tests can show that their checkers would notice.

Run as ``python -m tests.integration.planted serve …`` with COOEE_TEST_PLANT naming the bug; see `PLANTS`.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from cooee.adapters.sqlite import ledger
from cooee.adapters.sqlite.batch import Operation
from cooee.adapters.sqlite.operations import Advance, Append
from cooee.adapters.sqlite.writer import WriterThread
from cooee.cli.main import main
from cooee.domain.sequence import Head, sequence
from cooee.gateway.outbox import Outbox, Verdict
from cooee.gateway.position import Mode
from cooee.gateway.session import Session
from cooee.protocol.frames import Received
from cooee.services.sync import Sync

LATE_S = 1.5


class _LateCommit:
    """A connection that tells the results of a batch before it commits it."""

    def __init__(self, connection: Any, tell: Callable[[], None]) -> None:
        self._connection = connection
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *rest: Any) -> Any:
        if sql == "COMMIT":
            self._tell()
            time.sleep(LATE_S)
        return self._connection.execute(sql, *rest)


def _told_before_commit(kind: type[Operation]) -> None:
    """Tell the results of operations of one kind half a second before they are durable."""
    transact, call = WriterThread._transact, WriterThread._call
    told: set[int] = set()

    def early(self: WriterThread, batch: Sequence[Operation]) -> Any:
        if not all(type(operation) is kind for operation in batch):
            return transact(self, batch)
        durable: Any = self._connection
        self._connection = cast("Any", _LateCommit(durable, lambda: call(self, batch, None)))
        try:
            return transact(self, batch)
        finally:
            self._connection = durable
            told.add(id(batch))

    def late(self: WriterThread, batch: Sequence[Operation], follow_up: Any) -> None:
        call(self, () if id(batch) in told else batch, follow_up)
        told.discard(id(batch))

    WriterThread._transact = early  # type: ignore[method-assign]
    WriterThread._call = late  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """Acknowledge messages before they are durable."""
    _told_before_commit(Append)


def receipt_before_commit() -> None:
    """Confirm watermarks before they are durable."""
    _told_before_commit(Advance)


def dedup_in_memory() -> None:
    """Remember which messages there were only as long as the process lives."""
    memory: dict[Any, Any] = {}
    ledger.Ledger._find_priors = lambda *_: memory  # type: ignore[method-assign]


def watermark_not_max() -> None:
    """Take whatever number a device says last."""
    advance = ledger.Ledger._advance

    def forgetful(self: ledger.Ledger, update: Any, conversation: Any, device: Any, member: Any) -> Any:
        row = member.rows.get(device.key)
        if row is not None:
            row.received = member.delivered = 0
        return advance(self, update, conversation, device, member)

    ledger.Ledger._advance = forgetful  # type: ignore[method-assign]


def hint_as_delivery() -> None:
    """Count a large group's messages as received once their device was told that they are there."""
    hint = Session.hint

    def eager(self: Session, conversation_id: str, number: int) -> None:
        hint(self, conversation_id, number)
        self.shared.services.receipts.received(self.device, Received(conversation_id, number), lambda _: None)

    Session.hint = eager  # type: ignore[method-assign]


def lost_frame() -> None:
    """Drop every fifth live message, and believe that it was sent."""
    offer = Outbox.offer

    def careless(self: Outbox, conversation_id: str, number: int, frame: bytes, now: float, *, large: bool) -> Verdict:
        position = self._positions.get(conversation_id)
        if number % 5 == 0 and position is not None and position.mode is Mode.LIVE:
            position.note_held(number)
            return Verdict.DROP
        return offer(self, conversation_id, number, frame, now, large=large)

    Outbox.offer = careless  # type: ignore[method-assign, assignment]


def sequence_hole() -> None:
    """Leave number 3 out."""

    def jumping(head: Head, *rest: Any) -> Any:
        jumped = msgspec.structs.replace(head, last_sequence_number=3)
        return sequence(jumped if head.last_sequence_number == 2 else head, *rest)

    vars(ledger)["sequence"] = jumping


def nothing_missed() -> None:
    """Believe that no device ever missed anything."""

    async def nothing(*_: Any) -> tuple[()]:
        return ()

    Sync.missed = nothing  # type: ignore[method-assign, assignment]


PLANTS = {
    plant.__name__: plant
    for plant in (
        ack_before_commit,
        receipt_before_commit,
        dedup_in_memory,
        watermark_not_max,
        hint_as_delivery,
        lost_frame,
        sequence_hole,
        nothing_missed,
    )
}

if __name__ == "__main__":
    name = os.environ.get("COOEE_TEST_PLANT", "")
    if name:
        PLANTS[name]()
    main()
