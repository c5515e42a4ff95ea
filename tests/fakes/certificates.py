"""Certificates of an authority that is made for the tests."""

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cooee.app.tls.authority import Signed, certificate_pem, issue, key_pem, new_authority
from cooee.app.tls.pair import Pair, load


class Certified(NamedTuple):
    """Both ends of TLS: the server's context, and that of a client which trusts its authority."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@cache
def authority() -> Signed:
    """The one authority of the tests."""
    return new_authority("tests", datetime.now(UTC))


def write_pair(
    folder: Path, addresses: Iterable[str] = ("127.0.0.1", "::1"), names: Iterable[str] = ("localhost",)
) -> Pair:
    """Write a new certificate and its key into a folder."""
    signed = issue(authority(), names, map(ip_address, addresses), datetime.now(UTC))
    pair = Pair(folder / "server.pem", folder / "server.key")
    pair.key.touch(0o600)
    pair.key.write_bytes(key_pem(signed.key))
    pair.certificate.write_bytes(certificate_pem(signed.certificate))
    return pair


def trusting(signed: Signed | None = None) -> ssl.SSLContext:
    """A client's context that trusts one authority only."""
    pem = certificate_pem((signed or authority()).certificate).decode()
    return ssl.create_default_context(cadata=pem)


def certified(folder: Path) -> Certified:
    """Make both ends."""
    return Certified(load(write_pair(folder)).context, trusting())
