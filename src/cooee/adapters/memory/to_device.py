"""Queues between devices in dictionaries."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from cooee.domain.errors import CooeeError, rate_limited
from cooee.domain.ids import DeviceRef
from cooee.domain.sequence import DEDUP_WINDOW_MS
from cooee.ports.to_device import ToDeviceDone, ToDeviceMessage

_FULL_RETRY_MS = 60_000


class MemoryToDevice:
    """`ToDevice` that a restart forgets. ``is_gone`` names devices that were revoked or erased."""

    def __init__(self, is_gone: Callable[[DeviceRef], bool] = lambda _ref: False) -> None:
        self._is_gone = is_gone
        self._queues: defaultdict[DeviceRef, list[ToDeviceMessage]] = defaultdict(list)
        self._last: defaultdict[DeviceRef, int] = defaultdict(int)
        self._seen: dict[tuple[DeviceRef, str], int] = {}

    def append(
        self,
        sender: DeviceRef,
        client_message_id: str,
        messages: Sequence[ToDeviceMessage],
        limits: tuple[int, int],
        done: ToDeviceDone,
    ) -> None:
        """Store the whole batch or nothing; a re-send within 31 days stores nothing again."""
        result: Sequence[ToDeviceMessage] | CooeeError
        try:
            result = self._append(sender, client_message_id, messages, limits)
        except CooeeError as error:
            result = error
        asyncio.get_running_loop().call_soon(done, result)

    async def read_after(self, device: DeviceRef, after: int, limit: int) -> Sequence[ToDeviceMessage]:
        """Return what is queued for the device above ``after``, in order."""
        return [message for message in self._queues.get(device, ()) if message.sequence_number > after][:limit]

    async def acknowledge(self, device: DeviceRef, through: int) -> None:
        """Remove everything up to and including ``through``."""
        queue = self._queues.get(device, [])
        queue[:] = [message for message in queue if message.sequence_number > through]

    def sweep(self, before_ms: int, dedup_before_ms: int, limit: int) -> int:
        """Remove at most ``limit`` messages older than ``before_ms`` and old dedup keys; return how many messages."""
        old = [m for queue in self._queues.values() for m in queue if m.timestamp < before_ms][:limit]
        for message in old:
            self._queues[message.recipient].remove(message)
        self._seen = {key: at for key, at in self._seen.items() if at >= dedup_before_ms}
        return len(old)

    def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Remove the queues of revoked devices."""
        for device in devices:
            self._queues.pop(device, None)
            self._last.pop(device, None)

    def _append(
        self, sender: DeviceRef, client_message_id: str, messages: Sequence[ToDeviceMessage], limits: tuple[int, int]
    ) -> Sequence[ToDeviceMessage]:
        messages = [message for message in messages if not self._is_gone(message.recipient)]
        if not messages:
            return []
        now_ms = messages[0].timestamp
        first_at = self._seen.get((sender, client_message_id))
        if first_at is not None and now_ms - first_at <= DEDUP_WINDOW_MS:
            return []
        for device in {message.recipient for message in messages}:
            queued = self._queues.get(device, []) + [message for message in messages if message.recipient == device]
            if len(queued) > limits[0] or sum(len(message.content.encode()) for message in queued) > limits[1]:
                raise rate_limited(_FULL_RETRY_MS, "a recipient's queue is full; it drains when the device connects")
        self._seen[sender, client_message_id] = now_ms
        return [self._store(message) for message in messages]

    def _store(self, message: ToDeviceMessage) -> ToDeviceMessage:
        device = message.recipient
        self._last[device] += 1
        stored = msgspec.structs.replace(message, sequence_number=self._last[device])
        self._queues[device].append(stored)
        return stored
