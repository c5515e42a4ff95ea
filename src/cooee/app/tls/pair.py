"""A certificate and its key in two files, read and judged before anything uses them."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from cooee.app.tls.authority import subjects

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else."""


class CertificateFailed(Exception):
    """A certificate or key cannot be used; the message names the file and what is wrong."""


class Pair(NamedTuple):
    """Where a certificate (with its chain) and its key are, both as PEM."""

    certificate: Path
    key: Path


class Loaded(NamedTuple):
    """A pair that can be used: the context for connections, until when it is valid, and for which names."""

    context: ssl.SSLContext
    expires: datetime
    names: frozenset[str]

    def seconds_left(self) -> float:
        """Return how long it is valid yet; negative: it has expired."""
        return (self.expires - datetime.now(UTC)).total_seconds()


Stamp = tuple[tuple[int, int, int, int], ...]
"""What changes when one of the files does."""


def load(pair: Pair) -> Loaded:
    """Read a pair into a new context for TLS 1.2 or later that offers HTTP/1.1.

    Raises:
        CertificateFailed: a file is not there or no PEM, or the key is another certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    first = _certificate(pair.certificate)
    names = _names(pair.certificate, first)
    _readable(pair.key)
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=_refuse_password)
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            raise CertificateFailed(f"{pair.key} is not the key of {pair.certificate}") from None
        raise CertificateFailed(f"{pair.key} is no key for {pair.certificate}: {problem.reason}") from None
    except (OSError, ValueError) as problem:
        raise CertificateFailed(f"{pair.key} cannot be used: {problem}") from None
    return Loaded(context, first.not_valid_after_utc, names)


def stamp(pair: Pair) -> Stamp:
    """Return what tells whether the files are still the same; a file that is not there has zeros."""
    return tuple(_stamp(path) for path in pair)


def open_to_others(pair: Pair) -> Iterator[str]:
    """Yield what is wrong with the mode of the key's file."""
    try:
        mode = pair.key.stat().st_mode & 0o777
    except OSError:
        return
    if mode & 0o077:
        yield f"others than its owner may read the key {pair.key} (mode {mode:04o})"


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_readable(path))[0]
    except ValueError as problem:
        raise CertificateFailed(f"{path} holds no certificate in PEM: {problem}") from None


def _names(path: Path, certificate: x509.Certificate) -> frozenset[str]:
    try:
        return subjects(certificate)
    except (ValueError, x509.DuplicateExtension) as problem:
        raise CertificateFailed(f"the names in {path} cannot be read: {problem}") from None


def _readable(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CertificateFailed(f"{path} cannot be read: {problem.strerror}") from None


def _refuse_password() -> str:
    raise ValueError("it has a password; store it without one, in a file that only the server's user may read")


def _stamp(path: Path) -> tuple[int, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
