"""A time that does not jump ahead."""

from cooee.services.steady_time import SteadyTime
from tests.fakes.clock import ManualClock


def test_it_goes_with_the_clock() -> None:
    clock = ManualClock()
    steady = SteadyTime(clock)
    clock.advance(90)
    assert steady.now_ms() == clock.wall_ms()
    assert steady.age_s == 90


def test_a_jump_ahead_is_not_followed_and_one_back_is() -> None:
    clock = ManualClock(wall_ms=1_000_000)
    steady = SteadyTime(clock)
    clock.advance(10)
    clock.jump_wall(9_000_000)
    assert steady.now_ms() == 1_010_000
    clock.jump_wall(500_000)
    assert steady.now_ms() == 500_000
