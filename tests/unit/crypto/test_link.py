"""Link codes: readable from a screen, mistakes are told, and a proof fits one code and one set of keys."""

import secrets

import pytest

from cooee.crypto import link
from cooee.crypto.errors import BadSignature
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef

NEW, OLD = (IdentityPrivateKey.generate(secrets.token_bytes).public() for _ in range(2))
ACCOUNT = AccountPrivateKey(bytes(32)).public()
CODE = link.make(DeviceRef("alice", "Laptop_2"), NEW, secrets.token_bytes)


def test_a_code_is_read_in_either_form_and_however_it_is_typed() -> None:
    for text in (CODE.text(), CODE.qr(), f" {CODE.qr()}\n", CODE.text().lower(), CODE.text().replace("-", " ")):
        assert link.parse(text) == CODE
    assert link.parse(CODE.text().replace("O", "0").replace("I", "1").replace("B", "8")) == CODE


def test_the_longest_names_fit() -> None:
    code = link.make(DeviceRef("a" * 32, "D" * 32), NEW, secrets.token_bytes)
    assert link.parse(code.text()) == code
    assert len(code.text()) <= link.MAX_TEXT


def test_a_mistyped_letter_is_told() -> None:
    text = CODE.text()
    for at, letter in enumerate(text):
        if letter != "-":
            with pytest.raises(link.BadLinkCode):
                link.parse(text[:at] + ("A" if letter != "A" else "C") + text[at + 1 :])


@pytest.mark.parametrize("text", ["", "A", "ÄÖ", "A" * 401, link.QR_PREFIX, link.QR_PREFIX + "AAAAAAAA", "99999999"])
def test_what_is_no_code_is_told(text: str) -> None:
    with pytest.raises(link.BadLinkCode):
        link.parse(text)


def test_a_code_names_one_identity_key_and_shows_no_secret() -> None:
    assert CODE.is_of(NEW)
    assert not CODE.is_of(OLD)
    assert repr(CODE) == "<LinkCode>"


def test_all_128_bits_of_the_fingerprint_count() -> None:
    """With fewer, a server could search for a key to put in the place of the new device's."""
    assert len(CODE.fingerprint) == len(CODE.secret) == 16
    for bit in range(128):
        other = bytearray(CODE.fingerprint)
        other[bit // 8] ^= 1 << bit % 8
        assert not CODE._replace(fingerprint=bytes(other)).is_of(NEW)
    assert not CODE._replace(fingerprint=CODE.fingerprint[:8]).is_of(NEW)


def test_a_proof_fits_this_code_and_these_keys_only() -> None:
    proof = link.prove(CODE, NEW, "old", OLD, ACCOUNT)
    link.check_proof(CODE, NEW, "old", OLD, ACCOUNT, proof)
    wrong = [
        (CODE._replace(secret=bytes(16)), NEW, "old", OLD, ACCOUNT),
        (CODE._replace(device=DeviceRef("alice", "other")), NEW, "old", OLD, ACCOUNT),
        (CODE, OLD, "old", OLD, ACCOUNT),
        (CODE, NEW, "other", OLD, ACCOUNT),
        (CODE, NEW, "old", NEW, ACCOUNT),
        (CODE, NEW, "old", OLD, AccountPrivateKey(b"\x01" * 32).public()),
    ]
    for code, new, old_device, old, account in wrong:
        with pytest.raises(BadSignature):
            link.check_proof(code, new, old_device, old, account, proof)
    with pytest.raises(BadSignature):
        link.check_proof(CODE, NEW, "old", OLD, ACCOUNT, proof[:-1])


BODY = link._packed(CODE)[:-3]


@pytest.mark.parametrize(
    "body",
    [
        b"\x02" + BODY[1:],
        BODY.replace(b"alice", b"Alice"),
        BODY.replace(b"Laptop_2", b"Laptop 2"),
        BODY + b"\x00",
        BODY[:-1],
        b"\x01",
        b"\x01\xff",
        b"",
    ],
    ids=["version", "user", "device", "longer", "shorter", "version alone", "length alone", "nothing"],
)
def test_what_no_device_makes_is_refused_even_when_its_check_is_good(body: bytes) -> None:
    with pytest.raises(link.BadLinkCode):
        link.parse(link.QR_PREFIX + base64url.encode(body + link._check(body)))


def test_a_code_has_one_text_in_letters() -> None:
    code = link.make(DeviceRef("alice", "d"), NEW, secrets.token_bytes)
    assert len(link._packed(code)) % 5, "its last letter has bits to spare"
    start = code.text()[:-1]
    taken = []
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567":
        try:
            taken.append(link.parse(start + letter))
        except link.BadLinkCode:
            continue
    assert taken == [code]


def test_a_text_that_is_too_long_is_not_read() -> None:
    assert link.parse(CODE.text() + "-" * 10) == CODE
    with pytest.raises(link.BadLinkCode):
        link.parse(CODE.text() + "-" * link.MAX_TEXT)
