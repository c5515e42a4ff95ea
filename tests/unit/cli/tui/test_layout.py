"""Messages in lines: they fit, long ones are folded, and one can tell what was on the screen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.cli.tui.items import Bubble, Item, Notice
from cooee.cli.tui.layout import FOLDED_AT, Blocks, Looks, block
from cooee.cli.tui.palette import Line
from cooee.cli.tui.text import cells
from tests.unit.cli.tui.cases import NOW, ms


def looks(width: int = 60, *, named: bool = False, colour: bool = True) -> Looks:
    """Return how to lay out."""
    return Looks(width, named, colour, NOW)


def bubble(number: int, content: str = "hello", **changes: object) -> Bubble:
    """Return a message of Bob's."""
    plain = Bubble(
        str(number),
        number,
        f"c{number}",
        "bob",
        own=False,
        joined=False,
        content=content,
        plain=True,
        timestamp=ms(NOW),
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def said(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def texts(item: Item, how: Looks) -> list[str]:
    """Return the texts of an item's lines."""
    return [said(line) for line in block(item, how)]


@given(st.text(max_size=400), st.integers(20, 140), st.booleans())
def test_every_line_fits_whatever_is_written(content: str, width: int, own: bool) -> None:
    item = bubble(1, content, own=own, status="read" if own else "", quote=("bob", content[:50]))
    assert all(cells(line) <= width for line in texts(item, looks(width, named=True)))


def test_time_and_ticks_stand_in_the_free_space_of_the_last_line() -> None:
    assert texts(bubble(1), looks()) == ["", "   hello  12:00 "]
    own = bubble(1, own=True, status="delivered")
    assert texts(own, looks()) == ["", " " * 41 + " hello  12:00 ✓✓ "]
    full = "x" * 44
    assert texts(bubble(1, full), looks())[1:] == [f"   {full} ", "   " + " " * 39 + "12:00 "]


def test_ticks_turn_blue_and_say_so_where_there_is_no_colour() -> None:
    item = bubble(1, own=True, status="read")
    [tick] = [span for span in block(item, looks())[-1] if "✓" in span.text]
    assert (tick.text, tick.ink) == (" ✓✓", "read")
    assert "✓✓ read" in texts(item, looks(colour=False))[-1]


def test_a_sender_is_named_once_and_only_in_groups() -> None:
    assert "bob" in texts(bubble(1), looks(named=True))[1]
    assert "bob" not in "".join(texts(bubble(1), looks()))
    assert "bob" not in "".join(texts(bubble(1, joined=True), looks(named=True)))
    assert "bob" not in "".join(texts(bubble(1, own=True), looks(named=True)))


def test_a_wall_of_text_is_folded() -> None:
    lines = block(bubble(7, "x" * 10_000), looks())
    assert len(lines) == 1 + FOLDED_AT + 1
    assert "10,000 characters; Enter shows all" in said(lines[-1])
    assert "open:7" in {span.act for span in lines[-1]}


def test_a_failed_message_says_why_and_can_be_sent_again() -> None:
    item = bubble(0, own=True, status="failed", reason="one of you\nblocks \x1b[31mthe other", client_message_id="c9")
    lines = block(item, looks())
    assert said(lines[-2]).strip() == "Not sent: one of you blocks \\x1b[31mthe other"
    assert {span.act for span in lines[-1]} == {"", "retry:c9", "discard:c9"}


@pytest.mark.parametrize("kind", ["day", "unread", "event"])
def test_notices_are_centred(kind: str) -> None:
    lines = texts(Notice("n", kind, "Today"), looks())
    left, right = lines[1].split("Today") if kind != "event" else (lines[1].removesuffix("Today"), "")
    assert abs(len(left) - (len(right) if right else len(left))) <= 1


def laid_out(count: int, content: str = "hello") -> Blocks:
    """Return the blocks of some messages, two lines each."""
    blocks = Blocks()
    blocks.lay_out([bubble(number, content) for number in range(1, count + 1)], looks())
    return blocks


def test_a_new_message_costs_one_bubble() -> None:
    blocks = laid_out(3)
    before = [blocks.line(number) for number in range(blocks.height)]
    blocks.lay_out([*blocks.items, bubble(4)], looks())
    assert all(blocks.line(number) is before[number] for number in range(len(before)))
    assert blocks.height == 8
    blocks.lay_out(blocks.items, looks(40))
    assert blocks.line(1) is not before[1]


def test_lines_and_items_are_found() -> None:
    blocks = laid_out(3)
    assert [blocks.at(line) for line in (-1, 0, 1, 2, 5, 6)] == [None, 0, 0, 1, 2, None]
    assert (blocks.find("2"), blocks.find("9")) == (1, None)
    assert blocks.line(99) == ()


@pytest.mark.parametrize(
    ("top", "height", "number"), [(0, 6, 3), (0, 5, 2), (0, 4, 2), (2, 2, 2), (1, 1, 1), (1, 2, 1), (0, 0, 0)]
)
def test_only_what_was_seen_to_its_end_is_seen(top: int, height: int, number: int) -> None:
    assert laid_out(3).seen(top, height) == number


def test_a_message_taller_than_the_screen_is_seen_while_it_fills_it() -> None:
    blocks = laid_out(1, "x" * 10_000)
    assert blocks.seen(0, 10) == 1
    assert blocks.seen(10, 10) == 1
    blocks.lay_out([bubble(1), bubble(0, key="c9", own=True)], looks())
    assert blocks.seen(0, 99) == 1


def test_a_file_is_one_line_that_a_click_opens_and_its_caption_below() -> None:
    item = bubble(3, "the cat", file="[image] cat.png (2.9 KiB, image/png)")
    lines = block(item, looks())
    assert next(text for text in texts(item, looks()) if "cat" in text).strip().startswith("[image] cat.png")
    assert [span.act for line in lines for span in line if span.act] == ["file:3"]
    assert any("the cat" in text for text in texts(item, looks()))
    alone = bubble(4, "", file="[audio] (9.0 KiB, 0:04, audio/ogg)")
    assert sum("ogg" in text for text in texts(alone, looks())) == 1
