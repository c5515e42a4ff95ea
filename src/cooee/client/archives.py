"""History for a newly linked device: the keys of all messages held here, as an encrypted file in the media store.

With them the new device reads what the server keeps of the conversations. The archive (`cooee.crypto.archive`) is
written and read in pieces and has a random key, which goes to the new device alone, in a control message. In it stand
frames of 4 bytes of length (big-endian) and MessagePack: ``[[conversationId, sequenceNumber, senderId, senderDeviceId,
clientMessageId, key], …]``. Exporting begins anew after a crash, importing may be done twice.
"""

import asyncio
import hashlib
import os
import secrets
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from cooee.client.api import Api
from cooee.client.carrier import Carrier
from cooee.client.changes import MessageKey
from cooee.client.downloading import Download
from cooee.client.e2ee.wants import StoredArchive
from cooee.client.errors import DownloadFailed
from cooee.client.events import SetupProgress
from cooee.client.files import PIECE, FileEntry, hashed, stamp_of
from cooee.client.ledger import Ledger
from cooee.client.turn import Turn
from cooee.crypto.archive import ArchiveKey, ArchiveReader, ArchiveWriter
from cooee.crypto.errors import CryptoError
from cooee.domain.media import OCTETS

FOLDER = "archives"
"""The folder in the store's for archives on their way."""
PART = 500
"""Keys in one frame."""
MAX_FRAME = 1 << 20
"""Bytes of one frame; a longer one is refused."""
_LENGTH = struct.Struct(">I")
_Row = tuple[str, int, str, str, str, bytes]
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(list[_Row]).decode

Step = Callable[[Callable[[Turn], None]], Awaitable[Turn]]


class Archives:
    """The archives that one client makes and takes in. ``folder``: the store's; ``step``: a step of the ledger."""

    def __init__(self, ledger: Ledger, api: Api, folder: Path, step: Step) -> None:
        self._ledger = ledger
        self._api = api
        self._folder = folder / FOLDER
        self._step = step

    async def export(self, device_id: str) -> StoredArchive:
        """Make an archive for an own device and upload it.

        Raises:
            ServerError, SendFailed, ConnectionFailed: it could not be uploaded. StoreError, OSError: nor be made.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"to-{device_id}"
        key = ArchiveKey.generate(secrets.token_bytes)
        try:
            await self._write(path, key)
            size, mtime_ns = stamp_of(path)
            digest, _ = await asyncio.to_thread(hashed, path, lambda _: None)
            entry = FileEntry(
                client_message_id="archive",
                conversation_id="",
                created_at=0,
                path=str(path),
                size=size,
                mtime_ns=mtime_ns,
                sha256=digest,
                content_type="document",
                content={"mimeType": OCTETS},
                encrypted=True,
            )
            done = await Carrier(self._api, entry, _forget, self._progress).carry()
        finally:
            path.unlink(missing_ok=True)
        return StoredArchive(done.media_key, bytes(key), bytes.fromhex(digest), size)

    async def _write(self, path: Path, key: ArchiveKey) -> None:
        writer = ArchiveWriter(key, secrets.token_bytes)
        with await asyncio.to_thread(_new_file, path) as file:
            file.write(writer.start())
            after: MessageKey | None = None
            while keys := await self._ledger.run(self._ledger.store.held_keys, after, PART):
                after = keys[-1]
                frame = _encode([tuple(one) for one in keys])
                await asyncio.to_thread(file.write, writer.update(_LENGTH.pack(len(frame)) + frame))
            file.write(writer.finish())

    async def take_in(self, archive: StoredArchive) -> None:
        """Download an archive and store the keys in it.

        Raises:
            DownloadFailed: it is not what was sent. ServerError, ConnectionFailed: it could not be had now.
            StoreError, OSError: it could not be stored.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"from-{archive.digest.hex()[:16]}"
        await Download(self._api, archive.media_key, progress=self._progress, most=archive.size).to(path, force=True)
        try:
            with path.open("rb") as file:
                await self._read(file, archive)
        except (CryptoError, msgspec.DecodeError):
            raise DownloadFailed("the archive of the other device cannot be read") from None
        finally:
            with suppress(OSError):
                path.unlink()

    async def _read(self, file: BinaryIO, archive: StoredArchive) -> None:
        if await asyncio.to_thread(_digest, file) != archive.digest:
            raise DownloadFailed("the archive is not the one that the other device made")
        reader = ArchiveReader(ArchiveKey(archive.key))
        held = bytearray()
        while piece := await asyncio.to_thread(file.read, PIECE):
            held += reader.update(piece)
            await self._take_frames(held)
        held += reader.finish()
        await self._take_frames(held)
        if held:
            raise DownloadFailed("the archive of the other device is cut off")

    async def _take_frames(self, held: bytearray) -> None:
        """Store the frames that are there whole, and take them out of ``held``."""
        while len(held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held)
            if length > MAX_FRAME:
                raise DownloadFailed("the archive of the other device cannot be read")
            if len(held) < _LENGTH.size + length:
                return
            keys = [MessageKey(*row) for row in _decode(bytes(held[_LENGTH.size : _LENGTH.size + length]))]
            del held[: _LENGTH.size + length]
            await self._step(lambda turn, keys=keys: turn.message_keys.extend(keys))  # type: ignore[misc]

    def _progress(self, done: int, total: int) -> None:
        self._ledger.emit(SetupProgress("", done, total))


def _new_file(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


async def _forget(_: FileEntry) -> None:
    """Keep no note of an upload that begins anew after a crash."""


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.digest()
