"""Devices in dictionaries."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.devices import Device


class MemoryDevices:
    """`Devices` that a restart forgets.

    ``forget`` removes what other adapters hold of revoked devices (cursors, keys, queues); ``is_erased`` tells whether
    an account is deleted.
    """

    def __init__(
        self,
        forget: Callable[[Sequence[DeviceRef]], Awaitable[None]] | None = None,
        is_erased: Callable[[str], bool] = lambda _user_id: False,
    ) -> None:
        self._devices: dict[DeviceRef, Device] = {}
        self._by_token: dict[bytes, DeviceRef] = {}
        self._revoked: set[DeviceRef] = set()
        self._forget = forget
        self._is_erased = is_erased

    async def create(self, device: Device) -> None:
        """Store a new device. ValueError when the id was ever used in this account, or the token is."""
        if self._is_erased(device.user_id):
            raise not_found("the account")
        if device.ref in self._devices or device.ref in self._revoked:
            raise ValueError("this deviceId was used before")
        if device.token_hash in self._by_token:
            raise ValueError("this token is in use")
        self._put(device)

    async def find(self, ref: DeviceRef) -> Device | None:
        """Return the device, also one that is logged out."""
        return self._devices.get(ref)

    async def find_by_token(self, token_hash: bytes) -> Device | None:
        """Return the device that is logged in with this token."""
        ref = self._by_token.get(token_hash)
        return None if ref is None else self._devices[ref]

    async def of_user(self, user_id: str) -> Sequence[Device]:
        """Return the user's devices, oldest first."""
        own = (device for device in self._devices.values() if device.user_id == user_id)
        return sorted(own, key=lambda device: (device.created_at, device.device_id))

    async def set_token(self, ref: DeviceRef, token_hash: bytes, now_ms: int) -> None:
        """Log the device in (a hash) or out (empty). Raises CooeeError ``not_found`` when it is gone."""
        device = self._devices.get(ref)
        if device is None:
            raise not_found("the device")
        if self._by_token.get(token_hash, ref) != ref:
            raise ValueError("this token is in use")
        self._by_token.pop(device.token_hash, None)
        last_seen = max(device.last_seen, now_ms)
        self._put(msgspec.structs.replace(device, token_hash=token_hash, last_seen=last_seen))

    async def touch(self, refs: Sequence[DeviceRef], now_ms: int) -> None:
        """Note that the devices were seen; last seen never goes back."""
        for ref in refs:
            device = self._devices.get(ref)
            if device is not None and device.last_seen < now_ms:
                self._devices[ref] = msgspec.structs.replace(device, last_seen=now_ms)

    async def revoke(self, refs: Sequence[DeviceRef]) -> None:
        """Remove devices with their cursors, keys and queues."""
        gone = [ref for ref in dict.fromkeys(refs) if ref in self._devices]
        for ref in gone:
            self._by_token.pop(self._devices.pop(ref).token_hash, None)
            self._revoked.add(ref)
        if gone and self._forget is not None:
            await self._forget(gone)

    async def idle_since(self, before_ms: int, limit: int) -> Sequence[Device]:
        """Return devices last seen before ``before_ms``, the longest absent first."""
        idle = [device for device in self._devices.values() if device.last_seen < before_ms]
        return sorted(idle, key=lambda device: (device.last_seen, device.ref))[:limit]

    def is_there(self, ref: DeviceRef) -> bool:
        """Tell whether the device exists, logged in or not."""
        return ref in self._devices

    def is_gone(self, ref: DeviceRef) -> bool:
        """Tell whether the device is gone for good, alone or with its account."""
        return ref in self._revoked or self._is_erased(ref.user_id)

    def _put(self, device: Device) -> None:
        self._devices[device.ref] = device
        if device.token_hash:
            self._by_token[device.token_hash] = device.ref
