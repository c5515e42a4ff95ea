"""base64url without padding (RFC 4648 §5), read strictly: each value of bytes has one text and no other."""

import base64
import re

_TEXT = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def encode(value: bytes) -> str:
    """Return the text of ``value``, without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of ``text``.

    Raises:
        ValueError: other characters, padding, a length that cannot be, or bits beyond the last byte that are not 0.
            The text is not told.
    """
    if _TEXT.fullmatch(text) is None or len(text) % 4 == 1:
        raise ValueError("not base64url without padding")
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(text) % 4 and encode(value[-(len(value) % 3) :]) != text[-(len(text) % 4) :]:
        raise ValueError("base64url with stray bits at the end")
    return value
