"""Many rows with few statements. Each step of SQLite gives the interpreter lock away and must win it back.

Statements come in all sizes up to `EXACT` and in powers of two above, so that the prepared ones are found again in the
connection's cache.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import apsw

MAX_ROWS = 256
"""Rows in one statement. With 12 columns its text is 7 kB; texts above 16 kB are not cached."""


EXACT = 16
"""Up to so many rows go in one statement, whatever their number: at low rates a commit has few."""


@cache
def _placeholders(columns: int, rows: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


@cache
def _statement(template: str, columns: int, rows: int) -> str:
    return template.replace("{rows}", "VALUES " + _placeholders(columns, rows))


def _pieces(columns: int, flat: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    total, begin, size = len(flat) // columns, 0, MAX_ROWS
    while total:
        if total <= EXACT:
            size = total
        else:
            while size > total:
                size >>= 1
        end = begin + size * columns
        yield size, flat[begin:end]
        begin = end
        total -= size


def write_rows(connection: apsw.Connection, template: str, columns: int, flat: Sequence[Any]) -> None:
    """Run ``template``, with ``{rows}`` for the VALUES, on the rows that ``flat`` holds one after the other."""
    for size, values in _pieces(columns, flat):
        connection.execute(_statement(template, columns, size), values)


def read_rows(connection: apsw.Connection, template: str, columns: int, flat: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return what ``template`` yields for the rows that ``flat`` holds; ``{rows}`` stands for the VALUES."""
    found: list[tuple[Any, ...]] = []
    for size, values in _pieces(columns, flat):
        found += connection.execute(_statement(template, columns, size), values)
    return found
