"""The small picture that goes along in a message."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from cooee.client import pictures
from cooee.client.pictures import MAX_BYTES, look_at
from cooee.domain import base64url


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), os.urandom(3 * width * height))


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp"])
def test_a_picture_is_made_small_whatever_it_is(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    noise(700, 400).save(path)
    found = look_at(path)
    assert found is not None
    assert (found.width, found.height) == (700, 400)
    octets = base64url.decode(found.thumbnail)
    assert len(octets) <= MAX_BYTES
    with Image.open(io.BytesIO(octets)) as small:
        assert small.format == "JPEG"
        assert max(small.size) <= 256
    assert len(found.blurhash) >= 6


def test_it_stands_upright_and_says_nothing_of_where_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera of mine"
    noise(300, 200).save(tmp_path / "x.jpg", exif=exif)
    found = look_at(tmp_path / "x.jpg")
    assert found is not None
    assert (found.width, found.height) == (200, 300)
    octets = base64url.decode(found.thumbnail)
    assert b"camera" not in octets
    with Image.open(io.BytesIO(octets)) as small:
        assert small.height > small.width
        assert not small.getexif()


def test_what_sees_through_stands_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "x.png")
    found = look_at(tmp_path / "x.png")
    assert found is not None
    with Image.open(io.BytesIO(base64url.decode(found.thumbnail))) as small:
        assert small.getpixel((32, 32)) == (255, 255, 255)


def test_what_cannot_be_looked_at_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    assert look_at(tmp_path / "x.png") is None
    assert look_at(tmp_path / "none") is None
    noise(20, 20).save(tmp_path / "y.tiff")
    assert look_at(tmp_path / "y.tiff") is None, "only common formats are tried"
    noise(20, 20).save(tmp_path / "z.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 399)
    assert look_at(tmp_path / "z.png") is None
