"""Token buckets: one as a plain number, many by key in bounded memory (PROTOCOL.md §13).

A bucket's whole state is one float, the time at which it will be full again. So a session pays eight bytes for a limit,
and a bucket whose time has passed can be forgotten without losing anything.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network

from cooee.domain.limits import Rate

FULL = float("-inf")
"""The state of a bucket that was never used."""

_SLACK_S = 1e-9
"""Sums of floats may miss the exact instant of a refill by this much."""


class TokenBucket:
    """A rule: ``rate`` tokens a second, at most ``burst`` kept. Immutable, shared by all states that follow it."""

    __slots__ = ("_capacity_s", "_token_s", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        """Raise ValueError for a rate or burst that would let nothing through for ever."""
        if rate <= 0 or burst < 1:
            raise ValueError("a token bucket needs a positive rate and a burst of at least 1")
        self.rate = rate
        self.burst = burst
        self._token_s = 1.0 / rate
        self._capacity_s = burst / rate

    @classmethod
    def of(cls, limit: Rate) -> "TokenBucket":
        """Return the bucket of a configured limit."""
        return cls(limit.per_s, limit.burst)

    def take(self, state: float, now: float, n: int = 1) -> tuple[float, float]:
        """Take ``n`` tokens at ``now`` (monotonic seconds).

        Returns the new state and 0.0, or the old state and the seconds to wait, with nothing taken. More than
        ``burst`` at once passes when the bucket is full, and is paid off afterwards: nothing waits for ever.
        """
        cost = n * self._token_s
        if state <= now:  # full, as nearly always: anything passes
            return now + cost, 0.0
        spare = self._capacity_s - cost
        wait = state - now - max(0.0, spare)
        if wait > _SLACK_S:
            return state, wait
        return state + cost, 0.0

    def available(self, state: float, now: float) -> float:
        """Return how many tokens are there at ``now``; negative while a larger take is being paid off."""
        return self.burst - max(0.0, state - now) * self.rate


_MAX_KEY = 128
_ROW_BITS = 15
_ROWS = 4
_ROW_MASK = (1 << _ROW_BITS) - 1


class KeyedBuckets:
    """Buckets by key, at most ``max_keys`` of them, with the debts of evicted keys remembered in fixed memory.

    The least recently used key goes first. If its bucket is not full again, its state is folded into a small sketch
    (the maximum, in one cell of each of four rows), where a new key starts (the minimum over its cells). So whoever
    brings ever new keys neither grows the memory nor gets an exhausted bucket back early: a state is remembered
    exactly or too strictly, never too mildly. Cells are chosen by the interpreter's salted hash of the key.
    """

    __slots__ = ("_bucket", "_max_keys", "_monotonic", "_sketch", "_states")

    def __init__(self, bucket: TokenBucket, monotonic: Callable[[], float], max_keys: int = 100_000) -> None:
        self._bucket = bucket
        self._monotonic = monotonic
        self._max_keys = max(1, max_keys)
        self._states: OrderedDict[str, float] = OrderedDict()
        self._sketch: array[float] | None = None

    def __len__(self) -> int:
        """Return how many keys are remembered exactly."""
        return len(self._states)

    def take(self, key: str, n: int = 1) -> float:
        """Take ``n`` tokens of ``key``; return 0.0, or the seconds to wait with nothing taken."""
        if len(key) > _MAX_KEY:
            key = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        now = self._monotonic()
        states = self._states
        state = states.get(key)
        if state is None:
            state = self._remembered(key)
        state, wait = self._bucket.take(state, now, n)
        states[key] = state
        states.move_to_end(key)
        if len(states) > self._max_keys:
            self._evict(now)
        return wait

    def _evict(self, now: float) -> None:
        key, state = self._states.popitem(last=False)
        if state <= now:
            return
        if self._sketch is None:
            self._sketch = array("d", [FULL]) * (_ROWS << _ROW_BITS)
        sketch = self._sketch
        for cell in _cells(key):
            sketch[cell] = max(sketch[cell], state)

    def _remembered(self, key: str) -> float:
        sketch = self._sketch
        return FULL if sketch is None else min(sketch[cell] for cell in _cells(key))


def _cells(key: str) -> list[int]:
    bits = hash(key)
    return [(row << _ROW_BITS) | ((bits >> (row * _ROW_BITS)) & _ROW_MASK) for row in range(_ROWS)]


def address_key(address: str) -> str:
    """Return the key under which an address is limited: IPv4 as it is, IPv6 by its /64, which one customer holds.

    An IPv4 address mapped into IPv6 counts as IPv4. What is no address (a Unix socket's peer) is its own key.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ip_network((ip, 64), strict=False))
