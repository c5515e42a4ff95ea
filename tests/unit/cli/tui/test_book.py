"""The book follows events, and orders the conversations."""

from cooee.cli.tui.book import Book, blank, connection_line, is_muted
from cooee.client import ConnectionState, Presence, TickChanged, Typing
from tests.unit.cli.tui.cases import DIRECT, GROUP, NOW, ms, pending, updated, view


def test_pinned_first_then_by_last_activity_and_the_archive_apart() -> None:
    book = Book("alice")
    for number, name in enumerate(("bob", "carol", "dora", "emil")):
        book.take(updated(f"dm:alice:{name}", last_activity=number, pinned=name == "bob", archived=name == "dora"))
    assert book.listed() == ["dm:alice:bob", "dm:alice:emil", "dm:alice:carol"]
    assert book.listed(archived=True) == ["dm:alice:dora"]
    assert book.archived == 1
    book.take(updated("dm:alice:carol", last_activity=9))
    assert book.listed() == ["dm:alice:bob", "dm:alice:carol", "dm:alice:emil"]


def test_what_is_written_moves_its_chat_up() -> None:
    book = Book("alice")
    book.load([view("dm:alice:carol", last_activity=5), view(DIRECT, last_activity=3)], [])
    book.wait(pending("c1"))
    assert book.listed() == [DIRECT, "dm:alice:carol"]
    assert book.queued == 1
    book.settle(DIRECT, "c1")
    assert book.listed() == ["dm:alice:carol", DIRECT]
    assert book.queued == 0
    book.begin("dm:alice:zoe")
    assert book.listed()[0] == "dm:alice:zoe"


def test_an_event_is_newer_than_what_was_loaded() -> None:
    book = Book("alice")
    book.take(updated(title="New", head=2))
    book.load([view(title="Old", head=1)], [])
    assert book.name(DIRECT) == "New"
    book.renew(view(title="Old", head=1))
    assert book.name(DIRECT) == "New"
    book.renew(view(title="Newer", head=2))
    assert book.name(DIRECT) == "Newer"


def test_names_are_those_that_people_know() -> None:
    book = Book("alice")
    book.take(updated(title="Bob\u202e\x1b[31m B."))
    assert book.name(DIRECT) == "Bob\\u202e\\x1b[31m B."
    assert book.name("dm:alice:carol") == "carol"
    assert book.name("dm:alice:alice") == "Notes to self"
    assert book.name("group:unknown") == "group:unknown"
    assert (book.peer("dm:aaron:alice"), book.peer(GROUP)) == ("aaron", "")


def test_a_failed_message_says_why_and_waits_no_longer() -> None:
    book = Book("alice")
    book.wait(pending("c1"))
    book.take(TickChanged(DIRECT, "failed", client_message_id="c1", code="blocked", reason="one blocks the other"))
    book.take(TickChanged(DIRECT, "failed", client_message_id="unknown"))
    [entry] = book.waiting(DIRECT)
    assert (entry.status, entry.code, entry.reason) == ("failed", "blocked", "one blocks the other")
    assert book.queued == 0


def test_typing_ends_by_itself_and_with_the_connection() -> None:
    book = Book("alice")
    book.take(Typing(DIRECT, "bob", "started"))
    assert book.typing(DIRECT) == {"bob": None}
    book.take(Typing(DIRECT, "bob", "stopped"))
    assert book.typing(DIRECT) == {}
    book.take(Typing(DIRECT, "bob", "started", "recording"))
    book.take(ConnectionState("waiting"))
    assert book.typing(DIRECT) == {}


def test_nobody_is_online_while_we_are_not() -> None:
    book = Book("alice")
    book.take(ConnectionState("online"))
    book.take(Presence("bob", "online"))
    assert book.online(DIRECT)
    assert not book.online(GROUP)
    book.take(ConnectionState("waiting"))
    assert not book.online(DIRECT)


def test_unread_counts_what_wants_to_be_seen() -> None:
    book, now = Book("alice"), ms(NOW)
    book.take(updated(DIRECT, unread=3))
    book.take(updated("dm:alice:carol", unread=4, archived=True))
    book.take(updated("dm:alice:dora", unread=5, muted_until=-1))
    book.take(updated("dm:alice:emil", unread=6, muted_until=now - 1))
    assert book.unread(now) == 9
    book.take(updated(DIRECT, unread=0))
    assert book.unread(now) == 6
    assert is_muted(view(muted_until=now + 1), now)
    assert not is_muted(blank(DIRECT), now)


def test_jumping_finds_by_name_and_user_the_best_first() -> None:
    book = Book("alice")
    book.take(updated("dm:alice:carol", title="Carol Brandt", last_activity=9))
    book.take(updated(DIRECT, title="Brandt, Bob", last_activity=3))
    book.take(updated("dm:alice:dora", title="Dora", last_activity=5, archived=True))
    assert book.found("brandt") == [DIRECT, "dm:alice:carol"]
    assert book.found("bran car") == ["dm:alice:carol"]
    assert book.found("dor") == ["dm:alice:dora"]
    assert len(book.found("")) == 3
    assert book.peers(2) == ["carol", "bob"]


def test_drafts_are_kept_until_they_are_empty() -> None:
    book = Book("alice", {DIRECT: "half", GROUP: ""})
    assert book.drafts == {DIRECT: "half"}
    book.draft(DIRECT, "  ")
    assert book.drafts == {}


def test_the_line_about_the_connection() -> None:
    assert connection_line(ConnectionState("online"), 3) == ""
    assert connection_line(ConnectionState("connecting"), 0) == "Connecting…"
    assert connection_line(ConnectionState("catching_up"), 0) == "Updating…"
    assert connection_line(ConnectionState("waiting", "", 2_400), 2).startswith("Offline (queued: 2) · next try in 2 s")
    assert "log in again" in connection_line(ConnectionState("stopped", reason="log in again"), 0)
