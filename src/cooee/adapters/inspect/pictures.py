"""Images by Pillow: size, thumbnail, blurhash. One format is tried, the one that the first bytes name."""

from pathlib import Path
from typing import Any, cast

import blurhash
import msgspec
from PIL import AvifImagePlugin, Image, WebPImagePlugin

from cooee.adapters.inspect.exchange import SUFFIX, Answer, Order, Refused
from cooee.ports.media_inspector import Unseen

FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
}
"""What is looked at, and Pillow's name of it; nothing else that Pillow can read is tried."""
BYTES_PER_PIXEL = 4
_BLUR_PIXELS = 32
_QUALITY = 78
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = frozenset({5, 6, 7, 8})

Image.MAX_IMAGE_PIXELS = None  # bounded here by what decoding takes, and by the process's memory
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
_ = WebPImagePlugin  # imported to be known


def look_at_picture(order: Order, content_type: str) -> Answer:
    """Measure the image and write its thumbnail. Of an animation the first frame is looked at, and nothing else read.

    Of one that takes more memory than is allowed only the size is told.

    Raises:
        Refused: it cannot be decoded.
        MemoryError: not even its size could be told.
    """
    try:
        with Image.open(order.path, formats=[FORMATS[content_type]]) as image:
            return _seen(image, content_type, order)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # decoders fail in any way, and each means the same
        raise Refused(Unseen.BROKEN) from None


def finish(small: Image.Image, found: Answer, order: Order) -> Answer:
    """Write the thumbnail, nothing in it but its pixels, and add it and the blurhash to what was found."""
    small.info = {}
    small.save(Path(order.path + SUFFIX), "WEBP", quality=_QUALITY, method=4, exif=b"", icc_profile=None, xmp=b"")
    return msgspec.structs.replace(found, blurhash=_blurhash(small), thumbnail=True)


def _seen(image: Image.Image, content_type: str, order: Order) -> Answer:
    width, height = image.size
    try:
        small = _reduced(image, order)
    except MemoryError:
        return Answer(content_type, width, height, unseen=Unseen.SIZE)
    turn = _orientation(image)  # not before: to ask for it can mean to decode
    if turn in _LYING:
        width, height = height, width
    small = small.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else small
    return finish(small, Answer(content_type, width, height), order)


def _reduced(image: Image.Image, order: Order) -> Image.Image:
    """Decode the image no larger than needed: a JPEG is reduced while it is decoded."""
    image.draft(None, (order.pixels, order.pixels))
    width, height = image.size
    if width * height * BYTES_PER_PIXEL > order.memory_bytes:
        raise MemoryError
    image.load()
    plain = _plain(image)
    plain.thumbnail((order.pixels, order.pixels), reducing_gap=2.0)
    return plain.copy()


def _plain(image: Image.Image) -> Image.Image:
    """Return it in RGB, or RGBA where something is transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    sees_through = image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info
    wanted = "RGBA" if sees_through else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # broken metadata: it stays as it is
        return 1


def _blurhash(small: Image.Image) -> str:
    tiny = small.copy()
    tiny.thumbnail((_BLUR_PIXELS, _BLUR_PIXELS))
    if tiny.mode == "RGBA":
        ground = Image.new("RGBA", tiny.size, "white")
        ground.alpha_composite(tiny)
        tiny = ground
    tiny = tiny.convert("RGB")
    width, height = tiny.size
    pixels = cast("Any", tiny.load())
    rows = [[pixels[x, y] for x in range(width)] for y in range(height)]
    across, down = (4, 3) if width >= height else (3, 4)
    return str(blurhash.encode(rows, across, down))
