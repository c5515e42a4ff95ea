"""The stock of pre-keys: at least 100 one-time keys of each kind, filled up below 20, a new signed one each week."""

from itertools import pairwise
from typing import Final

import msgspec

from cooee.client.e2ee.kinds import DeviceState, SignedKey
from cooee.client.e2ee.results import Problem
from cooee.client.e2ee.step import SUITE, Step
from cooee.crypto import prekeys
from cooee.crypto.keys import DhPrivateKey, IdentityPrivateKey
from cooee.crypto.prekeys import KemPreKey, OneTimePreKey, SignedPreKey
from cooee.crypto.session import Decrypted
from cooee.domain import base64url
from cooee.protocol import keys

STOCK: Final = 100
"""One-time keys of each kind that a filled stock has."""
REFILL_BELOW: Final = 20
SIGNED_FOR_MS: Final = 7 * 24 * 3_600_000
"""A signed pre-key, and a last-resort key with it, is the current one for a week."""
GRACE_MS: Final = 30 * 24 * 3_600_000
"""So long are they kept afterwards: messages to them may be under way."""
MADE_AT_ONCE: Final = 25
"""One-time keys of each kind made in one call."""
SECRETS_LIMIT: Final = 1_000
"""Secrets of one-time keys that are kept, of each kind; the oldest were given out and never used."""
TAGS_LIMIT: Final = 2_000
"""After so many uses of the current last-resort key there is a new one early; a former one serves twice as often."""
KEPT_LIMIT: Final = 8
"""Signed pre-keys, and last-resort keys, that are kept, the grace being over or not: two more than weekly ones need.

So whoever uses up key after key makes neither keys nor tags grow without bound; what was under way to a key that is
gone early heals through a new session.
"""
LOOK_AFTER_MS: Final = 6 * 3_600_000
LOOK_AFTER_USES: Final = 20


def begin(step: Step) -> None:
    """Make the keys of a new device."""
    identity = IdentityPrivateKey.generate(step.random)
    step.put("device", "", DeviceState(bytes(identity), device_id=step.me.device_id))
    renew_signed(step)


def renew_signed(step: Step) -> None:
    """Make a new signed pre-key and a new last-resort key; former ones stay for their grace."""
    device, identity = step.device, step.identity()
    signed = prekeys.make_signed_pre_key(SUITE, identity, device.next_id, step.random)
    last = prekeys.make_last_resort_key(SUITE, identity, device.next_kem_id, step.random)
    step.change_device(
        signed=(SignedKey(signed.dump(), step.now), *device.signed)[:KEPT_LIMIT],
        last_resort=(SignedKey(last.dump(), step.now), *device.last_resort)[:KEPT_LIMIT],
        next_id=device.next_id + 1,
        next_kem_id=device.next_kem_id + 1,
        publish_signed=True,
    )
    _forget_tags(step)


def _forget_tags(step: Step) -> None:
    """Drop the tags of last-resort keys that are gone."""
    kept = {KemPreKey.load(one.dump).key_id for one in step.device.last_resort}
    for tag in step.ids("tag"):
        if int(tag.partition("/")[0]) not in kept:
            step.drop("tag", tag)


def _uses(step: Step, key_id: int) -> int:
    prefix = f"{key_id}/"
    return sum(tag.startswith(prefix) for tag in step.ids("tag"))


def upkeep_due(step: Step) -> int:
    """Return when `upkeep` has something to do (ms)."""
    device = step.device
    times = [device.signed[0].made_at + SIGNED_FOR_MS]
    for kept in (device.signed, device.last_resort):
        times += [newer.made_at + GRACE_MS for newer in kept[:-1]]
    return min(times)


def upkeep(step: Step) -> None:
    """Renew the signed keys when they are a week old, and delete those whose grace is over."""
    if step.now >= step.device.signed[0].made_at + SIGNED_FOR_MS:
        renew_signed(step)
    device = step.device
    signed, last = _in_grace(device.signed, step.now), _in_grace(device.last_resort, step.now)
    if len(signed) == len(device.signed) and len(last) == len(device.last_resort):
        return
    step.change_device(signed=signed, last_resort=last)
    _forget_tags(step)


def _in_grace(kept: tuple[SignedKey, ...], now: int) -> tuple[SignedKey, ...]:
    """Keep the current key, and those that were replaced less than the grace ago."""
    return kept[:1] + tuple(one for newer, one in pairwise(kept) if now < newer.made_at + GRACE_MS)


def make(step: Step) -> None:
    """Make some of the one-time keys that are lacking; they are published when all are made."""
    device, identity = step.device, step.identity()
    count, kem_count = min(device.lack, MADE_AT_ONCE), min(device.lack_kem, MADE_AT_ONCE)
    ones = prekeys.make_one_time_pre_keys(device.next_id, count, step.random)
    kems = prekeys.make_kem_keys(SUITE, identity, device.next_kem_id, kem_count, step.random)
    for one in ones:
        step.put("prekey", str(one.key_id), one)
    for kem in kems:
        step.put("kem", str(kem.key_id), kem)
    step.change_device(
        next_id=device.next_id + count,
        next_kem_id=device.next_kem_id + kem_count,
        lack=device.lack - count,
        lack_kem=device.lack_kem - kem_count,
        unpublished=device.unpublished + tuple(one.key_id for one in ones),
        unpublished_kem=device.unpublished_kem + tuple(kem.key_id for kem in kems),
    )
    for kind in ("prekey", "kem"):
        ids = step.ids(kind)
        for ident in sorted(ids, key=int)[: max(len(ids) - SECRETS_LIMIT, 0)]:
            step.drop(kind, ident)


def publication(step: Step) -> keys.PublishKeys | None:
    """Return what is to be published now, or None."""
    device = step.device
    if device.lack or device.lack_kem:
        return None
    if not device.publish_signed and not device.unpublished and not device.unpublished_kem:
        return None
    ones: list[OneTimePreKey] = [one for key in device.unpublished if (one := step.find("prekey", str(key)))]
    kems: list[KemPreKey] = [kem for key in device.unpublished_kem if (kem := step.find("kem", str(key)))]
    body = prekeys.publication(
        SUITE,
        step.identity().public(),
        signed_pre_key=SignedPreKey.load(device.signed[0].dump) if device.publish_signed else None,
        last_resort=KemPreKey.load(device.last_resort[0].dump) if device.publish_signed else None,
        one_time_pre_keys=ones[: keys.MAX_ONE_TIME_KEYS],
        kem_keys=kems[: keys.MAX_ONE_TIME_KEYS],
    )
    return msgspec.convert(body, keys.PublishKeys)


def published(step: Step, body: keys.PublishKeys) -> None:
    """Note that the server has ``body``."""
    ones, kems = {key.id for key in body.one_time_pre_keys}, {key.id for key in body.one_time_kem_keys}
    device = step.device
    sent = body.signed_pre_key
    newest = sent is not None and sent.id == SignedPreKey.load(device.signed[0].dump).key_id
    step.change_device(
        unpublished=tuple(key for key in device.unpublished if key not in ones),
        unpublished_kem=tuple(key for key in device.unpublished_kem if key not in kems),
        publish_signed=device.publish_signed and not newest,
        published=True,
    )


def not_published(step: Step, code: str) -> None:
    """Note why the server refused keys."""
    if code == "conflict":
        step.notices.append(Problem("keys_refused", "the server holds other keys of this device; log in anew"))


def looked(step: Step, status: keys.KeyStatus) -> None:
    """Compare the server's stock with the own one, and fill up what is lacking."""
    device = step.device
    mine = base64url.encode(bytes(step.identity().public()))
    next_id = max(device.next_id, status.last_one_time_pre_key_id + 1)
    next_kem_id = max(device.next_kem_id, status.last_one_time_kem_key_id + 1)
    step.change_device(next_id=next_id, next_kem_id=next_kem_id)
    if status.identity_key != mine:
        step.change_device(publish_signed=True, published=False)
    signed_id = SignedPreKey.load(step.device.signed[0].dump).key_id
    if status.signed_pre_key_id != signed_id:
        step.change_device(publish_signed=True)
    fill = {}
    if status.one_time_pre_keys + len(device.unpublished) < REFILL_BELOW:
        fill["lack"] = max(device.lack, STOCK - status.one_time_pre_keys)
    if status.one_time_kem_keys + len(device.unpublished_kem) < REFILL_BELOW:
        fill["lack_kem"] = max(device.lack_kem, STOCK - status.one_time_kem_keys)
    if fill:
        step.change_device(**fill)


def replace_all(step: Step) -> None:
    """After a backup was restored: new signed keys and a new stock, whatever the server says it has."""
    renew_signed(step)
    step.change_device(lack=STOCK, lack_kem=STOCK, unpublished=(), unpublished_kem=())


class Secrets:
    """This device's pre-keys, as `session.decrypt` looks them up."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the secret of a signed pre-key, current or former."""
        for kept in self._step.device.signed:
            signed = SignedPreKey.load(kept.dump)
            if signed.key_id == key_id:
                return signed.private
        return None

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the secret of a one-time pre-key that is not used up."""
        found: OneTimePreKey | None = self._step.find("prekey", str(key_id))
        return None if found is None else found.private

    def kem_key(self, key_id: int) -> KemPreKey | None:
        """Return a KEM key, one-time or last-resort, but no former last-resort one that is used up."""
        found: KemPreKey | None = self._step.find("kem", str(key_id))
        if found is not None:
            return found
        for place, kept in enumerate(self._step.device.last_resort):
            last = KemPreKey.load(kept.dump)
            if last.key_id == key_id:
                return None if place and _uses(self._step, key_id) >= 2 * TAGS_LIMIT else last
        return None

    def was_seen(self, tag: bytes) -> bool:
        """Tell whether a first message with a last-resort key was seen."""
        return any(
            self._step.find("tag", f"{KemPreKey.load(kept.dump).key_id}/{tag.hex()}") is not None
            for kept in self._step.device.last_resort
        )


def used(step: Step, done: Decrypted) -> None:
    """Delete the one-time keys that a first message used, and remember its tag."""
    if done.used_one_time_pre_key is not None:
        step.drop("prekey", str(done.used_one_time_pre_key))
    if done.used_kem_key is not None:
        step.drop("kem", str(done.used_kem_key))
    if done.replay_tag is not None:
        step.put("tag", f"{done.last_resort_id}/{done.replay_tag.hex()}", b"\x01")
        newest = KemPreKey.load(step.device.last_resort[0].dump).key_id
        if done.last_resort_id == newest and _uses(step, newest) >= TAGS_LIMIT:
            renew_signed(step)
    if done.new_session:
        step.after(lambda: _count_use(step))


def _count_use(step: Step) -> None:
    memory = step.memory
    memory.used += 1
    if memory.used >= LOOK_AFTER_USES:
        memory.used, memory.status_due = 0, True
