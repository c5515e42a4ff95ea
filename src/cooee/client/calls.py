"""What a group of operations asks of the `Api` that it is a part of (PROTOCOL.md §11)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")


class Calls(ABC):
    """One request and its answer; refusals are raised as `Api` says."""

    @abstractmethod
    async def _call(
        self,
        method: str,
        path: str,
        answer_type: type[T],
        body: msgspec.Struct | None = None,
        params: dict[str, str] | None = None,
    ) -> T:
        """Return the answer to one request."""

    @abstractmethod
    async def _do(self, method: str, path: str, body: msgspec.Struct | None = None) -> None:
        """Make a request whose answer has no content."""

    @abstractmethod
    async def _all(self, path: str, item_type: type[T], query: dict[str, str] | None = None) -> Sequence[T]:
        """Return all items of a list, page by page."""


def part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")
