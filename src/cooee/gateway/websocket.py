"""A WebSocket connection: one lean protocol object over a read buffer that all connections share.

Nothing is read into memory of a connection's own unless a frame is partial. Frames to send are collected during a turn
of the event loop and leave in one write (`WriteScheduler`). An idle connection holds no list, no task and no timer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from cooee.gateway.connection import Receiver
from cooee.gateway.http.shell import log_bug
from cooee.protocol import websocket
from cooee.protocol.codes import CloseCode

CLOSE_GRACE_S = 5.0
"""How long a closed connection waits for the peer, and for its own last bytes to leave."""
LINGER_S = 1.0
"""How long a peer that broke the protocol is still listened to (and ignored), so that it can read why."""
MAX_CONTROLS_PER_S = 64
"""Control frames one peer may send within a second. They reach no session, so no budget of a session counts them."""
MAX_LATE_FRAMES = 1000
"""Frames in one read that a closing connection still looks through for the peer's close; more are a flood."""
ENDS_AT_ONCE = 64
"""Connections whose peers are gone that close in one turn of the event loop; more wait for the next."""
_SWEEP_S = 0.25
_COMMON = len(websocket.TEXT_HEADS)


class ConnectionCounters:
    """What all WebSocket connections of a process did. Plain numbers."""

    __slots__ = ("bytes_received", "bytes_sent", "closed", "frames_received", "frames_sent", "opened", "writes")

    def __init__(self) -> None:
        self.opened = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.frames_received = 0
        self.frames_sent = 0
        self.writes = 0
        self.closed: dict[int, int] = {}
        """Closed by the server, by close code."""


class WriteScheduler:
    """Flushes all connections that have something to send, once per turn of the event loop."""

    __slots__ = ("_call_soon", "dirty")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self.dirty: list[WebSocketConnection] = []
        """Connections that are flushed at the end of this turn. Whoever finds it empty calls `add`."""

    def add(self, connection: "WebSocketConnection") -> None:
        """Flush ``connection`` at the end of this turn."""
        dirty = self.dirty
        if not dirty:
            self._call_soon(self._flush)
        dirty.append(connection)

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception as problem:  # noqa: BLE001  # what breaks one connection must not hold up the others
                log_bug(problem, "websocket")
                connection.abort()


class EndScheduler:
    """Closes connections whose peers are gone, a few a turn: the others must not wait until thousands have ended."""

    __slots__ = ("_call_soon", "_room", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._room = ENDS_AT_ONCE
        self._waiting: deque[WebSocketConnection] = deque()

    def postpones(self, connection: "WebSocketConnection") -> bool:
        """Tell whether ``connection`` has to stay, and is closed in a later turn; False: it may close now."""
        if self._room == ENDS_AT_ONCE:
            self._call_soon(self._next_turn)
        if self._room:
            self._room -= 1
            return False
        self._waiting.append(connection)
        return True

    def _next_turn(self) -> None:
        waiting = self._waiting
        if not waiting:
            self._room = ENDS_AT_ONCE
            return
        self._room = 0
        self._call_soon(self._next_turn)
        for _ in range(min(len(waiting), ENDS_AT_ONCE)):
            waiting.popleft().end()


class Shared:
    """What the WebSocket connections of one server share."""

    __slots__ = (
        "_controls",
        "_controls_since",
        "_ending",
        "_sweep_at",
        "buffer",
        "connections",
        "counters",
        "ends",
        "frame_bytes",
        "loop",
        "outbox_bytes",
        "view",
        "writes",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, frame_bytes: int, outbox_bytes: int) -> None:
        self.loop = loop
        self.frame_bytes = frame_bytes
        self.outbox_bytes = outbox_bytes
        self.buffer = bytearray(64 * 1024)
        self.view = memoryview(self.buffer)
        self.writes = WriteScheduler(loop)
        self.ends = EndScheduler(loop)
        self.counters = ConnectionCounters()
        self.connections: set[WebSocketConnection] = set()
        self._controls: dict[WebSocketConnection, int] = {}
        self._controls_since = 0.0
        self._ending: dict[WebSocketConnection, float] = {}
        self._sweep_at = inf

    def allows_control(self, connection: "WebSocketConnection") -> bool:
        """Count a control frame; tell whether its sender keeps to `MAX_CONTROLS_PER_S`."""
        now = self.loop.time()
        if now - self._controls_since >= 1:
            self._controls_since = now
            self._controls.clear()
        count = self._controls[connection] = self._controls.get(connection, 0) + 1
        return count <= MAX_CONTROLS_PER_S

    def abort_after(self, connection: "WebSocketConnection", seconds: float) -> None:
        """Abort ``connection`` unless it is gone by then. One timer serves all, so that none keeps what has ended."""
        due = self.loop.time() + seconds
        self._ending[connection] = min(due, self._ending.get(connection, due))
        if due < self._sweep_at:
            self._sweep_at = due
            self.loop.call_later(seconds, self._sweep)

    def forget(self, connection: "WebSocketConnection") -> None:
        """Drop all that is known of a connection that has ended."""
        self.connections.discard(connection)
        self._controls.pop(connection, None)
        self._ending.pop(connection, None)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in [each for each, due in self._ending.items() if due <= now]:
            del self._ending[connection]
            connection.abort()
        self._sweep_at = inf
        if self._ending:
            self._sweep_at = max(min(self._ending.values()), now + _SWEEP_S)
            self.loop.call_later(self._sweep_at - now, self._sweep)


class WebSocketConnection(asyncio.BufferedProtocol):
    """One connection after its opening handshake. Implements `gateway.connection.Connection`."""

    __slots__ = ("_closing", "_parser", "_queue", "_queued", "_receiver", "_shared", "_transport", "peer")

    def __init__(self, shared: Shared, transport: Any, peer: str) -> None:
        self.peer = peer
        self._shared = shared
        self._transport: Any = transport
        self._parser = websocket.FrameParser(shared.frame_bytes, masked=True)
        self._receiver: Receiver | None = None
        self._queue: list[bytes] | None = None
        self._queued = 0
        self._closing = False

    def begin(self, new_receiver: Callable[["WebSocketConnection"], Receiver], early: bytes) -> None:
        """Take over the transport; ``early`` are bytes that came with the handshake."""
        self._transport.set_write_buffer_limits(high=0)  # else uvloop waits with its first try, and `buffered` is wrong
        self._shared.connections.add(self)
        self._shared.counters.opened += 1
        try:
            self._receiver = new_receiver(self)
        except Exception as problem:  # noqa: BLE001  # a bug above must not end the event loop
            self._failed(problem)
        if early:
            self._received(memoryview(early))

    # --- Connection ---------------------------------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        transport = self._transport
        return self._queued + (transport.get_write_buffer_size() if transport is not None else 0)

    def send(self, payload: bytes) -> None:
        """Queue one text frame; all frames of one loop turn leave in one write. Dropped once closed."""
        if self._closing:
            return
        shared = self._shared
        shared.counters.frames_sent += 1
        size = len(payload)
        head = websocket.TEXT_HEADS[size] if size < _COMMON else websocket.head(websocket.TEXT, size)
        queue = self._queue
        if queue is None:
            self._queue = [head, payload]
            dirty = shared.writes.dirty
            if dirty:
                dirty.append(self)
            else:
                shared.writes.add(self)
        else:
            queue += (head, payload)
        self._queued = queued = self._queued + len(head) + size
        if queued > shared.outbox_bytes:
            self.flush()

    def ping(self) -> None:
        """Ask for a sign of life."""
        if not self._closing:
            self._put(websocket.head(websocket.PING, 0), b"")

    def close(self, code: int, reason: str = "") -> None:
        """Flush what is queued, send the close frame, and give the peer a moment to answer. Idempotent."""
        if self._closing or self._transport is None:
            return
        counters = self._shared.counters
        counters.closed[code] = counters.closed.get(code, 0) + 1
        self._say_close(websocket.close_payload(code, reason))

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closing = True
        self._queue = None
        self._queued = 0
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close without a word: the peer is gone."""
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Write what is queued; close a peer that has left too much of it unread."""
        queue, self._queue = self._queue, None
        size, self._queued = self._queued, 0
        transport = self._transport
        if not queue or transport is None or transport.is_closing():
            return
        counters = self._shared.counters
        counters.writes += 1
        counters.bytes_sent += size
        transport.write(b"".join(queue))
        if not self._closing and transport.get_write_buffer_size() > self._shared.outbox_bytes:
            self.close(CloseCode.SLOW_CONSUMER, "the outbox is full; reconnect and catch up")

    def _put(self, head: bytes, payload: bytes) -> None:
        queue = self._queue
        if queue is None:
            self._queue = [head, payload]
            self._shared.writes.add(self)
        else:
            queue.append(head)
            queue.append(payload)
        self._queued += len(head) + len(payload)
        if self._queued > self._shared.outbox_bytes and not self._closing:
            self.flush()

    # --- asyncio ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Do nothing: the handshake was on this transport already."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections read into; what is read is used up before the next read."""
        return self._shared.view

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what was read."""
        self._shared.counters.bytes_received += nbytes
        self._received(self._shared.view[:nbytes])

    def eof_received(self) -> bool:
        """Let the transport close itself, unless too many do."""
        if self._shared.ends.postpones(self):
            self._closing = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver, once."""
        self._closing = True
        self._transport = None
        self._queue = None
        self._queued = 0
        receiver, self._receiver = self._receiver, None
        self._shared.forget(self)
        if receiver is not None:
            try:
                receiver.connection_lost()
            except Exception as problem:  # noqa: BLE001  # as in `begin`
                log_bug(problem, "websocket")

    def pause_writing(self) -> None:
        """Do nothing: the outbox has its own bound, checked after each write."""

    def resume_writing(self) -> None:
        """Do nothing."""

    # --- inside -------------------------------------------------------------------------------------------------------

    def _received(self, data: memoryview) -> None:
        receiver, parser = self._receiver, self._parser
        if receiver is None or parser.violation is not None:
            return
        events = parser.feed(data)
        if self._closing and len(events) > MAX_LATE_FRAMES:
            self.abort()
            return
        try:
            receiver.bytes_received()
            self._serve(receiver, events)
        except Exception as problem:  # noqa: BLE001  # as in `begin`
            self._failed(problem)
        if parser.violation is not None:
            self._refuse(parser.violation)

    def _serve(self, receiver: Receiver, events: list[websocket.Event]) -> None:
        counters = self._shared.counters
        for opcode, payload in events:
            if opcode == websocket.TEXT:
                if not self._closing:
                    counters.frames_received += 1
                    receiver.frame_received(payload)
            elif opcode != websocket.BINARY:
                if self._control(opcode, payload):
                    return
            elif not self._closing:
                receiver.binary_received()

    def _control(self, opcode: int, payload: bytes) -> bool:
        """Serve a control frame; True when nothing after it counts."""
        if not self._shared.allows_control(self):
            self._parser.violation = websocket.ProtocolViolation(CloseCode.BAD_PROTOCOL, "too many control frames")
            return True
        if opcode == websocket.PING:
            if not self._closing:
                self._put(websocket.head(websocket.PONG, len(payload)), payload)
            return False
        if opcode == websocket.PONG:
            return False
        try:
            code = websocket.parse_close(payload)
        except websocket.ProtocolViolation as violation:
            self._parser.violation = violation.with_traceback(None)  # its frames would keep this connection
            return True
        self._leave(b"" if code == websocket.NO_STATUS else payload[:2])
        return True

    def _leave(self, echo: bytes) -> None:
        """Answer the peer's close, unless it is itself the answer to ours, and close the transport."""
        if not self._closing:
            self._say_close(echo)
        if self._transport is not None:
            self._transport.close()

    def _say_close(self, payload: bytes) -> None:
        """Send what is queued and the close frame; whether they arrive or not, it ends in `CLOSE_GRACE_S`."""
        self._closing = True
        self._put(websocket.head(websocket.CLOSE, len(payload)), payload)
        self.flush()
        self._shared.abort_after(self, CLOSE_GRACE_S)

    def _refuse(self, violation: websocket.ProtocolViolation) -> None:
        """Close, and let the peer read why: closing with unread bytes would reset the connection and lose it."""
        self.close(violation.code, violation.message)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
            self._shared.abort_after(self, LINGER_S)
        else:
            transport.close()

    def _failed(self, problem: Exception) -> None:
        log_bug(problem, "websocket")
        self.close(CloseCode.INTERNAL, "internal error")
