"""Which web pages may use this server: their ``Origin`` says where they come from."""

from collections.abc import Sequence
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origins:
    """The origins of ``public_url`` and ``allowed``; without a public URL also pages of the host that was asked.

    A request without ``Origin`` is no page's and is not judged here.
    """

    def __init__(self, public_url: str = "", allowed: Sequence[str] = ()) -> None:
        own = _origin(public_url) if public_url else None
        self._allowed = frozenset(_origin(each) for each in allowed) | ({own} if own else set())
        self._same_host = own is None

    def allows(self, origin: str, host: str) -> bool:
        """Tell whether a page of ``origin`` may use the server that it reached as ``host``."""
        place = _origin(origin)
        if place is None:
            return False
        return place in self._allowed or (self._same_host and _host(place[0], host) == place[1:])


def _origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what is no web origin, such as ``null``."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def _host(scheme: str, host: str) -> tuple[str, int] | None:
    place = _origin(f"{scheme}://{host}")
    return None if place is None else place[1:]
