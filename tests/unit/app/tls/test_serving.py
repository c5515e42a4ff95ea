"""Where a server listens, and which https address it tells to whom."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cooee.app.config import ServerConfig
from cooee.app.tls.lan import LocalNetwork
from cooee.app.tls.pair import CertificateFailed
from cooee.app.tls.serving import Tls, tls_of, url_of
from tests.fakes.certificates import write_pair


def lan(folder: Path, **server: Any) -> Tls:
    tls = Tls(ServerConfig(lan=True, data_dir=str(folder), **server))
    tls.lan = LocalNetwork(folder, lambda: (ip_address("192.168.1.5"), ip_address("fd00::5")), "box")
    tls.lan.renew()
    tls.port = 8443
    return tls


def own(folder: Path, *names: str, port: int = 443, **server: Any) -> Tls:
    pair = write_pair(folder, addresses=(), names=names)
    tls = Tls(ServerConfig(tls_cert=str(pair.certificate), tls_key=str(pair.key), port=port, **server))
    tls.port = port
    return tls


@pytest.mark.parametrize(
    ("reached", "url"),
    [
        ("192.168.1.5", "https://192.168.1.5:8443"),
        ("fd00::5", "https://[fd00::5]:8443"),
        ("172.17.0.1", "https://192.168.1.5:8443"),
        ("evil.example", "https://192.168.1.5:8443"),
        ("", "https://192.168.1.5:8443"),
    ],
)
def test_on_the_local_network_it_is_the_address_that_was_reached(tmp_path: Path, reached: str, url: str) -> None:
    assert lan(tmp_path).https_url(reached) == url


def test_without_a_network_it_is_this_machine(tmp_path: Path) -> None:
    tls = lan(tmp_path)
    tls.lan = LocalNetwork(tmp_path, lambda: (), "box")
    tls.lan.renew()
    assert tls.https_url("") == "https://localhost:8443"


def test_with_an_own_certificate_it_is_the_first_name_in_it(tmp_path: Path) -> None:
    assert own(tmp_path, "b.local", "a.local").https_url("192.168.1.5") == "https://a.local"
    assert own(tmp_path, "a.local", port=9443).https_url("") == "https://a.local:9443"
    assert own(tmp_path, "*.local").https_url("") == ""
    pair = write_pair(tmp_path, addresses=("10.0.0.1", "fd00::1"), names=("b.local",))
    server = ServerConfig(tls_cert=str(pair.certificate), tls_key=str(pair.key), port=443)
    assert Tls(server).https_url("") == "https://b.local"


def test_the_public_url_goes_before(tmp_path: Path) -> None:
    assert own(tmp_path, "a.local", public_url="https://chat.example/").https_url("x") == "https://chat.example"
    assert own(tmp_path, "a.local", public_url="http://chat.example").https_url("x") == "https://a.local"


@pytest.mark.parametrize(
    ("host", "listens", "plain_here"),
    [("127.0.0.1", "", True), ("::1", "", True), ("localhost", "", True), ("192.168.1.5", "192.168.1.5", False)],
)
def test_a_local_network_is_served_everywhere_unless_an_address_is_named(
    tmp_path: Path, host: str, listens: str, plain_here: bool
) -> None:
    tls = lan(tmp_path, host=host)
    assert (tls.host, tls.is_plain_here) == (listens, plain_here)


def test_an_own_certificate_listens_where_it_is_told(tmp_path: Path) -> None:
    tls = own(tmp_path, "a.local", host="127.0.0.1")
    assert (tls.host, tls.is_plain_here, tls.material()) == ("127.0.0.1", False, None)


def test_only_what_is_to_encrypt_does(tmp_path: Path) -> None:
    assert tls_of(ServerConfig()) is None
    assert tls_of(ServerConfig(lan=True, data_dir=str(tmp_path))) is not None
    with pytest.raises(CertificateFailed):
        tls_of(ServerConfig(tls_cert="missing.pem", tls_key="missing.key"))


def test_what_devices_are_to_trust_has_no_key(tmp_path: Path) -> None:
    tls = lan(tmp_path)
    material = tls.material()
    assert material is not None
    assert re.fullmatch(r"Cooee on \S+, \d{4}-\d\d-\d\d", material.name)
    assert b"PRIVATE" not in material.pem
    assert material.pem.count(b"BEGIN") == 1


def test_urls_leave_out_the_usual_port() -> None:
    assert url_of("http", "a", 80) == "http://a"
    assert url_of("https", "::1", 443) == "https://[::1]"
    assert url_of("https", "a", 80) == "https://a:80"
