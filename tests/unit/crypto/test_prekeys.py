"""Pre-keys: what is published, what is claimed, what is kept."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from cooee.crypto import prekeys
from cooee.crypto.errors import BadKey, BadSignature, BadState
from cooee.crypto.keys import Key
from cooee.crypto.prekeys import (
    KemPreKey,
    NoPreKeys,
    OneTimePreKey,
    PreKeyBundle,
    SignedPreKey,
    make_kem_keys,
    make_last_resort_key,
    make_one_time_pre_keys,
    make_signed_pre_key,
    publication,
)
from cooee.crypto.suite import COOEE_V1, MAX_KEY_ID
from tests.fakes.pairwise import Device, make_device


def text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def published(device: Device) -> dict[str, Any]:
    return publication(
        COOEE_V1,
        device.me.identity.public(),
        signed_pre_key=device.signed,
        last_resort=device.last_resort,
        one_time_pre_keys=device.one_time.values(),
        kem_keys=device.kems.values(),
    )


def claimed(device: Device) -> dict[str, Any]:
    """Return what a server would give out for what the device published."""
    body = published(device)
    return {
        "userId": "bob",
        "deviceId": "bob1",
        "identityKey": body["identityKey"],
        "signedPreKey": body["signedPreKey"],
        "oneTimePreKey": body["oneTimePreKeys"][0],
        "kemKey": body["oneTimeKemKeys"][0] | {"lastResort": False},
    }


def test_the_publication_holds_public_parts_only() -> None:
    bob = make_device("bob")
    body = published(bob)
    assert body["identityKey"] == text(bytes(bob.party.identity))
    assert [key["id"] for key in body["oneTimePreKeys"]] == [1, 2]
    assert [key["id"] for key in body["oneTimeKemKeys"]] == [1, 2]
    assert body["lastResortKemKey"]["id"] == bob.last_resort.key_id
    secret: list[Key] = [bob.me.identity, bob.signed.private, bob.last_resort.private]
    secret += [key.private for key in bob.one_time.values()]
    secret += [key.private for key in bob.kems.values()]
    assert not [key for key in secret if text(bytes(key))[:40] in str(body)]


def test_what_is_not_given_is_not_published() -> None:
    bob = make_device("bob")
    assert publication(COOEE_V1, bob.party.identity) == {"identityKey": text(bytes(bob.party.identity))}


def test_a_claimed_bundle_is_what_was_published_and_verifies() -> None:
    bob = make_device("bob")
    bundle = PreKeyBundle.from_json(COOEE_V1, claimed(bob))
    assert bundle == bob.bundle()
    bundle.verify(COOEE_V1)


def test_a_bundle_without_one_time_key() -> None:
    item = claimed(make_device("bob"))
    del item["oneTimePreKey"]
    bundle = PreKeyBundle.from_json(COOEE_V1, item)
    assert (bundle.one_time_pre_key, bundle.one_time_pre_key_id) == (None, None)


@pytest.mark.parametrize("part", ["identityKey", "signedPreKey", "kemKey"])
def test_a_bundle_without_a_part_is_refused(part: str) -> None:
    item = claimed(make_device("bob"))
    del item[part]
    with pytest.raises(BadKey):
        PreKeyBundle.from_json(COOEE_V1, item)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("signedPreKey", "key", text(bytes(32))),
        ("signedPreKey", "key", text(b"\xff" * 32)),
        ("signedPreKey", "key", text(b"\x09" * 31)),
        ("signedPreKey", "key", "!" * 43),
        ("signedPreKey", "key", "é" * 43),
        ("signedPreKey", "key", text(b"\x09" * 32) + "="),
        ("signedPreKey", "key", text(b"\x09" * 32)[:-1] + "l"),
        ("signedPreKey", "key", 5),
        ("signedPreKey", "signature", text(bytes(63))),
        ("signedPreKey", "id", -1),
        ("signedPreKey", "id", 0),
        ("signedPreKey", "id", MAX_KEY_ID + 1),
        ("oneTimePreKey", "key", text(bytes(32))),
        ("kemKey", "key", text(b"\xff" * 1568)),
        ("kemKey", "key", text(bytes(1567))),
    ],
)
def test_a_malformed_part_is_refused(part: str, name: str, value: object) -> None:
    item = claimed(make_device("bob"))
    item[part] = item[part] | {name: value}
    with pytest.raises(BadKey):
        PreKeyBundle.from_json(COOEE_V1, item)


@pytest.mark.parametrize(
    "part", ["identity", "signed_pre_key", "signed_pre_key_signature", "kem_key", "kem_key_signature"]
)
def test_a_bundle_with_a_part_of_another_does_not_verify(part: str) -> None:
    mine, other = make_device("bob").bundle(), make_device("eve").bundle()
    with pytest.raises(BadSignature):
        mine._replace(**{part: getattr(other, part)}).verify(COOEE_V1)


def test_keys_are_kept_as_bytes() -> None:
    bob = make_device("bob")
    assert SignedPreKey.load(bob.signed.dump()) == bob.signed
    assert OneTimePreKey.load(bob.one_time[1].dump()) == bob.one_time[1]
    assert KemPreKey.load(bob.last_resort.dump()) == bob.last_resort
    assert KemPreKey.load(bob.kems[1].dump()) == bob.kems[1]
    with pytest.raises(BadState):
        OneTimePreKey.load(bob.signed.dump())


def test_no_secret_in_a_repr() -> None:
    bob = make_device("bob")
    for key in (bob.signed, bob.one_time[1], bob.last_resort):
        assert repr(bytes(key.private))[2:12] not in repr(key)


@pytest.mark.parametrize("key_id", [0, -1, MAX_KEY_ID + 1])
def test_an_id_out_of_range_is_the_callers_fault(key_id: int) -> None:
    bob = make_device("bob")
    for make in (
        lambda: make_signed_pre_key(COOEE_V1, bob.me.identity, key_id, bob.random),
        lambda: make_one_time_pre_keys(key_id, 1, bob.random),
        lambda: make_kem_keys(COOEE_V1, bob.me.identity, key_id, 1, bob.random),
        lambda: make_last_resort_key(COOEE_V1, bob.me.identity, key_id, bob.random),
    ):
        with pytest.raises(ValueError, match="out of range"):
            make()


def test_nobody_has_no_keys() -> None:
    nobody: prekeys.PreKeys = NoPreKeys()
    found = (nobody.signed_pre_key(1), nobody.one_time_pre_key(1), nobody.kem_key(1))
    assert found == (None, None, None)
    assert not nobody.was_seen(b"")
