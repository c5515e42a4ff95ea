"""Fetches one file of a message: piece by piece, on from where it broke off, checked, and named only when it is whole.

What has come stands beside the target as ``.{sha256}.part`` and is gone on with by the next download, also of another
process: its content is told by its hash, so nothing else can be meant by it.
"""

import asyncio
import hashlib
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import aiohttp

from cooee.client.account import lock_file
from cooee.client.api import refusal
from cooee.client.errors import ConnectionFailed, DownloadFailed, ServerError
from cooee.client.files import PIECE, Progress
from cooee.client.media_api import MediaApi
from cooee.client.reasons import reason_of
from cooee.client.sealed_files import open_file
from cooee.crypto.attachment import encrypted_size
from cooee.domain import base64url
from cooee.protocol.media import MediaLink

TRIES = 8
_LONGEST_S = 15.0
_KEEP = 0o600

Pause = Callable[[float], Awaitable[None]]


class Lock(NamedTuple):
    """What opens an encrypted file: ``key`` and ``digest`` in base64url, and how many bytes come out."""

    key: str
    digest: str
    size: int

    def __repr__(self) -> str:
        return "Lock(…)"


class Download:
    """One file on its way here. ``pause`` waits (s). ``lock``: the file is encrypted, and written decrypted.

    ``most``: bytes that may come; of an encrypted file that is known: twice what it needs, whoever pads it how.
    """

    def __init__(
        self,
        api: MediaApi,
        media_key: str,
        *,
        thumbnail: bool = False,
        progress: Progress | None = None,
        pause: Pause = asyncio.sleep,
        lock: Lock | None = None,
        most: int | None = None,
    ) -> None:
        self._lock = lock
        self._most = most if lock is None else 2 * encrypted_size(lock.size)
        self._api = api
        self._media_key = media_key
        self._thumbnail = thumbnail
        self._progress = progress
        self._pause = pause
        self._failures = 0
        self._etag = ""

    async def to(self, path: Path, *, force: bool = False) -> MediaLink:
        """Write the file to ``path``, mode 0600, and return what the server says of it.

        Raises:
            FileExistsError: there is something at ``path``, and ``force`` does not replace it.
            ServerError: ``not_found`` when there is no such file for this user, or no thumbnail.
            ConnectionFailed: it did not work now; what came is kept for the next time.
            DownloadFailed: what came is not what was sent.
            OSError: it cannot be written.
        """
        _check_target(path, force=force)
        link = await self._link()
        if self._lock is not None and link.sha256 != base64url.decode(self._lock.digest).hex():
            raise DownloadFailed("the store has another file than was sent; nothing was kept")
        part, file = await asyncio.to_thread(_opened, path.parent, link.sha256)
        with file:
            try:
                await self._fill(file, link)
                if self._lock is not None:
                    await asyncio.to_thread(_unlock, file, part, self._lock, path, force)
                    return link
            except DownloadFailed:
                part.unlink(missing_ok=True)
                raise
            await asyncio.to_thread(_settle, file, part, path, force)
        return link

    async def _link(self) -> MediaLink:
        """Ask where the file lies; passing refusals are waited for."""
        while True:
            try:
                link = await self._api.media(self._media_key, thumbnail=self._thumbnail)
                if self._most is not None and link.size > self._most:
                    raise DownloadFailed("the store has a larger file than was sent; nothing was kept")
            except ServerError as problem:
                if not problem.retryable:
                    raise
                await self._failed(problem, (problem.retry_after_ms or 0) / 1000 or None)
            except ConnectionFailed as problem:
                await self._failed(problem)
            else:
                return link

    async def _fill(self, file: BinaryIO, link: MediaLink) -> None:
        """Append what lacks until the whole is right; what is wrong is fetched once more from the beginning."""
        for _ in range(2):
            while (there := file.seek(0, os.SEEK_END)) < link.size:
                link = await self._more(file, there, link)
            if there == link.size and await asyncio.to_thread(_digest, file) == link.sha256:
                return
            file.truncate(0)
            self._etag = ""
        raise DownloadFailed("what was downloaded is not what was sent: its hash is another; nothing was kept")

    async def _more(self, file: BinaryIO, there: int, link: MediaLink) -> MediaLink:
        try:
            if await self._piece(file, there, link):
                return link
            fresh = await self._link()  # the address is no good any more
        except ServerError as problem:
            await self._failed(problem, (problem.retry_after_ms or 0) / 1000 or None)
        except (aiohttp.ClientError, ConnectionResetError, TimeoutError) as problem:
            await self._failed(ConnectionFailed(f"the download broke off ({reason_of(problem)})"))
        else:
            await self._failed(ConnectionFailed("the store does not give the file; try again later"), 0.0)
            return fresh
        return link

    async def _piece(self, file: BinaryIO, there: int, link: MediaLink) -> bool:
        """Fetch from ``there`` on; False when the address has to be asked for anew."""
        headers = {"Range": f"bytes={there}-"} if there else {}
        if there and self._etag:
            headers["If-Range"] = self._etag
        async with self._api.blob("GET", link.url, headers) as answer:
            if answer.status in {403, 404, 410, 412}:
                return False
            if answer.status == 416:
                file.truncate(0)
                return False
            if answer.status not in {200, 206}:
                raise refusal(answer.status, await answer.content.read(PIECE))
            self._etag = answer.headers.get("ETag", "")
            if answer.status == 200 and there:
                file.truncate(there := 0)
            await self._append(file, answer, there, link.size)
        return True

    async def _append(self, file: BinaryIO, answer: aiohttp.ClientResponse, there: int, size: int) -> None:
        file.seek(there)
        async for piece in answer.content.iter_chunked(PIECE):
            if there + len(piece) > size:
                raise DownloadFailed("more came than was sent; nothing was kept")
            await asyncio.to_thread(file.write, piece)
            there += len(piece)
            self._failures = 0
            if self._progress is not None:
                self._progress(there, size)

    async def _failed(self, problem: ConnectionFailed | ServerError, wait_s: float | None = None) -> None:
        self._failures += 1
        if self._failures >= TRIES or (isinstance(problem, ServerError) and not problem.retryable):
            raise problem from None
        if wait_s is None:
            wait_s = min(0.5 * 2**self._failures, _LONGEST_S) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        await self._pause(wait_s)


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a small file, mode 0600, at once and wholly; raises as `Download.to`."""
    _check_target(path, force=force)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, _KEEP), "r+b") as file:
            file.write(content)
            _settle(file, part, path, force)
    finally:
        part.unlink(missing_ok=True)


def _check_target(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not force and os.path.lexists(path):
        raise FileExistsError(f"{path} is there already")


def _opened(folder: Path, sha256: str) -> tuple[Path, BinaryIO]:
    """Open what came before, or begin; another one that somebody else fetches now is left alone."""
    for name in (f".{sha256}.part", f".{sha256}.{secrets.token_hex(4)}.part"):
        part = folder / name
        file = os.fdopen(os.open(part, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), _KEEP), "r+b")
        try:
            lock_file(file)
        except OSError:
            file.close()
            continue
        return part, file
    raise OSError(f"{folder}: what is downloaded cannot be locked")


def _unlock(sealed: BinaryIO, part: Path, lock: Lock, path: Path, force: bool) -> None:  # given by position
    """Decrypt what came, and give the outcome its name once all of it was checked; then the encrypted file goes."""
    plain = part.with_name(f"{part.name}.{secrets.token_hex(4)}.plain")
    try:
        with os.fdopen(os.open(plain, os.O_CREAT | os.O_EXCL | os.O_RDWR, _KEEP), "r+b") as file:
            open_file(sealed, file, *lock)
            _settle(file, plain, path, force)
    finally:
        plain.unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _settle(file: BinaryIO, part: Path, path: Path, force: bool) -> None:  # given by position
    """Make it durable, and give it its name: not over what came meanwhile, where links can tell."""
    file.flush()
    os.fsync(file.fileno())
    if force:
        part.replace(path)
        return
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise FileExistsError(f"{path} came meanwhile") from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(f"{path} came meanwhile") from None
        part.replace(path)
    else:
        part.unlink()
