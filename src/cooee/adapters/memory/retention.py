"""The broom in memory."""

from collections.abc import Callable

from cooee.adapters.memory.conversations import Conversation, Conversations
from cooee.ports.retention import DAY_MS, RetentionSettings, SweepResult

SweepToDevice = Callable[[int, int, int], int]
"""Removes to-device messages before the first and their dedup keys before the second time (ms), at most so many."""


class MemoryRetention:
    """`Retention` over what is in memory."""

    def __init__(
        self, conversations: Conversations, settings: RetentionSettings, sweep_to_device: SweepToDevice
    ) -> None:
        self._conversations = conversations
        self._settings = settings
        self._sweep_to_device = sweep_to_device

    async def sweep(self, now_ms: int, limit: int) -> SweepResult:
        """Remove at most ``limit`` expired things of each kind."""
        settings = self._settings
        conversations = self._conversations.all()
        messages = dedup_rows = 0
        for one in conversations:
            dedup_rows += self._forget_keys(one, now_ms, limit - dedup_rows)
        for one in conversations:
            messages += self._sweep_messages(one, now_ms, limit - messages)
            dedup_rows += self._forget_keys(one, now_ms, limit - dedup_rows)
        before_ms, dedup_before_ms = (now_ms - days * DAY_MS for days in (settings.to_device_days, settings.dedup_days))
        return SweepResult(messages, dedup_rows, self._sweep_to_device(before_ms, dedup_before_ms, limit))

    def _forget_keys(self, one: Conversation, now_ms: int, limit: int) -> int:
        """Forget the dedup keys of swept messages that are old enough."""
        before_ms = now_ms - self._settings.dedup_days * DAY_MS
        expired = [number for number, key in one.swept.items() if one.timestamps[number] < before_ms][: max(limit, 0)]
        for number in expired:
            key = one.swept.pop(number)
            if one.dedup[key].sequence_number == number:
                del one.dedup[key]
        return len(expired)

    def _sweep_messages(self, one: Conversation, now_ms: int, limit: int) -> int:
        members = one.current_members()
        devices = [device for device in self._conversations.current if device.user_id in members]
        received = min((self._conversations.received(one, device) for device in devices), default=one.last)
        removed = 0
        while removed < limit and one.first <= one.last:
            message = one.messages[one.first]
            settings = self._settings
            days = settings.message_days if one.first <= received else settings.undelivered_days
            if now_ms - message.timestamp < days * DAY_MS:
                break
            del one.messages[one.first]
            one.media.pop(one.first, None)
            key = (message.conversation_id, message.sender_id, message.device_id, message.client_message_id)
            one.swept[one.first] = key
            one.first += 1
            removed += 1
        return removed
