"""What end-to-end encryption costs, without server, store or network: CPU time of the core alone (docs/e2ee.md)."""

import statistics
import time
from collections.abc import Callable
from secrets import token_bytes
from typing import Final, NamedTuple

from cooee.bench.figures import Figures, Progress, no_progress
from cooee.crypto import content, prekeys, sender_key, session
from cooee.crypto.keys import DhPrivateKey, IdentityPrivateKey
from cooee.crypto.prekeys import KemPreKey
from cooee.crypto.session import Me, SessionRecord
from cooee.crypto.suite import COOEE_V1 as SUITE
from cooee.domain.ids import DeviceRef

TEXT: Final = bytes(256)
"""Bytes of each message."""
_BATCH: Final = 50
_GROUP: Final = "group:bench"
_ROSTER: Final = (1, "hash")
_MESSAGE: Final = "m"


class Responder:
    """A device with one set of pre-keys, and what it gives out."""

    def __init__(self, name: str) -> None:
        self.me = Me(DeviceRef(name, "d1"), IdentityPrivateKey.generate(token_bytes))
        identity = self.me.identity
        self._signed = prekeys.make_signed_pre_key(SUITE, identity, 1, token_bytes)
        self._one_time = prekeys.make_one_time_pre_keys(2, 1, token_bytes)[0]
        self._kem = prekeys.make_kem_keys(SUITE, identity, 3, 1, token_bytes)[0]
        published = prekeys.publication(
            SUITE,
            identity.public(),
            signed_pre_key=self._signed,
            one_time_pre_keys=[self._one_time],
            kem_keys=[self._kem],
        )
        self.claimed = {
            "identityKey": published["identityKey"],
            "signedPreKey": published["signedPreKey"],
            "oneTimePreKey": published["oneTimePreKeys"][0],
            "kemKey": published["oneTimeKemKeys"][0],
        }

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the signed pre-key."""
        return self._signed.private if key_id == self._signed.key_id else None

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the one-time pre-key, as often as is asked: each set-up here is another one's first."""
        return self._one_time.private if key_id == self._one_time.key_id else None

    def kem_key(self, key_id: int) -> KemPreKey | None:
        """Return the KEM key."""
        return self._kem if key_id == self._kem.key_id else None

    def was_seen(self, tag: bytes) -> bool:
        """Nothing was."""
        return False

    def begin(self, initiator: Me) -> tuple[SessionRecord, bytes]:
        """Do the initiator's part: bundle, verification, agreement, first message."""
        bundle = prekeys.PreKeyBundle.from_json(SUITE, self.claimed)
        record = session.start(SUITE, initiator, self.me.ref, bundle, token_bytes)
        return session.encrypt(SUITE, record, TEXT, token_bytes)

    def accept(self, initiator: Me, first: bytes) -> SessionRecord:
        """Do the responder's part."""
        return session.decrypt(SUITE, self.me, initiator.party(), None, first, self).record


class Talk:
    """A session between two devices, both sides of it."""

    def __init__(self) -> None:
        self.alice = Me(DeviceRef("alice", "d1"), IdentityPrivateKey.generate(token_bytes))
        self.bob = Responder("bob")
        self.hers, first = self.bob.begin(self.alice)
        self.his = self.bob.accept(self.alice, first)
        self.to_her(self.from_him())
        self.to_him(self.from_her())

    def from_her(self) -> bytes:
        """Encrypt as Alice."""
        self.hers, message = session.encrypt(SUITE, self.hers, TEXT, token_bytes)
        return message

    def from_him(self) -> bytes:
        """Encrypt as Bob."""
        self.his, message = session.encrypt(SUITE, self.his, TEXT, token_bytes)
        return message

    def to_her(self, message: bytes) -> None:
        """Decrypt as Alice."""
        found = session.decrypt(SUITE, self.alice, self.bob.me.party(), self.hers, message, prekeys.NoPreKeys())
        self.hers = found.record

    def to_him(self, message: bytes) -> None:
        """Decrypt as Bob."""
        self.his = session.decrypt(SUITE, self.bob.me, self.alice.party(), self.his, message, self.bob).record


class _Costs(NamedTuple):
    """CPU time of one of each, in seconds."""

    encrypt: float
    decrypt: float


def run(*, rounds: int, devices: int, progress: Progress = no_progress) -> Figures:
    """Measure; each figure is the median of ``rounds`` rounds. ``devices``: of the fan-out, each with a session."""
    figures: Figures = {"scenario": "e2ee", "rounds": rounds, "message_bytes": len(TEXT), "devices": devices}
    steps: list[Callable[[], Figures]] = [
        lambda: _named("", _median(rounds, _one_way)),
        lambda: _named("turning_", _median(rounds, _turning)),
        lambda: _named("content_", _median(rounds, _content)),
        lambda: _named("group_", _median(rounds, _group)),
        lambda: _set_up(rounds),
        lambda: _fan_out(rounds, devices, progress),
    ]
    for done, step in enumerate(steps):
        progress("Encrypting", done, len(steps))
        figures |= step()
    return figures


def _median(rounds: int, once: Callable[[], _Costs]) -> _Costs:
    found = [once() for _ in range(rounds)]
    return _Costs(*(statistics.median(each) for each in zip(*found, strict=True)))


def _named(what: str, costs: _Costs) -> Figures:
    return {f"{what}encrypt_us": round(costs.encrypt * 1e6, 1), f"{what}decrypt_us": round(costs.decrypt * 1e6, 1)}


def _one_way() -> _Costs:
    """Many messages in one direction, after one another."""
    talk, clock = Talk(), time.process_time
    start = clock()
    messages = [talk.from_her() for _ in range(_BATCH)]
    between = clock()
    for message in messages:
        talk.to_him(message)
    return _Costs((between - start) / _BATCH, (clock() - between) / _BATCH)


def _turning() -> _Costs:
    """Each message in the other direction than the one before: the ratchet turns each time."""
    talk, clock = Talk(), time.process_time
    encrypting = decrypting = 0.0
    for _ in range(_BATCH // 2):
        for send, take in ((talk.from_him, talk.to_her), (talk.from_her, talk.to_him)):
            start = clock()
            message = send()
            between = clock()
            take(message)
            decrypting += clock() - between
            encrypting += between - start
    return _Costs(encrypting / (_BATCH // 2 * 2), decrypting / (_BATCH // 2 * 2))


def _content() -> _Costs:
    """The body of a message, once for all."""
    sender, clock = DeviceRef("alice", "d1"), time.process_time
    start = clock()
    sealed = []
    for _ in range(_BATCH):
        key = content.ContentKey.generate(token_bytes)
        sealed.append((key, content.seal_body(key, TEXT, _GROUP, sender, _MESSAGE, token_bytes)))
    between = clock()
    for key, body in sealed:
        content.open_body(key, body, _GROUP, sender, _MESSAGE)
    return _Costs((between - start) / _BATCH, (clock() - between) / _BATCH)


def _group() -> _Costs:
    """A whole message to a group whose members have the key: body and envelope, one for all of any number."""
    sender, clock = DeviceRef("alice", "d1"), time.process_time
    own = sender_key.OwnSenderKey.generate(_GROUP, 0, token_bytes)
    peer = sender_key.accept(None, _GROUP, sender, own.distribution())
    start = clock()
    sealed = []
    for _ in range(_BATCH):
        key = content.ContentKey.generate(token_bytes)
        body = content.seal_body(key, TEXT, _GROUP, sender, _MESSAGE, token_bytes)
        own, envelope = sender_key.encrypt(own, content.envelope_payload(key, body), *_ROSTER, sender, token_bytes)
        sealed.append((body, envelope))
    between = clock()
    for body, envelope in sealed:
        peer, payload = sender_key.decrypt(peer, envelope, *_ROSTER)
        content.open_body(content.key_for(payload, body), body, _GROUP, sender, _MESSAGE)
    return _Costs((between - start) / _BATCH, (clock() - between) / _BATCH)


def _set_up(rounds: int) -> Figures:
    """A session, from the claimed bundle to the first message that is decrypted."""
    alice, bob, clock = (
        Me(DeviceRef("alice", "d1"), IdentityPrivateKey.generate(token_bytes)),
        Responder("bob"),
        time.process_time,
    )
    initiating, responding = [], []
    for _ in range(rounds):
        start = clock()
        _, first = bob.begin(alice)
        between = clock()
        bob.accept(alice, first)
        responding.append(clock() - between)
        initiating.append(between - start)
    one, other = statistics.median(initiating), statistics.median(responding)
    return {
        "initiate_ms": round(one * 1000, 3),
        "respond_ms": round(other * 1000, 3),
        "set_up_ms": round((one + other) * 1000, 3),
    }


def _fan_out(rounds: int, devices: int, progress: Progress) -> Figures:
    """The envelopes of one message, one for each device."""
    alice, bob = Me(DeviceRef("alice", "d1"), IdentityPrivateKey.generate(token_bytes)), Responder("bob")
    records = []
    for done in range(devices):
        record, first = bob.begin(alice)
        answer = session.encrypt(SUITE, bob.accept(alice, first), TEXT, token_bytes)[1]
        records.append(session.decrypt(SUITE, alice, bob.me.party(), record, answer, prekeys.NoPreKeys()).record)
        progress("Beginning sessions", done, devices)
    payload = bytes(content.PAYLOAD_BYTES)
    took = []
    for _ in range(min(rounds, 5)):
        start = time.process_time()
        records = [session.encrypt(SUITE, record, payload, token_bytes)[0] for record in records]
        took.append(time.process_time() - start)
    return {
        "fan_out_ms": round(statistics.median(took) * 1000, 2),
        "fan_out_first_ms": round(took[0] * 1000, 2),
        "fan_out_us_per_device": round(statistics.median(took) / devices * 1e6, 1),
    }
