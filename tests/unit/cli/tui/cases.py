"""Messages, pages and views for the tests of what the terminal client shows."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from cooee.cli.tui.book import blank
from cooee.client import ConversationUpdated, ConversationView, HistoryPage, Message, Pending

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
"""A Wednesday."""

DIRECT, GROUP = "dm:alice:bob", "group:team"


def ms(when: datetime) -> int:
    """Return a time in ms."""
    return int(when.timestamp() * 1000)


def message(number: int, text: str = "", sender: str = "bob", *, chat: str = DIRECT, **more: Any) -> Message:
    """Return a message; each a minute after the one before."""
    fields: dict[str, Any] = {
        "timestamp": ms(NOW) - 3_600_000 + number * 60_000,
        "content_type": "text",
        "content": text or f"text {number}",
    }
    return Message(chat, number, str(number), sender, "d2", f"c{number}", **fields | more)


def system(number: int, event: str, **content: Any) -> Message:
    """Return a system message of a group."""
    return message(number, chat=GROUP, content_type="system", content={"event": event, **content})


def pending(key: str, text: str = "", *, chat: str = DIRECT, order: int = 1, **more: Any) -> Pending:
    """Return a message of the outbox."""
    return Pending(key, chat, "d1", ms(NOW), "text", text or key, order=order, **more)


def page(first: int, through: int, *, complete: bool = False) -> HistoryPage:
    """Return a page with all numbers from ``first`` to ``through``."""
    return HistoryPage(tuple(message(number) for number in range(first, through + 1)), complete, from_server=False)


def view(chat: str = DIRECT, **changes: Any) -> ConversationView:
    """Return a view of a conversation."""
    return msgspec.structs.replace(blank(chat), **{"last_activity": ms(NOW)} | changes)


def updated(chat: str = DIRECT, **changes: Any) -> ConversationUpdated:
    """Return the event that tells of such a view."""
    return ConversationUpdated(view(chat, **changes))
