"""Who must encrypt: everybody but the programs on this machine, once a server has a certificate.

Browsers give pages no cryptography where they came by plain HTTP from another machine, and what goes over a network
unencrypted can be read there. So such a request gets an explanation and nothing else.
"""

import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.gateway.addresses import ClientAddresses
from cooee.gateway.handshake import peer_of

PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Each of them tells that a request came through a proxy."""


class Encryption(NamedTuple):
    """How a server encrypts.

    ``context`` gives what the next connection is encrypted with; ``explain`` is the ASGI application that answers
    plain HTTP from elsewhere; ``port`` is the port for TLS where it is not the public port itself.
    """

    context: Callable[[], ssl.SSLContext]
    explain: Any
    port: int | None = None


def https_required() -> CooeeError:
    """Build the error for plain HTTP from another machine."""
    return CooeeError(
        ErrorCode.HTTPS_REQUIRED, "this server takes plain http from its own machine only; use its https:// address"
    )


def is_unencrypted(transport: Any, headers: Mapping[str, str], addresses: ClientAddresses) -> bool:
    """Tell whether a request was readable on its way here.

    It was not when it came over TLS, from this machine and through no proxy, or when a trusted proxy says by
    ``X-Forwarded-Proto`` that its client used https.
    """
    if transport.get_extra_info("sslcontext") is not None:
        return False
    peer = peer_of(transport)
    told = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    if told and addresses.is_trusted(peer):
        return told != "https"
    return not is_this_machine(peer) or any(name in headers for name in PROXY_HEADERS)


def is_this_machine(address: str) -> bool:
    """Tell whether an address is a loopback one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
