"""Byte ranges: of downloads (RFC 9110 §14) and of uploads that are sent in pieces. Pure."""

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.ASCII | re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})", re.ASCII | re.IGNORECASE)


class Span(NamedTuple):
    """Bytes from ``start`` up to, and without, ``end``."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range lies behind the end."""


def asked_range(header: str, size: int) -> Span | None:
    """Return what ``Range`` asks of ``size`` bytes; None: all of it, also for what is no single range of bytes.

    Raises:
        Unsatisfiable: not one byte of it is there.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return Span(start, end)


class Piece(NamedTuple):
    """A piece of an upload of ``total`` bytes; ``span`` None: only asks how much is there."""

    span: Span | None
    total: int


def sent_range(header: str) -> Piece | None:
    """Return what ``Content-Range`` says of an upload's body; None when it says nothing that can be."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last, total = match.groups()
    if first is None:
        return Piece(None, int(total))
    span = Span(int(first), int(last) + 1)
    return Piece(span, int(total)) if span.start < span.end <= int(total) else None
