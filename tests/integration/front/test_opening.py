"""The first request on a connection: who may open a WebSocket, and who is sent away and how."""

import asyncio
import errno
import json
import socket
import stat
from pathlib import Path

import pytest

from cooee.gateway import first_request
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.protocol.websocket import TEXT, Event
from tests.integration.front.conftest import NewFront
from tests.integration.front.stage import PATIENCE_S, App, Front, Raw, error_code, handshake, text


class TestHandshake:
    async def test_what_is_accepted(self, front: Front) -> None:
        """No extension and no subprotocol is taken, whatever is offered."""
        async with await front.raw() as raw:
            raw.send(handshake("Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"))
            status, headers, _ = await raw.answer()
            assert status == 101
            assert headers == {
                "upgrade": "websocket",
                "connection": "Upgrade",
                "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            }
        assert front.sessions[0].head.headers["sec-websocket-protocol"] == "chat"

    @pytest.mark.parametrize(
        ("request_head", "status", "code"),
        [
            (handshake("Origin: https://evil.example"), 403, "forbidden"),
            (handshake("Origin: null"), 403, "forbidden"),
            (handshake("Origin: http://chat.example", "Origin: http://chat.example"), 403, "forbidden"),
            (handshake("Origin: http://chat.example", without="Host"), 400, "bad_frame"),
            (handshake(without="Sec-WebSocket-Version"), 426, "bad_frame"),
            (handshake("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"), 426, "bad_frame"),
            (handshake(without="Sec-WebSocket-Key"), 400, "bad_frame"),
            (handshake("Sec-WebSocket-Key: c2hvcnQ=", without="Sec-WebSocket-Key"), 400, "bad_frame"),
            (handshake("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "bad_frame"),
            (handshake(without="Connection"), 400, "bad_frame"),
            (handshake().replace(b"GET", b"POST"), 400, "bad_frame"),
            (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "bad_frame"),
            (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03 hello, TLS\r\n\r\n", 400, "bad_frame"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, "bad_frame"),
            (handshake("name without colon"), 400, "bad_frame"),
            (handshake(*["x: y"] * 100), 431, "too_large"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000, 431, "too_large"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", 431, "too_large"),
            (b"X" * 5_000_000, 431, "too_large"),
        ],
    )
    async def test_what_is_refused(self, front: Front, request_head: bytes, status: int, code: str) -> None:
        """With a whole HTTP answer, and then the end."""
        async with await front.raw() as raw:
            raw.send(request_head)
            got, headers, body = await raw.answer()
            assert (got, error_code(body)) == (status, code)
            assert headers["connection"] == "close"
            assert headers.get("sec-websocket-version") == ("13" if status == 426 else None)
            assert await raw.rest() == b""
            assert not raw.was_reset
        assert front.sessions == []
        await front.emptied()

    @pytest.mark.parametrize(
        ("origin", "settings"),
        [
            ("http://chat.example", {}),
            ("https://web.example", {"allowed_origins": ("https://web.example",)}),
            ("https://chat.example:444", {"public_url": "https://chat.example:444"}),
        ],
    )
    async def test_origins_that_may(self, new_front: NewFront, origin: str, settings: dict[str, object]) -> None:
        front = await new_front(**settings)
        async with await front.socket(f"Origin: {origin}", early=text(b"hi")) as raw:
            assert await raw.event() == Event(TEXT, b"hi")

    async def test_a_head_byte_by_byte(self, front: Front) -> None:
        async with await front.raw() as raw:
            for byte in handshake() + text(b"hi"):
                raw.send(bytes((byte,)))
                await raw.writer.drain()
                await asyncio.sleep(0)
            assert (await raw.answer())[0] == 101
            assert await raw.event() == Event(TEXT, b"hi")

    async def test_a_query_changes_nothing(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(handshake().replace(b"/v1/ws", b"/v1/ws?client=1"))
            assert (await raw.answer())[0] == 101


class TestSlowness:
    @pytest.mark.parametrize("head", [b"", b"GET /v1/ws HTTP/1.1\r\nHost:"])
    async def test_a_head_that_does_not_come_ends_the_connection(self, new_front: NewFront, head: bytes) -> None:
        front = await new_front(limits={"hello_timeout_s": 0.05})
        async with await front.raw() as raw:
            raw.send(head)
            assert await raw.rest() == b""
        await front.emptied()

    async def test_dripping_bytes_do_not_put_it_off(self, new_front: NewFront) -> None:
        front = await new_front(limits={"hello_timeout_s": 0.2})
        async with await front.raw() as raw:
            end = asyncio.ensure_future(raw.rest())
            while not end.done():
                raw.send(b"G")
                await asyncio.wait([end], timeout=0.01)
            assert await end == b""

    async def test_once_it_came_the_session_decides(self, new_front: NewFront) -> None:
        """The time for the head no longer runs: the heartbeat is the session's."""
        front = await new_front(limits={"hello_timeout_s": 0.05})
        async with await front.socket() as raw, await front.raw() as slow:
            await slow.rest()
            raw.send(text(b"hi"))
            assert await raw.event() == Event(TEXT, b"hi")

    async def test_a_refused_client_that_stays_is_dropped(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(first_request, "LINGER_S", 0.05)
        async with await front.raw() as raw:
            raw.send(b"nonsense\r\n\r\n")
            await raw.answer()
            await front.emptied()


class TestRoom:
    async def test_connections_beyond_the_limit_are_told_to_come_back(self, new_front: NewFront) -> None:
        front = await new_front(limits={"max_connections": 2})
        async with await front.socket() as first, await front.raw() as second:
            second.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await second.answer())[0] == 200
            async with await front.raw() as third:
                status, headers, body = await third.answer()
                assert (status, error_code(body)) == (503, "unavailable")
                assert json.loads(body)["error"]["retryable"] is True
                assert headers["retry-after"] == "5"
            first.send(text(b"still served"))
            assert await first.event() == Event(TEXT, b"still served")
            second.abort()
            async with asyncio.timeout(PATIENCE_S):
                while front.server.open_connections > 1:  # noqa: ASYNC110  # the server tells nobody
                    await asyncio.sleep(0.005)
            async with await front.socket(early=text(b"room")) as fourth:
                assert await fourth.event() == Event(TEXT, b"room")

    async def test_a_crowd_beyond_the_limit_is_dropped_without_an_answer(
        self, new_front: NewFront, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(first_request, "MAX_LINGERING", 0)
        front = await new_front(limits={"max_connections": 1})
        async with await front.socket() as first, await front.raw() as second:
            assert await second.rest() == b""
            first.send(text(b"hi"))
            assert await first.event() == Event(TEXT, b"hi")


class TestAddresses:
    @pytest.mark.parametrize(
        ("trusted", "told", "expected"),
        [
            ((), ["X-Forwarded-For: 203.0.113.7"], "127.0.0.1"),
            (("10.0.0.0/8",), ["X-Forwarded-For: 203.0.113.7"], "127.0.0.1"),
            (("127.0.0.0/8",), ["X-Forwarded-For: 203.0.113.7"], "203.0.113.7"),
            (("127.0.0.0/8",), ["X-Forwarded-For: 6.6.6.6, 203.0.113.7"], "203.0.113.7"),
            (("127.0.0.0/8", "10.0.0.0/8"), ["X-Forwarded-For: 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (("127.0.0.0/8",), ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.7"], "203.0.113.7"),
            (
                ("127.0.0.0/8", "10.0.0.0/8"),
                ["X-Forwarded-For: 2001:db8::7", "X-Forwarded-For: 10.0.0.2"],
                "2001:db8::7",
            ),
            (("127.0.0.0/8",), ["X-Forwarded-For: 6.6.6.6, nonsense"], "127.0.0.1"),
            (("127.0.0.0/8",), [], "127.0.0.1"),
        ],
    )
    async def test_the_client_is_who_a_trusted_proxy_says(
        self, new_front: NewFront, trusted: tuple[str, ...], told: list[str], expected: str
    ) -> None:
        """For WebSocket and HTTP alike."""
        front = await new_front(trusted_proxies=trusted)
        async with await front.socket(*told):
            assert front.sessions[0].connection.peer == expected
        async with await front.raw() as raw:
            raw.send("\r\n".join(["GET / HTTP/1.1", "Host: x", *told, "", ""]).encode())
            assert json.loads((await raw.answer())[2])["client"] == expected


class TestListening:
    async def test_stopping_to_accept_leaves_open_connections_alone(self, front: Front) -> None:
        async with await front.socket() as raw:
            front.server.stop_accepting()
            await asyncio.sleep(0)
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", front.server.port)
            raw.send(text(b"still here"))
            assert await raw.event() == Event(TEXT, b"still here")
            assert [each.peer for each in front.server.websockets()] == ["127.0.0.1"]

    async def test_a_used_port_is_an_error(self, front: Front) -> None:
        second = FrontServer(App(), lambda *_: front.sessions[0], FrontSettings(port=front.server.port))
        with pytest.raises(OSError) as caught:
            await second.start()
        assert caught.value.errno == errno.EADDRINUSE
        await second.aclose()

    async def test_the_administrative_socket_is_private_and_serves_its_own_application(
        self, front: Front, tmp_path: Path
    ) -> None:
        path = tmp_path / "admin.sock"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        administration = App()
        await front.server.listen_for_administration(path, administration)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with Raw(*await asyncio.open_unix_connection(str(path))) as raw:
            raw.send(b"GET /stats HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
            status, _, body = await raw.answer()
            assert (status, json.loads(body)["client"]) == (200, "unix")
            raw.send(handshake())
            assert (await raw.answer())[0] == 200
        assert administration.entered.is_set()
        assert not front.app.entered.is_set()
        assert front.sessions == []

    async def test_the_administration_outlives_the_public_port(self, front: Front, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        await front.server.listen_for_administration(path, App())
        front.server.stop_accepting()
        async with Raw(*await asyncio.open_unix_connection(str(path))) as raw:
            raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await raw.answer())[0] == 200
