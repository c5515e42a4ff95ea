"""The own account: its key, its signed list, and the changes of it that the user wished for, one after the other."""

from typing import Final

import msgspec

from cooee.client.e2ee import kinds, lists, pairwise
from cooee.client.e2ee.kinds import ArchiveWish, Wish
from cooee.client.e2ee.results import NeedsLink, Problem
from cooee.client.e2ee.step import SUITE, Step
from cooee.crypto import device_list, link
from cooee.crypto.device_list import DeviceList, ListedDevice, SignedDeviceList
from cooee.crypto.errors import BadKey, CryptoError
from cooee.crypto.keys import AccountPrivateKey, IdentityPublicKey
from cooee.crypto.link import LinkCode
from cooee.crypto.prekeys import PreKeyBundle
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys
from cooee.protocol.body import MAX_ITEMS, LinkedControl, OwnContact, OwnControl

WISHES_LIMIT: Final = 20
HANDED_FOR_MS: Final = 24 * 3_600_000
"""So long is the account key handed to a linked device again, when it begins a new session without having it."""


def taken(step: Step, answer: keys.UserDevices) -> None:
    """Take in the own list as the server has it: begin the account, or see that this device is (not) linked."""
    device = step.device
    if answer.list is None and not answer.unchanged:
        _without_list(step)
        return
    if answer.list is not None:
        _adopt_new_key(step, answer.list)
    if step.account() is None:
        if device.standing != "unlinked":
            lists.settle(step, listed=False)
        return
    if answer.list is not None and _is_of_another_key(step, answer.list):
        _lost(step)
        return
    lists.take(step, answer)
    user = step.user(step.me.user_id)
    lists.settle(step, listed=user.devices.get(step.me.device_id) == bytes(step.identity().public()))


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
            _use(step, wish.account)


def _use(step: Step, account: bytes) -> None:
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
    signed = _signed(step, account, user.version + 1, devices)
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
        _use(step, first.account)
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


def settle_wishes(step: Step) -> bool:
    """End the wishes that the own list fulfils by now; tell whether one was."""
    device = step.device
    if not device.wishes:
        return False
    first, user = device.wishes[0], step.user(step.me.user_id)
    done = False
    match first.kind:
        case "first":
            done = bool(user.version)
        case "add":
            done = bool(first.identity) and user.devices.get(first.device_id) == first.identity
            if done:
                hand_over(step, first.device_id, first.code)
        case "remove":
            done = first.device_id not in user.devices
        case "anew":
            done = step.device.account == first.account
            if not done and not step.memory.password and not _may_be_there(step):
                done = True
                step.notices.append(Problem("wrong_password", "starting anew was interrupted; give the password again"))
    if done:
        step.change_device(wishes=step.device.wishes[1:])
    return done


def _may_be_there(step: Step) -> bool:
    """Tell whether a new list may have reached the server before a restart: not once the own list was seen since."""
    return step.me.user_id in step.memory.lists or step.me.user_id not in step.memory.checked


# --- linking, the old device's side


def approve(step: Step, text: str) -> None:
    """Take in the code of a new device.

    Raises:
        ValueError: it is none, or of another account; or this device is not linked.
    """
    if not step.linked:
        raise ValueError("this device is not linked itself")
    try:
        code = link.parse(text)
    except CryptoError as problem:
        raise ValueError(str(problem)) from None
    if code.device.user_id != step.me.user_id or code.device == step.me:
        raise ValueError("this is the code of another account, or of this device")
    wish(step, Wish("add", code.device.device_id, b"", code.text(), b"", step.now))


def to_claim(step: Step) -> DeviceRef | None:
    """Return the device to be linked whose identity is not known yet."""
    if not step.has_device or not step.device.wishes:
        return None
    first = step.device.wishes[0]
    return DeviceRef(step.me.user_id, first.device_id) if first.kind == "add" and not first.identity else None


def claimed(step: Step, answer: keys.Claimed) -> None:
    """Compare the identity key that a new device published with the code on its screen."""
    ref = to_claim(step)
    if ref is None:
        return
    first = step.device.wishes[0]
    if any(DeviceRef(one.user_id, one.device_id) == ref for one in answer.missing):
        _not_linked(step, "the new device has no keys; is it online?")
    for item in answer.items:
        if DeviceRef(item.user_id, item.device_id) != ref:
            continue
        code = link.parse(first.code)
        try:
            identity = PreKeyBundle.from_json(SUITE, msgspec.to_builtins(item)).identity
        except BadKey:
            _not_linked(step, "the new device has no usable keys")
            return
        if not code.is_of(identity):
            _not_linked(step, "the keys are not those of the device that shows the code")
            return
        replaced = msgspec.structs.replace(first, identity=bytes(identity))
        step.change_device(wishes=(replaced, *step.device.wishes[1:]))


def _not_linked(step: Step, text: str) -> None:
    step.change_device(wishes=step.device.wishes[1:])
    step.notices.append(Problem("link_failed", text))


def hand_over(step: Step, device_id: str, code: str) -> None:
    """Give a listed own device the account key, whom is trusted, and the wish for an archive."""
    account = step.account()
    ref = DeviceRef(step.me.user_id, device_id)
    identity = lists.identity_of(step, ref)
    if account is None or identity is None or not code:
        return
    parsed = link.parse(code)
    proof = link.prove(
        parsed, IdentityPublicKey(identity), step.me.device_id, step.identity().public(), account.public()
    )
    linked = LinkedControl(account_key=base64url.encode(bytes(account)), proof=base64url.encode(proof))
    pairwise.tell(step, ref, linked, "linked")
    for at in range(0, len(trusted := _trusted(step)), MAX_ITEMS):
        pairwise.tell(step, ref, OwnControl(contacts=tuple(trusted[at : at + MAX_ITEMS])), "own")
    if device_id not in step.device.handed:
        step.put("archive", f"out/{device_id}", ArchiveWish(device_id))
    step.change_device(handed={**step.device.handed, device_id: (code, step.now)})


def hand_again(step: Step, ref: DeviceRef) -> None:
    """A linked device began a new session: perhaps it never got the account key."""
    code, at = step.device.handed.get(ref.device_id, ("", 0))
    if ref.user_id == step.me.user_id and code and step.now - at < HANDED_FOR_MS:
        hand_over(step, ref.device_id, code)


def _trusted(step: Step) -> list[OwnContact]:
    return [
        OwnContact(user_id=name, account_key=base64url.encode(user.account_key), verified=True)
        for name, user in step.all("user", kinds.UserState)
        if user.verified and user.account_key and not user.changed_at
    ]


# --- linking, the new device's side


def link_code(step: Step) -> str:
    """Make the code of this device.

    Raises:
        ValueError: it is linked, or its keys are not published.
    """
    if step.linked or not step.has_device or not step.device.published:
        raise ValueError("only a device that has published its keys, and is not linked, has a link code")
    code = link.make(step.me, step.identity().public(), step.random).text()
    step.change_device(code=code, code_at=step.now)
    return code


def linked(step: Step, ref: DeviceRef, sender: bytes, control: LinkedControl) -> None:
    """Take in the account key, if whoever sends it saw this device's code in time. ``sender``: his identity key."""
    device = step.device
    seed = base64url.decode(control.account_key)
    if step.linked or not device.code:
        return
    if not 0 <= step.now - device.code_at < link.LIFETIME_MS:
        _refuse_link(step, "the link code was too old")
        return
    account = AccountPrivateKey(seed)
    code: LinkCode = link.parse(device.code)
    try:
        link.check_proof(
            code,
            step.identity().public(),
            ref.device_id,
            IdentityPublicKey(sender),
            account.public(),
            base64url.decode(control.proof),
        )
    except CryptoError:
        _refuse_link(step, "somebody answered who has not seen this device's code")
        return
    _use(step, seed)
    step.change_device(standing="preparing")
    lists.need(step, ref.user_id)


def _refuse_link(step: Step, text: str) -> None:
    step.tally("links_refused")
    step.notices.append(Problem("link_failed", text))
