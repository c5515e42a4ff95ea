"""Catching up: what a device has missed, pages of history, and its user's changed own state (PROTOCOL.md §5, §6)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.ports.clock import Clock
from cooee.ports.cursors import Cursors
from cooee.ports.preferences import OwnChange, Preferences
from cooee.ports.timeline import Missed, Page, Timeline
from cooee.protocol import frames
from cooee.protocol.codec import encode, message_frame_for
from cooee.services.conversations import ConversationViews
from cooee.services.steady_time import SteadyTime
from cooee.services.sync_tokens import SyncTokens

MAX_CHANGES = 1000
"""Beyond so many changed conversations a device is told to read its list anew."""

EVERYTHING = "everything"
"""``changed`` of the ``account`` frame that says so: the sync token was too old, or of another store."""

_AT_ONCE = 32
_DAY_MS = 86_400_000
_ACCESS_ENDED = frozenset({ErrorCode.NOT_FOUND, ErrorCode.NOT_A_MEMBER})


class Snapshots(Protocol):
    """Where a conversation's entry for its user's list comes from."""

    async def one(self, device: DeviceRef, conversation_id: str) -> msgspec.Struct:
        """Return the entry; CooeeError ``not_found`` or ``not_a_member`` when it is none of the user's."""
        ...


class SyncStores(NamedTuple):
    """What `Sync` reads."""

    timeline: Timeline
    cursors: Cursors
    preferences: Preferences
    clock: Clock


class OwnEntries(NamedTuple):
    """Where the bodies of ``conversation`` and ``account`` frames come from."""

    conversations: Snapshots
    account: Callable[[str], Awaitable[msgspec.Struct]]


class Sync:
    """Reads for one device. ``message_days``: older messages go only to devices that do not have them (§6)."""

    def __init__(
        self,
        stores: SyncStores,
        views: ConversationViews,
        limits: Limits,
        own: OwnEntries,
        tokens: SyncTokens,
        message_days: int = 30,
    ) -> None:
        self._timeline, self._cursors, self._preferences, clock = stores
        self._steady = SteadyTime(clock)
        self._views = views
        self._limits = limits
        self._snapshots, self._account = own
        self._retention_ms = message_days * _DAY_MS
        self._tokens = tokens

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        """Return the conversations in which the device lacks something, oldest activity first."""
        return await self._timeline.missed(device)

    async def position(self, device: DeviceRef, conversation_id: str) -> int:
        """Return the device's received watermark."""
        return await self._cursors.device(device, conversation_id)

    async def read_after(self, device: DeviceRef, conversation_id: str, after: int, limit: int) -> Page:
        """Return the oldest messages above ``after`` that the user may see.

        Raises:
            CooeeError: ``not_a_member``.
        """
        spans = await self._views.spans(conversation_id, device.user_id)
        return await self._timeline.read_after(conversation_id, after, limit, spans, device)

    async def page_frames(self, device: DeviceRef, page: Page) -> list[bytes]:
        """Return the page's ``message`` frames, each with this device's own envelope."""
        return [message_frame_for(device, message) for message in page.messages]

    async def history(self, device: DeviceRef, frame: frames.Fetch) -> frames.Messages:
        """Return a page of history: at most ``limits.max_page`` messages, fewer when they are large.

        Raises:
            CooeeError: ``bad_frame`` or ``not_a_member``.
        """
        if frame.after is not None and frame.before is not None:
            raise bad_frame("give after or before, not both")
        if frame.limit < 1 or frame.before == 0:
            raise bad_frame("limit and before must be at least 1")
        conversation_id = frame.conversation_id
        limit = min(frame.limit, self._limits.max_page)
        spans = await self._views.spans(conversation_id, device.user_id)
        forward = frame.after is not None
        if forward:
            page = await self._timeline.read_after(conversation_id, frame.after or 0, limit, spans, device)
        else:
            page = await self._timeline.read_before(conversation_id, frame.before or 0, limit, spans, device)
        page = await self._without_expired(device, conversation_id, page)
        encoded = await self.page_frames(device, page)
        page, encoded = _cut(page, encoded, self._limits.outbox_bytes // 2, forward=forward)
        return frames.Messages(
            conversation_id,
            tuple(msgspec.Raw(one) for one in encoded),
            page.covered_from,
            page.covered_through,
            page.complete,
            frame.ref,
        )

    async def _without_expired(self, device: DeviceRef, conversation_id: str, page: Page) -> Page:
        """Leave out what is older than the retention and on this device already; the broom may not have come yet."""
        oldest = self._steady.now_ms() - self._retention_ms
        if not page.messages or all(message.timestamp >= oldest for message in page.messages):
            return page
        received = await self._cursors.device(device, conversation_id)
        kept = tuple(one for one in page.messages if one.timestamp >= oldest or one.sequence_number > received)
        return msgspec.structs.replace(page, messages=kept)

    async def own_changes(self, device: DeviceRef, sync_token: str | None) -> tuple[list[bytes], str]:
        """Return the frames of own state that changed since ``sync_token``, and the token that stands for now.

        Without a token there are no frames: a new device reads its snapshot. A token that is too old, or of another
        store, yields one ``account`` frame with ``changed`` "everything".
        """
        user_id = device.user_id
        if sync_token is None:
            return [], self._tokens.at(await self._preferences.position(user_id))
        position = self._tokens.position(sync_token)
        changes = None
        if position is not None:
            changes = await self._preferences.changes_after(user_id, position, MAX_CHANGES + 1)
        if changes is None or len(changes) > MAX_CHANGES:
            token = self._tokens.at(await self._preferences.position(user_id))
            return [encode(frames.AccountChanged(EVERYTHING, sync_token=token))], token
        found: list[bytes] = []
        for start in range(0, len(changes), _AT_ONCE):
            part = changes[start : start + _AT_ONCE]
            frames_of_part = await asyncio.gather(*(self._changed(device, change) for change in part))
            found += [encode(frame) for frame in frames_of_part if frame is not None]
        return found, self._tokens.at(changes[-1].position) if changes else sync_token

    async def _changed(
        self, device: DeviceRef, change: OwnChange
    ) -> frames.ConversationChanged | frames.AccountChanged | None:
        conversation_id, token = change.conversation_id, self._tokens.at(change.position)
        if not conversation_id:
            account = await self._account(device.user_id)
            return frames.AccountChanged("account", msgspec.Raw(encode(account)), token)
        try:
            entry = await self._snapshots.one(device, conversation_id)
        except CooeeError as refusal:
            if refusal.code in _ACCESS_ENDED:
                return None
            raise
        return frames.ConversationChanged(msgspec.Raw(encode(entry)), token)


def _cut(page: Page, encoded: list[bytes], budget: int, *, forward: bool) -> tuple[Page, list[bytes]]:
    """Shorten a page of large messages to about ``budget`` bytes, at its far end; at least one message stays."""
    if sum(map(len, encoded)) <= budget:
        return page, encoded
    kept = size = 0
    for one in encoded if forward else reversed(encoded):
        size += len(one)
        if kept and size > budget:
            break
        kept += 1
    if kept == len(encoded):
        return page, encoded
    if forward:
        through = page.messages[kept].sequence_number - 1
        return Page(page.messages[:kept], page.covered_from, through, complete=False), encoded[:kept]
    first = page.messages[-kept - 1].sequence_number + 1
    return Page(page.messages[-kept:], first, page.covered_through, complete=False), encoded[-kept:]
