"""A user's own data as one JSON document, made piece by piece (PROTOCOL.md §11, ``GET /v1/me/export``)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from cooee.domain.ids import DeviceRef
from cooee.ports.clock import Clock
from cooee.ports.contacts import Contacts
from cooee.ports.devices import Devices
from cooee.ports.groups import Groups
from cooee.ports.timeline import InboxEntry, Timeline
from cooee.protocol import http
from cooee.protocol.codec import encode
from cooee.services.devices import as_device
from cooee.services.sync import Sync

_PAGE = 200
_RELATIONS = 500


class ExportStores(NamedTuple):
    """What an export reads."""

    devices: Devices
    contacts: Contacts
    groups: Groups
    timeline: Timeline


class ExportService:
    """Streams what the server holds of a user: profile, devices, contacts, blocks, groups, and what he may read.

    Memory is bounded by a page of messages. Encrypted messages come as they are stored, with this device's envelope.
    """

    def __init__(self, stores: ExportStores, sync: Sync, me: Callable[[str], Awaitable[http.Me]], clock: Clock) -> None:
        self._stores = stores
        self._sync = sync
        self._me = me
        self._clock = clock

    async def stream(self, device: DeviceRef) -> AsyncIterator[bytes]:
        """Yield the document in pieces.

        Raises:
            CooeeError: ``not_found`` before the first piece, when the account has ended.
        """
        me = await self._me(device.user_id)
        yield b'{"exportedAt":%d,"account":%b' % (self._clock.wall_ms(), encode(me))
        yield b',"devices":' + encode(
            [as_device(one, device) for one in await self._stores.devices.of_user(me.user_id)]
        )
        yield b',"contacts":' + encode(await _all(self._stores.contacts.contacts, me.user_id))
        yield b',"blocks":' + encode(await _all(self._stores.contacts.blocks, me.user_id))
        yield b',"groups":' + encode(await self._groups(me.user_id))
        yield b',"conversations":['
        first = True
        async for conversation_id in self._conversations(me.user_id):
            yield (b"" if first else b",") + b'{"conversationId":%b,"messages":[' % encode(conversation_id)
            async for piece in self._messages(device, conversation_id):
                yield piece
            yield b"]}"
            first = False
        yield b"]}"

    async def _groups(self, user_id: str) -> list[dict[str, Any]]:
        found = []
        for conversation_id in await self._stores.groups.of_user(user_id):
            group = await self._stores.groups.find(conversation_id)
            if group is not None and user_id in group.members:
                role = group.members[user_id].role.value
                found.append({"conversationId": conversation_id, "name": group.name, "role": role})
        return found

    async def _conversations(self, user_id: str) -> AsyncIterator[str]:
        before: tuple[int, str] | None = None
        while entries := await self._stores.timeline.inbox(user_id, before, _PAGE):
            for entry in entries:
                yield entry.conversation_id
            before = _end(entries)

    async def _messages(self, device: DeviceRef, conversation_id: str) -> AsyncIterator[bytes]:
        after, separator = 0, b""
        while True:
            page = await self._sync.read_after(device, conversation_id, after, _PAGE)
            frames = await self._sync.page_frames(device, page)
            if frames:
                yield separator + b",".join(frames)
                separator = b","
            if page.complete or page.covered_through <= after:
                return
            after = page.covered_through


def _end(entries: Sequence[InboxEntry]) -> tuple[int, str]:
    return entries[-1].last_timestamp, entries[-1].conversation_id


async def _all(read: Callable[[str, str, int], Awaitable[Sequence[str]]], user_id: str) -> list[str]:
    found: list[str] = []
    while page := await read(user_id, found[-1] if found else "", _RELATIONS):
        found.extend(page)
    return found
