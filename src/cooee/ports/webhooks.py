"""Outgoing webhooks: a device of a bot each, what is on its way to it, and what could not be brought."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cooee.domain.ids import DeviceRef


class Part(msgspec.Struct, frozen=True):
    """The messages ``first`` to ``last`` of a conversation."""

    conversation_id: str
    first: int
    last: int


class Batch(msgspec.Struct, frozen=True):
    """What one request brings, and how often that was tried. Times in ms; ``next_at`` 0: at once.

    ``delivery_id`` stays the same over all attempts: receivers know by it what they have already. ``settled``: it was
    given up; only the device's watermark is still to be moved.
    """

    delivery_id: str
    parts: tuple[Part, ...]
    began_at: int
    attempts: int = 0
    next_at: int = 0
    settled: bool = False


class Webhook(msgspec.Struct, frozen=True):
    """One outgoing webhook; it is the device ``(bot_id, webhook_id)``, and ends with it. Times in ms, 0: never.

    ``former_secret`` signs beside ``secret`` until ``former_until``. ``disabled_because`` says who or what disabled
    it, empty while it is enabled. ``dead_in_row``: dead letters since the last success.
    """

    bot_id: str
    webhook_id: str
    url: str
    secret: bytes
    created_at: int
    events: tuple[str, ...] = ("message",)
    former_secret: bytes = b""
    former_until: int = 0
    disabled_because: str = ""
    batch: Batch | None = None
    dead_in_row: int = 0
    delivered_at: int = 0
    error: str = ""
    error_at: int = 0
    dead_letters: int = 0
    """How many are kept; counted by the store, not stored."""

    @property
    def ref(self) -> DeviceRef:
        """The device that it is."""
        return DeviceRef(self.bot_id, self.webhook_id)


class DeadLetter(msgspec.Struct, frozen=True):
    """What was given up. ``number`` is given by the store and grows; ``requested``: its owner wants one more attempt.

    It names messages and holds none: what is deleted or swept meanwhile is not sent any more.
    """

    letter_id: str
    parts: tuple[Part, ...]
    died_at: int
    attempts: int
    error: str
    requested: bool = False
    number: int = 0


CHANGEABLE = frozenset(Webhook.__struct_fields__) - {"bot_id", "webhook_id", "created_at", "dead_letters"}
"""What `Webhooks.update` may change."""


class Webhooks(Protocol):
    """The webhooks of all bots. What belongs to a webhook goes when its device is revoked, in the same step."""

    async def create(self, webhook: Webhook, limit: int) -> None:
        """Store a new webhook, whose device exists. Durable, and atomic: the count is looked at in it.

        Raises:
            CooeeError: ``not_found`` when the device is gone, ``too_large`` when the bot has ``limit`` webhooks.
        """
        ...

    async def of_bot(self, bot_id: str) -> Sequence[Webhook]:
        """Return the bot's webhooks, oldest first."""
        ...

    async def enabled(self) -> Sequence[Webhook]:
        """Return all webhooks that are not disabled."""
        ...

    async def update(self, ref: DeviceRef, changes: Mapping[str, Any]) -> Webhook | None:
        """Set the named fields and return the new state; None when there is no such webhook (any more). Durable.

        Raises:
            ValueError: ``changes`` names something that is not in `CHANGEABLE`.
        """
        ...

    async def bury(self, ref: DeviceRef, letter: DeadLetter, changes: Mapping[str, Any], keep: int) -> int:
        """Store a dead letter and the webhook's ``changes`` in one durable step; return how many were dropped.

        Beyond ``keep`` of them the oldest go. A letter of the same id is replaced and counts as the newest.
        """
        ...

    async def dead_letters(
        self, ref: DeviceRef, before: int, limit: int, *, requested: bool = False
    ) -> Sequence[DeadLetter]:
        """Return dead letters below the number ``before`` (0: from the newest), newest first."""
        ...

    async def request(self, ref: DeviceRef, letter_id: str | None) -> int:
        """Mark a dead letter, or all, for one more attempt; return how many there are to mark. Durable."""
        ...

    async def settle(self, ref: DeviceRef, letter_id: str, error: str | None) -> None:
        """End the attempt at a marked letter: None removes it, an error is kept with it. Durable."""
        ...
