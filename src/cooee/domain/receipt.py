"""Watermarks: they only grow, and what they say of a message is derived, never stored (PROTOCOL.md §4)."""

from collections.abc import Iterable, Mapping

import msgspec


class Watermark(msgspec.Struct, frozen=True, gc=False):
    """How far one member is in one conversation. ``delivered`` is the maximum over the member's devices."""

    delivered: int = 0
    read: int = 0

    def merge(self, delivered: int = 0, read: int = 0) -> "Watermark":
        """Return the maximum of both; ``read`` n implies ``delivered`` n. Commutative, associative, idempotent."""
        if read < self.read:  # noqa: PLR1730  # once a receipt, and max() costs thrice as much
            read = self.read
        if delivered < self.delivered:  # noqa: PLR1730  # as above
            delivered = self.delivered
        return Watermark(delivered if delivered > read else read, read)  # noqa: FURB136  # as above


def covers_all(watermarks: Mapping[str, Watermark], members: Iterable[str]) -> Watermark:
    """Return the minimum over ``members``: what everybody has received and read. Empty: nothing."""
    marks = [watermarks.get(user_id, Watermark()) for user_id in members]
    if not marks:
        return Watermark()
    return Watermark(min(mark.delivered for mark in marks), min(mark.read for mark in marks))
