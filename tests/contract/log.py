"""How the suites append, advance and change groups."""

import asyncio
from collections.abc import Sequence
from typing import Any

from cooee.domain import groups as rules
from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError
from cooee.domain.groups import Actor
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.message import LogRecord, Placed
from cooee.ports.cursors import CursorChange, CursorUpdate
from cooee.ports.groups import GroupChanged
from cooee.ports.timeline import Page
from tests.contract.stores import Store

ALICE = DeviceRef("alice", "a1")
ALICE_TABLET = DeviceRef("alice", "a2")
BOB = DeviceRef("bob", "b1")
BOB_TABLET = DeviceRef("bob", "b2")
CAROL = DeviceRef("carol", "c1")
CHAT = direct_conversation_id("alice", "bob")
GROUP = "group:crew"
NOW_MS = 1_764_000_000_000
DAY_MS = 24 * 3600 * 1000
ALL = (Span(1),)


def record(client_message_id: str = "m1", **changes: Any) -> LogRecord:
    """Return a record of alice's in her chat with bob."""
    sender: DeviceRef = changes.pop("sender", ALICE)
    fields: dict[str, Any] = {
        "conversation_id": CHAT,
        "sender_id": sender.user_id,
        "device_id": sender.device_id,
        "client_message_id": client_message_id,
        "timestamp": NOW_MS,
        "content_type": "text",
        "body": b'{"content":"hello"}',
    }
    return LogRecord(**{**fields, **changes})


async def append_all(store: Store, records: Sequence[LogRecord]) -> list[Placed]:
    """Append in one go and return the places, in order."""
    results: asyncio.Queue[Placed | CooeeError | None] = asyncio.Queue()
    for one in records:
        store.message_log.append(one, results.put_nowait)
    places = []
    for _ in records:
        place = await results.get()
        assert isinstance(place, Placed), place
        places.append(place)
    assert results.empty()
    return places


async def append(store: Store, client_message_id: str = "m1", **changes: Any) -> Placed:
    """Append one record of alice's, or as the changes say."""
    return (await append_all(store, [record(client_message_id, **changes)]))[0]


async def fill(store: Store, count: int, **changes: Any) -> list[Placed]:
    """Append so many records with ids of their own."""
    begin = (await store.timeline.head(changes.get("conversation_id", CHAT))).last
    return await append_all(store, [record(f"fill{begin + number}", **changes) for number in range(count)])


async def advance(
    store: Store, device: DeviceRef, received: int, read: int = 0, conversation_id: str = CHAT
) -> CursorChange:
    """Advance a watermark and return the change."""
    future: asyncio.Future[CursorChange | CooeeError] = asyncio.get_running_loop().create_future()
    update = CursorUpdate(conversation_id, device.user_id, device.device_id, received, read)
    store.cursors.advance(update, future.set_result)
    change = await future
    assert isinstance(change, CursorChange), change
    return change


async def create_group(
    store: Store, *member_ids: str, conversation_id: str = GROUP, timestamp: int = NOW_MS
) -> GroupChanged:
    """Found a group of alice's."""
    actor = Actor("alice", timestamp, f"create-{conversation_id}")
    return await store.groups.change(
        conversation_id, lambda group: rules.create(group, actor, conversation_id, "Crew", member_ids, 500)
    )


async def add(store: Store, *user_ids: str, conversation_id: str = GROUP, change: str = "") -> GroupChanged:
    """Have alice add users."""
    actor = Actor("alice", NOW_MS, change or f"add-{'-'.join(user_ids)[:40]}")
    return await store.groups.change(conversation_id, lambda group: rules.add_members(group, actor, user_ids, 500))


async def remove(store: Store, user_id: str, conversation_id: str = GROUP, change: str = "") -> GroupChanged:
    """Have alice remove a user."""
    actor = Actor("alice", NOW_MS, change or f"remove-{user_id}")
    return await store.groups.change(conversation_id, lambda group: rules.remove_member(group, actor, user_id))


def numbers(page: Page) -> list[int]:
    """Return the page's sequence numbers."""
    return [message.sequence_number for message in page.messages]
