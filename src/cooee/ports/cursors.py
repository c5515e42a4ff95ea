"""Watermarks of devices and members: durable, merged by maximum."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark


class CursorUpdate(msgspec.Struct, frozen=True, gc=False):
    """``received`` moves the device's watermark and the user's ``delivered``; ``read`` also the user's ``read``."""

    conversation_id: str
    user_id: str
    device_id: str
    received: int
    read: int = 0


class CursorChange(msgspec.Struct, frozen=True, gc=False):
    """The state around an update. Equal before and after: nothing changed."""

    before: Watermark
    after: Watermark
    device_received: int


CursorDone = Callable[[CursorChange | CooeeError], None]
"""Called on the event loop, exactly once for each update, after it is durable."""


class Cursors(Protocol):
    """Device and member watermarks."""

    def advance(self, update: CursorUpdate, done: CursorDone) -> None:
        """Merge ``update`` by maximum. ``CooeeError`` only ``unavailable``: nothing was stored, a retry is safe."""
        ...

    async def device(self, device: DeviceRef, conversation_id: str) -> int:
        """Return what the device has received; a device without an entry stands at its start position there.

        The start position of a conversation the user joined after the device's log-in is just before the joining.
        """
        ...

    async def member(self, conversation_id: str, user_id: str) -> Watermark:
        """Return one member's watermarks."""
        ...

    async def members(self, conversation_id: str) -> Mapping[str, Watermark]:
        """Return the watermarks of all that ever had one there."""
        ...

    async def start_device(self, device: DeviceRef) -> None:
        """Fix where a new device starts: per conversation at the user's ``delivered``. Moves no receipt. Durable."""
        ...

    async def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Drop the cursors of revoked devices; they hold nothing back any more."""
        ...
