"""The message log: where a message becomes durable, and the one order of each conversation."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from cooee.domain.errors import CooeeError
from cooee.domain.message import DedupKey, LogRecord, Message, Placed

AppendDone = Callable[[Placed | CooeeError | None], None]
"""Called on the event loop, exactly once for each append, in the order of the log."""


class MessageLog(Protocol):
    """An append-only log, totally ordered per conversation.

    No task, future or coroutine per record: this is the hot path.
    """

    def append(self, record: LogRecord, done: AppendDone) -> None:
        """Append ``record``; ``done`` follows durability.

        ``done`` gets the record's place (embedded), None when it is durable but not numbered yet (cluster; the number
        comes with the message itself), or a CooeeError ``unavailable``: then nothing was stored and a retry is safe.
        A record whose dedup key is already there stores nothing, and ``done`` gets the first copy's place.
        An own message counts as held: if the sending device stood at n−1, its received watermark becomes n.
        """
        ...

    async def find_place(self, key: DedupKey) -> Placed | None:
        """Return the place of the record with this key, or None when it is unknown or its deduplication has ended.

        For a re-send that may not be appended any more: what was stored before is told all the same.
        """
        ...

    def follow(self) -> AsyncIterator[Sequence[Message]]:
        """Yield batches of newly numbered messages, each once, in order, only after they are durable.

        System messages of group changes are among them. One follower. What was appended before the call is not
        replayed: live delivery is a hint, the timeline is the truth.
        """
        ...
