"""A clock that stands still until a test moves it."""


class ManualClock:
    """`Clock` with both hands in the test's hand."""

    def __init__(self, wall_ms: int = 1_764_000_000_000, monotonic: float = 1000.0) -> None:
        self._wall_ms = wall_ms
        self._monotonic = monotonic

    def wall_ms(self) -> int:
        """Return the wall time in ms, as last set."""
        return self._wall_ms

    def monotonic(self) -> float:
        """Return the monotonic time in seconds, as last set."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError("monotonic time never goes back; use jump_wall")
        self._monotonic += seconds
        self._wall_ms += round(seconds * 1000)

    def jump_wall(self, wall_ms: int) -> None:
        """Set the wall clock alone, either way, as an operator or NTP does."""
        self._wall_ms = wall_ms
