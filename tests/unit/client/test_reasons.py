"""Why a server cannot be reached, asked of real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from cooee.client import Api, ConnectionFailed
from cooee.client.reasons import reason_of


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Give the port of a server that answers whatever is said to it with ``answer`` and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def told(url: str) -> str:
    """Return what an application is told that asks there."""
    with pytest.raises(ConnectionFailed) as problem:
        async with Api(url, "token") as api:
            await api.me()
    return str(problem.value)


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS there); try http:// instead"),
        ("http", b"\x15\x03\x03\x00\x02\x02\x46", "no web server); check the URL; https:// instead"),
        ("http", b"SSH-2.0-x\r\n", "no web server); check the URL"),
        ("http", b"", "broke off); try again"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "broke off); try again"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>", "not answer as a chat server does"),
    ],
)
async def test_what_is_no_chat_server_is_called_so(scheme: str, answer: bytes, words: str) -> None:
    async with answering(answer) as port:
        assert words in await told(f"{scheme}://127.0.0.1:{port}")


async def test_nobody_there_is_told_where_nobody_is() -> None:
    assert await told("http://127.0.0.1:9") == (
        "http://127.0.0.1:9 cannot be reached (no connection to 127.0.0.1:9); is the server running?"
    )


def certificate_error(key: aiohttp.client_reqrep.ConnectionKey) -> Exception:
    refused = ssl.SSLCertVerificationError(1, "failed")
    refused.verify_message = "self-signed certificate"
    return aiohttp.ClientConnectorCertificateError(key, refused)


KEY = aiohttp.client_reqrep.ConnectionKey("one.example", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (lambda: certificate_error(KEY), "not trusted here: self-signed certificate; if it is a server of your own"),
        (
            lambda: aiohttp.ClientConnectorDNSError(KEY, OSError("unknown")),
            "there is no host one.example; check the URL, and the network",
        ),
        (TimeoutError, "no answer in time; try again"),
        (ConnectionResetError, "the connection broke off"),
        (lambda: OSError("odd"), "odd; is the server running?"),
        (OSError, "OSError"),
    ],
)
def test_every_cause_has_advice(problem: Callable[[], Exception], words: str) -> None:
    assert words in str(reason_of(problem()))
