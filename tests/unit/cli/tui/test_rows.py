"""Rows of the list: what they tell, and that they fit."""

import pytest

from cooee.cli.tui import rows
from cooee.cli.tui.book import Book
from cooee.cli.tui.palette import Line
from cooee.cli.tui.text import cells
from cooee.client import Presence, TickChanged, Typing
from cooee.client.events import ConnectionState
from tests.unit.cli.tui.cases import DIRECT, GROUP, NOW, message, pending, system, updated


def said(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def preview(book: Book, chat: str = DIRECT) -> str:
    """Return what a row says below the name."""
    return said(rows.row_of(book, chat, NOW).preview)


def test_the_last_message_with_its_ticks_or_its_sender() -> None:
    book = Book("alice")
    book.take(updated(last=message(4, "hello\nthere")))
    assert preview(book) == "hello there"
    book.take(updated(last=message(5, "mine", "alice"), delivered_through=4))
    assert preview(book) == "✓ mine"
    book.take(updated(last=message(5, "mine", "alice"), delivered_through=5))
    assert preview(book) == "✓✓ mine"
    book.take(updated(last=message(5, "mine", "alice"), read_through=5))
    assert rows.row_of(book, DIRECT, NOW).preview[0] == ("✓✓ ", "read", "page", False, False, "")
    book.take(updated(GROUP, last=message(5, "ours", chat=GROUP)))
    assert preview(book, GROUP) == "bob: ours"


def test_what_is_no_text_is_named() -> None:
    book = Book("alice")
    book.take(updated(last=message(1, content_type="deleted", content=None)))
    assert preview(book) == "This message was deleted"
    book.take(updated(last=message(1, content_type="image", content={"caption": "the lake"})))
    assert preview(book) == "[image] the lake"
    book.take(updated(GROUP, last=system(1, "group_renamed", actorId="bob", name="Choir")))
    assert preview(book, GROUP) == "bob renamed the group to Choir"
    book.take(updated(GROUP, left=True))
    assert "no longer" in preview(book, GROUP)


def test_typing_comes_before_a_draft_and_a_draft_before_messages() -> None:
    book = Book("alice", {DIRECT: "half a thought"})
    book.take(updated(last=message(1)))
    assert preview(book) == "Draft: half a thought"
    assert said(rows.row_of(book, DIRECT, NOW, opened=True).preview) == "text 1"
    book.take(Typing(DIRECT, "bob", "started"))
    assert preview(book) == "typing…"


def test_what_waits_is_shown_with_its_sign() -> None:
    book = Book("alice")
    book.take(updated(last=message(1)))
    book.wait(pending("c1", "soon"))
    assert preview(book) == "· soon"
    book.take(TickChanged(DIRECT, "failed", client_message_id="c1"))
    assert preview(book) == "✗ soon"


def test_who_types_in_a_group() -> None:
    assert rows.typing_text({"bob": None}, direct=True) == "typing…"
    assert rows.typing_text({"bob": "recording"}, direct=True) == "recording…"
    assert rows.typing_text({"dora": None, "bob": None, "carol": None}, direct=False) == "bob, carol and others typing…"


@pytest.mark.parametrize("width", [12, 24, 34, 60])
@pytest.mark.parametrize("name", ["B", "Bob Brandt", "名前" * 60, "x" * 5_000, "👨\u200d👩\u200d👧" * 30])
def test_every_row_fits_however_long_its_names_are(width: int, name: str) -> None:
    book = Book("alice")
    book.take(ConnectionState("online"))
    book.take(Presence("bob", "online"))
    book.take(updated(title=name, last=message(1, name), unread=999, pinned=True, muted_until=-1))
    for colour in (True, False):
        lines = rows.lines(rows.row_of(book, DIRECT, NOW), width, chosen=True, focused=True, colour=colour)
        assert len(lines) == rows.HEIGHT
        assert all(cells(said(line)) <= max(width, 24) for line in lines)
        if width >= 24:
            assert [cells(said(line)) for line in lines] == [width] * rows.HEIGHT


def test_a_row_without_colour_says_the_same() -> None:
    book = Book("alice")
    book.take(updated(title="Bob", last=message(1), unread=2))
    row = rows.row_of(book, DIRECT, NOW)
    assert "(2)" in said(rows.lines(row, 34, chosen=False, focused=False, colour=False)[1])
    assert " 2 " in said(rows.lines(row, 34, chosen=False, focused=False)[1])
