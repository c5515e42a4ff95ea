"""Healing: asking other devices for the keys of messages that cannot be read, and answering when they ask."""

from functools import partial
from typing import Final

import msgspec

from cooee.client.e2ee import lists, opening, pairwise, senders
from cooee.client.e2ee.kinds import GroupState, Waiting
from cooee.client.e2ee.results import GaveUp
from cooee.client.e2ee.step import Request, Step
from cooee.client.e2ee.wants import FoundKey
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.protocol.body import (
    KeyReplyControl,
    KeyRequestControl,
    MessageKeyItem,
    MessageRef,
    in_batches,
)

_MINUTE: Final = 60_000
_DAY: Final = 24 * 60 * _MINUTE
ASK_AGAIN_MS: Final = (_MINUTE, 10 * _MINUTE, 2 * 60 * _MINUTE, 12 * 60 * _MINUTE, *([_DAY] * 29))
"""How long to wait after each time of asking; after the last one (30 days) it is given up."""
ASKED_AT_ONCE: Final = 200
"""Messages that are asked for in one call."""
REQUESTS_LIMIT: Final = 200
"""Requests of others that wait for an answer; further ones are not taken (they will be repeated)."""
REQUESTS_PER_DEVICE: Final = 20


# --- asking


def next_ask(step: Step) -> int | None:
    """Return when the next message is to be asked for."""
    if not step.linked or not step.count("waiting"):
        return None
    if any(kind == "waiting" for kind, _ in step.changed):
        return _earliest(step)
    version = step.book.versions.get("waiting", 0)
    if step.memory.next_ask[0] != version:
        step.memory.next_ask = (version, _earliest(step))
    return step.memory.next_ask[1]


def _earliest(step: Step) -> int:
    return min(waiting.next_at for _, waiting in step.all("waiting", Waiting))


def ask(step: Step) -> None:
    """Ask for what is due: first the sender's device, then all others of his, and the own ones."""
    due = [waiting for _, waiting in step.all("waiting", Waiting) if waiting.next_at <= step.now][:ASKED_AT_ONCE]
    by_device: dict[DeviceRef, list[MessageRef]] = {}
    for waiting in due:
        if waiting.attempts >= len(ASK_AGAIN_MS):
            opening.forget(step, waiting.conversation_id, waiting.sequence_number)
            step.notices.append(GaveUp(waiting.conversation_id, waiting.sequence_number))
            step.tally("messages_given_up")
            continue
        for ref in _whom(step, waiting):
            by_device.setdefault(ref, []).append(_reference(waiting))
        wait = ASK_AGAIN_MS[waiting.attempts]
        opening.put(
            step,
            msgspec.structs.replace(waiting, attempts=waiting.attempts + 1, next_at=step.now + wait, given=False),
        )
    for ref, items in by_device.items():
        if pairwise.asks(step, ref):
            continue
        for batch in in_batches(items):
            pairwise.tell(step, ref, KeyRequestControl(items=tuple(batch)), "key_request")
            step.tally("keys_asked", len(batch))


def _whom(step: Step, waiting: Waiting) -> list[DeviceRef]:
    sender = waiting.sender
    if waiting.attempts == 0 and sender != step.me and lists.identity_of(step, sender) is not None:
        return [sender]
    if not step.user(sender.user_id).known:
        lists.need(step, sender.user_id)
    users = dict.fromkeys((sender.user_id, step.me.user_id))
    return [ref for user_id in users for ref, _ in lists.current(step, user_id) if ref != step.me]


def _reference(waiting: Waiting) -> MessageRef:
    return MessageRef(
        conversation_id=waiting.conversation_id,
        sequence_number=waiting.sequence_number,
        sender_id=waiting.sender.user_id,
        sender_device_id=waiting.sender.device_id,
        client_message_id=waiting.client_message_id,
    )


def replied(step: Step, ref: DeviceRef, reply: KeyReplyControl) -> None:
    """Take in keys, if they were asked for and come from the sender's own devices, or one's own."""
    for item in reply.items:
        waiting = step.waiting(item.conversation_id, item.sequence_number)
        named = DeviceRef(item.sender_id, item.sender_device_id)
        if waiting is None or waiting.sender != named or waiting.client_message_id != item.client_message_id:
            step.tally("replies_unasked")
        elif ref.user_id not in {named.user_id, step.me.user_id}:
            step.tally("replies_refused")
        else:
            step.tally("messages_healed")
            opening.given(step, waiting, base64url.decode(item.key))


# --- answering


def requested(step: Step, ref: DeviceRef, request: KeyRequestControl) -> None:
    """Take in a request; it is answered when lists and members are known well enough."""
    memory = step.memory
    pending = [one for one in memory.requests.values() if one.asker == ref]
    if len(memory.requests) >= REQUESTS_LIMIT or len(pending) >= REQUESTS_PER_DEVICE:
        step.tally("requests_dropped")
        return
    step.tally("keys_requested", len(request.items))
    for item in request.items:
        if DeviceRef(item.sender_id, item.sender_device_id) == step.me and not is_direct(item.conversation_id):
            senders.again(step, item.conversation_id, ref)
    number, taken = memory.next_number(), Request(ref, request.items, step.now)
    step.after(lambda: memory.requests.__setitem__(number, taken))
    _need_for(step, taken)


def _need_for(step: Step, request: Request) -> None:
    """Have the asker's list, and the groups that are not known, fetched before the answer."""
    if not lists.fresh_since(step, request.asker.user_id, request.since):
        lists.need(step, request.asker.user_id)
    for conversation_id in {item.conversation_id for item in request.items if not is_direct(item.conversation_id)}:
        if step.group(conversation_id) is None:
            step.after(partial(step.memory.groups.add, conversation_id))


def answerable(step: Step) -> dict[int, Request]:
    """Return the requests that can be looked up now."""
    memory = step.memory
    return {
        number: request
        for number, request in memory.requests.items()
        if lists.fresh_since(step, request.asker.user_id, request.since)
        and not any(
            item.conversation_id in memory.groups and step.group(item.conversation_id) is None for item in request.items
        )
    }


def found(step: Step, asker: DeviceRef, keys: list[FoundKey]) -> None:
    """Give the asking device those of the keys that it is entitled to."""
    items = []
    for key in keys:
        if not entitled(step, asker, key):
            step.tally("requests_refused")
            continue
        item = key.item
        items.append(
            MessageKeyItem(
                conversation_id=item.conversation_id,
                sequence_number=key.sequence_number,
                sender_id=item.sender_id,
                sender_device_id=item.sender_device_id,
                client_message_id=item.client_message_id,
                key=base64url.encode(key.key),
            )
        )
    for batch in in_batches(items):
        pairwise.tell(step, asker, KeyReplyControl(items=tuple(batch)), "key_reply")
        step.tally("keys_given", len(batch))


def entitled(step: Step, asker: DeviceRef, key: FoundKey) -> bool:
    """Tell whether a device may have a key: it is listed now, and its user was to read the message.

    Only of messages that an own user's device sent, unless the asker is an own device. What was sent before an
    unaccepted change of the asker's account key is given to nobody.
    """
    me, user_id, conversation_id = step.me.user_id, asker.user_id, key.item.conversation_id
    if not step.linked or lists.identity_of(step, asker) is None:
        return False
    if user_id == me:
        return True
    user = step.user(user_id)
    if key.item.sender_id != me or (user.changed_at and key.timestamp < user.changed_at):
        return False
    if is_direct(conversation_id):
        return user_id in direct_members(conversation_id)
    group = step.group(conversation_id)
    return group is not None and _was_member(group, me, user_id, key.sequence_number)


def _was_member(group: GroupState, me: str, user_id: str, number: int) -> bool:
    """Tell whether a user was a member at ``number``, as far as that is certain.

    Who left the group himself knows of the others what he had been told until then, and no more.
    """
    spans = [(joined, left) for name, joined, left in group.past if name == user_id]
    if user_id in group.members:
        spans.append((group.members[user_id], number))
    elif group.gone and user_id in group.since:
        spans += [(group.since[user_id], left) for name, _, left in group.past if name == me]
    return any(joined <= number <= left for joined, left in spans)
