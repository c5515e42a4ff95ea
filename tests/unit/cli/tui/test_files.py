"""Which files are opened, and how one is named in the writing line."""

from pathlib import Path

import pytest

from cooee.cli.tui.files import asked_file, completed, may_be_shown
from cooee.client import Media

PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)


@pytest.mark.parametrize(
    ("name", "declared", "content", "shown"),
    [
        ("cat.png", "image/png", PNG, True),
        ("notes.txt", "text/plain", b"tea", True),
        ("plan.pdf", "application/pdf", b"%PDF-1.7", True),
        ("cat.png", "image/png", b"MZ not a picture", False),
        ("cat.desktop", "image/png", PNG, False),
        ("cat.exe", "image/png", PNG, False),
        ("notes.txt", "text/plain", b"#!/bin/sh\n", False),
        ("page.html", "text/html", b"<script>", False),
        ("page.txt", "text/html", b"<script>", False),
        ("drawing.svg", "image/svg+xml", b"<svg/>", False),
        ("run.sh", "text/plain", b"echo", False),
        ("run.py", "text/plain", b"print()", False),
        ("app.jar", "application/java-archive", b"PK\x03\x04", False),
        ("macro.docm", "application/vnd.ms-word.document.macroenabled.12", b"PK\x03\x04", False),
        ("nothing", "application/octet-stream", b"\x7fELF", False),
    ],
)
def test_only_what_shows_something_is_opened(
    tmp_path: Path, name: str, declared: str, content: bytes, *, shown: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert may_be_shown(Media("k" * 32, declared, len(content), name), path) is shown


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/file ~/cat.png", ("~/cat.png", "")),
        ("/file  '/tmp/my cat.png' \n the cat \n", ("/tmp/my cat.png", "the cat")),
        ("/file", ("", "")),
        ("/files are here", None),
        ("look: /file x", None),
        ("hello", None),
    ],
)
def test_a_file_is_named_in_the_first_line(text: str, asked: tuple[str, str] | None) -> None:
    assert asked_file(text) == asked


def test_paths_are_completed_as_they_were_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "a\x1bb").touch()
    assert completed("~/pic") == "~/pictures/"
    assert completed("~/pictures/") == "~/pictures/cat.png"
    assert completed(f"{tmp_path}/") == f"{tmp_path}/pictures/"
    assert completed(f"{tmp_path}/.h") == f"{tmp_path}/.hidden"
    assert completed("~/nothing") is None
    assert completed("~nobody-here/x") is None
