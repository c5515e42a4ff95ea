"""Media: large objects that never pass through the chat socket (PROTOCOL.md §11)."""

from pathlib import Path
from typing import Protocol

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode

KEY_PATTERN = r"[A-Za-z0-9_-]{22,64}(\.thumb)?"
"""What a key looks like; with ``.thumb`` it is the thumbnail of the object before it. Another is a ValueError."""


class NoRoom(CooeeError):
    """The store has no room left: ``unavailable``, and over HTTP status 507."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, "there is no room for files now; try later", retry_after_ms=60_000)

    @property
    def http_status(self) -> int:
        """507, Insufficient Storage."""
        return 507


class BlobStat(msgspec.Struct, frozen=True):
    """What is stored: size in bytes, SHA-256 (32 bytes), content type."""

    size: int
    sha256: bytes
    content_type: str


class SignedRequest(msgspec.Struct, frozen=True):
    """A request that a client makes of the store itself, with all of ``headers``, until ``expires_at`` (ms).

    ``url`` is absolute, or begins with ``/``: then it is on the server that the client speaks with. A body has a
    ``Content-Length``; chunked transfer is refused.
    """

    url: str
    method: str
    headers: dict[str, str]
    expires_at: int


class PartedUpload(msgspec.Struct, frozen=True):
    """An upload in parts: request i takes the bytes from ``i * part_size`` on, all parts but the last of that size.

    Parts may come in any order, side by side, and again. ``upload_id`` is opaque.
    """

    upload_id: str
    part_size: int
    requests: tuple[SignedRequest, ...]


class Blobs(Protocol):
    """A store of immutable objects behind signed requests.

    All that asks the store may raise `CooeeError` ``unavailable``: it does not answer, or has no room (`NoRoom`); retry
    is safe.
    """

    async def sign_upload(self, key: str, stat: BlobStat, expires_at: int) -> SignedRequest:
        """Return a request that stores exactly an object of that size, hash and type; answered 2xx when it did.

        Once: when there is one already, it is kept, and the request is answered 412.
        """
        ...

    async def sign_parts(self, key: str, stat: BlobStat, expires_at: int) -> PartedUpload:
        """Begin an upload in parts, for what is too large for one request. Nothing is there before `complete_parts`.

        A key has one such upload: a former one of the same object is gone on with, or ends with all that came of it.
        """
        ...

    async def complete_parts(self, key: str, stat: BlobStat, upload_id: str) -> None:
        """Join the parts to the object. Takes as long as reading it. Repeated, it does nothing.

        Raises:
            CooeeError: ``conflict``, parts lack or have the wrong size, which can be made good; ``bad_frame``, the
                whole has another hash: it is removed, and the upload is void; ``not_found``, no such upload.
        """
        ...

    async def sign_download(
        self, key: str, expires_at: int, filename: str, content_type: str, *, inline: bool
    ) -> SignedRequest:
        """Return a request that reads the object, with Range; the same for the same arguments, so it can be cached.

        It is answered as ``content_type`` under ``filename`` (any text; empty: none), to be saved unless ``inline``.
        """
        ...

    async def stat(self, key: str) -> BlobStat | None:
        """Return what is stored under ``key``, hash by content, None when nothing is. May have to read it once."""
        ...

    async def read(self, key: str, path: Path, limit: int | None = None) -> None:
        """Copy the object, or its first ``limit`` bytes, into a local file, which is replaced, in bounded memory.

        Raises:
            CooeeError: ``not_found``, there is none.
        """
        ...

    async def write(self, key: str, path: Path, stat: BlobStat) -> None:
        """Store a local file under ``key``, in place of what was there. ``bad_frame`` when the file is not ``stat``."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object, and what was uploaded of it. Nothing happens when it is not there."""
        ...
