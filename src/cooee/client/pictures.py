"""The small picture that goes along in an encrypted message, since the server cannot look at the file. Blocks.

The file is one's own, and yet bounded: what takes too much to decode, or cannot be decoded, has no small picture.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import blurhash
from PIL import Image, ImageOps

from cooee.domain import base64url

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")
"""What is decoded; nothing else that Pillow can read is tried."""
MAX_PIXELS = 100_000_000
"""Larger pictures are not decoded."""
MAX_BYTES = 8 * 1024
"""Most bytes of the small picture."""
_TRIES = ((256, 70), (192, 60), (128, 55), (96, 45), (48, 40))
"""Longest side in pixels, and quality."""
_BLUR_PIXELS = 32


class Picture(NamedTuple):
    """What a picture looks like: size in pixels, a JPEG in base64url (empty: none was small enough), a blurhash."""

    width: int
    height: int
    thumbnail: str
    blurhash: str


def look_at(path: Path) -> Picture | None:
    """Return how the picture in ``path`` looks; None when it cannot be told."""
    try:
        with Image.open(path, formats=list(FORMATS)) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            return _seen(image)
    except Exception:  # noqa: BLE001  # decoders fail in any way, and each means the same: no small picture
        return None


def _seen(image: Image.Image) -> Picture:
    width, height = image.size
    lying = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
    image.draft("RGB", (_TRIES[0][0] * 2, _TRIES[0][0] * 2))
    upright = ImageOps.exif_transpose(image)
    plain = _on_white(upright)
    plain.thumbnail((_TRIES[0][0], _TRIES[0][0]))
    if lying:
        width, height = height, width
    return Picture(width, height, _jpeg(plain), _blurhash(plain))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        seen = image.convert("RGBA")
        ground = Image.new("RGBA", seen.size, "white")
        ground.alpha_composite(seen)
        image = ground
    return image.convert("RGB")


def _jpeg(small: Image.Image) -> str:
    """Return the largest and best JPEG of it that is small enough; nothing in it but its pixels."""
    for side, quality in _TRIES:
        copy = small.copy()
        copy.thumbnail((side, side))
        copy.info = {}
        written = BytesIO()
        copy.save(written, "JPEG", quality=quality, optimize=True)
        if written.tell() <= MAX_BYTES:
            return base64url.encode(written.getvalue())
    return ""


def _blurhash(small: Image.Image) -> str:
    tiny = small.copy()
    tiny.thumbnail((_BLUR_PIXELS, _BLUR_PIXELS))
    width, height = tiny.size
    pixels = cast("Any", tiny.load())
    rows = [[pixels[x, y] for x in range(width)] for y in range(height)]
    across, down = (4, 3) if width >= height else (3, 4)
    return str(blurhash.encode(rows, across, down))
