"""Two who talk: one of the project's core, one of the other implementation."""

from itertools import count
from typing import Any
from uuid import UUID

from cooee.crypto import session
from cooee.crypto.keys import DhPublicKey, IdentityPublicKey
from cooee.crypto.prekeys import PreKeyBundle
from cooee.crypto.session import Decrypted, Me, SessionRecord
from cooee.crypto.suite import MessageKind, Party
from cooee.domain.ids import DeviceRef
from tests.fakes.pairwise import Device, make_device
from tests.interop.libsignal_suite import LIBSIGNAL, REGISTRATION_ID
from tests.interop.oracle import Oracle

SIGNED = 21
_numbers = count(1)


class Theirs:
    """A person in the other implementation."""

    def __init__(self, oracle: Oracle) -> None:
        number = next(_numbers)
        self.ref = DeviceRef(str(UUID(int=number, version=4)), str(number % 126 + 1))
        self.at = {"name": self.ref.user_id, "device": int(self.ref.device_id)}
        self._oracle = oracle
        made = self.ask("person", at=self.at, registrationId=number)
        encoded = bytes.fromhex(made["identityKey"])
        self.party = Party(self.ref, LIBSIGNAL.framing.decode_public(IdentityPublicKey, encoded))
        self.signed = self.ask("signedPreKey", id=SIGNED)

    def ask(self, do: str, **question: Any) -> dict[str, Any]:
        """Ask something about this person."""
        return self._oracle.ask(do, who=self.ref.user_id, **question)

    def bundle(self, number: int, *, last_resort: bool = False) -> PreKeyBundle:
        """Give out a bundle, with new keys of that number; ``last_resort``: without a one-time pre-key."""
        kem = self.ask("kemPreKey", id=number, lastResort=last_resort)
        one_time = None if last_resort else self.ask("preKey", id=number)["key"]
        decode = LIBSIGNAL.framing.decode_public
        return PreKeyBundle(
            self.party.identity,
            SIGNED,
            decode(DhPublicKey, bytes.fromhex(self.signed["key"])),
            bytes.fromhex(self.signed["signature"]),
            number,
            LIBSIGNAL.kem.decode_public(bytes.fromhex(kem["key"])),
            bytes.fromhex(kem["signature"]),
            None if one_time is None else number,
            None if one_time is None else decode(DhPublicKey, bytes.fromhex(one_time)),
        )

    def start(self, ours: "Ours", bundle: PreKeyBundle | None = None) -> None:
        """Begin a session, with the next bundle of the peer unless another is given."""
        bundle = bundle or ours.device.bundle()
        encode = LIBSIGNAL.framing.encode_public
        question: dict[str, Any] = {
            "registrationId": REGISTRATION_ID,
            "identityKey": encode(bundle.identity).hex(),
            "signedPreKey": {
                "id": bundle.signed_pre_key_id,
                "key": encode(bundle.signed_pre_key).hex(),
                "signature": bundle.signed_pre_key_signature.hex(),
            },
            "kemPreKey": {
                "id": bundle.kem_key_id,
                "key": LIBSIGNAL.kem.encode_public(bundle.kem_key).hex(),
                "signature": bundle.kem_key_signature.hex(),
            },
        }
        if bundle.one_time_pre_key is not None:
            question["preKey"] = {"id": bundle.one_time_pre_key_id, "key": encode(bundle.one_time_pre_key).hex()}
        self.ask("start", peer=ours.at, bundle=question)

    def encrypt(self, ours: "Ours", plaintext: bytes) -> bytes:
        """Encrypt with the current session."""
        return bytes.fromhex(self.ask("encrypt", peer=ours.at, plaintext=plaintext.hex())["message"])

    def decrypt(self, ours: "Ours", message: bytes) -> bytes:
        """Decrypt; `Refused` when it does not."""
        first = LIBSIGNAL.framing.kind(message) is MessageKind.FIRST
        return bytes.fromhex(self.ask("decrypt", peer=ours.at, first=first, message=message.hex())["plaintext"])


class Ours:
    """A person in the project's core, which keeps what comes of each message."""

    def __init__(self, *, one_time: int = 3) -> None:
        number = next(_numbers)
        self.suite = LIBSIGNAL
        self.device: Device = make_device(f"person {number}", suite=self.suite, one_time=one_time)
        ref = DeviceRef(str(UUID(int=number, version=4)), str(number % 126 + 1))
        self.device.me = Me(ref, self.device.me.identity)
        self.at = {"name": ref.user_id, "device": int(ref.device_id)}

    def record(self, theirs: Theirs) -> SessionRecord:
        """Return what is kept about the peer."""
        return self.device.records[theirs.ref]

    def start(self, theirs: Theirs, bundle: PreKeyBundle) -> None:
        """Begin a session, also where there is one."""
        known = self.device.records.get(theirs.ref)
        made = session.start(self.suite, self.device.me, theirs.ref, bundle, self.device.random, known)
        self.device.records[theirs.ref] = made

    def encrypt(self, theirs: Theirs, plaintext: bytes) -> bytes:
        """Encrypt with the current session."""
        made, message = session.encrypt(self.suite, self.record(theirs), plaintext, self.device.random)
        self.device.records[theirs.ref] = made
        return message

    def open(self, theirs: Theirs, message: bytes) -> Decrypted:
        """Decrypt, and keep nothing."""
        known = self.device.records.get(theirs.ref)
        return session.decrypt(self.suite, self.device.me, theirs.party, known, message, self.device)

    def decrypt(self, theirs: Theirs, message: bytes) -> bytes:
        """Decrypt, and keep what came of it."""
        opened = self.open(theirs, message)
        self.device.records[theirs.ref] = opened.record
        if opened.used_one_time_pre_key is not None:
            del self.device.one_time[opened.used_one_time_pre_key]
        if opened.used_kem_key is not None:
            del self.device.kems[opened.used_kem_key]
        if opened.replay_tag is not None:
            self.device.tags.add(opened.replay_tag)
        return opened.plaintext


class Pair:
    """Both, and messages in either direction. ``ours`` in a method: it is our side that sends."""

    def __init__(self, oracle: Oracle, *, ours_begins: bool, last_resort: bool = False) -> None:
        self.theirs = Theirs(oracle)
        self.ours = Ours(one_time=0 if last_resort else 3)
        self.ours_began = ours_begins
        self.begin(ours_begins, 1, last_resort=last_resort)

    def begin(self, ours: bool, number: int, *, last_resort: bool = False) -> None:
        """Begin a session, as one side; ``number``: of the keys that the other implementation makes for it."""
        if ours:
            self.ours.start(self.theirs, self.theirs.bundle(number, last_resort=last_resort))
        else:
            self.theirs.start(self.ours)

    def encrypt(self, ours: bool, plaintext: bytes) -> bytes:
        """Encrypt, as one side."""
        return self.ours.encrypt(self.theirs, plaintext) if ours else self.theirs.encrypt(self.ours, plaintext)

    def decrypt(self, ours: bool, message: bytes) -> bytes:
        """Decrypt, as the side that did not send."""
        return self.theirs.decrypt(self.ours, message) if ours else self.ours.decrypt(self.theirs, message)

    def tell(self, ours: bool, plaintext: bytes) -> None:
        """Send one message and see that it arrives as it was."""
        assert self.decrypt(ours, self.encrypt(ours, plaintext)) == plaintext

    def settle(self) -> None:
        """Talk until no side sends first messages any more."""
        self.tell(self.ours_began, b"hello")
        self.tell(not self.ours_began, b"hello yourself")
        self.tell(self.ours_began, b"good")
