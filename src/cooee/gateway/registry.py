"""The live sessions of this gateway, by user. The registry of all gateways is `ports.sessions`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from cooee.domain.ids import DeviceRef

if TYPE_CHECKING:
    from cooee.gateway.session import Session

SLICE = 256
"""Sessions that are visited in one turn of the event loop."""


class LocalSessions:
    """Sessions by user, a small tuple each, and the few that watch somebody's presence by connection."""

    __slots__ = ("_watching", "by_user", "count")

    def __init__(self) -> None:
        self.by_user: dict[str, tuple[Session, ...]] = {}
        self.count = 0
        self._watching: dict[str, Session] = {}

    def add(self, session: "Session") -> tuple["Session", ...]:
        """Enter a live session; return the former ones of its device, which are taken out."""
        user_id, device_id = session.device
        present = self.by_user.get(user_id, ())
        former = tuple(other for other in present if other.device.device_id == device_id)
        for other in former:
            self.remove(other)
        self.by_user[user_id] = (*self.by_user.get(user_id, ()), session)
        self.count += 1
        return former

    def remove(self, session: "Session") -> bool:
        """Take a session out; False when it was not in."""
        user_id = session.device.user_id
        present = self.by_user.get(user_id, ())
        remaining = tuple(other for other in present if other is not session)
        if len(remaining) == len(present):
            return False
        if remaining:
            self.by_user[user_id] = remaining
        else:
            del self.by_user[user_id]
        self._watching.pop(session.connection_id, None)
        self.count -= 1
        return True

    def of_device(self, device: DeviceRef) -> "Session | None":
        """Return the device's live session."""
        for session in self.by_user.get(device.user_id, ()):
            if session.device.device_id == device.device_id:
                return session
        return None

    def watch(self, session: "Session") -> None:
        """Let the session be told of presence by its connectionId. A session that is not in is not entered."""
        if session in self.by_user.get(session.device.user_id, ()):
            self._watching[session.connection_id] = session

    def tell(self, connection_id: str, frame: bytes) -> None:
        """Send ``frame`` to a watching session, if it is still there."""
        session = self._watching.get(connection_id)
        if session is not None:
            session.connection.send(frame)

    def all(self) -> Iterator["Session"]:
        """Iterate over a snapshot of all sessions."""
        return iter([session for sessions in self.by_user.values() for session in sessions])

    async def slices(self) -> AsyncIterator["Session"]:
        """Iterate over a snapshot of all sessions, giving way to everybody else after each `SLICE`."""
        for index, session in enumerate(self.all(), 1):
            yield session
            if index % SLICE == 0:
                await asyncio.sleep(0)
