"""Device lists: only what an account signed counts, in one form, and no older one."""

import secrets
from typing import Any

import msgspec
import pytest

from cooee.crypto import device_list
from cooee.crypto.device_list import DeviceList, ListedDevice, OutdatedList, SignedDeviceList, sign, verify
from cooee.crypto.errors import BadKey, BadMessage, BadSignature, IdentityMismatch
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.domain.ids import DeviceRef

ACCOUNT = AccountPrivateKey(bytes(range(32)))
OTHER = AccountPrivateKey(bytes(32))
D1, D2 = (ListedDevice(name, IdentityPrivateKey.generate(secrets.token_bytes).public()) for name in ("d1", "d2"))
LIST = DeviceList("alice", 3, 1_700_000_000_000, ACCOUNT.public(), (D1, D2))


def signed_as(**changes: Any) -> SignedDeviceList:
    """Return a list that the account signed although something is wrong with it."""
    fields = msgspec.json.decode(sign(LIST, ACCOUNT).payload)
    payload = msgspec.json.encode({name: value for name, value in (fields | changes).items() if value is not None})
    return SignedDeviceList(payload, ACCOUNT.sign(device_list.LABEL + payload))


def test_a_list_says_what_was_signed() -> None:
    signed = sign(LIST._replace(devices=(D2, D1)), ACCOUNT)
    assert verify(signed, "alice", ACCOUNT.public(), 3) == LIST
    assert SignedDeviceList.from_text(**signed.to_json()) == signed
    assert LIST.identity_of("d2") == D2.identity_key
    assert LIST.identity_of("d3") is None
    assert LIST.refs() == (DeviceRef("alice", "d1"), DeviceRef("alice", "d2"))


def test_the_signed_form_of_a_list_is_this_one() -> None:
    payload = sign(LIST._replace(devices=()), ACCOUNT).payload
    assert payload.decode() == (
        '{"type":"cooee-device-list","v":1,"userId":"alice","version":3,"createdAt":1700000000000,'
        '"accountKey":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg","devices":[]}'
    )


def test_an_account_with_no_device_may_say_so() -> None:
    assert verify(sign(LIST._replace(devices=()), ACCOUNT), "alice").devices == ()


def test_nobody_else_signs_a_list() -> None:
    good = sign(LIST, ACCOUNT)
    with pytest.raises(IdentityMismatch):
        sign(LIST, OTHER)
    with pytest.raises(BadSignature):
        verify(good._replace(signature=OTHER.sign(device_list.LABEL + good.payload)), "alice")
    with pytest.raises(BadSignature):
        verify(good._replace(payload=good.payload.replace(b'"version":3', b'"version":4')), "alice")
    with pytest.raises(BadSignature):
        verify(good._replace(signature=ACCOUNT.sign(good.payload)), "alice")


def test_another_account_key_is_told() -> None:
    with pytest.raises(IdentityMismatch):
        verify(sign(LIST._replace(account_key=OTHER.public()), OTHER), "alice", ACCOUNT.public())


def test_the_list_of_another_user_is_refused() -> None:
    with pytest.raises(BadMessage):
        verify(sign(LIST, ACCOUNT), "bob")


def test_an_older_list_is_refused() -> None:
    with pytest.raises(OutdatedList):
        verify(sign(LIST, ACCOUNT), "alice", at_least=4)


DEVICE = {"deviceId": "d1", "identityKey": "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
SAME_KEY = {"deviceId": "d2", "identityKey": DEVICE["identityKey"]}
ELSE = {"deviceId": "d2", "identityKey": "EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "other"},
        {"v": 2},
        {"v": None},
        {"extra": 1},
        {"version": 0},
        {"version": 2**53},
        {"version": "3"},
        {"createdAt": -1},
        {"devices": [ELSE, DEVICE]},
        {"devices": [DEVICE, DEVICE]},
        {"devices": [DEVICE, SAME_KEY]},
        {"devices": [DEVICE | {"deviceId": "no id"}]},
        {"devices": [DEVICE | {"identityKey": DEVICE["identityKey"] + "="}]},
        {"devices": [DEVICE | {"extra": 1}]},
        {"devices": [ELSE | {"deviceId": f"d{n:03}"} for n in range(device_list.MAX_DEVICES + 1)]},
    ],
)
def test_what_is_malformed_is_refused_even_when_it_is_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        verify(signed_as(**changes), "alice")


def test_what_is_no_key_is_refused_even_when_it_is_signed() -> None:
    with pytest.raises(BadKey):
        verify(signed_as(devices=[DEVICE | {"identityKey": "A" * 43}]), "alice")
    with pytest.raises(BadKey):
        verify(signed_as(accountKey="AAAA"), "alice")


def test_a_list_that_is_too_long_is_not_read() -> None:
    long = SignedDeviceList(b" " * (device_list.MAX_PAYLOAD_BYTES + 1), b"")
    with pytest.raises(BadMessage):
        verify(long, "alice")


@pytest.mark.parametrize("name", ["Alice", "a b", ""])
def test_a_name_that_is_no_name_is_refused_even_when_it_is_asked_for(name: str) -> None:
    with pytest.raises(BadMessage):
        verify(signed_as(userId=name), name)


def test_a_signed_list_may_not_be_longer_than_it_may_be() -> None:
    payload = sign(LIST, ACCOUNT).payload + b" " * device_list.MAX_PAYLOAD_BYTES
    with pytest.raises(BadMessage, match="too long"):
        verify(SignedDeviceList(payload, ACCOUNT.sign(device_list.LABEL + payload)), "alice")


@pytest.mark.parametrize(("payload", "signature"), [("=", "AA"), ("AA", "A"), ("AA==", "AA")])
def test_a_list_that_is_no_base64url_is_refused(payload: str, signature: str) -> None:
    with pytest.raises(BadMessage):
        SignedDeviceList.from_text(payload, signature)
