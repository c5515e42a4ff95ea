"""Blobs between devices: checked, queued durably, announced to the recipient's gateway (PROTOCOL.md §9)."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DEVICE_ID, DeviceRef, direct_conversation_id, is_client_message_id, is_user_id
from cooee.domain.limits import Limits
from cooee.ports.clock import Clock
from cooee.ports.contacts import Contacts
from cooee.ports.devices import Devices
from cooee.ports.groups import Groups
from cooee.ports.router import Routed, RouteKind
from cooee.ports.timeline import Timeline
from cooee.ports.to_device import ToDevice, ToDeviceMessage
from cooee.protocol import frames
from cooee.protocol.codec import error_frame
from cooee.services.budgets import Budgets
from cooee.services.messages import Reply
from cooee.services.routes import Routes

_log = logging.getLogger(__name__)


class Acquaintance(NamedTuple):
    """Where to look up who may send blobs to whom."""

    devices: Devices
    contacts: Contacts
    groups: Groups
    timeline: Timeline


class ToDeviceService:
    """Sends blobs, and gives a device its own. Frames of one device are taken one after the other."""

    def __init__(
        self, queue: ToDevice, acquaintance: Acquaintance, routes: Routes, clock: Clock, budgets: Budgets
    ) -> None:
        self._queue = queue
        self._acquaintance = acquaintance
        self._routes = routes
        self._clock = clock
        self._budgets = budgets
        self._limits = budgets.limits
        self._waiting: dict[DeviceRef, deque[tuple[frames.ToDeviceSend, Reply]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, sender: DeviceRef, frame: frames.ToDeviceSend, reply: Reply) -> None:
        """Queue the whole batch or nothing; ``reply`` gets an `Ack` once it is durable, or an `Error`. Never raises."""
        try:
            _check(frame, self._limits)
            self._budgets.spend("to_device", sender.user_id)
        except CooeeError as refusal:
            reply(error_frame(refusal, frame.ref, frame.client_message_id))
            return
        waiting = self._waiting.get(sender)
        if waiting is not None:
            waiting.append((frame, reply))
            return
        self._waiting[sender] = deque([(frame, reply)])
        task = asyncio.get_running_loop().create_task(self._take_turns(sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def read_after(self, device: DeviceRef, after: int, limit: int) -> Sequence[ToDeviceMessage]:
        """Return what is queued for the device above ``after``, in order."""
        return await self._queue.read_after(device, after, limit)

    async def acknowledge(self, device: DeviceRef, through: int) -> None:
        """Drop what the device holds."""
        await self._queue.acknowledge(device, through)

    async def _take_turns(self, sender: DeviceRef) -> None:
        waiting = self._waiting[sender]
        try:
            while waiting:
                frame, reply = waiting.popleft()
                try:
                    await self._admit(sender, frame)
                    self._append(sender, frame, reply)
                except CooeeError as refusal:
                    reply(error_frame(refusal, frame.ref, frame.client_message_id))
                except Exception:  # noqa: BLE001  # the frames behind it must not wait for ever
                    _log.exception("a to_device frame could not be taken")
                    failure = CooeeError(ErrorCode.INTERNAL, "the server failed on this frame; try again")
                    reply(error_frame(failure, frame.ref, frame.client_message_id))
        finally:
            del self._waiting[sender]

    async def _admit(self, sender: DeviceRef, frame: frames.ToDeviceSend) -> None:
        """Refuse the batch unless every recipient is an existing device that the sender may write to.

        Raises:
            CooeeError: ``forbidden``; ``mismatched_devices`` with the devices that do not exist as ``extra``.
        """
        others = {item.user_id for item in frame.messages} - {sender.user_id}
        if others and not await self._may_write(sender.user_id, others):
            raise CooeeError(
                ErrorCode.FORBIDDEN, "to_device goes to own devices, and to people you share a group or a chat with"
            )
        refs = dict.fromkeys(DeviceRef(item.user_id, item.device_id) for item in frame.messages)
        found = await asyncio.gather(*(self._acquaintance.devices.find(ref) for ref in refs))
        unknown = [ref for ref, device in zip(refs, found, strict=True) if device is None]
        if unknown:
            raise CooeeError(
                ErrorCode.MISMATCHED_DEVICES,
                "some of these devices do not exist; nothing was stored",
                extra={"extra": tuple({"userId": ref.user_id, "deviceId": ref.device_id} for ref in unknown)},
            )

    async def _may_write(self, user_id: str, others: set[str]) -> bool:
        known = self._acquaintance
        blocked = await known.contacts.blocked_either_way(user_id, tuple(others))
        groups: frozenset[str] | None = None
        for other in others:
            if other not in blocked and (await known.timeline.head(direct_conversation_id(user_id, other))).last:
                continue
            if groups is None:
                groups = frozenset(await known.groups.of_user(user_id))
            if groups.isdisjoint(await known.groups.of_user(other)):
                return False
        return True

    def _append(self, sender: DeviceRef, frame: frames.ToDeviceSend, reply: Reply) -> None:
        now = self._clock.wall_ms()
        messages = tuple(
            ToDeviceMessage(DeviceRef(item.user_id, item.device_id), sender, item.content, now)
            for item in frame.messages
        )
        limits = (self._limits.to_device_queued_messages, self._limits.to_device_queued_bytes)
        self._queue.append(sender, frame.client_message_id, messages, limits, partial(self._appended, frame, reply))

    def _appended(
        self, frame: frames.ToDeviceSend, reply: Reply, outcome: Sequence[ToDeviceMessage] | CooeeError
    ) -> None:
        if isinstance(outcome, CooeeError):
            reply(error_frame(outcome, frame.ref, frame.client_message_id))
            return
        reply(frames.Ack("sent", frame.ref, frame.client_message_id))
        newest = {message.recipient: message.sequence_number for message in outcome}
        for (user_id, device_id), number in newest.items():
            self._routes.post(
                Routed(RouteKind.TO_DEVICE, (user_id,), b"", sequence_number=number, only_device=device_id)
            )


def _check(frame: frames.ToDeviceSend, limits: Limits) -> None:
    if not is_client_message_id(frame.client_message_id):
        raise bad_frame("clientMessageId must have 1 to 64 characters and no control characters")
    if not 1 <= len(frame.messages) <= limits.to_device_messages:
        raise bad_frame(f"messages must hold 1 to {limits.to_device_messages} blobs")
    for item in frame.messages:
        if not is_user_id(item.user_id) or DEVICE_ID.fullmatch(item.device_id) is None:
            raise bad_frame("userId and deviceId must name a device")
        if len(item.content.encode()) > limits.to_device_bytes:
            raise CooeeError(ErrorCode.TOO_LARGE, f"content must have at most {limits.to_device_bytes} bytes")
