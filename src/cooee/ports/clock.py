"""Time, injected so that rules can be tested without waiting."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks: the wall for what people see, the monotonic one for intervals."""

    def wall_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC. May jump either way."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...
