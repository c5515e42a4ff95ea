"""The own account: its key, its signed list, and the changes of it that the user wished for, one after the other."""

from contextlib import suppress
from typing import Final

from cooee.client.e2ee import kinds, lists
from cooee.client.e2ee.kinds import Wish
from cooee.client.e2ee.results import NeedsLink, Problem
from cooee.client.e2ee.step import Step
from cooee.crypto import device_list
from cooee.crypto.device_list import DeviceList, ListedDevice, SignedDeviceList
from cooee.crypto.errors import CryptoError
from cooee.crypto.keys import AccountPrivateKey, IdentityPublicKey
from cooee.domain import base64url
from cooee.protocol import keys

WISHES_LIMIT: Final = 20
"""Changes of the own list that may be under way."""


def taken(step: Step, answer: keys.UserDevices) -> None:
    """Take in the own list as the server has it: begin the account, or see that this device is (not) linked."""
    device = step.device
    if answer.list is None and not answer.unchanged:
        _without_list(step)
        return
    if answer.list is not None:
        _note_version(step, answer.list)
        _adopt_new_key(step, answer.list)
    if step.account() is None:
        if device.standing != "unlinked":
            lists.settle(step, listed=False)
        return
    if answer.list is not None and _is_of_another_key(step, answer.list):
        _lost(step)
        return
    lists.take(step, answer)
    listed = step.user(step.me.user_id).devices.get(step.me.device_id) == bytes(step.identity().public())
    if listed or not any(one.kind == "add" and one.device_id == step.me.device_id for one in step.device.wishes):
        lists.settle(step, listed=listed)


def _without_list(step: Step) -> None:
    """The account has no list: this is its first device."""
    device = step.device
    user = step.user(step.me.user_id)
    if not device.wishes and device.published and not user.version:
        account = device.account or bytes(AccountPrivateKey.generate(step.random))
        step.change_device(account=account, wishes=(Wish("first", account=account, since=step.now),))
    elif user.version:
        step.notices.append(Problem("list_refused", "the server has lost the own list of devices", step.me.user_id))


def _is_of_another_key(step: Step, signed: keys.SignedList) -> bool:
    try:
        found = device_list.verify(SignedDeviceList.from_text(signed.payload, signed.signature), step.me.user_id)
    except CryptoError:
        return False
    return found.account_key != lists.own_key(step)


def _note_version(step: Step, signed: keys.SignedList) -> None:
    """Remember which version the server has, whoever signed it: starting anew goes on from there."""
    with suppress(CryptoError):
        found = device_list.verify(SignedDeviceList.from_text(signed.payload, signed.signature), step.me.user_id)
        step.after(lambda: setattr(step.memory, "own_version", found.version))


def _adopt_new_key(step: Step, signed: keys.SignedList) -> None:
    """Find out whether `start_anew`, or the first list, has reached the server without our having heard of it."""
    for wish in step.device.wishes:
        if wish.account and wish.account != step.device.account:
            account = AccountPrivateKey(wish.account)
            try:
                device_list.verify(
                    SignedDeviceList.from_text(signed.payload, signed.signature), step.me.user_id, account.public()
                )
            except CryptoError:
                continue
            use(step, wish.account)


def use(step: Step, account: bytes) -> None:
    """Make another account key the own one; what was known of the own list is known no more."""
    if step.device.account != account:
        step.change_device(account=account)
        user = step.user(step.me.user_id)
        if user.account_key and user.account_key != bytes(AccountPrivateKey(account).public()):
            step.put("user", step.me.user_id, kinds.UserState(version=user.version, former=user.former))


def _lost(step: Step) -> None:
    """Somebody started anew, or the server says so: nothing is sent until this device is linked again.

    The account key is kept if it ever signed a list: when the server shows that list again, all is as before.
    """
    device = step.device
    if device.standing != "unlinked":
        step.notices.append(NeedsLink())
    kept = device.account if step.user(step.me.user_id).version else b""
    step.change_device(standing="unlinked", account=kept, wishes=())


# --- the list


def wish(step: Step, new: Wish) -> None:
    """Add a wish.

    Raises:
        ValueError: there are too many already.
    """
    wishes = step.device.wishes
    if len(wishes) >= WISHES_LIMIT:
        raise ValueError("too many changes of the own devices are under way")
    step.change_device(wishes=(*wishes, new))


def to_put(step: Step) -> keys.PutDeviceList | None:
    """Return the list that the first wish leads to; None: nothing is wished, or something is lacking first."""
    device = step.device
    if not device.wishes or not device.published:
        return None
    first, user = device.wishes[0], step.user(step.me.user_id)
    mine = bytes(step.identity().public())
    devices, reset, account = dict(user.devices), False, step.account()
    match first.kind:
        case "first":
            devices, account = {step.me.device_id: mine}, AccountPrivateKey(first.account)
        case "add":
            if not first.identity:
                return None
            devices[first.device_id] = first.identity
        case "remove":
            devices.pop(first.device_id, None)
        case "anew":
            if not step.memory.password or step.me.user_id in step.memory.lists:
                return None
            devices, reset, account = {step.me.device_id: mine}, True, AccountPrivateKey(first.account)
    if account is None or (devices == user.devices and not reset):
        return None
    version = max(user.version, step.memory.own_version if reset else 0) + 1
    signed = _signed(step, account, version, devices)
    return keys.PutDeviceList(
        base64url.encode(signed.payload),
        base64url.encode(signed.signature),
        reset,
        step.memory.password if reset else "",
    )


def _signed(step: Step, account: AccountPrivateKey, version: int, devices: dict[str, bytes]) -> SignedDeviceList:
    listed = tuple(ListedDevice(name, IdentityPublicKey(identity)) for name, identity in devices.items())
    return device_list.sign(DeviceList(step.me.user_id, version, step.now, account.public(), listed), account)


def put(step: Step, body: keys.PutDeviceList) -> None:
    """The server has the list that was signed for the first wish."""
    device = step.device
    if not device.wishes:
        return
    first = device.wishes[0]
    if first.account:
        use(step, first.account)
        step.memory.password = ""
    signed = keys.SignedList(body.payload, body.signature)
    before = step.user(step.me.user_id)
    names = {*before.current, first.device_id or step.me.device_id, step.me.device_id}
    lists.take(step, keys.UserDevices(step.me.user_id, signed, False, tuple(sorted(names))))
    lists.need(step, step.me.user_id)
    step.tally("lists_signed")


def not_put(step: Step, code: str) -> None:
    """The server refused the list: look at it again; a wrong password ends the wish."""
    lists.need(step, step.me.user_id)
    wishes = step.device.wishes
    if code in {"unauthorized", "forbidden"} and wishes and wishes[0].kind == "anew":
        step.change_device(wishes=wishes[1:])
        step.memory.password = ""
        step.notices.append(Problem("wrong_password", "the password is wrong, so nothing was changed"))


def settle_wish(step: Step) -> Wish | None:
    """End the first wish if the own list fulfils it by now, and return it."""
    device = step.device
    if not device.wishes:
        return None
    first, user = device.wishes[0], step.user(step.me.user_id)
    done = False
    match first.kind:
        case "first":
            done = bool(user.version)
        case "add":
            done = bool(first.identity) and user.devices.get(first.device_id) == first.identity
        case "remove":
            done = first.device_id not in user.devices
        case "anew":
            done = step.device.account == first.account
            if not done and not step.memory.password and not _may_be_there(step):
                done = True
                step.notices.append(Problem("wrong_password", "starting anew was interrupted; give the password again"))
    if not done:
        return None
    step.change_device(wishes=step.device.wishes[1:])
    return first


def _may_be_there(step: Step) -> bool:
    """Tell whether a new list may have reached the server before a restart: not once the own list was seen since."""
    return step.me.user_id in step.memory.lists or step.me.user_id not in step.memory.checked
