"""Retention at work: what has expired is swept away in small pieces, and a clock that jumps deletes nothing.

The time that counts is the earlier of two: what the wall clock says, and what it said when this process started plus
the time that has passed since. So a wall clock that jumps ahead makes nothing old, and one that was wrong at boot is
set right, as a rule, before the first sweep.
"""

import asyncio

import structlog

from cooee.domain.errors import CooeeError
from cooee.ports.clock import Clock
from cooee.ports.retention import Retention, SweepResult

JUMP_MS = 5 * 60 * 1000
"""Difference between the two times from which it is called a jump, and logged."""
BATCH = 2000
"""Rows of each kind in one step."""
_PAUSE_S = 0.05

_log = structlog.get_logger(__name__)


class Sweeper:
    """Calls the store's broom. ``swept`` counts the messages that were removed."""

    def __init__(self, retention: Retention, clock: Clock, interval_s: float, first_after_s: float) -> None:
        self._retention = retention
        self._clock = clock
        self._interval_s = interval_s
        self._first_after_s = first_after_s
        self._wall_at_start = clock.wall_ms()
        self._start = clock.monotonic()
        self._jumped = False
        self.swept = 0

    async def run(self) -> None:
        """Sweep now and then, until cancelled. A failure is logged and tried again."""
        await asyncio.sleep(self._first_after_s)
        while True:
            more = False
            try:
                more = _is_full(await self.sweep())
            except CooeeError as refusal:
                _log.warning("what has expired cannot be swept now", problem=str(refusal))
            except Exception:  # noqa: BLE001  # the next sweep comes
                _log.exception("what has expired could not be swept")
            await asyncio.sleep(_PAUSE_S if more else self._interval_s)

    async def sweep(self) -> SweepResult:
        """Do one bounded step and return what was removed."""
        result = await self._retention.sweep(self.now_ms(), BATCH)
        self.swept += result.messages
        return result

    def now_ms(self) -> int:
        """Return the time by which things expire (ms)."""
        wall = self._clock.wall_ms()
        expected = self._wall_at_start + round((self._clock.monotonic() - self._start) * 1000)
        jumped = abs(wall - expected) > JUMP_MS
        if jumped and not self._jumped:
            _log.warning("the wall clock jumped", by_s=(wall - expected) // 1000)
        self._jumped = jumped
        return min(wall, expected)


def _is_full(result: SweepResult) -> bool:
    return max(result.messages, result.dedup_rows, result.to_device) >= BATCH
