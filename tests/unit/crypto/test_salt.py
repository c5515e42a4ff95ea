"""A suite may salt message keys with what the agreement gave: both sides need the same salt, also after a store."""

import msgspec
import pytest

from cooee.crypto.errors import CryptoError
from cooee.crypto.keys import SaltKey
from cooee.crypto.primitives import hkdf
from cooee.crypto.session import SessionRecord
from cooee.crypto.suite import COOEE_V1, Header, Suite
from tests.fakes.pairwise import Device, make_device


class CounterSalt:
    """A salt for each number in a chain; ``info`` tells two such salts apart."""

    def __init__(self, info: bytes) -> None:
        self._info = info

    def start(self, secrets: bytes, *, initiated: bool) -> SaltKey:
        return SaltKey(hkdf(secrets, 32, info=self._info))

    def of(self, key: SaltKey, header: Header) -> bytes:
        return hkdf(bytes(key), 32, info=header.counter.to_bytes(4))


def salted(info: bytes) -> Suite:
    return msgspec.structs.replace(COOEE_V1, salt=CounterSalt(info))


def make_talkers(one: Suite, other: Suite) -> tuple[Device, Device]:
    alice, bob = make_device("alice", suite=one), make_device("bob", suite=other)
    alice.start(bob)
    return alice, bob


def test_both_sides_salt_alike() -> None:
    alice, bob = make_talkers(salted(b"one"), salted(b"one"))
    skipped = alice.encrypt(bob, b"skipped")
    for number in range(4):
        assert bob.decrypt(alice, alice.encrypt(bob, b"%d" % number)) == b"%d" % number
        assert alice.decrypt(bob, bob.encrypt(alice, b"%d" % number)) == b"%d" % number
        for device, ref in ((alice, bob.me.ref), (bob, alice.me.ref)):
            device.records[ref] = SessionRecord.load(device.records[ref].dump())
    assert bob.decrypt(alice, skipped) == b"skipped"


@pytest.mark.parametrize("other", [salted(b"other"), COOEE_V1])
def test_another_salt_or_none_reads_nothing(other: Suite) -> None:
    alice, bob = make_talkers(salted(b"one"), other)
    message = alice.encrypt(bob, b"text")
    with pytest.raises(CryptoError):
        bob.decrypt(alice, message)
