"""Any set of private addresses and local names: the certificate is for each of them and for nothing else."""

import ipaddress
import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.app.tls.addresses import Address
from cooee.app.tls.authority import (
    PRIVATE_NETWORKS,
    NotAllowed,
    Signed,
    certificate_pem,
    issue,
    key_pem,
    may_vouch_for,
    new_authority,
)
from cooee.app.tls.pair import Pair, load

NOW = datetime.now(UTC)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
LOCAL = st.builds(lambda label, domain: f"{label}.{domain}", LABELS, st.sampled_from(["local", "lan", "home.arpa"]))
PRIVATE = st.sampled_from(PRIVATE_NETWORKS).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n])
)
PUBLIC = st.ip_addresses().filter(lambda address: not any(address in network for network in PRIVATE_NETWORKS))


@cache
def authority() -> Signed:
    return new_authority("box", NOW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


def takes(pair: Pair, name: str) -> bool:
    """Tell whether a client that trusts the authority finds ``name`` at the other end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cadata=certificate_pem(authority().certificate).decode())
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    server = load(pair).context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for end in (client, server, client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError:
        return False
    assert client.version() is not None
    return True


def written(folder: Path, signed: Signed) -> Pair:
    pair = Pair(folder / "leaf.pem", folder / "leaf.key")
    pair.certificate.write_bytes(certificate_pem(signed.certificate))
    pair.key.write_bytes(key_pem(signed.key))
    return pair


@settings(max_examples=40, deadline=None)
@given(st.lists(LOCAL, max_size=3), st.lists(PRIVATE, max_size=4), st.one_of(LOCAL, PRIVATE, PUBLIC))
def test_it_is_for_each_and_for_nothing_else(
    folder: Path, names: list[str], addresses: list[Address], other: object
) -> None:
    if not names and not addresses:
        with pytest.raises(NotAllowed):
            issue(authority(), names, addresses, NOW)
        return
    pair = written(folder, issue(authority(), names, addresses, NOW))
    wanted = {*names, *map(str, addresses)}
    assert [name for name in wanted if not takes(pair, name)] == []
    if str(other) not in wanted:
        assert not takes(pair, str(other))


@settings(max_examples=100, deadline=None)
@given(PUBLIC)
def test_no_public_address_is_ever_signed(address: Address) -> None:
    assert not may_vouch_for(authority().certificate, str(address))
    with pytest.raises(NotAllowed):
        issue(authority(), ["localhost"], [address], NOW)


@settings(max_examples=15, deadline=None)
@given(st.one_of(PUBLIC.map(str), st.sampled_from(["example.org", "local.example", "xn--a.com"])))
def test_clients_refuse_what_a_thief_of_the_key_would_sign(folder: Path, name: str) -> None:
    """The constraints stand in the authority's certificate, and OpenSSL enforces them without the code above."""
    is_address = name.replace(".", "").isdigit() or ":" in name
    addresses = [ipaddress.ip_address(name)] if is_address else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cooee.app.tls.authority.may_vouch_for", lambda *_: True)
        signed = issue(authority(), [] if is_address else [name], addresses, NOW)
    assert not takes(written(folder, signed), name)
