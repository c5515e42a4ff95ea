"""A user's own state of a conversation changed: noted for devices that are away, told to those that are live (§5)."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.ports.preferences import Preferences
from cooee.ports.sessions import Sessions
from cooee.services.conversation_list import ConversationList
from cooee.services.routes import Routes

MAX_PENDING = 10_000
"""Changes waiting to be told live; beyond them devices learn by their sync token."""

_log = logging.getLogger(__name__)


class _Change(NamedTuple):
    user_id: str
    conversation_id: str
    position: int
    except_device: DeviceRef | None


class OwnConversations:
    """Notes changes durably, and tells live devices in the background, one after the other. `run` must be running."""

    def __init__(
        self, preferences: Preferences, sessions: Sessions, conversations: ConversationList, routes: Routes
    ) -> None:
        self._preferences = preferences
        self._sessions = sessions
        self._conversations = conversations
        self._routes = routes
        self._pending: deque[_Change] = deque(maxlen=MAX_PENDING)
        self._wake = asyncio.Event()

    async def changed(
        self, user_ids: Iterable[str], conversation_id: str, except_device: DeviceRef | None = None
    ) -> None:
        """Note the change for each user, durably, and have their live devices told, ``except_device`` excepted."""
        users = tuple(user_ids)
        noted = await asyncio.gather(*(self._preferences.note_change(user, conversation_id) for user in users))
        online = await self._sessions.of_users(users)
        for user, position in zip(users, noted, strict=True):
            others = [one for one in online.get(user, ()) if (one.user_id, one.device_id) != except_device]
            if others:
                self._pending.append(_Change(user, conversation_id, position, except_device))
        if self._pending:
            self._wake.set()

    async def run(self) -> None:
        """Tell what is pending, until cancelled. One long-lived task runs this."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._tell(self._pending.popleft())

    async def _tell(self, change: _Change) -> None:
        try:
            snapshot = await self._conversations.one(DeviceRef(change.user_id, ""), change.conversation_id)
        except CooeeError:
            return
        except Exception:  # noqa: BLE001  # the sync token tells it later
            _log.exception("a changed conversation could not be told")
            return
        frame = self._conversations.changed_frame(snapshot, change.position)
        self._routes.to_user(change.user_id, frame, except_device=change.except_device)
