"""The list of a user's conversations, derived from the timeline and the watermarks (PROTOCOL.md §7)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from cooee.domain.conversation import Group, Span
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_a_member
from cooee.domain.fanout import is_large
from cooee.domain.ids import DeviceRef, check_conversation_id, direct_members, is_direct
from cooee.domain.limits import Limits
from cooee.domain.receipt import Watermark, covers_all
from cooee.ports.accounts import Accounts
from cooee.ports.cursors import Cursors
from cooee.ports.groups import Groups
from cooee.ports.preferences import ConversationFlags, Preferences
from cooee.ports.timeline import Timeline
from cooee.protocol import codec, frames, http
from cooee.protocol.frames import ConversationWatermarks, MemberWatermark
from cooee.services.routes import Routes

UNREAD_CAP = 999
_NOTHING = Watermark()
_UNSET_FLAGS = ConversationFlags()


class ListSources(NamedTuple):
    """Where the list is put together from."""

    accounts: Accounts
    groups: Groups
    timeline: Timeline
    cursors: Cursors
    preferences: Preferences


class _Scene(NamedTuple):
    """Who takes part in a conversation, as one user may see it."""

    title: str
    group: Group | None
    member_ids: tuple[str, ...]
    spans: Sequence[Span]

    @property
    def floor(self) -> int:
        return self.spans[-1].joined

    @property
    def ceiling(self) -> int | None:
        return self.spans[-1].left


class ConversationList:
    """Snapshots of conversations, and the flags a user sets on them."""

    def __init__(self, sources: ListSources, routes: Routes, limits: Limits, sync_token: Callable[[int], str]) -> None:
        self._sources = sources
        self._routes = routes
        self._limits = limits
        self._sync_token = sync_token

    async def page(self, device: DeviceRef, cursor: str | None, limit: int) -> http.Page[http.Conversation]:
        """Return the user's conversations by last activity, newest first.

        Raises:
            CooeeError: ``bad_frame`` for a cursor that this server did not give.
        """
        before = _parse_cursor(cursor) if cursor else None
        entries = await self._sources.timeline.inbox(device.user_id, before, limit)
        ids = [entry.conversation_id for entry in entries]
        flags = await self._sources.preferences.flags(device.user_id, ids)
        items = await asyncio.gather(*(self._snapshot(device, each, flags) for each in ids))
        more = len(entries) == limit
        after = f"{entries[-1].last_timestamp}~{entries[-1].conversation_id}" if more else None
        return http.Page(tuple(item for item in items if item is not None), after)

    async def one(self, device: DeviceRef, conversation_id: str) -> http.Conversation:
        """Return one conversation that the user is or was in.

        Raises:
            CooeeError: ``bad_frame`` or ``not_a_member``.
        """
        check_conversation_id(conversation_id)
        flags = await self._sources.preferences.flags(device.user_id, [conversation_id])
        found = await self._snapshot(device, conversation_id, flags)
        if found is None:
            raise not_a_member()
        return found

    async def set_flags(
        self, device: DeviceRef, conversation_id: str, patch: http.PatchConversation
    ) -> http.Conversation:
        """Mute, pin or archive; the user's other devices are told. Returns the new snapshot.

        Raises:
            CooeeError: ``bad_frame`` or ``not_a_member``.
        """
        current = await self.one(device, conversation_id)
        wanted = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
        before = ConversationFlags(current.muted_until, current.pinned, current.archived)
        after = msgspec.structs.replace(before, **wanted)
        if after == before:
            return current
        position = await self._sources.preferences.set_flags(device.user_id, conversation_id, after)
        changed = msgspec.structs.replace(
            current, muted_until=after.muted_until, pinned=after.pinned, archived=after.archived
        )
        self._routes.to_user(device.user_id, self.changed_frame(changed, position), except_device=device)
        return changed

    def changed_frame(self, conversation: http.Conversation, position: int) -> bytes:
        """Return the ``conversation`` frame that tells a device of its user's changed state."""
        snapshot = msgspec.Raw(codec.encode(conversation))
        return codec.encode(frames.ConversationChanged(snapshot, self._sync_token(position)))

    async def watermarks(self, device: DeviceRef, conversation_ids: Sequence[str]) -> frames.Watermarks:
        """Return the current watermarks of open chats; those the user is not in are left out.

        Raises:
            CooeeError: ``too_large`` for too many at once, ``bad_frame`` for a malformed id.
        """
        wanted = tuple(dict.fromkeys(conversation_ids))
        if len(wanted) > self._limits.watermarks_query:
            raise CooeeError(
                ErrorCode.TOO_LARGE, f"ask for the watermarks of at most {self._limits.watermarks_query} conversations"
            )
        found = await asyncio.gather(*(self._watermarks(device, each) for each in wanted))
        return frames.Watermarks(tuple(item for item in found if item is not None))

    async def _watermarks(self, device: DeviceRef, conversation_id: str) -> ConversationWatermarks | None:
        scene = await self._scene(device.user_id, conversation_id)
        if scene is None or scene.ceiling is not None:
            return None
        marks = await self._sources.cursors.members(conversation_id)
        head = await self._sources.timeline.head(conversation_id)
        received = await self._sources.cursors.device(device, conversation_id)
        members, all_of_them = await self._told(device.user_id, scene, marks)
        return ConversationWatermarks(
            conversation_id,
            head.last,
            received,
            marks.get(device.user_id, _NOTHING).read,
            members,
            all_of_them.delivered if all_of_them else None,
            all_of_them.read if all_of_them else None,
        )

    async def _snapshot(
        self, device: DeviceRef, conversation_id: str, flags: Mapping[str, ConversationFlags]
    ) -> http.Conversation | None:
        scene = await self._scene(device.user_id, conversation_id)
        if scene is None:
            return None
        sources = self._sources
        head, received, marks, newest = await asyncio.gather(
            sources.timeline.head(conversation_id),
            sources.cursors.device(device, conversation_id),
            sources.cursors.members(conversation_id),
            sources.timeline.read_before(conversation_id, 0, 1, scene.spans, device),
        )
        last = head.last if scene.ceiling is None else min(head.last, scene.ceiling)
        own = marks.get(device.user_id, _NOTHING)
        read = max(own.read, scene.floor - 1)
        unread = await sources.timeline.unread(conversation_id, device.user_id, read, last, UNREAD_CAP)
        message = newest.messages[-1] if newest.messages else None
        members, all_of_them = await self._told(device.user_id, scene, marks)
        own_flags = flags.get(conversation_id, _UNSET_FLAGS)
        role = scene.group.members[device.user_id].role if scene.group and device.user_id in scene.member_ids else None
        return http.Conversation(
            conversation_id,
            "direct" if scene.group is None else "group",
            scene.title,
            last_sequence_number=last,
            first_sequence_number=max(head.first, scene.spans[0].joined),
            received_sequence_number=received,
            read_sequence_number=own.read,
            unread=unread,
            last_activity=message.timestamp if message else head.last_timestamp,
            muted_until=own_flags.muted_until,
            pinned=own_flags.pinned,
            archived=own_flags.archived,
            member_count=len(scene.member_ids),
            role=role,
            left=scene.ceiling is not None,
            members=members,
            delivered_by_all=all_of_them.delivered if all_of_them else None,
            read_by_all=all_of_them.read if all_of_them else None,
            last_message=msgspec.Raw(codec.message_frame_for(device, message) if message else b"null"),
        )

    async def _told(
        self, user_id: str, scene: _Scene, marks: Mapping[str, Watermark]
    ) -> tuple[tuple[MemberWatermark, ...], Watermark | None]:
        """Return the members' watermarks, or for a large group the minimum over the others.

        What was before a member joined needs nothing from him. ``read`` is hidden where read receipts are off, on
        either side; a member who hides his reading counts as one who has not read.
        """
        if scene.ceiling is not None:
            return (), None
        hidden = await self._hidden_readers(scene.member_ids)
        told = []
        for member in scene.member_ids:
            mark = marks.get(member, _NOTHING)
            hides = member != user_id and not hidden.isdisjoint((member, user_id))
            told.append(MemberWatermark(member, mark.delivered, 0 if hides else mark.read))
        if scene.group is None or not is_large(len(scene.member_ids), self._limits.large_group_members):
            return tuple(told), None
        members = scene.group.members
        floors = {
            mark.user_id: Watermark().merge(
                max(mark.delivered, members[mark.user_id].joined - 1), max(mark.read, members[mark.user_id].joined - 1)
            )
            for mark in told
            if mark.user_id != user_id
        }
        return (), covers_all(floors, floors)

    async def _hidden_readers(self, user_ids: Sequence[str]) -> frozenset[str]:
        accounts = await self._sources.accounts.find_many(user_ids)
        return frozenset(user for user, account in accounts.items() if not account.privacy.read_receipts)

    async def _scene(self, user_id: str, conversation_id: str) -> _Scene | None:
        if is_direct(conversation_id):
            return await self._direct_scene(user_id, conversation_id)
        spans = await self._sources.groups.spans(conversation_id, user_id)
        group = await self._sources.groups.find(conversation_id)
        if not spans or group is None:
            return None
        return _Scene(group.name, group, tuple(group.members), spans)

    async def _direct_scene(self, user_id: str, conversation_id: str) -> _Scene | None:
        one, other = direct_members(conversation_id)
        if user_id not in (one, other):
            return None
        peer = other if user_id == one else one
        account = (await self._sources.accounts.find_many([peer])).get(peer)
        if account is None:
            return None
        title = peer if account.deleted else account.display_name or peer
        return _Scene(title, None, tuple(dict.fromkeys((one, other))), (Span(1),))


def _parse_cursor(cursor: str) -> tuple[int, str]:
    timestamp, _, conversation_id = cursor.partition("~")
    if not timestamp.isdecimal() or len(timestamp) > 16:
        raise bad_frame("the cursor is not one that this server gave")
    check_conversation_id(conversation_id)
    return int(timestamp), conversation_id
