"""Which types go with which messages, names of files, and when downloads end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.media import (
    INLINE,
    LEAST_COUNTED,
    counted,
    download_expiry,
    goes_with,
    is_filename,
    is_media_key,
    is_mime_type,
    larger_than,
    over_quota,
)
from cooee.domain.media_settings import MediaSettings


def test_types_go_with_their_kind_and_anything_with_a_document() -> None:
    assert goes_with("image", "image/png")
    assert not goes_with("image", "image/svg+xml")
    assert not goes_with("video", "audio/ogg")
    assert goes_with("audio", "audio/ogg")
    assert goes_with("document", "text/html")


def test_nothing_with_scripts_is_shown_in_place() -> None:
    for dangerous in ("text/html", "image/svg+xml", "application/pdf", "text/xml", "application/xhtml+xml"):
        assert dangerous not in INLINE


@pytest.mark.parametrize("name", ["cat.png", "ä b.txt", ".profile", "x" * 255, "a..b", "…"])
def test_names_of_files(name: str) -> None:
    assert is_filename(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0", "\x7f", "\u202egnp.exe", "x" * 256, "ж" * 128, "\ud800"]
)
def test_what_is_no_name_of_a_file(name: str) -> None:
    assert not is_filename(name)


@pytest.mark.parametrize(
    "text", ["IMAGE/PNG", "image", "image/", "/png", "a/b/c", "text/plain; x=y", "é/x", "", " a/b"]
)
def test_what_is_no_type(text: str) -> None:
    assert not is_mime_type(text)


def test_keys_have_their_form() -> None:
    assert is_media_key("aA0_-" * 5)
    for text in ("k" * 21, "k" * 65, "k" * 22 + ".thumb", "../" + "k" * 22, "k" * 22 + "\n"):
        assert not is_media_key(text)


def test_an_empty_file_counts_too() -> None:
    assert counted(0) == LEAST_COUNTED
    assert counted(LEAST_COUNTED + 1) == LEAST_COUNTED + 1


def test_refusals_say_how_much_there_is() -> None:
    assert over_quota(5, 10).extra == {"used": 5, "allowed": 10}
    assert "5 of 10" in over_quota(5, 10).message
    assert larger_than(10).extra == {"allowed": 10}


@given(st.integers(0, 2**45), st.integers(1, 2**40))
def test_a_download_is_good_for_one_to_two_windows(now: int, window: int) -> None:
    until = download_expiry(now, window)
    assert window < until - now <= 2 * window
    assert until % window == 0


def test_each_kind_has_its_largest_size() -> None:
    settings = MediaSettings(image_bytes=1, video_bytes=2, audio_bytes=3, document_bytes=4)
    types = ("image/png", "video/mp4", "audio/ogg", "text/plain")
    assert [settings.largest(kind) for kind in types] == [1, 2, 3, 4]
