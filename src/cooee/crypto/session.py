"""Sessions between two devices: how they begin, encrypt, decrypt, and replace one another (PQXDH, Sesame §3).

A `SessionRecord` is everything that this device keeps about one other device: the current session and at most 40
archived ones. Records are immutable. Every function returns a new one or raises `CryptoError`; a refusal changes
nothing.
**Store the new record before you send the message or show the plaintext.**
"""

from typing import Final, NamedTuple, Self

import msgspec

from cooee.crypto.keys import DhPublicKey, IdentityPrivateKey
from cooee.crypto.prekeys import PreKeyBundle, PreKeys
from cooee.crypto.primitives import Random
from cooee.crypto.suite import Party, Suite
from cooee.domain.ids import DeviceRef

MAX_ARCHIVED: Final = 40
"""Sessions kept beside the current one; the oldest is given up."""


class Me(NamedTuple):
    """This device: its address and the secret of its identity."""

    ref: DeviceRef
    identity: IdentityPrivateKey

    def party(self) -> Party:
        """Return what others know of it."""
        return Party(self.ref, self.identity.public())


class SessionRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All sessions with one device. ``me`` and ``peer`` never change."""

    me: Party
    peer: Party

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        raise NotImplementedError

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`.

        Raises:
            BadState: these bytes are none.
        """
        raise NotImplementedError

    def can_encrypt(self) -> bool:
        """Tell whether there is a current session."""
        raise NotImplementedError

    def is_answered(self) -> bool:
        """Tell whether the peer has shown that it has the current session: messages are short from then on."""
        raise NotImplementedError

    def retired(self) -> Self:
        """Return the record without a current session: it is archived, still decrypts, and `start` must be called.

        For what makes a session doubtful: a restored backup, messages that do not decrypt.
        """
        raise NotImplementedError


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
    raise NotImplementedError


def encrypt(suite: Suite, record: SessionRecord, plaintext: bytes, random: Random) -> tuple[SessionRecord, bytes]:
    """Encrypt with the current session: a first message until the peer has answered in it.

    ``random`` is used when the ratchet turns (the first message after a received one).

    Raises:
        NoSession: there is no current session.
        BadMessage: the message would be longer than 64 KiB.
    """
    raise NotImplementedError


def decrypt(
    suite: Suite, me: Me, peer: Party, record: SessionRecord | None, message: bytes, prekeys: PreKeys
) -> Decrypted:
    """Decrypt a message of either kind. The session that decrypts becomes the current one.

    ``peer.identity`` is the identity key that the peer's signed device list names.

    Raises:
        NoSession: a next message, and no session decrypts it; or there is none.
        BadMessage: malformed, or not authentic.
        Duplicate: decrypted before. `ReplayedFirstMessage`: a first message with the last-resort key, seen before.
        TooFarAhead: it skips more than 2,000 messages.
        IdentityMismatch: the first message, or the record, is of another identity than ``peer`` or ``me``.
        UnknownPreKey: a first message names keys that are not there.
    """
    raise NotImplementedError


def base_key_of(record: SessionRecord) -> DhPublicKey | None:
    """Return the key that names the current session, the same on both sides; None without one."""
    raise NotImplementedError
