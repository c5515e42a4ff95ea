"""A blob store in memory, whose signed requests a test carries out by hand."""

import hashlib
from pathlib import Path

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.ports.blobs import BlobStat, PartedUpload, SignedRequest

PART = 8 * 1024 * 1024


class MemoryBlobs:
    """`Blobs`. ``put`` is what a client's upload does; ``refuse`` makes the store answer nothing."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[BlobStat, bytes]] = {}
        self.signed: list[SignedRequest] = []
        self.refuse = False
        self.stats = 0

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store an object as a whole, whatever was signed."""
        self.objects[key] = (BlobStat(len(content), hashlib.sha256(content).digest(), content_type), content)

    async def sign_upload(self, key: str, stat: BlobStat, expires_at: int) -> SignedRequest:
        return self._sign(f"/blobs/{key}?size={stat.size}", "PUT", {"content-type": stat.content_type}, expires_at)

    async def sign_parts(self, key: str, stat: BlobStat, expires_at: int) -> PartedUpload:
        count = -(-stat.size // PART)
        requests = tuple(self._sign(f"/blobs/{key}?part={part}", "PUT", {}, expires_at) for part in range(count))
        return PartedUpload("u1", PART, requests)

    async def complete_parts(self, key: str, stat: BlobStat, upload_id: str) -> None:
        if key not in self.objects:
            raise CooeeError(ErrorCode.CONFLICT, "parts lack")
        if self.objects[key][0].sha256 != stat.sha256:
            del self.objects[key]
            raise bad_frame("the whole has another hash")

    async def sign_download(
        self, key: str, expires_at: int, filename: str, content_type: str, *, inline: bool
    ) -> SignedRequest:
        url = f"http://store.test/blobs/{key}?type={content_type}&name={filename}&inline={inline}&until={expires_at}"
        return self._sign(url, "GET", {}, expires_at)

    async def stat(self, key: str) -> BlobStat | None:
        self._answer()
        self.stats += 1
        return self.objects[key][0] if key in self.objects else None

    async def read(self, key: str, path: Path, limit: int | None = None) -> None:
        self._answer()
        if key not in self.objects:
            raise not_found("the object")
        content = self.objects[key][1]
        path.write_bytes(content[:limit])  # noqa: ASYNC240  # a test's few bytes

    async def write(self, key: str, path: Path, stat: BlobStat) -> None:
        self._answer()
        self.put(key, path.read_bytes(), stat.content_type)  # noqa: ASYNC240  # as above

    async def delete(self, key: str) -> None:
        self._answer()
        self.objects.pop(key, None)

    def _sign(self, url: str, method: str, headers: dict[str, str], expires_at: int) -> SignedRequest:
        request = SignedRequest(url, method, headers, expires_at)
        self.signed.append(request)
        return request

    def _answer(self) -> None:
        if self.refuse:
            raise CooeeError(ErrorCode.UNAVAILABLE, "the store does not answer", retry_after_ms=1000)
