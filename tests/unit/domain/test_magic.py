"""What content is by its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.magic import agrees, types_of
from cooee.domain.media import AUDIO, IMAGES, INLINE, VIDEOS

HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
FTYP = b"\0\0\0\x20ftyp"
HEADS = {
    b"\xff\xd8\xff\xe0": {"image/jpeg"},
    b"\x89PNG\r\n\x1a\n": {"image/png"},
    b"GIF89a": {"image/gif"},
    b"RIFF\0\0\0\0WEBPVP8 ": {"image/webp"},
    b"RIFF\0\0\0\0WAVEfmt ": {"audio/wav"},
    b"RIFF\0\0\0\0AVI LIST": set(),
    b"BM\x10\0\0\0\0\0\0\0": {"image/bmp"},
    FTYP + b"avif": {"image/avif"},
    FTYP + b"heic": {"image/heic"},
    FTYP + b"mif1\0\0\0\0mif1avif": {"image/avif", "image/heif"},
    FTYP + b"isom": {"video/mp4", "audio/mp4"},
    FTYP + b"qt  ": {"video/quicktime"},
    FTYP + b"M4A ": {"audio/mp4", "audio/x-m4a"},
    b"\x1a\x45\xdf\xa3": {"video/webm", "audio/webm"},
    b"OggS": {"audio/ogg"},
    b"ID3\x04": {"audio/mpeg"},
    b"\xff\xfb\x90\x64": {"audio/mpeg"},
    b"\xff\xf1\x50\x80": {"audio/aac"},
    b"fLaC": {"audio/flac"},
    b"%PDF-1.7": {"application/pdf"},
    b"PK\x03\x04": {"application/zip"},
    HTML: set(),
    SVG: set(),
    b"": set(),
    b"\xff": set(),
    b"\xff\xff": set(),
    b"\xff\xfe<\0h\0": set(),
    b"\xff\xfb\xff\xff": set(),
    b"MZ\x90\0": set(),
}


@pytest.mark.parametrize(
    ("head", "types"), HEADS.items(), ids=lambda value: repr(value)[:24] if isinstance(value, bytes) else ""
)
def test_signatures_are_told_apart(head: bytes, types: set[str]) -> None:
    found = types_of(head)
    assert types <= found
    assert bool(types) == bool(found)
    assert all(agrees(declared, head) for declared in types)


@pytest.mark.parametrize("declared", sorted(INLINE))
@pytest.mark.parametrize("head", [HTML, SVG, b"", b"MZ\x90\0", b"PK\x03\x04", b"%PDF-1.7"], ids=repr)
def test_what_is_shown_in_place_is_never_believed(declared: str, head: bytes) -> None:
    assert not agrees(declared, head)


def test_a_picture_of_one_type_is_none_of_another() -> None:
    for declared in IMAGES:
        for head, types in HEADS.items():
            assert agrees(declared, head) == (declared in types_of(head)), (declared, head, types)


def test_office_files_are_archives_and_a_pdf_is_a_pdf() -> None:
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert agrees(office, b"PK\x03\x04")
    assert agrees("application/epub+zip", b"PK\x03\x04")
    assert not agrees(office, HTML)
    assert not agrees("application/pdf", HTML)
    assert not agrees("application/zip", HTML)


def test_text_has_no_nul_and_what_has_no_signature_may_be_anything() -> None:
    assert agrees("text/html", HTML)
    assert agrees("image/svg+xml", SVG)
    assert agrees("text/plain", b"\xff\xfeh\0i\0")
    assert not agrees("text/plain", b"MZ\x90\0")
    assert not agrees("image/svg+xml", b"\0")
    assert agrees("application/octet-stream", HTML)
    assert agrees("application/x-tar", b"\0\0")


@given(st.binary(max_size=64), st.sampled_from(sorted(VIDEOS | AUDIO | IMAGES | {"text/plain", "application/pdf"})))
def test_no_bytes_are_too_strange(head: bytes, declared: str) -> None:
    assert agrees(declared, head) in {True, False}
