"""What is thrown away, and when."""

from typing import Protocol

import msgspec

DAY_MS = 24 * 3600 * 1000


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept, in days of record time."""

    message_days: int = 30
    undelivered_days: int = 90
    dedup_days: int = 31
    to_device_days: int = 90


class SweepResult(msgspec.Struct, frozen=True):
    """How many rows one sweep removed."""

    messages: int = 0
    dedup_rows: int = 0
    to_device: int = 0


class Retention(Protocol):
    """The store's broom. Each call does a bounded piece of work, so that sends are never held up for long."""

    async def sweep(self, now_ms: int, limit: int) -> SweepResult:
        """Remove at most ``limit`` expired rows of each kind, by record time against ``now_ms``.

        Messages after 30 days once every current device of every member has received them, after 90 days in any case;
        dedup rows after 31 days; to-device messages after 90 days. Ends of retention come from the configuration.
        Numbers are never given again.
        """
        ...
