"""From services to whoever is connected: sessions are looked up once for many items, each server gets one batch."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.ports.router import Routed, RouteKind, Router
from cooee.ports.sessions import SessionEntry, Sessions
from cooee.protocol.codec import encode
from cooee.protocol.frames import ServerFrame

_log = logging.getLogger(__name__)
_MAX_PENDING = 200_000

Online = Mapping[str, Sequence[SessionEntry]]
"""The live sessions of the users that have any."""


class Routes:
    """Routing of live frames. Everything here may be lost without losing a message (ARCHITECTURE.md, invariant 10)."""

    def __init__(self, sessions: Sessions, router: Router, *, max_pending: int = _MAX_PENDING) -> None:
        self._sessions = sessions
        self._router = router
        self._max_pending = max_pending
        self._pending: list[Routed] = []
        self._wake = asyncio.Event()
        self.dropped = 0
        """How many posted items were dropped, because the router did not keep up or failed."""

    def post(self, item: Routed) -> None:
        """Send ``item`` off with everything else that is posted in this turn of the event loop (see `run`)."""
        pending = self._pending
        if not pending:
            self._wake.set()
        elif len(pending) >= self._max_pending:
            self.dropped += 1
            return
        pending.append(item)

    async def run(self) -> None:
        """Send off what is posted, until cancelled. One long-lived task runs this."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._pending = self._pending, []
            try:
                await self.deliver(batch)
            except Exception:  # noqa: BLE001  # live routing may drop anything, and never ends
                self.dropped += len(batch)
                _log.exception("live frames could not be routed")

    async def deliver(self, items: Sequence[Routed]) -> Online:
        """Send ``items`` off now, in order, and return the live sessions of their users; who is missing has none."""
        users: set[str] = set()
        for item in items:
            users.update(item.user_ids)
        online = await self._sessions.of_users(tuple(users))
        servers = {entry.server_id for entries in online.values() for entry in entries}
        if len(servers) == 1:
            reaching = items if len(online) == len(users) else _reaching(items, online)
            await self._router.publish(servers.pop(), reaching)
        elif servers:
            await asyncio.gather(
                *(self._router.publish(server_id, _narrowed(items, online, server_id)) for server_id in servers)
            )
        return online

    def to_user(
        self,
        user_id: str,
        frame: ServerFrame | bytes,
        *,
        except_device: DeviceRef | None = None,
        only_device: str = "",
    ) -> None:
        """Post a frame to the live sessions of one user."""
        self.to_users((user_id,), frame, except_device=except_device, only_device=only_device)

    def to_users(
        self,
        user_ids: tuple[str, ...],
        frame: ServerFrame | bytes,
        *,
        except_device: DeviceRef | None = None,
        only_device: str = "",
    ) -> None:
        """Post a frame, encoded once, to the live sessions of several users."""
        payload = frame if isinstance(frame, bytes) else encode(frame)
        self.post(Routed(RouteKind.EVENT, user_ids, payload, "", 0, except_device, only_device))

    def close_device(self, device: DeviceRef, code: int, reason: str) -> None:
        """Post the end of the device's session."""
        self.post(
            Routed(RouteKind.CLOSE, (device.user_id,), f"{int(code)} {reason}".encode(), only_device=device.device_id)
        )

    def close_user(self, user_id: str, code: int, reason: str, *, except_device: DeviceRef | None = None) -> None:
        """Post the end of all sessions of the user, or of all but one."""
        self.post(Routed(RouteKind.CLOSE, (user_id,), f"{int(code)} {reason}".encode(), except_device=except_device))

    def refresh(self, user_ids: tuple[str, ...]) -> None:
        """Post that cached facts about the users are to be forgotten, to the servers that have sessions of them."""
        self.post(Routed(RouteKind.REFRESH, user_ids, b""))


def _reaching(items: Sequence[Routed], online: Online) -> Sequence[Routed]:
    """Return the items that reach anybody. All live users are on one server, so nothing need be narrowed."""
    return [item for item in items if not online.keys().isdisjoint(item.user_ids)]


def _narrowed(items: Sequence[Routed], online: Online, server_id: str) -> Sequence[Routed]:
    """Return the items for one server, each for its users there only."""
    here = {user for user, entries in online.items() if any(entry.server_id == server_id for entry in entries)}
    narrowed = []
    for item in items:
        user_ids = tuple(user_id for user_id in item.user_ids if user_id in here)
        if user_ids:
            narrowed.append(msgspec.structs.replace(item, user_ids=user_ids))
    return narrowed
