"""Lines of roles as strips of colour, and the palette as a Textual theme."""

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.theme import Theme

from cooee.cli.tui.palette import DARK, PALETTES, Line, Palette, Span


def theme_of(palette: Palette) -> Theme:
    """Return the theme that gives Textual's own widgets the same colours."""
    grounds, inks = palette.grounds, palette.inks
    variables = {f"ground-{name}": colour for name, colour in grounds.items()}
    variables |= {f"ink-{name}": colour for name, colour in inks.items()}
    variables |= {
        "block-cursor-background": grounds["chosen"],
        "block-cursor-foreground": inks["text"],
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": grounds["chosen"],
        "block-cursor-blurred-foreground": inks["text"],
        "input-cursor-background": inks["accent"],
        "input-cursor-foreground": grounds["page"],
        "input-selection-background": grounds["chosen"],
        "border": inks["accent"],
        "border-blurred": inks["line"],
        "scrollbar": inks["line"],
        "scrollbar-hover": inks["muted"],
        "scrollbar-active": inks["muted"],
        "scrollbar-background": grounds["page"],
        "scrollbar-background-hover": grounds["page"],
        "scrollbar-background-active": grounds["page"],
        "text-muted": inks["muted"],
        "text-disabled": inks["muted"],
    }
    return Theme(
        name=palette.name,
        primary=inks["accent"],
        secondary=inks["accent"],
        accent=inks["accent"],
        foreground=inks["text"],
        background=grounds["page"],
        surface=grounds["list"],
        panel=grounds["raised"],
        warning=inks["danger"],
        error=inks["danger"],
        success=inks["success"],
        dark=palette.dark,
        variables=variables,
    )


def palette_of(theme_name: str) -> Palette:
    """Return the palette behind a theme's name."""
    return PALETTES.get(theme_name, DARK)


@lru_cache(maxsize=2_048)
def _style(palette_name: str, ink: str, ground: str, bold: bool, italic: bool) -> Style:
    palette = palette_of(palette_name)
    return Style(color=palette.inks[ink], bgcolor=palette.grounds[ground], bold=bold or None, italic=italic or None)


def style_of(palette: Palette, span: Span) -> Style:
    """Return the style of a span."""
    return _style(palette.name, span.ink, span.ground, span.bold, span.italic)


def strip_of(palette: Palette, line: Line, width: int, ground: str = "page") -> Strip:
    """Return a line in exactly ``width`` columns, on ``ground`` where it says nothing."""
    segments = [Segment(span.text, style_of(palette, span)) for span in line if span.text]
    return Strip(segments).crop_extend(0, width, _style(palette.name, "text", ground, bold=False, italic=False))


def text_of(palette: Palette, line: Line) -> Text:
    """Return a line for a widget that takes Rich's text; nothing in it is read as markup."""
    return Text.assemble(*((span.text, style_of(palette, span)) for span in line), no_wrap=True, overflow="ellipsis")
