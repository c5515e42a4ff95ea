"""Whatever bytes come, every decoder gives a value or one of the core's own errors, and changes nothing by refusing.

Each decoder gets random bytes, and good input that was cut, joined, or changed in some places. What was ever found is
kept in ``corpus/decoders.json`` (decoder → inputs in base64url).
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.crypto import archive, attachment, content, device_list, link, prekeys, sender_key, session, wire
from cooee.crypto.errors import CryptoError
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.crypto.safety_number import safety_number
from cooee.crypto.session import Me
from cooee.crypto.suite import COOEE_V1
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import body

CORPUS = Path(__file__).parent / "corpus" / "decoders.json"
R = random.Random("decoders").randbytes

ALICE = Me(DeviceRef("alice", "d1"), IdentityPrivateKey.generate(R))
BOB = Me(DeviceRef("bob", "d1"), IdentityPrivateKey.generate(R))
ACCOUNT = AccountPrivateKey.generate(R)
SIGNED = prekeys.make_signed_pre_key(COOEE_V1, BOB.identity, 1, R)
KEM = prekeys.make_last_resort_key(COOEE_V1, BOB.identity, 2, R)
ONE_TIME = prekeys.make_one_time_pre_keys(3, 1, R)[0]
PLACE = ("dm:alice:bob", ALICE.ref, "m1")
K = content.ContentKey(R(32))
FILE_KEY = attachment.FileKey(R(64))
ARCHIVE_KEY = archive.ArchiveKey(R(32))


class Keys(prekeys.NoPreKeys):
    """Bob's."""

    def signed_pre_key(self, key_id: int) -> Any:
        return SIGNED.private if key_id == 1 else None

    def kem_key(self, key_id: int) -> Any:
        return KEM if key_id == 2 else None

    def one_time_pre_key(self, key_id: int) -> Any:
        return ONE_TIME.private if key_id == 3 else None


def talk() -> tuple[bytes, bytes, session.SessionRecord, session.SessionRecord]:
    """Return a first message to Bob, one that follows, his record before it, and Alice's."""
    published = prekeys.publication(
        COOEE_V1, BOB.identity.public(), signed_pre_key=SIGNED, last_resort=KEM, one_time_pre_keys=[ONE_TIME]
    )
    item = {
        "identityKey": published["identityKey"],
        "signedPreKey": published["signedPreKey"],
        "kemKey": published["lastResortKemKey"],
        "oneTimePreKey": published["oneTimePreKeys"][0],
    }
    bundle = prekeys.PreKeyBundle.from_json(COOEE_V1, item)
    mine = session.start(COOEE_V1, ALICE, BOB.ref, bundle, R)
    mine, first = session.encrypt(COOEE_V1, mine, b"hello", R)
    theirs = session.decrypt(COOEE_V1, BOB, ALICE.party(), None, first, Keys()).record
    theirs, answer = session.encrypt(COOEE_V1, theirs, b"hello back", R)
    mine = session.decrypt(COOEE_V1, ALICE, BOB.party(), mine, answer, prekeys.NoPreKeys()).record
    mine, following = session.encrypt(COOEE_V1, mine, b"and on", R)
    return first, following, theirs, mine


FIRST, NEXT, BOBS, ALICES = talk()
CHAIN = sender_key.OwnSenderKey.generate("group:g", 0, R)
PEER = sender_key.accept(None, "group:g", ALICE.ref, CHAIN.distribution())
GROUP_MESSAGE = sender_key.encrypt(CHAIN, b"hello", 1, "h", ALICE.ref, R)[1]
CONTENT = content.seal_body(K, b"hello", *PLACE, R)
LIST = device_list.sign(
    device_list.DeviceList("alice", 1, 2, ACCOUNT.public(), (device_list.ListedDevice("d1", ALICE.identity.public()),)),
    ACCOUNT,
)
SAFETY = safety_number("alice", ACCOUNT.public(), "bob", AccountPrivateKey.generate(R).public())
LINK = link.make(ALICE.ref, ALICE.identity.public(), R)


def archived(secret: archive.ArchiveKey | archive.Passphrase) -> bytes:
    writer = archive.ArchiveWriter(secret, R, archive.Costs(8, 1, 1))
    return writer.start() + writer.update(b"hello") + writer.finish()


def read_archive(octets: bytes) -> None:
    reader = archive.ArchiveReader(ARCHIVE_KEY)
    reader.update(octets)
    reader.finish()


def file() -> tuple[bytes, bytes]:
    sealing = attachment.Sealing(FILE_KEY, 5, R)
    start = sealing.update(b"hello")
    end = sealing.finish()
    return start + end.tail, end.digest


FILE, DIGEST = file()


def open_file(octets: bytes) -> None:
    opening = attachment.Opening(FILE_KEY, DIGEST, 5)
    opening.update(octets)
    opening.finish()


def bundle_of(octets: bytes) -> None:
    try:
        item = json.loads(octets)
    except (ValueError, RecursionError):
        return
    prekeys.PreKeyBundle.from_json(COOEE_V1, item)


def text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


SCHEMA = {1: wire.Field(wire.Kind.NUMBER), 2: wire.Field(wire.Kind.BYTES, required=False, most=40)}
BUNDLE = json.dumps(
    {
        "identityKey": base64url.encode(bytes(BOB.identity.public())),
        "signedPreKey": {"id": 1, "key": base64url.encode(bytes(32)), "signature": base64url.encode(bytes(64))},
        "kemKey": {"id": 1, "key": "AA", "signature": base64url.encode(bytes(64))},
    }
).encode()
KEY_REPLY = body.encode_control(
    body.KeyReplyControl(
        items=(
            body.MessageKeyItem(
                conversation_id="dm:alice:bob",
                sequence_number=1,
                sender_id="alice",
                sender_device_id="d1",
                client_message_id="m",
                key=base64url.encode(bytes(32)),
            ),
        )
    )
)
MEDIA = body.encode_body(
    body.MediaBody(
        content_type="image",
        caption="c",
        file=body.EncryptedFile(
            media_key="m" * 22,
            key=base64url.encode(bytes(64)),
            digest=base64url.encode(bytes(32)),
            size=3,
            mime_type="image/png",
            filename="a.png",
        ),
    )
)

Decoder = tuple[Callable[[bytes], object], tuple[bytes, ...]]
DECODERS: dict[str, Decoder] = {
    "wire": (lambda b: wire.read(b, SCHEMA), (wire.write([(1, 300), (2, b"x")]),)),
    "wire, unknown skipped": (
        lambda b: wire.read(b, SCHEMA, skip_unknown=True),
        (wire.write([(1, 300), (2, b"x"), (9, b"unknown"), (10, 1)]),),
    ),
    "session, none yet": (
        lambda b: session.decrypt(COOEE_V1, BOB, ALICE.party(), None, b, Keys()),
        (FIRST, NEXT),
    ),
    "session, known": (lambda b: session.decrypt(COOEE_V1, BOB, ALICE.party(), BOBS, b, Keys()), (FIRST, NEXT)),
    "session record": (session.SessionRecord.load, (BOBS.dump(), ALICES.dump())),
    "signed pre-key": (prekeys.SignedPreKey.load, (SIGNED.dump(),)),
    "one-time pre-key": (prekeys.OneTimePreKey.load, (ONE_TIME.dump(),)),
    "KEM key": (prekeys.KemPreKey.load, (KEM.dump(),)),
    "bundle": (bundle_of, (BUNDLE,)),
    "distribution": (
        lambda b: sender_key.accept(PEER, "group:g", ALICE.ref, b),
        (CHAIN.distribution(),),
    ),
    "group message": (lambda b: sender_key.decrypt(PEER, b, 1, "h"), (GROUP_MESSAGE,)),
    "own sender key": (sender_key.OwnSenderKey.load, (CHAIN.dump(),)),
    "peer's sender keys": (sender_key.PeerSenderKeys.load, (PEER.dump(),)),
    "content": (lambda b: content.open_body(K, b, *PLACE), (CONTENT,)),
    "envelope's payload": (lambda b: content.key_for(b, CONTENT), (content.envelope_payload(K, CONTENT),)),
    "file": (open_file, (FILE,)),
    "device list": (
        lambda b: device_list.verify(device_list.SignedDeviceList(b, LIST.signature), "alice"),
        (LIST.payload,),
    ),
    "device list, signed": (
        lambda b: device_list.verify(device_list.SignedDeviceList(b, ACCOUNT.sign(device_list.LABEL + b)), "alice"),
        (LIST.payload,),
    ),
    "signature of a list": (
        lambda b: device_list.verify(device_list.SignedDeviceList(LIST.payload, b), "alice"),
        (LIST.signature,),
    ),
    "device list as text": (
        lambda b: device_list.SignedDeviceList.from_text(text(b), text(b)),
        (base64url.encode(LIST.payload).encode(),),
    ),
    "safety number": (lambda b: SAFETY.matches(text(b)), (SAFETY.qr.encode(),)),
    "link code": (lambda b: link.parse(text(b)), (LINK.text().encode(), LINK.qr().encode())),
    "packed link code": (
        lambda b: link.parse(link.QR_PREFIX + base64url.encode(b + link._check(b))),
        (link._packed(LINK)[:-3],),
    ),
    "archive": (read_archive, (archived(ARCHIVE_KEY), archived(archive.Passphrase("p")))),
    "body": (
        body.decode_body,
        (body.encode_body(body.TextBody(text="hi", reply_to="f" * 21 + "Q")), MEDIA, b'{"kind":"poll"}'),
    ),
    "control": (body.decode_control, (body.encode_control(body.SessionControl()), KEY_REPLY, b'{"type":"x"}')),
}


def attempt(name: str, octets: bytes) -> bool:
    """Tell whether the decoder took it; anything but its own kind of error comes through."""
    try:
        DECODERS[name][0](octets)
    except (CryptoError, body.BadBody):
        return False
    return True


@st.composite
def changed(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    """Draw good input with some damage."""
    octets = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(("flip", "put", "cut", "drop", "end"))):
            case "flip" if at < len(octets):
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "put":
                octets[at:at] = draw(st.binary(max_size=12))
            case "cut":
                del octets[at:]
            case "drop":
                del octets[at : at + draw(st.integers(1, 20))]
            case _:
                octets += draw(st.binary(max_size=40))
    return bytes(octets)


def test_the_good_input_is_taken() -> None:
    """What the others damage is whole to begin with."""
    refused = {name for name, (_, good) in DECODERS.items() if not any(attempt(name, one) for one in good)}
    assert refused == {"bundle"}  # its KEM key is too short on purpose: a real one is 1568 bytes


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_any_bytes_are_a_value_or_a_refusal(name: str, data: st.DataObject) -> None:
    attempt(name, data.draw(st.binary(max_size=300)))


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_damaged_input_is_a_value_or_a_refusal(name: str, data: st.DataObject) -> None:
    attempt(name, data.draw(changed(DECODERS[name][1])))


@pytest.mark.parametrize("name", DECODERS)
def test_deep_and_long_input_is_a_value_or_a_refusal(name: str) -> None:
    for octets in (b"", b"[" * 100_000, b'{"kind":' * 20_000, b'{"type":"x","a":' + b"[" * 50_000, b"\x91" * 70_000,
                   b"\x01\x93" * 50_000, bytes(200_000), b"\xff" * 70_000):  # fmt: skip
        attempt(name, octets)


def test_what_was_ever_found_is_handled() -> None:
    found: dict[str, list[str]] = json.loads(CORPUS.read_text("utf-8"))
    assert set(found) <= set(DECODERS)
    for name, inputs in found.items():
        for octets in inputs:
            attempt(name, base64url.decode(octets))


@given(data=st.data())
@pytest.mark.parametrize("name", ["session, known", "group message", "content", "file", "archive"])
def test_what_is_authenticated_is_taken_unchanged_or_not_at_all(name: str, data: st.DataObject) -> None:
    octets = data.draw(changed(DECODERS[name][1]))
    if octets not in DECODERS[name][1]:
        assert not attempt(name, octets)
