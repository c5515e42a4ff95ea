"""Primitives: what they refuse, and XEdDSA against an Ed25519 verification of other make."""

import secrets

import pytest
import xeddsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cooee.crypto.errors import BadKey, BadMessage, BadSignature
from cooee.crypto.keys import DhPrivateKey, IdentityPrivateKey
from cooee.crypto.primitives import check_u, clamp, decrypt_cbc, encrypt_cbc, equal, hkdf, sign_xeddsa, verify_xeddsa

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
LOW_ORDER = (
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


def u(number: int) -> bytes:
    return number.to_bytes(32, "little")


@pytest.mark.parametrize("number", LOW_ORDER)
def test_low_order_points_are_refused(number: int) -> None:
    with pytest.raises(BadKey):
        check_u(u(number))


@pytest.mark.parametrize("number", [P, P + 1, P + 2, 2**255 - 1, 9 + 2**255, 2**256 - 1])
def test_non_canonical_points_are_refused(number: int) -> None:
    with pytest.raises(BadKey):
        check_u(u(number))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_points_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(BadKey):
        check_u(b"\x09" * length)


@pytest.mark.parametrize("number", [2, 9, P - 2])
def test_the_neighbours_of_what_is_refused_are_not(number: int) -> None:
    check_u(u(number))


def test_xeddsa_signatures_are_ed25519_signatures() -> None:
    for _ in range(16):
        key = IdentityPrivateKey.generate(secrets.token_bytes)
        message = secrets.token_bytes(99)
        signature = key.sign(message, secrets.token_bytes)
        number = int.from_bytes(bytes(key.public()), "little")
        edwards = (number - 1) * pow(number + 1, -1, P) % P
        Ed25519PublicKey.from_public_bytes(u(edwards)).verify(signature, message)
        verify_xeddsa(bytes(key.public()), message, signature)


def test_xeddsa_signs_with_unclamped_scalars_too() -> None:
    scalar = b"\xff" * 32
    signature = sign_xeddsa(scalar, b"m", secrets.token_bytes)
    verify_xeddsa(bytes(IdentityPrivateKey(scalar).public()), b"m", signature)


def test_two_xeddsa_signatures_differ() -> None:
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    assert key.sign(b"m", secrets.token_bytes) != key.sign(b"m", secrets.token_bytes)


def test_every_bit_of_an_xeddsa_signature_counts() -> None:
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    signature = key.sign(b"m", secrets.token_bytes)
    for bit in range(512):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            verify_xeddsa(bytes(key.public()), b"m", bytes(changed))
    with pytest.raises(BadSignature):
        verify_xeddsa(bytes(key.public()), b"n", signature)


def test_a_signature_with_another_form_of_s_is_refused() -> None:
    """XEdDSA §3.4 and RFC 8032 §5.1.7: s must be below the order, else one signature gives two."""
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    signature = key.sign(b"m", secrets.token_bytes)
    larger = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(BadSignature):
        verify_xeddsa(bytes(key.public()), b"m", signature[:32] + u(larger))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    with pytest.raises(BadSignature):
        verify_xeddsa(bytes(key.public()), b"m", bytes(length))


@pytest.mark.parametrize("number", [*LOW_ORDER, P + 9])
def test_a_signature_by_a_bad_key_is_refused(number: int) -> None:
    with pytest.raises(BadKey):
        verify_xeddsa(u(number), b"m", bytes(64))


def test_the_package_agrees_about_the_public_key() -> None:
    key = IdentityPrivateKey.generate(secrets.token_bytes)
    assert xeddsa.priv_to_curve25519_pub(bytes(key)) == bytes(key.public())


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 255, 256])
def test_cbc_gives_back_what_it_took(length: int) -> None:
    key, iv, plaintext = secrets.token_bytes(32), secrets.token_bytes(16), secrets.token_bytes(length)
    sealed = encrypt_cbc(key, iv, plaintext)
    assert len(sealed) == length - length % 16 + 16
    assert decrypt_cbc(key, iv, sealed) == plaintext


@pytest.mark.parametrize("length", [0, 1, 15, 17])
def test_what_is_no_whole_blocks_is_refused(length: int) -> None:
    with pytest.raises(BadMessage):
        decrypt_cbc(bytes(32), bytes(16), bytes(length))


@pytest.mark.parametrize("last", [0, 2, 17, 255])
def test_wrong_padding_is_refused(last: int) -> None:
    key, iv = bytes(32), bytes(16)
    block = encrypt_cbc(key, iv, b"a" * 15 + bytes((last,)))[:16]
    with pytest.raises(BadMessage):
        decrypt_cbc(key, iv, block)


@pytest.mark.parametrize(("key", "iv"), [(16, 16), (31, 16), (32, 12)])
def test_a_cipher_key_of_another_length_is_refused(key: int, iv: int) -> None:
    with pytest.raises(BadKey):
        encrypt_cbc(bytes(key), bytes(iv), b"")
    with pytest.raises(BadKey):
        decrypt_cbc(bytes(key), bytes(iv), bytes(16))


def test_hkdf_gives_at_most_255_blocks() -> None:
    assert len(hkdf(b"s", 255 * 32)) == 255 * 32
    assert hkdf(b"s", 0) == b""
    for length in (-1, 255 * 32 + 1):
        with pytest.raises(ValueError, match="HKDF"):
            hkdf(b"s", length)


def test_equal_compares() -> None:
    assert equal(b"abc", b"abc")
    assert not equal(b"abc", b"abd")
    assert not equal(b"abc", b"ab")


@pytest.mark.parametrize("private", [b"\xff" * 32, b"\x07" + bytes(30) + b"\x80", bytes(range(1, 33))])
def test_a_scalar_that_is_not_clamped_signs_for_the_public_key_that_x25519_gives_it(private: bytes) -> None:
    public = bytes(DhPrivateKey(private).public())
    signature = sign_xeddsa(private, b"m", secrets.token_bytes)
    verify_xeddsa(public, b"m", signature)


def test_a_signature_of_xeddsa_cannot_be_changed_into_another() -> None:
    """No bit of it is free: nobody but the signer makes a second signature out of a first."""
    private = clamp(secrets.token_bytes(32))
    public = bytes(DhPrivateKey(private).public())
    signature = sign_xeddsa(private, b"m", secrets.token_bytes)
    s = int.from_bytes(signature[32:], "little")
    forged = [signature[:32] + (s + times * ORDER).to_bytes(32, "little") for times in (1, 2, 7)]
    for bit in (255, 509, 510, 511):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        forged.append(bytes(changed))
    forged += [bytes(64), b"\x01" + bytes(63)]
    for one in forged:
        with pytest.raises(BadSignature):
            verify_xeddsa(public, b"m", one)
