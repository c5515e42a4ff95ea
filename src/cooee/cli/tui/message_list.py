"""The messages of the open chat: a screen's worth of lines out of a window that is laid out once."""

from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message as Told
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cooee.cli.tui.items import Bubble, Item
from cooee.cli.tui.layout import Blocks, Looks
from cooee.cli.tui.paint import palette_of, strip_of, style_of
from cooee.cli.tui.palette import Line, Span
from cooee.cli.tui.text import cells

_NEAR = 30
"""Lines from an end of the window at which the next page is asked for."""


class MessageList(ScrollView, can_focus=True):
    """Items in lines. Stays at the end while it is there; else what is being read does not move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "Up", show=False),
        Binding("down,j", "select(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "beginning", "Oldest loaded", show=False),
        Binding("end,G", "end", "Newest", show=False),
        Binding("enter", "act('enter')", "Show", show=False),
        Binding("i", "act('open')", "Show", show=False),
        Binding("o", "act('file')", "Open the file", show=False),
        Binding("r", "act('reply')", "Reply", show=False),
        Binding("c,y", "act('copy')", "Copy", show=False),
        Binding("a,plus", "act('react')", "React", show=False),
        Binding("e", "act('edit')", "Edit", show=False),
        Binding("d,delete", "act('delete')", "Delete", show=False),
        Binding("s", "act('retry')", "Send again", show=False),
        Binding("x", "act('discard')", "Discard", show=False),
    ]

    class Seen(Told):
        """The messages up to ``number`` are on the screen."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Near(Told):
        """An end of the window comes near: ``older`` or ``newer``."""

        def __init__(self, end: str) -> None:
            super().__init__()
            self.end = end

    class Wanted(Told):
        """Something is to be done with a message.

        ``what`` is enter (the file, or all of the text), open, file, reply, react, edit, copy, delete, retry, discard
        or quoted.
        """

        def __init__(self, what: str, about: Bubble) -> None:
            super().__init__()
            self.what = what
            self.about = about

    class Moved(Told):
        """The view moved, or came to the end; ``End`` was pressed with ``wanted``."""

        def __init__(self, *, wanted: bool = False) -> None:
            super().__init__()
            self.wanted = wanted

    class Left(Told):
        """The cursor went below the last message."""

    def __init__(self, *, colour: bool, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self.blocks = Blocks()
        self.following = True
        self.selected = ""
        self._colour = colour
        self._named = False
        self._empty = ""
        self._shown: list[Item] = []
        self._fresh = True

    def clear(self, empty: str = "") -> None:
        """Show nothing but a sentence."""
        self._empty = empty
        self._fresh = True
        self.selected = ""
        self._lay_out([], named=False)

    def show(self, shown: list[Item], *, named: bool) -> None:
        """Show items; ``named``: the senders are named, as in groups."""
        fresh, self._fresh = self._fresh and bool(shown), self._fresh and not shown
        self._empty = ""
        self._lay_out(shown, named=named)
        if fresh:
            self._begin()
        self._report()

    def _lay_out(self, shown: list[Item], *, named: bool) -> None:
        anchor = self._anchor()
        self._shown, self._named = shown, named
        self.blocks.lay_out(shown, Looks(max(self.size.width, 20), named, self._colour, datetime.now().astimezone()))
        following = self.following
        if self.blocks.height != self.virtual_size.height:
            self.virtual_size = Size(0, self.blocks.height)
        if following:
            self._scroll(self.max_scroll_y)
        elif anchor is not None:
            at = self.blocks.find(anchor[0])
            if at is not None:
                self._scroll(self.blocks.starts[at] + anchor[1])
        self.following = following
        self.refresh()

    def _begin(self) -> None:
        """Stand where the unread begins, else at the end."""
        self.following = True
        unread = self.blocks.find("unread")
        self._scroll(self.max_scroll_y)
        if unread is not None and self.blocks.starts[unread] < self.max_scroll_y:
            self._scroll(self.blocks.starts[unread])
            self.following = False

    def _anchor(self) -> tuple[str, int] | None:
        """Return what stands in the first line, and how far it is scrolled out."""
        at = self.blocks.at(self.scroll_offset.y)
        return None if at is None else (self.blocks.items[at].key, self.scroll_offset.y - self.blocks.starts[at])

    def _scroll(self, y: float) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def go_to(self, key: str) -> None:
        """Select a message and bring it into sight."""
        at = self.blocks.find(key)
        if at is not None:
            self.selected = key
            self.following = False
            self._into_sight(at)
            self.refresh()

    @property
    def _above(self) -> int:
        """Empty lines above what does not fill the screen."""
        return max(self.size.height - self.blocks.height, 0)

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen."""
        palette, width = palette_of(self.app.theme), self.size.width
        if not self.blocks.items:
            middle = self._empty and y == self.size.height // 2
            left = " " * max((width - cells(self._empty)) // 2, 0)
            return strip_of(palette, (Span(left + self._empty, "muted"),) if middle else (), width)
        number = self.scroll_offset.y + y - self._above
        strip = strip_of(palette, self._line(number), width)
        at = self.blocks.at(number)
        if at is not None and self.has_focus and self.blocks.items[at].key == self.selected and strip_is_text(strip):
            mark = Strip([Segment("▌", style_of(palette, Span("", "accent")))])
            return Strip.join([mark, strip.crop(1)])
        return strip

    def _line(self, number: int) -> Line:
        return self.blocks.line(number) if number >= 0 else ()

    # --- keys and mouse

    def action_select(self, by: int) -> None:
        """Select the next message; the last one at first."""
        bubbles = [at for at, item in enumerate(self.blocks.items) if isinstance(item, Bubble)]
        if not bubbles:
            self.post_message(self.Left())
            return
        keys = [self.blocks.items[at].key for at in bubbles]
        place = keys.index(self.selected) + by if self.selected in keys else len(keys) - 1
        if place >= len(keys):
            self.post_message(self.Left())
            return
        place = max(place, 0)
        self.selected = keys[place]
        self._into_sight(bubbles[place])
        self.refresh()

    def _into_sight(self, at: int) -> None:
        top, bottom = self.blocks.starts[at], self.blocks.starts[at + 1]
        if top < self.scroll_offset.y:
            self._scroll(top)
        elif bottom > self.scroll_offset.y + self.size.height:
            self._scroll(min(bottom - self.size.height, top))

    def action_page(self, by: int) -> None:
        """Turn the page."""
        self._scroll(self.scroll_offset.y + by * max(self.size.height - 2, 1))

    def action_beginning(self) -> None:
        """Go to the oldest message that is loaded."""
        self._scroll(0)

    def action_end(self) -> None:
        """Go to the newest message."""
        self.selected = ""
        self.following = True
        self._scroll(self.max_scroll_y)
        self.post_message(self.Moved(wanted=True))

    def action_act(self, what: str) -> None:
        """Ask for something to be done with the selected message."""
        at = self.blocks.find(self.selected)
        item = None if at is None else self.blocks.items[at]
        if isinstance(item, Bubble):
            self.post_message(self.Wanted(what, item))

    def on_click(self, event: Click) -> None:
        """Do what is clicked on, or select the message."""
        number = self.scroll_offset.y + event.y - self._above
        at = self.blocks.at(number)
        item = None if at is None else self.blocks.items[at]
        if not isinstance(item, Bubble):
            return
        self.selected = item.key
        what = act_at(self._line(number), event.x).partition(":")[0]
        if what:
            self.post_message(self.Wanted(what, item))
        self.refresh()

    # --- what Textual tells

    def on_resize(self, event: Resize) -> None:
        """Lay everything out anew, and keep the place."""
        self._lay_out(self._shown, named=self._named)
        self._report()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the view."""
        super().watch_scroll_y(old_value, new_value)
        self.following = self.scroll_offset.y >= self.max_scroll_y
        self._report()

    def _report(self) -> None:
        """Tell what is on the screen, and which end is near."""
        if not self.blocks.items or not self.size.height:
            return
        top = self.scroll_offset.y
        seen = self.blocks.seen(top, self.size.height)
        if seen:
            self.post_message(self.Seen(seen))
        if top < _NEAR:
            self.post_message(self.Near("older"))
        if top + self.size.height > self.blocks.height - _NEAR:
            self.post_message(self.Near("newer"))
        self.post_message(self.Moved())


def act_at(line: Line, x: int) -> str:
    """Return what a click on column ``x`` of a line does; empty: nothing of its own."""
    for span in line:
        x -= cells(span.text)
        if x < 0:
            return span.act
    return ""


def strip_is_text(strip: Strip) -> bool:
    """Tell whether a strip shows anything."""
    return bool(strip.text.strip())
