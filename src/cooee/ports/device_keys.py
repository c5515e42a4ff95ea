"""Public keys of devices for end-to-end encryption: published, and claimed once each."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cooee.domain.ids import DeviceRef


class KeyBundle(msgspec.Struct, frozen=True):
    """What a sender needs to start a session with a device; opaque JSON values that the server does not interpret."""

    device: DeviceRef
    identity: bytes
    signed_pre_key: bytes
    one_time_pre_key: bytes | None
    kem_pre_key: bytes


class DeviceKeys(Protocol):
    """Pre-keys and signed device lists."""

    async def publish(self, device: DeviceRef, identity: bytes, signed: bytes, last_resort: bytes) -> None:
        """Replace the device's long-lived keys."""
        ...

    async def add_one_time(self, device: DeviceRef, pre_keys: Sequence[bytes], kem_keys: Sequence[bytes]) -> None:
        """Add one-time keys to the device's stock."""
        ...

    async def claim(self, devices: Sequence[DeviceRef]) -> Sequence[KeyBundle]:
        """Return a bundle for each device that has keys; each one-time key is given out once, atomically."""
        ...

    async def stock(self, device: DeviceRef) -> tuple[int, int]:
        """Return how many one-time pre-keys and KEM keys are left."""
        ...

    async def put_device_list(self, user_id: str, version: int, signed: bytes) -> bool:
        """Store a newer signed device list; False when ``version`` is not newer."""
        ...

    async def device_list(self, user_id: str) -> bytes | None:
        """Return the newest signed device list."""
        ...
