"""Leaving without losing anybody: tell the clients, wait for them, answer what was taken, close (PROTOCOL.md §10)."""

import asyncio
import logging
import random
from collections.abc import Callable

from cooee.gateway.longpoll import LongPolls
from cooee.gateway.shared import Shared
from cooee.protocol.codec import encode
from cooee.protocol.codes import CloseCode
from cooee.protocol.frames import Reconnect

PACE_PER_S = 1000
"""Clients that come back elsewhere in a second, at most: the delays spread over the time that takes."""
SPREAD_OF_DRAIN = 0.8
"""The part of the drain time over which delays spread, so that the last ones leave in time."""
ANSWER_S = 5.0
"""How long messages that were taken may take to be answered."""
CLOSE_S = 3.0
"""How long closing handshakes may take."""
_LOOK_S = 0.02

_log = logging.getLogger(__name__)


async def drain(
    shared: Shared, long_polls: LongPolls, stop_accepting: Callable[[], None], *, spread_s: float | None = None
) -> None:
    """Drain the gateway: no new sessions, ``reconnect`` to all, up to ``limits.drain_s`` to leave, then 1001.

    Every message that was taken is answered before its connection is closed. ``spread_s``: over how many seconds the
    clients come back; by default as long as `PACE_PER_S` needs. Returns when all sessions are gone.
    """
    shared.draining = True
    stop_accepting()
    count = shared.sessions.count
    if count:
        _log.info("draining %d sessions", count)
        await _tell(shared, _spread_ms(shared, count, spread_s))
        await _until(lambda: not shared.sessions.count, shared.limits.drain_s)
    await _until(lambda: not shared.in_flight, ANSWER_S)
    async for session in shared.sessions.slices():
        session.close(CloseCode.GOING_AWAY, "draining")
    long_polls.close_all(CloseCode.GOING_AWAY, "draining")
    await shared.settle(CLOSE_S)


async def _tell(shared: Shared, spread_ms: int) -> None:
    """Send each session its own delay, in random order."""
    delays = random.sample(range(spread_ms), min(shared.sessions.count, spread_ms))
    async for session in shared.sessions.slices():
        delay_ms = delays.pop() if delays else random.randrange(spread_ms)  # noqa: S311  # only spreads load
        if session.is_live:
            session.connection.send(encode(Reconnect("server_drain", delay_ms)))


def _spread_ms(shared: Shared, count: int, spread_s: float | None) -> int:
    longest = shared.limits.drain_s * SPREAD_OF_DRAIN
    wanted = count / PACE_PER_S if spread_s is None else spread_s
    return max(1, count, round(min(wanted, longest) * 1000))


async def _until(done: Callable[[], bool], seconds: float) -> None:
    """Wait until ``done`` or for ``seconds``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not done() and loop.time() < deadline:  # noqa: ASYNC110  # what it waits for is counted, not announced
        await asyncio.sleep(_LOOK_S)
