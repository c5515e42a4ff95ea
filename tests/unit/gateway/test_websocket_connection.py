"""A WebSocket connection over a transport in the test's hand; its timers run on a loop in the test's hand too."""

import gc
import weakref
from typing import Any

import pytest
from structlog.testing import capture_logs

from cooee.gateway.websocket import (
    CLOSE_GRACE_S,
    ENDS_AT_ONCE,
    LINGER_S,
    MAX_CONTROLS_PER_S,
    MAX_LATE_FRAMES,
    Shared,
    WebSocketConnection,
)
from cooee.protocol.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Event,
    FrameParser,
    client_frame,
    close_payload,
    head,
)
from tests.fakes.hand_loop import HandLoop
from tests.fakes.transport import FakeTransport

FRAME_BYTES = 1000
OUTBOX_BYTES = 10_000


class Heard:
    """A receiver that notes what it is told, and fails on command."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.fails_on = ""

    def _note(self, what: str, value: object = None) -> None:
        self.told.append(what if value is None else value)
        if what == self.fails_on:
            raise RuntimeError("secret content")

    def bytes_received(self) -> None:
        self._note("bytes")

    def frame_received(self, payload: bytes) -> None:
        self._note("frame", payload)

    def binary_received(self) -> None:
        self._note("binary")

    def connection_lost(self) -> None:
        self._note("lost")

    @property
    def frames(self) -> list[object]:
        """What came, without the signs of life."""
        return [each for each in self.told if each != "bytes"]


class Scene:
    """One connection between a transport and a receiver."""

    def __init__(self, *, room: int | None = None, early: bytes = b"", outbox_bytes: int = OUTBOX_BYTES) -> None:
        self.loop = HandLoop()
        loop: Any = self.loop
        self.shared = Shared(loop, FRAME_BYTES, outbox_bytes)
        self.heard = Heard()
        self.transport = FakeTransport(room=room)
        self.connection = WebSocketConnection(self.shared, self.transport, "192.0.2.1")
        self.transport.protocol = self.connection
        self.connection.begin(lambda _: self.heard, early)

    def receive(self, *frames: tuple[int, bytes]) -> None:
        """Let frames of the client arrive in one piece, and end the turn."""
        self.transport.receive(b"".join(client_frame(opcode, payload, b"abcd") for opcode, payload in frames))
        self.loop.turn()

    def sent(self) -> list[Event]:
        """Return all frames that were written."""
        parser = FrameParser(1 << 30, masked=False)
        events = parser.feed(self.transport.written)
        assert parser.violation is None
        assert parser._pending is None
        return events

    def close_code(self) -> int:
        """Return the code of the one close frame, which is the last thing that was written."""
        (closing,) = [payload for opcode, payload in self.sent() if opcode == CLOSE]
        assert self.sent()[-1].opcode == CLOSE
        return int.from_bytes(closing[:2], "big")


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- receiving --------------------------------------------------------------------------------------------------------


def test_messages_go_to_the_receiver_in_their_order(scene: Scene) -> None:
    scene.receive((TEXT, b"one"), (BINARY, b"dropped"), (TEXT, b"two"))
    assert scene.heard.told == ["bytes", b"one", "binary", b"two"]
    assert scene.shared.counters.frames_received == 2


def test_bytes_that_came_with_the_handshake_count(scene: Scene) -> None:
    early = Scene(early=client_frame(TEXT, b"hello", b"abcd") + client_frame(TEXT, b"half", b"abcd")[:5])
    assert early.heard.frames == [b"hello"]
    early.transport.receive(client_frame(TEXT, b"half", b"abcd")[5:])
    assert early.heard.frames == [b"hello", b"half"]


def test_partial_frames_and_pongs_are_a_sign_of_life(scene: Scene) -> None:
    scene.transport.receive(b"\x81")
    scene.receive()
    scene.transport.receive(client_frame(TEXT, b"", b"abcd")[1:])
    scene.receive((PONG, b""))
    assert scene.heard.told == ["bytes", "bytes", b"", "bytes"]


def test_all_connections_read_into_one_buffer(scene: Scene) -> None:
    other = WebSocketConnection(scene.shared, FakeTransport(), "192.0.2.2")
    first, second = scene.connection.get_buffer(-1), other.get_buffer(65536)
    assert first.obj is second.obj
    assert len(first) >= 64 * 1024


# --- sending ----------------------------------------------------------------------------------------------------------


def test_all_frames_of_a_turn_leave_in_one_write(scene: Scene) -> None:
    for number in range(5):
        scene.connection.send(b"%d" % number)
    scene.connection.ping()
    assert scene.transport.writes == []
    assert scene.connection.buffered == 5 * 3 + 2
    scene.loop.turn()
    assert len(scene.transport.writes) == 1
    assert scene.sent() == [Event(TEXT, b"%d" % number) for number in range(5)] + [Event(PING, b"")]
    assert scene.connection.buffered == 0
    counters = scene.shared.counters
    assert (counters.frames_sent, counters.writes, counters.bytes_sent) == (5, 1, 17)


def test_many_connections_share_one_callback_per_turn(scene: Scene) -> None:
    others = [WebSocketConnection(scene.shared, FakeTransport(), "") for _ in range(3)]
    for connection in [scene.connection, *others] * 2:
        connection.send(b"x")
    assert len(scene.loop.soon) == 1
    scene.loop.turn()
    assert [len(each._transport.writes) for each in others] == [1, 1, 1]
    scene.connection.send(b"y")
    assert len(scene.loop.soon) == 1, "the next turn begins anew"


def test_a_connection_that_cannot_be_written_to_takes_nothing_from_the_others(scene: Scene) -> None:
    class Broken(FakeTransport):
        def write(self, data: bytes) -> None:
            raise OSError("gone")

    broken = WebSocketConnection(scene.shared, Broken(), "")
    broken.begin(lambda _: Heard(), b"")
    broken.send(b"x")
    scene.connection.send(b"y")
    with capture_logs() as logs:
        scene.loop.turn()
    assert scene.sent() == [Event(TEXT, b"y")]
    assert broken._transport.aborted
    assert len(logs) == 1


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_size_is_framed(size: int) -> None:
    scene = Scene(outbox_bytes=100_000)
    scene.connection.send(b"x" * size)
    scene.loop.turn()
    assert scene.transport.written == head(TEXT, size) + b"x" * size


# --- the bound of the outbox ------------------------------------------------------------------------------------------


def test_a_peer_that_does_not_read_is_closed_with_4008_and_then_dropped() -> None:
    scene = Scene(room=1000)
    for _ in range(12):
        scene.connection.send(b"x" * 1000)
        scene.loop.turn()
    assert scene.close_code() == 4008
    most = OUTBOX_BYTES + 1004 + 125 + 2
    assert OUTBOX_BYTES < scene.connection.buffered <= most
    scene.connection.send(b"more")
    scene.loop.turn()
    assert scene.connection.buffered <= most, "nothing is added after the close"
    assert scene.shared.counters.closed == {4008: 1}
    assert not scene.transport.aborted
    scene.loop.advance(CLOSE_GRACE_S)
    assert scene.transport.aborted
    scene.transport.lose()
    assert scene.connection.buffered == 0
    assert scene.heard.frames == ["lost"]


def test_the_bound_holds_within_one_turn() -> None:
    scene = Scene(room=0)
    for _ in range(1000):
        scene.connection.send(b"x" * 1000)
    assert scene.connection.buffered <= 2 * (OUTBOX_BYTES + 1004) + 127
    assert scene.close_code() == 4008


def test_a_peer_that_reads_is_never_closed_however_much_it_gets() -> None:
    scene = Scene()
    for _ in range(1000):
        scene.connection.send(b"x" * 1000)
    scene.loop.turn()
    assert len(scene.sent()) == 1000
    assert scene.shared.counters.closed == {}


def test_a_close_that_finds_the_outbox_full_is_still_one_close() -> None:
    scene = Scene(room=0)
    scene.connection.send(b"x" * (OUTBOX_BYTES - 10))
    scene.connection.close(4009, "replaced by a newer connection of this device")
    assert scene.close_code() == 4009
    assert scene.shared.counters.closed == {4009: 1}


# --- closing ----------------------------------------------------------------------------------------------------------


def test_closing_sends_what_is_queued_first_and_waits_for_the_peer(scene: Scene) -> None:
    scene.connection.send(b"last words")
    scene.connection.close(1001, "draining")
    scene.connection.close(4000, "again")
    scene.connection.send(b"too late")
    scene.connection.ping()
    scene.loop.turn()
    assert scene.sent() == [Event(TEXT, b"last words"), Event(CLOSE, close_payload(1001, "draining"))]
    assert scene.shared.counters.closed == {1001: 1}
    assert not scene.transport.closing
    scene.receive((PING, b"p"))
    assert len(scene.sent()) == 2, "no pong after the close"
    scene.receive((TEXT, b"crossed on the way"), (PING, b"p"), (CLOSE, close_payload(1001, "")))
    assert scene.transport.closing
    assert not scene.transport.aborted
    assert b"crossed on the way" not in scene.heard.told
    assert len(scene.sent()) == 2, "no second close"


def test_a_peer_that_does_not_answer_the_close_is_dropped(scene: Scene) -> None:
    scene.connection.close(1001)
    scene.loop.advance(CLOSE_GRACE_S - 0.1)
    assert not scene.transport.aborted
    scene.loop.advance(0.1)
    assert scene.transport.aborted


def test_many_that_are_closing_share_one_timer_and_each_has_its_time(scene: Scene) -> None:
    transports = []
    for _ in range(50):
        transports.append(FakeTransport())
        WebSocketConnection(scene.shared, transports[-1], "").close(1001)
        scene.loop.advance(0.1)
    assert len(scene.loop.later) == 1
    scene.connection.close(1001)
    scene.loop.advance(0.01)
    assert [each.aborted for each in transports] == [True] + [False] * 49
    for _ in range(30):
        scene.loop.advance(0.25)
    assert all(each.aborted for each in transports)
    assert scene.transport.aborted
    assert scene.loop.later == []


@pytest.mark.parametrize("payload", [b"", close_payload(1000, "bye"), close_payload(4999, "")])
def test_the_peers_close_is_answered_with_its_code(scene: Scene, payload: bytes) -> None:
    """RFC 6455 §5.5.1: an endpoint typically echoes the status code; §7.1.1: the server closes first."""
    scene.connection.send(b"queued")
    scene.receive((CLOSE, payload), (TEXT, b"after"))
    assert scene.sent() == [Event(TEXT, b"queued"), Event(CLOSE, payload[:2])]
    assert scene.transport.closing
    assert scene.heard.frames == []
    assert scene.shared.counters.closed == {}, "it was not us"
    scene.loop.advance(CLOSE_GRACE_S)
    assert scene.transport.aborted, "its last bytes may not keep it for ever"


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), ((1005).to_bytes(2, "big"), 1002), (b"\x03\xe8\xff", 1007)]
)
def test_a_close_that_is_none_is_refused(scene: Scene, payload: bytes, code: int) -> None:
    scene.receive((CLOSE, payload), (TEXT, b"after"))
    assert scene.close_code() == code
    assert scene.heard.frames == []


def test_the_receiver_may_close_in_the_middle_of_a_read(scene: Scene) -> None:
    def frame_received(payload: bytes) -> None:
        scene.heard.told.append(payload)
        scene.connection.close(4003, "revoked")

    scene.heard.frame_received = frame_received  # type: ignore[method-assign]
    scene.receive((TEXT, b"one"), (TEXT, b"two"), (BINARY, b""))
    assert scene.heard.told == ["bytes", b"one"]
    assert scene.close_code() == 4003


def test_abort_drops_everything_at_once(scene: Scene) -> None:
    scene.connection.send(b"never")
    scene.connection.abort()
    scene.loop.turn()
    assert scene.transport.aborted
    assert scene.transport.writes == []
    assert scene.connection.buffered == 0


def test_a_flood_after_our_close_ends_at_once(scene: Scene) -> None:
    """Who is being closed could otherwise keep the loop busy until the grace is over."""
    scene.connection.close(4008, "frames keep coming")
    scene.receive(*[(TEXT, b"")] * MAX_LATE_FRAMES)
    assert not scene.transport.aborted
    scene.receive(*[(TEXT, b"")] * (MAX_LATE_FRAMES + 1))
    assert scene.transport.aborted


# --- violations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\xc1\x80abcd", 1002),
        (b"\x81\x02hi", 1002),
        (client_frame(TEXT, b"\xff", b"abcd"), 1007),
        (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), 1009),
        (client_frame(CONTINUATION, b"", b"abcd"), 1002),
    ],
)
def test_broken_framing_closes_with_its_code(scene: Scene, stream: bytes, code: int) -> None:
    scene.transport.receive(client_frame(TEXT, b"before", b"abcd") + stream + client_frame(TEXT, b"after", b"abcd"))
    assert scene.close_code() == code
    assert scene.heard.frames == [b"before"]
    assert scene.transport.eof, "what the peer still sends must not reset the connection before it has read why"
    assert not scene.transport.closing
    scene.transport.receive(client_frame(TEXT, b"more", b"abcd"))
    assert scene.heard.frames == [b"before"]
    scene.loop.advance(LINGER_S)
    assert scene.transport.aborted


# --- control frames ---------------------------------------------------------------------------------------------------


def test_pings_are_answered_with_their_payload(scene: Scene) -> None:
    scene.receive((PING, b"a"), (TEXT, b"t"), (PING, b""))
    assert scene.sent() == [Event(PONG, b"a"), Event(PONG, b"")]
    assert len(scene.transport.writes) == 1


def test_a_flood_of_control_frames_ends_the_connection(scene: Scene) -> None:
    scene.receive(*[(PING, b"x" * 125)] * 100_000)
    assert scene.close_code() == 4000
    assert len(scene.sent()) == MAX_CONTROLS_PER_S + 1
    scene.loop.advance(LINGER_S)
    assert scene.transport.aborted


def test_a_flood_is_counted_over_many_reads(scene: Scene) -> None:
    for _ in range(MAX_CONTROLS_PER_S):
        scene.receive((PONG, b""))
    assert scene.sent() == []
    scene.receive((PONG, b""))
    assert scene.close_code() == 4000


def test_control_frames_now_and_then_are_welcome_for_ever(scene: Scene) -> None:
    for _ in range(MAX_CONTROLS_PER_S * 10):
        scene.receive((PING, b""))
        scene.loop.advance(1 / MAX_CONTROLS_PER_S + 0.001)
    assert len(scene.sent()) == MAX_CONTROLS_PER_S * 10


# --- bugs above -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["bytes", "frame", "binary"])
def test_a_failing_receiver_costs_its_connection_only(scene: Scene, where: str) -> None:
    scene.heard.fails_on = where
    with capture_logs() as logs:
        scene.receive((TEXT, b"secret"), (BINARY, b""))
    assert scene.close_code() == 1011
    assert len(logs) == 1
    assert "secret" not in str(logs)


def test_a_failing_end_is_logged(scene: Scene) -> None:
    scene.heard.fails_on = "lost"
    with capture_logs() as logs:
        scene.transport.lose()
    assert len(logs) == 1
    assert "secret" not in str(logs)
    assert scene.shared.connections == set()


def test_a_session_that_cannot_begin_is_closed() -> None:
    loop: Any = HandLoop()
    shared = Shared(loop, FRAME_BYTES, OUTBOX_BYTES)
    transport = FakeTransport()
    connection = WebSocketConnection(shared, transport, "")
    transport.protocol = connection

    def fail(_: WebSocketConnection) -> Heard:
        raise RuntimeError("secret content")

    with capture_logs() as logs:
        connection.begin(fail, client_frame(TEXT, b"hello", b"abcd"))
    assert len(logs) == 1
    assert transport.written == head(CLOSE, 16) + close_payload(1011, "internal error")
    transport.lose()
    assert shared.connections == set()


# --- the end ----------------------------------------------------------------------------------------------------------


def test_when_many_peers_go_at_once_a_few_close_in_each_turn(scene: Scene) -> None:
    many = [WebSocketConnection(scene.shared, FakeTransport(), "") for _ in range(2 * ENDS_AT_ONCE + 1)]
    transports: list[Any] = [connection._transport for connection in many]
    postponed = [connection.eof_received() for connection in many]
    assert postponed == [False] * ENDS_AT_ONCE + [True] * (ENDS_AT_ONCE + 1)
    many[-1].send(b"nobody is there")
    many[-1].ping()
    assert many[-1].buffered == 0
    closed = []
    for _ in range(3):
        scene.loop.turn()
        closed.append(sum(transport.closing for transport in transports))
    assert closed == [ENDS_AT_ONCE, ENDS_AT_ONCE + 1, ENDS_AT_ONCE + 1]
    assert not scene.connection.eof_received()


def test_who_waits_for_a_turn_to_close_may_be_lost_before(scene: Scene) -> None:
    while not scene.connection.eof_received():
        pass
    scene.transport.lose()
    scene.loop.turn()
    assert scene.heard.frames == ["lost"]
    assert not scene.transport.closing


def test_the_end_is_told_once(scene: Scene) -> None:
    assert not scene.connection.eof_received()
    scene.connection.send(b"unsent")
    scene.transport.lose(ConnectionResetError())
    assert scene.connection.buffered == 0
    scene.connection.send(b"too late")
    scene.connection.ping()
    scene.connection.close(1001)
    scene.connection.abort()
    scene.loop.turn()
    assert scene.heard.frames == ["lost"]
    assert scene.transport.writes == []
    assert scene.connection.buffered == 0
    assert scene.shared.connections == set()


def test_nothing_of_an_ended_connection_stays() -> None:
    """No cycle, no timer and no shared table keeps it: memory is free at once, without the garbage collector."""

    class Traced(WebSocketConnection):
        __slots__ = ("__weakref__",)

    loop = HandLoop()
    taken: Any = loop
    shared = Shared(taken, FRAME_BYTES, OUTBOX_BYTES)
    gone: list[weakref.ref[Any]] = []
    gc.disable()
    try:
        for last in ((PING, b"p"), (CLOSE, b""), (CLOSE, b"\x03"), (TEXT, b"\xff"), (3, b"")):
            for ours in (True, False):
                transport = FakeTransport()
                connection = Traced(shared, transport, "")
                transport.protocol = connection
                connection.begin(lambda _: Heard(), b"")
                connection.send(b"x")
                transport.receive(client_frame(TEXT, b"whole", b"abcd") + client_frame(TEXT, b"half", b"abcd")[:7])
                if ours:
                    connection.close(1001)
                transport.receive(client_frame(TEXT, b"half", b"abcd")[7:] + client_frame(*last, b"abcd"))
                loop.turn()
                transport.lose()
                gone.append(weakref.ref(connection))
                del connection, transport
        assert [ref() for ref in gone] == [None] * len(gone)
    finally:
        gc.enable()


def test_an_idle_connection_holds_no_collection(scene: Scene) -> None:
    scene.receive((TEXT, b"a"), (PING, b""))
    scene.connection.send(b"b")
    scene.loop.turn()
    connection: Any = scene.connection
    held = [getattr(connection, name) for name in WebSocketConnection.__slots__]
    held += [getattr(connection._parser, name) for name in FrameParser.__slots__]
    assert not [each for each in held if isinstance(each, list | dict | set | bytes | bytearray)]
    assert not hasattr(connection, "__dict__")
    assert not hasattr(connection._parser, "__dict__")
