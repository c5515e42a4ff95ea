"""Cursors of lists: opaque to clients, checked when they come back (PROTOCOL.md §11)."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec

from cooee.domain.errors import bad_frame
from cooee.protocol.http import Page

Item = TypeVar("Item")
MAX_PAGE = 200
_VERSION = "1"


class PageQuery(msgspec.Struct, frozen=True):
    """``?cursor=&limit=``: where the page begins, and how many it has; more than 200 are 200."""

    cursor: Annotated[str, msgspec.Meta(max_length=512, description="``nextCursor`` of the page before.")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1, description="Items on the page, at most 200.")] = 50

    @property
    def size(self) -> int:
        """How many items the page shall have."""
        return min(self.limit, MAX_PAGE)


def to_cursor(place: str) -> str:
    """Return the cursor of a place in a list."""
    return base64.urlsafe_b64encode((_VERSION + place).encode()).decode().rstrip("=")


def from_cursor(cursor: str, valid: Callable[[str], bool]) -> str:
    """Return the place that a cursor names; the empty cursor names the beginning, an empty place.

    Raises:
        CooeeError: ``bad_frame`` when this server did not give it, as far as can be told.
    """
    if not cursor:
        return ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if text[:1] != _VERSION or not valid(text[1:]):
        raise bad_frame("the cursor is not one that this server gave")
    return text[1:]


def page_of(found: Sequence[Item], size: int, place: Callable[[Item], str]) -> Page[Item]:
    """Return a page of ``found``, which holds one more than ``size`` items when there are further ones."""
    items = tuple(found[:size])
    return Page(items, to_cursor(place(items[-1])) if len(found) > size else None)
