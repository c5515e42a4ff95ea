"""The authority of a local network: what it may vouch for, and what its certificates say."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cooee.app.tls.authority import (
    AUTHORITY_DAYS,
    LEAF_DAYS,
    NotAllowed,
    certificate_pem,
    fingerprint,
    issue,
    may_vouch_for,
    new_authority,
    subjects,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AUTHORITY = new_authority("box", NOW)
OPENSSL = shutil.which("openssl")


def test_the_authority_lasts_ten_years_and_makes_no_others() -> None:
    certificate = AUTHORITY.certificate
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc - NOW == timedelta(days=AUTHORITY_DAYS)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value == x509.BasicConstraints(ca=True, path_length=0)
    assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert "box" in certificate.subject.rfc4514_string()


@pytest.mark.parametrize(
    "name",
    ["box", "localhost", "box.local", "BOX.LOCAL", "a.b.lan", "127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fd00::2"],
)
def test_it_may_vouch_for_what_is_local(name: str) -> None:
    assert may_vouch_for(AUTHORITY.certificate, name)


@pytest.mark.parametrize(
    "name",
    ["example.org", "xlocal", "local.example.org", "8.8.8.8", "172.32.0.1", "2a00::1", "notbox", "", "box.example"],
)
def test_it_may_vouch_for_nothing_else(name: str) -> None:
    assert not may_vouch_for(AUTHORITY.certificate, name)
    with pytest.raises((NotAllowed, ValueError)):
        issue(AUTHORITY, [name], [], NOW)


def test_a_public_address_is_refused() -> None:
    with pytest.raises(NotAllowed, match=r"8\.8\.8\.8"):
        issue(AUTHORITY, ["localhost"], [ip_address("8.8.8.8")], NOW)
    with pytest.raises(NotAllowed, match="nothing"):
        issue(AUTHORITY, [], [], NOW)


def test_a_certificate_says_what_it_is_for() -> None:
    leaf = issue(AUTHORITY, ["localhost", "Box.local"], [ip_address("192.168.1.5")], NOW).certificate
    assert subjects(leaf) == {"localhost", "box.local", "192.168.1.5"}
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=LEAF_DAYS)
    assert leaf.not_valid_before_utc < NOW
    leaf.verify_directly_issued_by(AUTHORITY.certificate)


def test_the_authority_vouches_for_servers_and_nothing_else() -> None:
    usage = AUTHORITY.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not usage.critical  # a device that does not know it may trust the authority all the same


def test_no_certificate_outlives_its_authority() -> None:
    late = NOW + timedelta(days=AUTHORITY_DAYS - 10)
    assert (
        issue(AUTHORITY, ["box"], [], late).certificate.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc
    )
    with pytest.raises(ValueError, match="expired"):
        issue(AUTHORITY, ["box"], [], late + timedelta(days=11))


def test_each_certificate_has_a_key_and_a_number_of_its_own() -> None:
    one, other = (issue(AUTHORITY, ["box"], [], NOW) for _ in range(2))
    assert one.certificate.public_key() != other.certificate.public_key()
    assert one.certificate.serial_number != other.certificate.serial_number


def test_a_certificate_without_names_has_no_subjects() -> None:
    assert subjects(AUTHORITY.certificate) == frozenset()


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to ask")
def test_openssl_finds_the_chain_sound_and_shows_the_same_fingerprint(tmp_path: Path) -> None:
    authority, leaf = tmp_path / "ca.pem", tmp_path / "leaf.pem"
    authority.write_bytes(certificate_pem(AUTHORITY.certificate))
    signed = issue(AUTHORITY, ["box.local"], [ip_address("192.168.1.5"), ip_address("fd00::5")], NOW)
    leaf.write_bytes(certificate_pem(signed.certificate))

    def openssl(*arguments: str) -> str:
        return subprocess.run([str(OPENSSL), *arguments], check=True, capture_output=True, text=True).stdout

    common = (
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-attime",
        str(int(NOW.timestamp())),
        "-CAfile",
        str(authority),
    )
    for check in (("-verify_hostname", "box.local"), ("-verify_ip", "192.168.1.5"), ("-verify_ip", "fd00::5")):
        assert "OK" in openssl(*common, *check, str(leaf))
    told = openssl("x509", "-in", str(authority), "-noout", "-fingerprint", "-sha256")
    assert fingerprint(AUTHORITY.certificate) in told
