"""What is shown of a chat, in order: days, the line above the unread, bubbles, and what happened. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from cooee.cli.files import file_text
from cooee.cli.render import WAITING, happened, marks, placeholder, reactions_text
from cooee.cli.trouble import failed_text
from cooee.cli.tui.rows import status_of, summary
from cooee.cli.tui.text import day, local, one_line, several
from cooee.cli.tui.timeline import Timeline
from cooee.client import ConversationView, Message, Pending
from cooee.client.model import CONTENT_CONTROL
from cooee.domain.message import CONTENT_TEXT

JOINED_WITHIN_MS = 120_000


class Notice(NamedTuple):
    """A line of its own. ``kind``: ``day``, ``unread`` (above what was not read), or ``event`` (what happened).

    ``number`` is that of the message it stands for; 0 for none.
    """

    key: str
    kind: str
    text: str
    number: int = 0


class Bubble(NamedTuple):
    """A message. ``status`` is empty for those of others; ``joined``: it belongs to the one above it.

    ``plain`` False: ``content`` is no text of the sender but stands for what cannot be shown. ``quote``: who and what
    is answered. ``number`` is 0 until it is known; then ``client_message_id`` tells which message it is.
    ``file``: name, size and type of its file, and ``content`` is the caption then; empty: it has none.
    ``marks``: edited, not encrypted, when it disappears. ``reactions``: each emoji with who chose it. ``waiting``: it
    cannot be read yet, so whoever sees it has not read it.
    """

    key: str
    number: int
    client_message_id: str
    sender: str
    own: bool
    joined: bool
    content: str
    plain: bool
    timestamp: int
    status: str = ""
    reason: str = ""
    quote: tuple[str, str] | None = None
    file: str = ""
    marks: str = ""
    reactions: str = ""
    waiting: bool = False


Item = Notice | Bubble


class Scene(NamedTuple):
    """What the items depend on beside the messages: who looks, the own ticks, where the unread began, and when.

    ``encrypts``: what is not encrypted is marked. ``notices``: what stands at the end until something is done about it.
    """

    me: str
    view: ConversationView
    waiting: Sequence[Pending]
    unread_above: int
    unread_count: int
    now: datetime
    encrypts: bool = False
    notices: Sequence[str] = ()


def items(timeline: Timeline, scene: Scene) -> list[Item]:
    """Return what is shown of ``timeline``."""
    weaving = _Weaving(timeline, scene)
    if timeline.loaded and timeline.complete:
        weaving.begin(said=bool(timeline.messages or scene.waiting))
    for message in timeline.messages:
        if message.event != "message_deleted" and not message.hidden and (not message.silent or happened(message)):
            weaving.message(message)
    if timeline.at_end or not timeline.loaded:
        for entry in scene.waiting:
            if entry.content_type != CONTENT_CONTROL:
                weaving.pending(entry)
        weaving.told += [Notice(f"notice {at}", "event", text) for at, text in enumerate(scene.notices)]
    return weaving.told


def _file(written: Message | Pending) -> str:
    media = written.media
    return "" if media is None else f"[{written.content_type}] {one_line(file_text(media))}"


class _Weaving:
    """The items so far, and what the next one depends on."""

    def __init__(self, timeline: Timeline, scene: Scene) -> None:
        self.told: list[Item] = []
        self._scene = scene
        self._quotes: Mapping[str, Message] = {message.message_id: message for message in timeline.messages}
        self._former: Bubble | None = None
        self._day: date | None = None
        self._unread_told = scene.unread_count <= 0

    def begin(self, *, said: bool) -> None:
        text = (
            "This is where the conversation begins" if said else "Nothing was said here yet. Write the first message."
        )
        self.told.append(Notice("begin", "event", text))

    def message(self, message: Message) -> None:
        self._date(message.timestamp)
        scene = self._scene
        own = message.sender_id == scene.me
        if not self._unread_told and message.sequence_number > scene.unread_above and not own:
            self._unread_told = True
            self._former = None
            count = (
                several(scene.unread_count, "unread message") if scene.unread_count < 999 else "999+ unread messages"
            )
            self.told.append(Notice("unread", "unread", count))
        if happened(message):
            self._former = None
            text = one_line(happened(message), 500)
            self.told.append(Notice(str(message.sequence_number), "event", text, message.sequence_number))
            return
        file = _file(message)
        plain = (message.content_type == CONTENT_TEXT or bool(file)) and not placeholder(message)
        self._bubble(
            Bubble(
                str(message.sequence_number),
                message.sequence_number,
                message.client_message_id,
                message.sender_id,
                own,
                joined=self._joins(message.sender_id, message.timestamp),
                content=message.text if plain else summary(message),
                plain=plain,
                timestamp=message.timestamp,
                status=status_of(message, scene.view) if own and not message.deleted else "",
                quote=self._quote(message.reply_to),
                file=file,
                marks=", ".join(marks(message, scene.now, plain=scene.encrypts)),
                reactions=one_line(reactions_text(message)),
                waiting=scene.encrypts and placeholder(message) == WAITING,
            )
        )

    def pending(self, entry: Pending) -> None:
        self._date(entry.created_at)
        self._bubble(
            Bubble(
                entry.client_message_id,
                0,
                entry.client_message_id,
                self._scene.me,
                own=True,
                joined=self._joins(self._scene.me, entry.created_at),
                content=entry.text,
                plain=True,
                timestamp=entry.created_at,
                status=entry.status,
                reason=failed_text(entry.code, entry.reason),
                marks="not encrypted" if self._scene.encrypts and not entry.encrypted else "",
                quote=self._quote(entry.reply_to),
                file=_file(entry),
            )
        )

    def _bubble(self, bubble: Bubble) -> None:
        self._former = bubble
        self.told.append(bubble)

    def _date(self, timestamp: int) -> None:
        when = local(timestamp, self._scene.now).date()
        if when != self._day:
            self._day = when
            self._former = None
            self.told.append(Notice(f"day {when}", "day", day(when, self._scene.now.date())))

    def _joins(self, sender: str, timestamp: int) -> bool:
        former = self._former
        return former is not None and former.sender == sender and 0 <= timestamp - former.timestamp <= JOINED_WITHIN_MS

    def _quote(self, message_id: str | None) -> tuple[str, str] | None:
        if message_id is None:
            return None
        quoted = self._quotes.get(message_id)
        return ("", "an earlier message") if quoted is None else (quoted.sender_id, summary(quoted))
