"""A conversation as a file: lines of JSON and a plain log here, a page for the browser in `export_html`.

Pure but for the local time zone. What others wrote is written so that it can steer neither a terminal nor a browser.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from cooee.cli import records
from cooee.cli.render import Look, body, happened, reactions_text, safe, tick
from cooee.client.model import Message

VERSION = 1
"""Of the lines of JSON; it changes when a field changes its meaning, not when one is added."""


class Head(msgspec.Struct, frozen=True):
    """What an export is of. ``title``: the group's name, or the other user's; ``exported_at`` in ms."""

    conversation_id: str
    kind: str
    title: str
    user_id: str
    url: str
    exported_at: int


class Entry(NamedTuple):
    """A message in its place. ``name``: how its sender is called; ``answers``: the number that it replies to.

    ``file``: where its file was saved, from beside the export.
    """

    message: Message
    name: str
    status: str = ""
    answers: int | None = None
    file: str = ""

    @property
    def who(self) -> str:
        """The sender's name with the userId, which alone is unique."""
        sender = self.message.sender_id
        return safe(sender if self.name in {"", sender} else f"{self.name} ({sender})")


class Form(Protocol):
    """Writes one conversation; the pieces joined are the file."""

    def begin(self, head: Head) -> str:
        """Return what stands before the messages."""
        ...

    def entry(self, entry: Entry) -> str:
        """Return a message; they come in order, oldest first."""
        ...

    def end(self, count: int) -> str:
        """Return what stands behind all ``count`` messages, by which a whole file is told from a broken one."""
        ...


def local(timestamp_ms: int) -> datetime | None:
    """Return the local time, with its zone; None when there is no such time."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def day_of(timestamp_ms: int) -> str:
    """Return the local day in words."""
    when = local(timestamp_ms)
    return f"{when:%A}, {when.day} {when:%B %Y}" if when else "?"


class JsonLines:
    """One object a line, the same as `cooee history --json` writes, between a head and an end."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._me = ""

    def begin(self, head: Head) -> str:
        """Return the line that says what this is."""
        self._me = head.user_id
        fields = {
            "type": "export",
            "version": VERSION,
            "conversationId": head.conversation_id,
            "kind": head.kind,
            "title": head.title,
            "userId": head.user_id,
            "url": head.url,
            "exportedAt": head.exported_at,
        }
        return self._line(fields)

    def entry(self, entry: Entry) -> str:
        """Return a message's line."""
        told = records.message(entry.message, self._me, entry.status)
        saved = {"file": entry.file} if entry.file else {}
        return self._line(told | {"senderName": entry.name or None} | saved)

    def end(self, count: int) -> str:
        """Return the last line; a file without it is not whole."""
        return self._line({"type": "export_end", "messages": count})

    def _line(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields, ensure_ascii=not self._look.unicode, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


class PlainText:
    """A log as one prints it: days, times, who, and ticks. No colours."""

    def __init__(self, look: Look) -> None:
        self._look = Look(colour=False, unicode=look.unicode, charset=look.charset)
        self._day = ""

    def begin(self, head: Head) -> str:
        """Return what this is, in two lines."""
        when = local(head.exported_at)
        with_whom = f"{safe(head.title)} ({head.conversation_id})" if head.title else head.conversation_id
        told = f"{with_whom}\nAs {head.user_id} at {head.url} sees it, {when:%Y-%m-%d %H:%M %z}\n"
        return self._look.plain(told)

    def entry(self, entry: Entry) -> str:
        """Return a message, after the day when that is another than before."""
        message = entry.message
        day = day_of(message.timestamp)
        head = "" if day == self._day else f"\n--- {day} ---\n\n"
        self._day = day
        when = local(message.timestamp)
        lead = f"{message.sequence_number:>5}  {f'{when:%H:%M}' if when else '?':5}  "
        return self._look.plain(f"{head}{lead}{self._told(entry, ' ' * len(lead))}\n")

    def _told(self, entry: Entry, indent: str) -> str:
        message = entry.message
        if happened(message):
            return f"— {happened(message)}"
        answers = f" [to {entry.answers}]" if entry.answers else ""
        ticks = f"  {tick(self._look, entry.status)}" if entry.status else ""
        edited = " (edited)" if message.edited else ""
        said = f" [{reactions_text(message)}]" if message.reactions else ""
        return f"{entry.who}{answers}: {body(self._look, message, indent)}{edited}{said}{ticks}"

    def end(self, count: int) -> str:
        """Return how many there were."""
        return f"\n{count} message{'' if count == 1 else 's'}\n"
