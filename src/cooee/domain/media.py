"""Media: which types go with which messages, what may be shown in place, and how long a download is good for."""

import re

from cooee.domain.errors import CooeeError, ErrorCode

LEAST_COUNTED = 4096
"""Bytes that an object counts at least: what it costs to keep even an empty one."""
SEND_HOLD_MS = 10 * 60 * 1000
"""How long an object is kept for a message that is on its way; and after one was sent, for others on theirs."""
MAX_FILENAME = 255
"""Bytes of UTF-8 in the name of a file."""
OCTETS = "application/octet-stream"
"""What is said of content of which nothing is known, or nothing may be."""

_KEY = re.compile(r"[A-Za-z0-9_-]{22,64}")
_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")

IMAGES = frozenset(
    {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/heic", "image/heif"}
)
VIDEOS = frozenset({"video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska", "video/3gpp"})
AUDIO = frozenset(
    {
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
        "audio/ogg",
        "audio/webm",
        "audio/wav",
        "audio/x-wav",
        "audio/flac",
        "audio/x-m4a",
        "audio/3gpp",
    }
)
INLINE = IMAGES | VIDEOS | AUDIO
"""What a browser may show in place: types without scripts, each told by its first bytes. Never HTML, SVG or PDF."""

_ALIKE = (VIDEOS | AUDIO, frozenset({"image/heic", "image/heif", "image/avif"}))
_OF_MESSAGE: dict[str, frozenset[str]] = {"image": IMAGES, "video": VIDEOS, "audio": AUDIO}


def is_media_key(text: str) -> bool:
    """Tell whether ``text`` has the form of a mediaKey."""
    return _KEY.fullmatch(text) is not None


def is_mime_type(text: str) -> bool:
    """Tell whether ``text`` is a type and subtype in lower case, without parameters."""
    return _MIME.fullmatch(text) is not None


def is_filename(text: str) -> bool:
    """Tell whether ``text`` may name a file: 1 to 255 bytes, no path, no control characters."""
    return (
        0 < len(text.encode(errors="replace")) <= MAX_FILENAME
        and text.isprintable()
        and not {"/", "\\"}.intersection(text)
        and text not in {".", ".."}
    )


def goes_with(content_type: str, mime_type: str) -> bool:
    """Tell whether a message of ``content_type`` (image, video, audio, document) may hold an object of this type."""
    allowed = _OF_MESSAGE.get(content_type)
    return content_type == "document" if allowed is None else mime_type in allowed


def is_same_kind(declared: str, found: str) -> bool:
    """Tell whether content found to be of one type may be given out as the other, which was declared.

    Films and sounds share their containers, as do the kinds of HEIF.
    """
    return declared == found or any(declared in kind and found in kind for kind in _ALIKE)


def counted(size: int) -> int:
    """Return how many bytes of its owner's quota an object of ``size`` bytes takes."""
    return max(size, LEAST_COUNTED)


def download_expiry(now_ms: int, window_ms: int) -> int:
    """Return when a download given out now ends (ms): one to two windows ahead, the same for all within a window.

    So everybody who asks within a window gets the same URL, which a cache between can hold.
    """
    return (now_ms // window_ms + 2) * window_ms


def over_quota(used: int, allowed: int) -> CooeeError:
    """Build the refusal of an object for which its owner has no room (bytes)."""
    return CooeeError(
        ErrorCode.TOO_LARGE,
        f"your files take {used} of {allowed} bytes, and this one does not fit; delete some messages with files",
        extra={"used": used, "allowed": allowed},
    )


def larger_than(allowed: int) -> CooeeError:
    """Build the refusal of an object that is larger than any of its kind may be (bytes)."""
    message = f"a file of this kind has at most {allowed} bytes"
    return CooeeError(ErrorCode.TOO_LARGE, message, extra={"allowed": allowed})
