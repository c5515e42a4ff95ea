"""`BlobFiles`: the folder behind the requests that `FolderBlobs` signed."""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from cooee.adapters.files.folder import Folder, size_of
from cooee.adapters.files.signing import NotSigned, grant_of
from cooee.adapters.files.uploads import Receiving, Uploads
from cooee.adapters.files.work import DiskWork
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.ports.blob_files import Grant
from cooee.ports.blobs import BlobStat
from cooee.ports.clock import Clock


class OpenFile:
    """`OpenBlob` on a descriptor."""

    def __init__(self, descriptor: int, stat: BlobStat, work: DiskWork) -> None:
        self._descriptor = descriptor
        self._work = work
        self.size = stat.size
        self.etag = f'"{stat.sha256.hex()}"'

    async def read(self, offset: int, size: int) -> bytes:
        """Read in a thread."""
        return await self._work.run(os.pread, self._descriptor, size, offset)

    async def aclose(self) -> None:
        """Close the file."""
        await self._work.run(os.close, self._descriptor)


class FolderFiles:
    """`BlobFiles`."""

    def __init__(self, folder: Folder, work: DiskWork, uploads: Uploads, secret: bytes, clock: Clock) -> None:
        self._folder = folder
        self._work = work
        self._uploads = uploads
        self._secret = secret
        self._clock = clock

    def check(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """Compare in constant time, then look at the end."""
        try:
            grant = grant_of(self._secret, "GET" if method == "HEAD" else method, key, query)
        except NotSigned:
            raise CooeeError(
                ErrorCode.FORBIDDEN, "this address was not signed by this server, or not for this"
            ) from None
        if self._clock.wall_ms() >= grant.expires_at:
            raise CooeeError(ErrorCode.FORBIDDEN, "this address has expired; ask for a new one")
        return grant

    async def received(self, grant: Grant) -> int | None:
        """Look at the disk."""
        return await self._work.run(self._received, grant)

    def receive(self, grant: Grant, offset: int) -> AbstractAsyncContextManager[Receiving]:
        """Go on with an upload."""
        return self._uploads.receive(grant, offset)

    async def open(self, grant: Grant) -> OpenFile:
        """Open the object's file."""
        return OpenFile(*await self._work.run(self._open, grant.key), self._work)

    def _received(self, grant: Grant) -> int | None:
        if grant.part:
            whole = size_of(self._folder.part(grant.key, grant.upload_id, grant.part))
            return grant.size if whole == grant.size else 0
        if self._folder.find(grant.key) is not None:
            return None
        return max(0, size_of(self._folder.partial(grant.key)))

    def _open(self, key: str) -> tuple[int, BlobStat]:
        stat = self._folder.find(key)
        path: Path = self._folder.path(key)
        if stat is None:
            raise not_found("the file")
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC), stat
        except FileNotFoundError:
            raise not_found("the file") from None
