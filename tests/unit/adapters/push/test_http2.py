"""The connection that platforms are reached by: who is trusted, and what a broken one costs the others."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cooee.adapters.push.http2 import Http2, Reply, Unreached
from tests.fakes.certificates import certified, trusting
from tests.fakes.http2_server import Http2Server
from tests.fakes.push_platform import Request, Response, Script, Trouble
from tests.fakes.receiver import answer, receiving

Open = Callable[..., Http2]


class Echo:
    """Answers with the body, unless its script says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.script = Script()
        self.server = Http2Server(certified(folder).server, self.respond)

    def respond(self, request: Request) -> Response | Trouble:
        """Answer one request."""
        happens = self.script.take()
        return Response(200, {"x-path": request.path}, request.body) if happens is None else self._told(happens)

    def _told(self, happens: Trouble | Response | str) -> Response | Trouble:
        return Response(int(happens)) if isinstance(happens, str) else happens


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[Echo]:
    made = Echo(tmp_path)
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Yield a function that opens connections, which are closed before the server is."""
    async with AsyncExitStack() as stack:

        def open_http(timeout_s: float = 5.0, *, http1: bool = False, tls: ssl.SSLContext | None = None) -> Http2:
            http = Http2(tls or trusting(), timeout_s, http1=http1)
            stack.push_async_callback(http.aclose)
            return http

        yield open_http


async def posted(http: Http2, url: str, body: bytes = b"x") -> Reply | str:
    """Return the reply, or why there is none."""
    try:
        return await http.post(f"{url}/a?b=c", {"content-type": "text/plain"}, body)
    except Unreached as problem:
        return problem.reason


async def test_the_answer_is_given_whatever_it_is(echo: Echo, opened: Open) -> None:
    http = opened()
    reply = await posted(http, echo.server.url, b"hello")
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["x-path"], reply.body) == (200, "/a?b=c", b"hello")
    echo.script.then("503")
    refused = await posted(http, echo.server.url)
    assert isinstance(refused, Reply)
    assert refused.status == 503


async def test_who_is_not_trusted_gets_nothing(echo: Echo, opened: Open) -> None:
    assert await posted(opened(tls=ssl.create_default_context()), echo.server.url) == "tls"


async def test_the_older_http_does_where_it_may(opened: Open, tmp_path: Path) -> None:
    tls = certified(tmp_path).server
    async with receiving(lambda _got: answer(200, body=b"old"), tls=tls) as receiver:
        url = f"https://127.0.0.1:{receiver.port}"
        reply = await posted(opened(http1=True), url)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.body) == (200, b"old")
        assert await posted(opened(timeout_s=2.0), url) in {"unreached", "timeout"}


async def test_what_is_no_address_is_not_reached(opened: Open) -> None:
    for url in ("https://127.0.0.1:1", "nothing"):
        assert await posted(opened(), url) == "unreached"


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.GOAWAY])
async def test_a_connection_that_breaks_is_made_anew_once(echo: Echo, opened: Open, trouble: Trouble) -> None:
    http = opened()
    await posted(http, echo.server.url)
    echo.script.then(trouble)
    assert isinstance(await posted(http, echo.server.url), Reply)
    assert echo.server.connections == 2


async def test_a_connection_that_always_breaks_is_given_up(echo: Echo, opened: Open) -> None:
    http = opened()
    echo.script.then(Trouble.RESET, Trouble.RESET)
    assert await posted(http, echo.server.url) == "unreached"
    assert echo.server.connections == 2
    assert isinstance(await posted(http, echo.server.url), Reply)


async def test_a_silent_request_is_given_up_with_its_connection_and_harms_no_other(echo: Echo, opened: Open) -> None:
    """The next request has a new connection; those on the old one end first."""
    http = opened()
    await posted(http, echo.server.url)
    echo.script.then(Trouble.SILENCE, Trouble.SILENCE)
    silent = [asyncio.create_task(posted(http, echo.server.url)) for _ in range(2)]
    await echo.script.taken.wait()
    silent[0].cancel()
    await asyncio.wait([silent[0]])
    assert isinstance(await posted(http, echo.server.url), Reply)
    assert echo.server.connections == 2
    assert not silent[1].done()
    silent[1].cancel()
    await asyncio.wait([silent[1]])


async def test_many_share_one_connection_in_any_order(echo: Echo, opened: Open) -> None:
    http = opened()
    replies = await asyncio.gather(*(posted(http, echo.server.url, str(number).encode()) for number in range(200)))
    assert [reply.body for reply in replies if isinstance(reply, Reply)] == [str(n).encode() for n in range(200)]
    assert echo.server.connections == 1


async def test_after_the_end_nothing_waits(echo: Echo, opened: Open) -> None:
    http = opened()
    echo.script.then(Trouble.SILENCE)
    waiting = asyncio.create_task(posted(http, echo.server.url))
    await echo.script.taken.wait()
    await http.aclose()
    await http.aclose()
    waiting.cancel()
    await asyncio.wait([waiting])
