"""Signed device lists of others and of oneself, and the trust in account keys (pinned on first use)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from cooee.client.e2ee import kinds
from cooee.client.e2ee.kinds import Former, UserState
from cooee.client.e2ee.results import DeviceListed, DeviceUnlisted, KeyChanged, NeedsLink, Problem
from cooee.client.e2ee.step import Step
from cooee.crypto import device_list
from cooee.crypto.device_list import DeviceList, SignedDeviceList
from cooee.crypto.errors import CryptoError
from cooee.crypto.keys import AccountPublicKey
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys

FORMER_LIMIT: Final = 100
"""Devices that are remembered of a user after they vanished from his list."""
FORMER_FOR_MS: Final = 30 * 24 * 3_600_000
"""So long do sessions with vanished devices stay, for messages that they sent while they were listed."""
SKEW_MS: Final = 120_000
"""How far the clocks of a signer and of the server may be apart when a message is older than a list."""


def need(step: Step, user_id: str) -> None:
    """Have a user's list fetched."""
    step.after(lambda: step.memory.lists.add(user_id))


def fresh_since(step: Step, user_id: str, since: int) -> bool:
    """Tell whether a user's list was fetched at ``since`` or later."""
    return step.memory.checked.get(user_id, -1) >= since


def current(step: Step, user_id: str) -> Iterator[tuple[DeviceRef, bytes]]:
    """Yield a user's current devices with their identity keys."""
    user = step.user(user_id)
    for device_id in user.current:
        yield DeviceRef(user_id, device_id), user.devices[device_id]


def identity_of(step: Step, ref: DeviceRef) -> bytes | None:
    """Return the identity key that the newest list names for a device, None when it is not listed."""
    return step.user(ref.user_id).devices.get(ref.device_id)


def identity_at(step: Step, ref: DeviceRef, timestamp: int) -> bytes | None:
    """Return the identity key of a device that is listed, or was at ``timestamp`` (ms, the server's)."""
    user = step.user(ref.user_id)
    listed = user.devices.get(ref.device_id)
    if listed is not None:
        return listed
    former = user.former.get(ref.device_id)
    return former.identity if former is not None and timestamp <= former.until + SKEW_MS else None


def take(step: Step, answer: keys.UserDevices) -> None:
    """Take in what the server says of a user's devices; what is not signed, or goes back, is refused and told."""
    user_id = answer.user_id
    user = step.user(user_id)
    if answer.list is not None:
        found = _verified(step, user_id, answer.list)
        if found is None:
            return
        user = _replaced(step, user_id, found)
    elif not answer.unchanged and user.version:
        _refuse(step, user_id, "the server has lost the list of a user's devices")
        return
    current = set(answer.current)
    names = tuple(name for name in sorted(user.devices) if name in current)
    bot = answer.bot and not user.account_key  # who has ever signed a list is a person, whatever the server says
    step.put("user", user_id, msgspec.structs.replace(user, known=True, bot=bot, current=names))


def _verified(step: Step, user_id: str, signed: keys.SignedList) -> DeviceList | None:
    user = step.user(user_id)
    pinned = own_key(step) if user_id == step.me.user_id else None
    if user_id == step.me.user_id and pinned is None:
        return None
    try:
        return device_list.verify(
            SignedDeviceList.from_text(signed.payload, signed.signature), user_id, pinned, max(user.version, 1)
        )
    except CryptoError as refused:
        _refuse(step, user_id, f"the list of a user's devices is refused: {refused}")
        return None


def own_key(step: Step) -> AccountPublicKey | None:
    """Return the own account key's public part."""
    account = step.account()
    return None if account is None else account.public()


def _refuse(step: Step, user_id: str, text: str) -> None:
    step.tally("lists_refused")
    step.notices.append(Problem("list_refused", text, user_id))


def _replaced(step: Step, user_id: str, found: DeviceList) -> UserState:
    """Put a newer list in the place of the former one, and encrypt no more for devices that vanished."""
    user = step.user(user_id)
    devices = {one.device_id: bytes(one.identity_key) for one in found.devices}
    former = {name: one for name, one in user.former.items() if name not in devices}
    for name, identity in user.devices.items():
        if devices.get(name) != identity:
            _retire(step, DeviceRef(user_id, name), kept=name not in devices)
            former[name] = Former(identity, min(found.created_at, step.now))
            step.tally("devices_gone")
    former = dict(list(former.items())[-FORMER_LIMIT:])
    changes: dict[str, object] = {}
    key = bytes(found.account_key)
    if user.account_key and user.account_key != key and user_id != step.me.user_id:
        had = user.had_key or user.account_key
        changes = {"changed_at": 0, "had_key": b""} if had == key else {"changed_at": step.now, "had_key": had}
        step.notices.append(KeyChanged(user_id, user.verified))
        step.tally("keys_changed")
    if user_id == step.me.user_id:
        _tell_own(step, user, devices)
    replaced = msgspec.structs.replace(
        user, version=found.version, account_key=key, devices=devices, former=former, **changes
    )
    step.put("user", user_id, replaced)
    return replaced


def _retire(step: Step, ref: DeviceRef, *, kept: bool) -> None:
    """Encrypt for a device no more. ``kept``: its sessions stay for a while, to open what it sent before."""
    ident = kinds.device_id_of(ref)
    record = step.session(ref)
    step.drop("todo", ident)
    if record is not None and kept:
        step.put("session", ident, record.retired())
    else:
        step.drop("session", ident)


def forget_former(step: Step) -> None:
    """Delete the sessions with devices that vanished more than `FORMER_FOR_MS` ago."""
    for ident in step.ids("session"):
        ref = kinds.ref_of(ident)
        user = step.user(ref.user_id)
        former = user.former.get(ref.device_id)
        over = former is None or step.now - former.until >= FORMER_FOR_MS
        if over and user.known and ref.device_id not in user.devices:
            step.drop("session", ident)


def _tell_own(step: Step, before: UserState, devices: dict[str, bytes]) -> None:
    """Tell which own devices came and went, and settle how this one stands."""
    step.notices += [DeviceListed(name) for name in devices if name not in before.devices]
    step.notices += [DeviceUnlisted(name) for name in before.devices if name not in devices]
    listed = devices.get(step.me.device_id) == bytes(step.identity().public())
    settle(step, listed=listed)


def settle(step: Step, *, listed: bool) -> None:
    """Note whether this device is linked."""
    standing = "linked" if listed else "unlinked"
    if step.device.standing == standing:
        return
    step.change_device(standing=standing, **({"code": "", "code_at": 0} if listed else {"account": b""}))
    if not listed:
        step.notices.append(NeedsLink())


# --- trust


def blocked(step: Step, user_id: str) -> bool:
    """Tell whether sending to a user is refused: he was verified, and his key has changed."""
    user = step.user(user_id)
    return user.verified and user.changed_at > 0


def set_verified(step: Step, user_id: str, *, on: bool) -> None:
    """Note that the safety number was compared, which accepts the key as it is now; or take that back.

    Raises:
        ValueError: no account key is known.
    """
    user = step.user(user_id)
    if not user.account_key or user_id == step.me.user_id:
        raise ValueError("this user has no account key that is known here")
    _trust(step, user_id, verified=on)


def accept(step: Step, user_id: str) -> None:
    """Accept a changed key, unverified. Harmless when there is none."""
    if step.user(user_id).changed_at:
        _trust(step, user_id, verified=False)


def _trust(step: Step, user_id: str, *, verified: bool) -> None:
    user = msgspec.structs.replace(step.user(user_id), verified=verified, changed_at=0, had_key=b"")
    step.put("user", user_id, user)


def told(step: Step, user_id: str, account_key: bytes, *, verified: bool) -> None:
    """Take in what another own device knows of a user's key; another key than the one here changes nothing."""
    user = step.user(user_id)
    if user_id == step.me.user_id:
        return
    if not user.account_key:
        step.put("user", user_id, msgspec.structs.replace(user, account_key=account_key, verified=verified))
    elif user.account_key == account_key:
        _trust(step, user_id, verified=verified)
    else:
        step.tally("trust_ignored")
