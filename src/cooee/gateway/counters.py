"""What a gateway counts: plain integers, read by the metrics page, never reset."""

from bisect import bisect_left
from collections.abc import Sequence

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper ends of the latency buckets, in seconds; one more bucket has no end."""


class Histogram:
    """Counts per bucket and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_until(self, now: float, begun: Sequence[float]) -> None:
        """Count the time from each of ``begun`` until ``now``."""
        counts, bounds = self.counts, self.bounds
        for at in begun:
            counts[bisect_left(bounds, now - at)] += 1
        self.total += now * len(begun) - sum(begun)


class GatewayCounters:
    """One gateway's counters. `sessions` and `polls` go up and down, everything else only up."""

    __slots__ = (
        "ack_latency",
        "acks",
        "closed",
        "deliveries",
        "delivery_latency",
        "errors",
        "fetch_latency",
        "frames",
        "hand_overs",
        "hints",
        "internal_errors",
        "opened",
        "polls",
        "rate_limited",
        "replaced",
        "resends",
        "sessions",
        "slow_polls",
    )

    def __init__(self) -> None:
        self.sessions = 0
        """Sessions that have said hello and are live."""
        self.polls = 0
        """Long-polling sessions that are kept."""
        self.opened = 0
        self.replaced = 0
        self.slow_polls = 0
        """Long-polling sessions that were closed with 4008; WebSocket connections count theirs themselves."""
        self.closed: dict[int, int] = {}
        """Sessions that the server closed, by close code."""
        self.frames: dict[type, int] = {}
        """Client frames taken, by their struct; `frames_by_type` names them as on the wire."""
        self.errors: dict[str, int] = {}
        """Error frames sent, by code."""
        self.rate_limited = 0
        self.internal_errors = 0
        self.acks = 0
        self.deliveries = 0
        """``message`` frames sent, resends excepted."""
        self.resends = 0
        self.hints = 0
        self.hand_overs = 0
        """Conversations handed over to push for a device that did not answer."""
        self.ack_latency = Histogram()
        """Seconds from a ``send`` frame to its ack."""
        self.delivery_latency = Histogram()
        """Seconds from a message's routing to its frames being handed to the connections, once per message."""
        self.fetch_latency = Histogram()
        """Seconds from a ``fetch`` being served to its page being handed to the connection."""

    @property
    def frames_by_type(self) -> dict[str, int]:
        """Client frames taken, by the ``type`` that stands on the wire."""
        return {kind.__struct_config__.tag: count for kind, count in self.frames.items()}  # type: ignore[attr-defined]
