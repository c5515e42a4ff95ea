"""PQXDH: both sides agree, and every secret counts."""

import pytest

from cooee.crypto import pqxdh
from cooee.crypto.errors import BadMessage, BadSignature
from cooee.crypto.keys import DhPrivateKey, KemPrivateKey
from cooee.crypto.primitives import hkdf
from cooee.crypto.suite import COOEE_V1, FirstMessage
from tests.fakes.pairwise import Device, make_device, make_pair


def agreement(alice: Device, bob: Device) -> tuple[pqxdh.Agreed, FirstMessage]:
    bundle = bob.bundle()
    root, base_key, ciphertext = pqxdh.initiate(COOEE_V1, alice.me.identity, bundle, alice.random)
    ids = (bundle.signed_pre_key_id, bundle.one_time_pre_key_id, bundle.kem_key_id)
    return root, FirstMessage(alice.party.identity, base_key, *ids, ciphertext, b"")


@pytest.mark.parametrize("one_time", [0, 1])
def test_both_sides_agree(one_time: int) -> None:
    alice, bob = make_pair(one_time=one_time, talk=False)
    root, first = agreement(alice, bob)
    key = bob.one_time[1].private if one_time else None
    kem = bob.kems[1] if one_time else bob.last_resort
    assert pqxdh.respond(COOEE_V1, bob.me.identity, first, bob.signed.private, key, kem.private) == root


def test_every_key_counts() -> None:
    alice, bob = make_pair(talk=False)
    root, first = agreement(alice, bob)
    eve = make_device("eve")
    right: tuple[DhPrivateKey, DhPrivateKey | None, KemPrivateKey]
    right = (bob.signed.private, bob.one_time[1].private, bob.kems[1].private)
    identity = bob.me.identity
    assert pqxdh.respond(COOEE_V1, identity, first, *right) == root
    others = [
        pqxdh.respond(COOEE_V1, eve.me.identity, first, *right),
        pqxdh.respond(COOEE_V1, identity, first._replace(identity=eve.party.identity), *right),
        pqxdh.respond(COOEE_V1, identity, first._replace(base_key=eve.signed.private.public()), *right),
        pqxdh.respond(COOEE_V1, identity, first, eve.signed.private, *right[1:]),
        pqxdh.respond(COOEE_V1, identity, first, right[0], eve.signed.private, right[2]),
        pqxdh.respond(COOEE_V1, identity, first, right[0], None, right[2]),
        pqxdh.respond(COOEE_V1, identity, first, *right[:2], eve.last_resort.private),
        pqxdh.respond(COOEE_V1, identity, first._replace(kem_ciphertext=bytes(1568)), *right),
    ]
    assert root not in others


def test_the_root_key_is_as_specified() -> None:
    """PQXDH §2.2 and §3.3, written out: F, then DH1 to DH4 and the KEM's secret, a salt of zeros, the suite's label."""
    alice, bob = make_pair(talk=False)
    root, first = agreement(alice, bob)
    secret = COOEE_V1.kem.decapsulate(bob.kems[1].private, first.kem_ciphertext)
    material = b"\xff" * 32
    material += alice.me.identity.exchange(bob.signed.private.public())
    material += bob.me.identity.exchange(first.base_key)
    material += bob.signed.private.exchange(first.base_key)
    material += bob.one_time[1].private.exchange(first.base_key)
    wanted = hkdf(material + secret, 32, salt=bytes(32), info=b"cooee-v1 PQXDH_CURVE25519_SHA-256_ML-KEM-1024")
    assert bytes(root.root) == wanted


def test_a_bundle_is_verified_first() -> None:
    alice, bob = make_pair(talk=False)
    bundle = bob.bundle()._replace(kem_key=make_device("eve").last_resort.private.public())
    with pytest.raises(BadSignature):
        pqxdh.initiate(COOEE_V1, alice.me.identity, bundle, alice.random)


@pytest.mark.parametrize("length", [0, 1567, 1569])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    alice, bob = make_pair(talk=False)
    _, first = agreement(alice, bob)
    with pytest.raises(BadMessage):
        pqxdh.respond(
            COOEE_V1,
            bob.me.identity,
            first._replace(kem_ciphertext=bytes(length)),
            bob.signed.private,
            None,
            bob.kems[1].private,
        )
