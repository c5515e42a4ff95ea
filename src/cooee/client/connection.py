"""Keeps a connection: carries frames, notices its end, and comes back (PROTOCOL.md §2, §10, §12).

A WebSocket if possible, long polling where that is refused, and the WebSocket again as soon as it gets through.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress

import msgspec

from cooee.client.errors import ConnectionFailed, ServerError, Stopped, StoreError
from cooee.client.events import ConnectionState
from cooee.client.ledger import Ledger
from cooee.client.live import Live
from cooee.client.opening import Ending, Greeted, HelloRefused, Links, Opening, ending_of, forbidden_ending
from cooee.client.transport import (
    ABNORMAL,
    Transport,
    TransportClosed,
    TransportRefused,
    TransportUnreachable,
)
from cooee.client.turn import Turn
from cooee.client.unsealing import decode_message
from cooee.domain.errors import ErrorCode
from cooee.domain.retry import full_jitter_ms
from cooee.protocol import codec, frames
from cooee.protocol.codes import CloseCode

_SEND_S = 10.0
_INBOX_LIMIT = 2_000
_PROBE_LONGEST_MS = 600_000


class Connection:
    """The connection of one client; `run` until `close`.

    ``probe_ms``: how long long polling goes on before the WebSocket is tried again; twice as long after each try that
    fails. ``renew`` gets a new token when the server does not take the old one; it is called once.
    ``unit`` is uniform in [0, 1) and spreads the waits.
    """

    def __init__(
        self,
        ledger: Ledger,
        live: Live,
        links: Links,
        opening: Opening,
        *,
        probe_ms: int = 60_000,
        renew: Callable[[], Awaitable[bool]] | None = None,
        unit: Callable[[], float] = random.random,
    ) -> None:
        self.state = ConnectionState("connecting")
        self.stopped: Stopped | None = None
        self._ledger = ledger
        self._live = live
        self._links = links
        self._opening = opening
        self._probe_ms = probe_ms
        self._renew = renew
        self._unit = unit
        self._closing = asyncio.Event()
        self._wake = asyncio.Event()
        self._inbox: deque[bytes] = deque()
        self._inbox_taken = asyncio.Event()
        self._end: Exception | None = None
        self._prepared: Transport | None = None
        self._probe_at = 0
        self._probe_wait = probe_ms
        self._leave_at: int | None = None
        self._online = False
        self._asked: set[tuple[str, bool]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    # --- from outside

    def wake(self) -> None:
        """Look again for something to send."""
        self._wake.set()

    def close(self) -> None:
        """Say what is still to be said, close, and let `run` return."""
        self._closing.set()
        self._wake.set()

    async def ended(self) -> None:
        """Return once `run` has told its last state."""
        await self._ended.wait()

    async def run(self) -> None:
        """Keep the connection until `close`, or until the server says not to come back."""
        attempt = 0
        try:
            while not self._closing.is_set():
                ending = await self._once()
                self._ledger.disconnected()
                self._ledger.state.outbox.disconnected()
                if ending.stop is not None and not await self._renewed(ending.stop):
                    self._stop(ending.stop)
                    return
                if self._closing.is_set():
                    return
                if self._online or ending.stop is not None:
                    attempt = 0
                delay = ending.delay_ms
                if delay is None:
                    delay = full_jitter_ms(attempt, self._unit())
                    attempt += 1
                self._tell(ConnectionState("waiting", "", delay, ending.reason))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), delay / 1000)
        except Exception as bug:
            self._stop(Stopped(CloseCode.INTERNAL, f"the client failed: {bug!r}; this is a bug, please report it"))
            raise
        finally:
            await self._cancel_tasks()
            if self._prepared is not None:
                await self._prepared.close()
            if self.stopped is None:
                self._tell(ConnectionState("stopped", reason="closed"))
            self._ended.set()

    async def _renewed(self, stop: Stopped) -> bool:
        """Log in again, once, when the token is refused and a password is at hand."""
        if self._renew is None or stop.code != CloseCode.UNAUTHORIZED:
            return False
        renew, self._renew = self._renew, None
        return await renew()

    def _stop(self, stop: Stopped) -> None:
        self.stopped = stop
        self._tell(ConnectionState("stopped", "", 0, stop.message))
        self._ledger.stop(stop)

    def _tell(self, state: ConnectionState) -> None:
        self.state = state
        self._ledger.emit(state)
        self._ledger.wake()

    async def _once(self) -> Ending:
        """Open one connection and carry frames until it ends."""
        self._online = False
        self._tell(ConnectionState("connecting"))
        prepared, self._prepared = self._prepared, None
        try:
            greeted = await self._opening.open(prepared)
        except HelloRefused as refused:
            return refused.ending
        except ServerError as problem:
            if problem.code == ErrorCode.UNAUTHORIZED:
                return ending_of(CloseCode.UNAUTHORIZED, problem.message)
            if problem.code == ErrorCode.FORBIDDEN:
                return forbidden_ending(problem.message)
            return Ending(problem.message, problem.retry_after_ms)
        except (ConnectionFailed, TransportUnreachable, TransportRefused, StoreError) as problem:
            return Ending(str(problem))
        try:
            return await self._session(greeted)
        finally:
            await self._cancel_tasks()
            await greeted.transport.close(CloseCode.NORMAL)

    # --- carrying frames

    async def _session(self, greeted: Greeted) -> Ending:
        clock = self._ledger.clock
        transport = greeted.transport
        self._begin(greeted)
        self._spawn(self._read(transport))
        while True:
            await self._work_or_time()
            end = self._end
            try:
                await self._ledger.room()
                await self._take_in()
                if end is None:
                    await self._send_due(transport)
            except StoreError as problem:
                return Ending(str(problem))
            except TransportClosed as closed:
                end = closed
            if end is not None:
                return self._how_it_ended(end)
            if self._closing.is_set():
                return Ending("closed", 0)
            if self._prepared is not None or self._is_due(self._leave_at):
                return Ending("moving on", 0)
            if self._live.is_dead(clock()):
                return Ending("the server went silent")
            if transport.name == "longpoll" and self._opening.choice == "auto" and self._is_due(self._probe_at):
                self._probe_at = clock() + _PROBE_LONGEST_MS
                self._spawn(self._probe())

    def _begin(self, greeted: Greeted) -> None:
        transport = greeted.transport
        self._end = None
        self._leave_at = None
        self._asked.clear()
        self._inbox = deque(greeted.rest)
        self._wake.set()
        if transport.name == "websocket":
            self._probe_wait = self._probe_ms
        else:
            self._probe_at = self._ledger.clock() + self._probe_wait
        self._ledger.connected()
        self._live.connected(greeted.welcome, self._ledger.clock(), heartbeat=transport.name == "websocket")
        self._tell(ConnectionState("catching_up", transport.name))

    def _is_due(self, at: int | None) -> bool:
        return at is not None and self._ledger.clock() >= at

    def _how_it_ended(self, end: Exception) -> Ending:
        ending = Ending(str(end))
        if isinstance(end, TransportClosed):
            ending = ending_of(end.code, end.reason)
        if self._leave_at is not None and ending.stop is None:
            return ending._replace(delay_ms=max(self._leave_at - self._ledger.clock(), 0))
        return ending

    async def _read(self, transport: Transport) -> None:
        """Fill the inbox; a pause here lets the peer's window fill instead of our memory."""
        try:
            while True:
                payloads = await transport.receive()
                self._live.heard(self._ledger.clock())
                self._inbox.extend(payloads)
                self._wake.set()
                while len(self._inbox) >= _INBOX_LIMIT:
                    self._inbox_taken.clear()
                    await self._inbox_taken.wait()
        except (TransportClosed, TransportRefused, TransportUnreachable) as end:
            self._end = end
            self._wake.set()

    async def _work_or_time(self) -> None:
        now = self._ledger.clock()
        until = self._live.next_due(now)
        for other in (self._leave_at, self._probe_at if self._probe_at > now else None):
            until = until if other is None else min(until, other)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(until - now, 0) / 1000)
        self._wake.clear()

    async def _take_in(self) -> None:
        """Store what came, let the state follow, then let the connection's side follow that."""
        payloads = tuple(self._inbox)
        self._inbox.clear()
        self._inbox_taken.set()
        taken = [frame for frame in map(_decode, payloads) if frame is not None]
        expiring = any(until <= self._ledger.clock() for until in self._ledger.state.typing.values())
        if not taken and not expiring:
            return
        await self._ledger.acquaint(_messages(taken))
        turn = await self._ledger.step(lambda turn: _fill(turn, taken))
        now = self._ledger.clock()
        for frame in taken:
            self._live.answered(frame, now)
            if isinstance(frame, frames.Reconnect):
                self._leave_at = now + frame.delay_ms
            elif isinstance(frame, frames.CaughtUp):
                self._spawn(self._caught_up(frame.sync_token))
        self._live.absorb(turn, now)
        self._ask_for_details(turn)

    async def _send_due(self, transport: Transport) -> None:
        if self._closing.is_set():
            self._live.hurry()
        outgoing = self._live.due(self._ledger.clock())
        if not outgoing:
            return
        try:
            async with asyncio.timeout(_SEND_S):
                await transport.send([codec.encode(frame) for frame in outgoing])
        except TimeoutError:
            raise TransportClosed(ABNORMAL, "the server takes nothing more") from None

    # --- beside the frames

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _caught_up(self, sync_token: str) -> None:
        """Everything that was missed is here. The first token counts from a list that is read after it was given."""
        with suppress(ServerError, ConnectionFailed, StoreError):
            first = self._ledger.state.sync_token is None
            fill = await self._links.load_conversations() if first else None

            def go_on(turn: Turn) -> None:
                if fill is not None:
                    fill(turn)
                turn.sync_token = sync_token

            turn = await self._ledger.step(go_on)
            self._live.absorb(turn, self._ledger.clock())
        self._live.caught_up()
        self._online = True
        self._tell(ConnectionState("online", self.state.transport))
        self._wake.set()

    def _ask_for_details(self, turn: Turn) -> None:
        for conversation_id in turn.rosters:
            self._ask(conversation_id, roster=True)
        for conversation_id, conversation in turn.conversations.items():
            if conversation.learned and not conversation.title and self._ledger.state.sync_token is not None:
                self._ask(conversation_id, roster=False)

    def _ask(self, conversation_id: str, *, roster: bool) -> None:
        if (conversation_id, roster) not in self._asked:
            self._asked.add((conversation_id, roster))
            self._spawn(self._load_details(conversation_id, roster=roster))

    async def _load_details(self, conversation_id: str, *, roster: bool) -> None:
        with suppress(ServerError, ConnectionFailed, StoreError):
            turn = await self._ledger.step(await self._links.load_details(conversation_id, roster=roster))
            self._live.absorb(turn, self._ledger.clock())
            self._wake.set()

    async def _probe(self) -> None:
        """See whether a WebSocket gets through by now."""
        websocket = self._links.websocket()
        try:
            await websocket.open()
        except (TransportRefused, TransportUnreachable):
            self._probe_wait = min(self._probe_wait * 2, _PROBE_LONGEST_MS)
            self._probe_at = self._ledger.clock() + self._probe_wait
        else:
            self._prepared = websocket
        self._wake.set()


def _decode(payload: bytes) -> frames.ServerFrame | None:
    """Return the frame; None for what a newer or broken server says: the rest of the connection is not lost by it."""
    try:
        return codec.decode_server(payload)
    except (msgspec.DecodeError, RecursionError):
        return None


def _messages(taken: Iterable[frames.ServerFrame]) -> Iterator[frames.MessageFrame]:
    """Yield the messages among frames, and in pages among them."""
    for frame in taken:
        if isinstance(frame, frames.MessageFrame):
            yield frame
        elif isinstance(frame, frames.Messages):
            with suppress(msgspec.DecodeError, RecursionError):
                yield from map(decode_message, frame.messages)


def _fill(turn: Turn, taken: Iterable[frames.ServerFrame]) -> None:
    turn.expire_typing()
    for frame in taken:
        with suppress(msgspec.DecodeError, RecursionError):
            turn.take(frame)
