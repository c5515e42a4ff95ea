"""Finding: jump to a chat by its name, and search the messages on this machine."""

import asyncio
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cooee.cli.tui.book import Book
from cooee.cli.tui.dialogs import Dialog
from cooee.cli.tui.session import Session
from cooee.cli.tui.text import clip, one_line, several, short_time
from cooee.client import Message
from cooee.domain.ids import direct_conversation_id, is_user_id

_SEARCH_AFTER_S = 0.15


class Finding(Dialog[str]):
    """A line to type in, and a list that follows it; the arrow keys move in the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
    ]
    PLACEHOLDER = ""
    HINT = ""

    def body(self) -> ComposeResult:
        """Give line, list and hint."""
        yield Input(placeholder=self.PLACEHOLDER)
        yield OptionList(id="found", compact=True)
        yield Static(self.HINT, classes="hint", id="hint", markup=False)

    @property
    def found(self) -> OptionList:
        """The list."""
        return self.query_one("#found", OptionList)

    def put(self, options: list[Option]) -> None:
        """Show what was found; the highlight stays where it is when that is the same as before."""
        same = [option.id for option in options] == [option.id for option in self.found.options]
        highlighted = self.found.highlighted if same else 0
        self.found.set_options(options)
        if options:
            self.found.highlighted = highlighted or 0

    def action_move(self, by: int) -> None:
        """Move in the list while the line has the focus."""
        if self.found.option_count:
            at = (self.found.highlighted or 0) + by
            self.found.highlighted = min(max(at, 0), self.found.option_count - 1)

    def on_input_submitted(self) -> None:
        """Answer with what is highlighted."""
        at = self.found.highlighted
        if at is not None and self.found.option_count:
            self.answer(self.found.get_option_at_index(at).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with what is clicked on."""
        self.answer(event.option_id)


class Jump(Finding):
    """Gives the id of a conversation: one of the list, or a new direct chat."""

    TITLE_TEXT = "Jump to a chat"
    PLACEHOLDER = "a name, or the userId of somebody new"
    HINT = "↑ ↓: choose · Enter: open · Esc: close"

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book

    def on_mount(self) -> None:
        """Show the latest chats."""
        self._find("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Follow what is typed."""
        self._find(event.value.strip())

    def _find(self, query: str) -> None:
        book = self._book
        options = []
        for chat in book.found(query):
            view, peer = book.view(chat), book.peer(chat)
            name = Text(clip(book.name(chat), 44), no_wrap=True)
            detail = "group" if not peer else f"@{peer}" if peer != book.name(chat) else ""
            marks = [detail, several(view.unread, "unread", "unread") if view.unread else ""]
            name.append("  " + " · ".join(mark for mark in marks if mark), style="dim")
            options.append(Option(name, id=chat))
        user = query.removeprefix("@")
        if is_user_id(user):
            chat = direct_conversation_id(book.me, user)
            if all(option.id != chat for option in options):
                options.append(Option(Text(f"Begin a chat with {user}", style="italic"), id=chat))
        self.put(options)


class Search(Finding):
    """Gives ``conversation number`` of a message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+a", "widen", "Everywhere or here", show=False, priority=True),
    ]
    TITLE_TEXT = "Search messages"
    PLACEHOLDER = "words as they were written"

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._here = bool(session.chat)

    def on_mount(self) -> None:
        """Say where is searched."""
        self._say()

    def action_widen(self) -> None:
        """Search everywhere, or in the open chat only."""
        self._here = bool(self._session.chat) and not self._here
        self._say()
        self._search(self.query_one(Input).value.strip())

    def on_input_changed(self, event: Input.Changed) -> None:
        """Follow what is typed."""
        self._search(event.value.strip())

    def _say(self, count: str = "") -> None:
        book = self._session.book
        self.say_title(f"Search in {clip(book.name(self._session.chat), 40)}" if self._here else "Search in all chats")
        other = "Ctrl-A: in all chats" if self._here else "Ctrl-A: in the open chat"
        parts = [count, "Enter: show", *([other] if self._session.chat else []), "Esc: close"]
        self.query_one("#hint", Static).update(Text(" · ".join(part for part in parts if part)))

    @work(exclusive=True, group="search")
    async def _search(self, text: str) -> None:
        await asyncio.sleep(_SEARCH_AFTER_S)  # somebody who types on is not interested in this one
        found = await self._session.search(text, self._session.chat if self._here else None) if text else ()
        now = datetime.now().astimezone()
        self.put([Option(self._line(message, text, now), id=_id(message)) for message in found])
        self._say(("nothing found on this machine" if not found else several(len(found), "message")) if text else "")

    def _line(self, message: Message, text: str, now: datetime) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{short_time(message.timestamp, now):<8}", style="dim")
        if not self._here:
            line.append(clip(self._session.book.name(message.conversation_id), 18) + "  ", style="dim")
        line.append(clip(one_line(message.sender_id), 16) + "  ", style="bold")
        said = around(message.text, text)
        line.append(said)
        line.highlight_words([text], "bold underline", case_sensitive=False)
        return line


def _id(message: Message) -> str:
    return f"{message.conversation_id} {message.sequence_number}"


def around(said: str, text: str) -> str:
    """Return the part of ``said`` in which ``text`` stands, in one line."""
    at = said.lower().find(text.lower())
    begin = max(at - 30, 0) if at > 40 else 0
    return ("…" if begin else "") + one_line(said[begin:], 300)
