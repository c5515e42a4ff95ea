"""Bytes that are no frame, no WebSocket and no request: the connection ends as documented, and only that one (§10)."""

import asyncio
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from tests.integration.harness import ServerProcess
from tests.integration.peers import DEADLINE_S, Refused, WebSocketPeer
from tests.integration.scene import Person, Scene, dm

CANARY = "kanarienvogel"


@pytest.fixture
def transport() -> str:
    """These tests are about the bytes of one transport each."""
    return "websocket"


@pytest.fixture(scope="module", autouse=True)
def quiet_log(server: ServerProcess) -> Iterator[None]:
    """Nothing that was sent may stand in the log."""
    yield
    assert CANARY not in server.log


class Raw:
    """A TCP connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, url: str) -> "Raw":
        host, _, port = url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def put(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Read until the server ends the connection."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()

    async def request(self, data: bytes) -> tuple[int, Any]:
        """Send bytes and return status and parsed body of the answer, which ends the connection."""
        await self.put(data)
        answer = await self.rest()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, rsv1: bool = False, mask: bool = True) -> bytes:
    """Serialize a frame as any client would, or as none should."""
    head, *rest = WireFrame(opcode, data, fin).serialize(mask=mask)
    return bytes([head | 0x40 if rsv1 else head, *rest])


def deflated(size: int) -> bytes:
    """Compress as permessage-deflate does: a little that becomes much."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(b" " * size) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


BROKEN: dict[str, tuple[bytes, int]] = {
    "a compressed bomb": (frame(Opcode.TEXT, deflated(50_000_000), rsv1=True), 1002),
    "invalid UTF-8": (frame(Opcode.TEXT, b'{"type":"\xff\xfe"}'), 1007),
    "a surrogate in UTF-8": (frame(Opcode.TEXT, b'"\xed\xa0\xbd"'), 1007),
    "half a character at the end": (frame(Opcode.TEXT, b'"\xc3'), 1007),
    "a frame beyond the limit": (frame(Opcode.TEXT, b" " * 65_537), 1009),
    "a huge frame announced": (b"\x81\xff" + (2**40).to_bytes(8, "big") + b"mask" + b"x" * 100, 1009),
    "a length with its highest bit": (b"\x81\xff" + (2**63).to_bytes(8, "big") + b"mask", 1002),
    "fragments beyond the limit": (
        frame(Opcode.TEXT, b" " * 40_000, fin=False) + frame(Opcode.CONT, b" " * 40_000, fin=False),
        1009,
    ),
    "a frame without mask": (frame(Opcode.TEXT, b'{"type":"ping"}', mask=False), 1002),
    "a continuation of nothing": (frame(Opcode.CONT, b"x"), 1002),
    "a message within a message": (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002),
    "a fragmented ping": (b"\x09\x80mask", 1002),
    "a long ping": (b"\x89\xfe\x00\x7emask" + b"x" * 126, 1002),
    "an unknown opcode": (b"\x83\x80mask", 1002),
    "an unknown control frame": (b"\x8b\x80mask", 1002),
    "a length in more bytes than needed": (b"\x81\xfe\x00\x05maskxxxxx", 1002),
    "a close code that may not be sent": (frame(Opcode.CLOSE, (1005).to_bytes(2, "big")), 1002),
    "half a close code": (frame(Opcode.CLOSE, b"\x03"), 1002),
    "a close reason that is no text": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
}


async def two(scene: Scene) -> tuple[Person, Person, WebSocketPeer, str]:
    """Return two people, the connection of the first and their chat."""
    alice, bob = await scene.people("alice", "bob")
    peer = await alice.ready()
    assert isinstance(peer, WebSocketPeer)
    return alice, bob, peer, dm(alice, bob)


@pytest.mark.parametrize("case", BROKEN)
async def test_broken_framing_ends_the_connection_but_loses_nothing_before_it(scene: Scene, case: str) -> None:
    alice, bob, a, chat = await two(scene)
    b = await bob.ready()
    data, code = BROKEN[case]
    body = {"type": "send", "clientMessageId": "x", "conversationId": chat, "contentType": "text", "content": CANARY}
    await a.socket.send(json.dumps(body))
    a.socket.transport.write(data)
    assert (await a.closed()).code == code
    assert (await b.expect("message"))["content"] == CANARY, "what came before counts"
    await b.settle()
    again = await alice.ready()
    await again.settle()


async def test_binary_is_refused_and_the_connection_goes_on(scene: Scene) -> None:
    _, _, a, _ = await two(scene)
    await a.socket.send(b'{"type":"ping"}')
    assert (await a.expect("error"))["code"] == "bad_frame"
    await a.socket.send([b"in ", b"pieces"])
    assert (await a.expect("error"))["code"] == "bad_frame"
    await a.settle()


async def test_the_largest_frame_passes_in_any_pieces(scene: Scene) -> None:
    _, _, a, _ = await two(scene)
    largest = json.dumps({"type": "ping", "ref": "whole"}).ljust(65_536)
    await a.put(largest)
    assert (await a.expect("pong"))["ref"] == "whole"
    await a.socket.send([largest[:1], largest[1:30_000], largest[30_000:]])
    assert (await a.expect("pong"))["ref"] == "whole"
    for byte in frame(Opcode.TEXT, b'{"type":"ping","ref":"bytes"}'):
        a.socket.transport.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await a.expect("pong"))["ref"] == "bytes"


async def test_compression_is_not_negotiated(scene: Scene) -> None:
    url = "ws" + scene.server.url.removeprefix("http") + "/v1/ws"
    async with connect(url, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_a_peer_that_breaks_off_is_no_trouble(scene: Scene) -> None:
    alice, bob, a, chat = await two(scene)
    a.socket.transport.write(frame(Opcode.TEXT, b" " * 1000)[:500])
    a.socket.transport.abort()
    b = await bob.ready()
    await b.say(chat, "still here")
    a = await alice.ready()  # type: ignore[assignment]
    assert a.take("message")[0]["content"] == "still here"


async def test_floods_of_control_frames_and_of_nothing_are_bounded(scene: Scene) -> None:
    _, bob, a, chat = await two(scene)
    b = await bob.ready()
    a.socket.transport.write(frame(Opcode.PING, b"x" * 125) * 20_000)
    a.socket.transport.write(frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * 50_000)
    await b.say(chat, "the others are served meanwhile")
    a.socket.transport.abort()
    await b.settle()


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def post(scene: Scene, path: str, data: bytes | io.BytesIO, token: str = "", **headers: str) -> tuple[int, str]:
    """Post bytes; return the status and the error's code."""
    given = {"content-type": "application/json"} | headers | ({"authorization": f"Bearer {token}"} if token else {})
    async with scene.wire.client.post(scene.wire.url + path, data=data, headers=given) as answer:
        body = json.loads(await answer.text())
        assert CANARY not in json.dumps(body)
        assert set(body) == {"error"}, body
        assert set(body["error"]) >= {"code", "message", "retryable"}
        return answer.status, body["error"]["code"]


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "words": CANARY.encode(),
    "half": b'{"userId":"',
    "invalid UTF-8": b'{"userId":"\xff"}',
    "an array": b"[]",
    "null": b"null",
    "deep": b"[" * 200_000,
    "deep within": b'{"userId":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "wrong types": b'{"userId":7,"password":["x"]}',
    "compressed": zlib.compress(b'{"userId":"alice"}'),
}


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/sessions", "/v1/poll", "/v1/messages", "/v1/groups", "/v1/join"])
@pytest.mark.parametrize("case", BODIES)
async def test_a_body_that_is_none_is_refused(scene: Scene, path: str, case: str) -> None:
    (alice,) = await scene.people("alice")
    assert await post(scene, path, BODIES[case], alice.http.token) == (400, "bad_frame")


async def test_bodies_are_bounded_and_must_say_what_they_are(scene: Scene) -> None:
    large = b'{"userId":"' + b"x" * 1_100_000 + b'"}'
    assert await post(scene, "/v1/accounts", io.BytesIO(large)) == (413, "too_large")

    async def pieces() -> Any:
        for _ in range(1100):
            yield b"x" * 1000

    async with scene.wire.client.post(
        scene.wire.url + "/v1/accounts", data=pieces(), headers={"content-type": "application/json"}
    ) as answer:
        assert answer.status == 413
    assert await post(scene, "/v1/accounts", b"{}", **{"content-type": "text/plain"}) == (400, "bad_frame")
    assert await post(scene, "/v1/accounts", b"{}", **{"content-encoding": "gzip"}) == (400, "bad_frame")


async def test_requests_without_a_right_are_refused(scene: Scene) -> None:
    (alice,) = await scene.people("alice")

    async def status(method: str, path: str, **headers: str) -> tuple[int, str]:
        with pytest.raises(Refused) as refusal:
            await scene.http(method, path, **headers)
        return refusal.value.status, refusal.value.code

    assert await status("GET", "/v1/me") == (401, "unauthorized")
    assert await status("GET", "/v1/me", authorization="Bearer guessed") == (401, "unauthorized")
    assert await status("GET", "/v1/me", authorization=f"Basic {alice.http.token}") == (401, "unauthorized")
    token = {"authorization": f"Bearer {alice.http.token}"}
    assert await status("GET", "/v1/me", origin="https://evil.example", **token) == (403, "forbidden")
    assert await status("GET", "/v1/me", origin="null", **token) == (403, "forbidden")
    assert await status("GET", "/nowhere") == (404, "not_found")
    assert (await status("PUT", "/v1/accounts"))[0] in (404, 405)
    for path in (
        "/v1/conversations/dm:a%00a:bb",
        "/v1/conversations/dm:bb:aa",
        "/v1/conversations/%2e%2e%2fetc",
        "/v1/conversations/group:a%0ab/messages",
        "/v1/users/%0a",
        "/v1/conversations?limit=0",
        "/v1/conversations?limit=-1",
        "/v1/conversations?limit=many",
        "/v1/conversations?limit=5&limit=6",
        "/v1/conversations?cursor=guessed",
        "/v1/conversations/dm:aa:bb/messages?after=1&before=2",
        "/v1/conversations/dm:aa:bb/receipts",
        "/v1/users?query=%ff",
    ):
        assert (await status("GET", path, **token))[0] in (400, 403, 404), path
    for number in ("0", "-1", "1.5", "x", "9" * 40):
        refused = await status("DELETE", f"/v1/conversations/{dm(alice, alice)}/messages/{number}", **token)
        assert refused[0] in (400, 404), number


HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 426),
        (HANDSHAKE + b"Sec-WebSocket-Key: short\r\n\r\n", 400),
        (HANDSHAKE + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: https://evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: x\r\n" * 200 + b"\r\n", 431),
    ],
)
async def test_what_is_no_request_is_refused(scene: Scene, data: bytes, status: int) -> None:
    raw = await Raw.open(scene.server.url)
    got, body = await raw.request(data)
    assert got == status
    assert set(body["error"]) >= {"code", "message", "retryable"}
    await raw.close()


async def test_a_request_cut_off_is_no_trouble(scene: Scene) -> None:
    for data in (b"", b"GET", b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
        raw = await Raw.open(scene.server.url)
        await raw.put(data)
        await raw.close()
    assert await scene.http("GET", "/healthz") == {"status": "ok"}


async def test_a_ping_is_answered_with_its_payload(scene: Scene) -> None:
    _, _, a, _ = await two(scene)
    await asyncio.gather(*[await a.socket.ping(f"ping {n}") for n in range(20)])
    await a.settle()


async def test_a_close_is_answered(scene: Scene) -> None:
    _, _, a, _ = await two(scene)
    await a.socket.close(1000, "bye")
    assert a.socket.close_code == 1000
    with pytest.raises(ConnectionClosed):
        await a.socket.send("{}")


async def test_http_goes_on_beside_trouble(scene: Scene) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as client:
        for _ in range(3):
            async with client.post(scene.wire.url + "/v1/accounts", data=b"{") as refused:
                assert refused.status == 400
            async with client.get(scene.wire.url + "/healthz") as fine:
                assert fine.status == 200
