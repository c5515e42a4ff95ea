"""Reading a conversation out of the log: from the next milestone (every 16th number) down along ``previous``."""

import apsw

_WALK = """WITH RECURSIVE walk (position, previous, number) AS (
    SELECT position, previous, number FROM message WHERE position = coalesce(
        (SELECT position FROM message INDEXED BY message_milestone
            WHERE conversation = :conversation AND number >= :high AND number % 16 = 0 ORDER BY number LIMIT 1),
        (SELECT position FROM head WHERE conversation = :conversation))
    UNION ALL
    SELECT m.position, m.previous, m.number FROM walk CROSS JOIN message AS m ON m.position = walk.previous
        WHERE walk.number > :low + 1)
"""


def walking(query: str) -> str:
    """Return ``query``, which may read from ``walk`` (position, previous, number).

    ``walk`` yields, newest first, the rows of :conversation from :high (or up to 15 above it) down to :low + 1; the
    query keeps those that it wants.
    """
    return _WALK + query


_POSITION = walking("SELECT position FROM walk WHERE number = :high")


def position_of(connection: apsw.Connection, conversation: int, number: int) -> int | None:
    """Return the log position of a message, or None when it is not there (also when it was swept)."""
    values = {"conversation": conversation, "high": number, "low": number - 1}
    row = connection.execute(_POSITION, values).fetchone()
    return None if row is None else int(row[0])
