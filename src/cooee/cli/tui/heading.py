"""The lines around the chat: who one is, the head of the chat, the status line, what is answered. Pure."""

from datetime import datetime

from cooee.cli.render import PLAIN, span_text
from cooee.cli.tui.book import Book, connection_line
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.palette import Line, Span
from cooee.cli.tui.rows import typing_text
from cooee.cli.tui.text import last_seen, one_line, several

UNLINKED = "This device is not linked: it can read and write nothing encrypted · Ctrl-L links it"


def me_line(book: Book, now: datetime) -> tuple[Line, Line]:
    """Return whose chats these are, and how many messages are unread."""
    unread = book.unread(int(now.timestamp() * 1000))
    count = (Span(f"{unread:,} unread", "accent", "list"),) if unread else ()
    return (Span(book.me, "text", "list", bold=True),), count


def archive_line(book: Book, *, archived: bool) -> Line:
    """Return the line below the list."""
    if archived:
        return (Span("Archive · Z: back to the list", "accent", "list"),)
    return (Span(f"{book.archived:,} archived · Z", "muted", "list"),) if book.archived else ()


def empty_list(book: Book, *, archived: bool) -> str:
    """Return what stands in an empty list."""
    if archived:
        return "Nothing is archived."
    return "No chats yet; Ctrl-N begins one." if book.loaded else "Loading…"


def chat_line(book: Book, chat: str) -> Line:
    """Return the name of a chat, the userId where that is another, whether it is a bot, and whether it is in clear."""
    peer, name = book.peer(chat), book.name(chat)
    handle = f"  @{peer}" if peer and peer not in (name, book.me) else ""
    kind = (Span("  bot", "accent"),) if peer in book.bots else ()
    plain = (Span(f"  {PLAIN}", "danger"),) if book.encrypts and book.view(chat).plain else ()
    return Span(name, bold=True), Span(handle, "muted"), *kind, *plain


def chat_state(book: Book, chat: str, now: datetime) -> Line:
    """Return who types, is there, or was there last; in a group how many members there are."""
    typing, peer, view = book.typing(chat), book.peer(chat), book.view(chat)
    if typing:
        return (Span(typing_text(typing, direct=bool(peer)), "success"),)
    if not peer:
        members = several(len(view.members), "member") if view.members else "group"
        return (Span("you are no longer in this group" if view.left else members + timer_text(book, chat), "muted"),)
    if book.online(chat):
        return Span("● online", "success"), Span(timer_text(book, chat), "muted")
    presence = book.presence.get(peer)
    seen = last_seen(presence.last_seen, now) if presence is not None and peer != book.me else ""
    told = f"{seen}{timer_text(book, chat)}".removeprefix(" · ")
    return (Span(told, "muted"),) if told else ()


def timer_text(book: Book, chat: str) -> str:
    """Return after how long messages disappear, for the line below the name; empty: they stay."""
    timer = book.view(chat).timer
    return f" · messages disappear after {span_text(timer)}" if timer else ""


def status_line(book: Book, *, chat: bool, ended: bool) -> Line:
    """Return the last line: how connection or encryption stand when all is not well, else what can be done."""
    text = connection_line(book.connection, book.queued)
    if text:
        return (Span(text, "danger" if ended else "accent", "raised", bold=True),)
    if book.unlinked:
        return (Span(UNLINKED, "danger", "raised", bold=True),)
    if book.setup:
        return (Span(book.setup, "accent", "raised", bold=True),)
    keys = "F1 help · Ctrl-K jump · Ctrl-N new · Ctrl-F search"
    waiting = f"Sending {several(book.queued, 'message')} · " if book.queued else ""
    return (Span(f"{waiting}{keys}{' · Ctrl-O details' if chat else ''} · Ctrl-Q quit", "muted", "raised"),)


def more_text(unread: int) -> str:
    """Return the way back to the end."""
    return f"↓ {several(unread, 'new message')} · End" if unread else "↓ newest · End"


def reply_line(bubble: Bubble) -> Line:
    """Return what is being answered."""
    who = "yourself" if bubble.own else one_line(bubble.sender)
    return Span(f"Reply to {who}: ", "accent", "raised"), Span(one_line(bubble.content), "muted", "raised")


def edit_line(bubble: Bubble) -> Line:
    """Return what is being edited."""
    return Span("Edit: ", "accent", "raised"), Span(one_line(bubble.content), "muted", "raised")
