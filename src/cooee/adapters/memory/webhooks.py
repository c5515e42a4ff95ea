"""Outgoing webhooks in dictionaries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.webhooks import CHANGEABLE, DeadLetter, Webhook


class MemoryWebhooks:
    """`Webhooks` that a restart forgets. ``exists`` tells whether a device is there."""

    def __init__(self, exists: Callable[[DeviceRef], bool]) -> None:
        self._exists = exists
        self._webhooks: dict[DeviceRef, Webhook] = {}
        self._letters: dict[DeviceRef, dict[str, DeadLetter]] = {}
        self._number = 0

    async def create(self, webhook: Webhook, limit: int) -> None:
        """Store a new webhook, whose device exists."""
        if not self._exists(webhook.ref):
            raise not_found("the webhook's device")
        if len(await self.of_bot(webhook.bot_id)) >= limit:
            raise CooeeError(ErrorCode.TOO_LARGE, f"a bot has at most {limit} webhooks")
        self._webhooks[webhook.ref] = webhook

    async def of_bot(self, bot_id: str) -> Sequence[Webhook]:
        """Return the bot's webhooks, oldest first."""
        own = (self._counted(webhook) for webhook in self._webhooks.values() if webhook.bot_id == bot_id)
        return sorted(own, key=lambda webhook: (webhook.created_at, webhook.webhook_id))

    async def enabled(self) -> Sequence[Webhook]:
        """Return all webhooks that are not disabled."""
        return [self._counted(webhook) for webhook in self._webhooks.values() if not webhook.disabled_because]

    async def update(self, ref: DeviceRef, changes: Mapping[str, Any]) -> Webhook | None:
        """Set the named fields and return the new state; None when there is no such webhook."""
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"not changeable: {sorted(changes.keys() - CHANGEABLE)}")
        if ref not in self._webhooks:
            return None
        self._webhooks[ref] = msgspec.structs.replace(self._webhooks[ref], **changes)
        return self._counted(self._webhooks[ref])

    async def bury(self, ref: DeviceRef, letter: DeadLetter, changes: Mapping[str, Any], keep: int) -> int:
        """Store a dead letter and the webhook's changes; return how many were dropped."""
        if await self.update(ref, changes) is None:
            return 0
        letters = self._letters.setdefault(ref, {})
        letters.pop(letter.letter_id, None)
        self._number += 1
        letters[letter.letter_id] = msgspec.structs.replace(letter, number=self._number)
        surplus = list(letters)[: max(0, len(letters) - keep)]
        for letter_id in surplus:
            del letters[letter_id]
        return len(surplus)

    async def dead_letters(
        self, ref: DeviceRef, before: int, limit: int, *, requested: bool = False
    ) -> Sequence[DeadLetter]:
        """Return dead letters below the number ``before`` (0: from the newest), newest first."""
        found = [
            letter
            for letter in self._letters.get(ref, {}).values()
            if (not before or letter.number < before) and (letter.requested or not requested)
        ]
        return found[::-1][:limit]

    async def request(self, ref: DeviceRef, letter_id: str | None) -> int:
        """Mark a dead letter, or all, for one more attempt; return how many there are to mark."""
        letters = self._letters.get(ref, {})
        marked = list(letters) if letter_id is None else [one for one in letters if one == letter_id]
        for one in marked:
            letters[one] = msgspec.structs.replace(letters[one], requested=True)
        return len(marked)

    async def settle(self, ref: DeviceRef, letter_id: str, error: str | None) -> None:
        """End the attempt at a marked letter: None removes it, an error is kept with it."""
        letters = self._letters.get(ref, {})
        letter = letters.get(letter_id)
        if letter is None:
            return
        if error is None:
            del letters[letter_id]
        else:
            letters[letter_id] = msgspec.structs.replace(
                letter, error=error, attempts=letter.attempts + 1, requested=False
            )

    def forget_devices(self, gone: Sequence[DeviceRef]) -> None:
        """Remove the webhooks that these devices are."""
        for ref in gone:
            self._webhooks.pop(ref, None)
            self._letters.pop(ref, None)

    def _counted(self, webhook: Webhook) -> Webhook:
        return msgspec.structs.replace(webhook, dead_letters=len(self._letters.get(webhook.ref, {})))
