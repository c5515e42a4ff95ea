"""The shared timers."""

from itertools import pairwise

import pytest

from cooee.gateway.wheel import TICK_S, Wheel


def test_an_item_fires_when_it_is_due_and_not_before() -> None:
    fired: list[tuple[str, float]] = []

    def fire(item: str, now: float) -> float:
        fired.append((item, now))
        return 0.0

    wheel = Wheel(100.0, fire)
    wheel.add("a", 101.0)
    wheel.add("b", 100.0)
    wheel.advance(100.1)
    wheel.advance(100.3)
    assert fired == [("b", 100.3)]
    wheel.advance(100.99)
    assert len(fired) == 1
    wheel.advance(101.0 + 2 * TICK_S)
    assert [item for item, _ in fired] == ["b", "a"]
    assert len(wheel) == 0


def test_an_item_may_ask_to_be_fired_again() -> None:
    times = []

    def fire(_: str, now: float) -> float:
        times.append(now)
        return now + 1.0 if len(times) < 3 else 0.0

    wheel = Wheel(0.0, fire)
    wheel.add("a", 1.0)
    for tick in range(40):
        wheel.advance(tick * TICK_S)
    assert len(times) == 3
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


def test_a_long_pause_fires_everything_in_order() -> None:
    fired: list[str] = []

    def fire(item: str, now: float) -> float:
        fired.append(item)
        return 0.0

    wheel = Wheel(0.0, fire)
    for name, due in (("c", 900.0), ("a", 1.0), ("b", 30.0)):
        wheel.add(name, due)
    wheel.advance(10_000.0)
    assert fired == ["a", "b", "c"]


def test_a_failing_item_hinders_no_other(caplog: pytest.LogCaptureFixture) -> None:
    fired: list[str] = []

    def fire(item: str, now: float) -> float:
        if item == "bad":
            raise RuntimeError("planted")
        fired.append(item)
        return 0.0

    wheel = Wheel(0.0, fire)
    wheel.add("bad", 1.0)
    wheel.add("good", 1.0)
    wheel.advance(2.0)
    assert fired == ["good"]
    assert "a timer failed" in caplog.text
