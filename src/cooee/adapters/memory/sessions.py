"""The session registry of one process, used by the embedded profile for real."""

from collections.abc import Sequence

from cooee.ports.sessions import SessionEntry


class MemorySessions:
    """`Sessions` in nested dictionaries: user → device → entry. Nothing is kept for a user without a connection."""

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users: dict[str, dict[str, SessionEntry]] = {}

    async def register(self, entry: SessionEntry) -> SessionEntry | None:
        """Enter a connection and return the one of the same device that it replaces, if any."""
        devices = self._users.setdefault(entry.user_id, {})
        replaced = devices.get(entry.device_id)
        devices[entry.device_id] = entry
        return None if replaced == entry else replaced

    async def release(self, entry: SessionEntry) -> bool:
        """Remove the entry if it is still this connection's; False when it had been replaced."""
        devices = self._users.get(entry.user_id, {})
        current = devices.get(entry.device_id)
        if current is None or not _same_connection(current, entry):
            return False
        del devices[entry.device_id]
        if not devices:
            del self._users[entry.user_id]
        return True

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, list[SessionEntry]]:
        """Return the live connections of those users that have any."""
        users = self._users
        return {user_id: list(users[user_id].values()) for user_id in user_ids if user_id in users}


def _same_connection(a: SessionEntry, b: SessionEntry) -> bool:
    return a.connection_id == b.connection_id and a.server_id == b.server_id
