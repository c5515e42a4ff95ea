"""Files as text, and the names under which they may be saved."""

import pytest

from cooee.cli.files import file_text, length_text, saved_name, shortened, size_text
from cooee.client import Media


def media(filename: str | None = None, mime_type: str = "image/png", **more: int) -> Media:
    return Media("k" * 32, mime_type, 3000, filename, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (20_000, "20 KiB"),
        (1_023_999, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2**53, "8192 TiB"),
    ],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("duration", "text"), [(0, "0:00"), (4200, "0:04"), (61_000, "1:01"), (3_661_000, "1:01:01")])
def test_lengths_are_as_players_show_them(duration: int, text: str) -> None:
    assert length_text(duration) == text


def test_a_file_is_one_line() -> None:
    assert file_text(media("cat.png")) == "cat.png (2.9 KiB, image/png)"
    assert file_text(media(None, "audio/ogg", duration_ms=4200)) == "(2.9 KiB, 0:04, audio/ogg)"


@pytest.mark.parametrize(
    ("sent", "saved"),
    [
        ("cat.png", "cat.png"),
        ("Ünïcödé 猫.png", "Ünïcödé 猫.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..\\..\\boot.ini", "_.._boot.ini"),
        (".bashrc", "bashrc"),
        ("...", "image-7.png"),
        ("", "image-7.png"),
        (None, "image-7.png"),
        ("-rf", "rf"),
        ("- .hidden", "hidden"),
        ("a\x1b[2Jb\nc\x00", "a_[2Jb_c_"),
        ("harmless\u202egnp.exe", "harmless_gnp.exe"),
        ("c:\\con", "c__con"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ('a<b>c:"d|e?f*', "a_b_c__d_e_f_"),
        ("\udce9.png", "_.png"),
    ],
)
def test_no_sender_chooses_where_a_file_goes(sent: str | None, saved: str) -> None:
    assert saved_name(media(sent), "image-7") == saved


def test_names_are_cut_before_their_ending() -> None:
    name = saved_name(media("x" * 300 + ".png"), "image-7")
    assert len(name.encode()) <= 200
    assert shortened("cat.png", " (2)") == "cat (2).png"
    assert shortened("é" * 120 + ".tar.gz", " (10)").endswith(" (10).gz")
    assert len(shortened("é" * 120, " (10)").encode()) <= 200
    assert shortened("README", " (2)") == "README (2)"
