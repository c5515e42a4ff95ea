"""The message services wired together, for tests that look at the whole walk of a message."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, Self

import msgspec

from cooee.adapters.memory.accounts import MemoryAccounts
from cooee.adapters.memory.contacts import MemoryContacts
from cooee.adapters.memory.preferences import MemoryPreferences
from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.memory.store import MemoryStore
from cooee.domain import groups as rules
from cooee.domain.conversation import Group, Member, Role
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.domain.media_settings import MediaSettings
from cooee.domain.message import CONTENT_SYSTEM, LogRecord
from cooee.ports.accounts import Account, Privacy
from cooee.ports.devices import Device
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.protocol import frames
from cooee.protocol.codec import decode_server, encode_system_body
from cooee.services.budgets import Budgets
from cooee.services.conversation_list import ConversationList, ListSources
from cooee.services.conversations import ConversationViews, ViewSources
from cooee.services.device_lists import DeviceLists
from cooee.services.encrypted import EncryptedChecks, EncryptedParts
from cooee.services.group_receipts import GroupReceipts
from cooee.services.media import MediaStores
from cooee.services.media_checks import MediaChecks
from cooee.services.messages import Messages
from cooee.services.own_conversations import OwnConversations
from cooee.services.receipts import Receipts, ReceiptStores
from cooee.services.routes import Routes
from cooee.services.send_line import SendLine
from cooee.workers.fanout import Fanout
from cooee.workers.wakeups import Wakeups
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import ManualClock
from tests.fakes.conversation_store import ConversationStore, GroupsOf

SERVER = "gw-1"
_SETTLE_TURNS = 25


class OneDeviceEach:
    """`Devices` in which everybody has exactly the device ``d1``."""

    async def of_user(self, user_id: str) -> list[Device]:
        return [Device(user_id, "d1", "", "", b"h", 0, 0)]

    async def find(self, ref: DeviceRef) -> Device | None:
        return Device(ref.user_id, ref.device_id, "", "", b"h", 0, 0) if ref.device_id == "d1" else None


class MessageScene:
    """Services, store and one gateway whose routed items are kept. Use as an async context manager.

    Over a `ConversationStore`, which commits when `settle` says so, or over the memory adapters (``memory``).
    """

    def __init__(
        self, limits: Limits | None = None, *, capacity: int = 1000, memory: MemoryStore | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.clock = ManualClock()
        self.store = ConversationStore()
        self.memory = memory
        self.accounts = MemoryAccounts()
        self.contacts = MemoryContacts()
        self.sessions = MemorySessions()
        self.push_queue = MemoryPushQueue()
        self.routed: list[Routed] = []
        devices: Any = OneDeviceEach()
        self.devices = devices
        log: Any = memory.message_log if memory else self.store
        timeline: Any = memory.timeline if memory else self.store
        cursors: Any = memory.cursors if memory else self.store
        groups: Any = memory.groups if memory else GroupsOf(self.store)
        self.groups = groups
        large = self.limits.large_group_members
        sources = ViewSources(self.accounts, self.contacts, groups, timeline, cursors, large)
        self.views = ConversationViews(sources, capacity=capacity)
        self.router = MemoryRouter()
        self.routes = Routes(self.sessions, self.router)
        self.budgets = Budgets(self.limits, self.clock.monotonic)
        self.files = MemoryBlobs()
        self.media: Any = (memory or MemoryStore()).media
        checks = MediaChecks(MediaStores(self.media, self.files, self.clock), MediaSettings())
        self.device_keys: Any = (memory or MemoryStore()).device_keys
        self.device_lists = DeviceLists(self.device_keys, self.clock.monotonic)
        self.encrypted = EncryptedChecks(EncryptedParts(self.views, self.device_lists, checks))
        self.line = SendLine(checks, self.encrypted, self.limits.content_bytes)
        self.messages = Messages(log, self.views, timeline, self.clock, self.budgets, self.line)
        self.preferences = MemoryPreferences()
        self.group_receipts = GroupReceipts(timeline, self.views, self.routes, self.clock, self._call_later)
        entries = ListSources(self.accounts, groups, timeline, cursors, self.preferences)
        listed = ConversationList(entries, self.routes, self.limits, str)
        own = OwnConversations(self.preferences, self.sessions, listed, self.routes)  # notes; its worker does not run
        self.receipts = Receipts(
            ReceiptStores(cursors, timeline, own), self.views, self.routes, self.clock, self.group_receipts
        )
        self.wakeups = Wakeups(self.push_queue, self.devices, self.clock)
        self.fanout = Fanout(log, self.views, self.routes, self.wakeups, self.clock)
        self.timers: list[tuple[float, Any]] = []
        self._ids = count(1)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.router.subscribe(SERVER, self.routed.extend)
        loop = asyncio.get_running_loop()
        for work in (self.routes.run(), self.fanout.run(), self.wakeups.run()):
            self._tasks.append(loop.create_task(work))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def people(self, *user_ids: str, online: bool = True, read_receipts: bool = True) -> None:
        """Create accounts, each with a session of device ``d1``."""
        for user_id in user_ids:
            await self.accounts.create(Account(user_id, user_id, "", 0, privacy=Privacy(read_receipts=read_receipts)))
            if online:
                await self.sessions.register(SessionEntry(user_id, "d1", SERVER, f"c-{user_id}", "web", 0))

    async def group(self, conversation_id: str, *user_ids: str) -> None:
        """Found a group by its first member, without the group service."""
        if self.memory is not None:
            actor = rules.Actor(user_ids[0], self.clock.wall_ms(), f"g{next(self._ids)}")
            await self.memory.groups.change(
                conversation_id, lambda group: rules.create(group, actor, conversation_id, "G", user_ids[1:], 500)
            )
            await self.settle()
            return
        members = {user: Member(user, Role.MEMBER, 1) for user in user_ids}
        members[user_ids[0]] = Member(user_ids[0], Role.OWNER, 1)
        self.store.groups[conversation_id] = Group(conversation_id, "G", user_ids[0], members, 1, 0)
        await self.system(conversation_id, user_ids[0], "group_created", members=list(user_ids))

    async def system(self, conversation_id: str, actor_id: str, event: str, **fields: Any) -> None:
        """Append a system message, as the group service's store does."""
        body = encode_system_body(event, actor_id, **fields)
        message_id = f"sys-{next(self._ids)}"
        now = self.clock.wall_ms()
        record = LogRecord(conversation_id, actor_id, "", message_id, now, CONTENT_SYSTEM, body)
        self.store.append(record, lambda _placed: None)
        await self.settle()

    async def settle(self) -> None:
        """Let everything that can happen without time passing happen."""
        for _ in range(_SETTLE_TURNS):
            self.store.commit()
            await asyncio.sleep(0)

    async def second(self) -> None:
        """Let a second pass, and what was to happen then."""
        self.clock.advance(1)
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()
        await self.settle()

    def send_frame(self, conversation_id: str, text: str = "hi", **fields: Any) -> frames.Send:
        """Return a frame of text with a fresh clientMessageId."""
        fields = {"client_message_id": f"c{next(self._ids)}"} | fields
        return frames.Send(
            content_type="text",
            content=msgspec.Raw(msgspec.json.encode(text)),
            conversation_id=conversation_id,
            **fields,
        )

    async def send(self, user_id: str, conversation_id: str, text: str = "hi", **fields: Any) -> frames.ServerFrame:
        """Send a text from device ``d1``; return the answer once everything has settled."""
        answers: list[frames.ServerFrame] = []
        self.messages.send(DeviceRef(user_id, "d1"), self.send_frame(conversation_id, text, **fields), answers.append)
        await self.settle()
        assert len(answers) == 1
        return answers[0]

    async def received(
        self, user_id: str, conversation_id: str, number: int, device_id: str = "d1", ref: str | None = None
    ) -> list[frames.ServerFrame]:
        """Send ``received``; return the answers."""
        answers: list[frames.ServerFrame] = []
        frame = frames.Received(conversation_id, number, ref)
        self.receipts.received(DeviceRef(user_id, device_id), frame, answers.append)
        await self.settle()
        return answers

    async def read(
        self, user_id: str, conversation_id: str, number: int, device_id: str = "d1", ref: str | None = None
    ) -> list[frames.ServerFrame]:
        """Send ``read``; return the answers."""
        answers: list[frames.ServerFrame] = []
        frame = frames.Read(conversation_id, number, ref)
        self.receipts.read(DeviceRef(user_id, device_id), frame, answers.append)
        await self.settle()
        return answers

    def take_routed(self, kind: RouteKind | None = None) -> list[Routed]:
        """Return what was routed since the last call, of one kind or all."""
        taken = [item for item in self.routed if kind is None or item.kind is kind]
        self.routed.clear()
        return taken

    def take_receipts(self) -> list[tuple[tuple[str, ...], frames.Receipt]]:
        """Return the receipts that were routed since the last call, with their receivers in order."""
        found = []
        for item in self.take_routed(RouteKind.EVENT):
            frame = decode_server(item.frame)
            assert isinstance(frame, frames.Receipt)
            found.append((tuple(sorted(item.user_ids)), frame))
        return found

    def _call_later(self, delay_s: float, call: Any) -> None:
        self.timers.append((delay_s, call))


def numbers(items: Sequence[Routed]) -> list[int]:
    """Return the sequence numbers of routed items."""
    return [item.sequence_number for item in items]
