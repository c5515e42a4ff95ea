"""Text that may be trusted, columns, and days as people say them."""

import unicodedata
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.cli.tui import text
from tests.unit.cli.tui.cases import NOW, ms


@given(st.text())
def test_what_is_cleaned_steers_no_terminal(hostile: str) -> None:
    shown = text.clean(hostile)
    assert not any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown if character != "\n"
    )
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\u200b\ufeff")
    assert "\n" not in text.one_line(hostile)


def test_escapes_are_written_out() -> None:
    assert text.clean("a\x1b[2Jb\u202ec\td\r\ne") == "a\\x1b[2Jb\\u202ec d\ne"


def test_marks_do_not_climb_out_of_their_line() -> None:
    assert text.clean("e" + "\u0301" * 500) == "e" + "\u0301" * 4


def test_emoji_stay_whole_and_letters_cannot_hide_behind_joiners() -> None:
    family = "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 👍🏽"
    assert text.clean(family) == family
    assert text.clean("a\u200db\u200d\u200dc\u00add") == "abcd"
    assert text.clean("\u200d") == ""
    assert text.cells(text.clean("x\u200d" * 40)) == 40


@given(st.text(), st.integers(0, 40))
def test_what_is_clipped_fits(long: str, width: int) -> None:
    shown = text.one_line(long)
    assert text.cells(text.clip(shown, width)) <= width
    assert text.cells(text.fill(shown, width)) == width


@given(st.text(), st.integers(2, 40), st.integers(1, 10))
def test_wrapped_lines_fit_and_are_no_more_than_wanted(long: str, width: int, most: int) -> None:
    lines, _ = text.wrap(long, width, most)
    assert len(lines) <= most
    assert all(text.cells(line) <= width for line in lines)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=30), st.integers(4, 30))
def test_wrapping_loses_no_word(words: list[str], width: int) -> None:
    lines, whole = text.wrap(" ".join(words), width, 1_000)
    assert whole
    assert "".join(lines).replace(" ", "") == "".join(words)


def test_a_wall_of_text_costs_what_is_shown_of_it() -> None:
    lines, whole = text.wrap("x" * 1_000_000, 40, 5)
    assert lines == ["x" * 40] * 5
    assert not whole
    assert text.wrap("one\ntwo", 40, 2) == (["one", "two"], True)
    assert text.wrap("one\ntwo", 40, 1) == (["one"], False)


@pytest.mark.parametrize(
    ("days", "said", "short"),
    [
        (0, "Today", "12:00"),
        (1, "Yesterday", "Tue"),
        (6, "Thursday", "Thu"),
        (7, "Wednesday, 4 March", "4 Mar"),
        (90, "Thursday, 11 December 2025", "2025-12-11"),
        (-1, "Thursday, 12 March", "12 Mar"),
    ],
)
def test_days_are_said_as_people_say_them(days: int, said: str, short: str) -> None:
    when = NOW - timedelta(days=days)
    assert text.day(when.date(), NOW.date()) == said
    assert text.short_time(ms(when), NOW) == short


def test_times_that_no_calendar_has_do_no_harm() -> None:
    assert text.local(1 << 62, NOW).date() == date(1970, 1, 1)
    assert text.short_time(0, NOW) == ""


def test_when_somebody_was_there_last() -> None:
    assert text.last_seen(None, NOW) == ""
    assert text.last_seen(ms(NOW) - 5_000, NOW) == "last seen just now"
    assert text.last_seen(ms(NOW) - 3_600_000, NOW) == "last seen today at 11:00"
    assert text.last_seen(ms(NOW - timedelta(days=1)), NOW) == "last seen yesterday at 12:00"
    assert text.several(1, "message") == "1 message"
    assert text.several(1_200, "message") == "1,200 messages"
