"""What a user's devices lack now, as a notification needs to know it: read anew each time, never remembered."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from cooee.domain.conversation import Span
from cooee.domain.digest import MAX_COUNT, NotificationSettings, Pending, collapse_key, is_muted
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.domain.message import CONTENT_ENCRYPTED, CONTENT_TEXT, Message
from cooee.ports.accounts import Account, Accounts
from cooee.ports.clock import Clock
from cooee.ports.cursors import Cursors
from cooee.ports.devices import Devices
from cooee.ports.groups import Groups
from cooee.ports.preferences import Preferences
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_targets import PushTarget, PushTargets, Shown
from cooee.ports.sessions import Sessions
from cooee.ports.timeline import Timeline
from cooee.protocol.codec import Body

NEWEST = 8
"""Messages that are looked through for the newest one that counts."""
NEWEST_OF_MUTED = 50
"""Messages that are looked through for a mention."""
BADGE_CONVERSATIONS = 100
"""Conversations, by last activity, whose unread messages the badge counts."""
_NAMES = 10_000
_NAMES_S = 60.0
_DIRECT = (Span(1),)
_decode_body = msgspec.json.Decoder(Body).decode


class PushSources(NamedTuple):
    """Where facts are read."""

    accounts: Accounts
    devices: Devices
    groups: Groups
    timeline: Timeline
    cursors: Cursors
    preferences: Preferences
    sessions: Sessions
    targets: PushTargets
    clock: Clock


class DeviceLack(NamedTuple):
    """What one device lacks of what it is to be woken for; nothing: it has all, or all was read.

    ``shown`` is what it was given and shows still. ``live``: it has come back, and its session may bring what it lacks.
    """

    target: PushTarget
    pending: tuple[Pending, ...]
    shown: tuple[Shown, ...] = ()
    live: bool = False


class UserLack(NamedTuple):
    """All that a look at a user gave. ``badge``: his unread messages, muted conversations excepted."""

    settings: NotificationSettings
    devices: tuple[DeviceLack, ...]
    badge: int


class _Scene(NamedTuple):
    """One conversation as the user may see it: (``read``, ``last``] is unread. ``name``: the group's."""

    conversation_id: str
    name: str
    spans: Sequence[Span]
    read: int
    last: int
    muted: bool


class PushFacts:
    """Reads, and decides nothing: what follows from the facts is `domain.digest`'s."""

    def __init__(self, sources: PushSources, give_up_s: float) -> None:
        self._sources = sources
        self._give_up_ms = round(give_up_s * 1000)
        self._names: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def lack(self, user_id: str, entries: Sequence[PushEntry]) -> UserLack | None:
        """Return what the user's devices lack of these entries' conversations; None when nobody can be told.

        An entry that names its device means it though it has a live session: it acknowledged nothing.
        """
        sources = self._sources
        account = await sources.accounts.find(user_id)
        if account is None or account.deleted or account.disabled:
            return None
        targets = await self.targets(user_id)
        if not targets:
            return None
        live = {one.device_id for one in (await sources.sessions.of_users((user_id,))).get(user_id, ())}
        shown = await sources.targets.shown(user_id)
        together = collapse_key(user_id)
        gathered = {one.conversation_id for one in shown if one.collapse_key == together}
        scenes = await self._scenes(user_id, {entry.conversation_id for entry in entries} | gathered)
        lacks = []
        for target in targets:
            named = any(entry.device_id == target.device_id for entry in entries)
            own = tuple(one for one in shown if one.device_id == target.device_id)
            wanted = {entry.conversation_id for entry in entries if entry.device_id in ("", target.device_id)}
            pending = await self._pendings(target, wanted, scenes)
            if pending:  # a digest that it shows goes on with what is new
                more = {one.conversation_id for one in own if one.collapse_key == together} - wanted
                pending += await self._pendings(target, more, scenes)
            lacks.append(DeviceLack(target, pending, own, target.device_id in live and not named))
        badge = await self.badge(user_id) if any(one.pending for one in lacks) else 0
        return UserLack(account.privacy.notifications, tuple(lacks), badge)

    async def badge(self, user_id: str) -> int:
        """Return how many messages the user has not read, muted conversations excepted; 999 at most."""
        sources = self._sources
        inbox = await sources.timeline.inbox(user_id, None, BADGE_CONVERSATIONS)
        read = await self.read_through(user_id, (one.conversation_id for one in inbox))
        behind = [one.conversation_id for one in inbox if read[one.conversation_id] < one.last]
        scenes = await self._scenes(user_id, behind)
        counts = [await self._count(one, user_id, one.read) for one in scenes.values() if not one.muted]
        return min(MAX_COUNT, sum(counts))

    async def read_through(self, user_id: str, conversation_ids: Iterable[str]) -> dict[str, int]:
        """Return up to which number the user has read each conversation."""
        member = self._sources.cursors.member
        return {one: (await member(one, user_id)).read for one in dict.fromkeys(conversation_ids)}

    async def targets(self, user_id: str) -> Sequence[PushTarget]:
        """Return the targets of devices that are logged in."""
        targets = await self._sources.targets.of_user(user_id)
        if not targets:
            return ()
        there = {device.device_id for device in await self._sources.devices.of_user(user_id) if device.token_hash}
        return [target for target in targets if target.device_id in there]

    async def _scenes(self, user_id: str, conversation_ids: Iterable[str]) -> dict[str, _Scene]:
        wanted = tuple(conversation_ids)
        flags = await self._sources.preferences.flags(user_id, wanted) if wanted else {}
        now = self._sources.clock.wall_ms()
        scenes = {}
        for one in wanted:
            muted = one in flags and is_muted(flags[one].muted_until, now)
            scene = await self._scene(user_id, one, muted=muted)
            if scene is not None:
                scenes[one] = scene
        return scenes

    async def _scene(self, user_id: str, conversation_id: str, *, muted: bool) -> _Scene | None:
        sources = self._sources
        spans: Sequence[Span] = _DIRECT
        name = ""
        if not is_direct(conversation_id):
            spans = await sources.groups.spans(conversation_id, user_id)
            name = await self._name(conversation_id)
        elif user_id not in direct_members(conversation_id):
            return None
        if not spans or spans[-1].left is not None:  # who has left is told of nothing any more
            return None
        head = await sources.timeline.head(conversation_id)
        mark = await sources.cursors.member(conversation_id, user_id)
        return _Scene(conversation_id, name, spans, max(mark.read, spans[-1].joined - 1), head.last, muted)

    async def _pendings(
        self, target: PushTarget, conversation_ids: set[str], scenes: Mapping[str, _Scene]
    ) -> tuple[Pending, ...]:
        found = [await self._pending(target, scenes[one]) for one in sorted(conversation_ids & scenes.keys())]
        return tuple(one for one in found if one is not None)

    async def _pending(self, target: PushTarget, scene: _Scene) -> Pending | None:
        received = await self._sources.cursors.device(target.ref, scene.conversation_id)
        floor = max(scene.read, received)
        count = await self._count(scene, target.user_id, floor)
        if not count:
            return None
        messages = await self._newest(target.ref, scene, floor)
        newest = messages[0] if messages else None
        if newest is not None and newest.timestamp + self._give_up_ms < self._sources.clock.wall_ms():
            return None
        return Pending(
            scene.conversation_id,
            scene.last,
            count,
            await self._sender(target.user_id, scene, newest),
            scene.name,
            newest.preview if newest is not None else "",
            newest is not None and newest.content_type == CONTENT_ENCRYPTED,
            any(_mentions(message, target.user_id) for message in messages),
            scene.muted,
            newest.content_type if newest is not None else CONTENT_TEXT,
        )

    async def _count(self, scene: _Scene, user_id: str, floor: int) -> int:
        if floor >= scene.last:
            return 0
        return await self._sources.timeline.unread(scene.conversation_id, user_id, floor, scene.last, MAX_COUNT)

    async def _newest(self, device: DeviceRef, scene: _Scene, floor: int) -> Sequence[Message]:
        """Return those of the newest messages above ``floor`` that count, newest first."""
        limit = NEWEST_OF_MUTED if scene.muted else NEWEST
        page = await self._sources.timeline.read_before(
            scene.conversation_id, scene.last + 1, limit, scene.spans, device
        )
        return [
            message
            for message in reversed(page.messages)
            if message.sequence_number > floor and message.counts_as_unread and message.sender_id != device.user_id
        ]

    async def _sender(self, user_id: str, scene: _Scene, newest: Message | None) -> str:
        if newest is not None:
            sender = newest.sender_id
        elif is_direct(scene.conversation_id):
            one, other = direct_members(scene.conversation_id)
            sender = other if user_id == one else one
        else:
            return scene.name
        accounts: Mapping[str, Account] = await self._sources.accounts.find_many((sender,))
        account = accounts.get(sender)
        return sender if account is None or account.deleted else account.display_name or sender

    async def _name(self, conversation_id: str) -> str:
        """Return the group's name, as it was within the last minute: a roster is large."""
        now = self._sources.clock.monotonic()
        known = self._names.get(conversation_id)
        if known is not None and known[0] > now:
            return known[1]
        group = await self._sources.groups.find(conversation_id)
        name = "" if group is None else group.name
        self._names[conversation_id] = (now + _NAMES_S, name)
        if len(self._names) > _NAMES:
            self._names.popitem(last=False)
        return name


def _mentions(message: Message, user_id: str) -> bool:
    if message.content_type == CONTENT_ENCRYPTED:
        return False
    try:
        return user_id in _decode_body(message.body).mentions
    except (msgspec.DecodeError, CooeeError):
        return False
