"""The list of conversations. Only the rows on the screen are made, however many there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message as Told
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cooee.cli.tui.book import Book
from cooee.cli.tui.paint import palette_of, strip_of
from cooee.cli.tui.palette import Line, Span
from cooee.cli.tui.rows import HEIGHT, lines, row_of


class ConversationList(ScrollView, can_focus=True):
    """The rows of ``book``; the cursor stays on its conversation when the order changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Ten up", show=False),
        Binding("pagedown", "move(10)", "Ten down", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
        Binding("enter,right,space", "choose", "Open", show=False),
        Binding("p", "flag('pin')", "Pin", show=False),
        Binding("m", "flag('mute')", "Mute", show=False),
        Binding("a", "flag('archive')", "Archive", show=False),
        Binding("r", "flag('read')", "Mark read", show=False),
        Binding("z", "flag('show_archive')", "Show the archive", show=False),
    ]

    class Chosen(Told):
        """A conversation is to be opened."""

        def __init__(self, conversation_id: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    class Flagged(Told):
        """Something is to be done with a conversation: pin, mute, archive, read; or the archive is to be shown."""

        def __init__(self, conversation_id: str, what: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id
            self.what = what

    class Looked(Told):
        """These conversations are on the screen."""

        def __init__(self, conversation_ids: Sequence[str]) -> None:
            super().__init__()
            self.conversation_ids = conversation_ids

    def __init__(self, book: Book, *, colour: bool, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self.order: list[str] = []
        self.opened = ""
        self.cursor = ""
        self._book = book
        self._colour = colour
        self._empty = ""
        self._rows: dict[str, tuple[Line, ...]] = {}
        self._looked: tuple[str, ...] = ()

    def show(self, order: list[str], opened: str, empty: str) -> None:
        """Show conversations in this order; ``opened`` is the open one, ``empty`` what stands there when none is."""
        self.order = order
        self.opened = opened
        self._empty = empty
        self._rows = {}
        if self.cursor not in order:
            self.cursor = opened if opened in order else order[0] if order else ""
        height = len(order) * HEIGHT
        if height != self.virtual_size.height:
            self.virtual_size = Size(0, height)
        self.refresh()
        self._look()

    def move_to(self, conversation_id: str) -> None:
        """Put the cursor on a conversation and bring it into sight."""
        if conversation_id in self.order:
            self.cursor = conversation_id
            self._rows = {}
            self._into_sight()
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen."""
        palette, width = palette_of(self.app.theme), self.size.width
        at, part = divmod(self.scroll_offset.y + y, HEIGHT)
        if at >= len(self.order):
            middle = not self.order and y == 1
            return strip_of(palette, (Span(f"  {self._empty}", "muted", "list"),) if middle else (), width, "list")
        chat = self.order[at]
        if chat not in self._rows:
            row = row_of(self._book, chat, datetime.now().astimezone(), opened=chat == self.opened)
            chosen = chat == (self.cursor if self.has_focus else self.opened)
            self._rows[chat] = lines(row, width, chosen=chosen, focused=self.has_focus, colour=self._colour)
        return strip_of(palette, self._rows[chat][part], width, "list")

    # --- keys and mouse

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        if self.order:
            at = self.order.index(self.cursor) if self.cursor in self.order else 0
            self.move_to(self.order[min(max(at + by, 0), len(self.order) - 1)])

    def action_choose(self) -> None:
        """Open the conversation under the cursor."""
        if self.cursor:
            self.post_message(self.Chosen(self.cursor))

    def action_flag(self, what: str) -> None:
        """Ask for something to be done with the conversation under the cursor."""
        if self.cursor or what == "show_archive":
            self.post_message(self.Flagged(self.cursor, what))

    def on_click(self, event: Click) -> None:
        """Open what is clicked on."""
        at = (self.scroll_offset.y + event.y) // HEIGHT
        if at < len(self.order):
            self.move_to(self.order[at])
            self.action_choose()

    # --- what Textual tells

    def on_focus(self) -> None:
        """Show the cursor."""
        self._rows = {}

    def on_blur(self) -> None:
        """Show the open conversation instead of the cursor."""
        self._rows = {}

    def on_resize(self, event: Resize) -> None:
        """Lay the rows out anew."""
        self._rows = {}
        self._into_sight()
        self._look()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell what is on the screen now."""
        super().watch_scroll_y(old_value, new_value)
        self._look()

    def _into_sight(self) -> None:
        if self.cursor not in self.order:
            return
        top = self.order.index(self.cursor) * HEIGHT
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + HEIGHT > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + HEIGHT - self.size.height, animate=False, immediate=True)

    def _look(self) -> None:
        first = self.scroll_offset.y // HEIGHT
        looked = tuple(self.order[first : first + self.size.height // HEIGHT + 1])
        if looked != self._looked:
            self._looked = looked
            self.post_message(self.Looked(looked))
