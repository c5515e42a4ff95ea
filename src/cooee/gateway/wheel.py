"""Many coarse timers for the price of one: items wait in buckets of a quarter of a second, and one tick serves all."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK_S = 0.25
"""How late a timer may be, and how often `Wheel.advance` should be called."""

_log = logging.getLogger(__name__)


class Wheel(Generic[Item]):
    """Timers of one purpose. An item costs one list entry while it waits.

    ``fire`` gets the item and the time, and returns when the item is due again, or 0.0: never. An item that is not
    wanted any more is not removed: ``fire`` finds that out.
    """

    __slots__ = ("_buckets", "_fire", "_last")

    def __init__(self, now: float, fire: Callable[[Item, float], float]) -> None:
        self._fire = fire
        self._last = int(now / TICK_S)
        self._buckets: dict[int, list[Item]] = {}

    def __len__(self) -> int:
        """Return how many items wait."""
        return sum(len(items) for items in self._buckets.values())

    def add(self, item: Item, due: float) -> None:
        """Have ``item`` fired at ``due`` (monotonic seconds) or up to two ticks later."""
        tick = int(due / TICK_S) + 1
        if tick <= self._last:
            tick = self._last + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [item]
        else:
            bucket.append(item)

    def advance(self, now: float) -> None:
        """Fire everything that is due at ``now``. A failing item is logged and hinders no other."""
        current = int(now / TICK_S)
        if current <= self._last:
            return
        if current - self._last > len(self._buckets):
            due = sorted(tick for tick in self._buckets if tick <= current)
        else:
            due = [tick for tick in range(self._last + 1, current + 1) if tick in self._buckets]
        self._last = current
        for tick in due:
            for item in self._buckets.pop(tick):
                try:
                    again = self._fire(item, now)
                except Exception:  # noqa: BLE001  # one item's bug is not the others'
                    _log.exception("a timer failed")
                    continue
                if again:
                    self.add(item, again)
