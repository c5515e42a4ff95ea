"""What every part of a draft works with: the page, the clock, randomness, what is only in memory, what is counted."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cooee.client.e2ee.book import Book, Page
from cooee.client.e2ee.kinds import DeviceState
from cooee.client.e2ee.results import MessageKey, Notice
from cooee.client.e2ee.wants import Want
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.crypto.prekeys import PreKeyBundle
from cooee.crypto.primitives import Random
from cooee.crypto.session import Me
from cooee.crypto.suite import COOEE_V1
from cooee.domain.ids import DeviceRef
from cooee.protocol.body import MessageRef

SUITE: Final = COOEE_V1

FIRST_RETRY_MS: Final = 1_000
LONGEST_RETRY_MS: Final = 300_000
FLIGHT_MS: Final = 600_000
ARCHIVE_FLIGHT_MS: Final = 6 * 3_600_000
"""What failed is tried again after 1 s, then after twice as long, and so on, up to 5 minutes. A want that nobody
answers is given again after 10 minutes, or 6 hours when it is about an archive."""


class Retry(msgspec.Struct, frozen=True):
    """How often something failed, and when it may be tried again."""

    attempts: int
    at: int


class Flight(msgspec.Struct, frozen=True):
    """A want that is under way, and since when (ms)."""

    want: Want
    since: int


class Request(msgspec.Struct, frozen=True):
    """A key request that is not answered yet. ``since``: lists fetched before are too old to answer by."""

    asker: DeviceRef
    items: tuple[MessageRef, ...]
    since: int


class Memory:
    """What is not stored: losing it costs a repetition and nothing else."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.numbers = 0
        self.flights: dict[tuple[str, ...], Flight] = {}
        """Wants that are under way, by what they are for."""
        self.retries: dict[tuple[str, ...], Retry] = {}
        self.lists: set[str] = set()
        """Users whose lists are to be fetched."""
        self.checked: dict[str, int] = {}
        """When a user's list was fetched last."""
        self.groups: set[str] = set()
        """Groups to be fetched."""
        self.fetched: dict[str, int] = {}
        """When a group was fetched last."""
        self.status_due = True
        self.status_at = 0
        self.used = 0
        """One-time keys that were used up since the stock was looked at."""
        self.demand: dict[str, int] = {}
        """Groups in which a message waits for its distributions, and until when they matter."""
        self.sessions: dict[DeviceRef, int] = {}
        """Devices that a direct message needs a session with, and until when that matters."""
        self.bundles: dict[DeviceRef, PreKeyBundle] = {}
        self.barred: dict[DeviceRef, Retry] = {}
        """Devices without usable keys: nobody waits for them until then."""
        self.renewed: dict[DeviceRef, int] = {}
        self.mismatches: dict[str, Retry] = {}
        self.requests: dict[int, Request] = {}
        self.sent: set[str] = set()
        """``to_device`` frames that are under way on this connection."""
        self.frame_retries: dict[str, Retry] = {}
        self.peers: Counter[str] = Counter()
        """Of how many groups there are sender keys, by device; empty: not counted yet."""
        self.password = ""
        self.own_version = 0
        """Of the own list that the server showed last, whoever signed it."""
        self.next_ask: tuple[int, int] = (-1, 0)
        """When the next message is to be asked for, and at which state of the book that was so."""
        self.frames = 0

    def next_number(self) -> int:
        """Return a number that was not used before."""
        self.numbers += 1
        return self.numbers

    def flies(self, slot: tuple[str, ...], now: int) -> bool:
        """Tell whether a want is under way for this."""
        flight = self.flights.get(slot)
        limit = ARCHIVE_FLIGHT_MS if slot[0] == "archive" else FLIGHT_MS
        return flight is not None and now - flight.since < limit

    def fail(self, slot: tuple[str, ...], now: int, retry_after_ms: int | None = None) -> None:
        """Note that something failed: it is tried again later, and later each time."""
        former = self.retries.get(slot)
        attempts = 0 if former is None else former.attempts
        self.retries[slot] = Retry(attempts + 1, now + (retry_after_ms or wait_ms(attempts)))


def wait_ms(attempts: int) -> int:
    """Return how long to wait after that many failures before the last one."""
    return int(min(FIRST_RETRY_MS << min(attempts, 20), LONGEST_RETRY_MS))


class Step(Page):
    """A page with all that its parts need. ``now``: wall clock in ms."""

    def __init__(self, me: DeviceRef, book: Book, memory: Memory, random: Random, now: int) -> None:
        super().__init__(book)
        self.book = book
        self.me = me
        self.memory = memory
        self.random = random
        self.now = now
        self.message_keys: list[MessageKey] = []
        self.notices: list[Notice] = []
        self._afterwards: list[Callable[[], Any]] = []

    def after(self, change: Callable[[], Any]) -> None:
        """Change what is only in memory once this step is installed."""
        self._afterwards.append(change)

    def mark(self) -> tuple[Any, ...]:
        """Return where this step stands, for `back_to`."""
        return dict(self.changed), len(self._afterwards), len(self.message_keys), len(self.notices)

    def back_to(self, mark: tuple[Any, ...]) -> None:
        """Undo what was changed since `mark`: a failing message changes nothing."""
        self.changed = mark[0]
        del self._afterwards[mark[1] :], self.message_keys[mark[2] :], self.notices[mark[3] :]

    def tally(self, name: str, by: int = 1) -> None:
        """Count something that happened; also when the step is dropped."""
        self.memory.counts[name] += by

    def change_device(self, **changes: Any) -> DeviceState:
        """Change fields of this device."""
        changed = msgspec.structs.replace(self.device, **changes)
        self.put("device", "", changed)
        return changed

    def identity(self) -> IdentityPrivateKey:
        """Return the secret of this device."""
        return IdentityPrivateKey(self.device.identity)

    def party(self) -> Me:
        """Return this device as the core wants it."""
        return Me(self.me, self.identity())

    def account(self) -> AccountPrivateKey | None:
        """Return the account key, None while this device has none."""
        return AccountPrivateKey(self.device.account) if self.device.account else None

    @property
    def linked(self) -> bool:
        """Whether this device is in the own signed list."""
        return self.has_device and self.device.standing == "linked"

    def install(self) -> None:
        """Write the changes into the book, then do what was left for afterwards."""
        super().install()
        for change in self._afterwards:
            change()
