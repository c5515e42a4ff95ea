"""Files, encrypted on their way out and decrypted on their way in (docs/e2ee.md, "Files"). All of it blocks.

Only `PIECE` bytes of a file are in memory. What is decrypted gets its name only after digest and MAC were right.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cooee.client.errors import DownloadFailed, SendFailed
from cooee.client.files import PIECE
from cooee.crypto.attachment import FileKey, Opening, Sealing
from cooee.crypto.errors import CryptoError
from cooee.domain import base64url


class SealedFile(NamedTuple):
    """An encrypted copy of a file. ``key`` and ``digest`` in base64url, as the message's body has them."""

    size: int
    mtime_ns: int
    key: str
    digest: str

    def __repr__(self) -> str:
        return f"SealedFile({self.size})"


def seal_file(source: Path, size: int, target: Path) -> SealedFile:
    """Write ``source``, which has ``size`` bytes, to ``target`` (new, mode 0600), encrypted under a key of its own.

    Raises:
        SendFailed: it cannot be read, or changed meanwhile. OSError: the copy cannot be written.
    """
    key = FileKey.generate(secrets.token_bytes)
    sealing = Sealing(key, size, secrets.token_bytes)
    try:
        reading = source.open("rb")
    except OSError as problem:
        raise SendFailed("not_found", f"{source} cannot be read: {problem.strerror}") from None
    target.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with reading, os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            while piece := reading.read(PIECE):
                file.write(sealing.update(piece))
            file.writelines(sealing.padding())
            end = sealing.finish()
            file.write(end.tail)
            file.flush()
            os.fsync(file.fileno())
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
    except CryptoError:
        _remove(target)
        raise SendFailed("bad_frame", f"{source} is being written; send it when it is whole") from None
    except BaseException:
        _remove(target)
        raise
    return SealedFile(end.size, mtime_ns, base64url.encode(bytes(key)), base64url.encode(end.digest))


def open_file(sealed: BinaryIO, target: BinaryIO, key: str, digest: str, size: int) -> None:
    """Write what ``sealed`` holds to ``target``, which nobody may look at before this returns.

    Raises:
        DownloadFailed: it is not what was sent. OSError: it cannot be written.
    """
    try:
        opening = Opening(FileKey(base64url.decode(key)), base64url.decode(digest), size)
        sealed.seek(0)
        while piece := sealed.read(PIECE):
            target.write(opening.update(piece))
        target.write(opening.finish())
    except (CryptoError, ValueError):
        raise DownloadFailed("what was downloaded is not what was sent; nothing was kept") from None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
