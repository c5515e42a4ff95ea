"""The signed list of an account's devices (docs/e2ee.md, "Devices").

The account key (Ed25519) signs which devices, with which identity keys, belong to the account. Nobody encrypts for a
device that is not in it: neither a server nor a thief of a password can add one. Signed is the payload as bytes; it is
never encoded anew. What a signature cannot tell, whether this is the newest list, the caller guards by ``at_least``.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from cooee.crypto.errors import BadMessage, CryptoError, IdentityMismatch
from cooee.crypto.keys import AccountPrivateKey, AccountPublicKey, IdentityPublicKey
from cooee.domain import base64url
from cooee.domain.ids import DEVICE_ID, DeviceRef, is_user_id

LABEL: Final = b"cooee-v1 device list\x00"
"""Stands before the payload when it is signed."""
MAX_DEVICES: Final = 100
MAX_PAYLOAD_BYTES: Final = 16 * 1024
_LAST: Final = 2**53 - 1


class OutdatedList(CryptoError):
    """A list is authentic, and older than one that was seen."""


class ListedDevice(NamedTuple):
    """A device, and the identity key that it uses."""

    device_id: str
    identity_key: IdentityPublicKey


class DeviceList(NamedTuple):
    """One version of an account's list. ``created_at``: ms since 1970, as its signer's clock says."""

    user_id: str
    version: int
    created_at: int
    account_key: AccountPublicKey
    devices: tuple[ListedDevice, ...]

    def identity_of(self, device_id: str) -> IdentityPublicKey | None:
        """Return the identity key of a device, None when it is not listed."""
        return next((device.identity_key for device in self.devices if device.device_id == device_id), None)

    def refs(self) -> tuple[DeviceRef, ...]:
        """Return the addresses of all devices."""
        return tuple(DeviceRef(self.user_id, device.device_id) for device in self.devices)


class SignedDeviceList(NamedTuple):
    """A list as it travels."""

    payload: bytes
    signature: bytes

    def to_json(self) -> dict[str, str]:
        """Return ``{"payload","signature"}`` in base64url."""
        return {"payload": base64url.encode(self.payload), "signature": base64url.encode(self.signature)}

    @classmethod
    def from_text(cls, payload: str, signature: str) -> "SignedDeviceList":
        """Take both parts in base64url; `BadMessage` when they are not. Nothing is verified."""
        try:
            return cls(base64url.decode(payload), base64url.decode(signature))
        except ValueError:
            raise BadMessage("a device list is no base64url") from None


class _Device(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    device_id: str
    identity_key: str


class _Payload(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    type: Literal["cooee-device-list"]
    v: Literal[1]
    user_id: str
    version: Annotated[int, msgspec.Meta(ge=1, le=_LAST)]
    created_at: Annotated[int, msgspec.Meta(ge=0, le=_LAST)]
    account_key: str
    devices: Annotated[tuple[_Device, ...], msgspec.Meta(max_length=MAX_DEVICES)]


_decode = msgspec.json.Decoder(_Payload).decode
_encode = msgspec.json.Encoder().encode


def sign(devices: DeviceList, account: AccountPrivateKey) -> SignedDeviceList:
    """Sign a list; devices may stand in any order and are put into that of their ids' bytes.

    Raises:
        IdentityMismatch: ``account`` is not the list's account key.
        BadMessage: a part is not what it may be.
    """
    if account.public() != devices.account_key:
        raise IdentityMismatch("a list is signed by its own account key")
    ordered = sorted(devices.devices, key=lambda device: device.device_id.encode())
    payload = _encode(
        _Payload(
            type="cooee-device-list",
            v=1,
            user_id=devices.user_id,
            version=devices.version,
            created_at=devices.created_at,
            account_key=base64url.encode(bytes(devices.account_key)),
            devices=tuple(_Device(one.device_id, base64url.encode(bytes(one.identity_key))) for one in ordered),
        )
    )
    _read(payload)
    return SignedDeviceList(payload, account.sign(LABEL + payload))


def verify(
    signed: SignedDeviceList, user_id: str, account_key: AccountPublicKey | None = None, at_least: int = 1
) -> DeviceList:
    """Return the list of ``user_id`` when it is well-formed and signed by the account key that it names.

    That key is only a claim until it is compared with one that is known: give it as ``account_key``.

    Raises:
        BadMessage: malformed, or of another user. BadKey: it holds what is no key.
        BadSignature: not signed by its account key. IdentityMismatch: not by ``account_key``.
        OutdatedList: its version is below ``at_least``.
    """
    found = _read(signed.payload)
    if found.user_id != user_id:
        raise BadMessage("a device list is of another user")
    found.account_key.verify(LABEL + signed.payload, signed.signature)
    if account_key is not None and found.account_key != account_key:
        raise IdentityMismatch("a device list is signed by another account key")
    if found.version < at_least:
        raise OutdatedList("a device list is older than one that was seen")
    return found


def _read(payload: bytes) -> DeviceList:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadMessage("a device list is too long")
    try:
        raw = _decode(payload)
        account = base64url.decode(raw.account_key)
        devices = [(one.device_id, base64url.decode(one.identity_key)) for one in raw.devices]
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise BadMessage("a device list is malformed") from None
    if not is_user_id(raw.user_id) or not all(DEVICE_ID.fullmatch(device_id) for device_id, _ in devices):
        raise BadMessage("a device list names what is no user or device")
    ids = [device_id.encode() for device_id, _ in devices]
    if ids != sorted(set(ids)) or len({key for _, key in devices}) != len(devices):
        raise BadMessage("devices of a list ascend by their ids, and none is there twice")
    return DeviceList(
        raw.user_id,
        raw.version,
        raw.created_at,
        AccountPublicKey(account),
        tuple(ListedDevice(device_id, IdentityPublicKey(key)) for device_id, key in devices),
    )
