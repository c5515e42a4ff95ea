"""The two clocks keep the promises of the port."""

import time

import pytest

from cooee.adapters.memory.clock import SystemClock
from tests.fakes.clock import ManualClock


def test_the_system_clock_tells_the_machines_time() -> None:
    clock = SystemClock()
    before = time.time_ns() // 1_000_000
    assert before <= clock.wall_ms() <= time.time_ns() // 1_000_000
    assert clock.monotonic() <= clock.monotonic()


def test_the_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(wall_ms=1000, monotonic=5.0)
    clock.advance(1.5)
    assert (clock.wall_ms(), clock.monotonic()) == (2500, 6.5)
    clock.jump_wall(10)
    assert (clock.wall_ms(), clock.monotonic()) == (10, 6.5)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)
