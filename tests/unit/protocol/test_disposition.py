"""Names of downloads in their header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.protocol.disposition import MAX_BYTES, content_disposition, safe_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "attachment"),
        ("cat.jpg", 'attachment; filename="cat.jpg"'),
        ("my cat.jpg", 'attachment; filename="my cat.jpg"'),
        ("Käse.txt", "attachment; filename=\"K_se.txt\"; filename*=UTF-8''K%C3%A4se.txt"),
        ('a".html', "attachment; filename=\"a_.html\"; filename*=UTF-8''a%22.html"),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ("C:\\x.exe", "attachment; filename=\"C__x.exe\"; filename*=UTF-8''C%3A_x.exe"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        (".bashrc", 'attachment; filename="bashrc"'),
        ("...", "attachment"),
        ("a\r\nx: y", "attachment; filename=\"a__x_ y\"; filename*=UTF-8''a__x%3A%20y"),
        ("\u202egnp.exe", 'attachment; filename="_gnp.exe"'),
        ("\ud800", "attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_a_name_is_cleaned_and_quoted(name: str, expected: str) -> None:
    assert content_disposition(name, inline=False) == expected


def test_what_may_be_shown_in_place_says_so() -> None:
    assert content_disposition("cat.jpg", inline=True) == 'inline; filename="cat.jpg"'
    assert content_disposition("", inline=True) == "inline"


@given(st.text(max_size=400), st.booleans())
def test_nothing_gets_out(name: str, inline: bool) -> None:
    value = content_disposition(name, inline=inline)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') in {0, 2}
    assert "\\" not in value
    assert len(safe_name(name).encode()) <= MAX_BYTES
    assert safe_name(safe_name(name)) == safe_name(name)
