"""State, store and the application's event streams, kept in step: stored first, then known, then told.

Every change of the client's state goes through `Ledger.step`, one at a time.
"""

import asyncio
import secrets
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any, Self, TypeVar

from cooee.client.e2ee.agent import Agent
from cooee.client.errors import Stopped, StoreError
from cooee.client.events import ConversationUpdated, EncryptionProblem, Event, MessageDeleted, MessageUpdated
from cooee.client.model import ConversationView, Message
from cooee.client.state import ConversationState, State
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.protocol import frames

T = TypeVar("T")
Acquaint = Callable[[Iterable[frames.MessageFrame]], Awaitable[None]]

STREAM_LIMIT = 4_096
"""Events that may wait in a stream before the client takes nothing more from the server."""

PROBLEMS_KEPT = 1_000

_VIEWS_AT_ONCE = 200

_LOOK_AGAIN_S = 1.0
"""A full stream may have been dropped by an application that never said so."""


def monotonic_ms() -> int:
    """Return ms of a clock that never goes back."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Return ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


async def _nobody(_: Iterable[frames.MessageFrame]) -> None:
    """Wait for nothing."""


class EventStream:
    """The events from its creation on, as an asynchronous iterator. Dropped by `aclose` or when nobody holds it.

    Ends when the client is closed; raises `Stopped` when the server closed the connection for good.
    """

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._queue: deque[Event] = deque()
        self._woken = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._error is not None:
                error, self._error = self._error, None
                self._ended = True
                raise error
            if self._ended:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        event = self._queue.popleft()
        self._ledger.taken()
        return event

    async def aclose(self) -> None:
        """Take no more events."""
        self._ledger.unsubscribe(self)
        self.end(None)
        self._queue.clear()

    def push(self, event: Event) -> None:
        """Add an event."""
        self._queue.append(event)
        self._woken.set()

    def end(self, error: Exception | None) -> None:
        """Let the stream end, or raise, behind the events that it has."""
        self._error = error
        self._ended = self._ended or error is None
        self._woken.set()

    @property
    def is_full(self) -> bool:
        """Whether the application is far behind."""
        return len(self._queue) >= STREAM_LIMIT


class Ledger:
    """The one place that changes the state. Store calls run in one thread of their own, in order."""

    def __init__(
        self, store: Store, state: State, clock: Callable[[], int] = monotonic_ms, agent: Agent | None = None
    ) -> None:
        self.store = store
        self.state = state
        self.clock = clock
        self.agent = agent
        self.seal_wanted = False
        """Whether something may be sealed that no step has looked at yet."""
        self._sealing = False
        self.keys_came = True
        """Whether keys may have come of messages that could not be read."""
        self.acquaint: Acquaint = _nobody
        """Waits, a moment, for what the agent has to know of the senders of messages that are about to be taken in."""
        self.compared: dict[str, bytes] = {}
        """The account keys whose safety numbers were given out last, by user: what was compared, if anything was."""
        self.problems: list[EncryptionProblem] = []
        """What went wrong with end-to-end encryption since the start, at most `PROBLEMS_KEPT`."""
        self.waiters = 0
        self._thread = ThreadPoolExecutor(1, "cooee-store")
        self._turns = asyncio.Lock()
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    @classmethod
    async def open(
        cls, store: Store, me: DeviceRef, clock: Callable[[], int] = monotonic_ms, *, encrypts: bool = False
    ) -> Self:
        """Return the ledger of what ``store`` has. ``encrypts``: with the agent of end-to-end encryption."""
        state = await asyncio.to_thread(store.load, me)
        if not encrypts:
            return cls(store, state, clock)
        records = await asyncio.to_thread(store.load_records)
        return cls(store, state, clock, Agent(me, records, secrets.token_bytes))

    async def close(self) -> None:
        """End the streams, finish what is being stored and close the store."""
        async with self._turns:
            for stream in list(self._streams):
                stream.end(None)
            await self.run(self.store.close)
        self._thread.shutdown(wait=False)

    def connected(self) -> None:
        """There is a connection: what waits is sealed for the devices of now, and what had no answer is asked again."""
        if self.agent is not None:
            self.agent.reconnected(wall_ms())
            self._sealing = self.seal_wanted = True
            self.wake()

    def disconnected(self) -> None:
        """There is no connection: nothing is sealed before there is one."""
        self._sealing = False

    def blobs(self, limits: frames.WireLimits) -> Sequence[frames.ToDeviceSend]:
        """Return the agent's blobs for devices that are to be sent now."""
        return () if self.agent is None else self.agent.outgoing(limits, wall_ms())

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a store call in the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    async def step(self, fill: Callable[[Turn], None]) -> Turn:
        """Let ``fill`` change a turn, store it, make it the state and tell of it.

        Raises:
            StoreError: it could not be stored; the state is as the store has it, and nothing was told.
        """
        async with self._turns:
            turn = Turn(self.state, self.clock(), self.agent, wall_ms())
            fill(turn)
            if self._sealing and not turn.answered:
                turn.seal_due()
            turn.finish()
            try:
                views = await self.run(self._commit, turn)
            except StoreError:
                self.wake()
                raise
            turn.install()
            self.seal_wanted = self.seal_wanted or turn.answered
            self.keys_came = self.keys_came or any(key[:2] not in turn.messages for key in turn.message_keys)
            for event in turn.events:
                if isinstance(event, EncryptionProblem) and len(self.problems) < PROBLEMS_KEPT:
                    self.problems.append(event)
                self.emit(event)
            for view in views:
                self.emit(ConversationUpdated(view))
        self.wake()
        return turn

    def _commit(self, turn: Turn) -> list[ConversationView]:
        if not turn.is_empty:
            self.store.commit(turn)
        if not self._streams:
            return []
        turn.events = [self._as_stored(event) for event in turn.events]
        turn.events += self._amended(turn)
        return [self._view(turn.conversation(conversation_id)) for conversation_id in turn.updated]

    def _as_stored(self, event: Event) -> Event:
        """Return a message as the store has it, where that is known better.

        One that could not be read may have been read, and edited, before; and the store finds what a reply answers.
        """
        if isinstance(event, Message) and (event.problem or event.reply_reference):
            return self.store.find_message(event.conversation_id, event.sequence_number) or event
        if isinstance(event, MessageUpdated) and event.message.reply_reference:
            place = (event.message.conversation_id, event.message.sequence_number)
            return MessageUpdated(self.store.find_message(*place) or event.message)
        return event

    def _amended(self, turn: Turn) -> list[Event]:
        """Return what the controls of a turn changed, as far as it is held here."""
        said = {(one.conversation_id, one.target): one.user_id for one in turn.reactions}
        said |= {(one.conversation_id, one.target): one.user_id for one in turn.edits}
        told: list[Event] = []
        for (conversation_id, target), user_id in said.items():
            told += [
                MessageDeleted(conversation_id, found.sequence_number, user_id)
                if found.deleted
                else MessageUpdated(found)
                for found in self.store.find_targets(conversation_id, target)
                if (conversation_id, found.sequence_number) not in turn.messages
            ]
        return told

    async def view(self, conversation: ConversationState) -> ConversationView:
        """Return a conversation as the application sees it."""
        return await self.run(self._view, conversation)

    async def views(self, conversations: Iterable[ConversationState]) -> list[ConversationView]:
        """Return conversations as the application sees them, in their order; the store is visited once for many."""
        waiting = iter(conversations)
        found: list[ConversationView] = []
        while some := list(islice(waiting, _VIEWS_AT_ONCE)):
            found += await self.run(lambda some: [self._view(one) for one in some], some)
        return found

    def _view(self, conversation: ConversationState) -> ConversationView:
        last: Message | None = self.store.last_message(conversation.conversation_id)
        return ConversationView(
            conversation.conversation_id,
            conversation.kind,
            conversation.title,
            conversation.position,
            max(conversation.head, conversation.position),
            conversation.read,
            self.store.unread(conversation),
            conversation.muted_until,
            conversation.pinned,
            conversation.archived,
            conversation.left,
            last,
            conversation.last_activity,
            conversation.ticked.delivered,
            conversation.ticked.read,
            _members(conversation),
            conversation.plain,
            conversation.timer,
            conversation.told_plain,
        )

    # --- telling

    def subscribe(self) -> EventStream:
        """Return a new stream of what happens from now on."""
        stream = EventStream(self)
        self._streams.add(stream)
        return stream

    def unsubscribe(self, stream: EventStream) -> None:
        """Drop a stream."""
        self._streams.discard(stream)
        self.taken()

    def emit(self, event: Event) -> None:
        """Tell all streams of an event that the store has, or that is about the connection alone."""
        for stream in list(self._streams):
            stream.push(event)

    def stop(self, error: Stopped) -> None:
        """Let all streams raise ``error`` once they are empty."""
        for stream in list(self._streams):
            stream.end(error)
        self.wake()

    def taken(self) -> None:
        """Note that a stream became shorter, or that somebody waits."""
        self._room.set()

    async def room(self) -> None:
        """Wait until the application is not too far behind, unless it waits for something itself."""
        while not self.waiters and any(stream.is_full for stream in self._streams):
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), _LOOK_AGAIN_S)

    # --- waiting

    def wake(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """Return an event that is set at the next change."""
        return self._changed


def _members(conversation: ConversationState) -> dict[str, Watermark]:
    """Return the members with their watermarks; those who are known by a watermark where the roster is not known."""
    marks = conversation.marks
    if conversation.roster is None:
        return dict(marks)
    return {user: marks.get(user, Watermark()) for user in conversation.roster}
