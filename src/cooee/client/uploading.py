"""Sends files: hashed, noted in the store, uploaded, and only then a message in the outbox.

From the note on the message is safe: whoever opens the store next goes on with the upload, as long as the file is
unchanged. To an encrypted conversation goes an encrypted copy, which lies in the store's folder until it is uploaded.
Messages written behind a file do not wait for it.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from cooee.client.api import Api
from cooee.client.carrier import Carrier
from cooee.client.errors import ConnectionFailed, NotLoggedIn, SendFailed, StoreError
from cooee.client.events import TickChanged
from cooee.client.files import PIECE, FileEntry, FileKind, Progress, hashed, kind_of, sent_name, stamp_of, type_of
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.model import Pending
from cooee.client.outbox import failed
from cooee.client.pictures import look_at
from cooee.client.sealed_files import seal_file
from cooee.client.sending import Sending, new_id
from cooee.domain import base64url
from cooee.domain.errors import CooeeError
from cooee.protocol.media import media_content

SPOOL = "uploads"
"""The folder in the store's for what came as a stream."""
AGAIN_S = 30.0
"""How often what is not uploaded is tried again."""
_ANY_KEY = "A" * 32

Source = str | os.PathLike[str] | IO[bytes] | AsyncIterable[bytes]
"""A path, an open binary file, or pieces as they come."""


class FileWish(NamedTuple):
    """How a file is to be sent. ``kind`` and ``mime_type`` None: as its content and its name say.

    ``width``, ``height`` (pixels), ``duration_ms`` and ``waveform`` (a byte each, at most 128) are found out by the
    server when they are not said.
    """

    caption: str = ""
    kind: FileKind | None = None
    filename: str | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    waveform: bytes | None = None


class Uploading:
    """The files of one client that are on their way. ``folder``: the store's."""

    def __init__(self, ledger: Ledger, api: Api, sending: Sending, folder: Path) -> None:
        self._ledger = ledger
        self._api = api
        self._sending = sending
        self._folder = folder
        self._tasks: dict[str, asyncio.Task[Pending]] = {}
        self._discarded: set[str] = set()
        self._making: set[str] = set()
        """Messages whose files may lie in the folder and stand in no entry yet."""

    async def send(self, to: str, source: Source, wish: FileWish, progress: Progress | None, **fields: Any) -> Pending:
        """See `Client.send_file`. ``fields``: those of `FileEntry` about the message."""
        conversation_id = self._sending.conversation_id(to)
        client_message_id = new_id(wall_ms())
        self._making.add(client_message_id)
        try:
            return await self._send(client_message_id, conversation_id, source, wish, progress, fields)
        finally:
            self._making.discard(client_message_id)

    async def _send(  # the parts of one call
        self,
        client_message_id: str,
        conversation_id: str,
        source: Source,
        wish: FileWish,
        progress: Progress | None,
        fields: dict[str, Any],
    ) -> Pending:
        if isinstance(source, str | os.PathLike):
            path, spooled = await asyncio.to_thread(Path(source).absolute), False
        else:
            name = getattr(source, "name", "")
            wish = wish if wish.filename or not isinstance(name, str) else wish._replace(filename=name)
            path, spooled = await self._spool(client_message_id, source), True
        try:
            entry = await prepared(
                client_message_id, conversation_id, path, wish, self._sending.largest, spooled=spooled, **fields
            )
            if self._sending.encrypts(conversation_id):
                reference = await self._sending.reference(conversation_id, entry.reply_to)
                entry = await self._sealed(msgspec.structs.replace(entry, reply_reference=reference))
                path, spooled = Path(entry.path), True
            await self._ledger.run(self._ledger.store.put_upload, entry)
        except BaseException:
            if spooled:
                _remove(path)
            raise
        if progress is not None:
            progress(0, entry.size)
        try:
            return await self._finish(entry, progress)
        except SendFailed:  # whoever sends it is told now
            await self._drop(entry)
            raise

    async def _sealed(self, plain: FileEntry) -> FileEntry:
        """Return the entry of an encrypted copy in the store's folder; a copy in the clear there goes."""
        source = Path(plain.path)
        target = self._folder / SPOOL / f"{plain.client_message_id}.sealed"
        looks = await asyncio.to_thread(_looks, plain)
        sealed = await asyncio.to_thread(seal_file, source, plain.size, target)
        self._remove_spooled(plain)
        return msgspec.structs.replace(
            plain,
            path=str(target),
            size=sealed.size,
            mtime_ns=sealed.mtime_ns,
            sha256=base64url.decode(sealed.digest).hex(),
            content=looks | plain.content | {"key": sealed.key, "digest": sealed.digest},
            spooled=True,
            encrypted=True,
            expires_in=self._sending.timer(plain.conversation_id),
        )

    async def entries(self) -> Sequence[FileEntry]:
        """Return what is not uploaded yet, in the order of writing."""
        return await self._ledger.run(self._ledger.store.uploads)

    async def discard(self, client_message_id: str) -> None:
        """Give an upload up, also one that runs. Raises KeyError."""
        entry = next((one for one in await self.entries() if one.client_message_id == client_message_id), None)
        if entry is None:
            raise KeyError(client_message_id)
        task = self._tasks.get(client_message_id)
        if task is not None:
            self._discarded.add(client_message_id)
            task.cancel()
            await asyncio.wait((task,))
        await self._drop(entry)

    async def keep_going(self) -> None:
        """Go on with what is not uploaded, now and whenever it did not work; runs until it is cancelled."""
        await asyncio.to_thread(self._sweep, {entry.path for entry in await self.entries()})
        while True:
            with contextlib.suppress(StoreError, NotLoggedIn):
                for entry in await self.entries():
                    if entry.client_message_id not in self._tasks.keys() | self._making:
                        await self._go_on(entry)
            await asyncio.sleep(AGAIN_S)

    async def close(self) -> None:
        """Stop; what is on its way goes on with the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_on(self, entry: FileEntry) -> None:
        """Go on with what another run of the program began; a refusal is told as that of any message."""
        with contextlib.suppress(ConnectionFailed):
            try:
                await self._finish(entry, None)
            except SendFailed as problem:
                without = msgspec.structs.replace(entry, media_key="")  # its file is not there, so it cannot be retried
                message = failed(without.message(self._ledger.state.me.device_id), problem.code, problem.message)
                self._ledger.state.outbox.add(await self._ledger.run(self._ledger.store.finish_upload, message))
                self._remove_spooled(entry)
                self._ledger.emit(
                    TickChanged(
                        entry.conversation_id,
                        "failed",
                        None,
                        entry.client_message_id,
                        code=problem.code,
                        reason=problem.message,
                    )
                )

    async def _finish(self, entry: FileEntry, progress: Progress | None) -> Pending:
        key = entry.client_message_id
        task = asyncio.create_task(self._carry(entry, progress), name="cooee-upload")
        self._tasks[key] = task
        try:
            return await task
        except asyncio.CancelledError:
            if key in self._discarded:
                raise SendFailed("discarded", "the file was discarded before it was sent") from None
            raise
        finally:
            del self._tasks[key]
            self._discarded.discard(key)

    async def _carry(self, entry: FileEntry, progress: Progress | None) -> Pending:

        async def save(changed: FileEntry) -> None:
            await self._ledger.run(self._ledger.store.put_upload, changed)

        done = await Carrier(self._api, entry, save, progress).carry()
        return await asyncio.shield(self._settle(done))

    async def _settle(self, done: FileEntry) -> Pending:
        message = done.message(self._ledger.state.me.device_id)
        if done.encrypted:
            message = await self._sending.enclosed(message, done.body())
        message = await self._ledger.run(self._ledger.store.finish_upload, message)
        self._sending.take(message)
        self._remove_spooled(done)
        return message

    async def _drop(self, entry: FileEntry) -> None:
        await self._ledger.run(self._ledger.store.drop_upload, entry.client_message_id)
        self._remove_spooled(entry)

    # --- streams

    async def _spool(self, name: str, source: IO[bytes] | AsyncIterable[bytes]) -> Path:
        """Copy a stream to the store's folder: a file can be sent twice, a stream cannot."""
        folder = self._folder / SPOOL
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                if isinstance(source, AsyncIterable):
                    async for piece in source:
                        await asyncio.to_thread(file.write, piece)
                else:
                    while piece := await asyncio.to_thread(source.read, PIECE):
                        await asyncio.to_thread(file.write, piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _remove_spooled(self, entry: FileEntry) -> None:
        if entry.spooled:
            _remove(Path(entry.path))

    def _sweep(self, wanted: set[str]) -> None:
        """Remove what was copied for messages that never came to be."""
        with contextlib.suppress(OSError):
            for path in (self._folder / SPOOL).iterdir():
                if str(path) not in wanted and path.stem not in self._making:
                    path.unlink(missing_ok=True)


async def prepared(
    client_message_id: str,
    conversation_id: str,
    path: Path,
    wish: FileWish,
    largest: int,
    *,
    spooled: bool = False,
    **fields: Any,
) -> FileEntry:
    """Read a file, by its whole path, and return the message to be; ``largest``: bytes of its content.

    Raises:
        SendFailed: it cannot be read, is empty, is no such kind of file, or too much is said of it.
    """
    stamp = stamp_of(path)
    sha256, head = await asyncio.to_thread(hashed, path, lambda _: None)
    if stamp_of(path) != stamp:
        raise SendFailed("bad_frame", f"{path} is being written; send it when it is whole")
    name = sent_name(wish.filename if wish.filename is not None else "" if spooled else path.name)
    mime_type = wish.mime_type or type_of(name, head)
    kind = wish.kind or kind_of(mime_type)
    content = _content(name, mime_type, stamp.size, wish)
    try:
        media_content(kind, msgspec.json.encode({"mediaKey": _ANY_KEY} | content), largest)
    except CooeeError as problem:
        raise SendFailed(problem.code, problem.message) from None
    return FileEntry(
        client_message_id=client_message_id,
        conversation_id=conversation_id,
        created_at=wall_ms(),
        path=str(path),
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        sha256=sha256,
        content_type=kind,
        content=content,
        spooled=spooled,
        **fields,
    )


def _looks(entry: FileEntry) -> dict[str, Any]:
    """Return what the content of an encrypted picture says of its looks."""
    picture = look_at(Path(entry.path)) if entry.content_type == "image" else None
    if picture is None:
        return {}
    looks: dict[str, Any] = {"width": picture.width, "height": picture.height, "blurhash": picture.blurhash}
    return looks | ({"thumbnail": True, "picture": picture.thumbnail} if picture.thumbnail else {})


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _content(name: str, mime_type: str, size: int, wish: FileWish) -> dict[str, Any]:
    """Return what the message says of its file."""
    waveform = None if wish.waveform is None else base64.urlsafe_b64encode(wish.waveform).decode().rstrip("=")
    said = {
        "mimeType": mime_type,
        "size": size,
        "filename": name,
        "caption": wish.caption,
        "width": wish.width,
        "height": wish.height,
        "durationMs": wish.duration_ms,
        "waveform": waveform,
    }
    return {key: value for key, value in said.items() if value not in (None, "")}
