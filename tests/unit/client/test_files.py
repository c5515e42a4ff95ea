"""What a file is, by its content and its name."""

from pathlib import Path

import pytest

from cooee.client.errors import SendFailed
from cooee.client.files import hashed, kind_of, sent_name, stamp_of, type_of
from cooee.domain.media import OCTETS, is_filename
from tests.unit.client.media_server import KEY, entry_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
MP4 = b"\0\0\0\x18ftypisom" + bytes(30)


@pytest.mark.parametrize(
    ("name", "head", "mime_type", "kind"),
    [
        ("cat.png", PNG, "image/png", "image"),
        ("cat", PNG, "image/png", "image"),
        ("cat.jpg", PNG, "image/png", "image"),
        ("cat.png", b"<html>", OCTETS, "document"),
        ("film.mp4", MP4, "video/mp4", "video"),
        ("film", MP4, "video/mp4", "video"),
        ("song.ogg", b"OggS" + bytes(30), "audio/ogg", "audio"),
        ("notes.txt", b"tea", "text/plain", "document"),
        ("drawing.svg", b"<svg/>", "image/svg+xml", "document"),
        ("page.html", b"<html>", "text/html", "document"),
        ("", b"\x7fELF", OCTETS, "document"),
    ],
)
def test_the_content_has_the_last_word(name: str, head: bytes, mime_type: str, kind: str) -> None:
    assert type_of(name, head) == mime_type
    assert kind_of(mime_type) == kind


@pytest.mark.parametrize("name", ["", "..", "a/b.txt", "\x00", "x" * 400 + ".txt", "é" * 200 + ".txt", "\udce9.txt"])
def test_what_is_sent_is_the_name_of_a_file_or_nothing(name: str) -> None:
    sent = sent_name(name)
    assert sent == "" or is_filename(sent)
    assert "/" not in sent


def test_what_is_no_file_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, code in ((tmp_path / "no", "not_found"), (tmp_path, "bad_frame"), (tmp_path / "empty", "bad_frame")):
        with pytest.raises(SendFailed) as refused:
            stamp_of(path)
        assert refused.value.code == code


def test_a_file_is_hashed_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(600_000))
    told: list[int] = []
    digest, head = hashed(path, told.append)
    assert digest == entry_of(path).sha256
    assert head == bytes(4096)
    assert told[-1] == 600_000
    assert len(told) > 2


def test_a_message_names_its_file_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"tea")
    entry = entry_of(path)
    assert entry.message("d1").content == entry.content
    [media] = [entry_of(path, media_key=KEY).message("d1").media]
    assert media is not None
    assert (media.media_key, media.size, media.filename) == (KEY, 3, "x")
    assert entry_of(path, media_key=KEY).wanted().media_key == KEY
