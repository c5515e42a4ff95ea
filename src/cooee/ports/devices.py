"""Devices: one login each, found by the hash of its token."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import EVERYTHING, Scope


class Device(msgspec.Struct, frozen=True):
    """One device. ``token_hash`` is empty while it is logged out; a revoked device is gone, its id never used again.

    A bot's token is a device with less than all scopes; ``expires_at`` in ms, 0: never.
    """

    user_id: str
    device_id: str
    name: str
    type: str
    token_hash: bytes
    created_at: int
    last_seen: int
    scopes: frozenset[Scope] = EVERYTHING
    expires_at: int = 0

    @property
    def ref(self) -> DeviceRef:
        """The pair that names the device."""
        return DeviceRef(self.user_id, self.device_id)

    @property
    def is_bots(self) -> bool:
        """Whether it belongs to a bot: its token may not do all that a person's may."""
        return Scope.PERSON not in self.scopes


class Devices(Protocol):
    """The devices of all accounts."""

    async def create(self, device: Device) -> None:
        """Store a new device. Durable. ValueError when the id was ever used in this account, or the token is.

        Raises:
            CooeeError: ``not_found`` when the account was deleted meanwhile.
        """
        ...

    async def find(self, ref: DeviceRef) -> Device | None:
        """Return the device, also one that is logged out."""
        ...

    async def find_by_token(self, token_hash: bytes) -> Device | None:
        """Return the device that is logged in with this token."""
        ...

    async def of_user(self, user_id: str) -> Sequence[Device]:
        """Return the user's devices, oldest first."""
        ...

    async def set_token(self, ref: DeviceRef, token_hash: bytes, now_ms: int) -> None:
        """Log the device in (a hash) or out (empty). Durable. CooeeError ``not_found`` when the device is gone."""
        ...

    async def touch(self, refs: Sequence[DeviceRef], now_ms: int) -> None:
        """Note that the devices were seen; last seen never goes back."""
        ...

    async def revoke(self, refs: Sequence[DeviceRef]) -> None:
        """Remove devices with their cursors, keys and queues. Durable."""
        ...

    async def idle_since(self, before_ms: int, limit: int) -> Sequence[Device]:
        """Return devices last seen before ``before_ms``."""
        ...
