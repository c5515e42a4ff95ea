"""Which numbers a page holds. Numbers are dense, so a page is known before a row is read."""

from collections.abc import Sequence

from cooee.domain.conversation import Span
from cooee.ports.timeline import ConversationHead

Range = tuple[int, int]
"""Numbers from the first through the second, both inclusive."""


def visible_end(head: ConversationHead, spans: Sequence[Span]) -> int:
    """Return the highest number that the spans let see, 0 if none."""
    begun = [span.left for span in spans if span.joined <= head.last]
    return max((head.last if left is None else min(left, head.last) for left in begun), default=0)


def visible(head: ConversationHead, spans: Sequence[Span], low: int, high: int) -> list[Range]:
    """Return the numbers in ``low``..``high`` that are kept and within ``spans``, as ascending ranges."""
    ranges: list[Range] = []
    low, high = max(low, head.first), min(high, head.last)
    for span in sorted(spans, key=_joined):
        begin = max(span.joined, low)
        end = high if span.left is None else min(span.left, high)
        if begin <= end:
            ranges.append((begin, end))
            low = end + 1
    return ranges


def take(ranges: Sequence[Range], limit: int) -> tuple[list[Range], bool]:
    """Return the first ``limit`` numbers of ``ranges``, and whether those are all. At least one is taken."""
    taken: list[Range] = []
    left = max(limit, 1)
    for begin, end in ranges:
        if not left:
            return taken, False
        last = min(end, begin + left - 1)
        taken.append((begin, last))
        left -= last - begin + 1
        if last < end:
            return taken, False
    return taken, True


def take_newest(ranges: Sequence[Range], limit: int) -> tuple[list[Range], bool]:
    """Return the last ``limit`` numbers of ``ranges``, ascending, and whether those are all. At least one is taken."""
    taken, complete = take([(-end, -begin) for begin, end in reversed(ranges)], limit)
    return [(-end, -begin) for begin, end in reversed(taken)], complete


def _joined(span: Span) -> int:
    return span.joined
