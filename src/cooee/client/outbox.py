"""Which message is sent when: in order within a conversation, one at a time, until its number is known (§3).

Pure: time is passed in, and the store keeps the entries. One in flight per conversation keeps their order whatever is
refused for a while; different conversations do not wait for each other. What is to be encrypted and is not yet holds
back what is behind it.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import msgspec

from cooee.client.model import Pending
from cooee.domain.errors import ErrorCode

EXPIRES_AFTER_MS = 29 * 24 * 3600 * 1000
"""Older messages are not sent by themselves any more: the server forgets what it deduplicated after 31 days."""

IN_FLIGHT_LIMIT = 32
ANSWER_WITHIN_MS = 10_000
"""An unanswered message is sent again after this long, then after twice as long, and so on."""

SHORT_PAUSE_MS = 10_000
"""``rate_limited`` for at most this long is about the connection, so everything waits; longer, about the chat."""

UNSEALED_MS = 100
"""How long a message waits that was for other devices than the server knows, the second time; then twice as long …"""

_HELD_BACK = 1_000


class Flight(msgspec.Struct, frozen=True, gc=False):
    """A message that was sent and not answered."""

    client_message_id: str
    resend_at: int
    attempts: int


class Outbox:
    """The messages whose number is not known, and how far each is. Times in ms of a monotonic clock."""

    def __init__(self, pending: Iterable[Pending] = ()) -> None:
        self._queues: dict[str, dict[str, Pending]] = {}
        self._failed: dict[str, Pending] = {}
        self._flights: dict[str, Flight] = {}
        self._accepted: dict[str, tuple[int, int]] = {}
        self._wait_until: dict[str, int] = {}
        self._pause_until = 0
        self._unsealed: dict[str, int] = {}
        for entry in pending:
            self.add(entry)

    def add(self, entry: Pending) -> None:
        """Take in an entry that the store has; a failed one only stands there to be seen."""
        if entry.status == "failed":
            self._failed[entry.client_message_id] = entry
        else:
            self._queues.setdefault(entry.conversation_id, {})[entry.client_message_id] = entry

    def entries(self) -> Iterator[Pending]:
        """Yield all entries, the failed ones too."""
        for queue in self._queues.values():
            yield from queue.values()
        yield from self._failed.values()

    def find(self, client_message_id: str) -> Pending | None:
        """Return an entry whose number is not known, or None."""
        for queue in self._queues.values():
            if client_message_id in queue:
                return queue[client_message_id]
        return None

    def find_failed(self, client_message_id: str) -> Pending | None:
        """Return a failed entry, or None."""
        return self._failed.get(client_message_id)

    def due(self, now: int) -> list[Pending]:
        """Return what is to be sent now, and note it as sent."""
        sending = []
        for conversation_id, queue in self._queues.items():
            entry = self._next(conversation_id, queue, now)
            if entry is None:
                continue
            former = self._flights.get(conversation_id)
            again = former is not None and former.client_message_id == entry.client_message_id
            attempts = former.attempts + 1 if former is not None and again else 1
            resend_at = now + ANSWER_WITHIN_MS * (1 << min(attempts - 1, 4))
            self._flights[conversation_id] = Flight(entry.client_message_id, resend_at, attempts)
            sending.append(entry)
        return sending

    def _next(self, conversation_id: str, queue: dict[str, Pending], now: int) -> Pending | None:
        flight = self._flights.get(conversation_id)
        if flight is not None:
            entry = queue[flight.client_message_id]
            return entry if now >= flight.resend_at and entry.ready else None
        if now < max(self._pause_until, self._wait_until.get(conversation_id, 0)):
            return None
        if len(self._flights) >= IN_FLIGHT_LIMIT:
            return None
        for entry in queue.values():
            accepted = self._accepted.get(entry.client_message_id)
            if accepted is None or now >= accepted[1] + ANSWER_WITHIN_MS:
                return entry if entry.ready else None
        return None

    def to_seal(self, leaving: AbstractSet[str]) -> list[Pending]:
        """Return what is to be encrypted now: of each conversation what is first in it once ``leaving`` are gone."""
        firsts = []
        for queue in self._queues.values():
            first = next((entry for key, entry in queue.items() if key not in leaving | self._accepted.keys()), None)
            if first is not None and not first.ready:
                firsts.append(first)
        return firsts

    def replace(self, entry: Pending) -> None:
        """Put another form of an entry in its place: it was sealed."""
        queue = self._queues.get(entry.conversation_id, {})
        if entry.client_message_id in queue:
            queue[entry.client_message_id] = entry

    def unsealings(self, client_message_id: str) -> int:
        """Return how often a message was to be encrypted again on this run."""
        return self._unsealed.get(client_message_id, 0)

    def unseal(self, client_message_id: str, now: int) -> None:
        """Let a message be encrypted again: the server says that it is for other devices; again and again, slower."""
        entry = self.find(client_message_id)
        if entry is None:
            return
        self.replace(msgspec.structs.replace(entry, sealed=None))
        self._land(client_message_id)
        times = self._unsealed.get(client_message_id, 0)
        self._unsealed[client_message_id] = times + 1
        if times:
            wait = min(UNSEALED_MS << min(times, 10), ANSWER_WITHIN_MS)
            self._wait_until[entry.conversation_id] = now + wait

    def next_due(self) -> int | None:
        """Return when `due` should be asked again at the latest, or None when nothing waits for a time."""
        times = [flight.resend_at for flight in self._flights.values()]
        for conversation_id, queue in self._queues.items():
            if conversation_id in self._flights or not queue:
                continue
            waits = max(self._pause_until, self._wait_until.get(conversation_id, 0))
            asks = self._asks(queue)
            if asks:
                times.append(max(waits, min(asks)))
        if len(self._flights) >= IN_FLIGHT_LIMIT:
            times = [flight.resend_at for flight in self._flights.values()]
        return min(times, default=None)

    def _asks(self, queue: dict[str, Pending]) -> list[int]:
        """Return when entries of a conversation are to be sent, as far as nothing that is not sealed is before them."""
        asks = []
        for key, entry in queue.items():
            if key in self._accepted:
                asks.append(self._accepted[key][1] + ANSWER_WITHIN_MS)
                continue
            if entry.ready:
                asks.append(0)
            break
        return asks

    def accepted_at(self, client_message_id: str) -> int | None:
        """Return the record time that came with an ack without number, or None."""
        accepted = self._accepted.get(client_message_id)
        return None if accepted is None else accepted[0]

    def accepted(self, client_message_id: str, timestamp: int, now: int) -> None:
        """Note an ack without number: the message is durable and in order, the next of the conversation may go."""
        self._accepted[client_message_id] = (timestamp, now)
        self._land(client_message_id)

    def remove(self, client_message_id: str) -> None:
        """Forget an entry: its number is known, or it was discarded."""
        self._land(client_message_id)
        self._accepted.pop(client_message_id, None)
        self._failed.pop(client_message_id, None)
        self._unsealed.pop(client_message_id, None)
        entry = self.find(client_message_id)
        if entry is not None:
            queue = self._queues[entry.conversation_id]
            del queue[client_message_id]
            if not queue:
                del self._queues[entry.conversation_id]
                self._wait_until.pop(entry.conversation_id, None)

    def fail(self, entry: Pending) -> None:
        """Move an entry to the failed ones."""
        self.remove(entry.client_message_id)
        self._failed[entry.client_message_id] = entry

    def hold_back(self, client_message_id: str, retry_after_ms: int | None, now: int) -> None:
        """Send again after a refusal that may pass, not before ``retry_after_ms``."""
        entry = self.find(client_message_id)
        if entry is None:
            return
        self._land(client_message_id)
        wait = _HELD_BACK if retry_after_ms is None else max(retry_after_ms, 1)
        self._wait_until[entry.conversation_id] = now + wait
        if retry_after_ms is not None and wait <= SHORT_PAUSE_MS:
            self._pause_until = max(self._pause_until, now + wait)

    def disconnected(self) -> None:
        """Forget what was in flight: all that is left is sent again, in order, on the next connection."""
        self._flights.clear()
        self._accepted.clear()
        self._wait_until.clear()
        self._pause_until = 0

    def expired(self, now_wall_ms: int) -> list[Pending]:
        """Return, as failed, the entries that are too old to be sent by themselves (wall clock)."""
        return [
            failed(entry, "expired", "the message waited for 29 days; send it again if it still matters")
            for queue in self._queues.values()
            for entry in queue.values()
            if now_wall_ms - entry.created_at > EXPIRES_AFTER_MS
        ]

    def _land(self, client_message_id: str) -> None:
        entry = self.find(client_message_id)
        if entry is not None:
            flight = self._flights.get(entry.conversation_id)
            if flight is not None and flight.client_message_id == client_message_id:
                del self._flights[entry.conversation_id]


def failed(entry: Pending, code: str, reason: str) -> Pending:
    """Return ``entry`` as failed, for the reason given."""
    return msgspec.structs.replace(entry, status="failed", code=code, reason=reason)


def is_final(code: str, *, retryable: bool) -> bool:
    """Tell whether a refusal of a message will stay. A refused token is the connection's matter, not the message's."""
    return not retryable and code != ErrorCode.UNAUTHORIZED
