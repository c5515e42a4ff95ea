"""Whether a file that is here is the one that a message names, so that it need not be fetched again.

A plain file is known by its SHA-256. Of an encrypted one only the encrypted form is known; given its first 16 bytes,
which are random, a file that is here can be encrypted the same way again and compared.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from cooee.client import Api
from cooee.client.files import PIECE
from cooee.client.model import Media
from cooee.crypto.attachment import FileKey, Sealing
from cooee.crypto.errors import CryptoError
from cooee.crypto.primitives import equal
from cooee.domain import base64url
from cooee.protocol.media import MediaLink

IV = 16
Same = Callable[[Path], Awaitable[bool]]


def same_as(api: Api, link: MediaLink, media: Media | None) -> Same:
    """Return what tells whether a file is the one behind ``link``; ``media``: it is encrypted, as that says."""

    async def plain(path: Path) -> bool:
        return hashed(path) == link.sha256

    async def encrypted(path: Path) -> bool:
        assert media is not None  # noqa: S101  # chosen below
        return _sized(path, media.size) and sealed_alike(path, media, await _beginning(api, link))

    return plain if media is None else encrypted


def _sized(path: Path, size: int) -> bool:
    return path.stat().st_size == size


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed_alike(path: Path, media: Media, beginning: bytes) -> bool:
    """Tell whether a file, encrypted with this key and beginning, is what the message's sender encrypted."""
    if len(beginning) != IV:
        return False
    try:
        sealing = Sealing(FileKey(base64url.decode(media.key)), media.size, lambda _: beginning)
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                sealing.update(piece)
        return equal(sealing.finish().digest, base64url.decode(media.digest))
    except (CryptoError, ValueError):
        return False


async def _beginning(api: Api, link: MediaLink) -> bytes:
    """Return the first bytes of the encrypted file; fewer when they cannot be had: then it is fetched as a whole."""
    try:
        async with api.blob("GET", link.url, {"Range": f"bytes=0-{IV - 1}"}) as answer:
            if answer.status not in {200, 206}:
                return b""
            return await answer.content.readexactly(IV)
    except (aiohttp.ClientError, TimeoutError, OSError, EOFError):
        return b""
