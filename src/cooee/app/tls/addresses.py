"""The addresses of this machine, from getifaddrs(3): the same call on Linux, macOS and the BSDs."""

import contextlib
import ctypes
import ctypes.util
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

_UP = 0x1
_IPV6_OFFSET = 8
_IPV4_OFFSET = 4
"""Where an address begins in sockaddr_in6 and sockaddr_in."""
_ELSEWHERE = ("192.0.2.1", 9)
"""An address for examples (RFC 5737): where the way there begins is asked, and nothing is sent."""

Address = IPv4Address | IPv6Address


class _Interface(ctypes.Structure):
    pass


_Interface._fields_ = [
    ("next", ctypes.POINTER(_Interface)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
    ("destination", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]


def own_addresses() -> tuple[Address, ...]:
    """Return the addresses of this machine's interfaces that are up, the one of its main way out first.

    Loopback and link-local addresses of IPv6 are left out: the first are nobody else's, the second need a zone that
    no URL can tell. Where the system does not tell, what is known is the main way out's alone.
    """
    main = _main()
    found = {address for address in _interfaces() if not _is_of_no_use(address)}
    ordered = sorted(found, key=lambda address: (address.version, address.packed))
    return tuple(dict.fromkeys([*((main,) if main is not None else ()), *ordered]))


def host_name() -> str:
    """Return this machine's name in lower case, ``localhost`` when it has none that a certificate can hold."""
    name = socket.gethostname().strip(".").lower()
    labels = name.split(".")
    sound = name.isascii() and all(
        0 < len(label) < 64 and label.replace("-", "").isalnum() and label.strip("-") == label for label in labels
    )
    return name if sound and len(name) < 254 and not labels[-1].isdigit() else "localhost"


def _is_of_no_use(address: Address) -> bool:
    unreachable = address.version == 6 and address.is_link_local
    return address.is_loopback or address.is_unspecified or address.is_multicast or unreachable


def _main() -> Address | None:
    """Return the address that this machine would begin a way to the internet with."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ELSEWHERE)
        address = IPv4Address(probe.getsockname()[0])
        return None if _is_of_no_use(address) else address
    return None


def _interfaces() -> Iterator[Address]:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        getifaddrs, freeifaddrs = library.getifaddrs, library.freeifaddrs
    except (OSError, AttributeError, TypeError):
        return
    first = ctypes.POINTER(_Interface)()
    if getifaddrs(ctypes.byref(first)) != 0:
        return
    try:
        here = first
        while bool(here):
            interface = here.contents
            if interface.address and interface.flags & _UP:
                address = _address_at(interface.address)
                if address is not None:
                    yield address
            here = interface.next
    finally:
        freeifaddrs.argtypes = [ctypes.POINTER(_Interface)]
        freeifaddrs(first)


def _address_at(place: int) -> Address | None:
    """Read a sockaddr. The BSDs keep its length in the first byte and its family in the second."""
    if sys.platform == "linux":
        family = int(ctypes.c_uint16.from_address(place).value)
    else:
        family = ctypes.string_at(place, 2)[1]
    if family == socket.AF_INET:
        return IPv4Address(ctypes.string_at(place + _IPV4_OFFSET, 4))
    if family == socket.AF_INET6:
        packed = bytearray(ctypes.string_at(place + _IPV6_OFFSET, 16))
        if packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
            packed[2:4] = b"\0\0"  # some BSDs keep the zone of a link-local address in it
        return IPv6Address(bytes(packed))
    return None
