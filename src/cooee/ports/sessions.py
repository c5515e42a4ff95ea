"""The session registry: which device is connected to which server. Soft: it may be lost at any moment."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class SessionEntry(msgspec.Struct, frozen=True, gc=False):
    """One live connection of one device."""

    user_id: str
    device_id: str
    server_id: str
    connection_id: str
    device_type: str
    connected_at: int


class Sessions(Protocol):
    """Live connections by user. Absence is a hint, not a proof."""

    async def register(self, entry: SessionEntry) -> SessionEntry | None:
        """Enter a connection and return the one of the same device that it replaces, if any."""
        ...

    async def release(self, entry: SessionEntry) -> bool:
        """Remove the entry if it is still this connection's; False when it had been replaced."""
        ...

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, list[SessionEntry]]:
        """Return the live connections of those users that have any."""
        ...
