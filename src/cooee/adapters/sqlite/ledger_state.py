"""What the writer thread remembers of conversations, devices and watermarks between batches.

Bounded. All of it is in the file too, and can be dropped at any moment.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Generic, TypeVar

from cooee.domain.sequence import Head

K = TypeVar("K")
V = TypeVar("V")

SLOT_BITS = 14
"""An inbox slot is 2**14 log positions wide."""
LARGE_SLOT = 1 << 60
"""The slot of entries that do not follow the activity: their readers look at the head."""


def slot_of(position: int) -> int:
    """Return the inbox slot of a log position."""
    return position >> SLOT_BITS


class DeviceStatus(IntEnum):
    """What a device's row says."""

    NAMED = 0
    CURRENT = 1
    REVOKED = 2


class DeviceState:
    """A device's keys."""

    __slots__ = ("key", "status", "user")

    def __init__(self, key: int, user: int, status: int) -> None:
        self.key = key
        self.user = user
        self.status = status


class CursorRow:
    """One row of ``cursor``."""

    __slots__ = ("conversation", "device", "dirty", "read", "received", "user")

    def __init__(self, conversation: int, user: int, device: int, received: int, read: int) -> None:
        self.conversation = conversation
        self.user = user
        self.device = device
        self.received = received
        self.read = read
        self.dirty = False


class MemberState:
    """One user's watermarks in one conversation: the maximum over his rows.

    ``base`` is just before his first joining: every device has at least that.
    """

    __slots__ = ("base", "delivered", "read", "rows")

    def __init__(self, base: int) -> None:
        self.base = base
        self.delivered = 0
        self.read = 0
        self.rows: dict[int, CursorRow] = {}

    def take(self, row: CursorRow) -> None:
        """Count ``row`` in."""
        self.rows[row.device] = row
        self.delivered = max(self.delivered, row.received)
        self.read = max(self.read, row.read)


class ConversationState:
    """A conversation's head and what the ledger needs beside it."""

    __slots__ = (
        "direct",
        "dirty",
        "head",
        "held",
        "id",
        "key",
        "large",
        "members",
        "position",
        "slot",
        "sweep_at",
        "timestamp",
    )

    def __init__(self, key: int, conversation_id: str) -> None:
        self.key = key
        self.id = conversation_id
        self.direct = conversation_id.startswith("dm:")
        self.head = Head()
        self.position = 0
        self.timestamp = 0
        self.slot = 0
        self.large = False
        self.sweep_at = 0
        self.held = False
        self.dirty = False
        self.members: dict[int, MemberState] = {}


class AgingCache(Generic[K, V]):
    """A bounded cache of two generations: what was not asked for during a whole generation is dropped.

    ``get`` costs one or two dictionary look-ups. Only `age` drops anything, so that what was got stays for a batch.
    """

    __slots__ = ("_limit", "_old", "_weigh", "_weight", "_young")

    def __init__(self, limit: int, weigh: Callable[[V], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weight = 0

    def get(self, key: K) -> V | None:
        """Return the value, if it is remembered."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember ``value``."""
        self._young[key] = value
        self._weight += self._weigh(value)

    def grow(self) -> None:
        """Note that a remembered value became heavier by one."""
        self._weight += 1

    def drop(self, key: K) -> None:
        """Forget one value."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young = {}
        self._old = {}
        self._weight = 0

    def age(self) -> None:
        """Begin a new generation if this one is full."""
        if self._weight > self._limit:
            self._old = self._young
            self._young = {}
            self._weight = 0
