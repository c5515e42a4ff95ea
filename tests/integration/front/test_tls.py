"""TLS below the connections: what is only there with it. All other tests of this folder run over TLS, too."""

import asyncio
import contextlib
import ssl
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
import websockets

from cooee.app.tls.addresses import own_addresses
from cooee.app.tls.pair import load
from cooee.domain.limits import Limits
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.protocol.websocket import CLOSE, TEXT, Event
from tests.fakes.certificates import Certified, trusting, write_pair
from tests.integration.front.conftest import NewFront
from tests.integration.front.stage import PATIENCE_S, Front, Raw, error_code, handshake, text

REQUEST = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
HERE = [str(address) for address in own_addresses() if address.version == 4]


@pytest.fixture
def over(certificates: Certified) -> Certified:
    """Everything here is over TLS."""
    return certificates


async def plain(front: Front, host: str = "127.0.0.1") -> Raw:
    """Connect without TLS."""
    return Raw(*await asyncio.open_connection(host, front.server.port))


async def connect(front: Front, context: ssl.SSLContext) -> Raw:
    """Connect with TLS as ``context`` says."""
    return Raw(*await asyncio.open_connection("127.0.0.1", front.server.port, ssl=context))


# --- who must encrypt -------------------------------------------------------------------------------------------------


async def test_plain_http_from_this_machine_is_served(front: Front) -> None:
    async with await plain(front) as raw:
        raw.send(REQUEST * 2)
        assert (await raw.answer())[0] == 200
        assert (await raw.answer())[0] == 200
    assert front.explained.entered.is_set() is False


@pytest.mark.parametrize("header", ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "Via: 1.1 x"])
async def test_plain_http_through_a_proxy_is_explained(front: Front, header: str) -> None:
    async with await plain(front) as raw:
        raw.send(f"GET /a HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        await raw.answer()
        assert front.explained.entered.is_set()
        assert not front.app.entered.is_set()
        raw.send(REQUEST)  # each request is judged by itself
        await raw.answer()
        assert front.app.entered.is_set()


@pytest.mark.parametrize(("told", "served"), [("https", True), ("http", False), ("https, http", False), ("", False)])
async def test_a_trusted_proxy_says_whether_its_client_used_https(new_front: NewFront, told: str, served: bool) -> None:
    front = await new_front(trusted_proxies=("127.0.0.1/32",))
    async with await plain(front) as raw:
        lines = f"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: {told}\r\n" if told else "Via: 1.1 x\r\n"
        raw.send(f"GET /a HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        await raw.answer()
    assert front.app.entered.is_set() is served
    assert front.explained.entered.is_set() is not served


async def test_nobody_else_is_believed_about_https(front: Front) -> None:
    async with await plain(front) as raw:
        raw.send(b"GET /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n")
        await raw.answer()
    assert not front.app.entered.is_set()


@pytest.mark.skipif(not HERE, reason="this machine has no address but loopback")
async def test_plain_http_over_the_network_is_explained_and_its_websockets_refused(new_front: NewFront) -> None:
    front = await new_front(host="")
    async with await plain(front, HERE[0]) as raw:
        raw.send(REQUEST)
        await raw.answer()
    assert front.explained.entered.is_set()
    assert not front.app.entered.is_set()
    for before in (b"", REQUEST):
        async with await plain(front, HERE[0]) as raw:
            if before:
                raw.send(before)
                await raw.answer()
            raw.send(handshake())
            status, _, body = await raw.answer()
            assert (status, error_code(body)) == (403, "https_required")
    assert front.sessions == []


@pytest.mark.skipif(not HERE, reason="this machine has no address but loopback")
async def test_both_families_share_one_port(new_front: NewFront) -> None:
    front = await new_front(host="")
    for host in (HERE[0], "127.0.0.1", "::1"):
        async with await plain(front, host) as raw:
            raw.send(REQUEST)
            assert (await raw.answer())[0] == 200


# --- what is no TLS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk", [b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16" * 5000, b"\x16\x03\x01\xff\xff" * 9000]
)
async def test_a_broken_handshake_ends_quietly(front: Front, junk: bytes) -> None:
    async with await plain(front) as raw:
        raw.send(junk)
        raw.writer.write_eof()
        await raw.rest()
    await front.emptied()


@pytest.mark.parametrize("junk", [b"\x00", b"\x80\x2e\x01\x03\x01", b"SSH-2.0-x\r\n\r\n"])
async def test_what_is_neither_tls_nor_http_is_refused(front: Front, junk: bytes) -> None:
    async with await plain(front) as raw:
        raw.send(junk)
        assert (await raw.answer())[0] == 400
    await front.emptied()


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_has_its_time_and_counts_as_a_connection(new_front: NewFront, begun: bytes) -> None:
    front = await new_front(limits={"hello_timeout_s": 0.2})
    async with await plain(front) as raw:
        raw.send(begun)
        async with asyncio.timeout(PATIENCE_S):
            while not front.server.open_connections:  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0.001)
        await raw.rest()
    await front.emptied()


async def test_handshakes_have_their_room(new_front: NewFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.gateway.tls.MAX_LINGERING", 1)
    front = await new_front(limits={"max_connections": 1})
    waiting = [await plain(front) for _ in range(2)]
    async with await plain(front) as third:
        await third.rest()
    for raw in waiting:
        raw.abort()
    await front.emptied()


async def test_a_full_server_says_so_under_tls(new_front: NewFront) -> None:
    front = await new_front(limits={"max_connections": 1})
    async with await front.socket(), await front.raw() as raw:
        status, _, body = await raw.answer()
        assert (status, error_code(body)) == (503, "unavailable")


# --- versions and certificates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_carry_large_frames(front: Front, version: ssl.TLSVersion) -> None:
    context = trusting()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    payload = b"x" * (Limits().frame_bytes - 1)
    async with websockets.connect(front.ws_url, ssl=context, max_size=None) as peer:
        for _ in range(50):
            await peer.send(payload.decode())
        for _ in range(50):
            assert await peer.recv() == payload.decode()


async def test_older_versions_are_refused(front: Front) -> None:
    context = trusting()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect(front, context)
    await front.emptied()


async def test_http_1_1_is_offered(front: Front) -> None:
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with await connect(front, context) as raw:
        tls = raw.writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"
        raw.send(REQUEST)
        assert (await raw.answer())[0] == 200


async def test_another_certificate_is_for_new_connections_and_old_ones_live_on(front: Front, tmp_path: Path) -> None:
    serials = []
    assert front.server.encryption is not None
    async with await front.socket() as old:
        for _ in range(2):
            async with await front.raw() as raw:
                serials.append(raw.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
            context = load(write_pair(tmp_path)).context
            front.server.encryption = front.server.encryption._replace(context=partial(next, repeat(context)))
        assert serials[0] != serials[1]
        old.send(text(b"still here"))
        assert await old.event() == Event(TEXT, b"still here")


# --- records ----------------------------------------------------------------------------------------------------------


class ByHand:
    """A client's TLS over a socket that a test may break."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting().wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def carry(self, step: int = 1 << 20) -> None:
        """Send what is to be sent, ``step`` bytes at a time."""
        data = self._outgoing.read()
        for start in range(0, len(data), step):
            self.raw.send(data[start : start + step])
            await asyncio.sleep(0)

    async def take(self) -> None:
        """Take what the server has sent."""
        self._incoming.write(await asyncio.wait_for(self.raw.reader.read(1 << 16), PATIENCE_S))

    async def shake_hands(self, step: int = 1 << 20) -> None:
        """Do the whole handshake."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.carry(step)
                await self.take()
        await self.carry(step)

    async def until(self, end: bytes) -> bytes:
        """Read until ``end`` has come."""
        heard = b""
        while end not in heard:
            await self.take()
            with contextlib.suppress(ssl.SSLWantReadError):
                while piece := self.tls.read(1 << 16):
                    heard += piece
        return heard


async def test_a_connection_that_comes_byte_by_byte(front: Front) -> None:
    """Every cut of the records, the handshake's too, is the same to the protocols above."""
    async with await plain(front) as raw:
        client = ByHand(raw)
        await client.shake_hands(step=1)
        client.tls.write(handshake() + text(b"one") + text(b"two") + text(b"close 1000"))
        await client.carry(step=1)
        heard = await client.until(b"as told")
        assert b"101 Switching" in heard
        assert b"\x81\x03one\x81\x03two" in heard
    await front.emptied()


@pytest.mark.parametrize(
    "record", [b"\x17\x03\x03\x00\x20" + b"\x00" * 32, b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\xff\xff"]
)
async def test_a_broken_record_ends_the_connection(front: Front, record: bytes) -> None:
    async with await plain(front) as raw:
        client = ByHand(raw)
        await client.shake_hands()
        client.tls.write(handshake())
        await client.carry()
        await client.until(b"\r\n\r\n")
        raw.send(record)
        await raw.rest()
    await front.emptied()
    assert front.sessions[0].lost == 1


async def test_many_records_in_one_read_are_served_in_order(front: Front) -> None:
    async with await front.socket() as raw:
        for number in range(500):
            raw.send(text(b"%d" % number))
        for number in range(500):
            assert await raw.event() == Event(TEXT, b"%d" % number)


async def test_the_clients_goodbye_ends_the_session(front: Front) -> None:
    raw = await front.socket()
    raw.writer.close()
    await front.emptied()
    assert front.sessions[0].lost == 1


async def test_frames_sent_just_before_the_end_arrive(front: Front) -> None:
    async with await front.socket() as raw:
        raw.send(text(b"many 300") + text(b"close 4008"))
        for number in range(300):
            assert await raw.event() == Event(TEXT, b"%d" % number)
        assert (await raw.event()).opcode == CLOSE


def test_a_server_without_a_certificate_encrypts_nothing() -> None:
    server = FrontServer(None, None, FrontSettings())  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        server.tls_context()
