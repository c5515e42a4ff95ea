"""The message log in SQLite: the message row is the log record."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.operations import Append
from cooee.domain.message import DedupKey, LogRecord, Message, Placed
from cooee.ports.message_log import AppendDone

_log = logging.getLogger(__name__)

FOLLOWER_BACKLOG = 100_000
"""Messages kept for a follower that does not keep up; beyond them it misses some, which live delivery may."""

_FIND = """
    SELECT m.message_id, m.number, m.timestamp
    FROM message AS m INDEXED BY message_dedup
    JOIN conversation AS c ON c.key = m.conversation
    JOIN chat_device AS d ON d.key = m.device
    JOIN chat_user AS u ON u.key = d.user
    WHERE m.client_message_id = ? AND c.id = ? AND d.id = ? AND u.id = ?
    ORDER BY m.position DESC LIMIT 1
"""


class Follower:
    """The one reader of what is newly numbered. Used on the event loop only."""

    def __init__(self) -> None:
        self._waiting: list[Message] = []
        self._ready = asyncio.Event()

    def tell(self, messages: Sequence[Message]) -> None:
        """Add a commit's messages."""
        if len(self._waiting) > FOLLOWER_BACKLOG:
            _log.error("the follower of the log does not keep up: %d messages are not told live", len(self._waiting))
            self._waiting = []
        self._waiting += messages
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Sequence[Message]]:
        return self

    async def __anext__(self) -> Sequence[Message]:
        """Return everything that came since the last call, at least one message."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        messages, self._waiting = self._waiting, []
        return messages


class SqliteMessageLog:
    """`MessageLog`. The records are numbered in the writer thread, by the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._submit = database.submit
        self._follower: Follower | None = None

    def append(self, record: LogRecord, done: AppendDone) -> None:
        """Append ``record``; ``done`` gets its place once it is durable."""
        self._submit(Append(done, record))

    async def find_place(self, key: DedupKey) -> Placed | None:
        """Return the place of the record with this key."""
        conversation_id, sender_id, device_id, client_message_id = key
        values = (client_message_id, conversation_id, device_id, sender_id)
        row = await self._database.read(lambda connection: connection.execute(_FIND, values).fetchone())
        return None if row is None else Placed(*row)

    def follow(self) -> AsyncIterator[Sequence[Message]]:
        """Yield what is numbered from now on. A second follower takes the place of the first."""
        self._follower = Follower()
        return self._follower

    def emit(self, messages: Sequence[Message]) -> None:
        """Tell the follower of a commit's messages; called on the event loop."""
        if self._follower is not None:
            self._follower.tell(messages)
