"""Small pieces of SQL that several ports build."""

from collections.abc import Iterator, Sequence
from typing import Any

_CHUNK = 500


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ``values`` into pieces that one statement takes as parameters."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def marks(values: Sequence[Any]) -> str:
    """Return ``?, ?, …``, one for each value."""
    return ", ".join("?" * len(values))
