"""spec/vectors/e2ee: made by scripts/e2ee-vectors, replayed by the core, and computed again without it.

The second computation follows the text of spec/vectors/e2ee/README.md with a library's primitives alone, as another
implementation would: it fails when text and code part.
"""

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cooee.crypto import archive, content, device_list, link, prekeys, safety_number, sender_key, session
from cooee.crypto.attachment import FileKey, Opening, padded_size
from cooee.crypto.errors import CryptoError, Duplicate
from cooee.crypto.keys import AccountPrivateKey, AccountPublicKey, DhPrivateKey, IdentityPrivateKey, IdentityPublicKey
from cooee.crypto.keys import KemPrivateKey as KemSecret
from cooee.crypto.suite import COOEE_V1
from cooee.domain.ids import DeviceRef
from cooee.protocol import body
from scripts import e2ee_vectors

FOLDER = Path(__file__).parents[3] / "spec" / "vectors" / "e2ee"
Json = dict[str, Any]


def load(name: str) -> Json:
    found: Json = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return found


def d(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(secret: bytes, length: int, info: bytes, salt: bytes | None = None) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def unpadded_cbc(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt, and take PKCS #7 padding off."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return padded[: -padded[-1]]


def fields(octets: bytes) -> dict[int, Any]:
    """Read protobuf's wire encoding, fast and loose."""
    found: dict[int, Any] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            number |= (octets[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if octets[at - 1] < 128:
                return number

    while at < len(octets):
        tag = varint()
        value: Any = varint()
        if tag & 7:
            value, at = octets[at : at + value], at + value
        found[tag >> 3] = value
    return found


def exchange(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def public_of(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def drawing(text: str) -> Callable[[int], bytes]:
    """Return a source that gives exactly these bytes."""
    left = bytearray(d(text))

    def take(count: int) -> bytes:
        assert count <= len(left), "more randomness is drawn than the vector says"
        taken = bytes(left[:count])
        del left[:count]
        return taken

    return take


def test_the_script_makes_the_files_as_they_are() -> None:
    made = e2ee_vectors.files(load("kem"))
    assert {path.name for path in FOLDER.glob("*.json")} == set(made)
    for name, value in made.items():
        assert (FOLDER / name).read_text("utf-8") == e2ee_vectors.as_text(value), f"{name}: run scripts/e2ee-vectors"


def test_the_readme_names_every_file() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert [path.name for path in FOLDER.glob("*.json") if f"`{path.name}`" not in readme] == []


# Sessions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", load("kem")["vectors"], ids=lambda vector: str(vector["name"]))
def test_kem(vector: Json) -> None:
    key = MLKEM1024PrivateKey.from_seed_bytes(d(vector["seed"]))
    assert key.public_key().public_bytes_raw() == d(vector["publicKey"])
    assert key.decapsulate(d(vector["ciphertext"])) == d(vector["secret"])


@pytest.mark.parametrize("vector", load("agreement")["vectors"], ids=lambda vector: str(vector["name"]))
def test_agreement_from_the_text(vector: Json) -> None:
    whole, bundle = load("agreement"), vector["bundle"]
    identity, base = d(whole["initiator"]["identityKey"]), bytearray(d(vector["random"]))
    base[0], base[31] = base[0] & 248, base[31] & 127 | 64
    signed = d(bundle["signedPreKey"]["key"])
    parts = [exchange(identity, signed), exchange(bytes(base), d(bundle["identityKey"])), exchange(bytes(base), signed)]
    if "oneTimePreKey" in bundle:
        parts.append(exchange(bytes(base), d(bundle["oneTimePreKey"]["key"])))
    kem = next(one for one in load("kem")["vectors"] if one["publicKey"] == bundle["kemKey"]["key"])
    joined = b"\xff" * 32 + b"".join(parts) + d(kem["secret"])
    assert hkdf(joined, 32, b"cooee-v1 PQXDH_CURVE25519_SHA-256_ML-KEM-1024") == d(vector["rootKey"])
    assert public_of(bytes(base)) == d(vector["baseKey"])
    assert d(kem["ciphertext"]) == d(vector["kemCiphertext"])


def test_ratchet_from_the_text() -> None:
    whole = load("ratchet")
    turn, step, keys, frame, bound = (
        whole[name] for name in ("turn", "step", "messageKeys", "frame", "associatedData")
    )
    out = hkdf(exchange(d(turn["own"]), d(turn["remote"])), 64, b"cooee-v1 ratchet", d(turn["rootKey"]))
    assert out == d(turn["nextRootKey"]) + d(turn["chainKey"])
    assert mac(d(step["chainKey"]), b"\x01") == d(step["messageKey"])
    assert mac(d(step["chainKey"]), b"\x02") == d(step["nextChainKey"])
    expanded = hkdf(d(keys["messageKey"]), 80, b"cooee-v1 message keys")
    assert expanded == d(keys["cipherKey"]) + d(keys["macKey"]) + d(keys["iv"])
    octets = d(frame["frame"])
    assert octets[:2] == b"\x01\x01"
    assert fields(octets[2:]) == {1: d(frame["ratchetKey"]), 2: 300, 3: 2, 4: d(frame["ciphertext"])}
    parties = b"".join(
        f"{side['userId']}\0{side['deviceId']}\0".encode() + d(side["identityKey"])
        for side in (bound["sender"], bound["receiver"])
    )
    assert hashlib.sha256(b"cooee-v1 session\0" + parties).digest() == d(bound["value"])


class Keys(prekeys.NoPreKeys):
    """A responder's keys, out of a vector."""

    def __init__(self, side: Json) -> None:
        self.side = side

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        signed = self.side["signedPreKey"]
        return DhPrivateKey(d(signed["key"])) if signed["id"] == key_id else None

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        key = self.side["oneTimePreKey"]
        return DhPrivateKey(d(key["key"])) if key["id"] == key_id else None

    def kem_key(self, key_id: int) -> prekeys.KemPreKey | None:
        found = next((key for key in self.side["kemKeys"] if key["id"] == key_id), None)
        return found and prekeys.KemPreKey(key_id, KemSecret(d(found["seed"])), b"", key_id == 4)


@pytest.mark.parametrize("vector", load("session")["vectors"], ids=lambda vector: str(vector["name"]))
def test_sessions_are_replayed(vector: Json) -> None:
    suite = msgspec.structs.replace(COOEE_V1, kem=e2ee_vectors.KnownKem(load("kem")["vectors"]))
    us = {
        name: session.Me(
            DeviceRef(vector[name]["userId"], vector[name]["deviceId"]),
            IdentityPrivateKey(d(vector[name]["identityKey"])),
        )
        for name in ("alice", "bob")
    }
    records: dict[str, session.SessionRecord] = {}
    keys = Keys(vector["bob"])
    for step in vector["steps"]:
        who = step["by"]
        if step["do"] == "start":
            bundle = prekeys.PreKeyBundle.from_json(suite, vector["bundle"])
            records[who] = session.start(suite, us[who], us["bob"].ref, bundle, drawing(step["random"]))
        elif step["do"] == "encrypt":
            records[who], message = session.encrypt(
                suite, records[who], step["plaintext"].encode(), drawing(step["random"])
            )
            assert message == d(step["message"])
        else:
            peer = us["bob" if who == "alice" else "alice"].party()
            if "error" in step:
                with pytest.raises(CryptoError) as refusal:
                    session.decrypt(suite, us[who], peer, records.get(who), d(step["message"]), keys)
                assert refusal.type.__name__ == step["error"]
                continue
            found = session.decrypt(suite, us[who], peer, records.get(who), d(step["message"]), keys)
            assert (found.plaintext.decode(), found.new_session) == (step["plaintext"], step["newSession"])
            records[who] = found.record


@pytest.mark.parametrize("vector", load("session")["vectors"], ids=lambda vector: str(vector["name"]))
def test_the_first_message_of_a_session_from_the_text(vector: Json) -> None:
    alice, bob = vector["alice"], vector["bob"]
    octets = d(next(step["message"] for step in vector["steps"] if step["do"] == "encrypt"))
    assert octets[:2] == b"\x01\x02"
    first = fields(octets[2:])
    assert first[1] == public_of(d(alice["identityKey"]))
    assert (first[3], first.get(4), first[5]) == ((1, 2, 3) if "oneTimePreKey" in vector["bundle"] else (1, None, 4))
    signed, identity = d(bob["signedPreKey"]["key"]), d(bob["identityKey"])
    parts = [exchange(signed, first[1]), exchange(identity, first[2]), exchange(signed, first[2])]
    if 4 in first:
        parts.append(exchange(d(bob["oneTimePreKey"]["key"]), first[2]))
    seed = next(key["seed"] for key in bob["kemKeys"] if key["id"] == first[5])
    parts.append(MLKEM1024PrivateKey.from_seed_bytes(d(seed)).decapsulate(first[6]))
    root = hkdf(b"\xff" * 32 + b"".join(parts), 32, b"cooee-v1 PQXDH_CURVE25519_SHA-256_ML-KEM-1024")
    frame, tag = first[7][:-32], first[7][-32:]
    inner = fields(frame[2:])
    chain = hkdf(exchange(signed, inner[1]), 64, b"cooee-v1 ratchet", root)[32:]
    keys = hkdf(mac(chain, b"\x01"), 80, b"cooee-v1 message keys")
    bound = hashlib.sha256(
        b"cooee-v1 session\0" + b"alice\0d1\0" + first[1] + b"bob\0d7\0" + public_of(identity)
    ).digest()
    assert (frame[:2], inner[2], inner[3]) == (b"\x01\x01", 0, 0)
    assert mac(keys[32:64], bound + frame) == tag
    assert unpadded_cbc(keys[:32], keys[64:], inner[4]) == b"before any answer, 0"


# Messages -------------------------------------------------------------------------------------------------------------


def test_sender_key_is_replayed() -> None:
    whole = load("sender_key")
    sender, place = DeviceRef("alice", "d1"), (whole["rosterVersion"], whole["deviceListHash"])
    peer = sender_key.accept(None, "group:cafe", sender, d(whole["distribution"]))
    for message in reversed(whole["messages"]):
        peer, plaintext = sender_key.decrypt(peer, d(message["message"]), *place)
        assert plaintext.decode() == message["plaintext"]
    later = sender_key.accept(None, "group:cafe", sender, d(whole["later"]))
    for message in whole["messages"]:
        with pytest.raises(Duplicate):
            sender_key.decrypt(later, d(message["message"]), *place)


def test_sender_key_from_the_text() -> None:
    whole = load("sender_key")
    told = d(whole["distribution"])
    assert told[:2] == b"\x01\x03"
    shared = fields(told[2:])
    assert shared[1] == b"group:cafe"
    place = f"cooee-v1 sender key\0group:cafe\0alice\0d1\0{whole['rosterVersion']}\0{whole['deviceListHash']}\0"
    bound = hashlib.sha256(place.encode()).digest()
    assert bound == d(whole["associatedData"])
    chain = shared[4]
    for number, message in enumerate(whole["messages"]):
        octets = d(message["message"])
        signed, signature = octets[:-64], octets[-64:]
        clear, tag = signed[:-32], signed[-32:]
        parts = fields(clear[2:])
        assert (clear[:2], parts[1], parts[2]) == (b"\x01\x04", shared[2], number)
        IdentityPublicKey(shared[5]).verify(bound + signed, signature)
        keys = hkdf(mac(chain, b"\x01"), 80, b"cooee-v1 sender key message")
        assert mac(keys[32:64], bound + clear) == tag
        assert unpadded_cbc(keys[:32], keys[64:], parts[3]).decode() == message["plaintext"]
        chain = mac(chain, b"\x02")


@pytest.mark.parametrize("vector", load("content")["vectors"])
def test_content(vector: Json) -> None:
    key, octets, text = d(vector["key"]), d(vector["content"]), vector["body"].encode()
    here = ("dm:alice:bob", DeviceRef("alice", "d1"), "m-1")
    assert content.open_body(content.ContentKey(key), octets, *here) == text
    assert content.seal_body(content.ContentKey(key), text, *here, drawing(vector["random"])) == octets
    place = hashlib.sha256(b"cooee-v1 content\0dm:alice:bob\0alice\0d1\0m-1\0").digest()
    keys = hkdf(key, 64, b"cooee-v1 content keys\0" + place)
    assert octets[0] == 1
    assert mac(keys[32:], place + octets[:-32]) == octets[-32:]
    assert len(octets[17:-32]) % 160 == 0
    padded = unpadded_cbc(keys[:32], octets[1:17], octets[17:-32])
    assert padded.rstrip(b"\0") == text + b"\x80"
    assert d(vector["envelopePayload"]) == key + hashlib.sha256(octets).digest()


@pytest.mark.parametrize("vector", load("attachment")["vectors"])
def test_attachment(vector: Json) -> None:
    key, plain, file, digest = (d(vector[name]) for name in ("key", "plaintext", "file", "digest"))
    opening = Opening(FileKey(key), digest, len(plain))
    assert opening.update(file) + opening.finish() == plain
    assert hashlib.sha256(file).digest() == digest
    assert mac(key[32:], file[:-32]) == file[-32:]
    padded = unpadded_cbc(key[:32], file[:16], file[16:-32])
    assert padded == plain + bytes(padded_size(len(plain)) - len(plain))


def test_padded_sizes() -> None:
    for size, padded in load("attachment")["padded"]:
        assert padded_size(size) == padded


# Devices --------------------------------------------------------------------------------------------------------------


def test_device_list() -> None:
    whole = load("device_list")
    payload = whole["payload"].encode()
    signed = device_list.SignedDeviceList(payload, d(whole["signature"]))
    found = device_list.verify(signed, "alice", AccountPrivateKey(d(whole["accountKey"])).public())
    assert device_list.sign(found, AccountPrivateKey(d(whole["accountKey"]))) == signed
    account = Ed25519PrivateKey.from_private_bytes(d(whole["accountKey"]))
    assert account.sign(b"cooee-v1 device list\0" + payload) == d(whole["signature"])
    lines = sorted((one["userId"], one["deviceId"], one["identityKey"]) for one in whole["groupDevices"])
    digest = hashlib.sha256("".join(f"{user}/{device}/{key}\n" for user, device, key in lines).encode()).digest()
    assert d(whole["deviceListHash"]) == digest


def test_safety_number() -> None:
    whole = load("safety_number")
    sides = {}
    for name in ("alice", "bob"):
        key = d(whole[name]["accountKey"])
        value = b"\0\1" + key + name.encode()
        for _ in range(5_200):
            value = hashlib.sha512(b"cooee-v1 safety number\0" + value + key).digest()
        sides[name] = value
    halves = sorted(
        "".join(f"{int.from_bytes(side[at : at + 5], 'big') % 100_000:05}" for at in range(0, 30, 5))
        for side in sides.values()
    )
    assert "".join(halves) == whole["digits"]
    assert d(whole["alice"]["qr"].removeprefix("cooee-safety:1:")) == sides["alice"][:32] + sides["bob"][:32]
    alice, bob = (AccountPublicKey(d(whole[name]["accountKey"])) for name in ("alice", "bob"))
    number = safety_number.safety_number("alice", alice, "bob", bob)
    assert (number.digits, number.qr) == (whole["digits"], whole["alice"]["qr"])
    assert number.matches(whole["bob"]["qr"])


def test_link() -> None:
    whole = load("link")
    code = link.parse(whole["text"])
    assert code == link.parse(whole["qr"])
    assert code == (
        DeviceRef("alice", "Laptop_2"),
        d(whole["secret"]),
        hashlib.sha256(d(whole["identityKey"])).digest()[:16],
    )
    packed = b"\1\5alice\x08Laptop_2" + code.secret + code.fingerprint
    packed += hashlib.sha256(b"cooee-v1 link code\0" + packed).digest()[:3]
    assert d(whole["qr"].removeprefix("cooee-link:1:")) == packed
    assert whole["text"].replace("-", "") == base64.b32encode(packed).decode().rstrip("=")
    keys = d(whole["identityKey"]) + d(whole["oldIdentityKey"]) + d(whole["accountKey"])
    assert mac(code.secret, b"cooee-v1 linked\0alice\0Laptop_2\0d1\0" + keys) == d(whole["proof"])


@pytest.mark.parametrize("vector", load("archive")["vectors"], ids=["key", "passphrase"])
def test_archive(vector: Json) -> None:
    octets = d(vector["archive"])
    lock = archive.ArchiveKey(d(vector["key"])) if "key" in vector else archive.Passphrase(vector["passphrase"])
    reader = archive.ArchiveReader(lock)
    assert reader.update(octets) + reader.finish() == b"hello"
    head, salt = octets[: 42 if "key" in vector else 51], octets[10:42]
    assert head[:10] == b"COOEEARC\1" + bytes(("passphrase" in vector,))
    if "key" in vector:
        secret = d(vector["key"])
    else:
        memory, passes, lanes = struct.unpack(">IIB", head[42:])
        secret = hash_secret_raw(vector["passphrase"].encode(), salt, passes, memory, lanes, 32, Type.ID)
    keys = hkdf(secret, 64, b"cooee-v1 archive\0" + head, salt)
    assert octets[len(head) : len(head) + 32] == mac(keys[:32], head)
    assert AESGCM(keys[32:]).decrypt(bytes(11) + b"\1", octets[len(head) + 32 :], None) == b"hello"


def test_long_archive() -> None:
    whole = load("archive")["long"]
    writer = archive.ArchiveWriter(archive.ArchiveKey(d(whole["key"])), drawing(whole["random"]))
    octets = writer.start() + writer.update(bytes(65_537)) + writer.finish()
    assert (len(octets), hashlib.sha256(octets).digest()) == (whole["bytes"], d(whole["sha256"]))


def test_bodies_and_controls() -> None:
    whole = load("body")
    for text in whole["bodies"]:
        found = body.decode_body(text.encode())
        assert not isinstance(found, body.Unsupported)
        assert body.encode_body(found).decode() == text
    for text in whole["controls"]:
        control = body.decode_control(text.encode())
        assert not isinstance(control, body.Unsupported)
        assert body.encode_control(control).decode() == text
    for text in whole["unsupported"]:
        assert isinstance(body.decode_body(text.encode()), body.Unsupported)
    for text in whole["refused"]:
        with pytest.raises(body.BadBody):
            body.decode_body(text.encode())
