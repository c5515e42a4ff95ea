"""An event loop of which turns and time are in the test's hand."""

import asyncio
from collections.abc import Callable
from typing import Any


class HandLoop:
    """The part of an event loop that connections use. Turns and time pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], object]] = []
        self.later: list[tuple[float, Callable[[], object]]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        loop: Any = self
        handle = asyncio.TimerHandle(self.now + delay, callback, (), loop)
        self.later.append((self.now + delay, lambda: handle.cancelled() or callback()))
        return handle

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: object) -> None:
        """Nothing to do: a cancelled timer does nothing when it is due."""

    def turn(self) -> None:
        """Run what was scheduled for the end of this turn."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [callback for when, callback in self.later if when <= self.now]
        self.later = [timer for timer in self.later if timer[0] > self.now]
        for callback in due:
            callback()
