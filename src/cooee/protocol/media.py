"""Files in messages, on the wire (PROTOCOL.md §18): a message's content, uploads and downloads."""

from typing import Annotated, Any

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.media import goes_with, is_filename, is_media_key, is_mime_type
from cooee.protocol.frames import Number

_WAVEFORM = r"^[A-Za-z0-9_-]{1,171}$"
_BLURHASH = r"^[0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{6,128}$"
_MAX_SIDE = 1_000_000
_QUOTE = 300

Bytes = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1, description="Bytes.")]
Side = Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIDE, description="Pixels.")]
Blurhash = Annotated[str, msgspec.Meta(pattern=_BLURHASH, description="What to show until the picture is there.")]
Waveform = Annotated[str, msgspec.Meta(pattern=_WAVEFORM, description="Loudness over time, 128 bytes at most.")]


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of answers."""


class MediaContent(
    msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, forbid_unknown_fields=True, gc=False
):
    """``content`` of a message of type image, video, audio or document.

    What the sender does not know he leaves out; the server may find it out and tell it by a ``media`` frame.
    """

    media_key: str
    mime_type: str
    size: Bytes
    filename: str | None = None
    caption: str | None = None
    width: Side | None = None
    height: Side | None = None
    duration_ms: Number | None = None
    blurhash: Blurhash | None = None
    waveform: Waveform | None = None


_decode_content = msgspec.json.Decoder(MediaContent).decode


def media_content(content_type: str, content: bytes, limit: int) -> MediaContent:
    """Read the content of a message that holds an object, strictly; ``limit``: bytes of all of it.

    Raises:
        CooeeError: ``bad_frame``, or ``too_large`` when only the size is wrong.
    """
    if len(content) > limit:
        raise CooeeError(ErrorCode.TOO_LARGE, f"content must have at most {limit} bytes")
    try:
        found = _decode_content(content)
    except msgspec.ValidationError as problem:
        raise bad_frame(f"content: {problem}"[:_QUOTE]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise bad_frame("content must be valid UTF-8") from None
    if not is_media_key(found.media_key):
        raise bad_frame("content.mediaKey is malformed")
    if not is_mime_type(found.mime_type):
        raise bad_frame("content.mimeType must be a type and subtype in lower case, without parameters")
    if not goes_with(content_type, found.mime_type):
        raise bad_frame(f"this mimeType does not go with contentType {content_type}; send it as document")
    if found.filename is not None and not is_filename(found.filename):
        raise bad_frame("content.filename must be the name of a file, without a path, of at most 255 bytes")
    return found


class RequestUpload(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """``POST /v1/media/uploads``. With ``mediaKey``: a new way to upload what was asked for before."""

    content_type: str
    size: Bytes
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="In hexadecimal.")]
    encrypted: bool = False
    filename: str = ""
    media_key: str = ""


class UploadPart(_Body, frozen=True):
    """One request of an upload in parts."""

    url: str
    method: str
    headers: dict[str, str]


class UploadParts(_Body, frozen=True):
    """An upload in parts: request i takes the bytes from i * ``partSize`` on."""

    upload_id: str
    part_size: int
    requests: tuple[UploadPart, ...]


class Upload(_Body, frozen=True):
    """How to upload: by one request, or in ``parts``; or it is ``uploaded`` already.

    ``used_bytes``: what the owner's files take now, this one too, of ``quota_bytes``; None where that did not change.
    """

    media_key: str
    upload_url: str | None
    method: str | None
    headers: dict[str, str]
    expires_at: int
    parts: UploadParts | None = None
    uploaded: bool = False
    used_bytes: int | None = None
    quota_bytes: int | None = None


class CompleteUpload(msgspec.Struct, rename="camel", frozen=True):
    """``POST /v1/media/{mediaKey}/complete``: all parts are there."""

    upload_id: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class MediaLink(_Body, frozen=True):
    """``GET /v1/media/{mediaKey}?redirect=false``: where the file lies, and what is known of it."""

    media_key: str
    url: str
    expires_at: int
    content_type: str
    size: int
    sha256: str
    filename: str
    encrypted: bool = False
    thumbnail: bool = False
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: str | None = None


class ThumbnailDetails(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """A thumbnail as it lies in the store."""

    size: int
    sha256: str
    content_type: str


class MediaDetails(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    """What was found out about an object, as it is kept. ``content_type`` by content; empty: as declared."""

    content_type: str = ""
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: str | None = None
    thumbnail: ThumbnailDetails | None = None

    def seen(self) -> dict[str, Any]:
        """Return what clients are told."""
        return {
            "thumbnail": self.thumbnail is not None,
            "width": self.width,
            "height": self.height,
            "duration_ms": self.duration_ms,
            "blurhash": self.blurhash,
            "waveform": self.waveform,
        }


decode_details = msgspec.json.Decoder(MediaDetails).decode
"""Read what `MediaObject.details` holds."""
