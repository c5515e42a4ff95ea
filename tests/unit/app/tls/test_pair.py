"""Reading a certificate and its key: what cannot be used is named."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from cooee.app.tls.authority import certificate_pem, key_pem
from cooee.app.tls.pair import CertificateFailed, Pair, load, open_to_others, stamp
from tests.fakes.certificates import write_pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path, names=("localhost", "box.local"))


def test_a_sound_pair(pair: Pair) -> None:
    loaded = load(pair)
    assert loaded.names == {"127.0.0.1", "::1", "localhost", "box.local"}
    assert 395 * 86_400 < loaded.seconds_left() < 397 * 86_400
    assert loaded.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not loaded.context.options & ssl.OP_NO_TLSv1_3
    older = [cipher["name"] for cipher in loaded.context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert older
    assert [name for name in older if not name.startswith("ECDHE")] == []


def test_the_key_of_another_certificate(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_pair(tmp_path / "other")
    with pytest.raises(CertificateFailed, match="is not the key of"):
        load(Pair(pair.certificate, other.key))


@pytest.mark.parametrize("field", [0, 1])
def test_a_file_that_is_not_there(pair: Pair, field: int) -> None:
    pair[field].unlink()
    with pytest.raises(CertificateFailed, match=pair[field].name):
        load(pair)


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", b"\xff"]
)
@pytest.mark.parametrize("field", [0, 1])
def test_a_file_that_is_something_else(pair: Pair, field: int, content: bytes) -> None:
    pair[field].write_bytes(content)
    with pytest.raises(CertificateFailed, match=pair[field].name):
        load(pair)


def test_names_that_cannot_be_read(pair: Pair) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=9))
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"junk"), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair.certificate.write_bytes(certificate_pem(made))
    pair.key.write_bytes(key_pem(key))
    with pytest.raises(CertificateFailed, match=r"the names in .*server\.pem"):
        load(pair)


def test_a_key_with_a_password(pair: Pair) -> None:
    secret = serialization.BestAvailableEncryption(b"secret")
    key = ec.generate_private_key(ec.SECP256R1())
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    with pytest.raises(CertificateFailed, match="has a password"):
        load(pair)


def test_a_change_of_either_file_shows(pair: Pair) -> None:
    before = stamp(pair)
    assert stamp(pair) == before
    write_pair(pair.certificate.parent)
    changed = stamp(pair)
    assert changed[0] != before[0]
    assert changed[1] != before[1]
    pair.key.unlink()
    assert stamp(pair)[1] == (0, 0, 0, 0)


def test_a_key_that_others_may_read(pair: Pair) -> None:
    assert list(open_to_others(pair)) == []
    pair.key.chmod(0o640)
    assert "0640" in next(open_to_others(pair))
    pair.key.unlink()
    assert list(open_to_others(pair)) == []
