"""Files, as an application sends and gets them (PROTOCOL.md §18): a part of `Client`."""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from cooee.client.downloading import Download, Lock, write_file
from cooee.client.errors import ServerError
from cooee.client.files import FileEntry, FileKind, Progress
from cooee.client.model import Media, Message, Pending
from cooee.client.opened import Opened
from cooee.client.uploading import FileWish, Source
from cooee.domain import base64url
from cooee.domain.errors import ErrorCode
from cooee.protocol.media import MediaLink


class MediaOfClient(ABC):
    """What `Client` does with files. They go by plain HTTP, whatever carries the frames, also with ``live=False``."""

    @property
    @abstractmethod
    def _parts(self) -> Opened:
        """The parts of the open client."""

    async def send_file(  # noqa: PLR0913 - each has a name and a default
        self,
        to: str,
        source: Source,
        *,
        caption: str = "",
        kind: FileKind | None = None,
        filename: str | None = None,
        mime_type: str | None = None,
        width: int | None = None,
        height: int | None = None,
        duration_ms: int | None = None,
        waveform: bytes | None = None,
        reply_to: str | None = None,
        mentions: Iterable[str] = (),
        silent: bool = False,
        preview: str = "",
        progress: Progress | None = None,
    ) -> Pending:
        """Upload a file and commit a message with it to the outbox; return when both are done.

        ``source``: a path, an open binary file, or pieces of bytes as they come; other than a path it is copied to the
        store's folder first. ``kind``: ``image``, ``video``, ``audio`` (also for voice messages) or ``document``; else
        what the content is. ``progress`` is told bytes done and bytes in all.

        Once the file is read (``progress`` is told 0 then) the message is in the store: cancelled or killed, the upload
        goes on with the next live client on this store, if the file is unchanged, and no message is sent twice.

        Raises:
            SendFailed: it can never be sent: no such file, an empty or too large one, no room left for you; or
                ``reply_to`` is as `send_text` refuses it.
            ConnectionFailed: it did not work now; it is tried again while a live client is open.
            StoreUnusable: it could not be stored.
            OSError: a stream could not be read, or not be copied.
        """
        wish = FileWish(caption, kind, filename, mime_type, width, height, duration_ms, waveform)
        return await self._parts.uploading.send(
            to,
            source,
            wish,
            progress,
            reply_to=reply_to,
            mentions=tuple(mentions),
            silent=silent,
            preview=preview,
        )

    async def uploads(self) -> Sequence[FileEntry]:
        """Return the messages whose file is not uploaded yet, in the order of writing."""
        return await self._parts.uploading.entries()

    async def discard_upload(self, client_message_id: str) -> None:
        """Give up a message whose file is not uploaded yet; a `send_file` that runs raises `SendFailed`.

        Raises:
            KeyError: there is no such upload.
        """
        await self._parts.uploading.discard(client_message_id)

    async def download(
        self,
        message: Message | str,
        path: str | Path,
        *,
        thumbnail: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> MediaLink:
        """Download the file of a message, or of a mediaKey, to ``path``; return what the server says of it.

        The file gets its name when all of it is there and its hash is right; until then it grows as ``.{sha256}.part``
        beside it, from where the next download goes on. ``thumbnail``: the small picture instead. Of an encrypted file
        give the message, which has its key: it is decrypted, and named when all of it was checked.

        Raises:
            FileExistsError: there is something at ``path``; ``force`` replaces it.
            ServerError: ``not_found``: there is no such file or thumbnail, or not for this user.
            ConnectionFailed: it did not work now; what came is kept.
            DownloadFailed: what came is not what was sent.
            OSError: it cannot be written.
        """
        if isinstance(message, str):
            return await self._fetched(message, Path(path), thumbnail, force, progress, None)
        media = message.media
        if media is None:
            raise ServerError(ErrorCode.NOT_FOUND, "this message holds no file")
        if not media.encrypted:
            return await self._fetched(media.media_key, Path(path), thumbnail, force, progress, None)
        if thumbnail:
            return await asyncio.to_thread(_picture, media, Path(path), force)
        lock = Lock(media.key, media.digest, media.size)
        link = await self._fetched(media.media_key, Path(path), False, force, progress, lock)  # no picture
        return msgspec.structs.replace(
            link, content_type=media.mime_type, size=media.size, filename=media.filename or ""
        )

    async def _fetched(
        self, key: str, path: Path, thumbnail: bool, force: bool, progress: Progress | None, lock: Lock | None
    ) -> MediaLink:
        download = Download(self._parts.api, key, thumbnail=thumbnail, progress=progress, lock=lock)
        return await download.to(path, force=force)


def _picture(media: Media, path: Path, force: bool) -> MediaLink:
    """Write the small picture that came in an encrypted message."""
    if not media.picture:
        raise ServerError(ErrorCode.NOT_FOUND, "this file has no thumbnail")
    content = base64url.decode(media.picture)
    write_file(path, content, force=force)
    digest = hashlib.sha256(content).hexdigest()
    return MediaLink(media.media_key, "", 0, "image/jpeg", len(content), digest, "", encrypted=True)
