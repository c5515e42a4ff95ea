"""The push queue in a dictionary."""

from collections.abc import Collection, Iterable, Sequence

from cooee.domain.ids import DeviceRef
from cooee.ports.push_queue import PushEntry


class MemoryPushQueue:
    """`PushQueue` that a restart forgets."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], PushEntry] = {}

    async def append(self, entries: Sequence[PushEntry]) -> None:
        """Store the entries; a later message replaces the number and keeps the earlier due time."""
        for entry in entries:
            key = (entry.user_id, entry.device_id, entry.conversation_id)
            there = self._entries.get(key, entry)
            number = max(entry.sequence_number, there.sequence_number)
            self._entries[key] = PushEntry(*key, number, min(entry.due_at, there.due_at))

    async def due(self, now_ms: int, limit: int, but_of: Collection[str] = ()) -> Sequence[PushEntry]:
        """Return entries whose time has come, earliest first, but none of these users. They stay until `complete`."""
        due = (entry for entry in self._entries.values() if entry.due_at <= now_ms and entry.user_id not in but_of)
        order = sorted(due, key=lambda e: (e.due_at, e.user_id, e.device_id, e.conversation_id))
        return order[:limit]

    async def complete(self, entries: Sequence[PushEntry]) -> None:
        """Remove the entries, unless a later message has replaced them meanwhile."""
        for entry in entries:
            key = (entry.user_id, entry.device_id, entry.conversation_id)
            there = self._entries.get(key)
            if there is not None and there.sequence_number <= entry.sequence_number:
                del self._entries[key]

    async def postpone(self, entries: Sequence[PushEntry]) -> None:
        """Move entries that are there to the later ``due_at`` that these give; their numbers stay."""
        for entry in entries:
            key = (entry.user_id, entry.device_id, entry.conversation_id)
            there = self._entries.get(key)
            if there is not None and there.due_at < entry.due_at:
                self._entries[key] = PushEntry(*key, there.sequence_number, entry.due_at)

    async def cancel(self, user_id: str, conversation_id: str, through: int) -> None:
        """Remove what is covered by the user's reading through ``through``."""
        self._drop(
            entry
            for entry in self._entries.values()
            if (entry.user_id, entry.conversation_id) == (user_id, conversation_id) and entry.sequence_number <= through
        )

    def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Remove what waits for revoked devices."""
        gone = set(devices)
        self._drop(e for e in self._entries.values() if (e.user_id, e.device_id) in gone)

    def forget_user(self, user_id: str) -> None:
        """Remove everything that waits for the user."""
        self._drop(entry for entry in self._entries.values() if entry.user_id == user_id)

    def _drop(self, entries: Iterable[PushEntry]) -> None:
        for entry in list(entries):
            del self._entries[entry.user_id, entry.device_id, entry.conversation_id]
