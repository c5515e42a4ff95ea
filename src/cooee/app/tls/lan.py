"""The certificates of a local network: made in the data folder, and renewed when they end or the addresses change."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cooee.app.tls.addresses import Address, host_name, own_addresses
from cooee.app.tls.authority import (
    Signed,
    certificate_pem,
    issue,
    key_pem,
    may_vouch_for,
    new_authority,
    subjects,
)
from cooee.app.tls.pair import CertificateFailed, Pair

AUTHORITY = Pair(Path("lan-ca.pem"), Path("lan-ca.key"))
LEAF = Pair(Path("lan-server.pem"), Path("lan-server.key"))
RENEW_BEFORE = timedelta(days=30)
_LOOPBACK = ("127.0.0.1", "::1")


def _now() -> datetime:
    return datetime.now(UTC)


class LocalNetwork:
    """The authority of one data folder, and the certificate that it signs for this machine."""

    def __init__(
        self,
        folder: Path,
        addresses: Callable[[], tuple[Address, ...]] = own_addresses,
        host: str | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Read the authority, or make it if there is none.

        Raises:
            CertificateFailed: it cannot be read or written, half of it is missing, or it has expired.
        """
        self._addresses = addresses
        self._host = host_name() if host is None else host
        self._now = now
        self.authority_files = Pair(folder / AUTHORITY.certificate, folder / AUTHORITY.key)
        self.pair = Pair(folder / LEAF.certificate, folder / LEAF.key)
        self._authority = self._read_authority() or self._make_authority()
        self._reached: tuple[Address, ...] = ()
        self.public: tuple[Address, ...] = ()
        """Public addresses of IPv4 at the last `renew`; those of IPv6 are behind a firewall in most homes."""

    @property
    def authority(self) -> x509.Certificate:
        """The authority's certificate, which others are to trust."""
        return self._authority.certificate

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The private addresses at the last `renew`, the most usual first."""
        return self._reached

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that the certificate is for."""
        short = self._host.partition(".")[0]
        wanted = dict.fromkeys(("localhost", self._host, f"{short}.local" if short != "localhost" else "localhost"))
        return tuple(name for name in wanted if may_vouch_for(self.authority, name))

    def renew(self) -> None:
        """Look at the addresses, and sign a new certificate if the present one lacks one, ends soon, or is not there.

        Raises:
            CertificateFailed: it cannot be signed or written.
        """
        own = self._addresses()
        self._reached = tuple(each for each in own if may_vouch_for(self.authority, str(each)))
        self.public = tuple(each for each in own if each.version == 4 and each not in self._reached)
        wanted = {*self.names, *_LOOPBACK, *map(str, self._reached)}
        if self._is_good(wanted):
            return
        addresses = (*map(ip_address, _LOOPBACK), *self._reached)
        try:
            signed = issue(self._authority, self.names, addresses, self._now())
        except ValueError:
            raise self._expired() from None
        self._write(self.pair, signed)

    def _is_good(self, wanted: set[str]) -> bool:
        try:
            present, key = _read(self.pair)
            present.verify_directly_issued_by(self.authority)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        return (
            key.public_key() == present.public_key()
            and wanted <= subjects(present)
            and present.not_valid_after_utc - self._now() > RENEW_BEFORE
        )

    def _read_authority(self) -> Signed | None:
        files = self.authority_files
        if not files.certificate.exists():  # a key alone is what is left of a start that was cut off
            return None
        try:
            found = _read(files)
        except (OSError, ValueError, TypeError) as problem:
            raise CertificateFailed(
                f"the local authority {files.certificate} with {files.key} cannot be read ({problem}); restore both "
                "from a backup, or remove both: a new one is made then, which every device has to trust anew"
            ) from None
        if found.certificate.public_key() != found.key.public_key():
            raise CertificateFailed(f"{files.key} is not the key of {files.certificate}; restore both from a backup")
        return found

    def _make_authority(self) -> Signed:
        made = new_authority(self._host, self._now())
        self._write(self.authority_files, made)
        return made

    def _expired(self) -> CertificateFailed:
        return CertificateFailed(
            f"the local authority {self.authority_files.certificate} has expired; remove it and "
            f"{self.authority_files.key}: a new one is made then, which every device has to trust anew"
        )

    def _write(self, files: Pair, signed: Signed) -> None:
        """Write both files whole and for their owner alone; without the certificate the key counts for nothing."""
        try:
            _replace(files.key, key_pem(signed.key))
            _replace(files.certificate, certificate_pem(signed.certificate))
        except OSError as problem:
            raise CertificateFailed(f"{files.certificate} cannot be written: {problem.strerror}") from None


def _read(files: Pair) -> Signed:
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is not one for elliptic curves")
    return Signed(certificate, key)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
