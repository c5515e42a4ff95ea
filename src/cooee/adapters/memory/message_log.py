"""The message log in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from cooee.adapters.memory.conversations import Conversations
from cooee.domain.message import DedupKey, LogRecord, Message, Placed
from cooee.ports.message_log import AppendDone


class Follower:
    """The one reader of what is newly numbered."""

    def __init__(self) -> None:
        self._waiting: list[Message] = []
        self._ready = asyncio.Event()

    def tell(self, messages: Sequence[Message]) -> None:
        """Add messages."""
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


class MemoryMessageLog:
    """`MessageLog` that a restart forgets; "durable" is when the caller's turn of the loop ends."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def append(self, record: LogRecord, done: AppendDone) -> None:
        """Append ``record``; ``done`` gets its place."""
        asyncio.get_running_loop().call_soon(done, self._conversations.append(record))

    async def find_place(self, key: DedupKey) -> Placed | None:
        """Return the place of the record with this key."""
        return self._conversations.get(key[0]).dedup.get(key)

    def follow(self) -> AsyncIterator[Sequence[Message]]:
        """Yield what is numbered from now on. A second follower takes the place of the first."""
        follower = Follower()
        self._conversations.emit = follower.tell
        return follower
