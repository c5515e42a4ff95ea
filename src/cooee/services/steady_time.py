"""A wall time for what cannot be taken back: it does not jump ahead."""

from cooee.ports.clock import Clock


class SteadyTime:
    """The earlier of two: what the wall clock says, and what it said at first plus the time that has passed since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall_at_start = clock.wall_ms()
        self._start = clock.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the object was made: a clock that was wrong at boot has been set right after some of them."""
        return self._clock.monotonic() - self._start

    def now_ms(self) -> int:
        """Return the time (ms) by which things become old."""
        return min(self._clock.wall_ms(), self._wall_at_start + round(self.age_s * 1000))
