"""Watermarks in memory."""

import asyncio
from collections.abc import Mapping, Sequence

from cooee.adapters.memory.conversations import Conversations
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.ports.cursors import CursorChange, CursorDone, CursorUpdate


class MemoryCursors:
    """`Cursors` that a restart forgets."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def advance(self, update: CursorUpdate, done: CursorDone) -> None:
        """Merge ``update`` by maximum; ``done`` gets the state around it."""
        asyncio.get_running_loop().call_soon(done, self._advance(update))

    async def device(self, device: DeviceRef, conversation_id: str) -> int:
        """Return what the device has received."""
        return self._conversations.received(self._conversations.get(conversation_id), device)

    async def member(self, conversation_id: str, user_id: str) -> Watermark:
        """Return one member's watermarks."""
        return self._conversations.get(conversation_id).members.get(user_id, Watermark())

    async def members(self, conversation_id: str) -> Mapping[str, Watermark]:
        """Return the watermarks of all that ever had one there."""
        members = self._conversations.get(conversation_id).members
        return {user_id: mark for user_id, mark in members.items() if mark.delivered}

    async def start_device(self, device: DeviceRef) -> None:
        """Fix where a new device starts; nothing happens for one that started before."""
        if device in self._conversations.current:
            return
        self._conversations.current.add(device)
        self._conversations.revoked.discard(device)
        for conversation in self._conversations.of_user(device.user_id):
            mark = conversation.members.get(device.user_id, Watermark())
            conversation.received.setdefault(device, mark.delivered)

    async def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Drop the cursors of revoked devices; what their users had through them stays."""
        self.forget(devices)

    def forget(self, devices: Sequence[DeviceRef]) -> None:
        """Do what `forget_devices` does, at once."""
        self._conversations.current.difference_update(devices)
        self._conversations.revoked.update(devices)
        for conversation in self._conversations.all():
            for device in devices:
                conversation.received.pop(device, None)

    def _advance(self, update: CursorUpdate) -> CursorChange:
        conversation = self._conversations.get(update.conversation_id)
        device = DeviceRef(update.user_id, update.device_id)
        before = conversation.members.get(update.user_id, Watermark())
        conversation.merge(update.user_id, update.received, update.read)
        after = conversation.members[update.user_id]
        received = max(update.received, update.read)
        if device in self._conversations.revoked:
            return CursorChange(before, after, received)
        conversation.received[device] = max(received, conversation.received.get(device, 0))
        return CursorChange(before, after, self._conversations.received(conversation, device))
