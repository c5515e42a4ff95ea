"""Where devices are pushed to, and what they show: durable."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cooee.domain.ids import DeviceRef


class PushTarget(msgspec.Struct, frozen=True):
    """How the platform reaches one device. ``platform``: ``web``, ``fcm`` or ``apns``; ``created_at`` in ms.

    ``address`` is the platform's: ``endpoint``, ``p256dh`` and ``auth`` of a web subscription, else ``token``.
    """

    user_id: str
    device_id: str
    platform: str
    address: dict[str, str]
    created_at: int

    @property
    def ref(self) -> DeviceRef:
        """The device."""
        return DeviceRef(self.user_id, self.device_id)

    @property
    def identity(self) -> str:
        """What the platform knows the place by: two targets with the same identity are the same screen."""
        return f"{self.platform}:{self.address.get('endpoint') or self.address.get('token', '')}"


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A notification that a device was given, of a conversation up to a number; ``collapse_key`` names it there."""

    user_id: str
    device_id: str
    conversation_id: str
    sequence_number: int
    collapse_key: str


class PushTargets(Protocol):
    """One target a device at most, and one device a target: both end with the device."""

    async def put(self, target: PushTarget) -> None:
        """Store the device's target in place of its former one. Durable. A place of another device is taken from it.

        Raises:
            CooeeError: ``not_found`` when the device is gone.
        """
        ...

    async def find(self, ref: DeviceRef) -> PushTarget | None:
        """Return the device's target."""
        ...

    async def of_user(self, user_id: str) -> Sequence[PushTarget]:
        """Return the targets of the user's devices, by deviceId."""
        ...

    async def users(self, after: str, limit: int) -> Sequence[str]:
        """Return users who have a target, in ascending userId order."""
        ...

    async def remove(self, target: PushTarget) -> bool:
        """Remove the target with what it shows; False when it is not there, or was replaced by another. Durable."""
        ...

    async def note_shown(self, shown: Sequence[Shown]) -> None:
        """Note what devices show: one entry per (device, conversation), the later one counts. Durable."""
        ...

    async def shown(self, user_id: str) -> Sequence[Shown]:
        """Return what the user's devices show, by deviceId and conversationId."""
        ...

    async def forget_shown(self, shown: Sequence[Shown]) -> None:
        """Remove the entries, unless a later notification has replaced them meanwhile. Durable."""
        ...
