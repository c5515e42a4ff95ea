"""Watermarks: they only grow, and what they say of a message is derived, never stored (PROTOCOL.md §4)."""

from collections.abc import Iterable, Mapping

import msgspec


class Watermark(msgspec.Struct, frozen=True, gc=False):
    """How far one member is in one conversation. ``delivered`` is the maximum over the member's devices."""

    delivered: int = 0
    read: int = 0

    def merge(self, delivered: int = 0, read: int = 0) -> "Watermark":
        """Return the maximum of both; ``read`` n implies ``delivered`` n. Commutative, associative, idempotent."""
        new_read = max(self.read, read)
        return Watermark(max(self.delivered, delivered, new_read), new_read)


def covers_all(watermarks: Mapping[str, Watermark], members: Iterable[str]) -> Watermark:
    """Return the minimum over ``members``: what everybody has received and read. Empty: nothing."""
    marks = [watermarks.get(user_id, Watermark()) for user_id in members]
    if not marks:
        return Watermark()
    return Watermark(min(mark.delivered for mark in marks), min(mark.read for mark in marks))
