"""Keys as values: of one class each, checked, and silent."""

import copy
import pickle
import secrets
import traceback

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cooee.crypto import keys
from cooee.crypto.errors import BadKey, BadSignature
from cooee.crypto.keys import (
    AccountPrivateKey,
    AccountPublicKey,
    ChainKey,
    DhPrivateKey,
    DhPublicKey,
    IdentityPrivateKey,
    IdentityPublicKey,
    KemPrivateKey,
    KemPublicKey,
    Key,
    MessageKey,
    PublicKey,
    RootKey,
)
from cooee.crypto.primitives import _LOW_ORDER_Y

SECRET: list[type[Key]] = [
    DhPrivateKey,
    IdentityPrivateKey,
    KemPrivateKey,
    AccountPrivateKey,
    RootKey,
    ChainKey,
    MessageKey,
]
PUBLIC: list[type[Key]] = [DhPublicKey, IdentityPublicKey, KemPublicKey, AccountPublicKey]


def make(kind: type[Key]) -> Key:
    if kind in (DhPublicKey, IdentityPublicKey):
        return kind(bytes(DhPrivateKey.generate(secrets.token_bytes).public()))
    if kind is KemPublicKey:
        return KemPrivateKey.generate(secrets.token_bytes).public()
    if kind is AccountPublicKey:
        return AccountPrivateKey.generate(secrets.token_bytes).public()
    return kind(secrets.token_bytes(kind.SIZE))


@pytest.mark.parametrize("kind", SECRET + PUBLIC)
def test_a_key_shows_nothing_of_itself(kind: type[Key]) -> None:
    key = make(kind)
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert bytes(key).hex()[:8] not in text
        assert repr(bytes(key))[2:10] not in text
    assert repr(key) == f"<{kind.__name__}>"
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("kind", SECRET + PUBLIC)
def test_a_key_is_not_pickled_or_copied_deep(kind: type[Key]) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(make(kind))
    with pytest.raises(TypeError):
        copy.deepcopy(make(kind))


@pytest.mark.parametrize("kind", SECRET + PUBLIC)
def test_keys_are_equal_by_class_and_bytes(kind: type[Key]) -> None:
    key = make(kind)
    assert key == kind(bytes(key))
    assert key != make(kind)
    assert key != bytes(key)
    others = [other for other in SECRET + PUBLIC if other is not kind and other.SIZE == kind.SIZE]
    for other in others:
        try:
            twin = other(bytes(key))
        except BadKey:
            continue
        assert key != twin


@pytest.mark.parametrize("kind", SECRET)
def test_secret_keys_are_not_hashed(kind: type[Key]) -> None:
    with pytest.raises(TypeError):
        hash(make(kind))


@pytest.mark.parametrize("kind", PUBLIC)
def test_public_keys_are_hashed(kind: type[Key]) -> None:
    key = make(kind)
    assert isinstance(key, PublicKey)
    assert len({key, kind(bytes(key))}) == 1


@pytest.mark.parametrize("kind", SECRET + PUBLIC)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_key_of_another_length_is_refused(kind: type[Key], change: int) -> None:
    with pytest.raises(BadKey):
        kind(b"\x09" * (kind.SIZE + change))


@pytest.mark.parametrize("kind", [DhPublicKey, IdentityPublicKey])
@pytest.mark.parametrize("encoded", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_public_keys_of_low_order_or_not_canonical_are_refused(kind: type[Key], encoded: bytes) -> None:
    with pytest.raises(BadKey):
        kind(encoded)


def test_a_kem_key_with_a_coefficient_too_large_is_refused() -> None:
    """FIPS 203 §7.2, the modulus check."""
    with pytest.raises(BadKey):
        KemPublicKey(b"\xff" * KemPublicKey.SIZE)


def test_an_exchange_that_gives_zero_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the check at the edge gone, the exchange itself refuses too."""
    monkeypatch.setattr(keys, "check_u", lambda _: None)
    with pytest.raises(BadKey):
        DhPrivateKey.generate(secrets.token_bytes).exchange(DhPublicKey(bytes(32)))


def test_both_sides_of_an_exchange_get_the_same() -> None:
    one, other = DhPrivateKey.generate(secrets.token_bytes), IdentityPrivateKey.generate(secrets.token_bytes)
    assert one.exchange(other.public()) == other.exchange(one.public())


def test_an_identity_key_signs() -> None:
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    key.public().verify(b"m", key.sign(b"m", secrets.token_bytes))
    with pytest.raises(BadSignature):
        IdentityPrivateKey.generate(secrets.token_bytes).public().verify(b"m", key.sign(b"m", secrets.token_bytes))


def test_an_account_key_signs() -> None:
    key = AccountPrivateKey.generate(secrets.token_bytes)
    key.public().verify(b"m", key.sign(b"m"))
    for signature in (key.sign(b"n"), b"", bytes(64), key.sign(b"m") + b"\x00"):
        with pytest.raises(BadSignature):
            key.public().verify(b"m", signature)


@pytest.mark.parametrize("y", [*sorted(_LOW_ORDER_Y), 2**255 - 19, 2**255 - 18])
@pytest.mark.parametrize("sign", [0, 1])
def test_no_account_key_is_one_that_anybody_can_sign_for(y: int, sign: int) -> None:
    """The library takes one signature, made without any secret, for every eighth message or more under such a key."""
    encoded = (y | sign << 255).to_bytes(32, "little")
    anybodys = b"\x01" + bytes(63)
    library = Ed25519PublicKey.from_public_bytes(encoded)

    def fits(message: bytes) -> bool:
        try:
            library.verify(anybodys, message)
        except InvalidSignature:
            return False
        return True

    assert any(fits(b"%d" % number) for number in range(256))
    with pytest.raises(BadKey):
        AccountPublicKey(encoded)


def test_an_account_key_is_a_canonical_point() -> None:
    taken = 0
    for y in range(2, 66):
        encoded = y.to_bytes(32, "little")
        try:
            AccountPublicKey(encoded)
        except BadKey:
            continue
        taken += 1
    assert 16 < taken < 48, "every second number is the y of a point"
    for encoded in (bytes(31), bytes(33), b"\xff" * 32, (2**255 - 10).to_bytes(32, "little")):
        with pytest.raises(BadKey):
            AccountPublicKey(encoded)


def test_a_refusal_does_not_quote_the_key() -> None:
    encoded = b"SECRET" * 5 + b"S"
    try:
        RootKey(encoded)
    except BadKey as error:
        text = "".join(traceback.format_exception(error))
    else:
        pytest.fail("a short key was taken")
    assert "SECRETSECRET" not in text
