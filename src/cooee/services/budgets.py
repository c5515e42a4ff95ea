"""Named rate limits by key: what is expensive is counted per user or per address (PROTOCOL.md §13)."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from math import ceil

from cooee.domain.errors import rate_limited
from cooee.domain.limits import Limits
from cooee.domain.ratelimit import KeyedBuckets, TokenBucket, address_key


class Budgets:
    """One bucket collection per limit. ``exempt`` networks are free of the limits per address."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float], exempt: Sequence[str] = ()) -> None:
        self.limits = limits
        self._monotonic = monotonic
        self._exempt = tuple(ip_network(network, strict=False) for network in exempt)
        self._buckets: dict[str, KeyedBuckets] = {}

    def spend(self, limit: str, key: str, count: int = 1) -> None:
        """Spend from the budget that the field ``limit`` of `Limits` names, for ``key``.

        Raises:
            CooeeError: ``rate_limited`` with the time to wait; nothing was spent.
        """
        buckets = self._buckets.get(limit)
        if buckets is None:
            buckets = KeyedBuckets(TokenBucket.of(getattr(self.limits, limit)), self._monotonic)
            self._buckets[limit] = buckets
        wait_s = buckets.take(key, count)
        if wait_s > 0:
            raise rate_limited(ceil(wait_s * 1000))

    def spend_for_address(self, limit: str, address: str, prefix: str = "") -> None:
        """Spend for a client's address, unless it is exempt; IPv6 counts by its /64.

        Raises:
            CooeeError: ``rate_limited``.
        """
        if not self.is_exempt(address):
            self.spend(limit, prefix + address_key(address))

    def is_exempt(self, address: str) -> bool:
        """Tell whether the limits per address do not concern ``address``."""
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        return any(mapped in network for network in self._exempt)
