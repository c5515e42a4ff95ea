"""What is to be done outside, derived from what is stored and what is in memory: one want per subject at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from cooee.client.e2ee import (
    controls,
    groups,
    healing,
    kinds,
    linking,
    lists,
    moved,
    opening,
    own,
    pairwise,
    sealing,
    senders,
    stock,
    wants,
)
from cooee.client.e2ee.kinds import ArchiveWish
from cooee.client.e2ee.step import Step
from cooee.client.e2ee.wants import Want
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys

Slot = tuple[str, ...]
GROUPS_AT_ONCE: Final = 2
LOOK_UPS_AT_ONCE: Final = 4
ARCHIVE_TRIES: Final = 20
GONE: Final = frozenset({"not_found", "not_a_member", "forbidden"})


def possible(step: Step) -> Iterator[tuple[Slot, Want]]:  # noqa: C901  # a list of subjects
    """Yield what is wanted, by what it is for."""
    memory = step.memory
    if not step.has_device:
        return
    if memory.status_due or step.now - memory.status_at >= stock.LOOK_AFTER_MS:
        yield ("status",), wants.FetchStatus()
    body = stock.publication(step) if not memory.flies(("publish",), step.now) else None
    if body is not None:
        yield ("publish",), wants.PublishKeys(body=body)
    if not memory.flies(("put",), step.now) and (signed := own.to_put(step)) is not None:
        yield ("put",), wants.PutDeviceList(body=signed)
    users = [user_id for user_id in sorted(memory.lists) if user_id != step.me.user_id or step.device.published]
    if users:
        asked = tuple(keys.AskedList(user_id, _known_version(step, user_id)) for user_id in users[: keys.MAX_LISTS])
        yield ("lists",), wants.FetchLists(body=keys.AskLists(asked))
    for conversation_id in sorted(memory.groups)[:GROUPS_AT_ONCE]:
        yield ("group", conversation_id), wants.FetchGroup(conversation_id=conversation_id)
    if not memory.flies(("claim",), step.now) and (refs := claimable(step)):
        names = tuple(keys.DeviceName(*ref) for ref in refs[: keys.MAX_CLAIM])
        yield ("claim",), wants.Claim(body=keys.ClaimKeys(names))
    for number, request in list(healing.answerable(step).items())[:LOOK_UPS_AT_ONCE]:
        yield ("keys", str(number)), wants.LookUpKeys(asker=request.asker, items=request.items)
    for ident, wish in step.all("archive", ArchiveWish):
        if wish.archive is None:
            yield ("archive", ident), wants.ExportArchive(device_id=wish.device_id)
        else:
            yield ("archive", ident), wants.ImportArchive(archive=wish.archive)


def _known_version(step: Step, user_id: str) -> int:
    user = step.user(user_id)
    return user.version if user.known else 0


def claimable(step: Step) -> list[DeviceRef]:
    """Return the devices whose bundles are needed."""
    memory = step.memory
    refs: dict[DeviceRef, None] = {}
    new = linking.to_claim(step)
    if new is not None:
        refs[new] = None
    candidates = [kinds.ref_of(ident) for ident in step.ids("todo")]
    candidates += [ref for ref, until in memory.sessions.items() if step.now < until]
    for conversation_id in senders.demanded(step):
        if step.linked:
            candidates += senders.undistributed(step, conversation_id)
    for ref in candidates:
        if (
            ref not in memory.bundles
            and lists.identity_of(step, ref) is not None
            and not pairwise.ready(step, ref)
            and not pairwise.barred(step, ref)
        ):
            refs[ref] = None
    return list(refs)


def got(step: Step, slot: Slot, want: Want, answer: Any) -> None:  # noqa: C901  # one case per want
    """Take in an answer."""
    memory = step.memory
    step.after(lambda: memory.retries.pop(slot, None))
    match want:
        case wants.FetchStatus():
            stock.looked(step, answer)
            step.after(lambda: _looked(step))
        case wants.PublishKeys():
            first = not step.device.published
            stock.published(step, want.body)
            if first:
                lists.need(step, step.me.user_id)
        case wants.PutDeviceList():
            own.put(step, want.body)
        case wants.FetchLists():
            _lists(step, want, answer)
        case wants.FetchGroup():
            groups.take(step, answer)
            _fetched(step, want.conversation_id)
        case wants.Claim():
            asked = set(want.body.devices)
            items = tuple(one for one in answer.items if keys.DeviceName(one.user_id, one.device_id) in asked)
            claimed = keys.Claimed(items, tuple(one for one in answer.missing if one in asked))
            linking.claimed(step, claimed)
            pairwise.claimed(step, claimed)
        case wants.LookUpKeys():
            healing.found(step, want.asker, list(answer))
            step.after(lambda: memory.requests.pop(int(slot[1]), None))
        case wants.ExportArchive():
            controls.archive_made(step, want.device_id, answer)
        case wants.ImportArchive():
            step.drop("archive", slot[1])


def _looked(step: Step) -> None:
    step.memory.status_due, step.memory.status_at, step.memory.used = False, step.now, 0


def _fetched(step: Step, conversation_id: str) -> None:
    step.after(lambda: step.memory.groups.discard(conversation_id))
    step.after(lambda: step.memory.fetched.__setitem__(conversation_id, step.now))


def _lists(step: Step, want: wants.FetchLists, answer: keys.DeviceLists) -> None:
    asked = {one.user_id for one in want.body.users}
    memory = step.memory
    for item in answer.items:
        user_id = item.user_id
        if user_id not in asked:
            continue
        step.after(partial(memory.lists.discard, user_id))
        step.after(partial(memory.checked.__setitem__, user_id, step.now))
        before = step.user(user_id).devices
        if user_id == step.me.user_id:
            own.taken(step, item)
        else:
            lists.take(step, item)
        for device_id in step.user(user_id).devices:
            if before.get(device_id) != step.user(user_id).devices[device_id]:
                opening.try_again(step, DeviceRef(user_id, device_id), groups=False)
        controls.release(step, user_id)


def failed(step: Step, slot: Slot, want: Want, code: str, retry_after_ms: int | None) -> None:
    """Take in a failure: retried later, unless it is an answer too."""
    memory = step.memory
    step.tally(f"want_failed_{code}")
    memory.fail(slot, step.now, retry_after_ms)
    match want:
        case wants.PublishKeys():
            stock.not_published(step, code)
        case wants.PutDeviceList():
            own.not_put(step, code)
        case wants.FetchGroup() if code in GONE:
            groups.gone(step, want.conversation_id)
            _fetched(step, want.conversation_id)
        case wants.LookUpKeys() if memory.retries[slot].attempts > LOOK_UPS_AT_ONCE:
            step.after(lambda: memory.requests.pop(int(slot[1]), None))
        case wants.ExportArchive() | wants.ImportArchive() if memory.retries[slot].attempts >= ARCHIVE_TRIES:
            step.tally("archives_given_up")
            step.drop("archive", slot[1])
        case _:
            pass


def work_due(step: Step) -> bool:
    """Tell whether `work` has something to do now."""
    if not step.has_device or moved.is_due(step):
        return True
    ask_at = healing.next_ask(step)
    return bool(
        step.device.lack
        or step.device.lack_kem
        or step.now >= stock.upkeep_due(step)
        or _fulfilled(step)
        or (ask_at is not None and ask_at <= step.now)
        or sealing.patience_over(step)
        or pairwise.tellable(step)
        or senders.distributable(step)
    )


def _fulfilled(step: Step) -> bool:
    device = step.device
    if not device.wishes:
        return False
    trial = Step(step.me, step.book, step.memory, step.random, step.now)
    return own.settle_wish(trial) is not None


def work(step: Step) -> None:
    """Do a bounded piece of everything that is due."""
    if not step.has_device:
        stock.begin(step)
        return
    if moved.is_due(step):
        moved.move(step)
        return
    if step.device.lack or step.device.lack_kem:
        stock.make(step)
    if step.now >= stock.upkeep_due(step):
        stock.upkeep(step)
        lists.forget_former(step)
    done = own.settle_wish(step)
    if done is not None and done.kind == "add":
        linking.hand_over(step, done.device_id, done.code)
    ask_at = healing.next_ask(step)
    if ask_at is not None and ask_at <= step.now:
        healing.ask(step)
    for conversation_id in sealing.patience_over(step):
        sealing.go_on(step, conversation_id)
    pairwise.send_controls(step)
    senders.distribute(step)
