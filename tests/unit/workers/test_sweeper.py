"""Sweeping goes by record time, and a jump of the clock deletes nothing."""

import structlog

from cooee.ports.retention import SweepResult
from cooee.workers.sweeper import Sweeper
from tests.fakes.clock import ManualClock

DAY_MS = 86_400_000


class Broom:
    """Notes by which time it was asked to sweep."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def sweep(self, now_ms: int, limit: int) -> SweepResult:
        self.asked.append(now_ms)
        return SweepResult(messages=3)


async def test_time_that_passes_counts() -> None:
    clock, broom = ManualClock(), Broom()
    sweeper = Sweeper(broom, clock, 60, 0)
    clock.advance(86_400)
    await sweeper.sweep()
    assert broom.asked == [clock.wall_ms()]
    assert sweeper.swept == 3


async def test_a_clock_that_jumps_ahead_makes_nothing_old() -> None:
    clock, broom = ManualClock(), Broom()
    sweeper = Sweeper(broom, clock, 60, 0)
    start = clock.wall_ms()
    clock.jump_wall(start + 400 * DAY_MS)
    clock.advance(10)
    with structlog.testing.capture_logs() as entries:
        await sweeper.sweep()
        await sweeper.sweep()
    assert broom.asked == [start + 10_000] * 2
    assert [entry["event"] for entry in entries] == ["the wall clock jumped"]


async def test_a_clock_that_steps_back_is_believed() -> None:
    clock, broom = ManualClock(), Broom()
    sweeper = Sweeper(broom, clock, 60, 0)
    clock.jump_wall(clock.wall_ms() - 3 * DAY_MS)
    await sweeper.sweep()
    assert broom.asked == [clock.wall_ms()]
