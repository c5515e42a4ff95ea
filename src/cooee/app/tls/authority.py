"""A certificate authority for one local network, and the certificates that it signs (RFC 5280). No files, no clock.

ECDSA over P-256 throughout, which every browser takes. The authority can vouch for private addresses and local names
only: whoever trusts it and loses its key to a thief has lost nothing but this network (name constraints, §4.2.1.10).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3653
LEAF_DAYS = 397
"""Apple's systems refuse certificates for more than 825 days, and public ones for more than 398."""
_EARLIER = timedelta(days=1)
"""Certificates are valid from yesterday on: clocks of phones and machines differ."""
_MAX_COMMON_NAME = 64
_FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
"""In the authority, too: the constraints say nothing of names in mail or of programs, this leaves them to nobody."""

LOCAL_NAMES = ("localhost", "local", "lan", "home.arpa", "internal")
"""Domains that exist on local networks only; the authority may vouch for all names below them."""
PRIVATE_NETWORKS: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "100.64.0.0/10",  # shared by a provider's customers; also used by private overlay networks
            "192.0.2.0/24",  # the next three are for examples, and reach nobody
            "198.51.100.0/24",
            "203.0.113.0/24",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)
"""Addresses that no router of the internet takes a packet to."""

Address = IPv4Address | IPv6Address


class Signed(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class NotAllowed(Exception):
    """The authority may not vouch for this name or address."""


def new_authority(host: str, now: datetime) -> Signed:
    """Make an authority for the machine ``host``, which it may vouch for beside `LOCAL_NAMES`, for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Cooee on {host}, {now.astimezone(UTC):%Y-%m-%d}", "Cooee, local network")
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in dict.fromkeys((*LOCAL_NAMES, host.lower()))]
    permitted += [x509.IPAddress(network) for network in PRIVATE_NETWORKS]
    builder = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(_FOR_SERVERS, critical=False)
    )
    return Signed(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Signed, names: Iterable[str], addresses: Iterable[Address], now: datetime) -> Signed:
    """Make a key and sign a server's certificate for exactly these names and addresses, for `LEAF_DAYS` at most.

    Raises:
        NotAllowed: the authority's constraints do not permit one of them, or there is none.
        ValueError: the authority has expired.
    """
    wanted = _subject(authority, list(names), list(addresses))
    parent = authority.certificate
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now - _EARLIER + timedelta(days=LEAF_DAYS), parent.not_valid_after_utc)
    if until <= now:
        raise ValueError("the authority has expired")
    parent_key = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_name("Cooee server"), parent.subject, key.public_key(), now, until)
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(_FOR_SERVERS, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(parent_key), critical=False)
    )
    return Signed(builder.sign(authority.key, hashes.SHA256()), key)


def may_vouch_for(authority: x509.Certificate, name: str) -> bool:
    """Tell whether the authority's constraints permit a host name or an address."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = [each.value for each in constraints.permitted_subtrees or ()]
    try:
        address = ip_address(name)
    except ValueError:
        lowered = name.lower()
        domains = [each for each in permitted if isinstance(each, str)]
        return any(lowered == each or lowered.endswith(f".{each}") for each in domains)
    return any(address in each for each in permitted if isinstance(each, IPv4Network | IPv6Network))


def subjects(certificate: x509.Certificate) -> frozenset[str]:
    """Return the names and addresses that a certificate is for, as text."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(each.value) for each in value if isinstance(each, x509.DNSName | x509.IPAddress))


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint as phones and browsers show it: ``AB:CD:…``."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _subject(authority: Signed, names: list[str], addresses: list[Address]) -> list[x509.GeneralName]:
    wanted: list[x509.GeneralName] = [x509.DNSName(name.lower()) for name in dict.fromkeys(names)]
    wanted += [x509.IPAddress(address) for address in dict.fromkeys(addresses)]
    refused = [str(each.value) for each in wanted if not may_vouch_for(authority.certificate, str(each.value))]
    if refused or not wanted:
        raise NotAllowed(f"this authority may not vouch for {', '.join(refused) or 'nothing'}")
    return wanted


def _name(common: str, organization: str = "Cooee") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_MAX_COMMON_NAME]),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
