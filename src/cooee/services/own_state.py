"""Telling a user's other devices that something of his own account changed (PROTOCOL.md §5)."""

from collections.abc import Callable
from typing import Literal

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.ports.preferences import Preferences
from cooee.protocol.codec import encode
from cooee.protocol.frames import AccountChanged
from cooee.services.routes import Routes

Changed = Literal["profile", "privacy", "contacts", "blocks", "devices"]
_CACHED = frozenset({"profile", "privacy"})
"""Changes of what gateways remember of a user. Contacts and blocks concern two users: their service tells of both."""


class OwnState:
    """Notes changes of an account, so that devices learn of them now or when they are back."""

    def __init__(self, preferences: Preferences, routes: Routes, sync_token: Callable[[int], str]) -> None:
        self._preferences = preferences
        self._routes = routes
        self._sync_token = sync_token

    async def changed(
        self, device: DeviceRef, changed: Changed, account: msgspec.Struct | None = None, *, spare: bool = True
    ) -> None:
        """Note that ``changed`` of the device's account is new, durably, and tell the user's live devices.

        ``account`` is the new `Me` for ``profile`` and ``privacy``; the others are read anew. With ``spare`` the
        device itself, which made the change, is not told.
        """
        position = await self._preferences.note_change(device.user_id, "")
        body = msgspec.UNSET if account is None else msgspec.Raw(encode(account))
        frame = AccountChanged(changed, body, self._sync_token(position))
        if changed in _CACHED:
            self._routes.refresh((device.user_id,))
        self._routes.to_user(device.user_id, frame, except_device=device if spare else None)
