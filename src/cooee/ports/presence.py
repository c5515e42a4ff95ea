"""Who is online, and which gateways want to hear of it. Soft: it may be lost at any moment (PROTOCOL.md §7)."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class PresenceState(msgspec.Struct, frozen=True, gc=False):
    """A user's presence, before anybody's privacy is looked at.

    ``last_seen`` (ms) is when the last connection ended, 0 when that is not known here (then the account's counts).
    ``changed_at`` (ms) grows strictly with each change of one user: of two states the larger is the truth.
    """

    user_id: str
    online: bool
    last_seen: int = 0
    changed_at: int = 0


PresenceReceiver = Callable[[Sequence[PresenceState]], None]
"""Called on the event loop with changes of users that the server watches. May miss some, never raises."""


class Presence(Protocol):
    """Online users by counted connections, and changes published to the gateways that watch a user.

    Connections and watches belong to a server and end with it. To miss no change: `watch` first, then read `states`.
    """

    async def connect(self, user_id: str, server_id: str, connection_id: str, now_ms: int) -> PresenceState | None:
        """Count a connection; the new state when the user was offline, else None. Idempotent per connection."""
        ...

    async def disconnect(self, user_id: str, server_id: str, connection_id: str, now_ms: int) -> PresenceState | None:
        """Stop counting a connection; the new state when it was the user's last, else None. Unknown: None."""
        ...

    async def states(self, user_ids: Sequence[str]) -> dict[str, PresenceState]:
        """Return what is known, by userId; a user who is missing is offline, last seen as his account says."""
        ...

    async def watch(self, server_id: str, user_ids: Sequence[str]) -> None:
        """Have changes of these users published to ``server_id``, once each however often it is asked."""
        ...

    async def unwatch(self, server_id: str, user_ids: Sequence[str]) -> None:
        """Stop that for these users."""
        ...

    async def publish(self, changes: Sequence[PresenceState]) -> None:
        """Hand each change to the servers that watch its user, in one call per server; nobody watches: nothing."""
        ...

    async def subscribe(self, server_id: str, receive: PresenceReceiver) -> None:
        """Have ``receive`` called with what is published for ``server_id``; replaces a former receiver."""
        ...

    async def unsubscribe(self, server_id: str, now_ms: int) -> Sequence[PresenceState]:
        """End a server with its watches and connections; return the users who went offline by it."""
        ...
