"""What all sessions of one gateway share, so that a session itself can stay small."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.domain.ratelimit import TokenBucket
from cooee.domain.scopes import Scope
from cooee.gateway.counters import GatewayCounters
from cooee.gateway.hand_over import HandOver
from cooee.gateway.registry import LocalSessions
from cooee.gateway.services import GatewayServices
from cooee.gateway.wheel import Wheel
from cooee.ports.clock import Clock
from cooee.protocol import frames

if TYPE_CHECKING:
    from cooee.gateway.session import Session

READS = 64
"""Sessions that read the store at the same time; the others wait their turn."""

_log = logging.getLogger(__name__)

Serve = Callable[["Session", Any], None]
"""Serves one client frame of a live session. May raise CooeeError, which answers the frame."""


class Shared:
    """One per gateway. ``now`` is monotonic seconds, at most a tick old; `tick` moves it and serves all timers."""

    def __init__(
        self,
        services: GatewayServices,
        server_id: str,
        limits: Limits,
        clock: Clock,
        dispatch: Mapping[type, tuple[Scope, Serve]],
    ) -> None:
        self.services = services
        self.server_id = server_id
        self.limits = limits
        self.clock = clock
        self.dispatch = dispatch
        self.now = clock.monotonic()
        self.counters = GatewayCounters()
        self.sessions = LocalSessions()
        self.frame_bucket = TokenBucket.of(limits.frames)
        self.send_bucket = TokenBucket.of(limits.sends)
        self.subscribe_bucket = TokenBucket.of(limits.presence_subscribes)
        self.reads = asyncio.Semaphore(READS)
        self.hand_over = HandOver(services.push_queue, clock, self.spawn)
        self.endings: deque[tuple[DeviceRef, str]] = deque()
        """Sessions that have ended and still stand in the registries: device and connectionId."""
        self.in_flight = 0
        """Messages that were taken and not answered yet."""
        self.draining = False
        self.hellos: Wheel[Session] = Wheel(self.now, lambda session, now: session.hello_due(now))
        self.heartbeats: Wheel[Session] = Wheel(self.now, lambda session, now: session.heartbeat_due(now))
        self.sweeps: Wheel[Session] = Wheel(self.now, lambda session, now: session.sweep_due(now))
        self._tasks: set[asyncio.Task[None]] = set()

    def welcome(self, user_id: str, device_id: str, connection_id: str, ref: str | None) -> frames.Welcome:
        """Return the answer to a device's hello."""
        limits = self.limits
        return frames.Welcome(
            user_id,
            device_id,
            connection_id,
            self.server_id,
            self.clock.wall_ms(),
            frames.Heartbeat(round(limits.heartbeat_interval_s * 1000), round(limits.heartbeat_timeout_s * 1000)),
            frames.WireLimits(
                limits.frame_bytes,
                limits.content_bytes,
                limits.window,
                limits.max_page,
                limits.presence_subscriptions,
                limits.group_members,
                limits.to_device_messages,
                limits.to_device_bytes,
                limits.large_group_members,
            ),
            ref,
        )

    def tick(self) -> None:
        """Look at the clock, and serve every timer that is due."""
        self.now = now = self.clock.monotonic()
        self.hellos.advance(now)
        self.heartbeats.advance(now)
        self.sweeps.advance(now)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside everything else; its failure is logged and ends nothing but itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Cancel what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, timeout_s: float) -> None:
        """Wait until nothing runs any more, at most ``timeout_s``."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.counters.internal_errors += 1
            _log.error("a task of a session failed", exc_info=problem)
