"""QR codes on a terminal, where it can show them."""

from collections.abc import Iterator

from cooee.cli.render import Look


def code_lines_for(look: Look, text: str, *, terminal: bool) -> Iterator[str]:
    """Yield a QR code of ``text`` and an empty line; nothing where it could not be scanned: no terminal, no Unicode."""
    if not (terminal and look.unicode):
        return
    from cooee.app.tls.notice import code_lines  # noqa: PLC0415  # only where it is drawn

    yield from code_lines(text)
    yield ""
