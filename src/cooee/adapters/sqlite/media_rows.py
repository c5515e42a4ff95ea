"""Which messages hold which objects: rows of the log's transactions."""

from collections.abc import Sequence

import apsw

from cooee.adapters.sqlite.bulk import read_rows

_LET_GO = "DELETE FROM media_reference WHERE position IN ({rows}) RETURNING key"
_LOOK = "UPDATE media SET collect_at = 0 WHERE key = ? AND collect_at IS NULL"


def let_go(connection: apsw.Connection, positions: Sequence[int]) -> None:
    """Have messages whose content goes hold nothing any more; what they held is looked at by the collector."""
    keys = set(read_rows(connection, _LET_GO, 1, positions))
    if keys:
        connection.executemany(_LOOK, keys)
