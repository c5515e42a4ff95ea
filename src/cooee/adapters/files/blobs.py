"""`Blobs` in a folder of this machine, behind signed requests to this server."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from cooee.adapters.files.folder import Folder, check_key, copied, load_secret
from cooee.adapters.files.serving import FolderFiles
from cooee.adapters.files.signing import PATH, signed_query
from cooee.adapters.files.uploads import Uploads
from cooee.adapters.files.work import DiskWork
from cooee.domain.errors import bad_frame, not_found
from cooee.domain.media import is_mime_type
from cooee.ports.blob_files import Grant
from cooee.ports.blobs import BlobStat, PartedUpload, SignedRequest
from cooee.ports.clock import Clock
from cooee.protocol.disposition import safe_name


class FolderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the objects are, and the file of the secret that signs requests; both are made when they are not there."""

    folder: Path
    secret_file: Path
    part_bytes: int = 8 * 1024 * 1024
    keep_free_bytes: int = 256 * 1024 * 1024
    """What uploads leave free on the disk."""


class FolderBlobs:
    """`Blobs`. ``files``: the same folder for whoever serves it by HTTP."""

    def __init__(self, settings: FolderSettings, clock: Clock) -> None:
        """Open the folder, and sweep what was left behind. Blocks; raises OSError."""
        self._folder = Folder(settings.folder, settings.keep_free_bytes)
        self._folder.prepare(clock.wall_ms() / 1000)
        self._secret = load_secret(settings.secret_file)
        self._part_bytes = settings.part_bytes
        self._work = DiskWork()
        self._uploads = Uploads(self._folder, self._work)
        self.files = FolderFiles(self._folder, self._work, self._uploads, self._secret, clock)

    async def sign_upload(self, key: str, stat: BlobStat, expires_at: int) -> SignedRequest:
        """Sign a ``PUT`` of exactly this object."""
        _check(stat.content_type)
        return self._signed(
            Grant(
                method="PUT",
                key=key,
                expires_at=expires_at,
                content_type=stat.content_type,
                size=stat.size,
                sha256=stat.sha256,
            )
        )

    async def sign_parts(self, key: str, stat: BlobStat, expires_at: int) -> PartedUpload:
        """Make a folder for the parts, or go on with the one that is there, and sign a ``PUT`` of each."""
        _check(stat.content_type)
        size = self._part_bytes
        async with self._uploads.alone(key):
            upload_id = await self._work.run(self._folder.begin_parts, key, size)
        requests = tuple(
            self._signed(
                Grant(
                    method="PUT",
                    key=key,
                    expires_at=expires_at,
                    content_type=stat.content_type,
                    size=min(size, stat.size - start),
                    part=start // size + 1,
                    upload_id=upload_id,
                )
            )
            for start in range(0, stat.size, size)
        )
        return PartedUpload(upload_id, size, requests)

    async def complete_parts(self, key: str, stat: BlobStat, upload_id: str) -> None:
        """Join the parts to a file, checked and durable when it returns."""
        async with self._uploads.alone(key):
            await self._work.run(self._folder.join, key, upload_id, stat)

    async def sign_download(
        self, key: str, expires_at: int, filename: str, content_type: str, *, inline: bool
    ) -> SignedRequest:
        """Sign a ``GET``."""
        _check(content_type)
        name = safe_name(filename)
        return self._signed(
            Grant(method="GET", key=key, expires_at=expires_at, content_type=content_type, filename=name, inline=inline)
        )

    async def stat(self, key: str) -> BlobStat | None:
        """Return what is there; the hash is that of the bytes that were written."""
        return await self._work.run(self._folder.find, key)

    async def read(self, key: str, path: Path, limit: int | None = None) -> None:
        """Copy the object, or the beginning of it, into a local file."""
        await self._work.run(self._read, key, path, limit)

    async def write(self, key: str, path: Path, stat: BlobStat) -> None:
        """Copy a local file to ``key``, durable when it returns."""
        _check(stat.content_type)
        async with self._uploads.alone(key):
            await self._work.run(self._write, key, path, stat)

    async def delete(self, key: str) -> None:
        """Remove the object, and refuse what is being uploaded of it."""
        async with self._uploads.alone(key):
            await self._work.run(self._folder.delete, key)

    async def aclose(self) -> None:
        """Wait for what the disk does now."""
        self._work.close()

    def _signed(self, grant: Grant) -> SignedRequest:
        check_key(grant.key)
        url = f"{PATH}{grant.key}?{urlencode(signed_query(self._secret, grant))}"
        headers = {"content-type": grant.content_type} if grant.method == "PUT" else {}
        return SignedRequest(url, grant.method, headers, grant.expires_at)

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _read(self, key: str, path: Path, limit: int | None) -> None:
        try:
            copied([self._folder.path(key)], path, limit)
        except FileNotFoundError:
            raise not_found("the file") from None

    def _write(self, key: str, path: Path, stat: BlobStat) -> None:
        self._folder.check_room(stat.size)
        partial = self._folder.partial(key)
        try:
            if copied([path], partial) != stat.sha256 or partial.stat().st_size != stat.size:
                raise bad_frame("the file is not what was said of it")
            self._folder.settle(partial, key, stat)
        finally:
            partial.unlink(missing_ok=True)


def examine_folder(folder: Path, secret_file: Path) -> str:
    """Return what is wrong with a folder of media, empty when nothing is. Blocks; changes nothing that stays."""
    if not folder.exists():
        return "" if os.access(folder.parent, os.W_OK) else f"{folder} is not there, and cannot be made"
    probe = folder / "doctor.partial"
    try:
        probe.write_bytes(hashlib.sha256().digest())
        probe.unlink()
    except OSError as problem:
        return f"nothing can be written to {folder}: {problem.strerror}"
    if secret_file.exists() and secret_file.stat().st_mode & 0o077:
        return f"others may read {secret_file}, which signs requests: chmod 0600 {secret_file}"
    return ""


def _check(content_type: str) -> None:
    if not is_mime_type(content_type):
        raise ValueError("not a content type")
