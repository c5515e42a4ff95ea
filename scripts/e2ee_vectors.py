"""The vectors of end-to-end encryption. `scripts/e2ee-vectors` writes them; a test fails when one is stale.

Randomness comes out of SHAKE-256 with a name as its seed, so the files are the same each time. Only the KEM draws its
own: ``kem.json`` is made once, and every other file uses the encapsulations in it.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from cooee.crypto import (
    archive,
    attachment,
    content,
    device_list,
    link,
    pqxdh,
    prekeys,
    ratchet,
    safety_number,
    sender_key,
    session,
)
from cooee.crypto.errors import CryptoError
from cooee.crypto.kem import MlKem1024
from cooee.crypto.keys import (
    AccountPrivateKey,
    DhPrivateKey,
    IdentityPrivateKey,
    KemPrivateKey,
    KemPublicKey,
    RootKey,
)
from cooee.crypto.primitives import hmac_sha256
from cooee.crypto.suite import COOEE_V1, Header, Party, Route, Suite
from cooee.domain import base64url
from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef
from cooee.domain.reference import reference_of
from cooee.protocol import body

FOLDER: Final = Path(__file__).parents[1] / "spec" / "vectors" / "e2ee"
Json = dict[str, Any]
b = base64url.encode


class Source:
    """Bytes out of a name; ``taken`` gives what was used since it was last asked."""

    def __init__(self, name: str) -> None:
        self._state = hashlib.shake_256(f"cooee vectors: {name}".encode())
        self._at = 0
        self._from = 0

    def __call__(self, count: int) -> bytes:
        """Return the next bytes."""
        self._at += count
        return self._state.digest(self._at)[self._at - count :]

    def taken(self) -> str:
        """Return what was used, in base64url."""
        used = self._state.digest(self._at)[self._from :]
        self._from = self._at
        return b(used)


class KnownKem(MlKem1024):
    """ML-KEM-1024 whose encapsulations are the ones in ``kem.json``."""

    def __init__(self, vectors: list[Json]) -> None:
        self._known = {v["publicKey"]: v for v in vectors}

    def encapsulate(self, key: KemPublicKey) -> tuple[bytes, bytes]:
        """Return secret and ciphertext."""
        known = self._known[b(bytes(key))]
        return base64url.decode(known["secret"]), base64url.decode(known["ciphertext"])


def new_kem() -> Json:
    """Make ``kem.json`` anew, the one file with randomness of its own."""
    source, vectors = Source("kem"), []
    for name in ("one-time", "last resort"):
        private = KemPrivateKey.generate(source)
        secret, ciphertext = COOEE_V1.kem.encapsulate(private.public())
        vectors.append(
            {
                "name": name,
                "seed": b(bytes(private)),
                "publicKey": b(bytes(private.public())),
                "ciphertext": b(ciphertext),
                "secret": b(secret),
            }
        )
    return {
        "about": "ML-KEM-1024: `ciphertext` decapsulated with the key of `seed` is `secret`.",
        "vectors": vectors,
    }


def files(kem: Json) -> dict[str, Json]:
    """Return the content of every file by its name."""
    suite = msgspec.structs.replace(COOEE_V1, kem=KnownKem(kem["vectors"]))
    return {
        "kem.json": kem,
        "agreement.json": _agreement(suite, kem),
        "ratchet.json": _ratchet(),
        "session.json": _sessions(suite, kem),
        "sender_key.json": _sender_key(),
        "content.json": _content(),
        "attachment.json": _attachment(),
        "device_list.json": _device_list(),
        "safety_number.json": _safety_number(),
        "link.json": _link(),
        "archive.json": _archive(),
        "body.json": _body(),
    }


class Bob:
    """A responder: his keys, and what he publishes."""

    def __init__(self, kem: Json, source: Source) -> None:
        self.identity = IdentityPrivateKey.generate(source)
        self.signed = prekeys.make_signed_pre_key(COOEE_V1, self.identity, 1, source)
        self.one_time = prekeys.make_one_time_pre_keys(2, 1, source)[0]
        self.kem = [self._kem_key(entry, at, source) for at, entry in enumerate(kem["vectors"], 3)]

    def _kem_key(self, entry: Json, key_id: int, source: Source) -> prekeys.KemPreKey:
        private = KemPrivateKey(base64url.decode(entry["seed"]))
        signature = self.identity.sign(bytes(private.public()), source)
        return prekeys.KemPreKey(key_id, private, signature, entry["name"] == "last resort")

    def claimed(self, *, last_resort: bool) -> Json:
        """Return the item of ``POST /v1/keys/claim``."""
        published = prekeys.publication(
            COOEE_V1,
            self.identity.public(),
            signed_pre_key=self.signed,
            one_time_pre_keys=[self.one_time],
            kem_keys=[self.kem[last_resort]],
        )
        kem_key = published["oneTimeKemKeys"][0] | {"lastResort": last_resort}
        item = {name: published[name] for name in ("identityKey", "signedPreKey")} | {"kemKey": kem_key}
        return item if last_resort else item | {"oneTimePreKey": published["oneTimePreKeys"][0]}

    def secrets(self) -> Json:
        """Return his secrets."""
        return {
            "identityKey": b(bytes(self.identity)),
            "signedPreKey": {"id": 1, "key": b(bytes(self.signed.private))},
            "oneTimePreKey": {"id": 2, "key": b(bytes(self.one_time.private))},
            "kemKeys": [{"id": key.key_id, "seed": b(bytes(key.private))} for key in self.kem],
        }

    # What session.decrypt looks up.
    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return his signed pre-key."""
        return self.signed.private if key_id == 1 else None

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return his one-time pre-key."""
        return self.one_time.private if key_id == 2 else None

    def kem_key(self, key_id: int) -> prekeys.KemPreKey | None:
        """Return one of his KEM keys."""
        return next((key for key in self.kem if key.key_id == key_id), None)

    def was_seen(self, tag: bytes) -> bool:
        """Nothing was seen."""
        return False


def _agreement(suite: Suite, kem: Json) -> Json:
    source = Source("agreement")
    alice, bob = IdentityPrivateKey.generate(source), Bob(kem, source)
    vectors = []
    for last_resort in (False, True):
        item = bob.claimed(last_resort=last_resort)
        source.taken()
        made = pqxdh.initiate(suite, alice, prekeys.PreKeyBundle.from_json(suite, item), source)
        base = source.taken()
        vectors.append(
            {
                "name": "without a one-time pre-key" if last_resort else "with a one-time pre-key",
                "bundle": item,
                "random": base,
                "baseKey": b(bytes(made.base_key)),
                "kemCiphertext": b(made.kem_ciphertext),
                "rootKey": b(bytes(made.agreed.root)),
            }
        )
    return {
        "about": "PQXDH. The initiator draws `random` for its base key and takes the encapsulation of kem.json; both "
        "get `rootKey`. Signatures of the bundle are good.",
        "initiator": {"identityKey": b(bytes(alice)), "public": b(bytes(alice.public()))},
        "responder": bob.secrets(),
        "vectors": vectors,
    }


def _ratchet() -> Json:
    source = Source("ratchet")
    root, own, remote = RootKey(source(32)), DhPrivateKey.generate(source), DhPrivateKey.generate(source)
    after, chain = ratchet._turn(COOEE_V1, root, own, remote.public())  # noqa: SLF001
    seed = hmac_sha256(bytes(chain), b"\x01")
    cipher_key, mac_key, iv = ratchet._message_keys(COOEE_V1, seed, b"")  # noqa: SLF001
    alice, bob = (
        Party(DeviceRef(name, "d1"), IdentityPrivateKey.generate(source).public()) for name in ("alice", "bob")
    )
    route = Route(alice, bob)
    frame = COOEE_V1.framing.encode_message(route, Header(own.public(), 300, 2), b"x" * 16)
    return {
        "about": "One step of each chain, the keys of one message, and the frame of one.",
        "turn": {
            "rootKey": b(bytes(root)),
            "own": b(bytes(own)),
            "remote": b(bytes(remote.public())),
            "nextRootKey": b(bytes(after)),
            "chainKey": b(bytes(chain)),
        },
        "step": {
            "chainKey": b(bytes(chain)),
            "messageKey": b(seed),
            "nextChainKey": b(hmac_sha256(bytes(chain), b"\x02")),
        },
        "messageKeys": {"messageKey": b(seed), "cipherKey": b(cipher_key), "macKey": b(mac_key), "iv": b(iv)},
        "frame": {
            "ratchetKey": b(bytes(own.public())),
            "counter": 300,
            "previous": 2,
            "ciphertext": b(b"x" * 16),
            "frame": b(frame),
        },
        "associatedData": {
            "sender": {"userId": "alice", "deviceId": "d1", "identityKey": b(bytes(alice.identity))},
            "receiver": {"userId": "bob", "deviceId": "d1", "identityKey": b(bytes(bob.identity))},
            "value": b(COOEE_V1.framing.associated_data(route)),
        },
    }


def _sessions(suite: Suite, kem: Json) -> Json:
    return {
        "about": "Whole conversations. Every step is done in order: `start` and `encrypt` draw `random` and give "
        "`message`; `decrypt` gives `plaintext`, or is refused as `error` and changes nothing.",
        "vectors": [_talk(suite, kem, last_resort=False), _talk(suite, kem, last_resort=True)],
    }


def _talk(suite: Suite, kem: Json, *, last_resort: bool) -> Json:
    source = Source(f"session {last_resort}")
    bob = Bob(kem, source)
    us = {
        "alice": session.Me(DeviceRef("alice", "d1"), IdentityPrivateKey.generate(source)),
        "bob": session.Me(DeviceRef("bob", "d7"), bob.identity),
    }
    item = bob.claimed(last_resort=last_resort)
    records: dict[str, session.SessionRecord | None] = {"alice": None, "bob": None}
    steps: list[Json] = []
    sent: list[bytes] = []
    source.taken()

    def encrypt(who: str, text: str) -> None:
        record = records[who]
        assert record is not None  # noqa: S101  # a mistake of this script
        records[who], message = session.encrypt(suite, record, text.encode(), source)
        sent.append(message)
        steps.append({"do": "encrypt", "by": who, "plaintext": text, "random": source.taken(), "message": b(message)})

    def decrypt(who: str, number: int, *, damaged: bool = False) -> None:
        peer = us["bob" if who == "alice" else "alice"].party()
        message = sent[number]
        if damaged:
            message = message[:-1] + bytes((message[-1] ^ 1,))
        step: Json = {"do": "decrypt", "by": who, "message": b(message)}
        try:
            found = session.decrypt(suite, us[who], peer, records[who], message, bob)
        except CryptoError as refusal:
            steps.append(step | {"error": type(refusal).__name__})
            return
        records[who] = found.record
        steps.append(step | {"plaintext": found.plaintext.decode(), "newSession": found.new_session})

    records["alice"] = session.start(
        suite, us["alice"], us["bob"].ref, prekeys.PreKeyBundle.from_json(suite, item), source
    )
    steps.append({"do": "start", "by": "alice", "random": source.taken()})
    for number in range(3):
        encrypt("alice", f"before any answer, {number}")
    decrypt("bob", 1)
    decrypt("bob", 1)
    decrypt("bob", 0, damaged=True)
    encrypt("bob", "an answer")
    encrypt("bob", "and another")
    decrypt("alice", 4)
    for number in range(2):
        encrypt("alice", f"in a chain of its own, {number}")
    decrypt("bob", 6)
    decrypt("bob", 0)
    decrypt("bob", 2)
    encrypt("bob", "ünïcode 🦉")
    for who, number in (("alice", 7), ("alice", 3), ("bob", 5), ("bob", 5)):
        decrypt(who, number)
    return {
        "name": "with the last-resort key and no one-time pre-key" if last_resort else "with one-time keys",
        "alice": {"userId": "alice", "deviceId": "d1", "identityKey": b(bytes(us["alice"].identity))},
        "bob": {"userId": "bob", "deviceId": "d7", **bob.secrets()},
        "bundle": item,
        "steps": steps,
    }


def _sender_key() -> Json:
    source, sender = Source("sender key"), DeviceRef("alice", "d1")
    own = sender_key.OwnSenderKey.generate("group:cafe", 0, source)
    drawn = source.taken()
    first, place = own.distribution(), (12, "roster-hash")
    messages = []
    for text in ("one", "two", "three"):
        own, message = sender_key.encrypt(own, text.encode(), *place, sender, source)
        messages.append({"plaintext": text, "random": source.taken(), "message": b(message)})
    return {
        "about": "A chain of group:cafe. Messages are bound to roster version and device list hash. They decrypt in "
        "any order, each once, with `distribution`; with `later`, which was made after them, none does.",
        "conversationId": "group:cafe",
        "sender": {"userId": "alice", "deviceId": "d1"},
        "rosterVersion": place[0],
        "deviceListHash": place[1],
        "random": drawn,
        "associatedData": b(sender_key.GroupPlace("group:cafe", sender, *place).associated_data()),
        "distribution": b(first),
        "messages": messages,
        "later": b(own.distribution()),
    }


def _content() -> Json:
    source, sender, vectors = Source("content"), DeviceRef("alice", "d1"), []
    for text in ("", '{"kind":"text","text":"hello"}', "x" * 158, "x" * 159):
        key = content.ContentKey.generate(source)
        source.taken()
        sealed = content.seal_body(key, text.encode(), "dm:alice:bob", sender, "m-1", source)
        payload = content.envelope_payload(key, sealed)
        vectors.append(
            {
                "key": b(bytes(key)),
                "body": text,
                "random": source.taken(),
                "content": b(sealed),
                "envelopePayload": b(payload),
            }
        )
    return {
        "about": "Bodies sealed with K in one place, and the payload of their envelopes.",
        "conversationId": "dm:alice:bob",
        "sender": {"userId": "alice", "deviceId": "d1"},
        "clientMessageId": "m-1",
        "vectors": vectors,
    }


def _attachment() -> Json:
    source, vectors = Source("attachment"), []
    for data in (b"", b"hello", bytes(range(256)) * 3):
        key = attachment.FileKey.generate(source)
        source.taken()
        sealing = attachment.Sealing(key, len(data), source)
        start = sealing.update(data)
        end = sealing.finish()
        vectors.append(
            {
                "key": b(bytes(key)),
                "plaintext": b(data),
                "random": source.taken(),
                "file": b(start + end.tail),
                "digest": b(end.digest),
            }
        )
    sizes = (0, 541, 542, 1_000, 65_536, 1_000_000, 123_456_789)
    return {
        "about": "Encrypted files, and what some sizes are padded to.",
        "vectors": vectors,
        "padded": [[size, attachment.padded_size(size)] for size in sizes],
    }


def _device_list() -> Json:
    source = Source("device list")
    account = AccountPrivateKey.generate(source)
    devices = tuple(
        device_list.ListedDevice(name, IdentityPrivateKey.generate(source).public()) for name in ("A2", "_x", "b1")
    )
    listed = device_list.DeviceList("alice", 3, 1_764_000_000_000, account.public(), devices)
    signed = device_list.sign(listed, account)
    rows = [("bob", "d7", IdentityPrivateKey.generate(source).public()), *(("alice", *each) for each in devices)]
    keys = [(DeviceRef(user, device), b(bytes(key))) for user, device, key in rows]
    return {
        "about": "A signed device list, and the deviceListHash of a group whose members have these devices.",
        "accountKey": b(bytes(account)),
        "payload": signed.payload.decode(),
        "signature": b(signed.signature),
        "groupDevices": [{"userId": ref.user_id, "deviceId": ref.device_id, "identityKey": key} for ref, key in keys],
        "deviceListHash": device_list_hash(keys),
    }


def _safety_number() -> Json:
    source = Source("safety number")
    alice, bob = (AccountPrivateKey.generate(source).public() for _ in range(2))
    mine = safety_number.safety_number("alice", alice, "bob", bob)
    theirs = safety_number.safety_number("bob", bob, "alice", alice)
    return {
        "about": "The number of two accounts, and what each shows as a QR code.",
        "alice": {"userId": "alice", "accountKey": b(bytes(alice)), "qr": mine.qr},
        "bob": {"userId": "bob", "accountKey": b(bytes(bob)), "qr": theirs.qr},
        "digits": mine.digits,
    }


def _link() -> Json:
    source = Source("link")
    new, old = (IdentityPrivateKey.generate(source).public() for _ in range(2))
    account = AccountPrivateKey.generate(source).public()
    source.taken()
    code = link.make(DeviceRef("alice", "Laptop_2"), new, source)
    return {
        "about": "The code of a new device in both forms, and the proof of the old one.",
        "userId": "alice",
        "deviceId": "Laptop_2",
        "secret": source.taken(),
        "identityKey": b(bytes(new)),
        "text": code.text(),
        "qr": code.qr(),
        "oldDeviceId": "d1",
        "oldIdentityKey": b(bytes(old)),
        "accountKey": b(bytes(account)),
        "proof": b(link.prove(code, new, "d1", old, account)),
    }


def _archive() -> Json:
    source = Source("archive")
    key, costs, vectors = archive.ArchiveKey.generate(source), archive.Costs(64, 2, 1), []
    for secret in (key, archive.Passphrase("café au lait")):
        source.taken()
        writer = archive.ArchiveWriter(secret, source, costs)
        octets = writer.start() + writer.update(b"hello") + writer.finish()
        lock = {"key": b(bytes(key))} if isinstance(secret, archive.ArchiveKey) else {"passphrase": "café au lait"}
        vectors.append({**lock, "random": source.taken(), "plaintext": "hello", "archive": b(octets)})
    source.taken()
    writer = archive.ArchiveWriter(key, source)
    long = writer.start() + writer.update(bytes(archive.CHUNK + 1)) + writer.finish()
    digest = hashlib.sha256(long).digest()
    return {
        "about": "Archives. `long` is that of 65,537 zero bytes under the first one's key.",
        "vectors": vectors,
        "long": {"key": b(bytes(key)), "random": source.taken(), "bytes": len(long), "sha256": b(digest)},
    }


def _body() -> Json:
    key = b(bytes(range(32)))
    ref: Json = {
        "conversation_id": "dm:alice:bob",
        "sequence_number": 7,
        "sender_id": "alice",
        "sender_device_id": "d1",
        "client_message_id": "m-1",
    }
    file = body.EncryptedFile(
        media_key="m" * 22,
        key=b(bytes(range(64))),
        digest=key,
        size=5,
        mime_type="image/png",
        filename="a.png",
        width=4,
        height=3,
    )
    target = reference_of("alice", "d1", "m-1")
    bodies: list[body.Body] = [
        body.TextBody(text="hello 🦉", reply_to=target, mentions=("bob",), expires_in=60_000),
        body.MediaBody(file=file, content_type="image", caption="look"),
        body.ReactionBody(target=target, emoji="👍"),
        body.EditBody(target=target, text="hallo"),
        body.DeleteBody(target=target),
        body.TimerBody(expires_in=0),
    ]
    controls: list[body.Control] = [
        body.SessionControl(),
        body.SenderKeyControl(conversation_id="group:cafe", distribution="AQM"),
        body.KeyRequestControl(items=(body.MessageRef(**ref),)),
        body.KeyReplyControl(items=(body.MessageKeyItem(**ref, key=key),)),
        body.LinkedControl(account_key=key, proof=key),
        body.ArchiveControl(media_key="m" * 22, key=key, digest=key, size=9),
        body.OwnControl(
            contacts=(body.OwnContact(user_id="bob", account_key=key, verified=True),),
            conversations=(body.OwnConversation(conversation_id="dm:alice:bob", mode="plain", expires_in=0),),
        ),
    ]
    refused = [
        '{"kind":"text"}',
        '{"kind":"text","text":""}',
        '{"kind":"delete","target":"7265000000000000001"}',
        "[]",
        '{"kind":1}',
    ]
    return {
        "about": "Plaintexts: how messages are named, bodies and controls that are taken, and bodies that are refused.",
        "references": [
            {
                "senderId": user,
                "senderDeviceId": device,
                "clientMessageId": message,
                "reference": reference_of(user, device, message),
            }
            for user, device, message in (("alice", "d1", "m-1"), ("bob", "d1", "m-1"), ("alice", "d1m", "-1"))
        ],
        "bodies": [body.encode_body(one).decode() for one in bodies],
        "controls": [body.encode_control(one).decode() for one in controls],
        "unsupported": ['{"kind":"poll","question":"?"}'],
        "refused": refused,
    }


def as_text(value: Json) -> str:
    """Return a file's text."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main(write: Callable[[str], object] = print) -> int:
    """Write the files, or with ``--check`` say which are stale."""
    place = FOLDER / "kem.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    kem = json.loads(place.read_text("utf-8")) if place.exists() else new_kem()
    stale = []
    for name, value in files(kem).items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != as_text(value):
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(as_text(value), "utf-8")
    write(f"stale: {', '.join(stale)}" if stale else "all vectors are as they are made")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
