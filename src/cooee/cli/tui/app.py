"""The full-screen client: list on the left, chat on the right, one line that tells how the connection stands."""

from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Click, Resize
from textual.widgets import Static, TextArea

from cooee.cli.errors import explained
from cooee.cli.tui import heading
from cooee.cli.tui.composer import Composer
from cooee.cli.tui.conversation_list import ConversationList
from cooee.cli.tui.deeds import Deeds
from cooee.cli.tui.dialogs import Help
from cooee.cli.tui.finding import Jump, Search
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.memory import Remembered, remember
from cooee.cli.tui.message_list import MessageList
from cooee.cli.tui.paint import palette_of, text_of, theme_of
from cooee.cli.tui.palette import DARK, LIGHT, PALETTES, Line
from cooee.cli.tui.session import Session
from cooee.client import CooeeClientError
from cooee.domain.ids import is_direct

_FRAME_S = 0.04
_MINUTE_S = 20.0
_WATCH_S = 7.0
_SAVE_S = 2.0
NARROW, WIDE = 76, 130
"""Columns below which list and chat take turns, and from which the list is wider."""


class ChatApp(App[None]):
    """Shows a `Session`. Nothing here decides anything about messages."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "Cooee"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding("f1", "help", "Help", show=False, priority=True),
        Binding("question_mark", "help", "Help", show=False),
        Binding("ctrl+k", "jump", "Jump", show=False, priority=True),
        Binding("ctrl+n", "new", "New", show=False, priority=True),
        Binding("ctrl+f", "search", "Search", show=False, priority=True),
        Binding("ctrl+o", "details", "Details", show=False, priority=True),
        Binding("f2", "colours", "Light or dark", show=False, priority=True),
        Binding("f6", "cycle", "Next pane", show=False, priority=True),
        Binding("tab", "cycle", "Next pane", show=False),
        Binding("alt+up", "beside(-1)", "Chat before", show=False, priority=True),
        Binding("alt+down", "beside(1)", "Chat after", show=False, priority=True),
        Binding("escape", "out", "Back", show=False),
    ]
    _ALWAYS = frozenset({"quit", "colours"})

    def __init__(self, session: Session, remembered: Remembered, chat: str = "") -> None:
        super().__init__()
        self.session = session
        self._first_chat = chat
        self.book = session.book
        self.deeds = Deeds(self, session)
        self.reply: Bubble | None = None
        self.archive = False
        for palette in PALETTES.values():
            self.register_theme(theme_of(palette))
        self.theme = remembered.theme if remembered.theme in PALETTES else DARK.name
        self._remembered = remembered
        self._stale = True
        self._shown_chat = ""
        self._seen = 0

    @property
    def colour(self) -> bool:
        """Whether colour alone may say something."""
        return not self.no_color

    # --- building

    def compose(self) -> ComposeResult:
        """Make the panes."""
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield Static(id="me")
                yield ConversationList(self.book, colour=self.colour, id="list")
                yield Static(id="archive")
            with Vertical(id="right"):
                yield Static(id="header")
                yield MessageList(colour=self.colour, id="messages")
                yield Static(id="more")
                yield Static(id="reply")
                yield Composer(id="composer")
        yield Static(id="status")

    def on_mount(self) -> None:
        """Follow the session."""
        self.session.changed = self.change
        self.listing = self.query_one(ConversationList)
        self.messages = self.query_one(MessageList)
        self.composer = self.query_one(Composer)
        self.listing.focus()
        self.run_worker(self.session.follow(), group="follow", exit_on_error=True)
        self.run_worker(self._load(), group="load")
        self.set_interval(_FRAME_S, self.repaint)
        self.set_interval(_MINUTE_S, self.change)
        self.set_interval(_WATCH_S, self._watch)
        self.set_interval(_SAVE_S, self.save)

    async def _load(self) -> None:
        await self.session.load()
        if self._first_chat:
            await self.open_chat(self._first_chat)
        await self.session.watch()

    async def _watch(self) -> None:
        if self.book.connection.state == "online":
            await self.session.watch()

    def change(self) -> None:
        """Note that something to be seen has changed; it is painted with the next frame."""
        self._stale = True

    # --- painting

    def repaint(self) -> None:
        """Paint what has changed."""
        if not self._stale or not self.is_running:
            return
        self._stale = False
        now = datetime.now().astimezone()
        book, chat = self.book, self.session.chat
        order = book.listed(archived=self.archive)
        self.listing.show(order, chat, heading.empty_list(book, archived=self.archive))
        self._say("#me", heading.me_line(book, now))
        self._say("#archive", heading.archive_line(book, archived=self.archive))
        self._say("#status", heading.status_line(book, chat=bool(chat), ended=self.session.ended is not None))
        self.query_one("#right").set_class(not chat, "-empty")
        if not chat:
            if self._shown_chat or not self.messages.blocks.items:
                self.messages.clear("Choose a chat, or press Ctrl-N to begin one.")
            self._shown_chat = ""
            return
        self._say("#header", heading.chat_line(book, chat, now, self.query_one("#header").size.width))
        self._paint_chat(chat, now)

    def _paint_chat(self, chat: str, now: datetime) -> None:
        timeline = self.session.timeline
        if timeline is None or not timeline.loaded:
            return
        if self._shown_chat != chat:
            self._shown_chat = chat
            self.messages.clear()
        self.messages.show(self.session.items(now), named=not is_direct(chat))
        self._paint_more()

    def _paint_more(self) -> None:
        timeline, more = self.session.timeline, self.query_one("#more", Static)
        away = timeline is not None and timeline.loaded and (not timeline.at_end or not self.messages.following)
        more.display = away and bool(self.messages.blocks.items)
        if away:
            more.update(heading.more_text(self.book.view(self.session.chat).unread))

    def _say(self, selector: str, line: Line) -> None:
        self.query_one(selector, Static).update(text_of(palette_of(self.theme), line))

    def paint_reply(self) -> None:
        """Show what is being answered."""
        bar = self.query_one("#reply", Static)
        bar.display = self.reply is not None
        if self.reply is not None:
            bar.update(text_of(palette_of(self.theme), heading.reply_line(self.reply)))

    # --- the chat

    async def open_chat(self, chat: str) -> None:
        """Open a chat, with its draft."""
        self.keep_draft()
        self.reply = None
        self.paint_reply()
        if chat not in self.book.views:
            self.book.begin(chat)
        view = self.book.view(chat)
        if view.archived != self.archive:
            self.archive = view.archived
        self._seen = 0
        await self.session.open(chat)
        with self.prevent(TextArea.Changed):
            self.composer.text = self.book.drafts.get(chat, "")
        self.composer.move_cursor(self.composer.document.end)
        self.composer.placeholder = "You are no longer in this group" if view.left else "Write a message"
        self.screen.add_class("-chat")
        self.composer.focus()
        self.change()
        self.repaint()
        self.listing.move_to(chat)

    def close_chat(self) -> None:
        """Go back to the list."""
        self.keep_draft()
        self.screen.remove_class("-chat")
        if self.screen.has_class("-narrow"):
            self.session.leave()
        self.listing.focus()
        self.change()

    def keep_draft(self) -> None:
        """Keep what is written in the open chat."""
        if self.session.chat:
            self.book.draft(self.session.chat, self.composer.text)

    def save(self) -> None:
        """Write drafts and colours down, if they are others than before."""
        self.keep_draft()
        now = Remembered(self.theme, dict(self.book.drafts))
        if now != self._remembered:
            with suppress(OSError):  # a full disk must not end a chat; it is tried again
                remember(self.session.client.folder, now)
                self._remembered = now

    async def attempt(self, work_to_do: Awaitable[object]) -> bool:
        """Do something; tell the user kindly when it fails."""
        try:
            await work_to_do
        except (CooeeClientError, KeyError) as problem:
            told = "That message is no longer there." if isinstance(problem, KeyError) else explained(problem).message
            self.tell(told, bad=True)
            return False
        return True

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Say something in a corner."""
        self.notify(text, severity="error" if bad else "information", markup=False, timeout=6)

    # --- what the widgets tell

    @on(ConversationList.Chosen)
    async def _chosen(self, event: ConversationList.Chosen) -> None:
        await self.open_chat(event.conversation_id)

    @on(ConversationList.Flagged)
    def _flagged(self, event: ConversationList.Flagged) -> None:
        self.deeds.flag(event.conversation_id, event.what)

    @on(ConversationList.Looked)
    def _looked(self, event: ConversationList.Looked) -> None:
        self.run_worker(self.session.peek(event.conversation_ids), group="peek", exclusive=True)

    @on(MessageList.Seen)
    async def _read(self, event: MessageList.Seen) -> None:
        self._seen = event.number
        await self._mark_seen()

    async def _mark_seen(self) -> None:
        """Mark as read what somebody can have seen: not under a window, not while the terminal is not looked at."""
        if self._seen and self.app_focus and len(self.screen_stack) == 1 and self._shown_chat == self.session.chat:
            await self.attempt(self.session.seen(self._seen))

    async def on_app_focus(self) -> None:
        """Somebody looks again."""
        await self._mark_seen()

    @on(MessageList.Near)
    def _near(self, event: MessageList.Near) -> None:
        page = self.session.older() if event.end == "older" else self.session.newer()
        self.run_worker(page, group=event.end)

    @on(MessageList.Moved)
    async def _moved(self, event: MessageList.Moved) -> None:
        if event.wanted:
            await self.session.go_to(None)
            self.change()
        self._paint_more()

    @on(MessageList.Left)
    @on(Composer.Sent)
    async def _to_composer(self, event: MessageList.Left | Composer.Sent) -> None:
        if isinstance(event, Composer.Sent):
            await self._send(event.text)
        self.composer.focus()

    async def _send(self, text: str) -> None:
        answered = self.session.timeline.at(self.reply.number) if self.session.timeline and self.reply else None
        if await self.attempt(self.session.send(text, answered.message_id if answered else None)):
            with self.prevent(TextArea.Changed):
                self.composer.text = ""
            self.reply = None
            self.paint_reply()
            self.messages.action_end()
            self.repaint()

    @on(Composer.Left)
    def _left(self, event: Composer.Left) -> None:
        if event.where == "messages":
            self.messages.focus()
            self.messages.selected = ""
            self.messages.action_select(-1)
        else:
            self.action_out()

    @on(TextArea.Changed)
    async def _typed(self) -> None:
        await self.session.typed(self.composer.text)

    @on(MessageList.Wanted)
    async def _wanted(self, event: MessageList.Wanted) -> None:
        await self.deeds.message(event.what, event.about)

    @on(Click, "#more")
    def _to_end(self) -> None:
        self.messages.action_end()

    @on(Click, "#header")
    def _header_clicked(self) -> None:
        self.action_details()

    @on(Click, "#archive")
    def _archive_clicked(self) -> None:
        self.deeds.flag("", "show_archive")

    def on_resize(self, event: Resize) -> None:
        """Choose how many panes fit."""
        self.screen.set_class(event.size.width < NARROW, "-narrow")
        self.screen.set_class(event.size.width >= WIDE, "-wide")
        self.change()

    # --- actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to the window that is open."""
        return action in self._ALWAYS or len(self.screen_stack) <= 1 or action not in _OWN

    def action_out(self) -> None:
        """Close the innermost thing."""
        if self.reply is not None:
            self.reply = None
            self.paint_reply()
        elif self.messages.has_focus:
            self.messages.selected = ""
            self.composer.focus()
        elif self.session.chat:
            self.close_chat()

    async def action_help(self) -> None:
        """Show keys and signs."""
        inks = palette_of(self.theme).inks
        await self.push_screen(Help((inks["accent"], inks["read"])))

    @work
    async def action_jump(self) -> None:
        """Jump to a chat."""
        chat = await self.push_screen_wait(Jump(self.book))
        if chat:
            await self.open_chat(chat)

    @work
    async def action_search(self) -> None:
        """Search the messages on this machine."""
        found = await self.push_screen_wait(Search(self.session))
        if not found:
            return
        chat, _, number = found.rpartition(" ")
        if chat != self.session.chat:
            await self.open_chat(chat)
        await self.deeds.show(int(number))

    def action_new(self) -> None:
        """Begin a chat or a group."""
        self.deeds.new()

    def action_details(self) -> None:
        """Look at the person or the group."""
        if self.session.chat:
            self.deeds.details()

    def action_colours(self) -> None:
        """Change between light and dark."""
        self.theme = LIGHT.name if palette_of(self.theme).dark else DARK.name
        self.change()
        self.paint_reply()

    def action_cycle(self) -> None:
        """Go to the next pane."""
        panes = [self.listing, self.messages, self.composer] if self.session.chat else [self.listing]
        panes = [pane for pane in panes if pane.display and pane.size.height] or [self.listing]
        at = next((at for at, pane in enumerate(panes) if pane.has_focus), -1)
        panes[(at + 1) % len(panes)].focus()

    async def action_beside(self, by: int) -> None:
        """Open the chat before or after this one."""
        order = self.listing.order
        if order:
            at = order.index(self.session.chat) + by if self.session.chat in order else 0
            await self.open_chat(order[min(max(at, 0), len(order) - 1)])

    async def action_quit(self) -> None:
        """Quit; what was written is kept."""
        self.save()
        self.exit()


_OWN = frozenset(
    {"help", "jump", "new", "search", "details", "cycle", "beside", "out"},
)
