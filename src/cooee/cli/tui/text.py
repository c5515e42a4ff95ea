"""Text as a terminal may be trusted with it: cleaned, cut and wrapped by columns; days and times as people say them.

Pure. What others wrote comes through `clean` or `one_line` before anything else looks at it.
"""

import unicodedata
from datetime import date, datetime, timedelta

from rich.cells import cell_len, chop_cells, set_cell_size

from cooee.cli.render import safe

_JOINER, _NON_JOINER, _EMOJI_LOOK = "\u200d", "\u200c", "\ufe0f"
_MARKS = frozenset({"Mn", "Me", "Mc"})
_MOST_MARKS = 4
"""Combining marks on one character; more would climb out of their line."""


def clean(text: str) -> str:
    r"""Return ``text`` with controls and direction changes written out, and nothing that has no width of its own.

    Line breaks stay; tabs become a space. A joiner stays between emoji only: elsewhere terminals differ in widths.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown: list[str] = []
    marks = 0
    visible = safe(text, indent="")
    for at, character in enumerate(visible):
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if marks > _MOST_MARKS:
            continue
        if category == "Cf" and character != _NON_JOINER and not (character == _JOINER and _joins(visible, at)):
            continue
        shown.append(character)
    return "".join(shown)


def _joins(text: str, at: int) -> bool:
    """Tell whether the joiner at ``at`` stands between two emoji."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return (before == _EMOJI_LOOK or _is_pictorial(before)) and _is_pictorial(after)


def _is_pictorial(character: str) -> bool:
    return bool(character) and unicodedata.category(character) in ("So", "Sk")


def one_line(text: str, most: int = 200) -> str:
    """Return the beginning of ``text`` cleaned and without breaks: at most ``most`` characters are looked at."""
    return " ".join(clean(text[:most]).split())


def cells(text: str) -> int:
    """Return how many columns ``text`` takes."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[: max(width, 0)]
    kept = text[: width - 1] if text.isascii() else set_cell_size(text, width - 1).rstrip()
    return kept.rstrip() + "…"


def fill(text: str, width: int) -> str:
    """Return ``text`` in exactly ``width`` columns."""
    clipped = clip(text, width)
    return clipped + " " * (width - cells(clipped))


def wrap(text: str, width: int, most: int) -> tuple[list[str], bool]:
    """Return cleaned ``text`` in lines of at most ``width`` columns, at most ``most``, and whether that is all of it.

    Broken at spaces where possible; the work is bounded by what is returned, not by the length of the text.
    """
    budget = (most + 1) * (width + 1) * 2
    beginning = clean(text[:budget])
    lines: list[str] = []
    for paragraph in beginning.split("\n"):
        for line in _paragraph(paragraph, max(width, 1)):
            if len(lines) == most:
                return lines, False
            lines.append(line)
    return lines, len(text) <= budget


def _paragraph(text: str, width: int) -> list[str]:
    if cells(text) <= width:
        return [text]
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        wide = cells(word)
        if used and used + 1 + wide <= width:
            line, used = f"{line} {word}", used + 1 + wide
            continue
        if used:
            lines.append(line)
        pieces = chop_cells(word, width) if wide > width else [word]
        lines += pieces[:-1]
        line, used = pieces[-1], cells(pieces[-1])
    return [*lines, line]


# --- days and times ---------------------------------------------------------------------------------------------------


def local(timestamp_ms: int, now: datetime) -> datetime:
    """Return a time in the zone of ``now``; the epoch for what no calendar has."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000).astimezone(now.tzinfo)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).astimezone(now.tzinfo)


def minute(timestamp_ms: int, now: datetime) -> str:
    """Return the time of day."""
    return local(timestamp_ms, now).strftime("%H:%M")


def day(when: date, today: date) -> str:
    """Return a day as people say it, for a separator between messages."""
    if when == today:
        return "Today"
    if when == today - timedelta(days=1):
        return "Yesterday"
    if timedelta() < today - when < timedelta(days=7):
        return f"{when:%A}"
    return f"{when:%A}, {when.day} {when:%B}" + ("" if when.year == today.year else f" {when.year}")


def short_time(timestamp_ms: int, now: datetime) -> str:
    """Return when something happened in at most ten columns: the minute, the day of the week, or the date."""
    if timestamp_ms <= 0:
        return ""
    when = local(timestamp_ms, now)
    if when.date() == now.date():
        return f"{when:%H:%M}"
    if timedelta() < now.date() - when.date() < timedelta(days=7):
        return f"{when:%a}"
    return f"{when.day} {when:%b}" if when.year == now.year else f"{when:%Y-%m-%d}"


def long_time(timestamp_ms: int, now: datetime) -> str:
    """Return a day and a minute, for the middle of a sentence."""
    when = local(timestamp_ms, now)
    name = day(when.date(), now.date())
    return f"{name.lower() if name in ('Today', 'Yesterday') else name} at {when:%H:%M}"


def last_seen(timestamp_ms: int | None, now: datetime) -> str:
    """Return when somebody was there last; empty when that is not told."""
    if timestamp_ms is None:
        return ""
    if now.timestamp() * 1000 - timestamp_ms < 60_000:
        return "last seen just now"
    return f"last seen {long_time(timestamp_ms, now)}"


def several(count: int, one: str, many: str = "") -> str:
    """Return ``count`` with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
