"""Colours by role, light and dark: text on its ground is at least 4.5:1, marks 3:1. Pure.

A `Span` names what it stands on and what it is written in; no colour is named anywhere else.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

NAMES = 6
"""How many hues tell the senders of a group apart."""


class Span(NamedTuple):
    """A piece of a line. ``ground`` and ``ink`` are roles; ``act`` is what a click on it does, as ``verb:argument``."""

    text: str
    ink: str = "text"
    ground: str = "page"
    bold: bool = False
    italic: bool = False
    act: str = ""


Line = tuple[Span, ...]


class Palette(NamedTuple):
    """One table of colours."""

    name: str
    dark: bool
    grounds: Mapping[str, str]
    inks: Mapping[str, str]


DARK = Palette(
    "cooee-dark",
    dark=True,
    grounds={
        "page": "#14171a",
        "list": "#191d21",
        "raised": "#22282e",
        "chosen": "#2a333b",
        "own": "#1d3a45",
        "other": "#262c32",
        "badge": "#58bfc9",
        "badge-muted": "#8b97a1",
    },
    inks={
        "text": "#e8ebee",
        "muted": "#a3b0ba",
        "accent": "#6ccbd4",
        "read": "#5cc3ff",
        "danger": "#ff948a",
        "success": "#86d694",
        "badge": "#0d1214",
        "line": "#4a555f",
        "name-0": "#f2a65e",
        "name-1": "#7fc8f8",
        "name-2": "#b9a5ff",
        "name-3": "#8fd694",
        "name-4": "#ff9ebb",
        "name-5": "#e3c65b",
    },
)

LIGHT = Palette(
    "cooee-light",
    dark=False,
    grounds={
        "page": "#ffffff",
        "list": "#f5f7f8",
        "raised": "#eceff2",
        "chosen": "#dde6ea",
        "own": "#d5edf2",
        "other": "#edf0f3",
        "badge": "#0c6f7d",
        "badge-muted": "#5a6670",
    },
    inks={
        "text": "#1a1f23",
        "muted": "#52606a",
        "accent": "#08616e",
        "read": "#0958b8",
        "danger": "#a8201a",
        "success": "#1c6b33",
        "badge": "#ffffff",
        "line": "#b3bec6",
        "name-0": "#8a4b08",
        "name-1": "#0b5d96",
        "name-2": "#5b3fbf",
        "name-3": "#1f6b33",
        "name-4": "#a3195b",
        "name-5": "#6b5a00",
    },
)

PALETTES = {palette.name: palette for palette in (DARK, LIGHT)}


def name_ink(user_id: str) -> str:
    """Return the hue of a person: always the same one."""
    return f"name-{crc32(user_id.encode()) % NAMES}"


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2): 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
