"""The lines around a chat."""

from cooee.cli.tui import heading
from cooee.cli.tui.book import Book
from cooee.cli.tui.palette import Line
from cooee.client import ConnectionState, Presence, Typing
from cooee.domain.receipt import Watermark
from tests.unit.cli.tui.cases import DIRECT, GROUP, NOW, ms, pending, updated


def said(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def online() -> Book:
    """Return Alice's book while she is online."""
    book = Book("alice")
    book.take(ConnectionState("online"))
    return book


def test_a_name_that_was_chosen_has_the_userid_beside_it() -> None:
    book = online()
    book.take(updated(title="Alice's bank"))
    assert said(heading.chat_line(book, DIRECT)) == "Alice's bank  @bob"
    assert said(heading.chat_line(book, "dm:alice:carol")) == "carol"
    assert said(heading.chat_line(book, "dm:alice:alice")) == "Notes to self"
    book.bots.add("bob")
    assert said(heading.chat_line(book, DIRECT)) == "Alice's bank  @bob  bot"


def test_who_is_there_types_or_was_there() -> None:
    book = online()
    assert heading.chat_state(book, DIRECT, NOW) == ()
    book.take(Presence("bob", "offline", ms(NOW) - 7_200_000))
    assert said(heading.chat_state(book, DIRECT, NOW)) == "last seen today at 10:00"
    book.take(Presence("bob", "online"))
    assert said(heading.chat_state(book, DIRECT, NOW)) == "● online"
    book.take(Typing(DIRECT, "bob", "started"))
    assert said(heading.chat_state(book, DIRECT, NOW)) == "typing…"


def test_a_group_says_how_many_it_is() -> None:
    book = online()
    assert said(heading.chat_state(book, GROUP, NOW)) == "group"
    book.take(updated(GROUP, members={"alice": Watermark(), "bob": Watermark()}))
    assert said(heading.chat_state(book, GROUP, NOW)) == "2 members"
    book.take(updated(GROUP, left=True))
    assert "no longer" in said(heading.chat_state(book, GROUP, NOW))


def test_the_last_line_tells_of_the_connection_before_anything_else() -> None:
    book = online()
    assert "F1 help" in said(heading.status_line(book, chat=False, ended=False))
    assert "details" in said(heading.status_line(book, chat=True, ended=False))
    book.wait(pending("c1"))
    assert said(heading.status_line(book, chat=True, ended=False)).startswith("Sending 1 message · ")
    book.take(ConnectionState("waiting", "", 1_000))
    assert said(heading.status_line(book, chat=True, ended=False)).startswith("Offline (queued: 1)")
    assert heading.status_line(book, chat=True, ended=True)[0].ink == "danger"


def test_the_list_says_what_to_do_when_it_is_empty() -> None:
    book = Book("alice")
    assert heading.empty_list(book, archived=False) == "Loading…"
    book.load([], [])
    assert "Ctrl-N" in heading.empty_list(book, archived=False)
    assert heading.empty_list(book, archived=True) == "Nothing is archived."
    assert heading.archive_line(book, archived=False) == ()
    book.take(updated(archived=True, unread=2))
    assert said(heading.archive_line(book, archived=False)) == "1 archived · Z"
    name, unread = heading.me_line(book, NOW)
    assert (said(name), unread) == ("alice", ())
    book.take(updated(unread=2))
    assert said(heading.me_line(book, NOW)[1]) == "2 unread"
    assert heading.more_text(0) == "↓ newest · End"
    assert heading.more_text(1) == "↓ 1 new message · End"
