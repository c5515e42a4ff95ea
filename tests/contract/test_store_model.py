"""The same random operations on memory and on SQLite give the same answers, across restarts of the latter."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite import ledger_state, timeline
from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain import groups as group_rules
from cooee.domain.conversation import Group, Role, Span
from cooee.domain.errors import CooeeError
from cooee.domain.groups import Actor, Change
from cooee.domain.ids import DeviceRef
from cooee.domain.message import Envelope, LogRecord, Message
from cooee.ports.cursors import CursorUpdate
from tests.contract.stores import Store

T = TypeVar("T")

USERS = ("ann", "bob", "cat", "dan")
DEVICES = tuple(DeviceRef(user, name) for user in USERS for name in ("d1", "d2"))
DIRECT = ("dm:ann:bob", "dm:ann:cat", "dm:bob:bob", "dm:bob:cat", "dm:cat:dan")
GROUPS = ("group:one", "group:two", "group:three")
DAY_MS = 24 * 3600 * 1000
START_MS = 1_764_000_000_000
SETTINGS = StoreSettings(
    database=DatabaseSettings(commit_delay_s=0, readers=1, synchronous="OFF"), large_group_members=3, cache_entries=4
)

users = st.sampled_from(USERS)
devices = st.sampled_from(DEVICES)
conversations = st.sampled_from(DIRECT + GROUPS)
numbers = st.integers(0, 12)
client_message_ids = st.sampled_from([f"m{number}" for number in range(12)])
steps_ms = st.sampled_from([0, 1, 1000, -5000, DAY_MS, 10 * DAY_MS, 30 * DAY_MS, 31 * DAY_MS])
spans = st.sampled_from(
    [(), (Span(1),), (Span(3),), (Span(2, 4),), (Span(1, 2), Span(5)), (Span(2, 3), Span(5, 7), Span(9)), (Span(20),)]
)


@st.composite
def records(draw: st.DrawFn) -> LogRecord:
    """Draw a record; its time is filled in later."""
    sender = draw(devices)
    envelopes = draw(st.lists(devices, max_size=2, unique=True)) if draw(st.booleans()) else []
    return LogRecord(
        draw(conversations),
        sender.user_id,
        sender.device_id,
        draw(client_message_ids),
        0,
        draw(st.sampled_from(["text", "text", "image", "system"])),
        b'{"content":"x"}',
        draw(st.booleans()),
        draw(st.sampled_from([0, 0, 0, 1, 2, 5])),
        draw(st.sampled_from(["", "ann: x"])),
        tuple(Envelope(user, device, f"for {user}/{device}") for user, device in envelopes),
    )


updates = st.builds(
    lambda conversation, device, received, read: CursorUpdate(
        conversation, device.user_id, device.device_id, received, read
    ),
    conversations,
    devices,
    numbers,
    numbers | st.just(0),
)


class Pair(RuleBasedStateMachine):
    """Two stores that must not differ."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ledger_state, "SLOT_BITS", 2)
        self.patch.setattr(timeline, "SETTLE_ABOVE", 0)
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="cooee-model-"))
        self.now_ms = START_MS
        self.ended: set[DeviceRef] = set()
        self.changes = 0
        self.told: dict[str, list[Message]] = {"memory": [], "sqlite": []}
        self.memory = MemoryStore()
        self.run(self.begin())

    async def begin(self) -> None:
        self.sqlite: SqliteStore = await open_store(self.folder, SETTINGS)
        self.followers = [
            asyncio.create_task(self.follow("memory", self.memory)),
            asyncio.create_task(self.follow("sqlite", self.sqlite)),
        ]
        await _turns()

    async def follow(self, name: str, store: Store) -> None:
        async for messages in store.message_log.follow():
            self.told[name] += messages

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def both(self, ask: Callable[[Store], Awaitable[Any]]) -> Any:
        """Ask both stores; they answer or refuse alike."""

        async def one(store: Store) -> Any:
            try:
                return await ask(store)
            except CooeeError as refusal:
                return ("refused", refusal.code)

        async def compare() -> Any:
            expected, found = await one(self.memory), await one(self.sqlite)
            assert found == expected, (found, expected)
            return expected

        return self.run(compare())

    def teardown(self) -> None:
        self.run(self.end())
        self.runner.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    async def end(self) -> None:
        await self.sqlite.aclose()
        await _turns()
        for follower in self.followers:
            follower.cancel()
        await asyncio.gather(*self.followers, return_exceptions=True)

    # Changes

    @rule(batch=st.lists(records() | updates, min_size=1, max_size=12), step=steps_ms)
    def submit(self, batch: list[LogRecord | CursorUpdate], step: int) -> None:
        """Append and advance, all in one go: the results come in order."""
        operations: list[LogRecord | CursorUpdate] = []
        for operation in batch:
            if isinstance(operation, CursorUpdate):
                if self.run(self.memory.groups.spans(operation.conversation_id, operation.user_id)):
                    operations.append(operation)
                continue
            group = self.run(self.memory.groups.find(operation.conversation_id))
            if group is not None or operation.conversation_id in DIRECT:
                self.now_ms = max(self.now_ms + step, START_MS)
                operations.append(_at(operation, self.now_ms))

        async def submit(store: Store) -> list[Any]:
            results: asyncio.Queue[Any] = asyncio.Queue()
            for operation in operations:
                if isinstance(operation, CursorUpdate):
                    store.cursors.advance(operation, results.put_nowait)
                else:
                    store.message_log.append(operation, results.put_nowait)
            return [await results.get() for _ in operations]

        self.both(submit)

    @rule(
        group_id=st.sampled_from(GROUPS),
        actor=users,
        subjects=st.lists(users, max_size=3),
        kind=st.sampled_from(
            ["create", "create", "add", "add", "remove", "join", "role", "rename", "depart", "delete"]
        ),
        role=st.sampled_from(list(Role)),
    )
    def change_group(self, group_id: str, actor: str, subjects: list[str], kind: str, role: Role) -> None:
        self.changes += 1
        who = Actor(actor, self.now_ms, f"change{self.changes}")
        subject = subjects[0] if subjects else actor
        decide: dict[str, Callable[[Group | None], Change | None]] = {
            "create": lambda group: group_rules.create(group, who, group_id, "name", subjects, 500),
            "add": lambda group: group_rules.add_members(group, who, subjects, 500),
            "remove": lambda group: group_rules.remove_member(group, who, subject),
            "join": lambda group: group_rules.join(group, who, 500),
            "role": lambda group: group_rules.set_role(group, who, subject, role),
            "rename": lambda group: group_rules.rename(group, who, f"name {self.changes}"),
            "depart": lambda group: group_rules.depart(group, who),
            "delete": lambda group: group_rules.delete(group, who),
        }
        self.both(lambda store: store.groups.change(group_id, decide[kind]))

    @rule(device=devices)
    def start_device(self, device: DeviceRef) -> None:
        """A device begins once: after its end its id is never used again (`ports.devices`)."""
        if device not in self.ended:
            self.both(lambda store: store.cursors.start_device(device))

    @rule(gone=st.lists(devices, min_size=1, max_size=2, unique=True))
    def forget_devices(self, gone: list[DeviceRef]) -> None:
        self.ended.update(gone)
        self.both(lambda store: store.cursors.forget_devices(gone))

    @rule(step=steps_ms)
    def sweep(self, step: int) -> None:
        self.now_ms = max(self.now_ms + step, START_MS)
        self.both(lambda store: store.retention.sweep(self.now_ms, 1000))

    @rule()
    def reopen(self) -> None:
        """Nothing is forgotten by a restart."""
        self.run(self.end())
        self.run(self.begin())

    # Questions

    @rule(conversation=conversations, position=numbers, limit=st.integers(1, 6), seen=spans, device=devices)
    def read_page(
        self, conversation: str, position: int, limit: int, seen: tuple[Span, ...], device: DeviceRef
    ) -> None:
        self.both(lambda store: store.timeline.read_after(conversation, position, limit, seen, device))
        self.both(lambda store: store.timeline.read_before(conversation, position, limit, seen, device))
        self.both(lambda store: store.timeline.find(conversation, position))

    @rule(conversation=conversations, user=users, low=numbers, high=numbers, cap=st.integers(1, 4))
    def count(self, conversation: str, user: str, low: int, high: int, cap: int) -> None:
        self.both(lambda store: store.timeline.unread(conversation, user, low, high, cap))
        self.both(lambda store: store.timeline.senders(conversation, low, high))

    @rule(user=users, limit=st.integers(1, 4))
    def inbox(self, user: str, limit: int) -> None:
        """Paging through the list gives every conversation once."""
        before = None
        while page := self.both(lambda store, before=before: store.timeline.inbox(user, before, limit)):  # type: ignore[misc]
            before = (page[-1].last_timestamp, page[-1].conversation_id)

    @rule(device=devices)
    def missed(self, device: DeviceRef) -> None:
        self.both(lambda store: store.timeline.missed(device))

    @invariant()
    def the_same_everywhere(self) -> None:
        for conversation in DIRECT + GROUPS:
            self.both(lambda store, one=conversation: store.timeline.head(one))  # type: ignore[misc]
            self.both(lambda store, one=conversation: store.cursors.members(one))  # type: ignore[misc]

    @rule(conversation=conversations, device=devices)
    def look(self, conversation: str, device: DeviceRef) -> None:
        user = device.user_id
        self.both(lambda store: store.cursors.device(device, conversation))
        self.both(lambda store: store.cursors.member(conversation, user))
        self.both(lambda store: store.groups.find(conversation))
        self.both(lambda store: store.groups.spans(conversation, user))
        self.both(lambda store: store.groups.of_user(user))

    @invariant()
    def told_alike(self) -> None:
        self.run(_turns())
        assert self.told["sqlite"] == self.told["memory"], {name: len(told) for name, told in self.told.items()}


async def _turns() -> None:
    """Let the followers' tasks take what was told."""
    for _ in range(5):
        await asyncio.sleep(0)


def _at(record: LogRecord, now_ms: int) -> LogRecord:
    return LogRecord(
        record.conversation_id,
        record.sender_id,
        record.device_id,
        record.client_message_id,
        now_ms,
        record.content_type,
        record.body,
        record.silent,
        record.erases,
        record.preview,
        record.envelopes,
    )


Pair.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreModel = pytest.mark.timeout(600)(Pair.TestCase)  # a failure is made small before it is shown
