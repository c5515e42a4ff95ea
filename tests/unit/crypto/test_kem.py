"""ML-KEM-1024 as the suite uses it."""

import secrets

import pytest

from cooee.crypto.errors import BadKey, BadMessage
from cooee.crypto.kem import CIPHERTEXT_BYTES, SECRET_BYTES, MlKem1024
from cooee.crypto.keys import KEM_PUBLIC_BYTES, KemPrivateKey

KEM = MlKem1024()


def test_both_sides_get_the_same_secret() -> None:
    key = KemPrivateKey.generate(secrets.token_bytes)
    secret, ciphertext = KEM.encapsulate(key.public())
    assert (len(secret), len(ciphertext)) == (SECRET_BYTES, CIPHERTEXT_BYTES)
    assert KEM.decapsulate(key, ciphertext) == secret
    assert KEM.encapsulate(key.public())[0] != secret


def test_a_forged_ciphertext_gives_another_secret_and_no_error() -> None:
    """FIPS 203 §6.3, implicit rejection: an error would tell an attacker something."""
    key = KemPrivateKey.generate(secrets.token_bytes)
    secret, ciphertext = KEM.encapsulate(key.public())
    forged = KEM.decapsulate(key, ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)))
    assert len(forged) == SECRET_BYTES
    assert forged != secret
    assert KEM.decapsulate(KemPrivateKey.generate(secrets.token_bytes), ciphertext) != secret


@pytest.mark.parametrize("length", [0, CIPHERTEXT_BYTES - 1, CIPHERTEXT_BYTES + 1])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadMessage):
        KEM.decapsulate(KemPrivateKey.generate(secrets.token_bytes), bytes(length))


def test_a_public_key_is_encoded_as_it_is() -> None:
    key = KemPrivateKey.generate(secrets.token_bytes).public()
    encoded = KEM.encode_public(key)
    assert len(encoded) == KEM_PUBLIC_BYTES
    assert KEM.decode_public(encoded) == key
    with pytest.raises(BadKey):
        KEM.decode_public(encoded[:-1])
