"""Ranges of bytes, as headers name them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.gateway.http.ranges import Piece, Span, Unsatisfiable, asked_range, sent_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-9", Span(0, 10)),
        ("Bytes=5-", Span(5, 100)),
        ("bytes=-1", Span(99, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("bytes=90-1000", Span(90, 100)),
        (" bytes=0-9 ", Span(0, 10)),
        ("bytes=9-0", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("bytes=0x1-2", None),
        ("bytes=٣-٤", None),
        ("lines=0-9", None),
        ("", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_what_is_asked(header: str, expected: Span | None) -> None:
    assert asked_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_what_lies_behind_the_end(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        asked_range(header, 100)


def test_nothing_has_no_range() -> None:
    for header in ("bytes=0-", "bytes=-5"):
        with pytest.raises(Unsatisfiable):
            asked_range(header, 0)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 200))
def test_what_is_given_is_there(first: int, last: int, size: int) -> None:
    try:
        span = asked_range(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    assert span == (None if last < first else Span(first, min(last + 1, size)))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/10", Piece(Span(0, 10), 10)),
        ("bytes 5-9/10", Piece(Span(5, 10), 10)),
        ("bytes */10", Piece(None, 10)),
        ("bytes 0-10/10", None),
        ("bytes 9-5/10", None),
        ("bytes 0-9/*", None),
        ("bytes=0-9/10", None),
        ("", None),
    ],
)
def test_what_is_sent(header: str, expected: Piece | None) -> None:
    assert sent_range(header) == expected
