"""The schedules of trying again: live delivery, and a client's reconnects."""

RESEND_AFTER_MS: tuple[int, ...] = (1000, 5000)
"""An unacknowledged message is sent again this long after its first sending (PROTOCOL.md §4)."""

HAND_OVER_AFTER_MS = 6000
"""What is still unacknowledged this long after its first sending goes to push."""


def full_jitter_ms(attempt: int, unit: float, base_ms: int = 500, cap_ms: int = 30_000) -> int:
    """Return how long to wait before reconnect ``attempt`` (0, 1, …); ``unit`` is uniform in [0, 1).

    Exponential with full jitter: the waits of many clients that were dropped together spread over the whole interval.
    """
    return int(min(cap_ms, base_ms * (1 << min(attempt, 16))) * unit)
