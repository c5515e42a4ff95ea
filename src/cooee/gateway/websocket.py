"""A WebSocket connection: one lean protocol object over a read buffer that all connections share.

Nothing is read into memory of a connection's own unless a frame is partial. Frames to send are collected during a turn
of the event loop and leave in one write (`WriteScheduler`). An idle connection holds no list, no task and no timer.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from cooee.gateway.connection import Receiver
from cooee.protocol import websocket
from cooee.protocol.codes import CloseCode

CLOSE_GRACE_S = 5.0
"""How long a closed connection waits for the peer, and for its own last bytes to leave."""
_MAX_CONTROLS = 64
"""Control frames answered in one read; a peer that sends more of them is closed."""
_log = structlog.get_logger(__name__)


class ConnectionCounters:
    """What all WebSocket connections of a process did. Plain numbers."""

    __slots__ = ("bytes_received", "bytes_sent", "closed", "frames_received", "frames_sent", "open", "opened", "writes")

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.frames_received = 0
        self.frames_sent = 0
        self.writes = 0
        self.closed: dict[int, int] = {}
        """Closed by the server, by close code."""


class WriteScheduler:
    """Flushes all connections that have something to send, once per turn of the event loop."""

    __slots__ = ("_call_soon", "_dirty")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._dirty: list[WebSocketConnection] = []

    def add(self, connection: "WebSocketConnection") -> None:
        """Flush ``connection`` at the end of this turn."""
        dirty = self._dirty
        if not dirty:
            self._call_soon(self._flush)
        dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()


class Shared:
    """What the WebSocket connections of one server share."""

    __slots__ = ("buffer", "connections", "counters", "frame_bytes", "loop", "outbox_bytes", "view", "writes")

    def __init__(self, loop: asyncio.AbstractEventLoop, frame_bytes: int, outbox_bytes: int) -> None:
        self.loop = loop
        self.frame_bytes = frame_bytes
        self.outbox_bytes = outbox_bytes
        self.buffer = bytearray(256 * 1024)
        self.view = memoryview(self.buffer)
        self.writes = WriteScheduler(loop)
        self.counters = ConnectionCounters()
        self.connections: set[WebSocketConnection] = set()


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
        shared = self._shared
        shared.connections.add(self)
        shared.counters.opened += 1
        shared.counters.open += 1
        self._receiver = new_receiver(self)
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
        if not self._closing:
            self._shared.counters.frames_sent += 1
            self._put(websocket.head(websocket.TEXT, len(payload)), payload)

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
        payload = websocket.close_payload(code, reason)
        self._put(websocket.head(websocket.CLOSE, len(payload)), payload)
        self._closing = True
        self.flush()
        self._shared.loop.call_later(CLOSE_GRACE_S, self.abort)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closing = True
        self._queue = None
        self._queued = 0
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Write what is queued."""
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
        """Let the transport close itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver, once."""
        self._closing = True
        self._transport = None
        self._queue = None
        receiver, self._receiver = self._receiver, None
        shared = self._shared
        shared.connections.discard(self)
        if receiver is not None:
            shared.counters.open -= 1
            receiver.connection_lost()

    def pause_writing(self) -> None:
        """Do nothing: the outbox has its own bound, checked after each write."""

    def resume_writing(self) -> None:
        """Do nothing."""

    # --- inside -------------------------------------------------------------------------------------------------------

    def _received(self, data: memoryview) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        events = self._parser.feed(data)
        try:
            receiver.bytes_received()
            self._serve(receiver, events)
        except Exception:  # noqa: BLE001  # a bug above must not end the event loop
            _log.exception("a session failed on a frame")
            self.close(CloseCode.INTERNAL, "internal error")
        if self._parser.violation is not None:
            self._refuse(self._parser.violation)

    def _serve(self, receiver: Receiver, events: list[websocket.Event]) -> None:
        controls = 0
        for event in events:
            if event.opcode > websocket.BINARY:
                controls += 1
                if controls > _MAX_CONTROLS:
                    self.close(CloseCode.BAD_PROTOCOL, "too many control frames")
                if self._control(event):
                    return
            elif self._closing:
                return
            elif event.opcode == websocket.TEXT:
                self._shared.counters.frames_received += 1
                receiver.frame_received(event.payload)
            else:
                receiver.binary_received()

    def _control(self, event: websocket.Event) -> bool:
        """Serve a control frame; True when the connection ends with it."""
        if event.opcode == websocket.PING:
            if not self._closing:
                self._put(websocket.head(websocket.PONG, len(event.payload)), event.payload)
            return False
        if event.opcode == websocket.PONG:
            return False
        try:
            code = websocket.parse_close(event.payload)
        except websocket.ProtocolViolation as violation:
            self._refuse(violation)
            return True
        if not self._closing:
            payload = b"" if code == 1005 else event.payload[:2]
            self._put(websocket.head(websocket.CLOSE, len(payload)), payload)
            self._closing = True
            self.flush()
        if self._transport is not None:
            self._transport.close()
            self._shared.loop.call_later(CLOSE_GRACE_S, self.abort)
        return True

    def _refuse(self, violation: websocket.ProtocolViolation) -> None:
        self.close(violation.code, violation.message)
        if self._transport is not None:
            self._transport.close()
