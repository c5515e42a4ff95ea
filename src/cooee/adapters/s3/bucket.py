"""One bucket: requests of this server's own, signed by header, and what a client is given, signed by query."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from yarl import URL

from cooee.adapters.s3 import signing
from cooee.adapters.s3.signing import Credentials, Request
from cooee.domain.errors import CooeeError, unavailable
from cooee.ports.clock import Clock

_log = structlog.get_logger(__name__)
_CONNECT_S = 10.0
_SILENT_S = 30.0
_MAX_ANSWER = 4 * 1024 * 1024
_SIGNED_BEFORE_S = 86_400


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Which bucket, and whose requests these are. ``public_endpoint``: where clients reach it, empty: the same."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    path_style: bool = True
    public_endpoint: str = ""
    part_bytes: int = 64 * 1024 * 1024

    def __repr__(self) -> str:
        return f"S3Settings({self.endpoint!r}, {self.bucket!r})"


class Answer(NamedTuple):
    """What the store said; ``body`` is empty when it was not read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Bucket:
    """Asks the store. Everything that is not a plain answer is ``unavailable``, and stands in the log by its code."""

    def __init__(self, settings: S3Settings, clock: Clock) -> None:
        self._settings = settings
        self._credentials = Credentials(settings.access_key, settings.secret_key, settings.region)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def signed_url(
        self, method: str, key: str, expires_at: int, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """Return an address that is good until ``expires_at`` (ms), for exactly these headers.

        For a ``GET`` it is the same whenever it is made: it counts as signed a day, or a week, before its end.

        Raises:
            ValueError: ``expires_at`` is more than seven days away, or past.
        """
        settings, expires_s, now_s = self._settings, expires_at // 1000, self._clock.wall_ms() // 1000
        at_s = now_s
        if method == "GET":
            far = expires_s - now_s > _SIGNED_BEFORE_S
            at_s = expires_s - (signing.MAX_EXPIRES_S if far else _SIGNED_BEFORE_S)
        base, host, path = self._place(settings.public_endpoint or settings.endpoint, key)
        request = Request(method, host, path, query, headers)
        signed = signing.presigned_query(self._credentials, request, at_s, expires_s - at_s)
        return f"{base}{signing.canonical_path(path)}?{signed}"

    async def ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
        body: Any = b"",
        sha256: str = signing.UNSIGNED,
    ) -> Answer:
        """Make one request and return its answer, whole; any status below 500 but 403."""
        async with self.asked(method, key, query, headers, body, sha256) as response:
            answer = bytearray()
            async for piece in self.pieces(response, _MAX_ANSWER):
                answer += piece
                if len(answer) > _MAX_ANSWER:
                    raise _unavailable()
            return Answer(response.status, response.headers, bytes(answer))

    @contextlib.asynccontextmanager
    async def asked(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
        body: Any = b"",
        sha256: str = signing.UNSIGNED,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make one request; the answer's body is the caller's to read."""
        base, host, path = self._place(self._settings.endpoint, key)
        request = Request(method, host, path, query, headers)
        sent = signing.signed_headers(self._credentials, request, self._clock.wall_ms() // 1000, sha256)
        url = f"{base}{signing.canonical_path(path)}"
        if query:
            url += f"?{signing.canonical_query(query)}"
        with _told():
            response = await self._open().request(
                method, URL(url, encoded=True), headers=sent, data=body, allow_redirects=False
            )
        try:
            await _check(response, method)
            yield response
        finally:
            response.close()

    async def pieces(self, response: aiohttp.ClientResponse, size: int) -> AsyncIterator[bytes]:
        """Yield an answer's body, up to ``size`` bytes at a time."""
        with _told():
            async for piece in response.content.iter_chunked(size):
                yield piece

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _place(self, endpoint: str, key: str) -> tuple[str, str, str]:
        """Return scheme and host, the ``Host`` header, and the path of a key; empty: of the bucket itself."""
        parts = urlsplit(endpoint)
        bucket = self._settings.bucket
        host = parts.netloc if self._settings.path_style else f"{bucket}.{parts.netloc}"
        path = parts.path.rstrip("/") + (f"/{bucket}" if self._settings.path_style else "")
        return f"{parts.scheme}://{host}", host, f"{path}/{key}" if key or not path else path

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(None, sock_connect=_CONNECT_S, sock_read=_SILENT_S),
                skip_auto_headers=("accept", "accept-encoding", "content-type"),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the network does into what a client may be told."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        _log.warning("the store of files does not answer", problem=type(problem).__name__)
        raise _unavailable() from problem


async def _check(response: aiohttp.ClientResponse, method: str) -> None:
    """Raise for what says that the store, or its settings, are not in order."""
    if response.status in {301, 307, 403} or response.status >= 500:
        with _told():
            body = b"" if method == "HEAD" else await response.content.read(2000)
        code = body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")[:64]
        _log.warning("the store of files refuses", status=response.status, code=code)
        raise _unavailable()


def _unavailable() -> CooeeError:
    return unavailable("the store of files does not work now", 5000)
