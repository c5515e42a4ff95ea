"""Keys of devices and signed device lists: published, claimed, looked up (PROTOCOL.md §15)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.ids import DEVICE_ID, DeviceRef, is_user_id
from cooee.ports.accounts import Account, Accounts
from cooee.ports.contacts import Contacts
from cooee.ports.device_keys import (
    CurrentDevices,
    DeviceKeys,
    DeviceList,
    KeyBundle,
    OneTimeKey,
    Publication,
)
from cooee.ports.groups import Groups
from cooee.protocol import keys as wire
from cooee.protocol.codec import encode
from cooee.services.budgets import Budgets
from cooee.services.device_lists import DeviceLists
from cooee.services.own_state import OwnState
from cooee.services.passwords import Passwords

_QUOTE = 300
_signed_pre_key = msgspec.json.Decoder(wire.SignedPreKey).decode
_pre_key = msgspec.json.Decoder(wire.PreKey).decode
_kem_key = msgspec.json.Decoder(wire.KemKey).decode


class KeyStores(NamedTuple):
    """What `KeyService` reads and writes."""

    keys: DeviceKeys
    accounts: Accounts
    contacts: Contacts
    groups: Groups


class KeyCounters:
    """What happened since the start."""

    def __init__(self) -> None:
        self.claims = 0
        """Bundles that were given out."""
        self.last_resorts = 0
        """Those of them without a one-time ML-KEM key."""


class KeyService:
    """The use cases of keys. Private keys never come here, and what is public is believed to nobody but by signature.

    Who may reach a user - claim keys of his devices, look his list up - is who could write to him: everybody but those
    with a block either way, who still may if they share a group. All others get the answer for a user who is not there.
    """

    def __init__(
        self, stores: KeyStores, lists: DeviceLists, own_state: OwnState, passwords: Passwords, budgets: Budgets
    ) -> None:
        self._keys, self._accounts, self._contacts, self._groups = stores
        self._lists = lists
        self._own_state = own_state
        self._passwords = passwords
        self._budgets = budgets
        self.counters = KeyCounters()

    async def publish(self, device: DeviceRef, published: wire.PublishKeys) -> wire.KeyStock:
        """Store the device's own keys.

        Raises:
            CooeeError: what `DeviceKeys.publish` raises, or ``rate_limited``.
        """
        self._budgets.spend("key_uploads", device.user_id)
        is_new = await self._keys.state(device) is None
        state = await self._keys.publish(
            device,
            Publication(
                published.identity_key,
                b"" if published.signed_pre_key is None else encode(published.signed_pre_key),
                b"" if published.last_resort_kem_key is None else encode(published.last_resort_kem_key),
                _one_time(published.one_time_pre_keys),
                _one_time(published.one_time_kem_keys),
            ),
            wire.MAX_ONE_TIME_KEYS,
        )
        if is_new:
            self._lists.forget((device.user_id,))
        return wire.KeyStock(state.pre_keys, state.kem_keys)

    async def status(self, device: DeviceRef) -> wire.KeyStatus:
        """Return what there is of the device's own keys."""
        state = await self._keys.state(device)
        if state is None:
            return wire.KeyStatus()
        found = (await self._keys.current((device.user_id,))).get(device.user_id)
        return wire.KeyStatus(
            state.identity,
            _signed_pre_key(state.signed).id,
            _kem_key(state.last_resort).id,
            state.pre_keys,
            state.kem_keys,
            state.last_pre_key,
            state.last_kem_key,
            found is not None and device.device_id in found.current,
        )

    async def claim(self, user_id: str, devices: Sequence[wire.DeviceName]) -> wire.Claimed:
        """Give out one bundle for each current device, and own device that is to be linked; each one-time key once.

        Who claims one device's keys again and again, or a device that is claimed by very many, gets the last-resort key
        and uses none up.

        Raises:
            CooeeError: ``rate_limited``; nothing was given out.
        """
        self._budgets.spend("key_claims", user_id, len(devices))
        refs = dict.fromkeys(DeviceRef(name.user_id, name.device_id) for name in devices)
        within = await self._reachable(user_id, {ref.user_id for ref in refs if DEVICE_ID.fullmatch(ref.device_id)})
        listed = await self._lists.load(tuple(within))
        wanted = {
            ref: self._may_use_up(user_id, ref)
            for ref in refs
            if ref.user_id == user_id
            or ((found := listed.get(ref.user_id)) is not None and ref.device_id in found.current)
        }
        bundles = await self._keys.claim(wanted) if wanted else ()
        self.counters.claims += len(bundles)
        self.counters.last_resorts += sum(bundle.last_resort for bundle in bundles)
        given = {bundle.device for bundle in bundles}
        missing = tuple(wire.DeviceName(*ref) for ref in refs if ref not in given)
        return wire.Claimed(tuple(map(_bundle, bundles)), missing)

    async def put_list(self, device: DeviceRef, user_id: str, wanted: wire.PutDeviceList) -> int:
        """Replace the user's list by the next version; his other devices are told. A repeat is answered alike.

        Raises:
            CooeeError: ``forbidden``, another user's list, or a wrong password; ``bad_frame``, the list or its
                signature is wrong; ``conflict`` with the list in force as ``device_list``; ``mismatched_devices``;
                ``rate_limited``.
        """
        if user_id != device.user_id:
            raise CooeeError(ErrorCode.FORBIDDEN, "a device list is put by its own user only")
        self._budgets.spend("device_list_changes", user_id)
        read = read_list(user_id, wanted, self._budgets.limits.devices_per_user)
        if wanted.reset:
            await self._check_password(user_id, wanted.password)
        placed = await self._keys.put_list(read, reset=wanted.reset)
        self._lists.forget((user_id,))
        if placed is None or placed.payload != read.payload:
            raise _conflict(placed)
        await self._own_state.changed(device, "devices")
        return placed.version

    async def find_list(self, user_id: str, of_user: str) -> wire.SignedList:
        """Return a user's newest list.

        Raises:
            CooeeError: ``not_found``, there is none, or none for who asks; ``rate_limited``.
        """
        (found,) = await self.lists(user_id, (wire.AskedList(of_user),))
        if found.list is None:
            raise not_found("the device list")
        return found.list

    async def lists(self, user_id: str, asked: Sequence[wire.AskedList]) -> tuple[wire.UserDevices, ...]:
        """Return the newest lists of these users, but for the versions that are known already.

        Raises:
            CooeeError: ``rate_limited``.
        """
        self._budgets.spend("device_list_lookups", user_id, len(asked))
        within = await self._reachable(user_id, {each.user_id for each in asked})
        found = await self._lists.load(tuple(within))
        return tuple(_told(each, within.get(each.user_id), found.get(each.user_id)) for each in asked)

    async def _reachable(self, user_id: str, others: Collection[str]) -> dict[str, Account]:
        """Return those of ``others`` whom the user may reach: himself, whom he may write to, who shares a group."""
        accounts = await self._accounts.find_many(tuple(sorted(other for other in others if is_user_id(other))))
        there = {name: account for name, account in accounts.items() if not account.deleted}
        strangers = tuple(name for name in there if name != user_id)
        if not strangers:
            return there
        barred = set(await self._contacts.blocked_either_way(user_id, strangers))
        barred |= {name for name in strangers if there[name].disabled}
        if barred:
            groups = frozenset(await self._groups.of_user(user_id))
            for name in barred:
                if groups.isdisjoint(await self._groups.of_user(name)):
                    del there[name]
        return there

    def _may_use_up(self, user_id: str, device: DeviceRef) -> bool:
        name = f"{device.user_id} {device.device_id}"
        try:
            self._budgets.spend("one_time_keys_per_claimer", f"{user_id} {name}")
            self._budgets.spend("one_time_keys_per_device", name)
        except CooeeError:
            return False
        return True

    async def _check_password(self, user_id: str, password: str) -> None:
        self._budgets.spend("log_ins_per_account_and_address", f"{user_id} password")
        account = await self._accounts.find(user_id)
        password_hash = "" if account is None or account.deleted else account.password_hash
        if not await self._passwords.verify(password_hash, password):
            raise CooeeError(ErrorCode.FORBIDDEN, "the password is wrong; a new account key takes the right one")


def read_list(user_id: str, wanted: wire.PutDeviceList, max_devices: int) -> DeviceList:
    """Read and verify a signed list of this user (RFC 8032).

    Raises:
        CooeeError: ``bad_frame``; ``too_large`` for more than ``max_devices``.
    """
    payload = _decoded(wanted.payload, "payload")
    try:
        found = wire.decode_list_payload(payload)
    except msgspec.ValidationError as problem:
        raise bad_frame(f"payload: {problem}"[:_QUOTE]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise bad_frame("payload must be the JSON of a device list in UTF-8") from None
    if found.user_id != user_id:
        raise bad_frame("the list names another user")
    if not found.devices:
        raise bad_frame("a list names one device at least")
    if len(found.devices) > max_devices:
        raise CooeeError(ErrorCode.TOO_LARGE, f"an account has at most {max_devices} devices")
    names = [device.device_id for device in found.devices]
    if any(DEVICE_ID.fullmatch(name) is None for name in names):
        raise bad_frame("the list names what is no deviceId")
    if any(one >= other for one, other in pairwise(names)):
        raise bad_frame("the devices stand in ascending order of their ids, each once")
    key = Ed25519PublicKey.from_public_bytes(_decoded(found.account_key, "accountKey"))
    try:
        key.verify(_decoded(wanted.signature, "signature"), wire.LIST_SIGNATURE_PREFIX + payload)
    except InvalidSignature:
        raise bad_frame("the signature is not that of the accountKey over this list") from None
    devices = {device.device_id: device.identity_key for device in found.devices}
    return DeviceList(user_id, found.version, found.account_key, wanted.payload, wanted.signature, devices)


def _decoded(text: str, what: str) -> bytes:
    """Read base64url in its one canonical form."""
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise bad_frame(f"{what} must be base64url without padding") from None
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        raise bad_frame(f"{what} must be base64url without padding")
    return decoded


def _conflict(in_force: DeviceList | None) -> CooeeError:
    if in_force is None:
        return CooeeError(ErrorCode.CONFLICT, "there is no list yet; the first has version 1")
    return CooeeError(
        ErrorCode.CONFLICT,
        "this list does not follow the one in force: its version is the next, its accountKey the same unless reset",
        extra={"device_list": _signed(in_force)},
    )


def _signed(found: DeviceList) -> wire.SignedList:
    return wire.SignedList(found.payload, found.signature)


def _told(asked: wire.AskedList, account: Account | None, found: CurrentDevices | None) -> wire.UserDevices:
    bot = account is not None and account.is_bot
    if found is None:
        return wire.UserDevices(asked.user_id, None, bot, ())
    unchanged = asked.version == found.list.version
    told = None if unchanged else _signed(found.list)
    return wire.UserDevices(asked.user_id, told, bot, tuple(sorted(found.current)), unchanged)


def _one_time(keys: Iterable[wire.PreKey | wire.KemKey]) -> tuple[OneTimeKey, ...]:
    return tuple(OneTimeKey(key.id, encode(key)) for key in keys)


def _bundle(given: KeyBundle) -> wire.Bundle:
    kem_key = _kem_key(given.kem_key)
    return wire.Bundle(
        given.device.user_id,
        given.device.device_id,
        given.identity,
        _signed_pre_key(given.signed),
        wire.ClaimedKemKey(kem_key.id, kem_key.key, kem_key.signature, given.last_resort),
        None if given.pre_key is None else _pre_key(given.pre_key),
    )
