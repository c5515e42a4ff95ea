"""What people see: ticks, times, messages and tables as text. Pure but for the local time zone.

What others wrote never reaches the terminal as it came: control and direction-changing characters are written out.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from cooee.cli.files import file_text
from cooee.client.model import Message
from cooee.domain.ids import direct_members, is_direct
from cooee.domain.message import CONTENT_ENCRYPTED

_TICKS = {"pending": "·", "sent": "✓", "delivered": "✓✓", "read": "✓✓", "failed": "✗"}
_PLAIN_TICKS = {"pending": ".", "sent": "+", "delivered": "++", "read": "++", "failed": "x"}
PLAIN = "not encrypted"
"""How a message, or a conversation, is marked that the server can read."""
WAITING = "waiting for this message"
"""What stands for a message whose key has not come yet; it fills itself in."""
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TO_PLAIN = str.maketrans({"→": "->", "…": "...", "·": "-", "✓": "+", "✗": "x", "—": "-"})


class Look(NamedTuple):
    """What the terminal can show. ``charset``: what it takes when that is no form of Unicode."""

    colour: bool = False
    unicode: bool = True
    charset: str = "ascii"

    def paint(self, text: str, **style: Any) -> str:
        """Return ``text`` in click's ``style`` where there is colour."""
        return click.style(text, **style) if self.colour else text

    def dim(self, text: str) -> str:
        """Return ``text`` less bright where there is colour."""
        return self.paint(text, dim=True)

    def plain(self, text: str) -> str:
        """Return ``text`` in the terminal's own letters where it shows no others."""
        if self.unicode:
            return text
        return text.translate(_TO_PLAIN).encode(self.charset, "replace").decode(self.charset)


def safe(text: str, *, indent: str | None = None) -> str:
    r"""Return ``text`` with what would steer a terminal written out as ``\x1b`` or ``\u202e``.

    Line breaks become a break and ``indent``, or a space when that is None; a tab becomes a space.
    """
    shown = []
    for character in text.replace("\r\n", "\n"):
        if character == "\n":
            shown.append(" " if indent is None else "\n" + indent)
        elif character == "\t":
            shown.append(" ")
        elif character in _DIRECTION or unicodedata.category(character) in _UNSEEN:
            shown.append(
                character.encode("ascii", "backslashreplace").decode("ascii")
                if ord(character) > 127
                else f"\\x{ord(character):02x}"
            )
        else:
            shown.append(character)
    return "".join(shown)


def tick(look: Look, status: str, *, words: bool = False) -> str:
    """Return the ticks of a message: ✓ sent, ✓✓ delivered, blue ✓✓ read.

    Where blue cannot be shown, or with ``words``, the word stands beside them.
    """
    marks = (_TICKS if look.unicode else _PLAIN_TICKS).get(status, "?")
    if status == "read":
        marks = look.paint(marks, fg="bright_blue", bold=True)
    elif status == "failed":
        marks = look.paint(marks, fg="red", bold=True)
    else:
        marks = look.dim(marks)
    return f"{marks} {status}" if words or status == "failed" or (status == "read" and not look.colour) else marks


def clock(timestamp_ms: int, now: datetime) -> str:
    """Return the local time: the minute today, with the date on any other day."""
    try:
        when = datetime.fromtimestamp(timestamp_ms / 1000).astimezone(now.tzinfo)
    except (ValueError, OverflowError, OSError):
        return "?"
    return when.strftime("%H:%M" if when.date() == now.date() else "%Y-%m-%d %H:%M")


def chat_name(conversation_id: str, me: str, title: str = "") -> str:
    """Return how a person names a conversation: the other's userId, or the group's title."""
    if is_direct(conversation_id):
        a, b = direct_members(conversation_id)
        return b if a == me else a
    return safe(title) or conversation_id


class Naming(NamedTuple):
    """From whose eyes a message is shown, and the titles of the groups."""

    me: str
    titles: dict[str, str]
    encrypts: bool = False
    """Whether what is not encrypted is marked: it is where the rest is."""

    def chat(self, conversation_id: str) -> str:
        """Return a conversation's name."""
        return chat_name(conversation_id, self.me, self.titles.get(conversation_id, ""))


def message_line(look: Look, message: Message, naming: Naming, now: datetime, *, status: str = "") -> str:
    """Return a message as one line, or some when its text has breaks; ``status``: the ticks behind it."""
    when = look.dim(clock(message.timestamp, now))
    chat = naming.chat(message.conversation_id)
    group = not is_direct(message.conversation_id)
    if happened(message):
        where = f"{look.paint(chat, fg='magenta')}: " if group else ""
        return look.plain(f"{when} {where}{look.dim('— ' + happened(message))}")
    own = message.sender_id == naming.me
    who = message.sender_id if not own else f"→ {chat}" if not group else naming.me
    who = look.paint(safe(who), fg="green" if own else "cyan", bold=True)
    where = f" {look.paint('[' + chat + ']', fg='magenta')}" if group else ""
    ticks = f"  {tick(look, status)}" if status else ""
    said = body(look, message)
    told = marks(message, now, plain=naming.encrypts)
    if told:
        said = f"{said}  {look.dim('(' + ', '.join(told) + ')')}"
    if message.reactions:
        said = f"{said}  [{reactions_text(message)}]"
    return look.plain(f"{when}{where} {who}: {said}{ticks}")


def marks(message: Message, now: datetime, *, plain: bool) -> list[str]:
    """Return what is to be known of a message beside what it says. ``plain``: also that it was not encrypted."""
    told = []
    if message.edited:
        told.append("edited")
    if plain and not message.encrypted and not message.deleted and not message.event:
        told.append(PLAIN)
    if message.expires_at and not message.deleted:
        told.append(f"disappears {clock(message.expires_at, now)}")
    elif message.expires_in and not message.deleted:
        told.append(f"disappears {span_text(message.expires_in)} after it is read")
    return told


def reactions_text(message: Message) -> str:
    """Return the reactions to a message: each emoji with those who chose it."""
    by: dict[str, list[str]] = {}
    for user, emoji in sorted(message.reactions.items()):
        by.setdefault(emoji, []).append(user)
    return ", ".join(f"{safe(emoji)} {' '.join(map(safe, users))}" for emoji, users in by.items())


def placeholder(message: Message) -> str:
    """Return what stands in the place of an encrypted message that cannot be read (yet); empty: it can be."""
    if message.problem == "unsupported":
        return "a newer version of Cooee is needed to show this message"
    if message.problem == "refused":
        return "this message cannot be trusted: it does not come from a device of its sender"
    if message.problem or message.content_type == CONTENT_ENCRYPTED:
        return WAITING
    return ""


def span_text(ms: int) -> str:
    """Return a length of time in its largest whole unit."""
    for unit, name in ((604_800_000, "week"), (86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute")):
        if ms >= unit and ms % unit == 0:
            return f"{ms // unit} {name}{'' if ms == unit else 's'}"
    seconds = ms / 1000
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def happened(message: Message) -> str:
    """Return what a message tells that nobody said: a system message, or a timer that was set; empty for any other."""
    if message.event:
        return system_text(message)
    if message.control == "timer":
        who, ms = safe(message.sender_id), message.content.get("expiresIn", 0)
        if not ms:
            return f"{who} lets messages stay: they do not disappear any more"
        return f"{who} lets messages disappear {span_text(ms)} after they are read"
    return ""


def body(look: Look, message: Message, indent: str = "      ") -> str:
    """Return what a message says, or what it is when that is not text."""
    if message.deleted:
        return look.dim("this message was deleted")
    if placeholder(message):
        return look.dim(placeholder(message))
    if message.content_type == "text":
        return safe(message.text, indent=indent)
    kind = f"[{safe(message.content_type)}]"
    media = message.media
    told = f"{kind} {safe(file_text(media))}" if media is not None else kind
    return f"{look.dim(told)} {safe(message.text, indent=indent)}".rstrip()


def system_text(message: Message) -> str:
    """Return what a system message tells, as a sentence."""
    content: dict[str, Any] = message.content if isinstance(message.content, dict) else {}
    actor = safe(str(content.get("actorId", "somebody")))
    users = [safe(str(user)) for user in content.get("userIds", ()) or ()]
    people = ", ".join(users) or "nobody"
    user = safe(str(content.get("userId", "")))
    name = safe(str(content.get("name", "")))
    if content.get("groupDeleted"):
        return f"{actor} deleted the group"
    if content.get("byLink"):
        return f"{people} joined by an invitation"
    mode = content.get("encryption")
    if mode in {"plain", "encrypted"}:
        if mode == "plain":
            return f"{actor} writes in the clear from here on: what {actor} writes is {PLAIN}"
        return f"from here on messages are end-to-end encrypted again ({actor} set that)"
    texts = {
        "group_created": f"{actor} created the group {name}",
        "group_renamed": f"{actor} renamed the group to {name}",
        "member_added": f"{actor} added {people}",
        "member_removed": f"{actor} removed {people}",
        "member_left": f"{people} left",
        "role_changed": f"{actor} made {user} {safe(str(content.get('role', '')))}",
        "owner_changed": f"{user} owns the group now",
        "message_deleted": f"{actor} deleted a message",
        "settings_changed": f"{actor} changed the settings",
    }
    return texts.get(message.event, safe(message.event))


def width(text: str) -> int:
    """Return how many columns ``text`` takes, styles not counted."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in click.unstyle(text)
    )


def table(look: Look, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows in columns under a head; no rows give no lines."""
    cells = [[look.plain(cell) for cell in row] for row in rows]
    if not cells:
        return []
    columns = [max(width(row[at]) for row in [list(head), *cells]) for at in range(len(head))]
    return [look.paint(_row(head, columns), bold=True), *(_row(row, columns) for row in cells)]


def _row(cells: Sequence[str], columns: Sequence[int]) -> str:
    return "  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(cells, columns, strict=True)).rstrip()
