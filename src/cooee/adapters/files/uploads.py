"""Uploads on their way into the folder: hashed while they are written, gone on with where they broke off."""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

from cooee.adapters.files.folder import PIECE, Folder, size_of
from cooee.adapters.files.work import DiskWork
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.ports.blob_files import Grant
from cooee.ports.blobs import BlobStat

_REMEMBERED = 256


class _Upload:
    """What is known of one file that grows. ``turn`` counts the requests that sent it; only the last may."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.turn = 0
        self.running = 0
        self.digest = hashlib.sha256()
        self.hashed = -1
        """Bytes that `digest` covers; -1: not known."""


class Uploads:
    """All that grow. Remembers the hashes of the latest that broke off; those of others are made anew from the disk."""

    def __init__(self, folder: Folder, work: DiskWork) -> None:
        self._folder = folder
        self._work = work
        self._uploads: OrderedDict[Path, _Upload] = OrderedDict()

    @contextlib.asynccontextmanager
    async def receive(self, grant: Grant, offset: int) -> AsyncIterator["Receiving"]:
        """See `BlobFiles.receive`."""
        path = await self._work.run(self._place, grant)
        upload = self._of(path)
        upload.turn += 1
        upload.running += 1
        receiving: Receiving | None = None
        try:
            async with upload.lock:
                file = await self._work.run(self._begin, upload, path, grant, offset)
                receiving = Receiving(self._folder, self._work, upload, grant, path, file, offset)
            yield receiving
        finally:
            upload.running -= 1
            if receiving is not None:
                await receiving.leave()

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Let nobody else change what is under ``key`` meanwhile; requests that send it in one piece are refused."""
        upload = self._of(self._folder.partial(key))
        upload.turn += 1
        upload.running += 1
        try:
            async with upload.lock:
                upload.hashed = -1
                yield
        finally:
            upload.running -= 1

    def _place(self, grant: Grant) -> Path:
        if not grant.part:
            return self._folder.partial(grant.key)
        whole = self._folder.part(grant.key, grant.upload_id, grant.part)
        return whole.with_name(f"{grant.part}.new.partial")

    def _of(self, path: Path) -> _Upload:
        upload = self._uploads.setdefault(path, _Upload())
        self._uploads.move_to_end(path)
        idle = [each for each, known in self._uploads.items() if not known.running and each != path]
        for each in idle[: max(0, len(self._uploads) - _REMEMBERED)]:
            del self._uploads[each]
        return upload

    def _begin(self, upload: _Upload, path: Path, grant: Grant, offset: int) -> FileIO:
        if not grant.part and self._folder.find(grant.key) is not None:
            raise CooeeError(ErrorCode.CONFLICT, "this object is there already")
        if offset and size_of(path) != offset:
            raise CooeeError(ErrorCode.CONFLICT, f"not {offset} bytes of this upload are there; ask how many are")
        self._folder.check_room(grant.size - offset)
        if not offset:
            upload.digest, upload.hashed = hashlib.sha256(), 0
        elif upload.hashed != offset:
            with path.open("rb") as file:
                upload.digest, upload.hashed = hashlib.file_digest(file, "sha256"), offset
        return path.open("ab" if offset else "wb", buffering=0)


class Receiving:
    """See `cooee.ports.blob_files.Receiving`."""

    def __init__(
        self, folder: Folder, work: DiskWork, upload: _Upload, grant: Grant, path: Path, file: FileIO, offset: int
    ) -> None:
        self._folder = folder
        self._work = work
        self._upload = upload
        self._turn = upload.turn
        self._grant = grant
        self._path = path
        self._file = file
        self._size = offset
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take more; up to `PIECE` bytes wait to be written together."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._size + self._waiting_bytes > self._grant.size:
            raise bad_frame("more came than was declared")
        if self._waiting_bytes >= PIECE:
            await self._flush()

    async def finish(self) -> bool:
        """Check and settle it when all is there."""
        await self._flush()
        if self._size < self._grant.size:
            return False
        async with self._upload.lock:
            self._check_turn()
            await self._work.run(self._settle)
        return True

    async def leave(self) -> None:
        """Keep what came, unless it is a part, or was thrown away."""
        async with self._upload.lock:
            with contextlib.suppress(CooeeError):
                if self._waiting and not self._grant.part and self._turn == self._upload.turn:
                    await self._work.run(self._append)
            await self._work.run(self._close)

    async def _flush(self) -> None:
        async with self._upload.lock:
            self._check_turn()
            await self._work.run(self._append)

    def _check_turn(self) -> None:
        if self._turn != self._upload.turn:
            self._waiting.clear()
            raise CooeeError(ErrorCode.CONFLICT, "another request sends this object now")

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _append(self) -> None:
        upload = self._upload
        upload.hashed = -1
        try:
            self._folder.check_room(self._waiting_bytes)  # others write, too
            for data in self._waiting:
                view = memoryview(data)
                while view:
                    view = view[self._file.write(view) :]
                upload.digest.update(data)
        except (OSError, CooeeError):
            self._drop()
            raise
        finally:
            self._waiting.clear()
        self._size += self._waiting_bytes
        self._waiting_bytes = 0
        upload.hashed = self._size

    def _settle(self) -> None:
        grant = self._grant
        try:
            if grant.part:
                self._path.replace(self._folder.part(grant.key, grant.upload_id, grant.part))
                return
            if self._upload.digest.digest() != grant.sha256:
                raise bad_frame("what came has another SHA-256 than was declared; send it anew")
            self._folder.settle(self._path, grant.key, BlobStat(grant.size, grant.sha256, grant.content_type))
        except (OSError, CooeeError):
            self._drop()
            raise

    def _close(self) -> None:
        self._file.close()
        if self._grant.part and self._turn == self._upload.turn:
            self._path.unlink(missing_ok=True)

    def _drop(self) -> None:
        """Leave nothing behind."""
        self._upload.hashed = -1
        self._path.unlink(missing_ok=True)
