"""The records of the agent: what is stored, under ``(kind, id)``. All are secret.

| kind | id | holds |
|---|---|---|
| ``device`` | empty | `DeviceState`: identity, account key, signed and last-resort keys, wishes |
| ``prekey``, ``kem`` | number | a one-time key's secret, until a first message has used it |
| ``tag`` | ``lastResortId/hex`` | a first message that used a last-resort key was seen |
| ``user`` | userId | `UserState`: signed list, pinned account key, trust |
| ``session`` | ``userId/deviceId`` | `crypto.session.SessionRecord` |
| ``group`` | conversationId | `GroupState`: members, since when, and who was one before |
| ``said`` | conversationId | the highest number of a message of this user in a group, in decimal digits |
| ``chain`` | conversationId | `crypto.sender_key.OwnSenderKey` of this device |
| ``holders`` | conversationId | `Holders`: which devices were given that chain |
| ``peer`` | ``conversationId/userId/deviceId`` | `crypto.sender_key.PeerSenderKeys` of another device |
| ``waiting`` | ``conversationId#number`` | `Waiting`: a message that cannot be read yet |
| ``todo`` | ``userId/deviceId`` | `Todo`: controls for a device that wait for a session |
| ``out`` | clientMessageId | `OutFrame`: encrypted controls, until the server has them |
| ``held`` | number | `Held`: a blob of a device whose list is not known yet |
| ``archive`` | ``out/deviceId``, ``in/n`` | `ArchiveWish`: history to make for, or to take from, an own device |
"""

from typing import Final, Literal, TypeAlias

import msgspec

from cooee.client.e2ee.wants import StoredArchive
from cooee.domain.ids import DeviceRef

Key: TypeAlias = tuple[str, str]


class _State(msgspec.Struct, frozen=True, array_like=True):
    """Base: stored as MessagePack arrays, fields are only ever added behind. Nothing is shown by ``repr``."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class SignedKey(_State, frozen=True):
    """A signed pre-key or last-resort key (as its class dumps it), and since when it is the current one (ms)."""

    dump: bytes
    made_at: int


class Wish(_State, frozen=True):
    """A change of the own list that is not done yet. They are done one after the other.

    ``add``: ``identity`` is empty until it was claimed and compared with ``code``.
    ``first``, ``anew``: ``account`` is the new key's seed.
    """

    kind: Literal["first", "add", "remove", "anew"]
    device_id: str = ""
    identity: bytes = b""
    code: str = ""
    account: bytes = b""
    since: int = 0


class DeviceState(_State, frozen=True):
    """This device. ``signed`` and ``last_resort``: the current one first, then former ones in their grace.

    ``lack``, ``lack_kem``: one-time keys still to be made. ``unpublished…``: made, and not known to be published.
    ``standing``: see `results.Standing`. ``code``, ``code_at``: the link code that is shown, and since when.
    ``handed``: devices that were given the account key, their code and when: repeated if it does not arrive.
    """

    identity: bytes
    account: bytes = b""
    signed: tuple[SignedKey, ...] = ()
    last_resort: tuple[SignedKey, ...] = ()
    next_id: int = 1
    next_kem_id: int = 1
    lack: int = 0
    lack_kem: int = 0
    unpublished: tuple[int, ...] = ()
    unpublished_kem: tuple[int, ...] = ()
    publish_signed: bool = True
    published: bool = False
    standing: Literal["preparing", "unlinked", "linked"] = "preparing"
    wishes: tuple[Wish, ...] = ()
    code: str = ""
    code_at: int = 0
    handed: dict[str, tuple[str, int]] = {}
    device_id: str = ""
    """Whose records these are: a backup may be restored under another device."""


class Former(_State, frozen=True):
    """A device that was listed: with which key, and until when.

    That is ``created_at`` of the first list without it, but no later than that list came.
    """

    identity: bytes
    until: int


class UserState(_State, frozen=True):
    """A user's newest list. ``changed_at``: since when his account key is one that was not accepted; 0: none such."""

    known: bool = False
    bot: bool = False
    version: int = 0
    account_key: bytes = b""
    devices: dict[str, bytes] = {}
    current: tuple[str, ...] = ()
    former: dict[str, Former] = {}
    verified: bool = False
    changed_at: int = 0
    had_key: bytes = b""
    """The account key that was pinned before an unaccepted change."""


class GroupState(_State, frozen=True):
    """A group as the server last told it: ``members`` with the number of joining.

    ``since``: joining numbers from both, the server's word and system messages; ``past``: (user, joined, left).
    """

    roster_version: int = 0
    members: dict[str, int] = {}
    list_versions: dict[str, int] = {}
    server_hash: str = ""
    since: dict[str, int] = {}
    past: tuple[tuple[str, int, int], ...] = ()
    gone: bool = False


class Holder(_State, frozen=True):
    """A device that was given the chain, under which identity; whether the server has it; whether it needs it again."""

    identity: bytes
    acked: bool = False
    again: bool = False


class Holders(_State, frozen=True):
    """Who was ever given the own chain of this id."""

    chain_id: int
    devices: dict[str, Holder] = {}


class Waiting(_State, frozen=True):
    """A message that cannot be read yet. ``digest``: SHA-256 that its content must have, once an envelope told it.

    ``given``: a key was given to the store and has not been tried yet. ``attempts``: how often it was asked for.
    """

    conversation_id: str
    sequence_number: int
    sender: DeviceRef
    client_message_id: str
    timestamp: int
    envelope: str | None
    group_envelope: str | None
    roster_version: int
    device_list_hash: str
    reason: str
    next_at: int
    attempts: int = 0
    given: bool = False
    digest: bytes = b""


class Task(_State, frozen=True):
    """A control to send: its JSON."""

    control: bytes
    kind: str


class Todo(_State, frozen=True):
    """Controls for one device, in order."""

    tasks: tuple[Task, ...] = ()


class OutItem(_State, frozen=True):
    """One blob on its way. ``conversation_id`` and ``chain_id``: it is a distribution."""

    ref: DeviceRef
    content: str
    conversation_id: str = ""
    chain_id: int = 0


class OutFrame(_State, frozen=True):
    """Blobs that go in one ``to_device`` frame."""

    items: tuple[OutItem, ...]
    size: int = 0


class Held(_State, frozen=True):
    """A blob whose sender is not known as a listed device yet."""

    sender: DeviceRef
    content: str
    since: int


class ArchiveWish(_State, frozen=True):
    """An archive to be made for ``device_id`` (``archive`` None), or to be taken in from it."""

    device_id: str
    archive: StoredArchive | None = None


Record: TypeAlias = (
    DeviceState | UserState | GroupState | Holders | Waiting | Todo | OutFrame | Held | ArchiveWish | bytes
)

TYPES: Final[dict[str, type]] = {
    "device": DeviceState,
    "user": UserState,
    "group": GroupState,
    "holders": Holders,
    "waiting": Waiting,
    "todo": Todo,
    "out": OutFrame,
    "held": Held,
    "archive": ArchiveWish,
}
"""Kinds that are read here. The others hold states of the core as they dump themselves."""

_VERSION = b"\x01"


def device_id_of(ref: DeviceRef) -> str:
    """Return a device's id in records."""
    return f"{ref.user_id}/{ref.device_id}"


def ref_of(text: str) -> DeviceRef:
    """Undo `device_id_of`."""
    user_id, _, device_id = text.partition("/")
    return DeviceRef(user_id, device_id)


def dump(value: object) -> bytes:
    """Return a record's bytes: a version byte and MessagePack; states of the core dump themselves."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, _State):
        return _VERSION + msgspec.msgpack.encode(value)
    return value.dump()  # type: ignore[attr-defined, no-any-return]


def load(kind: str, data: bytes) -> object:
    """Undo `dump` for a kind of `TYPES`.

    Raises:
        ValueError: damaged, or of a newer version.
    """
    if data[:1] != _VERSION:
        raise ValueError(f"a record of kind {kind} is of another version")
    try:
        return msgspec.msgpack.decode(data[1:], type=TYPES[kind])
    except msgspec.MsgspecError:
        raise ValueError(f"a record of kind {kind} is damaged") from None
