"""The rows of the conversation list: name, time, preview with ticks, marks and the unread badge. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from cooee.cli.files import file_text
from cooee.cli.render import happened, placeholder
from cooee.cli.tui.book import Book, is_muted
from cooee.cli.tui.palette import Line, Span
from cooee.cli.tui.text import cells, clip, fill, one_line, short_time
from cooee.client import ConversationView, Message, Pending
from cooee.domain.ids import is_direct
from cooee.domain.message import CONTENT_TEXT

HEIGHT = 3
"""Lines of a row: name, preview, and air."""

TICKS = {"pending": "·", "sent": "✓", "delivered": "✓✓", "read": "✓✓", "failed": "✗"}
PINNED, MUTED = "◆", "⊘"


class Row(NamedTuple):
    """One conversation in the list."""

    conversation_id: str
    name: str
    when: str
    preview: Line
    unread: int
    muted: bool
    pinned: bool
    online: bool


def row_of(book: Book, conversation_id: str, now: datetime, *, opened: bool = False) -> Row:
    """Return the row of a conversation; what is written in an ``opened`` one stands in its composer, not here."""
    view = book.view(conversation_id)
    waiting = book.waiting(conversation_id)
    activity = max(view.last_activity, waiting[-1].created_at if waiting else 0)
    return Row(
        conversation_id,
        book.name(conversation_id),
        short_time(activity, now),
        _preview(book, view, waiting, opened=opened),
        view.unread,
        is_muted(view, int(now.timestamp() * 1000)),
        view.pinned,
        book.online(conversation_id),
    )


def _preview(book: Book, view: ConversationView, waiting: list[Pending], *, opened: bool) -> Line:
    typing = book.typing(view.conversation_id)
    if typing:
        return (Span(typing_text(typing, direct=is_direct(view.conversation_id)), "success", italic=True),)
    draft = book.drafts.get(view.conversation_id)
    if draft and not opened:
        return Span("Draft: ", "danger"), Span(one_line(draft), "muted")
    if waiting:
        entry = waiting[-1]
        ink = "danger" if entry.status == "failed" else "muted"
        return Span(f"{TICKS[entry.status]} ", ink), Span(said_by(entry), "muted")
    if view.left:
        return (Span("You are no longer in this group", "muted", italic=True),)
    return _last(book, view) if view.last is not None else ()


def _last(book: Book, view: ConversationView) -> Line:
    message = view.last
    assert message is not None  # noqa: S101  # the caller looked
    said = summary(message)
    if happened(message) or message.deleted:
        return (Span(said, "muted", italic=True),)
    if message.sender_id == book.me:
        status = status_of(message, view)
        return Span(f"{TICKS[status]} ", "read" if status == "read" else "muted"), Span(said, "muted")
    if view.kind == "group":
        return Span(f"{message.sender_id}: ", "text"), Span(said, "muted")
    return (Span(said, "muted"),)


def summary(message: Message) -> str:
    """Return what a message says or is, in one line."""
    if message.deleted or message.event == "message_deleted":
        return "This message was deleted"
    if happened(message):
        return one_line(happened(message))
    if placeholder(message):
        return placeholder(message)
    return said_by(message)


def said_by(written: Message | Pending) -> str:
    """Return a text, or a file with its caption, in one line."""
    media = written.media
    if media is not None:
        return f"[{written.content_type}] {one_line(file_text(media))} {one_line(written.text)}".rstrip()
    if written.content_type == CONTENT_TEXT:
        return one_line(written.text)
    return f"[{one_line(written.content_type)}] {one_line(written.text)}".rstrip()


def status_of(message: Message, view: ConversationView) -> str:
    """Return how far an own message got."""
    if message.sequence_number <= view.read_through:
        return "read"
    return "delivered" if message.sequence_number <= view.delivered_through else "sent"


def typing_text(typing: Mapping[str, str | None], *, direct: bool) -> str:
    """Return who types."""
    doing = "recording…" if "recording" in typing.values() else "typing…"
    if direct:
        return doing
    people = sorted(typing)
    return f"{', '.join(people[:2])}{' and others' if len(people) > 2 else ''} {doing}"


def lines(row: Row, width: int, *, chosen: bool, focused: bool, colour: bool = True) -> tuple[Line, ...]:
    """Lay a row out in ``width`` columns, `HEIGHT` lines."""
    ground = "chosen" if chosen else "list"
    bar = "▌" if chosen and focused else "│" if chosen and not colour else " "
    edge = Span(bar, "accent", ground)
    marks = "".join([f" {PINNED}" if row.pinned else "", f" {MUTED}" if row.muted else ""])
    when = f"{marks} {row.when}".rstrip()
    inner = max(width - 5, 4)
    name = fill(row.name, max(inner - cells(when), 1))
    unread = bool(row.unread)
    first = (
        edge,
        Span("● " if row.online else "  ", "success", ground),
        Span(name, "text", ground, bold=True),
        Span(when, "accent" if unread and not row.muted else "muted", ground),
        Span("  ", "text", ground),
    )
    badge = f" {row.unread if row.unread < 999 else '999+'} " if unread else ""
    if badge and not colour:
        badge = f"({badge.strip()})"
    room = max(inner - cells(badge) - (1 if badge else 0), 1)
    second = (
        edge,
        Span("  ", "text", ground),
        *_cut(row.preview, room, ground),
        *((Span(badge, "badge", "badge-muted" if row.muted else "badge", bold=True),) if badge else ()),
        Span("  ", "text", ground),
    )
    third = (edge, Span(" " * (width - 1), "text", ground))
    return first, _stretch(second, width, ground, before_last=2 if badge else 1), third


def _cut(preview: Line, width: int, ground: str) -> Line:
    """Return ``preview`` in at most ``width`` columns."""
    shown: list[Span] = []
    for span in preview:
        text = clip(span.text, width)
        width -= cells(text)
        shown.append(span._replace(text=text, ground=ground))
        if width <= 0 or text != span.text:
            break
    return tuple(shown)


def _stretch(line: Line, width: int, ground: str, before_last: int) -> Line:
    """Put the space that is left before the last spans of ``line``."""
    missing = width - sum(cells(span.text) for span in line)
    if missing <= 0:
        return line
    at = len(line) - before_last
    return (*line[:at], Span(" " * missing, "text", ground), *line[at:])
