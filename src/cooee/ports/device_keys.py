"""Public keys of devices for end-to-end encryption, and the signed lists that say which devices a user has."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DeviceRef

MAX_GAP = 1_000
"""How far the version of a list may be above that of the one in force."""


class OneTimeKey(msgspec.Struct, frozen=True):
    """A key that is given out once; ``body`` is an opaque JSON value."""

    id: int
    body: bytes


class Publication(msgspec.Struct, frozen=True):
    """What a device publishes. ``signed`` and ``last_resort`` are opaque JSON values; empty: as before."""

    identity: str
    signed: bytes = b""
    last_resort: bytes = b""
    pre_keys: tuple[OneTimeKey, ...] = ()
    kem_keys: tuple[OneTimeKey, ...] = ()


class KeyState(msgspec.Struct, frozen=True):
    """What is kept of a device: how many one-time keys are left, and the highest ids that there ever were."""

    identity: str
    signed: bytes
    last_resort: bytes
    pre_keys: int = 0
    kem_keys: int = 0
    last_pre_key: int = 0
    last_kem_key: int = 0


class KeyBundle(msgspec.Struct, frozen=True):
    """What a sender needs to start a session with a device. ``last_resort``: the KEM key is the one for everybody."""

    device: DeviceRef
    identity: str
    signed: bytes
    kem_key: bytes
    last_resort: bool
    pre_key: bytes | None = None


class DeviceList(msgspec.Struct, frozen=True):
    """A user's signed list as it came, with what stands in it. ``devices``: identity key by deviceId."""

    user_id: str
    version: int
    account_key: str
    payload: str
    signature: str
    devices: Mapping[str, str]


class CurrentDevices(msgspec.Struct, frozen=True):
    """A user's newest list, and which of its devices have published the key that stands in it, by deviceId."""

    list: DeviceList
    current: Mapping[str, str]


class DeviceKeys(Protocol):
    """Pre-keys and signed device lists. A revoked device loses its keys, a deleted account its list, in that step."""

    async def publish(self, device: DeviceRef, published: Publication, limit: int) -> KeyState:
        """Store what is new, all or nothing; return what is kept then. Durable.

        A one-time key whose id is not above all former ones of its kind was sent before, and is left out: so a repeat
        brings no key back that was given out. ``limit``: keys of one kind in stock.

        Raises:
            CooeeError: ``not_found``, the device is gone; ``conflict``, it has another identity key; ``bad_frame``, the
                first time needs signed and last-resort keys; ``too_large``, beyond ``limit``.
        """
        ...

    async def state(self, device: DeviceRef) -> KeyState | None:
        """Return what is kept of the device; None: nothing."""
        ...

    async def claim(self, devices: Mapping[DeviceRef, bool]) -> Sequence[KeyBundle]:
        """Return a bundle for each device that has keys, in order. Each one-time key is given out once. Durable.

        The value says whether the device's one-time keys may be used; without, and when there are none left, the
        bundle has the last-resort KEM key and no pre-key.
        """
        ...

    async def put_list(self, wanted: DeviceList, *, reset: bool = False) -> DeviceList | None:
        """Store a list that follows the one in force; return the one in force afterwards. Durable, atomic.

        Another than ``wanted`` comes back when that does not follow it (`is_next`), or None when there is none.

        Raises:
            CooeeError: ``mismatched_devices`` with those as ``extra`` that have not published the key in the list.
        """
        ...

    async def current(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices]:
        """Return the newest lists of those users who have one."""
        ...


class Addition(NamedTuple):
    """What becomes of a device's keys: the new state, and the one-time keys that are new, by id."""

    state: KeyState
    pre_keys: dict[int, bytes]
    kem_keys: dict[int, bytes]


def add_keys(before: KeyState | None, new: Publication, limit: int) -> Addition:
    """Return what `DeviceKeys.publish` makes of ``before``; a rule that all adapters share.

    Raises:
        CooeeError: as `DeviceKeys.publish`, ``not_found`` excepted.
    """
    if before is None:
        if not (new.signed and new.last_resort):
            raise bad_frame("the first time signedPreKey and lastResortKemKey are needed")
        before = KeyState(new.identity, new.signed, new.last_resort)
    elif before.identity != new.identity:
        raise CooeeError(ErrorCode.CONFLICT, "this device has published another identityKey, which never changes")
    pre_keys = {key.id: key.body for key in new.pre_keys if key.id > before.last_pre_key}
    kem_keys = {key.id: key.body for key in new.kem_keys if key.id > before.last_kem_key}
    after = KeyState(
        new.identity,
        new.signed or before.signed,
        new.last_resort or before.last_resort,
        before.pre_keys + len(pre_keys),
        before.kem_keys + len(kem_keys),
        max((before.last_pre_key, *pre_keys)),
        max((before.last_kem_key, *kem_keys)),
    )
    if max(after.pre_keys, after.kem_keys) > limit:
        raise CooeeError(ErrorCode.TOO_LARGE, f"a device has at most {limit} one-time keys of a kind; some are left")
    return Addition(after, pre_keys, kem_keys)


def is_next(before: DeviceList | None, wanted: DeviceList, *, reset: bool) -> bool:
    """Tell whether ``wanted`` may follow ``before``: a later version, by the same account key or by ``reset``.

    Who knows the one in force makes the next; of two such one is late. A gap of at most `MAX_GAP` is for those who know
    later ones than a server that was restored.
    """
    former = 0 if before is None else before.version
    if not former < wanted.version <= former + MAX_GAP:
        return False
    return before is None or reset or wanted.account_key == before.account_key


def check_published(wanted: DeviceList, published: Mapping[str, str]) -> None:
    """Refuse a list with a device that has not published the key in it. ``published``: the user's, by deviceId.

    Raises:
        CooeeError: ``mismatched_devices``.
    """
    wrong = [device_id for device_id, key in wanted.devices.items() if published.get(device_id) != key]
    if wrong:
        raise CooeeError(
            ErrorCode.MISMATCHED_DEVICES,
            "some of these devices have not published this identityKey; nothing was stored",
            extra={"extra": tuple({"userId": wanted.user_id, "deviceId": device_id} for device_id in wrong)},
        )
