"""Content: what is sealed opens with its key in its place only, and its length tells little."""

import secrets

import pytest

from cooee.crypto import content
from cooee.crypto.content import ContentKey, envelope_payload, key_for, open_body, seal_body
from cooee.crypto.errors import BadMessage, CryptoError, UnsupportedVersion
from cooee.crypto.primitives import encrypt_cbc, hmac_sha256
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.protocol import body as bodies

PLACE = ("dm:alice:bob", DeviceRef("alice", "d1"), "m1")
KEY = ContentKey(bytes(range(32)))


def sealed(body: bytes = b"hello") -> bytes:
    return seal_body(KEY, body, *PLACE, secrets.token_bytes)


@pytest.mark.parametrize("body", [b"", b"x", b"\x80" * 200, bytes(158), bytes(159), b"\x80" + bytes(400)])
def test_what_is_sealed_opens(body: bytes) -> None:
    assert open_body(KEY, sealed(body), *PLACE) == body


def test_lengths_are_those_of_few_steps() -> None:
    lengths = {len(sealed(bytes(size))) for size in range(content.PADDED_TO * 2)}
    assert lengths == {49 + content.PADDED_TO * n for n in (1, 2, 3)}


@pytest.mark.parametrize(
    "place",
    [
        ("dm:alice:carol", PLACE[1], PLACE[2]),
        (PLACE[0], DeviceRef("alice", "d2"), PLACE[2]),
        (PLACE[0], DeviceRef("bob", "d1"), PLACE[2]),
        (PLACE[0], PLACE[1], "m2"),
    ],
)
def test_it_opens_in_no_other_place(place: tuple[str, DeviceRef, str]) -> None:
    with pytest.raises(BadMessage):
        open_body(KEY, sealed(), *place)


def test_it_opens_with_no_other_key() -> None:
    with pytest.raises(BadMessage):
        open_body(ContentKey(bytes(32)), sealed(), *PLACE)


def test_every_changed_byte_is_refused() -> None:
    good = sealed()
    for at in range(len(good)):
        with pytest.raises(CryptoError):
            open_body(KEY, good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :], *PLACE)
    for cut in range(len(good)):
        with pytest.raises(BadMessage):
            open_body(KEY, good[:cut], *PLACE)


def test_another_version_is_told() -> None:
    with pytest.raises(UnsupportedVersion):
        open_body(KEY, b"\x02" + sealed()[1:], *PLACE)


def test_the_longest_body_fits_into_a_message_and_no_longer_one_is_sealed() -> None:
    longest = sealed(bytes(content.MAX_BODY_BYTES))
    assert len(longest) * 4 / 3 <= Limits().content_bytes
    assert open_body(KEY, longest, *PLACE) == bytes(content.MAX_BODY_BYTES)
    with pytest.raises(BadMessage):
        sealed(bytes(content.MAX_BODY_BYTES + 1))
    assert bodies.MAX_BODY_BYTES <= content.MAX_BODY_BYTES


def test_an_envelope_belongs_to_one_content() -> None:
    good = sealed()
    payload = envelope_payload(KEY, good)
    assert len(payload) == content.PAYLOAD_BYTES
    assert key_for(payload, good) == KEY
    with pytest.raises(BadMessage):
        key_for(payload, sealed(b"other"))
    with pytest.raises(BadMessage):
        key_for(payload[:-1], good)


@pytest.mark.parametrize("padded", [bytes(159), b"\x80" + b"\x01" * 158, b"x\x80" + bytes(317), b"x" * 159])
def test_padding_that_nobody_writes_is_refused_even_when_it_is_authentic(padded: bytes) -> None:
    place = content._place(*PLACE)
    cipher_key, mac_key = content._keys(KEY, place)
    made = b"\x01" + bytes(16) + encrypt_cbc(cipher_key, bytes(16), padded)
    made += hmac_sha256(mac_key, place + made)
    with pytest.raises(BadMessage, match="padding"):
        open_body(KEY, made, *PLACE)


def test_nothing_is_decrypted_before_the_mac_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    good = sealed()
    monkeypatch.setattr(content, "decrypt_cbc", lambda *_: pytest.fail("decrypted without a MAC"))
    for at in (1, -33, -1):
        forged = bytearray(good)
        forged[at] ^= 1
        with pytest.raises(BadMessage):
            open_body(KEY, bytes(forged), *PLACE)
