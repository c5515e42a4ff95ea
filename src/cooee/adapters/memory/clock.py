"""The real clocks of this machine."""

import time


class SystemClock:
    """`Clock` by the operating system."""

    __slots__ = ()

    def wall_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC. May jump either way."""
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)
    """Return seconds from an arbitrary start; never goes back. Called several times a message: no frame of its own."""
