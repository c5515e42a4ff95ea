"""From live delivery to push: what a device did not acknowledge in time is written to the push queue."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.gateway.outbox import Covered
from cooee.ports.clock import Clock
from cooee.ports.push_queue import PushEntry, PushQueue

MAX_WAITING = 100_000
"""Entries kept while the queue takes nothing; beyond them the newest are dropped: the timeline still has all."""
RETRY_S = 1.0

_log = logging.getLogger(__name__)


class HandOver:
    """Collects entries and writes them together, one write at a time."""

    __slots__ = ("_clock", "_queue", "_spawn", "_waiting", "_writing")

    def __init__(self, queue: PushQueue, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._queue = queue
        self._clock = clock
        self._spawn = spawn
        self._waiting: list[PushEntry] = []
        self._writing = False

    def add(self, device: DeviceRef, uncovered: Sequence[Covered], delay_ms: int = 0) -> None:
        """Hand over what ``device`` has not acknowledged, to be pushed after ``delay_ms``."""
        if not uncovered or len(self._waiting) >= MAX_WAITING:
            return
        due_at = self._clock.wall_ms() + delay_ms
        self._waiting += [
            PushEntry(device.user_id, device.device_id, conversation_id, number, due_at)
            for conversation_id, number in uncovered
        ]
        if not self._writing:
            self._writing = True
            self._spawn(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting:
                entries, self._waiting = self._waiting, []
                try:
                    await self._queue.append(entries)
                except CooeeError:
                    self._waiting = entries + self._waiting
                    _log.warning("the push queue takes nothing now; %d entries wait", len(self._waiting))
                    await asyncio.sleep(RETRY_S)
        finally:
            self._writing = False
