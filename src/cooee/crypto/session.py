"""Sessions between two devices: how they begin, encrypt, decrypt, and replace one another (PQXDH, Sesame §3).

A `SessionRecord` is everything that this device keeps about one other device: the current session and at most 40
archived ones. Records are immutable. Every function returns a new one or raises `CryptoError`; a refusal changes
nothing.
**Store the new record before you send the message or show the plaintext.**
"""

from hashlib import sha256
from typing import Final, NamedTuple, Self

import msgspec

from cooee.crypto import pqxdh, ratchet
from cooee.crypto.errors import (
    BadMessage,
    CryptoError,
    IdentityMismatch,
    NoSession,
    ReplayedFirstMessage,
    TooFarAhead,
    UnknownPreKey,
)
from cooee.crypto.keys import DhPublicKey, IdentityPrivateKey
from cooee.crypto.prekeys import PreKeyBundle, PreKeys
from cooee.crypto.primitives import Random
from cooee.crypto.stored import Stored
from cooee.crypto.suite import FirstMessage, MessageKind, Party, Route, Suite
from cooee.domain.ids import DeviceRef

MAX_ARCHIVED: Final = 40
"""Sessions kept beside the current one; the oldest is given up."""
MAX_PLAINTEXT: Final = 60 * 1024
"""Bytes. With all around it a message stays below `wire.MAX_BYTES`."""
MAX_TRIED: Final = 4000
"""Chain steps that a message may cost, over all sessions, before a MAC was verified; then the rest is not tried.

Of a chain that no session knows, one numbered below 97 is tried in all 41.
"""
_REPLAY_LABEL: Final = b"cooee-v1 first message\x00"


class Me(NamedTuple):
    """This device: its address and the secret of its identity."""

    ref: DeviceRef
    identity: IdentityPrivateKey

    def party(self) -> Party:
        """Return what others know of it."""
        return Party(self.ref, self.identity.public())


class Pending(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the initiator repeats in each message until the first answer."""

    signed_pre_key_id: int
    one_time_pre_key_id: int | None
    kem_key_id: int
    kem_ciphertext: bytes


class Session(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One session. ``base_key`` names it, the same on both sides."""

    base_key: DhPublicKey
    ratchet: ratchet.RatchetState
    pending: Pending | None
    retired: bool = False
    """It decrypts, and never becomes current again: its sending chain may have been used elsewhere already."""

    def __repr__(self) -> str:
        return "<Session>"


class SessionRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All sessions with one device. ``me`` and ``peer`` never change."""

    me: Party
    peer: Party
    current: Session | None = None
    archived: tuple[Session, ...] = ()
    """Newest first."""

    def __repr__(self) -> str:
        return "<SessionRecord>"

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return STORED.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`.

        Raises:
            BadState: these bytes are none.
        """
        return STORED.load(cls, data)

    def can_encrypt(self) -> bool:
        """Tell whether there is a current session."""
        return self.current is not None

    def is_answered(self) -> bool:
        """Tell whether the peer has shown that it has the current session: messages are short from then on."""
        return self.current is not None and self.current.pending is None

    def base_key(self) -> DhPublicKey | None:
        """Return the key that names the current session, the same on both sides; None without one."""
        return None if self.current is None else self.current.base_key

    def retired(self) -> Self:
        """Return the record without a current session: all are archived, still decrypt, and `start` must be called.

        For what makes sessions doubtful: a restored backup, messages that do not decrypt. A message that comes late
        brings none of them back: after a restore that would encrypt twice with the same keys.
        """
        sessions = tuple(msgspec.structs.replace(session, retired=True) for session in self._sessions())
        return self._with(None, sessions)

    def _sessions(self) -> tuple[Session, ...]:
        return self.archived if self.current is None else (self.current, *self.archived)

    def _with(self, current: Session | None, archived: tuple[Session, ...]) -> Self:
        return type(self)(self.me, self.peer, current, archived[:MAX_ARCHIVED])


STORED: Final = Stored(version=1)
"""How records are stored; a later version adds its migrations here."""


class Decrypted(NamedTuple):
    """What came of a message. Delete the named one-time keys and keep the tag together with the record."""

    record: SessionRecord
    plaintext: bytes
    new_session: bool = False
    """The message began a session."""
    used_one_time_pre_key: int | None = None
    used_kem_key: int | None = None
    """A one-time KEM key; never the last-resort one."""
    replay_tag: bytes | None = None
    """32 bytes, when the last-resort key was used: from now on ``PreKeys.was_seen`` must be true of it."""
    last_resort_id: int | None = None
    """The last-resort key that the tag belongs to: when it is deleted, its tags may go."""

    def __repr__(self) -> str:
        return "<Decrypted>"


def start(
    suite: Suite, me: Me, peer: DeviceRef, bundle: PreKeyBundle, random: Random, record: SessionRecord | None = None
) -> SessionRecord:
    """Begin a session as its initiator; a current session of ``record`` is archived.

    The caller must have checked that ``bundle.identity`` is the one in the peer's signed device list.

    Raises:
        BadSignature: a pre-key is not signed by the bundle's identity key.
        IdentityMismatch: the record is of other identities.
        BadKey: a key gives a zero result.
    """
    if record is None:
        record = SessionRecord(me.party(), Party(peer, bundle.identity))
    _check_parties(record, me, Party(peer, bundle.identity))
    initiated = pqxdh.initiate(suite, me.identity, bundle, random)
    state = ratchet.initiate(suite, initiated.agreed, bundle.signed_pre_key, random)
    one_time_id = None if bundle.one_time_pre_key is None else bundle.one_time_pre_key_id
    pending = Pending(bundle.signed_pre_key_id, one_time_id, bundle.kem_key_id, initiated.kem_ciphertext)
    return record._with(Session(initiated.base_key, state, pending), record._sessions())  # noqa: SLF001


def encrypt(suite: Suite, record: SessionRecord, plaintext: bytes, random: Random) -> tuple[SessionRecord, bytes]:
    """Encrypt with the current session: a first message until the peer has answered in it.

    ``random`` is used when the ratchet turns (the first message after a received one).

    Raises:
        NoSession: there is no current session.
        BadMessage: the message would be longer than 64 KiB.
    """
    current = record.current
    if current is None:
        raise NoSession("there is no current session")
    if len(plaintext) > MAX_PLAINTEXT:
        raise BadMessage("a message is too long")
    pending = current.pending
    route = Route(record.me, record.peer, first=pending is not None)
    state, message = ratchet.encrypt(suite, current.ratchet, route, plaintext, random)
    if pending is not None:
        message = suite.framing.encode_first(
            FirstMessage(
                record.me.identity,
                current.base_key,
                pending.signed_pre_key_id,
                pending.one_time_pre_key_id,
                pending.kem_key_id,
                pending.kem_ciphertext,
                message,
            )
        )
    return SessionRecord(record.me, record.peer, Session(current.base_key, state, pending), record.archived), message


def decrypt(
    suite: Suite, me: Me, peer: Party, record: SessionRecord | None, message: bytes, prekeys: PreKeys
) -> Decrypted:
    """Decrypt a message of either kind. The session that decrypts becomes the current one, unless it was retired.

    ``peer.identity`` is the identity key that the peer's signed device list names. What wraps a first message is only
    authentic when it begins the session (its every part goes into the agreement); later it is redundant and not looked
    at, while the message inside is as authentic as any.

    Raises:
        NoSession: a next message, and no session decrypts it (within `MAX_TRIED`); or there is none.
        BadMessage: malformed, or not authentic.
        Duplicate: decrypted before. `ReplayedFirstMessage`: a first message with the last-resort key, seen before.
        TooFarAhead: it skips more than 2,000 messages.
        IdentityMismatch: the first message, or the record, is of another identity than ``peer`` or ``me``.
        UnknownPreKey: a first message names keys that are not there.
    """
    if record is not None:
        _check_parties(record, me, peer)
    if suite.framing.kind(message) is MessageKind.FIRST:
        return _decrypt_first(suite, me, peer, record, message, prekeys)
    if record is None:
        raise NoSession("there is no session")
    return _decrypt_next(suite, record, message)


def _check_parties(record: SessionRecord, me: Me, peer: Party) -> None:
    if record.me != me.party() or record.peer != peer:
        raise IdentityMismatch("a session is between others")


def _decrypt_next(suite: Suite, record: SessionRecord, message: bytes) -> Decrypted:
    route = Route(record.peer, record.me)
    parsed = ratchet.parse(suite, route, message)
    sessions = record._sessions()  # noqa: SLF001
    for session in sessions:
        if ratchet.knows(session.ratchet, parsed.header):
            return _opened(suite, record, session, route, parsed)
    too_far = False
    left = MAX_TRIED
    for session in sessions:
        left -= min(parsed.header.counter + 1, ratchet.MAX_AHEAD)
        if left < 0:
            break
        try:
            return _opened(suite, record, session, route, parsed)
        except TooFarAhead:
            too_far = True
        except CryptoError:
            continue
    if too_far:
        raise TooFarAhead("a message skips too many")
    raise NoSession("no session decrypts this")


def _decrypt_first(
    suite: Suite, me: Me, peer: Party, record: SessionRecord | None, message: bytes, prekeys: PreKeys
) -> Decrypted:
    first = suite.framing.decode_first(message)
    if first.identity != peer.identity:
        raise IdentityMismatch("a first message is of another identity")
    if record is None:
        record = SessionRecord(me.party(), peer)
    route = Route(peer, record.me, first=True)
    parsed = ratchet.parse(suite, route, first.message)
    for session in record._sessions():  # noqa: SLF001
        if session.base_key == first.base_key:
            return _opened(suite, record, session, route, parsed)
    signed = prekeys.signed_pre_key(first.signed_pre_key_id)
    kem = prekeys.kem_key(first.kem_key_id)
    one_time_id = first.one_time_pre_key_id
    one_time = None if one_time_id is None else prekeys.one_time_pre_key(one_time_id)
    if signed is None or kem is None or (one_time is None and one_time_id is not None):
        raise UnknownPreKey("a first message names a key that is not there")
    tag = _replay_tag(first) if kem.last_resort else None
    if tag is not None and prekeys.was_seen(tag):
        raise ReplayedFirstMessage("a first message was seen before")
    agreed = pqxdh.respond(suite, me.identity, first, signed, one_time, kem.private)
    session = Session(first.base_key, ratchet.respond(agreed, signed), None)
    opened = _opened(suite, record, session, route, parsed)
    return opened._replace(
        new_session=True,
        used_one_time_pre_key=one_time_id,
        used_kem_key=None if kem.last_resort else kem.key_id,
        replay_tag=tag,
        last_resort_id=kem.key_id if kem.last_resort else None,
    )


def _replay_tag(first: FirstMessage) -> bytes:
    """Name the agreement that a first message asks for: the same one again gives the same tag."""
    ids = first.kem_key_id.to_bytes(8) + first.signed_pre_key_id.to_bytes(8)
    return sha256(_REPLAY_LABEL + ids + bytes(first.base_key)).digest()


def _opened(suite: Suite, record: SessionRecord, session: Session, route: Route, parsed: ratchet.Parsed) -> Decrypted:
    """Decrypt in this session and make it the current one, unless it was retired; it is answered now."""
    state, plaintext = ratchet.decrypt(suite, session.ratchet, route, parsed)
    after = Session(session.base_key, state, None, session.retired)
    if session.retired:
        archived = tuple(after if other is session else other for other in record.archived)
        return Decrypted(record._with(record.current, archived), plaintext)  # noqa: SLF001
    others = tuple(other for other in record._sessions() if other is not session)  # noqa: SLF001
    return Decrypted(record._with(after, others), plaintext)  # noqa: SLF001
