"""One connection to a platform (HTTP/2), for many notifications at the same time; made anew when it breaks."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import httpx

from cooee.adapters.push import outcomes

_CONNECTIONS = 64
"""At most, for a platform that only speaks HTTP/1.1; with HTTP/2 there is one."""
_IDLE_S = 3600.0
"""An idle connection is kept: platforms ask for it (APNs takes frequent new ones for an attack)."""
_SHARE = 0.9
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000))
"""A connection that a router forgot is found out while idle, within 90 seconds, and in use within 10."""


class Reply(NamedTuple):
    """What the platform answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreached(Exception):
    """No answer came. ``reason`` is one of `outcomes`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Line:
    """A client, and how many requests use it: one that is given up ends with the last of them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.uses = 0
        self.is_given_up = False


class Http2:
    """Posts to platforms. ``http1``: whether the older HTTP will do. ``timeout_s``: for a request with its repetition.

    A request whose connection broke is sent again once, over a new one; the platform may then have got it twice.
    """

    def __init__(self, tls: ssl.SSLContext, timeout_s: float, *, http1: bool) -> None:
        self._tls = tls
        self._timeout_s = timeout_s * _SHARE
        self._http1 = http1
        self._current: _Line | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post and return the answer, whatever its status.

        Raises:
            Unreached: there was none in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._post(url, headers, body)
                except (httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.ReadError, httpx.WriteError):
                    return await self._post(url, headers, body)
        except (TimeoutError, httpx.TimeoutException):
            raise Unreached(outcomes.TIMEOUT) from None
        except httpx.ConnectError as problem:
            raise Unreached(outcomes.TLS if _is_tls(problem) else outcomes.UNREACHED) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise Unreached(outcomes.UNREACHED) from None

    async def aclose(self) -> None:
        """Break off what is on its way. Idempotent."""
        line, self._current = self._current, None
        if line is not None:
            await line.client.aclose()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        async with self._line() as line:
            answer = await line.client.post(url, headers=headers, content=body)
            return Reply(answer.status_code, answer.headers, answer.content)

    @contextlib.asynccontextmanager
    async def _line(self) -> AsyncIterator[_Line]:
        """Give the connection; one that broke, or did not answer in time, is given up: nobody waits on it again."""
        if self._current is None:
            self._current = _Line(self._client())
        line = self._current
        line.uses += 1
        try:
            yield line
        except (httpx.HTTPError, OSError, asyncio.CancelledError):
            line.is_given_up = True
            if self._current is line:
                self._current = None
            raise
        finally:
            line.uses -= 1
            if line.is_given_up and not line.uses:
                await asyncio.shield(line.client.aclose())

    def _client(self) -> httpx.AsyncClient:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        options += [
            (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEP_ALIVE if hasattr(socket, name)
        ]
        transport = httpx.AsyncHTTPTransport(
            verify=self._tls,
            http1=self._http1,
            http2=True,
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S),
            trust_env=False,
            socket_options=options,
        )
        return httpx.AsyncClient(
            transport=transport, timeout=httpx.Timeout(self._timeout_s), headers={"user-agent": "Cooee"}
        )


def _is_tls(problem: BaseException) -> bool:
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
