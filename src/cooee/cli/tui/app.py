"""The full-screen client: list on the left, chat on the right, one line that tells how the connection stands."""

from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Click, Resize
from textual.widgets import TextArea

from cooee.cli.errors import CliError, explained
from cooee.cli.tui import heading
from cooee.cli.tui.composer import Composer
from cooee.cli.tui.conversation_list import ConversationList
from cooee.cli.tui.deeds import Deeds
from cooee.cli.tui.dialogs import Help
from cooee.cli.tui.files import asked_file
from cooee.cli.tui.finding import Jump, Search
from cooee.cli.tui.memory import Remembered, remember
from cooee.cli.tui.message_list import MessageList
from cooee.cli.tui.paint import palette_of, theme_of
from cooee.cli.tui.palette import DARK, LIGHT, PALETTES
from cooee.cli.tui.panes import Bar, ChatPane, ListPane
from cooee.cli.tui.session import Session
from cooee.client import CooeeClientError

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
        Binding("ctrl+t", "attach", "Send a file", show=False, priority=True),
        Binding("ctrl+l", "link", "Link a device", show=False, priority=True),
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
        self.left = ListPane(session, colour=not self.no_color)
        self.right = ChatPane(session, colour=not self.no_color)
        self.status = Bar(id="status")
        for palette in PALETTES.values():
            self.register_theme(theme_of(palette))
        self.theme = remembered.theme if remembered.theme in PALETTES else DARK.name
        self._remembered = remembered
        self._stale = True
        self._seen = 0

    # --- building

    def compose(self) -> ComposeResult:
        """Make the panes."""
        with Horizontal(id="panes"):
            yield self.left
            yield self.right
        yield self.status

    def on_mount(self) -> None:
        """Follow the session."""
        self.session.changed = self.change
        self.left.rows.focus()
        self.run_worker(self.session.follow(), group="follow", exit_on_error=True)
        self.run_worker(self._load(), group="load")
        self.set_interval(_FRAME_S, self._frame)
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
        self.left.paint(now)
        self.right.paint(now)
        chat, ended = bool(self.session.chat), self.session.ended is not None
        self.status.say(heading.status_line(self.book, chat=chat, ended=ended))

    # --- the chat

    async def open_chat(self, chat: str) -> None:
        """Open a chat, with its draft."""
        self.keep_draft()
        self.right.answer(None)
        if chat not in self.book.views:
            self.book.begin(chat)
        self.left.archived = self.book.view(chat).archived
        self._seen = 0
        await self.session.open(chat)
        self.run_worker(self.session.older(), group="older")
        self.run_worker(self.session.learn_peer(), group="peer")
        self.right.write(self.book.drafts.get(chat, ""))
        self.screen.add_class("-chat")
        self.right.composer.focus()
        self.change()
        self.repaint()
        self.left.rows.move_to(chat)

    def close_chat(self) -> None:
        """Go back to the list."""
        self.keep_draft()
        self.screen.remove_class("-chat")
        if self.screen.has_class("-narrow"):
            self.session.leave()
        self.left.rows.focus()
        self.change()

    def keep_draft(self) -> None:
        """Keep what is written in the open chat."""
        if self.session.chat:
            self.book.draft(self.session.chat, self.right.written)

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
        except (CooeeClientError, CliError, KeyError) as problem:
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
    def _read(self, event: MessageList.Seen) -> None:
        self._seen = event.number

    async def _frame(self) -> None:
        """Paint, and mark as read what somebody sees: not under a window, not while the terminal is not looked at."""
        self.repaint()
        looked_at = self.app_focus and len(self.screen_stack) == 1 and self.right.shown == self.session.chat
        if self._seen and looked_at:
            seen, self._seen = self._seen, 0
            await self.attempt(self.session.seen(seen))

    @on(MessageList.Near)
    def _near(self, event: MessageList.Near) -> None:
        page = self.session.older() if event.end == "older" else self.session.newer()
        self.run_worker(page, group=event.end)

    @on(MessageList.Moved)
    async def _moved(self, event: MessageList.Moved) -> None:
        if event.wanted:
            await self.session.go_to(None)
            self.change()
        self.right.paint_more()

    @on(MessageList.Left)
    def _to_composer(self) -> None:
        self.right.composer.focus()

    @on(Composer.Sent)
    async def _send(self, event: Composer.Sent) -> None:
        self.right.answer(None)
        asked = asked_file(event.text)
        if event.edited:
            if not await self.attempt(self.session.edit(event.chat, event.edited, event.text)):
                self._give_back(event.chat, event.text)
        elif asked is not None:
            self._send_file(event.chat, *asked)
        elif not await self.attempt(self.session.send(event.chat, event.text, event.answered)):
            self._give_back(event.chat, event.text)
        self.save()  # a draft that has been sent must not come back
        self.right.messages.action_end()
        self.repaint()

    def _send_file(self, chat: str, path: str, caption: str) -> None:
        """Send the file that was named, or ask for one."""
        if path:
            self.deeds.send_file(chat, path, caption)
        else:
            self.deeds.attach()

    def _give_back(self, chat: str, text: str) -> None:
        """Put a text that was not taken back where it was written, before what was written since."""
        if chat == self.session.chat:
            self.right.write("\n".join(part for part in (text, self.right.written) if part))
        else:
            self.book.draft(chat, "\n".join(part for part in (text, self.book.drafts.get(chat, "")) if part))

    @on(Composer.Left)
    def _left(self, event: Composer.Left) -> None:
        if event.where == "messages":
            self.right.messages.focus()
            self.right.messages.selected = ""
            self.right.messages.action_select(-1)
        else:
            self.action_out()

    @on(TextArea.Changed)
    async def _typed(self) -> None:
        await self.session.typed(self.right.composer.text)

    @on(MessageList.Wanted)
    async def _wanted(self, event: MessageList.Wanted) -> None:
        await self.deeds.message(event.what, event.about)

    @on(Click, "#more")
    def _to_end(self) -> None:
        self.right.messages.action_end()

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
        if self.right.answering:
            edited = bool(self.right.composer.edited)
            self.right.answer(None)
            if edited:
                self.right.write("")
        elif self.right.messages.has_focus:
            self.right.messages.selected = ""
            self.right.composer.focus()
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

    def action_attach(self) -> None:
        """Send a file to the open chat."""
        if self.session.chat:
            self.deeds.attach()

    def action_link(self) -> None:
        """Link this device, or another one."""
        self.deeds.secrecy.link()

    def action_details(self) -> None:
        """Look at the person or the group."""
        if self.session.chat:
            self.deeds.details()

    def action_colours(self) -> None:
        """Change between light and dark."""
        self.theme = LIGHT.name if palette_of(self.theme).dark else DARK.name
        self.change()

    def action_cycle(self) -> None:
        """Go to the next pane."""
        panes = [self.left.rows, self.right.messages, self.right.composer] if self.session.chat else [self.left.rows]
        panes = [pane for pane in panes if pane.display and pane.size.height] or [self.left.rows]
        at = next((at for at, pane in enumerate(panes) if pane.has_focus), -1)
        panes[(at + 1) % len(panes)].focus()

    async def action_beside(self, by: int) -> None:
        """Open the chat before or after this one."""
        order = self.left.rows.order
        if order:
            at = order.index(self.session.chat) + by if self.session.chat in order else 0
            await self.open_chat(order[min(max(at, 0), len(order) - 1)])

    async def action_quit(self) -> None:
        """Quit; what was written is kept."""
        self.save()
        self.exit()


_OWN = frozenset(
    {"help", "jump", "new", "search", "attach", "details", "link", "cycle", "beside", "out"},
)
