"""The other side of a folder of media: what the server needs to answer the signed requests that lead to itself."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What one signed request may do: ``PUT`` these very bytes, or ``GET`` the object as this type and name.

    ``size`` and ``sha256`` are those of the object, for a part those of the part, which has no hash (empty).
    ``part`` counts from 1; 0: the whole.
    """

    method: str
    key: str
    expires_at: int
    content_type: str
    size: int = 0
    sha256: bytes = b""
    part: int = 0
    upload_id: str = ""
    filename: str = ""
    inline: bool = False


class Receiving(Protocol):
    """One request's bytes on their way into the store, in order."""

    async def write(self, data: bytes) -> None:
        """Take more. Returns when there is room for the next.

        Raises:
            CooeeError: ``conflict``, a later request sends the same object now; ``unavailable``, no room on the disk,
                and nothing of the upload was kept.
        """
        ...

    async def finish(self) -> bool:
        """Say that the request ends here. True: all is there, checked and durable. False: more is to come.

        Raises:
            CooeeError: ``bad_frame``, all came and has another hash: nothing of it was kept; or as `write`.
        """
        ...


class OpenBlob(Protocol):
    """An object that is being read. What is deleted meanwhile can be read to its end."""

    size: int
    etag: str
    """Strong, in quotes."""

    async def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class BlobFiles(Protocol):
    """The folder, for whoever serves it by HTTP."""

    def check(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """Return what a signed request allows. A ``HEAD`` may be made of what a ``GET`` was signed for.

        Raises:
            CooeeError: ``forbidden``, it was not signed so by this server, or has expired.
        """
        ...

    async def received(self, grant: Grant) -> int | None:
        """Return how many bytes of an upload are there; None: the object is there, whole. A part has none or all."""
        ...

    def receive(self, grant: Grant, offset: int) -> AbstractAsyncContextManager[Receiving]:
        """Go on with an upload at ``offset``, which is what `received` said, or 0. Only one request at a time may.

        Left without `Receiving.finish`, what came stays for a later request, but for a part, which is dropped.

        Raises:
            CooeeError: ``conflict``, the object is there, or something else than ``offset`` bytes of it; or as `write`.
        """
        ...

    async def open(self, grant: Grant) -> OpenBlob:
        """Open an object to be read. ``not_found`` when it is not there."""
        ...
