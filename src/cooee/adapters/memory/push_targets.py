"""Push targets in dictionaries."""

from collections.abc import Callable, Sequence

from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.push_targets import PushTarget, Shown


class MemoryPushTargets:
    """`PushTargets` that a restart forgets. ``exists`` tells whether a device is there."""

    def __init__(self, exists: Callable[[DeviceRef], bool]) -> None:
        self._exists = exists
        self._targets: dict[DeviceRef, PushTarget] = {}
        self._places: dict[str, DeviceRef] = {}
        self._shown: dict[tuple[DeviceRef, str], Shown] = {}

    async def put(self, target: PushTarget) -> None:
        """Store the device's target in place of its former one. A place of another device is taken from it."""
        if not self._exists(target.ref):
            raise not_found("the device")
        former, loser = self._targets.get(target.ref), self._places.get(target.identity)
        if former is not None:
            del self._places[former.identity]
        if loser is not None and loser != target.ref:
            self.forget_devices([loser])
        self._targets[target.ref] = target
        self._places[target.identity] = target.ref

    async def find(self, ref: DeviceRef) -> PushTarget | None:
        """Return the device's target."""
        return self._targets.get(ref)

    async def of_user(self, user_id: str) -> Sequence[PushTarget]:
        """Return the targets of the user's devices, by deviceId."""
        own = (target for target in self._targets.values() if target.user_id == user_id)
        return sorted(own, key=lambda target: target.device_id)

    async def users(self, after: str, limit: int) -> Sequence[str]:
        """Return users who have a target, in ascending userId order."""
        return sorted({ref.user_id for ref in self._targets if ref.user_id > after})[:limit]

    async def remove(self, target: PushTarget) -> bool:
        """Remove the target with what it shows; False when it is not there, or was replaced by another."""
        there = self._targets.get(target.ref)
        if there is None or there.identity != target.identity:
            return False
        self.forget_devices([target.ref])
        return True

    async def note_shown(self, shown: Sequence[Shown]) -> None:
        """Note what devices show: one entry per (device, conversation), the later one counts."""
        for one in shown:
            ref = DeviceRef(one.user_id, one.device_id)
            there = self._shown.get((ref, one.conversation_id))
            if ref in self._targets and (there is None or there.sequence_number <= one.sequence_number):
                self._shown[ref, one.conversation_id] = one

    async def shown(self, user_id: str) -> Sequence[Shown]:
        """Return what the user's devices show, by deviceId and conversationId."""
        own = (one for one in self._shown.values() if one.user_id == user_id)
        return sorted(own, key=lambda one: (one.device_id, one.conversation_id))

    async def forget_shown(self, shown: Sequence[Shown]) -> None:
        """Remove the entries, unless a later notification has replaced them meanwhile."""
        for one in shown:
            key = (DeviceRef(one.user_id, one.device_id), one.conversation_id)
            there = self._shown.get(key)
            if there is not None and there.sequence_number <= one.sequence_number:
                del self._shown[key]

    def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Remove targets of revoked devices, with what they show."""
        gone = {ref for ref in devices if ref in self._targets}
        for ref in gone:
            del self._places[self._targets.pop(ref).identity]
        if gone:
            self._shown = {key: one for key, one in self._shown.items() if key[0] not in gone}
