"""What the agent answers and tells: results of sealing and opening, notices, and what it knows of people."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.protocol import frames
from cooee.protocol.body import OwnConversation

# --- sending ----------------------------------------------------------------------------------------------------------


class Letter(msgspec.Struct, frozen=True):
    """A message to send: sealed once, when it is put into the outbox, and kept there with its key (`Draft.enclose`).

    ``content``: base64url of the sealed body, the frame's ``content``. ``key``: K, 32 bytes.
    """

    conversation_id: str
    client_message_id: str
    content: str
    key: bytes

    def __repr__(self) -> str:
        return f"Letter({self.client_message_id})"


class Sealed(msgspec.Struct, frozen=True):
    """The fields of the ``send`` frame that make a letter readable for the devices that are current now.

    **Store the draft, then send.** It may be sent again as it is until it is answered, on any connection. After
    ``mismatched_devices`` it is worth nothing: `Draft.mismatched`, then `Draft.seal` again. It need not be stored:
    after a restart, seal again.
    """

    envelopes: tuple[frames.WireEnvelope, ...] = ()
    group_envelope: str | None = None
    roster_version: int | None = None
    device_list_hash: str | None = None


class NotYet(NamedTuple):
    """Something must happen first; the agent knows, and its wants, outgoing frames and `next_due` lead there.

    ``done`` of ``total`` devices are ready (for `SetupProgress`; 0, 0: unknown). Store the draft all the same.
    Hold back what is behind it in its conversation, and call `Draft.seal` again after each stored step.
    """

    reason: Literal["keys", "lists", "group", "sessions", "distribution", "wait"]
    done: int = 0
    total: int = 0


class Refused(NamedTuple):
    """The message cannot be sent encrypted. Fail it with this code and text.

    ``not_linked``: this device is in no signed list. ``key_changed``: a verified contact has a new account key that was
    not accepted. ``not_encrypted``: the other side is a bot. ``not_a_member``.
    """

    code: Literal["not_linked", "key_changed", "not_encrypted", "not_a_member"]
    reason: str
    user_id: str = ""


# --- receiving --------------------------------------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True):
    """A readable message: its body's JSON (`cooee.protocol.body.decode_body`). Its key is in `Draft.message_keys`."""

    body: bytes

    def __repr__(self) -> str:
        return f"Opened({len(self.body)} bytes)"


class Unreadable(NamedTuple):
    """Not readable now. Store the message with its ciphertext, ``problem`` and a placeholder.

    ``waiting``: the agent heals it; its key will stand in some later draft's `message_keys`.
    ``refused``: its sender's device is in no signed list of its user, or the content is not what its sender sealed. It
    is not healed, but may be opened again (`Draft.open`) at any time, as may any other.
    """

    problem: Literal["waiting", "refused"]
    reason: str


class MessageKey(msgspec.Struct, frozen=True):
    """K of one message, to be stored with the draft."""

    conversation_id: str
    sequence_number: int
    sender_id: str
    sender_device_id: str
    client_message_id: str
    key: bytes

    def __repr__(self) -> str:
        return f"MessageKey({self.conversation_id}, {self.sequence_number})"


# --- notices ----------------------------------------------------------------------------------------------------------


class KeyChanged(NamedTuple):
    """A user has another account key now. ``verified``: he was verified, so sending to him is refused till then."""

    user_id: str
    verified: bool


class DeviceListed(NamedTuple):
    """The own device ``device_id`` stands in the own signed list now. It may be this one: then this one is linked."""

    device_id: str


class DeviceUnlisted(NamedTuple):
    """The own device ``device_id`` stands in the own signed list no more. This one: it is unlinked."""

    device_id: str


class NeedsLink(NamedTuple):
    """The account has devices, and this one is none of them: show a link code, or start anew."""


class GaveUp(NamedTuple):
    """Nobody gave the key of a message for 30 days; it is not asked for any more. It may come all the same."""

    conversation_id: str
    sequence_number: int


class BadKeyDropped(NamedTuple):
    """A key that was given for a message does not open it: remove it from the store's message keys."""

    conversation_id: str
    sequence_number: int


class OwnStateTold(NamedTuple):
    """Another own device tells how conversations are set (their mode, their timer)."""

    conversations: tuple[OwnConversation, ...]


class Problem(NamedTuple):
    """Something that a person may have to know; it is retried if that can help. ``code`` is for programs.

    ``list_refused``: a device list is not signed by the account, or goes back. ``keys_refused``: the server has other
    keys of this device. ``wrong_password``: of `start_anew`. ``link_failed``: nobody, or somebody else, answered the
    link code.
    """

    code: Literal["list_refused", "keys_refused", "wrong_password", "link_failed"]
    text: str
    user_id: str = ""


Notice: TypeAlias = (
    KeyChanged | DeviceListed | DeviceUnlisted | NeedsLink | GaveUp | BadKeyDropped | OwnStateTold | Problem
)

# --- what is known ----------------------------------------------------------------------------------------------------

Standing: TypeAlias = Literal["preparing", "unlinked", "linked"]
"""``preparing``: keys and list are on their way. ``unlinked``: not in the own signed list. ``linked``: it can send."""


class Person(NamedTuple):
    """What is known of a user's keys. ``account_key``: 32 public bytes, None: he has no list (or it is not known yet).

    ``changed``: the key is another one than before, and that was not accepted (`Draft.accept_key`).
    """

    user_id: str
    known: bool
    account_key: bytes | None
    verified: bool
    changed: bool
    bot: bool
    devices: tuple[DeviceRef, ...]


class Diagnostics(NamedTuple):
    """How the agent fares. Times in ms since the epoch; 0: never."""

    standing: Standing
    list_version: int
    one_time_pre_keys: int
    one_time_kem_keys: int
    signed_pre_key_at: int
    sessions: int
    chains: int
    waiting: int
    outbound: int
    held: int
    counts: Mapping[str, int]
    """What was counted since the start, by name (`cooee.client.e2ee.counters`)."""
