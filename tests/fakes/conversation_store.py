"""Log, timeline, cursors and groups in one object that commits when a test says so.

Written for the tests of the message services, apart from the adapters: simple enough to be believed by reading it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from cooee.domain.conversation import Group, Span
from cooee.domain.errors import CooeeError, unavailable
from cooee.domain.ids import DeviceRef
from cooee.domain.message import CONTENT_DELETED, CONTENT_SYSTEM, EMPTY_BODY, DedupKey, LogRecord, Message, Placed
from cooee.domain.receipt import Watermark
from cooee.domain.sequence import Head, sequence
from cooee.ports.cursors import CursorChange, CursorDone, CursorUpdate
from cooee.ports.message_log import AppendDone
from cooee.ports.timeline import ConversationHead, Missed, Page


class ConversationStore:
    """`MessageLog`, `Timeline`, `Cursors` and the reading half of `Groups`; ``commit`` makes durable what waits."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Message]] = {}
        self.placed: dict[tuple[str, str, str, str], Placed] = {}
        self.received: dict[tuple[str, str, str], int] = {}
        self.marks: dict[str, dict[str, Watermark]] = {}
        self.groups: dict[str, Group] = {}
        self.old_spans: dict[tuple[str, str], tuple[Span, ...]] = {}
        self.full = False
        self.broken = False
        self.reads = 0
        self._position = 0
        self._appends: list[tuple[LogRecord, AppendDone]] = []
        self._updates: list[tuple[CursorUpdate, CursorDone]] = []
        self._committed: asyncio.Queue[Sequence[Message] | Exception] = asyncio.Queue()

    # --- the log

    def append(self, record: LogRecord, done: AppendDone) -> None:
        self._appends.append((record, done))

    async def find_place(self, key: DedupKey) -> Placed | None:
        return self.placed.get(key)

    async def follow(self) -> AsyncIterator[Sequence[Message]]:
        while True:
            batch = await self._committed.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def fail_follower(self, error: Exception) -> None:
        self._committed.put_nowait(error)

    def commit(self) -> list[Message]:
        """Make all waiting appends and cursor updates durable, tell their callers, then the follower."""
        appends, self._appends = self._appends, []
        updates, self._updates = self._updates, []
        batch: list[Message] = []
        answers = [
            (done, unavailable("disk full") if self.full else self._place(record, batch)) for record, done in appends
        ]
        moved = [(done, unavailable("disk full") if self.full else self._merge(update)) for update, done in updates]
        for done, answer in answers:
            done(answer)
        for told, change in moved:
            told(change)
        if batch:
            self._committed.put_nowait(batch)
        return batch

    @property
    def waiting(self) -> list[LogRecord]:
        return [record for record, _ in self._appends]

    def _place(self, record: LogRecord, batch: list[Message]) -> Placed:
        self._position += 1
        kept = self.messages.setdefault(record.conversation_id, [])
        head = Head(len(kept), kept[-1].message_id if kept else 0)
        decision = sequence(head, record, self._position, self.placed.get(record.dedup_key))
        if decision.message is not None:
            self.placed[record.dedup_key] = decision.placed
            kept.append(decision.message)
            batch.append(decision.message)
            if record.erases:
                self._erase(kept, record.erases)
            self._hold_own(record, decision.placed.sequence_number)
        return decision.placed

    def _erase(self, kept: list[Message], number: int) -> None:
        m = kept[number - 1]
        kept[number - 1] = Message(
            m.conversation_id, number, m.message_id, m.sender_id, m.device_id, m.client_message_id, m.timestamp,
            CONTENT_DELETED, EMPTY_BODY,
        )  # fmt: skip

    def _hold_own(self, record: LogRecord, number: int) -> None:
        key = (record.conversation_id, record.sender_id, record.device_id)
        if record.device_id and self.received.get(key, 0) == number - 1:
            self._merge(CursorUpdate(*key, number))

    # --- cursors

    def advance(self, update: CursorUpdate, done: CursorDone) -> None:
        self._updates.append((update, done))

    def _merge(self, update: CursorUpdate) -> CursorChange:
        key = (update.conversation_id, update.user_id, update.device_id)
        self.received[key] = max(self.received.get(key, 0), update.received, update.read)
        marks = self.marks.setdefault(update.conversation_id, {})
        before = marks.get(update.user_id, Watermark())
        marks[update.user_id] = before.merge(update.received, update.read)
        return CursorChange(before, marks[update.user_id], self.received[key])

    async def device(self, device: DeviceRef, conversation_id: str) -> int:
        return self.received.get((conversation_id, *device), 0)

    async def member(self, conversation_id: str, user_id: str) -> Watermark:
        return self.marks.get(conversation_id, {}).get(user_id, Watermark())

    async def members(self, conversation_id: str) -> Mapping[str, Watermark]:
        return dict(self.marks.get(conversation_id, {}))

    async def start_device(self, device: DeviceRef) -> None:
        raise AssertionError("not used by these services")

    async def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        raise AssertionError("not used by these services")

    # --- the timeline

    async def head(self, conversation_id: str) -> ConversationHead:
        self.reads += 1
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("the disk is gone")
        kept = self.messages.get(conversation_id, [])
        return ConversationHead(conversation_id, len(kept), 1, kept[-1].timestamp if kept else 0)

    async def find(self, conversation_id: str, sequence_number: int) -> Message | None:
        kept = self.messages.get(conversation_id, [])
        return kept[sequence_number - 1] if 1 <= sequence_number <= len(kept) else None

    async def read_after(
        self, conversation_id: str, after: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        seen = self._seen(conversation_id, spans)
        found = [message for message in seen if message.sequence_number > after][:limit]
        last = len(self.messages.get(conversation_id, []))
        complete = not found or found[-1] is seen[-1]
        return Page(tuple(found), after + 1, last if complete else found[-1].sequence_number, complete)

    async def read_before(
        self, conversation_id: str, before: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        seen = self._seen(conversation_id, spans)
        end = before or len(self.messages.get(conversation_id, [])) + 1
        found = [message for message in seen if message.sequence_number < end][-limit:]
        complete = not found or found[0] is seen[0]
        return Page(tuple(found), 1 if complete else found[0].sequence_number, end - 1, complete)

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        return [
            Missed(key, received, len(kept))
            for key, kept in self.messages.items()
            if (received := self.received.get((key, *device), 0)) < len(kept)
        ]

    async def senders(self, conversation_id: str, after: int, through: int) -> frozenset[str]:
        self.reads += 1
        await asyncio.sleep(0)
        kept = self.messages.get(conversation_id, [])[after:through]
        return frozenset(message.sender_id for message in kept if message.content_type != CONTENT_SYSTEM)

    def _seen(self, conversation_id: str, spans: Sequence[Span]) -> list[Message]:
        kept = self.messages.get(conversation_id, [])
        return [message for message in kept if any(span.covers(message.sequence_number) for span in spans)]

    # --- groups

    async def find_group(self, conversation_id: str) -> Group | None:
        await asyncio.sleep(0)
        return self.groups.get(conversation_id)

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        group = self.groups.get(conversation_id)
        old = self.old_spans.get((conversation_id, user_id), ())
        if group is None or user_id not in group.members:
            return old
        return (*old, Span(group.members[user_id].joined))

    async def of_user(self, user_id: str) -> Sequence[str]:
        return [key for key, group in self.groups.items() if user_id in group.members]


class GroupsOf:
    """The `Groups` port over a `ConversationStore`, for ``find`` is the timeline's name there."""

    def __init__(self, store: ConversationStore) -> None:
        self.find = store.find_group
        self.spans = store.spans
        self.of_user = store.of_user


def refusal_code(answer: object) -> str:
    """Return the code of an error that was answered."""
    assert isinstance(answer, CooeeError), answer
    return str(answer.code)
