"""What scenarios have in common: where figures come from, and how far a long one is."""

from collections.abc import Callable, Sequence
from typing import Any

Figures = dict[str, Any]
"""What a scenario found, by documented name (docs/performance.md)."""
Progress = Callable[[str, float, float], None]
"""Told what is being done, how much of it is done, and how much there is."""


def no_progress(_what: str, _done: float, _total: float) -> None:
    """Tell nobody."""


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return p50 and p99 in milliseconds, or None without samples."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {"p50": _ms(ordered, 0.5), "p99": _ms(ordered, 0.99)}


def share(seconds: Sequence[float], part: float) -> float | None:
    """Return the time (ms) within which ``part`` (0 to 1) of the samples lie, or None without samples."""
    return _ms(sorted(seconds), part) if seconds else None


def rounded(value: float | None, digits: int) -> float | None:
    """Return the value with so many digits behind the point; None stays None."""
    return None if value is None else round(value, digits)


def _ms(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)
