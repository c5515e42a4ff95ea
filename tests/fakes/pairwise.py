"""Two devices that talk through the pairwise core: their pre-keys in dictionaries, their randomness from a seed."""

from dataclasses import dataclass, field
from random import Random as Generator

from cooee.crypto import session
from cooee.crypto.keys import DhPrivateKey, IdentityPrivateKey
from cooee.crypto.prekeys import (
    KemPreKey,
    OneTimePreKey,
    PreKeyBundle,
    SignedPreKey,
    make_kem_keys,
    make_last_resort_key,
    make_one_time_pre_keys,
    make_signed_pre_key,
)
from cooee.crypto.primitives import Random
from cooee.crypto.session import Decrypted, Me, SessionRecord
from cooee.crypto.suite import COOEE_V1, Party, Suite
from cooee.domain.ids import DeviceRef

LAST_RESORT_ID = 1000


@dataclass
class Device:
    """One device, which keeps what the core asks it to keep."""

    me: Me
    random: Random
    suite: Suite
    signed: SignedPreKey
    last_resort: KemPreKey
    one_time: dict[int, OneTimePreKey] = field(default_factory=dict)
    kems: dict[int, KemPreKey] = field(default_factory=dict)
    tags: set[bytes] = field(default_factory=set)
    records: dict[DeviceRef, SessionRecord] = field(default_factory=dict)
    given_out: int = 0

    @property
    def party(self) -> Party:
        return self.me.party()

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        return self.signed.private if key_id == self.signed.key_id else None

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        return self.one_time[key_id].private if key_id in self.one_time else None

    def kem_key(self, key_id: int) -> KemPreKey | None:
        return self.last_resort if key_id == self.last_resort.key_id else self.kems.get(key_id)

    def was_seen(self, tag: bytes) -> bool:
        return tag in self.tags

    def bundle(self) -> PreKeyBundle:
        """Give out the next one-time keys, then the last resort."""
        self.given_out += 1
        one_time = self.one_time.get(self.given_out)
        kem = self.kems.get(self.given_out, self.last_resort)
        return PreKeyBundle(
            self.me.identity.public(),
            self.signed.key_id,
            self.signed.private.public(),
            self.signed.signature,
            kem.key_id,
            kem.private.public(),
            kem.signature,
            None if one_time is None else one_time.key_id,
            None if one_time is None else one_time.private.public(),
        )

    def start(self, peer: "Device") -> None:
        """Begin a session, also where there is one."""
        ref = peer.me.ref
        record = self.records.get(ref)
        self.records[ref] = session.start(self.suite, self.me, ref, peer.bundle(), self.random, record)

    def encrypt(self, peer: "Device", plaintext: bytes) -> bytes:
        """Encrypt with the current session."""
        ref = peer.me.ref
        self.records[ref], message = session.encrypt(self.suite, self.records[ref], plaintext, self.random)
        return message

    def open(self, peer: "Device", message: bytes) -> Decrypted:
        """Decrypt, and keep nothing."""
        return session.decrypt(self.suite, self.me, peer.party, self.records.get(peer.me.ref), message, self)

    def decrypt(self, peer: "Device", message: bytes) -> bytes:
        """Decrypt, and keep what came of it."""
        opened = self.open(peer, message)
        self.records[peer.me.ref] = opened.record
        if opened.used_one_time_pre_key is not None:
            del self.one_time[opened.used_one_time_pre_key]
        if opened.used_kem_key is not None:
            del self.kems[opened.used_kem_key]
        if opened.replay_tag is not None:
            self.tags.add(opened.replay_tag)
        return opened.plaintext


def make_device(name: str, seed: int = 0, *, one_time: int = 2, suite: Suite = COOEE_V1) -> Device:
    """Make a device with its pre-keys; all but KEM ciphertexts follows from ``name`` and ``seed``."""
    random = Generator(f"{name}/{seed}").randbytes
    identity = IdentityPrivateKey.generate(random)
    device = Device(
        Me(DeviceRef(name, f"{name}1"), identity),
        random,
        suite,
        make_signed_pre_key(suite, identity, 7, random),
        make_last_resort_key(suite, identity, LAST_RESORT_ID, random),
    )
    device.one_time = {key.key_id: key for key in make_one_time_pre_keys(1, one_time, random)}
    device.kems = {key.key_id: key for key in make_kem_keys(suite, identity, 1, one_time, random)}
    return device


def make_pair(seed: int = 0, *, one_time: int = 2, talk: bool = True) -> tuple[Device, Device]:
    """Make alice and bob; ``talk``: in a session that both have answered."""
    alice, bob = make_device("alice", seed, one_time=one_time), make_device("bob", seed, one_time=one_time)
    if talk:
        alice.start(bob)
        bob.decrypt(alice, alice.encrypt(bob, b"hello"))
        alice.decrypt(bob, bob.encrypt(alice, b"hello yourself"))
        bob.decrypt(alice, alice.encrypt(bob, b"good"))
    return alice, bob
