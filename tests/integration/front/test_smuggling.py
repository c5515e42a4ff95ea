"""Two parsers read the head of a connection: ours the first one, uvicorn's every one. They never disagree about an end.

What is ambiguous is refused, on a fresh connection and on one that has served a request, whole or byte by byte; the
request that hides behind it is never served. What is not refused is served as it stands.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cooee.gateway.server import FrontServer, FrontSettings
from tests.integration.front.stage import PATIENCE_S, Raw, Session, error_code, handshake

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(*lines: bytes) -> bytes:
    """A GET whose head has exactly these bytes after the Host."""
    return b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"".join(lines)


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: x\r\n" + b"\r\n".join([*lines, b"", body])


AMBIGUOUS_HEADS = {
    "lines end with a bare LF": b"GET /a HTTP/1.1\nHost: x\n\n",
    "request line ends with a bare LF": b"GET /a HTTP/1.1\nHost: x\r\n\r\n",
    "header ends with a bare LF": get(b"X: y\nZ: z\r\n\r\n"),
    "head ends with a bare LF": get(b"\n"),
    "bare CR in a value": get(b"X: y\rZ: z\r\n\r\n"),
    "CR CR LF": b"GET /a HTTP/1.1\r\r\nHost: x\r\n\r\n",
    "folded header": get(b"X: a\r\n b\r\n\r\n"),
    "folded header with a tab": get(b"X: a\r\n\tb\r\n\r\n"),
    "folded first header": b"GET /a HTTP/1.1\r\n Host: x\r\n\r\n",
    "folded Transfer-Encoding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "space before the colon": post(b"Content-Length : 33"),
    "tab before the colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "no name": get(b": x\r\n\r\n"),
    "no colon": get(b"x\r\n\r\n"),
    "NUL in a value": get(b"X: a\0b\r\n\r\n"),
    "NUL in a name": get(b"X\0: a\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 33"),
    "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "length with a sign": post(b"Content-Length: +5", body=b"hello"),
    "negative length": post(b"Content-Length: -1"),
    "length in hex": post(b"Content-Length: 0x5", body=b"hello"),
    "length with a gap": post(b"Content-Length: 5 5", body=b"hello"),
    "length over 64 bits": post(b"Content-Length: 18446744073709551621", body=b"hello"),
    "no length in Content-Length": post(b"Content-Length:"),
    "length and then chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and then length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "chunked is not the last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and then another": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "nearly chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked with another space": post(b"Transfer-Encoding: \xa0chunked", body=b"0\r\n\r\n"),
    "chunked with a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity"),
    "no coding in Transfer-Encoding": post(b"Transfer-Encoding:"),
    "no Host": b"GET /a HTTP/1.1\r\n\r\n",
    "two Hosts": get(b"Host: y\r\n\r\n"),
    "HTTP/0.9": b"GET /a\r\n\r\n",
    "HTTP/1.2": b"GET /a HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version in lower case": b"GET /a http/1.1\r\nHost: x\r\n\r\n",
    "method in lower case": b"get /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"SMUGGLE /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the request line": b"GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "space after the version": b"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n",
    "space in the target": b"GET /a /b HTTP/1.1\r\nHost: x\r\n\r\n",
    "target with other bytes": "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "target without a slash": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "line of a proxy": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(b"\r\n"),
}

AMBIGUOUS_BODIES = {
    "size ends with a bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "extension ends with a bare LF": CHUNKED + b"5;\nhello\r\n0\r\n\r\n",
    "chunk ends with a bare LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "body ends with bare LFs": CHUNKED + b"5\r\nhello\r\n0\n\n",
    "longer than its size": CHUNKED + b"5\r\nhello there\r\n0\r\n\r\n",
    "shorter than its size": CHUNKED + b"5\r\nhel\r\n0\r\n\r\n",
    "size with a prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with a sign": CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n",
    "size with a space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "size over 64 bits": CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "length in a trailer": CHUNKED + b"0\r\nContent-Length: 33\r\n\r\n",
    "coding in a trailer": CHUNKED + b"0\r\nTransfer-Encoding: identity\r\n\r\n",
    "trailer ends with a bare LF": CHUNKED + b"0\r\nX: y\n\n",
}

CLEAR = {
    "length": (post(b"Content-Length: 5", body=b"hello"), b"hello"),
    "length on a GET": (get(b"Content-Length: 5\r\n\r\nhello"), b"hello"),
    "the hidden request is a body": (post(b"Content-Length: %d" % len(HIDDEN), body=HIDDEN), HIDDEN),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "chunk extensions": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
    "the hidden request is a chunk": (CHUNKED + b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n", HIDDEN),
    "chunked in another case": (post(b"TRANSFER-ENCODING: Chunked", body=b"0\r\n\r\n"), b""),
    "upgrade to h2c": (get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"), b""),
    "upgrade to h2c with a body": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello"),
        b"hello",
    ),
    "upgrade to h2c with an empty body": (post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 0"), b""),
    "upgrade to h2c with the hidden request as a body": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(HIDDEN), body=HIDDEN),
        HIDDEN,
    ),
    "upgrade to h2c with chunks": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        b"hello",
    ),
    "WebSocket elsewhere": (handshake().replace(b"/v1/ws", b"/a"), b""),
    "WebSocket elsewhere with a body": (
        handshake("Content-Length: 5").replace(b"/v1/ws", b"/a") + b"hello",
        b"hello",
    ),
}


class Recorder:
    """An ASGI application that notes every request whose body came to its end."""

    def __init__(self) -> None:
        self.served: list[tuple[str, bytes, list[tuple[bytes, bytes]]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.served.append((scope["path"], body, scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


class Place:
    """A server and its recorder."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.sessions: list[Session] = []
        self.server = FrontServer(self.recorder, self._new_session, FrontSettings(port=0))

    def _new_session(self, connection: Any, head: Any) -> Session:
        self.sessions.append(Session(connection, head))
        return self.sessions[-1]

    async def connect(self, *, reused: bool) -> Raw:
        """Connect; ``reused``: and have a request served."""
        raw = Raw(*await asyncio.open_connection("127.0.0.1", self.server.port))
        if reused:
            raw.send(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await raw.answer())[0] == 200
            self.recorder.served.clear()
        return raw

    @property
    def paths(self) -> list[str]:
        """The paths that were served."""
        return [path for path, _, _ in self.recorder.served]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    await place.server.start()
    yield place
    await place.server.aclose()


async def send(raw: Raw, data: bytes, step: int) -> None:
    """Send in pieces of ``step`` bytes that the server reads one by one; 0: whole."""
    for start in range(0, len(data), step or len(data)):
        raw.send(data[start : start + (step or len(data))])
        if step:
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", AMBIGUOUS_HEADS)
async def test_an_ambiguous_head_is_refused_and_nothing_behind_it_is_served(
    place: Place, name: str, reused: bool
) -> None:
    for step in (0, 1):
        async with await place.connect(reused=reused) as raw:
            await send(raw, AMBIGUOUS_HEADS[name] + HIDDEN, step)
            status, headers, body = await raw.answer()
            assert (status, error_code(body), headers["connection"]) == (400, "bad_frame", "close")
            assert await raw.rest() == b""
    assert place.paths == []


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", AMBIGUOUS_BODIES)
async def test_an_ambiguous_body_is_refused_and_nothing_behind_it_is_served(
    place: Place, name: str, reused: bool
) -> None:
    for step in (0, 1):
        async with await place.connect(reused=reused) as raw:
            await send(raw, AMBIGUOUS_BODIES[name] + HIDDEN, step)
            status, _, body = await raw.answer()
            assert (status, error_code(body)) == (400, "bad_frame")
            assert await raw.rest() == b""
    assert place.paths == []


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("name", CLEAR)
async def test_a_clear_request_is_served_as_it_stands_and_so_is_the_next(place: Place, name: str, reused: bool) -> None:
    data, body = CLEAR[name]
    for step in (0, 1, 40):
        async with await place.connect(reused=reused) as raw:
            await send(raw, data + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n", step)
            assert [(await raw.answer())[0] for _ in range(2)] == [200, 200]
            assert [(path, got) for path, got, _ in place.recorder.served] == [("/a", body), ("/next", b"")]
            place.recorder.served.clear()


async def test_the_application_sees_the_heads_bytes_as_they_came(place: Place) -> None:
    lines = [
        (b"Host", b"x"),
        (b"X-One", b"a  b\tc"),
        (b"X-One", b"\xe9 latin"),
        (b"X-Empty", b""),
        (b"X-Long", b"y" * 9000),
    ]
    data = b"GET /a?q=%41+b&&= HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines) + b"\r\n"
    for reused in (False, True):
        async with await place.connect(reused=reused) as raw:
            raw.send(data)
            await raw.answer()
        ((_, _, headers),) = place.recorder.served
        assert headers == [(name.lower(), value) for name, value in lines]
        place.recorder.served.clear()


async def test_a_trailer_adds_no_header(place: Place) -> None:
    async with await place.connect(reused=False) as raw:
        raw.send(CHUNKED + b"0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        assert (await raw.answer())[0] == 200
    ((_, _, headers),) = place.recorder.served
    assert [name for name, _ in headers] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("body", ["Content-Length: 33", "Transfer-Encoding: chunked", "Content-Length: 00"])
async def test_a_handshake_has_no_body(place: Place, body: str, reused: bool) -> None:
    """Else what a proxy took for the body would be frames for us, or what it took for frames a body."""
    async with await place.connect(reused=reused) as raw:
        raw.send(handshake(body) + HIDDEN)
        status, _, answer = await raw.answer()
        assert (status, error_code(answer)) == (400, "bad_frame")
        assert await raw.rest() == b""
    assert place.sessions == []
    assert place.paths == []


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    "target", [b"/v1/%77s", b"/v1/ws/", b"//v1/ws", b"/v1/../v1/ws", b"http://x/v1/ws", b"/v1/ws#a"]
)
async def test_another_spelling_of_the_path_is_no_handshake(place: Place, target: bytes, reused: bool) -> None:
    """It goes to the application, which knows no such page; no proxy's rule for a path is got round."""
    async with await place.connect(reused=reused) as raw:
        raw.send(handshake().replace(b"/v1/ws", target, 1))
        assert (await raw.answer())[0] == 200
    assert len(place.paths) == 1
    assert place.sessions == []


async def test_nothing_behind_a_request_that_ends_the_connection_is_served(place: Place) -> None:
    for head in (get(b"Connection: close\r\n\r\n"), b"GET /a HTTP/1.0\r\n\r\n"):
        async with await place.connect(reused=False) as raw:
            raw.send(head + HIDDEN)
            assert (await raw.answer())[0] == 200
            assert await raw.rest() == b""
    assert place.paths == ["/a", "/a"]


async def test_a_crowd_of_requests_in_one_read_is_not_piled_up(place: Place) -> None:
    """Each would cost kilobytes. Those that were taken are answered, and the connection ends."""
    async with await place.connect(reused=False) as raw:
        raw.send(get(b"\r\n") * 10_000)
        answers = await raw.rest()
    count = answers.count(b"HTTP/1.1 200 ")
    assert 0 < count < 100
    assert len(place.paths) == count


async def test_no_input_reaches_a_header_of_an_answer(place: Place) -> None:
    """Neither the head nor the target is quoted in a refusal's head."""
    evil = b"Set-Cookie:a=b"
    for reused in (False, True):
        for data in (
            b"GET /" + evil + b"\r\n" + evil + b"\r\n HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: x\r\nX y: " + evil + b"\r\n\r\n",
            handshake("Origin: http://evil.example/%0d%0aSet-Cookie:a=b"),
            handshake("Sec-WebSocket-Key: %0d%0aSet-Cookie:a=b", without="Sec-WebSocket-Key"),
        ):
            async with await place.connect(reused=reused) as raw:
                raw.send(data)
                async with asyncio.timeout(PATIENCE_S):
                    head = await raw.reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 40")
                assert b"cookie" not in head.lower()
