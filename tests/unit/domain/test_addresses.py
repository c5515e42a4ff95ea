"""Which addresses and URLs a request that a user causes may go to."""

import pytest

from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.errors import CooeeError, ErrorCode

PUBLIC = ("8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111")
CLOSED = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # an address to be refused
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "168.63.129.16",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "100::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "5f00::1",
    "",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
)
RULES = AddressRules()


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert RULES.allows(address)


@pytest.mark.parametrize("address", CLOSED)
def test_everything_else_may_not_however_it_is_spelt(address: str) -> None:
    assert not RULES.allows(address)


def test_an_address_within_another_counts_as_what_it_stands_for() -> None:
    assert RULES.allows("::ffff:8.8.8.8")
    assert RULES.allows("64:ff9b::8.8.8.8")


def test_what_the_operator_names_may_be_connected_to_and_no_more() -> None:
    rules = AddressRules(("10.1.2.0/24", "fd00::/64"))
    assert rules.allows("10.1.2.3")
    assert rules.allows("::ffff:10.1.2.3")
    assert rules.allows("fd00::1")
    assert not rules.allows("10.1.3.1")
    assert not rules.allows("fd00:0:0:1::1")
    assert not rules.allows("127.0.0.1")
    assert rules.allows("8.8.8.8")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org/",
        "https://example.org./hook",
        "https://example.org:8443/hook?token=a%20b&c=d",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]:443/x",
        "https://my_host.example.org/x",
        "https://example.org?x",
    ],
)
def test_plain_urls_are_targets(url: str) -> None:
    check_target(url, RULES, allow_http=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "HTTPS://example.org/",
        "//example.org/",
        "https://",
        "https:///path",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://example.org@127.0.0.1/",
        "https://127.0.0.1\\@example.org/",
        "https://example.org/#fragment",
        "https://example.org/ space",
        "https://example.org/\r\nX-Header: 1",
        "https://example.org/\x00",
        "https://example.org/ü",
        "https://bücher.example/",
        "https://exa%6dple.org/",
        "https://example.org:0/",
        "https://example.org:22/",
        "https://example.org:25/",
        "https://example.org:1023/",
        "https://example.org:65536/",
        "https://example.org:99999/",
        "https://example.org:-1/",
        "https://example.org:/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[]/",
        "https://example.org/" + "a" * 2048,
    ],
)
def test_what_two_parsers_might_read_differently_is_no_target(url: str) -> None:
    with pytest.raises(CooeeError) as refused:
        check_target(url, RULES, allow_http=False)
    assert refused.value.code is ErrorCode.BAD_FRAME


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "[fd00::1]:8443"])
def test_a_closed_address_is_no_target(host: str) -> None:
    with pytest.raises(CooeeError) as refused:
        check_target(f"https://{host}/", RULES, allow_http=False)
    assert refused.value.code is ErrorCode.FORBIDDEN


def test_unencrypted_targets_are_the_operators_choice() -> None:
    check_target("http://example.org:8080/hook", RULES, allow_http=True)
    check_target("http://127.0.0.1:8080/hook", AddressRules(("127.0.0.0/8",)), allow_http=True)
