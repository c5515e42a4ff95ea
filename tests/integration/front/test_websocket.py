"""WebSocket connections over real sockets: two independent peers, and clients without manners."""

import asyncio
import socket

import aiohttp
import pytest
import structlog
import websockets
from websockets.frames import CloseCode as PeerCode

from cooee.gateway import websocket as connection_module
from cooee.protocol import websocket
from cooee.protocol.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Event, client_frame
from tests.integration.front.conftest import NewFront
from tests.integration.front.stage import KEY, PATIENCE_S, Front, text

TEXTS = ["", "a", "x" * 125, "x" * 126, "x" * 65_535, "y" * 65_536, "Grüße, 世界 🎉"]


class TestIndependentPeers:
    async def test_websockets_echo(self, front: Front) -> None:
        async with websockets.connect(front.ws_url, max_size=None, ssl=front.client_tls) as peer:
            assert peer.protocol.extensions == []
            for each in TEXTS:
                await peer.send(each)
                assert await peer.recv() == each
            await peer.send(["in ", "three ", "pieces"])
            assert await peer.recv() == "in three pieces"
            async with asyncio.timeout(PATIENCE_S):
                await (await peer.ping(b"are you there"))
        assert peer.close_code == PeerCode.NORMAL_CLOSURE
        await front.sessions[0].gone.wait()

    async def test_websockets_sees_our_close(self, front: Front) -> None:
        async with websockets.connect(front.ws_url, ssl=front.client_tls) as peer:
            await peer.send("close 4009")
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await peer.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4009, "as told")

    async def test_aiohttp_echo_ping_and_close(self, front: Front) -> None:
        async with (
            aiohttp.ClientSession(connector=front.connector()) as http,
            http.ws_connect(front.ws_url, compress=15) as peer,
        ):
            for each in TEXTS:
                await peer.send_str(each)
                assert (await peer.receive()).data == each
            await peer.send_str("ping")
            await peer.send_str("after the ping, which aiohttp answers by itself")
            assert (await peer.receive()).type is aiohttp.WSMsgType.TEXT
            await peer.send_str("close 4003")
            message = await peer.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4003)

    async def test_aiohttp_sends_binary(self, front: Front) -> None:
        async with aiohttp.ClientSession(connector=front.connector()) as http, http.ws_connect(front.ws_url) as peer:
            await peer.send_bytes(b"\x00\xff")
            message = await peer.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1003)
        assert front.sessions[0].binaries == 1


class TestFrames:
    async def test_frames_sent_along_with_the_handshake_are_served(self, front: Front) -> None:
        async with await front.socket(early=text(b"one") + text(b"two")[:3]) as raw:
            assert await raw.event() == Event(TEXT, b"one")
            raw.send(text(b"two")[3:])
            assert await raw.event() == Event(TEXT, b"two")

    async def test_a_frame_byte_by_byte(self, front: Front) -> None:
        async with await front.socket() as raw:
            for byte in text(b"slowly"):
                raw.send(bytes((byte,)))
                await raw.writer.drain()
                await asyncio.sleep(0)
            assert await raw.event() == Event(TEXT, b"slowly")

    async def test_connections_share_a_buffer_but_no_bytes(self, front: Front) -> None:
        """Partial frames of many connections, interleaved."""
        raws = [await front.socket() for _ in range(20)]
        frames = [text(b"%d " % number * 2000) for number in range(20)]
        for start in range(0, max(map(len, frames)), 1500):
            for raw, frame in zip(raws, frames, strict=True):
                raw.send(frame[start : start + 1500])
                await raw.writer.drain()
        for number, raw in enumerate(raws):
            assert await raw.event() == Event(TEXT, b"%d " % number * 2000)
            await raw.__aexit__()

    async def test_what_is_sent_in_one_turn_leaves_in_one_write(self, front: Front) -> None:
        async with await front.socket() as raw:
            before = front.server.shared.counters.writes
            raw.send(text(b"many 50"))
            assert [(await raw.event()).payload for _ in range(50)] == [b"%d" % number for number in range(50)]
            assert front.server.shared.counters.writes == before + 1

    async def test_pings_are_answered_with_their_payload_and_in_order(self, front: Front) -> None:
        async with await front.socket() as raw:
            raw.send(client_frame(PING, b"p" * 125, KEY) + text(b"t") + client_frame(PING, b"", KEY))
            assert [await raw.event() for _ in range(3)] == [
                Event(PONG, b"p" * 125),
                Event(TEXT, b"t"),
                Event(PONG, b""),
            ]

    async def test_any_bytes_are_a_sign_of_life(self, front: Front) -> None:
        async with await front.socket() as raw:
            session = front.sessions[0]
            for data in (client_frame(PONG, b"", KEY), text(b"unfinished")[:4]):
                session.heard_now.clear()
                raw.send(data)
                async with asyncio.timeout(PATIENCE_S):
                    await session.heard_now.wait()
            assert session.heard == 2
            assert session.frames == []

    async def test_the_counters_count(self, front: Front) -> None:
        async with await front.socket() as raw:
            raw.send(text(b"12345"))
            await raw.event()
            counters = front.server.shared.counters
            assert (counters.opened, counters.frames_received, counters.frames_sent) == (1, 1, 1)
            assert (counters.bytes_received, counters.bytes_sent) == (11, 7)


FLOODS = {
    "unmasked": (websocket.head(TEXT, 2) + b"hi", 1002),
    "compressed": (b"\xc1" + text(b"bomb")[1:], 1002),
    "not UTF-8": (text(b"\xff\xfe"), 1007),
    "huge frame": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + KEY + b"x" * 3_000_000, 1009),
    "many fragments": (client_frame(TEXT, b"", KEY)[:0] + b"\x01\x80" + KEY + (b"\x00\x80" + KEY) * 400_000, 1009),
    "endless message": (b"\x01\x80" + KEY + (b"\x00" + client_frame(CONTINUATION, b"x" * 9000, KEY)[1:]) * 300, 1009),
    "ping flood": (client_frame(PING, b"x" * 100, KEY) * 20_000, 4000),
    "pong flood": (client_frame(PONG, b"", KEY) * 20_000, 4000),
    "bad close": (client_frame(CLOSE, b"\x03\xed", KEY), 1002),
    "half a close": (client_frame(CLOSE, b"\x03", KEY), 1002),
    "binary": (client_frame(BINARY, b"\x00", KEY), 1003),
    "text behind a violation": (text(b"fine") + b"\x83\x80" + KEY + text(b"lost") * 100_000, 1002),
}


class TestAttackers:
    @pytest.mark.parametrize("name", FLOODS)
    async def test_each_gets_its_code_and_can_read_it(self, front: Front, name: str) -> None:
        """Also when much more is on its way: closing with unread bytes would reset the connection."""
        data, code = FLOODS[name]
        async with await front.socket() as raw, await front.socket() as other:
            raw.send(data)
            assert await raw.closing() == code
            assert not raw.was_reset
            assert front.sessions[0].frames in ([], [b"fine"])
            assert front.server.shared.counters.closed == {code: 1}
            other.send(text(b"still here"))
            assert await other.event() == Event(TEXT, b"still here")
        await front.emptied()

    async def test_some_pings_are_no_flood(self, front: Front) -> None:
        count = connection_module.MAX_CONTROLS_PER_S
        async with await front.socket() as raw:
            raw.send(client_frame(PING, b"", KEY) * count)
            assert [await raw.event() for _ in range(count)] == [Event(PONG, b"")] * count

    async def test_a_peer_that_never_reads(self, new_front: NewFront, monkeypatch: pytest.MonkeyPatch) -> None:
        """4008, then the end although its bytes never left; in between its memory was bounded."""
        monkeypatch.setattr(connection_module, "CLOSE_GRACE_S", 0.05)
        front = await new_front(limits={"outbox_bytes": 100_000})
        async with await front.socket() as raw:
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            raw.send(text(b"flood"))
            session = front.sessions[0]
            async with asyncio.timeout(PATIENCE_S):
                await session.gone.wait()
            assert session.lost == 1
            assert session.most_buffered <= 100_000 + 2 * 10_004 + 200
            assert front.server.shared.counters.closed == {4008: 1}
        assert session.task is not None
        await session.task

    async def test_a_peer_that_reads_gets_everything(self, front: Front) -> None:
        async with await front.socket() as raw:
            for _ in range(100):
                raw.send(text(b"z" * 60_000))
                assert (await raw.event()).payload == b"z" * 60_000

    async def test_the_bound_holds_within_one_turn(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        """20 MB at once, more than the kernel takes."""
        monkeypatch.setattr(connection_module, "CLOSE_GRACE_S", 0.05)
        async with await front.socket() as raw:
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            raw.send(text(b"burst 2000"))
            session = front.sessions[0]
            async with asyncio.timeout(PATIENCE_S):
                await session.gone.wait()
            assert session.most_buffered <= 2 * (1024 * 1024 + 10_004)
            assert front.server.shared.counters.closed == {4008: 1}


class TestClosing:
    @pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9going", b"\x0f\xa0"])
    async def test_the_peers_code_is_echoed_without_its_reason(self, front: Front, payload: bytes) -> None:
        async with await front.socket() as raw:
            raw.send(text(b"last") + client_frame(CLOSE, payload, KEY) + text(b"too late"))
            assert await raw.event() == Event(TEXT, b"last")
            assert await raw.event() == Event(CLOSE, payload[:2])
            assert await raw.rest() == b""
        assert front.sessions[0].frames == [b"last"]
        assert front.server.shared.counters.closed == {}

    async def test_the_handshake_ends_also_when_a_frame_crosses_it(
        self, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "CLOSE_GRACE_S", 1000)
        async with await front.socket() as raw:
            raw.send(text(b"close 4009"))
            assert (await raw.event()).opcode == CLOSE
            raw.send(text(b"crossing") + client_frame(CLOSE, b"\x0f\xa9", KEY))
            assert await raw.rest() == b""
        assert front.sessions[0].frames == [b"close 4009"]

    async def test_a_peer_that_does_not_answer_the_close_is_dropped(
        self, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "CLOSE_GRACE_S", 0.05)
        async with await front.socket() as raw:
            raw.send(text(b"close 4009"))
            assert await raw.closing(answers=False) == 4009

    async def test_what_was_queued_leaves_before_the_close_and_nothing_after(self, front: Front) -> None:
        async with await front.socket() as raw:
            raw.send(text(b"many 2") + text(b"close 4000") + text(b"many 2"))
            assert [(await raw.event()).payload[:2] for _ in range(3)] == [b"0", b"1", b"\x0f\xa0"]

    async def test_closing_twice_sends_one_frame(self, front: Front) -> None:
        async with await front.socket() as raw:
            raw.send(text(b"hi"))
            await raw.event()
            connection = front.sessions[0].connection
            connection.close(4000)
            connection.close(4001)
            connection.send(b"dropped")
            connection.ping()
            assert await raw.event() == Event(CLOSE, b"\x0f\xa0")
            raw.send(client_frame(CLOSE, b"\x0f\xa0", KEY))
            assert await raw.rest() == b""
        assert front.server.shared.counters.closed == {4000: 1}

    async def test_abort_ends_at_once_and_drops_what_came_with_it(self, front: Front) -> None:
        async with await front.socket() as raw:
            raw.send(text(b"abort") + text(b"never seen"))
            assert await raw.rest() == b""
        await front.emptied()
        assert front.sessions[0].frames == [b"abort"]
        front.sessions[0].connection.send(b"harmless")
        front.sessions[0].connection.close(4000)
        assert front.sessions[0].connection.buffered == 0

    @pytest.mark.parametrize("how", ["end", "reset"])
    async def test_a_peer_that_leaves_without_a_word(self, front: Front, how: str) -> None:
        async with await front.socket() as raw:
            if how == "reset":
                raw.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                )
            raw.writer.close()
            async with asyncio.timeout(PATIENCE_S):
                await front.sessions[0].gone.wait()

    async def test_nobody_reads_at_the_end_of_the_server(self, front: Front) -> None:
        async with await front.socket() as raw:
            await front.server.aclose()
            assert await raw.rest() == b""
            assert front.sessions[0].lost == 1


class TestBugsAbove:
    async def test_an_exception_ends_one_connection_with_1011_and_is_logged_without_content(self, front: Front) -> None:
        with structlog.testing.capture_logs() as logs:
            async with await front.socket() as raw, await front.socket() as other:
                raw.send(text(b"raise a secret"))
                assert (await raw.event()).payload[:2] == (1011).to_bytes(2, "big")
                other.send(text(b"unharmed"))
                assert await other.event() == Event(TEXT, b"unharmed")
        assert [(entry["log_level"], entry["problem"]) for entry in logs] == [("error", "KeyError")]
        assert "secret" not in repr(logs)

    async def test_a_session_that_cannot_be_made(self, new_front: NewFront) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("no session")

        front = await new_front(new_session=fail)
        with structlog.testing.capture_logs() as logs:
            async with await front.socket(early=text(b"hello")) as raw:
                assert (await raw.event()).payload[:2] == (1011).to_bytes(2, "big")
        assert len(logs) == 1
        await front.emptied()
