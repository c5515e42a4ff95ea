"""Files that were made to hurt whoever opens them, and plain ones; made when they are needed."""

import io
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

SCRIPT = b"<script>alert(document.domain)</script>"


def picture(form: str, size: tuple[int, int] = (600, 400), **options: Any) -> bytes:
    """Return an image whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def film(path: Path, *output: str, seconds: float = 3) -> None:
    """Write a video with sound, or what ``output`` makes of it."""
    source = f"testsrc=size=640x360:rate=10:duration={seconds}"
    _ffmpeg(path, ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", f"sine=440:duration={seconds}", *output])


def sound(path: Path, *output: str, seconds: float = 3, source: str = "sine=440") -> None:
    """Write a sound."""
    _ffmpeg(path, ["-f", "lavfi", "-i", f"{source}:duration={seconds}", *output])


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, colour: int = 2) -> bytes:
    """Return a PNG of black; a few kilobytes, however large it is."""
    row = b"\0" * (1 + width * (3 if colour == 2 else 1))
    squeeze = zlib.compressobj(1)
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def huge_jpeg(side: int, *, progressive: bool) -> bytes:
    """Return a small JPEG that says it is huge."""
    small = picture("JPEG", (64, 64), progressive=progressive)
    marker = b"\xff\xc2" if progressive else b"\xff\xc0"
    at = small.index(marker) + 5
    return small[:at] + struct.pack(">HH", side, side) + small[at + 4 :]


def gif(frames: int, *, side: int = 16) -> bytes:
    """Return an animation with a script in a comment, all of whose frames are one."""
    plain = picture("GIF", (side, side))
    start = plain.index(b"\x2c")
    comment = b"\x21\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0"
    return plain[:start] + comment + plain[start:-1] * frames + b"\x3b"


def exif_bomb() -> bytes:
    """Return a JPEG with 4,000 entries of metadata, each said to be huge, in a directory that follows itself."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 0x0FFF_FFFF, 8) for tag in range(0x9000, 0x9000 + 4000))
    directory = struct.pack("<H", 4000) + entries + struct.pack("<I", 8)
    return picture("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + directory)


def zipped() -> bytes:
    """Return what a word processor might have written."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("word/document.xml", b"\0" * 5_000_000)
    return file.getvalue()


def playlist(url: str) -> bytes:
    """Return an HLS playlist that wants a file of this machine and an address."""
    return (
        f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\nconcat:{url}|file:///etc/hostname\n#EXT-X-ENDLIST\n".encode()
    )


def refer(mp4: bytes, url: bytes) -> bytes:
    """Return the film without its samples, which are said to lie at ``url`` (ISO/IEC 14496-12, ``dref``)."""
    away = struct.pack(">I4sI", 12 + len(url) + 1, b"url ", 0) + url + b"\0"
    return _rewritten(mp4, away)


def _rewritten(boxes: bytes, away: bytes) -> bytes:
    found, at = b"", 0
    while at < len(boxes):
        length, kind = struct.unpack_from(">I4s", boxes, at)
        content = boxes[at + 8 : at + length]
        if kind in {b"moov", b"trak", b"mdia", b"minf", b"dinf"}:
            content = _rewritten(content, away)
        elif kind == b"mdat":
            content = bytes(len(content))
        elif kind == b"dref":
            content = content[:8] + away
        found += struct.pack(">I4s", len(content) + 8, kind) + content
        at += length
    return found


def _ffmpeg(path: Path, arguments: list[str]) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, str(path)], check=True)
