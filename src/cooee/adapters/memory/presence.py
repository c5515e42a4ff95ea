"""Presence within one process, used by the embedded profile for real."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from cooee.ports.presence import PresenceReceiver, PresenceState


class MemoryPresence:
    """`Presence` in dictionaries. Of users who went offline the latest ``remember_offline`` are remembered."""

    __slots__ = ("_connections", "_offline", "_online", "_receivers", "_remember", "_watchers")

    def __init__(self, remember_offline: int = 50_000) -> None:
        self._remember = remember_offline
        self._connections: dict[str, tuple[tuple[str, str], ...]] = {}  # few each: a set would take 200 bytes more
        self._online: dict[str, PresenceState] = {}
        self._offline: OrderedDict[str, PresenceState] = OrderedDict()
        self._watchers: dict[str, set[str]] = {}
        self._receivers: dict[str, PresenceReceiver] = {}

    async def connect(self, user_id: str, server_id: str, connection_id: str, now_ms: int) -> PresenceState | None:
        """Count a connection; the new state when the user was offline, else None."""
        connections = self._connections.get(user_id)
        one = (server_id, connection_id)
        if connections is not None:
            if one not in connections:
                self._connections[user_id] = (*connections, one)
            return None
        self._connections[user_id] = (one,)
        before = self._offline.pop(user_id, PresenceState(user_id, online=False))
        state = PresenceState(user_id, True, before.last_seen, max(now_ms, before.changed_at + 1))
        self._online[user_id] = state
        return state

    async def disconnect(self, user_id: str, server_id: str, connection_id: str, now_ms: int) -> PresenceState | None:
        """Stop counting a connection; the new state when it was the user's last, else None."""
        connections = self._connections.get(user_id, ())
        left = tuple(one for one in connections if one != (server_id, connection_id))
        if len(left) == len(connections):
            return None
        self._connections[user_id] = left
        return None if left else self._went_offline(user_id, now_ms)

    async def states(self, user_ids: Sequence[str]) -> dict[str, PresenceState]:
        """Return what is known, by userId."""
        states = ((user_id, self._online.get(user_id) or self._offline.get(user_id)) for user_id in user_ids)
        return {user_id: state for user_id, state in states if state is not None}

    async def watch(self, server_id: str, user_ids: Sequence[str]) -> None:
        """Have changes of these users published to ``server_id``."""
        for user_id in user_ids:
            self._watchers.setdefault(user_id, set()).add(server_id)

    async def unwatch(self, server_id: str, user_ids: Sequence[str]) -> None:
        """Stop that for these users."""
        for user_id in user_ids:
            self._unwatch(server_id, user_id)

    async def publish(self, changes: Sequence[PresenceState]) -> None:
        """Hand each change to the servers that watch its user, in one call per server.

        A receiver that raises is reported to the event loop's exception handler and not to the publisher.
        """
        by_server: dict[str, list[PresenceState]] = {}
        for change in changes:
            for server_id in self._watchers.get(change.user_id, ()):
                by_server.setdefault(server_id, []).append(change)
        for server_id, seen in by_server.items():
            receive = self._receivers.get(server_id)
            if receive is not None:
                _call(receive, seen)

    async def subscribe(self, server_id: str, receive: PresenceReceiver) -> None:
        """Have ``receive`` called with what is published for ``server_id``; replaces a former receiver."""
        self._receivers[server_id] = receive

    async def unsubscribe(self, server_id: str, now_ms: int) -> Sequence[PresenceState]:
        """End a server with its watches and connections; return the users who went offline by it."""
        self._receivers.pop(server_id, None)
        for user_id in [user_id for user_id, servers in self._watchers.items() if server_id in servers]:
            self._unwatch(server_id, user_id)
        gone = []
        for user_id, connections in list(self._connections.items()):
            left = tuple(one for one in connections if one[0] != server_id)
            self._connections[user_id] = left
            if not left:
                gone.append(self._went_offline(user_id, now_ms))
        return gone

    def _went_offline(self, user_id: str, now_ms: int) -> PresenceState:
        del self._connections[user_id]
        before = self._online.pop(user_id)
        changed_at = max(now_ms, before.changed_at + 1)
        state = PresenceState(user_id, False, max(now_ms, before.last_seen), changed_at)
        self._offline[user_id] = state
        if len(self._offline) > self._remember:
            self._offline.popitem(last=False)
        return state

    def _unwatch(self, server_id: str, user_id: str) -> None:
        servers = self._watchers.get(user_id)
        if servers is not None:
            servers.discard(server_id)
            if not servers:
                del self._watchers[user_id]


def _call(receive: PresenceReceiver, changes: Sequence[PresenceState]) -> None:
    try:
        receive(changes)
    except Exception as error:  # noqa: BLE001 - a broken watcher must not stop the others
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "a presence receiver failed", "exception": error})
