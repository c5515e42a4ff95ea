"""Linking: an old device takes in the code of a new one, signs it in, and hands it the account key."""

from typing import Final

import msgspec

from cooee.client.e2ee import kinds, lists, own, pairwise
from cooee.client.e2ee.kinds import ArchiveWish, Wish
from cooee.client.e2ee.results import Problem
from cooee.client.e2ee.step import SUITE, Step
from cooee.crypto import link
from cooee.crypto.errors import BadKey, CryptoError
from cooee.crypto.keys import AccountPrivateKey, IdentityPublicKey
from cooee.crypto.prekeys import PreKeyBundle
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys
from cooee.protocol.body import MAX_ITEMS, LinkedControl, OwnContact, OwnControl

HANDED_FOR_MS: Final = 24 * 3_600_000
"""So long is the account key handed to a linked device again, when it begins a new session without having it."""


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
    own.wish(step, Wish("add", code.device.device_id, b"", code.text(), b"", step.now))


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
    recent = {name: one for name, one in step.device.handed.items() if step.now - one[1] < HANDED_FOR_MS}
    step.change_device(handed={**recent, device_id: (code, step.now)})


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
    code = link.parse(device.code)
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
    own.use(step, seed)
    step.change_device(standing="preparing")
    lists.need(step, ref.user_id)


def _refuse_link(step: Step, text: str) -> None:
    step.tally("links_refused")
    step.notices.append(Problem("link_failed", text))
