"""Media objects in memory: who holds what is looked up in the conversations each time."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from cooee.adapters.memory.conversations import Conversations
from cooee.domain.media import SEND_HOLD_MS, counted, over_quota
from cooee.domain.message import LogRecord
from cooee.ports.media import MediaObject, MediaState

_ORDER = tuple(MediaState)


class MemoryMedia:
    """`Media` that a restart forgets."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._objects: dict[str, MediaObject] = {}
        self._kept: dict[str, int] = {}
        self._garbage: dict[str, None] = {}
        conversations.note_media = self._note_held

    async def create(self, media: MediaObject, keep_until: int, quota: int) -> int:
        """Store a new object. ValueError when its key was taken."""
        own = [one for one in self._objects.values() if one.owner_id == media.owner_id]
        used = sum(counted(one.size) for one in own)
        if used + counted(media.size) > quota:
            raise over_quota(used, quota)
        if media.key in self._objects:
            raise ValueError("this mediaKey was taken")
        self._objects[media.key] = msgspec.structs.replace(media, state=MediaState.PENDING)
        self._kept[media.key] = keep_until
        return used + counted(media.size)

    async def find(self, key: str, user_id: str) -> MediaObject | None:
        """Return the object if the user may see it."""
        found = self._objects.get(key)
        if found is None or key in self._garbage:
            return None
        return found if found.owner_id == user_id or self._sees(key, user_id) else None

    async def hold(self, key: str, user_id: str, keep_until: int) -> MediaObject | None:
        """Return the object if the user may see it, and keep it."""
        found = await self.find(key, user_id)
        if found is not None:
            self._kept[key] = max(self._kept[key], keep_until)
        return found

    async def update(self, key: str, state: MediaState, details: bytes) -> None:
        """Note what became of an object."""
        found = self._objects.get(key)
        if found is not None and key not in self._garbage and _ORDER.index(found.state) <= _ORDER.index(state):
            self._objects[key] = msgspec.structs.replace(found, state=state, details=details)

    async def holders(self, key: str, limit: int) -> Sequence[tuple[str, int]]:
        """Return conversations with a message that holds the object."""
        found = [
            (one.id, number) for one in self._conversations.all() for number, keys in one.media.items() if key in keys
        ]
        return list(dict(sorted(found)).items())[:limit]

    async def waiting(self, limit: int, per_owner: int) -> Sequence[MediaObject]:
        """Return objects that are to be looked at, oldest first, so many of each owner."""
        turns: Counter[str] = Counter()
        found = []
        for one in sorted(self._objects.values(), key=lambda one: (one.created_at, one.key)):
            if one.state is MediaState.STORED and not one.encrypted and self._held(one.key):
                turns[one.owner_id] += 1
                if turns[one.owner_id] <= per_owner:
                    found.append(one)
        return found[:limit]

    async def garbage(self, now_ms: int, limit: int) -> Sequence[MediaObject]:
        """Take what nobody holds or keeps."""
        for key, kept in self._kept.items():
            if len(self._garbage) >= limit:
                break
            if kept <= now_ms and not self._held(key):
                self._garbage[key] = None
        return [self._objects[key] for key in self._garbage][:limit]

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove what is garbage."""
        for key in keys:
            if key in self._garbage:
                del self._garbage[key], self._objects[key], self._kept[key]

    def _note_held(self, record: LogRecord) -> None:
        for key in record.media:
            if key in self._kept:
                self._kept[key] = min(self._kept[key], record.timestamp + SEND_HOLD_MS)

    def _held(self, key: str) -> bool:
        return any(key in keys for one in self._conversations.all() for keys in one.media.values())

    def _sees(self, key: str, user_id: str) -> bool:
        for one in self._conversations.of_user(user_id):
            numbers = [number for number, keys in one.media.items() if key in keys]
            if any(span.covers(number) for span in one.spans[user_id] for number in numbers):
                return True
        return False
