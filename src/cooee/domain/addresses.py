"""Where a request that a user causes may go: to public addresses, and to networks that the operator names.

Whoever lets a server fetch a URL of his choice must not reach with it what only the server can reach: itself, its
network, its provider's metadata. So every address is looked at before it is connected to, in every spelling.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame

MAX_URL = 2048
"""Characters of a URL."""

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?",
    re.ASCII,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024

# IANA's special-purpose registries (RFC 6890 and its updates), what is not reached from everywhere.
_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # public by its number, and yet each machine's own provider (Azure's host agent)
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Parts of 2000::/3 that are not public: Teredo and other protocols, documentation, 6to4."""
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRules:
    """Which addresses may be connected to. ``allowed``: networks that are, though they are not public."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = tuple(ip_network(network, strict=False) for network in allowed)

    def allows(self, address: str) -> bool:
        """Tell whether ``address``, an IPv4 or IPv6 address in digits, may be connected to."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        plain = _unwrapped(parsed)
        if any(plain.version == network.version and plain in network for network in self._allowed):
            return True
        if isinstance(plain, IPv4Address):
            return not any(plain in network for network in _CLOSED_V4)
        if plain.scope_id is not None or plain not in _GLOBAL_V6:
            return False
        return not any(plain in network for network in _CLOSED_V6)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv4-mapped or NAT64 address stands for."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def check_target(url: str, rules: AddressRules, *, allow_http: bool) -> None:
    """Refuse a URL that cannot be a target whatever its name resolves to; what it resolves to is looked at later.

    Plain: ``https`` (``http`` only with ``allow_http``), a name or an address in its usual form, no user and password,
    no fragment, and port 80, 443 or one from 1024 on. Stricter than RFC 3986, so that no two parsers read it twice.

    Raises:
        CooeeError: ``bad_frame``, or ``forbidden`` for an address that may not be connected to.
    """
    parts = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if parts is None:
        raise bad_frame("the URL must be like https://host/path, at most 2,048 characters, without user or fragment")
    if parts["scheme"] == "http" and not allow_http:
        raise bad_frame("the URL must begin with https://")
    port = int(parts["port"]) if parts["port"] else _DEFAULT_PORTS[parts["scheme"]]
    if not (port in _DEFAULT_PORTS.values() or _FIRST_FREE_PORT <= port <= 65_535):
        raise bad_frame("the URL's port must be 80, 443, or one from 1024 on")
    literal = _literal(parts["host"])
    if literal is not None and not rules.allows(literal):
        raise CooeeError(ErrorCode.FORBIDDEN, "this server sends nothing to that address")


def _literal(host: str) -> str | None:
    """Return the address that ``host`` is, None for a name.

    Raises:
        CooeeError: ``bad_frame`` for what looks like an address and is none in its usual form (``127.1``, ``0x7f.1``):
            some resolvers take it for one.
    """
    bare = host[1:-1] if host.startswith("[") else host
    try:
        return str(ip_address(bare))
    except ValueError:
        last = bare.rstrip(".").rpartition(".")[2]
        if host.startswith("[") or last.isdigit() or last[:2].lower() == "0x":
            raise bad_frame("the URL's host is not a name, nor an address in its usual form") from None
        return None
