"""One long-polling session as a `Connection`: requests in, answers out, neither lost nor doubled (PROTOCOL.md §12).

Its state: the last request executed, the last answer that had frames, and whether that is acknowledged.
"""

import asyncio
from collections import deque

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.gateway.connection import Receiver
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollClosed, PollRequest, PollResponse

ANSWER_BYTES = 256 * 1024
"""Bytes of frames in one answer; a single larger frame still goes."""
TURN_S = 2.0
"""How long a request that has overtaken its predecessor waits for it."""


class PollConnection:
    """Queues frames until a poll takes them, and keeps them until they are acknowledged.

    At most ``limits.outbox_bytes`` are kept: beyond them the client is a slow consumer and closed with 4008.
    """

    __slots__ = (
        "_answer_number",
        "_closed",
        "_executed",
        "_kept_bytes",
        "_last",
        "_limits",
        "_peer",
        "_queue",
        "_receiver",
        "_turn",
        "_unacknowledged",
        "_waiter",
        "_waking",
        "device",
        "polled_at",
        "session_id",
    )

    def __init__(self, session_id: str, device: DeviceRef, peer: str, limits: Limits) -> None:
        self.session_id = session_id
        self.device = device
        self._peer = peer
        self.polled_at = 0.0
        self._limits = limits
        self._receiver: Receiver | None = None
        self._queue: deque[bytes] = deque()
        self._kept_bytes = 0
        self._executed = 0
        self._answer_number = 0
        self._unacknowledged: tuple[bytes, ...] = ()
        self._last: PollResponse | None = None
        self._closed: PollClosed | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._waking = False
        self._turn: asyncio.Event | None = None

    def attach(self, receiver: Receiver) -> None:
        """Set the session on top."""
        self._receiver = receiver

    # --- Connection ---------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The address that the session was opened from."""
        return self._peer

    @property
    def buffered(self) -> int:
        """Bytes that the client has not acknowledged."""
        return self._kept_bytes

    def send(self, payload: bytes) -> None:
        """Queue one frame; all frames of one loop turn go into one answer."""
        if self._closed is not None:
            return
        if self._kept_bytes + len(payload) > self._limits.outbox_bytes:
            self.close(CloseCode.SLOW_CONSUMER, "the outbox is full")
            return
        self._queue.append(payload)
        self._kept_bytes += len(payload)
        self._wake_soon()

    def ping(self) -> None:
        """Answer in the client's place: between two polls it is alive until its session lapses."""
        if self._receiver is not None and self._closed is None:
            self._receiver.bytes_received()

    def close(self, code: int, reason: str = "") -> None:
        """Let what is queued be polled, then say why it ends."""
        if self._closed is not None:
            return
        self._closed = PollClosed(int(code), reason)
        self._wake_soon()
        self._lose_soon()

    def abort(self) -> None:
        """End without waiting for the client."""
        if self._closed is None:
            self._closed = PollClosed(int(CloseCode.GOING_AWAY))
            self._lose_soon()
        self._queue.clear()
        self._wake_soon()

    # --- polls --------------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed the session."""
        return self._closed is not None

    @property
    def close_code(self) -> int:
        """Why the session was closed, 0 while it is open."""
        return 0 if self._closed is None else self._closed.code

    @property
    def is_polled(self) -> bool:
        """Whether a poll waits now."""
        return self._waiter is not None

    async def exchange(self, request: PollRequest, wait_s: float) -> PollResponse:
        """Execute the request's frames, once, and answer.

        Raises:
            CooeeError: ``conflict`` for a number out of turn, ``bad_frame`` for an ``ack`` of what was never answered.
        """
        number = request.request_number
        if number == self._executed + 2:
            await self._wait_for_turn(number)
        if number != self._executed and number != self._executed + 1:
            raise CooeeError(
                ErrorCode.CONFLICT, f"requestNumber {self._executed + 1} is next; repeat what was not answered first"
            )
        if request.ack > self._answer_number:
            raise bad_frame("ack names an answer that was not given")
        self._end_waiting()
        if number == self._executed:
            if self._last is not None:
                return self._last
        else:
            self._executed = number
            self._last = None
            self._acknowledge(request.ack)
            self._execute(request.frames)
            if self._turn is not None:
                self._turn.set()
        return await self._answer(number, wait_s)

    def _acknowledge(self, answer_number: int) -> None:
        if answer_number >= self._answer_number and self._unacknowledged:
            self._kept_bytes -= sum(map(len, self._unacknowledged))
            self._unacknowledged = ()

    def _execute(self, frames: tuple[msgspec.Raw, ...]) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        receiver.bytes_received()
        for raw in frames:
            payload = bytes(raw)
            if len(payload) > self._limits.frame_bytes:
                self.close(CloseCode.TOO_BIG, "a frame is too large")
            if self._closed is not None:
                return
            receiver.frame_received(payload)

    async def _answer(self, number: int, wait_s: float) -> PollResponse:
        last = self._answer_number  # by the time this poll is ended, the other one may have made the next answer
        if not self._has_something() and wait_s > 0 and not await self._wait(wait_s):
            return PollResponse(self.session_id, last, ())
        response = self._build()
        if self._executed == number:
            self._last = response
        return response

    def _has_something(self) -> bool:
        return bool(self._unacknowledged or self._queue or self._closed is not None)

    async def _wait(self, wait_s: float) -> bool:
        """Wait for a frame; False when another poll took over."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_later(wait_s, _resolve, waiter, True)
        try:
            return await waiter
        finally:
            timer.cancel()
            if self._waiter is waiter:
                self._waiter = None

    def _build(self) -> PollResponse:
        """Repeat the answer that is not acknowledged, or make the next one."""
        if not self._unacknowledged and self._queue:
            taken: list[bytes] = []
            size = 0
            while self._queue and (not taken or size + len(self._queue[0]) <= ANSWER_BYTES):
                size += len(self._queue[0])
                taken.append(self._queue.popleft())
            self._unacknowledged = tuple(taken)
            self._answer_number += 1
        frames = tuple(map(msgspec.Raw, self._unacknowledged))
        closed = None if self._queue else self._closed
        return PollResponse(self.session_id, self._answer_number, frames, closed)

    async def _wait_for_turn(self, number: int) -> None:
        """Wait a little for the request before this one, which comes by another connection."""
        turn = self._turn = self._turn or asyncio.Event()
        try:
            async with asyncio.timeout(TURN_S):
                while number > self._executed + 1:
                    await turn.wait()
                    turn.clear()
        except TimeoutError:
            pass
        finally:
            self._turn = None

    def _end_waiting(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            _resolve(waiter, False)

    def _wake_soon(self) -> None:
        if not self._waking and self._waiter is not None:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._waking = False
        if self._waiter is not None and self._has_something():
            _resolve(self._waiter, True)

    def _lose_soon(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            asyncio.get_running_loop().call_soon(receiver.connection_lost)


def _resolve(waiter: "asyncio.Future[bool]", value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)
