"""Which own messages are delivered and read: derived from watermarks and the roster, and never going back (§4).

Pure. A message counts as delivered (read) when the watermarks of all cover it who were members when it was sent and
still are, the sender excluded. A member who joined at number j says nothing about the messages before j.
"""

from collections.abc import Mapping

from cooee.domain.receipt import Watermark

Roster = Mapping[str, int]
"""Current members and the number of the message that let each in (1 in a direct chat)."""


def covered(
    roster: Roster | None, marks: Mapping[str, Watermark], by_all: Watermark, sender: str, position: int
) -> Watermark:
    """Return up to which numbers ``sender``'s messages are delivered and read, at most ``position``.

    ``roster`` None: the members are not known; then only ``by_all`` counts, the minimum from a large group's receipts.
    A conversation without others (notes to oneself) is delivered and read at once.
    """
    delivered, read = by_all.delivered, by_all.read
    if roster is not None:
        others = [(joined, marks.get(user, Watermark())) for user, joined in roster.items() if user != sender]
        delivered = max(delivered, min((max(mark.delivered, joined - 1) for joined, mark in others), default=position))
        read = max(read, min((max(mark.read, joined - 1) for joined, mark in others), default=position))
    return Watermark(min(delivered, position), min(read, position))
