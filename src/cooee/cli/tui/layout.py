"""Items as styled lines in a given width: bubbles left and right, ticks in the last line's free space. Pure.

`Blocks` keeps what was laid out, so that a new message costs one bubble and not the whole window.
"""

import bisect
from datetime import datetime
from typing import NamedTuple

from cooee.cli.tui.items import Bubble, Item, Notice
from cooee.cli.tui.palette import Line, Span, name_ink
from cooee.cli.tui.rows import TICKS
from cooee.cli.tui.text import cells, clip, minute, one_line, wrap

FOLDED_AT = 24
"""Lines of a message that are shown in the list; the whole text is one key away."""

WIDEST = 65
_MARGIN = 2


class Looks(NamedTuple):
    """How to lay out: columns, whether the senders are named, whether colour alone may say something, and when."""

    width: int
    named: bool
    colour: bool
    now: datetime


def block(item: Item, looks: Looks) -> tuple[Line, ...]:
    """Return the lines of an item."""
    return _notice(item, looks) if isinstance(item, Notice) else _bubble(item, looks)


def _notice(notice: Notice, looks: Looks) -> tuple[Line, ...]:
    width = looks.width
    if notice.kind == "event":
        lines, _ = wrap(notice.text, max(width - 8, 10), 6)
        centred = tuple((Span(" " * max((width - cells(line)) // 2, 0)), Span(line, "muted")) for line in lines)
        return ((), *centred)
    ink = "accent" if notice.kind == "unread" else "muted"
    text = f" {clip(notice.text, width - 6)} "
    left = max((width - cells(text)) // 2, 1)
    right = max(width - left - cells(text), 1)
    rule = "accent" if notice.kind == "unread" else "line"
    return (), (Span("─" * left, rule), Span(text, ink, bold=notice.kind == "unread"), Span("─" * right, rule))


def _bubble(bubble: Bubble, looks: Looks) -> tuple[Line, ...]:
    widest = max(min(WIDEST, (looks.width - 2 * _MARGIN) * 4 // 5), 10)
    ground = "own" if bubble.own else "other"
    content = _content(bubble, widest, ground)
    tail = _tail(bubble, looks, ground)
    tail_width = sum(cells(span.text) for span in tail)
    head = _head(bubble, looks, widest, ground)
    last = _width(content[-1])
    fits = last + 2 + tail_width <= widest
    inner = max(_width(line) for line in [*head, *content])
    inner = max(inner, last + 2 + tail_width if fits else tail_width)
    lines = [*head, *content]
    if bubble.reactions:
        lines[-1:] = [*content[-1:], (Span(clip(bubble.reactions, widest), "accent", ground),)]
        last = _width(lines[-1])
        fits = last + 2 + tail_width <= widest
        inner = max(inner, last + 2 + tail_width if fits else max(last, tail_width))
    if not fits:
        lines.append(())
    lines = [_stretch(line, inner, ground) for line in lines[:-1]] + [_tailed(lines[-1], tail, inner, ground)]
    box = inner + 2
    left = looks.width - _MARGIN - box if bubble.own else _MARGIN
    pad, edge = Span(" " * max(left, 0)), Span(" ", "text", ground)
    boxed = tuple((pad, edge, *line, edge) for line in lines)
    air: tuple[Line, ...] = () if bubble.joined else ((),)
    return (*air, *boxed, *_failure(bubble, looks))


def _head(bubble: Bubble, looks: Looks, widest: int, ground: str) -> list[Line]:
    head: list[Line] = []
    if looks.named and not bubble.own and not bubble.joined:
        head.append((Span(clip(one_line(bubble.sender), widest), name_ink(bubble.sender), ground, bold=True),))
    if bubble.quote is not None:
        who, what = bubble.quote
        name = f"{one_line(who)}: " if who else ""
        act = f"quoted:{bubble.number}" if bubble.number else ""
        text = clip(f"{name}{what}", widest - 2)
        head.append((Span("▎ ", "accent", ground), Span(text, "muted", ground, italic=True, act=act)))
    return head


def _content(bubble: Bubble, widest: int, ground: str) -> list[Line]:
    if not bubble.plain:
        return [(Span(clip(bubble.content, widest), "muted", ground, italic=True),)]
    key = bubble.number or bubble.client_message_id
    shown: list[Line] = []
    if bubble.file:
        shown.append((Span(clip(bubble.file, widest), "accent", ground, act=f"file:{key}"),))
        if not bubble.content:
            return shown
    lines, whole = wrap(bubble.content, widest, FOLDED_AT)
    shown += [(Span(line, "text", ground),) for line in lines] or [(Span("", "text", ground),)]
    if not whole:
        more = clip(f"… {len(bubble.content):,} characters; Enter shows all", widest)
        shown.append((Span(more, "accent", ground, act=f"open:{key}"),))
    return shown


def _tail(bubble: Bubble, looks: Looks, ground: str) -> Line:
    when = Span(f"{bubble.marks} {minute(bubble.timestamp, looks.now)}".lstrip(), "muted", ground)
    if not bubble.status:
        return (when,)
    ink = {"read": "read", "failed": "danger"}.get(bubble.status, "muted")
    mark = TICKS[bubble.status] + (" read" if bubble.status == "read" and not looks.colour else "")
    return when, Span(f" {mark}", ink, ground, bold=bubble.status in ("read", "failed"))


def _failure(bubble: Bubble, looks: Looks) -> tuple[Line, ...]:
    """Say under a failed message why, and offer to send it again."""
    if bubble.status != "failed":
        return ()
    again = Span("[ send again ]", "accent", bold=True, act=f"retry:{bubble.client_message_id}")
    discard = Span("[ discard ]", "muted", act=f"discard:{bubble.client_message_id}")
    buttons = cells(again.text) + 1 + cells(discard.text)
    width = looks.width - _MARGIN
    reason = clip(f"Not sent: {one_line(bubble.reason, 300)}", width)
    lines: list[Line] = [(Span(" " * max(width - cells(reason), 0)), Span(reason, "danger"))]
    lines.append((Span(" " * max(width - buttons, 0)), again, Span(" "), discard))
    return tuple(lines)


def _width(line: Line) -> int:
    return sum(cells(span.text) for span in line)


def _stretch(line: Line, width: int, ground: str) -> Line:
    missing = width - _width(line)
    return (*line, Span(" " * missing, "text", ground)) if missing > 0 else line


def _tailed(line: Line, tail: Line, width: int, ground: str) -> Line:
    missing = width - _width(line) - _width(tail)
    return (*line, Span(" " * max(missing, 0), "text", ground), *tail)


class Blocks:
    """The laid out items of a window, their lines numbered from 0 on."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.starts: list[int] = [0]
        self._lines: list[tuple[Line, ...]] = []
        self._kept: dict[str, tuple[Item, tuple[Line, ...]]] = {}
        self._looks: Looks | None = None

    @property
    def height(self) -> int:
        """How many lines there are."""
        return self.starts[-1]

    def lay_out(self, items: list[Item], looks: Looks) -> None:
        """Take new items; what did not change is not laid out again."""
        if self._looks is None or looks._replace(now=self._looks.now) != self._looks:
            self._kept = {}
        self._looks = looks
        kept: dict[str, tuple[Item, tuple[Line, ...]]] = {}
        self._lines, self.starts, self.items = [], [0], items
        for item in items:
            known = self._kept.get(item.key)
            lines = known[1] if known is not None and known[0] == item else block(item, looks)
            kept[item.key] = (item, lines)
            self._lines.append(lines)
            self.starts.append(self.starts[-1] + len(lines))
        self._kept = kept

    def at(self, line: int) -> int | None:
        """Return the index of the item that a line belongs to, or None below and above all."""
        return bisect.bisect_right(self.starts, line) - 1 if 0 <= line < self.height else None

    def line(self, number: int) -> Line:
        """Return a line; an empty one where there is none."""
        at = self.at(number)
        return () if at is None else self._lines[at][number - self.starts[at]]

    def find(self, key: str) -> int | None:
        """Return the index of an item."""
        return next((at for at, item in enumerate(self.items) if item.key == key), None)

    def seen(self, top: int, height: int) -> int:
        """Return the highest number whose end is on a screen of ``height`` lines from ``top`` on; 0 for none.

        A message taller than the screen counts while it fills the screen.
        """
        bottom = top + height
        at = self.at(min(bottom, self.height) - 1)
        while at is not None and at >= 0:
            ends_in_sight = top < self.starts[at + 1] <= bottom
            fills = self.starts[at] <= top and self.starts[at + 1] >= bottom
            item = self.items[at]
            waiting = isinstance(item, Bubble) and item.waiting
            if (ends_in_sight or fills) and item.number and not waiting:
                return item.number
            if self.starts[at + 1] <= top:
                break
            at -= 1
        return 0
