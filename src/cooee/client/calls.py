"""What a group of operations asks of the `Api` that it is a part of (PROTOCOL.md §11)."""

from collections.abc import Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")


class Calls(Protocol):
    """One request and its answer; refusals are raised as `Api` says."""

    async def _call(
        self,
        method: str,
        path: str,
        answer_type: type[T],
        body: msgspec.Struct | None = None,
        params: dict[str, str] | None = None,
    ) -> T:
        """Return the answer to one request."""
        ...

    async def _do(self, method: str, path: str, body: msgspec.Struct | None = None) -> None:
        """Make a request whose answer has no content."""
        ...

    async def _all(self, path: str, item_type: type[T], query: dict[str, str] | None = None) -> Sequence[T]:
        """Return all items of a list, page by page."""
        ...


def part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")
