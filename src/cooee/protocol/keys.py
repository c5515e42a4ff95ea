"""The bodies of keys and device lists (PROTOCOL.md §15): one struct each, shared by server and client.

Every key, signature and list is base64url without padding, in its one canonical form. To the server they are opaque but
for their size; it reads the payload of a signed list, and verifies the list's signature.
"""

from typing import Annotated, Any, Literal

import msgspec

MAX_CLAIM = 100
"""Devices in one ``POST /v1/keys/claim``."""
MAX_LISTS = 100
"""Users in one ``POST /v1/device-lists``."""
MAX_ONE_TIME_KEYS = 200
"""One-time keys of one kind in one ``PUT /v1/keys``, and in a device's stock."""
MAX_LIST_CHARACTERS = 65_536
"""The payload of a signed device list, in characters of base64url."""

_END_OF_32 = "[AEIMQUYcgkosw048]"
"""The last of the characters of 3n + 2 bytes: its two low bits are 0 in the canonical form."""


def _base64(pattern: str, description: str) -> Any:
    return msgspec.Meta(pattern=pattern, description=description)


KeyText = Annotated[str, _base64(f"^[A-Za-z0-9_-]{{42}}{_END_OF_32}$", "A public key of 32 bytes, base64url.")]
KemKeyText = Annotated[
    str, _base64(f"^[A-Za-z0-9_-]{{2090}}{_END_OF_32}$", "An ML-KEM-1024 public key of 1,568 bytes, base64url.")
]
SignatureText = Annotated[str, _base64("^[A-Za-z0-9_-]{85}[AQgw]$", "A signature of 64 bytes, base64url.")]
KeyId = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1, description="Rises with each new key of its kind.")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
UserText = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="A userId.")]
DeviceText = Annotated[str, msgspec.Meta(min_length=1, max_length=32, description="A deviceId.")]
ListText = Annotated[
    str,
    msgspec.Meta(
        pattern="^[A-Za-z0-9_-]+$",
        max_length=MAX_LIST_CHARACTERS,
        description="The UTF-8 JSON of a device list, base64url.",
    ),
]


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """Base of answers."""


class _Request(_Body, omit_defaults=True, frozen=True):
    """Base of requests: what has its default is not sent."""


# --- keys of a device -------------------------------------------------------------------------------------------------


class PreKey(_Body, frozen=True):
    """A one-time pre-key."""

    id: KeyId
    key: KeyText


class SignedPreKey(_Body, frozen=True):
    """The pre-key of a while, signed by the identity key."""

    id: KeyId
    key: KeyText
    signature: SignatureText


class KemKey(_Body, frozen=True):
    """An ML-KEM key, one-time or last resort, signed by the identity key."""

    id: KeyId
    key: KemKeyText
    signature: SignatureText


PreKeys = Annotated[tuple[PreKey, ...], msgspec.Meta(max_length=MAX_ONE_TIME_KEYS)]
KemKeys = Annotated[tuple[KemKey, ...], msgspec.Meta(max_length=MAX_ONE_TIME_KEYS)]


class PublishKeys(_Request, frozen=True):
    """``PUT /v1/keys``: the device's keys; later what is new. Idempotent.

    The first time ``signedPreKey`` and ``lastResortKemKey`` are needed. A one-time key whose id is not above all former
    ones of its kind is taken for one that was sent before, and left out.
    """

    identity_key: KeyText
    signed_pre_key: SignedPreKey | None = None
    last_resort_kem_key: KemKey | None = None
    one_time_pre_keys: PreKeys = ()
    one_time_kem_keys: KemKeys = ()


class KeyStock(_Body, frozen=True):
    """How many one-time keys of the device are left."""

    one_time_pre_keys: Count
    one_time_kem_keys: Count


class KeyStatus(_Body, frozen=True):
    """``GET /v1/keys/status``: what the server has of this device; ``identityKey`` null: nothing.

    ``last…Id``: the highest id that a one-time key of the kind ever had, given out or not; new ones go on above it.
    ``listed``: the device is in its user's newest device list, with this identity key.
    """

    identity_key: str | None = None
    signed_pre_key_id: int | None = None
    last_resort_kem_key_id: int | None = None
    one_time_pre_keys: Count = 0
    one_time_kem_keys: Count = 0
    last_one_time_pre_key_id: int = 0
    last_one_time_kem_key_id: int = 0
    listed: bool = False


# --- claims -----------------------------------------------------------------------------------------------------------


class DeviceName(_Body, frozen=True):
    """One device of one user."""

    user_id: UserText
    device_id: DeviceText


class ClaimKeys(_Request, frozen=True):
    """``POST /v1/keys/claim``: the devices to start sessions with; each named once counts once."""

    devices: Annotated[tuple[DeviceName, ...], msgspec.Meta(min_length=1, max_length=MAX_CLAIM)]


class ClaimedKemKey(_Body, frozen=True):
    """An ML-KEM key that was given out; ``lastResort``: others get it too."""

    id: int
    key: str
    signature: str
    last_resort: bool


class Bundle(_Body, omit_defaults=True, frozen=True):
    """What it takes to start a session with a device; ``oneTimePreKey`` only while there is one."""

    user_id: str
    device_id: str
    identity_key: str
    signed_pre_key: SignedPreKey
    kem_key: ClaimedKemKey
    one_time_pre_key: PreKey | None = None


class Claimed(_Body, frozen=True):
    """The bundles, in the order asked for; ``missing``: devices that are none, or not for who asks, or have no keys."""

    items: tuple[Bundle, ...]
    missing: tuple[DeviceName, ...] = ()


# --- signed device lists ----------------------------------------------------------------------------------------------


class ListedDevice(_Body, frozen=True):
    """One device in a list."""

    device_id: DeviceText
    identity_key: KeyText


class DeviceListPayload(
    msgspec.Struct, rename="camel", frozen=True, forbid_unknown_fields=True, tag_field="type", tag="cooee-device-list"
):
    """What ``payload`` of a signed list holds as JSON; ``devices`` in ascending order of their ids, each once."""

    v: Literal[1]
    user_id: UserText
    version: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    created_at: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1, description="ms; the signer's clock.")]
    account_key: KeyText
    devices: tuple[ListedDevice, ...]


class SignedList(_Body, frozen=True):
    """A device list with its signature: Ed25519 by the account key over ``cooee-v1 device list``, 0 and the payload."""

    payload: ListText
    signature: SignatureText


class PutDeviceList(_Request, frozen=True):
    """``PUT /v1/users/{userId}/device-list``. ``reset``: with another account key than before; needs ``password``."""

    payload: ListText
    signature: SignatureText
    reset: bool = False
    password: Annotated[str, msgspec.Meta(max_length=1024, description="With reset: the account's.")] = ""

    def __repr__(self) -> str:
        return "PutDeviceList(…)"


class ListVersion(_Body, frozen=True):
    """The version that is in force now."""

    version: int


class AskedList(_Request, frozen=True):
    """One user whose list is asked for; ``version``: the one that is known already."""

    user_id: UserText
    version: Version = 0


class AskLists(_Request, frozen=True):
    """``POST /v1/device-lists``."""

    users: Annotated[tuple[AskedList, ...], msgspec.Meta(min_length=1, max_length=MAX_LISTS)]


class UserDevices(_Body, frozen=True):
    """The list of one user. ``unchanged``: it is the version that was named, and not sent again.

    ``current``: the listed devices that have keys, in ascending order. A user who is none, or none for who asks, has no
    list and no devices.
    """

    user_id: str
    list: SignedList | None
    bot: bool
    current: tuple[str, ...]
    unchanged: bool = False


class DeviceLists(_Body, frozen=True):
    """The lists, in the order asked for."""

    items: tuple[UserDevices, ...]


# --- how a conversation is written ------------------------------------------------------------------------------------


class SetEncryption(_Request, frozen=True):
    """``PUT /v1/conversations/{conversationId}/encryption``: told to all members by a ``settings_changed`` message."""

    mode: Literal["plain", "encrypted"]


class Encryption(_Body, frozen=True):
    """What was set; ``sequenceNumber`` is that of the system message that tells it."""

    mode: Literal["plain", "encrypted"]
    sequence_number: int


LIST_SIGNATURE_PREFIX = b"cooee-v1 device list\x00"
"""Stands before the payload in what is signed."""

decode_list_payload = msgspec.json.Decoder(DeviceListPayload, strict=True).decode
"""Read the JSON of a device list; `msgspec.DecodeError` for anything else."""
