"""What the agent wants done: plain records that the SDK carries out and answers (`Draft.got`, `Draft.failed`).

`Agent.wants` gives each want once. Answer it with `got` or `failed` in a draft that is stored; one that nobody answers
is given again after 10 minutes (archives: 6 hours), and after a restart. Wants hold secrets at times
(`PutDeviceList.password`, `ImportArchive.key`): their ``repr`` shows none.
"""

from typing import Annotated, TypeAlias

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.protocol import keys
from cooee.protocol.body import MessageRef

Number = Annotated[int, msgspec.Meta(ge=0)]


class _Want(msgspec.Struct, frozen=True, kw_only=True):
    """Base of wants. ``number`` tells two wants of the same kind apart; it is never reused while the agent lives."""

    number: int = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(number={self.number})"


class FetchStatus(_Want, frozen=True, kw_only=True):
    """``GET /v1/keys/status``. Answer: `keys.KeyStatus`."""


class PublishKeys(_Want, frozen=True, kw_only=True):
    """``PUT /v1/keys`` with ``body``, which holds public parts only. Answer: `keys.KeyStock`.

    The secrets of these keys were stored with the draft that made this want possible.
    """

    body: keys.PublishKeys


class PutDeviceList(_Want, frozen=True, kw_only=True):
    """``PUT /v1/users/{me}/device-list`` with ``body``. Answer: `keys.ListVersion`.

    ``conflict`` and ``mismatched_devices`` are answers that `Draft.failed` deals with; a wrong password (``forbidden``,
    ``unauthorized``) ends the wish of `Draft.start_anew` with a `Problem` notice.
    """

    body: keys.PutDeviceList


class FetchLists(_Want, frozen=True, kw_only=True):
    """``POST /v1/device-lists`` with ``body`` (at most 100 users). Answer: `keys.DeviceLists`."""

    body: keys.AskLists


class FetchGroup(_Want, frozen=True, kw_only=True):
    """``GET /v1/groups/{conversation_id}``. Answer: `cooee.protocol.http.Group`."""

    conversation_id: str


class Claim(_Want, frozen=True, kw_only=True):
    """``POST /v1/keys/claim`` with ``body`` (at most 100 devices). Answer: `keys.Claimed`."""

    body: keys.ClaimKeys


class FoundKey(msgspec.Struct, frozen=True):
    """What the store has of one message that a device asked about: its true place, its time, and its key K."""

    item: MessageRef
    sequence_number: int
    timestamp: int
    key: bytes

    def __repr__(self) -> str:
        return "FoundKey(…)"


class LookUpKeys(_Want, frozen=True, kw_only=True):
    """Look the ``items`` (at most 50) up in the store. Answer: a sequence of `FoundKey`, one for each key found.

    The key is found by ``(conversation_id, sender_id, sender_device_id, client_message_id)`` alone;
    ``sequence_number`` and ``timestamp`` of the answer are **those of the stored message**, never those of the item,
    which are an assertion of whoever asks. A message whose number is not known yet is not found.
    Leave out what was deleted or has disappeared.
    """

    asker: DeviceRef
    items: tuple[MessageRef, ...]


class ExportArchive(_Want, frozen=True, kw_only=True):
    """Make an archive of all message keys (and what history is to go along) for the own device ``device_id``.

    Upload it encrypted with a random key, and answer with a `StoredArchive`; the agent sends it to that device alone.
    """

    device_id: str


class StoredArchive(msgspec.Struct, frozen=True):
    """An archive in the media store. ``key``: 32 bytes; ``digest``: SHA-256 of all its ``size`` bytes."""

    media_key: str
    key: bytes
    digest: bytes
    size: int

    def __repr__(self) -> str:
        return f"StoredArchive({self.size} bytes)"


class ImportArchive(_Want, frozen=True, kw_only=True):
    """Download an archive that another own device made, check its digest, and store what it holds. Answer: None.

    Keys that are imported may open messages that wait: look for them with ``Store.unreadable_with_key``.
    """

    archive: StoredArchive


Want: TypeAlias = (
    FetchStatus
    | PublishKeys
    | PutDeviceList
    | FetchLists
    | FetchGroup
    | Claim
    | LookUpKeys
    | ExportArchive
    | ImportArchive
)
