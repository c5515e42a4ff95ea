"""What the full-screen client shows of encryption: placeholders, marks, reactions, notices, banners."""

from typing import Any

import msgspec
import pytest

from cooee.cli.trouble import failed_text, key_changed_here, trouble_text
from cooee.cli.tui.book import Book
from cooee.cli.tui.heading import chat_line, chat_state, status_line
from cooee.cli.tui.items import Bubble, Notice, Scene, items
from cooee.cli.tui.layout import Blocks, Looks
from cooee.cli.tui.rows import row_of
from cooee.cli.tui.timeline import Timeline
from cooee.client import (
    ConnectionState,
    DeviceLinked,
    EncryptionProblem,
    HistoryPage,
    KeyChanged,
    LinkNeeded,
    Message,
    MessageUpdated,
    SetupProgress,
)
from cooee.client.model import CONTENT_CONTROL
from tests.unit.cli.tui.cases import DIRECT, NOW, message, pending, updated, view


def shown(*messages: Message, encrypts: bool = True, **more: Any) -> list[Bubble | Notice]:
    timeline = Timeline(DIRECT)
    timeline.begin(HistoryPage(messages, complete=True, from_server=False), len(messages), at_end=True)
    return items(timeline, Scene("alice", view(), more.pop("waiting", ()), 0, 0, NOW, encrypts, **more))


def bubbles(told: list[Bubble | Notice]) -> list[Bubble]:
    return [item for item in told if isinstance(item, Bubble)]


WAITING = message(1, content_type="encrypted", content="c29tZQ", encrypted=True, problem="waiting")
READABLE = message(1, "at last", encrypted=True)


def test_what_waits_for_its_key_is_a_placeholder_that_fills_in() -> None:
    timeline = Timeline(DIRECT)
    timeline.begin(HistoryPage((WAITING,), complete=True, from_server=False), 1, at_end=True)
    [before] = bubbles(items(timeline, Scene("alice", view(), (), 0, 0, NOW, True)))
    assert (before.content, before.plain, before.waiting) == ("waiting for this message", False, True)
    changes = timeline.changes
    timeline.update(READABLE)
    assert timeline.changes > changes
    [after] = bubbles(items(timeline, Scene("alice", view(), (), 0, 0, NOW, True)))
    assert (after.content, after.plain, after.waiting) == ("at last", True, False)
    timeline.update(message(9, "not in the window"))
    assert timeline.last == 1


def test_nobody_has_read_what_waits_for_its_key() -> None:
    blocks = Blocks()
    blocks.lay_out(list(bubbles(shown(READABLE, message(2, encrypted=True)))), Looks(60, False, True, NOW))
    assert blocks.seen(0, 50) == 2
    late = message(2, content_type="encrypted", encrypted=True, problem="waiting")
    blocks.lay_out(list(bubbles(shown(READABLE, late))), Looks(60, False, True, NOW))
    assert blocks.seen(0, 50) == 1


def test_what_came_while_the_window_was_fetched_is_renewed_too() -> None:
    timeline = Timeline(DIRECT)
    timeline.add(WAITING)
    timeline.update(READABLE)
    timeline.begin(HistoryPage((), complete=True, from_server=False), 0, at_end=True)
    assert [one.text for one in timeline.messages] == ["at last"]


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({"encrypted": True}, ""),
        ({}, "not encrypted"),
        ({"encrypted": True, "edited": True}, "edited"),
        ({"encrypted": True, "expires_in": 3_600_000}, "disappears 1 hour after it is read"),
        ({"content_type": "deleted", "content": None}, ""),
    ],
)
def test_a_message_is_marked(fields: dict[str, Any], marks: str) -> None:
    [one] = bubbles(shown(message(1, **fields)))
    assert one.marks == marks


def test_nothing_is_marked_where_nothing_is_encrypted() -> None:
    [one] = bubbles(shown(message(1), encrypts=False))
    assert one.marks == ""


def test_marks_and_reactions_are_laid_out() -> None:
    blocks = Blocks()
    told = bubbles(shown(message(1, "short", encrypted=True, edited=True, reactions={"bob": "👍", "carol": "👍"})))
    blocks.lay_out(list(told), Looks(60, False, True, NOW))
    text = ["".join(span.text for span in blocks.line(at)) for at in range(blocks.height)]
    assert any("👍 bob carol" in line and "edited" in line for line in text), text
    assert len({len(line.rstrip()) for line in text if line.strip()}) >= 1


def test_controls_are_not_shown_but_a_timer_is() -> None:
    reaction = {"kind": "reaction", "target": "f" * 21 + "Q", "emoji": "👍"}
    timer = {"kind": "timer", "expiresIn": 86_400_000}
    told = shown(
        message(1, content_type=CONTENT_CONTROL, content=reaction, silent=True),
        message(2, content_type=CONTENT_CONTROL, content=timer, silent=True),
        waiting=[msgspec.structs.replace(pending("c"), content_type=CONTENT_CONTROL, content=reaction)],
    )
    assert bubbles(told) == []
    texts = [item.text for item in told if isinstance(item, Notice)]
    assert "bob lets messages disappear 1 day after they are read" in texts


def test_a_notice_stands_at_the_end() -> None:
    told = shown(message(1, encrypted=True), notices=("bob's key has changed",))
    assert isinstance(told[-1], Notice)
    assert told[-1].text == "bob's key has changed"


def test_the_book_follows_what_is_told_of_encryption() -> None:
    book = Book("alice")
    book.take(ConnectionState("online"))
    book.take(updated(last=WAITING, head=1, position=1))
    assert "waiting" in "".join(span.text for span in row_of(book, DIRECT, NOW).preview)
    book.take(MessageUpdated(READABLE))
    assert "at last" in "".join(span.text for span in row_of(book, DIRECT, NOW).preview)
    book.take(SetupProgress(DIRECT, 3, 10))
    assert "3 of 10" in status_line(book, chat=True, ended=False)[0].text
    book.take(SetupProgress(DIRECT, 10, 10))
    assert book.setup == ""
    book.take(LinkNeeded())
    assert "Ctrl-L" in status_line(book, chat=True, ended=False)[0].text


def test_a_chat_in_the_clear_and_one_with_a_timer_say_so_in_their_head() -> None:
    book = Book("alice")
    book.encrypts = True
    book.take(updated(plain=True, timer=3_600_000))
    assert "not encrypted" in "".join(span.text for span in chat_line(book, DIRECT))
    assert "disappear after 1 hour" in "".join(span.text for span in chat_state(book, DIRECT, NOW))
    book.encrypts = False
    assert "not encrypted" not in "".join(span.text for span in chat_line(book, DIRECT))


@pytest.mark.parametrize("code", ["key_changed", "not_encrypted", "not_linked"])
def test_a_message_that_encryption_stopped_says_what_to_do(code: str) -> None:
    assert "Ctrl-" in failed_text(code, "no")
    assert failed_text("blocked", "no") == "no"


@pytest.mark.parametrize("verified", [True, False])
def test_a_changed_key_says_what_to_do(verified: bool) -> None:
    assert "Ctrl-O" in key_changed_here("bob", verified)
    assert ("Nothing is sent" in key_changed_here("bob", verified)) == verified
    told = trouble_text(KeyChanged("bob", verified))
    assert "cooee verify bob --accept" in told
    assert ("nothing is sent" in told) == verified


def test_trouble_is_told_and_cannot_steer_the_terminal() -> None:
    assert "cooee devices link" in trouble_text(LinkNeeded())
    assert "\x1b" not in trouble_text(EncryptionProblem("list_refused", "\x1b[2J"))
    assert "d2" in trouble_text(DeviceLinked("d2"))
