"""A file that is to be sent: what is known of it before it is uploaded, and what it is by its content."""

import hashlib
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from cooee.client.errors import SendFailed
from cooee.client.model import Pending
from cooee.domain.magic import HEAD_BYTES, agrees, types_of
from cooee.domain.media import MAX_FILENAME, OCTETS, goes_with, is_filename, is_mime_type
from cooee.protocol.body import EncryptedFile, MediaBody
from cooee.protocol.disposition import safe_name
from cooee.protocol.media import RequestUpload, Upload

FileKind = Literal["image", "video", "audio", "document"]
"""The contentType of a message with a file."""
Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are there; called in the event loop, often."""

PIECE = 256 * 1024
_KINDS: tuple[FileKind, ...] = ("image", "video", "audio")
_USUAL = ("video/mp4", "audio/ogg", "video/webm", "audio/mpeg", "image/heic", "image/avif", "audio/wav")
"""What is meant where the first bytes leave several types open, and the name says nothing."""


class FileStamp(NamedTuple):
    """What tells whether a file is still the same, without reading it."""

    size: int
    mtime_ns: int


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose file is not uploaded yet; kept in the local store from its hash on until it is.

    ``content`` is that of the message to be, without its ``mediaKey``. ``spooled``: the file is a copy in the store's
    folder, and goes when it is uploaded. ``upload`` is the grant that was used last; its ``parts_done`` are there.
    ``encrypted``: the file is an encrypted copy; its key and digest stand in ``content``. ``expires_in``: ms, 0 never.
    """

    client_message_id: str
    conversation_id: str
    created_at: int
    path: str
    size: int
    mtime_ns: int
    sha256: str
    content_type: FileKind
    content: dict[str, Any]
    spooled: bool = False
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    preview: str = ""
    media_key: str = ""
    upload: Upload | None = None
    parts_done: tuple[int, ...] = ()
    encrypted: bool = False
    expires_in: int = 0
    reply_reference: str = ""

    def __repr__(self) -> str:
        return f"FileEntry({self.client_message_id} to {self.conversation_id}, {self.size} bytes)"

    @property
    def name(self) -> str:
        """What the file is called."""
        return str(self.content.get("filename") or "")

    @property
    def stamp(self) -> FileStamp:
        """What the file was when it was read."""
        return FileStamp(self.size, self.mtime_ns)

    def wanted(self) -> RequestUpload:
        """Return what to ask the server for."""
        if self.encrypted:
            return RequestUpload(OCTETS, self.size, self.sha256, encrypted=True, media_key=self.media_key)
        return RequestUpload(
            self.content["mimeType"], self.size, self.sha256, filename=self.name, media_key=self.media_key
        )

    def message(self, device_id: str) -> Pending:
        """Return the message, as it goes into the outbox of ``device_id``."""
        content = self.content | ({"mediaKey": self.media_key} if self.media_key else {})
        return Pending(
            self.client_message_id,
            self.conversation_id,
            device_id,
            self.created_at,
            self.content_type,
            content,
            reply_to=self.reply_to,
            mentions=self.mentions,
            silent=self.silent,
            preview=self.preview,
            reply_reference=self.reply_reference,
            media_keys=(self.media_key,) if self.encrypted and self.media_key else (),
        )

    def body(self) -> MediaBody:
        """Return the body of the message of an encrypted file that is uploaded."""
        said = dict(self.content)
        picture = said.pop("picture", None)
        said.pop("thumbnail", None)
        caption = said.pop("caption", None)
        said |= {"mediaKey": self.media_key} | ({"thumbnail": picture} if picture else {})
        return MediaBody(
            file=msgspec.convert(said, EncryptedFile),
            content_type=self.content_type,
            caption=caption,
            reply_to=self.reply_reference or None,
            mentions=self.mentions,
            expires_in=self.expires_in or None,
        )


def stamp_of(path: Path) -> FileStamp:
    """Return what a file is now.

    Raises:
        SendFailed: ``not_found`` when it cannot be read, ``bad_frame`` when it is no file or empty.
    """
    try:
        found = path.stat()
    except OSError as problem:
        raise SendFailed("not_found", f"{path} cannot be read: {problem.strerror}") from None
    if not path.is_file():
        raise SendFailed("bad_frame", f"{path} is no file; pack it first")
    if not found.st_size:
        raise SendFailed("bad_frame", f"{path} is empty")
    return FileStamp(found.st_size, found.st_mtime_ns)


def hashed(path: Path, told: Callable[[int], None]) -> tuple[str, bytes]:
    """Return the SHA-256 of a file in hexadecimal, and its first bytes. Blocks; ``told`` gets how far it is."""
    digest, head, done = hashlib.sha256(), b"", 0
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                head = head or piece[:HEAD_BYTES]
                digest.update(piece)
                done += len(piece)
                told(done)
    except OSError as problem:
        raise SendFailed("not_found", f"{path} cannot be read: {problem.strerror}") from None
    return digest.hexdigest(), head


def type_of(name: str, head: bytes) -> str:
    """Return the type of content that is called ``name`` and begins with ``head``; the content has the last word."""
    guessed, packed = mimetypes.guess_type(name)
    if guessed is not None and packed is None and is_mime_type(guessed) and agrees(guessed, head):
        return guessed
    found = types_of(head)
    return next((usual for usual in _USUAL if usual in found), min(found, default=OCTETS))


def kind_of(mime_type: str) -> FileKind:
    """Return which kind of message shows content of this type."""
    return next((kind for kind in _KINDS if goes_with(kind, mime_type)), "document")


def sent_name(name: str) -> str:
    """Return the name of a file as it may be sent: no path, no control characters, at most 255 bytes."""
    found = safe_name(os.path.basename(name))  # noqa: PTH119  # any text, of any system
    ending = Path(found).suffix
    while len(found.encode()) > MAX_FILENAME:
        found = found[: -len(ending) - 1] + ending
    return found if is_filename(found) else ""
