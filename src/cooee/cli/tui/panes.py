"""The two panes: the list with what stands around it, and the open chat from its head to its composer."""

from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import TextArea

from cooee.cli.tui import heading
from cooee.cli.tui.composer import Composer
from cooee.cli.tui.conversation_list import ConversationList
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.message_list import MessageList
from cooee.cli.tui.paint import palette_of, text_of
from cooee.cli.tui.palette import Line, Span
from cooee.cli.tui.session import Session
from cooee.cli.tui.text import cells
from cooee.domain.ids import is_direct


class Bar(Widget):
    """One line: something on the left, and what must be seen on the right."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id, classes=classes)
        self._left: Line = ()
        self._right: Line = ()

    def say(self, left: Line, right: Line = ()) -> None:
        """Show something else."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render(self) -> Text:
        """Return the line; the left side gives way."""
        palette, width = palette_of(self.app.theme), self.content_size.width
        right = text_of(palette, self._right)
        left = text_of(palette, self._left)
        room = max(width - cells(right.plain) - 1, 0) if self._right else width
        left.truncate(room, overflow="ellipsis", pad=bool(self._right))
        return left.append(" ").append_text(right) if self._right else left


class ListPane(Vertical):
    """Who one is, the conversations, and the way to the archive."""

    def __init__(self, session: Session, *, colour: bool) -> None:
        super().__init__(id="left")
        self.archived = False
        self.me = Bar(id="me")
        self.rows = ConversationList(session.book, colour=colour, id="list")
        self.archive = Bar(id="archive")
        self._session = session

    def compose(self) -> ComposeResult:
        """Stack the three."""
        yield self.me
        yield self.rows
        yield self.archive

    def paint(self, now: datetime) -> None:
        """Show the list as it stands now."""
        book = self._session.book
        order = book.listed(archived=self.archived)
        self.rows.show(order, self._session.chat, heading.empty_list(book, archived=self.archived))
        self.me.say(*heading.me_line(book, now))
        self.archive.say(heading.archive_line(book, archived=self.archived))


class ChatPane(Vertical):
    """The open chat."""

    def __init__(self, session: Session, *, colour: bool) -> None:
        super().__init__(id="right")
        self.shown = ""
        self._stamp: object = None
        self.head = Bar(id="header")
        self.messages = MessageList(colour=colour, id="messages")
        self.more = Bar(id="more")
        self.reply = Bar(id="reply")
        self.composer = Composer(id="composer")
        self._session = session

    def compose(self) -> ComposeResult:
        """Stack them."""
        yield self.head
        yield self.messages
        yield self.more
        yield self.reply
        yield self.composer

    def paint(self, now: datetime) -> None:
        """Show the chat as it stands now."""
        chat, timeline = self._session.chat, self._session.timeline
        self.set_class(not chat, "-empty")
        if timeline is None:
            if self.shown or not self.messages.blocks.items:
                self.messages.clear("Choose a chat, or press Ctrl-N to begin one.")
            self.shown = ""
            return
        book = self._session.book
        self.head.say(heading.chat_line(book, chat), heading.chat_state(book, chat, now))
        if not timeline.loaded:
            return
        if self.shown != chat:
            self.shown = chat
            self.messages.clear()
            self._stamp = None
        stamp = self._session.stamp(now)
        if stamp != self._stamp:
            self._stamp = stamp
            self.messages.show(self._session.items(now), named=not is_direct(chat))
        self.paint_more()

    def paint_more(self) -> None:
        """Show the way back to the end, while that is not on the screen."""
        timeline = self._session.timeline
        away = timeline is not None and timeline.loaded and not (timeline.at_end and self.messages.following)
        unread = self._session.book.view(self._session.chat).unread if away else 0
        self.more.say((), (Span(heading.more_text(unread), "accent"),) if away and self.messages.blocks.items else ())

    def answer(self, bubble: Bubble | None) -> None:
        """Answer a message with the next one; None: none."""
        self.composer.answered = bubble.number if bubble is not None else 0
        self.composer.edited = 0
        self.reply.display = bubble is not None
        if bubble is not None:
            self.reply.say(heading.reply_line(bubble), (Span("Esc: not", "muted", "raised"),))

    def edit(self, bubble: Bubble) -> None:
        """Give an own message another text: it stands in the composer, and Enter puts it in its place."""
        self.answer(None)
        self.write(bubble.content)
        self.composer.edited = bubble.number
        self.reply.display = True
        self.reply.say(heading.edit_line(bubble), (Span("Esc: not", "muted", "raised"),))

    @property
    def written(self) -> str:
        """What stands in the composer."""
        return self.composer.text

    @property
    def answering(self) -> bool:
        """Whether the next message answers one."""
        return bool(self.composer.answered or self.composer.edited)

    def write(self, text: str) -> None:
        """Put a text for the open chat into the composer; nobody is told that the user types."""
        self.composer.chat = self._session.chat
        with self.app.prevent(TextArea.Changed):
            self.composer.text = text
        self.composer.move_cursor(self.composer.document.end)
        left = self._session.book.view(self._session.chat).left
        self.composer.placeholder = "You are no longer in this group" if left else "Write a message"
