"""Who must encrypt, and does not."""

from typing import Any

import pytest

from cooee.gateway.addresses import ClientAddresses
from cooee.gateway.encryption import PROXY_HEADERS, is_this_machine, is_unencrypted


class Transport:
    """What is asked of a transport."""

    def __init__(self, peer: str, *, tls: bool = False) -> None:
        self._known: dict[str, Any] = {"peername": (peer, 1), "sslcontext": object() if tls else None}

    def get_extra_info(self, name: str) -> Any:
        return self._known[name]


def judged(peer: str, *, tls: bool = False, trusted: tuple[str, ...] = (), **headers: str) -> bool:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return is_unencrypted(Transport(peer, tls=tls), given, ClientAddresses(trusted))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_need_not(peer: str) -> None:
    assert is_this_machine(peer)
    assert not judged(peer)
    assert not judged(peer, x_forwarded_proto="http")


@pytest.mark.parametrize("peer", ["192.168.1.9", "10.0.0.1", "fe80::1", "::ffff:192.168.1.9", "128.0.0.1", "unix", ""])
def test_everybody_else_must(peer: str) -> None:
    assert not is_this_machine(peer)
    assert judged(peer)
    assert judged(peer, x_forwarded_proto="https", x_forwarded_for="127.0.0.1")
    assert not judged(peer, tls=True)


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_what_came_through_a_proxy_is_not_this_machines(header: str) -> None:
    assert is_unencrypted(Transport("127.0.0.1"), {header: "127.0.0.1"}, ClientAddresses())


@pytest.mark.parametrize(
    ("told", "unencrypted"),
    [("https", False), (" HTTPS ", False), ("http", True), ("https,http", True), ("http, https", False), ("wss", True)],
)
def test_a_trusted_proxy_tells_of_its_client(told: str, unencrypted: bool) -> None:
    trusted = ("10.0.0.0/8",)
    assert judged("10.1.1.1", trusted=trusted, x_forwarded_for="8.8.8.8", x_forwarded_proto=told) is unencrypted
    assert judged("11.1.1.1", trusted=trusted, x_forwarded_for="8.8.8.8", x_forwarded_proto=told)


def test_a_trusted_proxy_that_tells_nothing_is_somebody_else() -> None:
    assert judged("10.1.1.1", trusted=("10.0.0.0/8",), x_forwarded_for="8.8.8.8")
    assert judged("10.1.1.1", trusted=("10.0.0.0/8",), x_forwarded_proto="")
