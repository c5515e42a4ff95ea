"""The machine's addresses, as the system tells them."""

import ipaddress
import json
import shutil
import socket
import subprocess

import pytest

from cooee.app.tls import addresses
from cooee.app.tls.addresses import host_name, own_addresses

IP = shutil.which("ip")


def test_none_is_of_no_use_to_others_and_none_comes_twice() -> None:
    found = own_addresses()
    assert len(found) == len(set(found))
    assert [one for one in found if one.is_loopback or one.is_unspecified or one.is_multicast] == []
    assert [one for one in found if one.version == 6 and one.is_link_local] == []


@pytest.mark.skipif(IP is None, reason="there is no program to compare with")
def test_the_system_says_the_same() -> None:
    told = json.loads(subprocess.run([str(IP), "-j", "address"], check=True, capture_output=True).stdout)
    up = [address for link in told if "UP" in link["flags"] for address in link["addr_info"]]
    expected = {
        ipaddress.ip_address(address["local"]) for address in up if address["scope"] == "global" and "local" in address
    }
    assert set(own_addresses()) == expected


def test_what_the_system_does_not_tell_is_asked_of_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_interfaces", lambda: iter(()))
    main = addresses._main()
    assert own_addresses() == (() if main is None else (main,))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Box", "box"),
        ("box.example.org.", "box.example.org"),
        ("my_box", "localhost"),
        ("-box", "localhost"),
        ("", "localhost"),
        ("192.168.1.5", "localhost"),
        ("kühlschrank", "localhost"),
        ("a" * 64, "localhost"),
    ],
)
def test_the_name_is_one_that_a_certificate_can_hold(monkeypatch: pytest.MonkeyPatch, told: str, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: told)
    assert host_name() == name
