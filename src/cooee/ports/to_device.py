"""The queue of small opaque blobs between devices (PROTOCOL.md §9)."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef


class ToDeviceMessage(msgspec.Struct, frozen=True, gc=False):
    """One blob for one device. ``sequence_number`` is dense per recipient device; 0 before it is stored."""

    recipient: DeviceRef
    sender: DeviceRef
    content: str
    timestamp: int
    sequence_number: int = 0


ToDeviceDone = Callable[[Sequence[ToDeviceMessage] | CooeeError], None]
"""Gets the stored messages with their numbers (empty for a re-send), after they are durable."""


class ToDevice(Protocol):
    """Reliable, in order per recipient device, kept until acknowledged."""

    def append(
        self,
        sender: DeviceRef,
        client_message_id: str,
        messages: Sequence[ToDeviceMessage],
        limits: tuple[int, int],
        done: ToDeviceDone,
    ) -> None:
        """Store the whole batch or nothing. The same (sender, clientMessageId) within 31 days stores nothing again.

        ``limits`` = (messages, bytes of UTF-8) that may be queued for a device; beyond them: ``rate_limited``. Messages
        for a device that was revoked meanwhile are left out.
        """
        ...

    async def read_after(self, device: DeviceRef, after: int, limit: int) -> Sequence[ToDeviceMessage]:
        """Return what is queued for the device above ``after``, in order."""
        ...

    async def acknowledge(self, device: DeviceRef, through: int) -> None:
        """Remove everything up to and including ``through``."""
        ...
