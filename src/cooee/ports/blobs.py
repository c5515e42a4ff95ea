"""Media: large objects that never pass through the chat socket."""

from typing import Protocol

import msgspec


class BlobStat(msgspec.Struct, frozen=True):
    """What is stored: size in bytes, SHA-256, declared content type."""

    size: int
    sha256: bytes
    content_type: str


class SignedRequest(msgspec.Struct, frozen=True):
    """A pre-signed request that a client makes directly to the store until ``expires_at`` (ms)."""

    url: str
    method: str
    headers: dict[str, str]
    expires_at: int


class Blobs(Protocol):
    """A store of immutable objects behind pre-signed requests (PROTOCOL.md §11)."""

    async def sign_upload(self, key: str, stat: BlobStat, expires_at: int) -> SignedRequest:
        """Return a request that stores exactly an object of that size, hash and type, once."""
        ...

    async def sign_download(self, key: str, expires_at: int, filename: str) -> SignedRequest:
        """Return a request that reads the object, with Range."""
        ...

    async def stat(self, key: str) -> BlobStat | None:
        """Return what is stored under ``key``."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is not there."""
        ...
