"""Who a client is behind proxies: a header is believed only from a trusted one."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

MAX_PROXIES = 32
"""Entries of ``X-Forwarded-For`` that are looked at, from the right: no real line of proxies is longer."""


class ClientAddresses:
    """Finds the client's address. ``trusted`` are networks of proxies whose ``X-Forwarded-For`` is believed."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = tuple(ip_network(network, strict=False) for network in trusted)

    def is_trusted(self, address: str) -> bool:
        """Tell whether ``address`` is a trusted proxy's."""
        ip = _parse(address)
        return ip is not None and any(ip in network for network in self._trusted)

    def of(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address: the right-most in ``X-Forwarded-For`` that is no trusted proxy's.

        An entry that is no address ends the walk: what stands left of it was not written by a trusted proxy.
        An address has one form: IPv4 in IPv6 is IPv4, and without a zone.
        """
        own = _parse(peer)
        found = peer if own is None else str(own)
        if not self._trusted or not self.is_trusted(peer):
            return found
        entries = headers.get("x-forwarded-for", "").rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]
        for entry in reversed(entries):
            ip = _parse(entry.strip())
            if ip is None:
                return found
            found = str(ip)
            if not any(ip in network for network in self._trusted):
                return found
        return found


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(ip, "ipv4_mapped", None)
    return mapped or ip
