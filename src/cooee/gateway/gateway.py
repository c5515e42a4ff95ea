"""A gateway: live sessions on top of connections, whatever carries them, below the services."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Self

from cooee.domain.limits import Limits
from cooee.gateway.connection import Connection, Receiver
from cooee.gateway.counters import GatewayCounters
from cooee.gateway.deliver import Delivery
from cooee.gateway.dispatch import DISPATCH
from cooee.gateway.drain import drain
from cooee.gateway.longpoll import LongPolls, PollBounds
from cooee.gateway.services import GatewayServices
from cooee.gateway.session import Session
from cooee.gateway.shared import Shared
from cooee.gateway.wheel import TICK_S
from cooee.ports.clock import Clock
from cooee.ports.router import Routed
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollRequest, PollResponse

_log = logging.getLogger(__name__)


class Gateway:
    """Composes what sessions need. ``async with`` it, or call `start` and `aclose`."""

    def __init__(
        self,
        services: GatewayServices,
        server_id: str,
        limits: Limits,
        clock: Clock,
        poll_bounds: PollBounds | None = None,
    ) -> None:
        self._shared = Shared(services, server_id, limits, clock, DISPATCH)
        self._delivery = Delivery(self._shared)
        self._long_polls = LongPolls(self._shared, self.new_session, poll_bounds)
        self._ticking: asyncio.Task[None] | None = None
        services.presence.attach(self._shared.sessions.tell)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def counters(self) -> GatewayCounters:
        """What this gateway has counted."""
        counters = self._shared.counters
        counters.sessions = self._shared.sessions.count
        return counters

    @property
    def ready(self) -> bool:
        """Whether clients should come here: running and not draining."""
        return self._ticking is not None and not self._shared.draining

    def new_session(self, connection: Connection, head: object = None) -> Receiver:
        """Return the session of a new connection, which waits for its hello. ``head`` tells it nothing yet."""
        return Session(self._shared, connection)

    def receive(self, items: Sequence[Routed]) -> None:
        """Deliver what was routed to this gateway. Never raises."""
        self._delivery.receive(items)

    async def poll(self, request: PollRequest, token: str, peer: str) -> PollResponse:
        """Serve one `POST /v1/poll`. Raises what `LongPolls.poll` raises."""
        return await self._long_polls.poll(request, token, peer)

    def tick(self) -> None:
        """Serve the timers that are due. Called every `TICK_S` while the gateway runs."""
        self._shared.tick()
        self._long_polls.lapses.advance(self._shared.now)

    async def start(self) -> None:
        """Begin to listen to the router and to keep time."""
        await self._shared.services.router.subscribe(self._shared.server_id, self.receive)
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def drain(self, stop_accepting: Callable[[], None] = lambda: None, *, spread_s: float | None = None) -> None:
        """Let all clients leave for another server; see `drain.drain`. Not ready from the first moment on."""
        await drain(self._shared, self._long_polls, stop_accepting, spread_s=spread_s)

    async def aclose(self) -> None:
        """Close what is left, without waiting for clients, and stop."""
        self._shared.draining = True
        for session in self._shared.sessions.all():
            session.close(CloseCode.GOING_AWAY, "the server stops")
        self._long_polls.close_all(CloseCode.GOING_AWAY, "the server stops")
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            await self._shared.services.router.unsubscribe(self._shared.server_id)
        await self._shared.aclose()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.tick()
            except Exception:  # noqa: BLE001  # time goes on
                _log.exception("the gateway's timers failed")
