"""`Blobs` in a bucket that speaks S3. Clients speak with the store itself; this server signs, asks and cleans up.

The hash of a whole object is bound by ``x-amz-checksum-sha256``, which the store checks and keeps. One that came in
parts has none of its whole (S3 hashes the parts): it is read once, when it is joined.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from cooee.adapters.s3 import multipart
from cooee.adapters.s3.bucket import Bucket, S3Settings
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found, unavailable
from cooee.domain.media import is_mime_type
from cooee.ports.blobs import KEY_PATTERN, BlobStat, PartedUpload, SignedRequest
from cooee.ports.clock import Clock
from cooee.protocol.disposition import content_disposition

_CHECKSUM = "x-amz-checksum-sha256"
_PIECE = 256 * 1024
_REMEMBERED = 10_000
_KEY = re.compile(KEY_PATTERN)


class S3Blobs:
    """`Blobs`."""

    def __init__(self, settings: S3Settings, clock: Clock) -> None:
        self._bucket = Bucket(settings, clock)
        self._part_bytes = settings.part_bytes
        self._hashes: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        """Of objects that were read, by key and ETag."""

    async def sign_upload(self, key: str, stat: BlobStat, expires_at: int) -> SignedRequest:
        """Sign a ``PUT`` that the store takes with these headers only, and only while there is nothing."""
        _check(key, stat.content_type)
        headers = {"content-type": stat.content_type, _CHECKSUM: _base64(stat.sha256), "if-none-match": "*"}
        signed = {**headers, "content-length": str(stat.size)}
        return SignedRequest(self._bucket.signed_url("PUT", key, expires_at, {}, signed), "PUT", headers, expires_at)

    async def sign_parts(self, key: str, stat: BlobStat, expires_at: int) -> PartedUpload:
        """End what was begun of it, begin a multipart upload, and sign a ``PUT`` of each part."""
        _check(key, stat.content_type)
        await self._end_parts(key)
        size = max(self._part_bytes, -(-stat.size // multipart.MAX_PARTS))
        answer = await self._bucket.ask("POST", key, {"uploads": ""}, {"content-type": stat.content_type})
        with _understood():
            upload_id = multipart.upload_id_of(answer.body)
        requests = []
        for start in range(0, stat.size, size):
            query = {"partNumber": str(start // size + 1), "uploadId": upload_id}
            signed = {"content-length": str(min(size, stat.size - start))}
            url = self._bucket.signed_url("PUT", key, expires_at, query, signed)
            requests.append(SignedRequest(url, "PUT", {}, expires_at))
        return PartedUpload(upload_id, size, tuple(requests))

    async def complete_parts(self, key: str, stat: BlobStat, upload_id: str) -> None:
        """Join the parts, and read the whole once."""
        _check(key, stat.content_type)
        parts = await self._parts(key, upload_id)
        if parts is None:
            if await self.stat(key) != stat:
                raise not_found("the upload")
            return
        _check_parts(parts, stat.size)
        answer = await self._bucket.ask("POST", key, {"uploadId": upload_id}, {}, multipart.completion(parts))
        with _understood():
            if answer.status != 200 or multipart.is_error(answer.body):
                raise CooeeError(ErrorCode.CONFLICT, "the parts cannot be joined; send those that lack and try again")
        found = await self.stat(key)
        if found is None or (found.size, found.sha256) != (stat.size, stat.sha256):
            await self.delete(key)
            raise bad_frame("the file has another SHA-256 than was declared; upload it anew")

    async def sign_download(
        self, key: str, expires_at: int, filename: str, content_type: str, *, inline: bool
    ) -> SignedRequest:
        """Sign a ``GET`` that is answered with our type, name and time. Of a store's own headers it says nothing."""
        _check(key, content_type)
        query = {
            "response-content-type": content_type,
            "response-content-disposition": content_disposition(filename, inline=inline),
            "response-cache-control": "public, max-age=3600, immutable",
        }
        return SignedRequest(self._bucket.signed_url("GET", key, expires_at, query, {}), "GET", {}, expires_at)

    async def stat(self, key: str) -> BlobStat | None:
        """Ask for the head; the hash is what the store checked, or made here by reading the object once."""
        _check_key(key)
        answer = await self._bucket.ask("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
        if answer.status != 200:
            return None
        size, content_type = int(answer.headers.get("content-length", "0")), answer.headers.get("content-type", "")
        checked = _decoded(answer.headers.get(_CHECKSUM, ""))
        known = checked or await self._hash(key, answer.headers.get("etag", ""))
        return None if known is None else BlobStat(size, known, content_type)

    async def read(self, key: str, path: Path, limit: int | None = None) -> None:
        """Copy the object, or the beginning of it, into a local file."""
        _check_key(key)
        headers = {} if limit is None else {"range": f"bytes=0-{max(0, limit - 1)}"}
        with await asyncio.to_thread(path.open, "wb") as file:
            left = limit
            async for piece in self._pieces(key, headers):
                part = piece if left is None else piece[:left]
                left = None if left is None else left - len(part)
                await asyncio.to_thread(file.write, part)

    async def write(self, key: str, path: Path, stat: BlobStat) -> None:
        """Store a local file; it is read twice."""
        _check(key, stat.content_type)
        with await asyncio.to_thread(path.open, "rb") as file:
            digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
            if digest.digest() != stat.sha256 or file.tell() != stat.size:
                raise bad_frame("the file is not what was said of it")
            file.seek(0)
            headers = {
                "content-type": stat.content_type,
                "content-length": str(stat.size),
                _CHECKSUM: _base64(stat.sha256),
            }
            answer = await self._bucket.ask("PUT", key, {}, headers, file if stat.size else b"", stat.sha256.hex())
        if answer.status != 200:
            raise unavailable("the store of files takes nothing now")

    async def delete(self, key: str) -> None:
        """Remove the object, and end what is uploaded of it in parts."""
        _check_key(key)
        await self._bucket.ask("DELETE", key)
        await self._end_parts(key)

    async def _end_parts(self, key: str) -> None:
        listed = await self._bucket.ask("GET", "", {"uploads": "", "prefix": key})
        if listed.status != 200:
            return
        with _understood():
            uploads = multipart.uploads_of(listed.body, key)
        for upload_id in uploads:
            await self._bucket.ask("DELETE", key, {"uploadId": upload_id})

    async def examine(self) -> str:
        """Return what is wrong with the bucket, empty when it answers and knows us."""
        try:
            answer = await self._bucket.ask("GET", "", {"list-type": "2", "max-keys": "1"})
        except CooeeError:
            return "it does not answer, or does not take the key"
        return "" if answer.status == 200 else f"it answers with status {answer.status}; is there such a bucket?"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._bucket.aclose()

    async def _parts(self, key: str, upload_id: str) -> list[multipart.Part] | None:
        """Return all parts that are there, in order; None when there is no such upload."""
        found: list[multipart.Part] = []
        after = ""
        while True:
            query = {"uploadId": upload_id} | ({"part-number-marker": after} if after else {})
            answer = await self._bucket.ask("GET", key, query)
            if answer.status != 200:
                return None
            with _understood():
                parts, after = multipart.parts_of(answer.body)
            found += parts
            if not after:
                return multipart.latest(found)

    async def _hash(self, key: str, etag: str) -> bytes | None:
        """Read the object once and remember its hash; None when it has gone."""
        known = self._hashes.get((key, etag))
        if known is not None:
            return known
        digest = hashlib.sha256()
        try:
            async for piece in self._pieces(key, {}):
                await asyncio.to_thread(digest.update, piece)
        except CooeeError as refusal:
            if refusal.code is ErrorCode.NOT_FOUND:
                return None
            raise
        self._hashes[key, etag] = digest.digest()
        while len(self._hashes) > _REMEMBERED:
            self._hashes.popitem(last=False)
        return digest.digest()

    async def _pieces(self, key: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        async with self._bucket.asked("GET", key, headers=headers) as response:
            if response.status == 416:
                return
            if response.status not in {200, 206}:
                raise not_found("the file")
            async for piece in self._bucket.pieces(response, _PIECE):
                yield piece


def _check_parts(parts: list[multipart.Part], size: int) -> None:
    """Refuse what cannot be the whole: a gap, or another number of bytes in all."""
    numbers = [part.number for part in parts]
    if numbers != list(range(1, len(parts) + 1)) or sum(part.size for part in parts) != size:
        raise CooeeError(ErrorCode.CONFLICT, "parts are missing or not whole; send them and try again")


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except multipart.NotUnderstood:
        raise unavailable("the store of files does not work now", 5000) from None


def _check(key: str, content_type: str) -> None:
    _check_key(key)
    if not is_mime_type(content_type):
        raise ValueError("not a content type")


def _check_key(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise ValueError("not a key of media")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _decoded(checksum: str) -> bytes | None:
    """Return a checksum of the whole; None for one of parts (``…-3``), or none."""
    try:
        digest = base64.b64decode(checksum, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == 32 else None
