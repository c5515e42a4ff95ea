"""The stores of media that the contract is held against, each behind a real socket, and a client of their requests."""

import contextlib
import hashlib
import io
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from starlette.types import ASGIApp
from yarl import URL

from cooee.adapters.files.blobs import FolderBlobs, FolderSettings
from cooee.adapters.s3.blobs import S3Blobs
from cooee.adapters.s3.bucket import Bucket, S3Settings
from cooee.gateway.http.blobs import BlobRoutes
from cooee.gateway.http.shell import Shell
from cooee.gateway.origins import Origins
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.ports.blobs import BlobStat, SignedRequest
from cooee.ports.clock import Clock
from tests.contract.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY

PART = 5 * 1024 * 1024
"""The smallest that S3 takes for a part that is not the last."""


class Reply(NamedTuple):
    """What a store answered to a client."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Does what is signed, as any HTTP client would, or something else."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.session = session

    async def do(
        self,
        request: SignedRequest,
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        url: str = "",
    ) -> Reply:
        """Make the request; ``method``, ``url`` replace what was signed, and ``headers`` are put over it."""
        sent = {**request.headers, **(headers or {})}
        if isinstance(body, bytes) and len(body) > 1_000_000:
            body = io.BytesIO(body)  # which aiohttp sends piece by piece
        async with self.session.request(
            method or request.method, self.url(url or request.url), data=body, headers=sent, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    def url(self, text: str) -> URL:
        """Return the whole address, as it was signed."""
        return URL(self.base + text if text.startswith("/") else text, encoded=True)


class Place(NamedTuple):
    """One store with a client of it. ``kind``: ``folder`` or ``s3``."""

    kind: str
    blobs: FolderBlobs | S3Blobs
    client: Client
    clock: Clock

    def soon(self) -> int:
        """An end in five minutes, in ms."""
        return self.clock.wall_ms() + 300_000


def new_key() -> str:
    """Return a key that nothing has."""
    return secrets.token_urlsafe(24)


def stat_of(content: bytes, content_type: str = "image/png") -> BlobStat:
    """Say what these bytes are."""
    return BlobStat(len(content), hashlib.sha256(content).digest(), content_type)


def folder_settings(folder: Path, keep_free: int = 0) -> FolderSettings:
    """Return settings for a folder below ``folder``."""
    return FolderSettings(
        folder=folder / "media", secret_file=folder / "media.key", part_bytes=PART, keep_free_bytes=keep_free
    )


@contextlib.asynccontextmanager
async def folder_place(folder: Path, clock: Clock, *, keep_free: int = 0) -> AsyncIterator[Place]:
    """Serve a folder as the server does, on a port of its own."""
    blobs = FolderBlobs(folder_settings(folder, keep_free), clock)
    async with served(Shell(BlobRoutes(_nothing, blobs.files, clock), Origins())) as base, _session() as session:
        yield Place("folder", blobs, Client(base, session), clock)
    await blobs.aclose()


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Run the server's own port with ``app`` behind it; yield its URL."""
    front = FrontServer(app, _no_session, FrontSettings(port=0))
    await front.start()
    try:
        yield f"http://127.0.0.1:{front.port}"
    finally:
        await front.aclose()


@contextlib.asynccontextmanager
async def s3_place(endpoint: str, clock: Clock) -> AsyncIterator[Place]:
    """Use a bucket of a running store, which is made if it is not there."""
    settings = s3_settings(endpoint)
    bucket = Bucket(settings, clock)
    await bucket.ask("PUT", "")
    await bucket.aclose()
    blobs = S3Blobs(settings, clock)
    async with _session() as session:
        yield Place("s3", blobs, Client("", session), clock)
    await blobs.aclose()


def s3_settings(endpoint: str) -> S3Settings:
    """Return settings for the tests' store."""
    return S3Settings(endpoint=endpoint, bucket=BUCKET, access_key=ACCESS_KEY, secret_key=SECRET_KEY, part_bytes=PART)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("content-type", "accept-encoding"))


def _no_session(*_: Any) -> Any:
    raise AssertionError("nobody opens a WebSocket here")


async def _nothing(*_: Any) -> None:
    raise AssertionError("nothing else is asked for here")
