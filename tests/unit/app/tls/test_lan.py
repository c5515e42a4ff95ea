"""The local network's certificates: made once, renewed when needed, private."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from cooee.app.tls.addresses import Address
from cooee.app.tls.authority import LEAF_DAYS, subjects
from cooee.app.tls.lan import RENEW_BEFORE, LocalNetwork
from cooee.app.tls.pair import CertificateFailed, load


class Machine:
    """A machine with addresses and a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses: tuple[Address, ...] = (ip_address("192.168.1.5"), ip_address("fd00::5"))
        self.now = datetime.now(UTC)
        self.host = "box"

    def network(self) -> LocalNetwork:
        """Start."""
        return LocalNetwork(self.folder, lambda: self.addresses, self.host, lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def leaf(network: LocalNetwork) -> x509.Certificate:
    return x509.load_pem_x509_certificate(network.pair.certificate.read_bytes())


def test_the_authority_is_made_once_and_everything_is_private(machine: Machine) -> None:
    first = machine.network()
    first.renew()
    again = machine.network()
    again.renew()
    assert again.authority == first.authority
    assert sorted(path.name for path in machine.folder.iterdir()) == [
        "lan-ca.key",
        "lan-ca.pem",
        "lan-server.key",
        "lan-server.pem",
    ]
    assert {path.stat().st_mode & 0o777 for path in machine.folder.iterdir()} == {0o600}


def test_the_certificate_is_for_all_that_others_can_type(machine: Machine) -> None:
    network = machine.network()
    network.renew()
    expected = {"localhost", "box", "box.local", "127.0.0.1", "::1", "192.168.1.5", "fd00::5"}
    assert subjects(leaf(network)) == expected
    assert load(network.pair).names == expected
    assert network.addresses == machine.addresses


def test_public_addresses_are_left_out(machine: Machine) -> None:
    machine.addresses = (ip_address("8.8.8.8"), ip_address("10.0.0.2"), ip_address("2a00::1"))
    network = machine.network()
    network.renew()
    assert network.addresses == (ip_address("10.0.0.2"),)


def test_a_machine_that_got_another_name_keeps_to_those_that_are_allowed(machine: Machine) -> None:
    machine.network().renew()
    machine.host = "other.example.org"
    network = machine.network()
    network.renew()
    assert network.names == ("localhost", "other.local")


def test_a_machine_without_a_name(machine: Machine) -> None:
    machine.host = "localhost"
    assert machine.network().names == ("localhost",)


def test_a_new_address_makes_a_new_certificate_and_a_lost_one_does_not(machine: Machine) -> None:
    network = machine.network()
    network.renew()
    first = leaf(network)
    network.renew()
    assert leaf(network) == first
    machine.addresses = (ip_address("192.168.1.5"),)
    network.renew()
    assert leaf(network) == first
    assert network.addresses == machine.addresses
    machine.addresses = (ip_address("192.168.7.7"),)
    network.renew()
    assert "192.168.7.7" in subjects(leaf(network))
    assert "192.168.1.5" not in subjects(leaf(network))


def test_it_is_renewed_before_its_end(machine: Machine) -> None:
    network = machine.network()
    network.renew()
    first = leaf(network)
    machine.now += timedelta(days=LEAF_DAYS) - RENEW_BEFORE - timedelta(days=2)
    network.renew()
    assert leaf(network) == first
    machine.now += timedelta(days=3)
    network.renew()
    assert leaf(network).not_valid_after_utc - machine.now > timedelta(days=390)


@pytest.mark.parametrize("content", [None, b"", b"junk"])
@pytest.mark.parametrize("field", [0, 1])
def test_a_broken_certificate_is_made_anew(machine: Machine, field: int, content: bytes | None) -> None:
    network = machine.network()
    network.renew()
    if content is None:
        network.pair[field].unlink()
    else:
        network.pair[field].write_bytes(content)
    network.renew()
    load(network.pair)


def test_one_that_was_cut_off_between_its_two_files_is_made_anew(machine: Machine, tmp_path: Path) -> None:
    network = machine.network()
    network.renew()
    (tmp_path / "other").mkdir()
    other = Machine(tmp_path / "other").network()
    other.renew()
    other.pair.key.replace(network.pair.key)
    network.renew()
    load(network.pair)


def test_an_authority_that_was_cut_off_is_made_anew(machine: Machine) -> None:
    network = machine.network()
    network.authority_files.certificate.unlink()
    assert machine.network().authority != network.authority


def test_an_authority_without_its_key_is_not_replaced(machine: Machine, tmp_path: Path) -> None:
    network = machine.network()
    before = network.authority_files.certificate.read_bytes()
    (tmp_path / "other").mkdir()
    other = Machine(tmp_path / "other").network().authority_files.key.read_bytes()
    for content in (other, b"junk", None):
        if content is None:
            network.authority_files.key.unlink()
        else:
            network.authority_files.key.write_bytes(content)
        with pytest.raises(CertificateFailed, match=r"lan-ca\.key"):
            machine.network()
    assert network.authority_files.certificate.read_bytes() == before


def test_an_authority_that_has_ended_is_told(machine: Machine) -> None:
    network = machine.network()
    machine.now += timedelta(days=4000)
    with pytest.raises(CertificateFailed, match="expired"):
        network.renew()


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(CertificateFailed, match="cannot be written"):
        Machine(tmp_path / "missing").network()
