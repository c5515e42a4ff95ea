"""Who a client is: its own address, or what a trusted proxy says."""

import pytest

from cooee.gateway.addresses import MAX_PROXIES, ClientAddresses

PROXIES = ("10.0.0.0/8", "127.0.0.1", "fd00::/8")


@pytest.fixture
def addresses() -> ClientAddresses:
    return ClientAddresses(PROXIES)


def forwarded(value: str) -> dict[str, str]:
    return {"x-forwarded-for": value}


@pytest.mark.parametrize("peer", ["203.0.113.7", "2001:db8::7", "11.0.0.1", "9.255.255.255", "127.0.0.2", "fc00::1"])
def test_a_stranger_is_who_he_is_whatever_he_says(addresses: ClientAddresses, peer: str) -> None:
    assert addresses.of(peer, forwarded("198.51.100.1")) == peer
    assert not addresses.is_trusted(peer)


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert ClientAddresses().of("127.0.0.1", forwarded("198.51.100.1")) == "127.0.0.1"


@pytest.mark.parametrize("peer", ["10.0.0.1", "10.255.255.255", "127.0.0.1", "::ffff:10.1.2.3", "fd12::1"])
def test_a_trusted_proxy_is_believed(addresses: ClientAddresses, peer: str) -> None:
    assert addresses.is_trusted(peer)
    assert addresses.of(peer, forwarded("198.51.100.1")) == "198.51.100.1"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("192.0.2.66, 198.51.100.1", "198.51.100.1"),
        ("192.0.2.66, 198.51.100.1, 10.0.0.2, 10.0.0.3", "198.51.100.1"),
        ("127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
        ("  198.51.100.1\t", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_client_is_the_last_who_is_no_proxy(addresses: ClientAddresses, header: str, client: str) -> None:
    """What stands further left was written by the client and may be a lie."""
    assert addresses.of("10.0.0.1", forwarded(header)) == client


@pytest.mark.parametrize(
    "header", ["", ",", "unknown", "_hidden", "evil.example", "198.51.100.1.9", "0x7f.1", "1", "010.0.0.1"]
)
def test_what_is_no_address_is_not_believed(addresses: ClientAddresses, header: str) -> None:
    assert addresses.of("10.0.0.1", forwarded(header)) == "10.0.0.1"
    assert addresses.of("10.0.0.1", forwarded(f"198.51.100.1, {header}")) == "10.0.0.1"
    assert addresses.of("10.0.0.1", forwarded(f"{header}, 10.0.0.2")) == "10.0.0.2"


def test_without_the_header_the_proxy_itself_is_the_client(addresses: ClientAddresses) -> None:
    assert addresses.of("10.0.0.1", {}) == "10.0.0.1"


def test_other_headers_say_nothing(addresses: ClientAddresses) -> None:
    headers = {"forwarded": "for=198.51.100.1", "x-real-ip": "198.51.100.2", "client-ip": "198.51.100.3"}
    assert addresses.of("10.0.0.1", headers) == "10.0.0.1"


def test_a_line_of_proxies_is_followed_only_so_far(addresses: ClientAddresses) -> None:
    chain = ", ".join(["10.0.0.9"] * (MAX_PROXIES - 1))
    assert addresses.of("10.0.0.1", forwarded(f"198.51.100.1, {chain}")) == "198.51.100.1"
    assert addresses.of("10.0.0.1", forwarded(f"198.51.100.1, 10.0.0.9, {chain}")) == "10.0.0.9"


@pytest.mark.parametrize(
    ("peer", "plain"),
    [
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::7%eth0", "fe80::7"),
        ("2001:0DB8::7", "2001:db8::7"),
        ("unix", "unix"),
    ],
)
def test_an_address_has_one_form(peer: str, plain: str) -> None:
    """A client that reaches an IPv6 socket over IPv4 spends the same budgets as over an IPv4 socket."""
    assert ClientAddresses().of(peer, {}) == plain
    assert ClientAddresses(PROXIES).of(peer, forwarded("198.51.100.1")) == plain


def test_a_peer_without_an_address_is_not_trusted(addresses: ClientAddresses) -> None:
    assert not addresses.is_trusted("unix")
    assert not ClientAddresses(("0.0.0.0/0", "::/0")).is_trusted("unix")


def test_a_network_may_be_given_by_any_of_its_addresses() -> None:
    assert ClientAddresses(("10.1.2.3/8",)).is_trusted("10.200.0.1")


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        ClientAddresses(("nowhere",))
