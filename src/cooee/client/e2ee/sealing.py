"""Sealing: a body once under a fresh key, then that key for the devices that are current when it is sent."""

from functools import partial
from typing import Final

from cooee.client.e2ee import groups, lists, pairwise, senders
from cooee.client.e2ee.kinds import GroupState
from cooee.client.e2ee.results import Letter, MessageKey, NotYet, Refused, Sealed
from cooee.client.e2ee.step import Retry, Step, wait_ms
from cooee.crypto import sender_key
from cooee.crypto.content import ContentKey, envelope_payload, seal_body
from cooee.domain import base64url
from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.protocol import frames

DEMAND_MS: Final = 600_000
"""So long does a conversation that was asked about stay worth preparing."""
PATIENT_MISMATCHES: Final = 3
"""After so many mismatches in a row it is waited before the next try."""
NO_ENVELOPE: Final = "AA"
"""Stands for a device that gives no usable keys: it cannot be opened, so that device will ask for the key."""


def enclose(step: Step, conversation_id: str, client_message_id: str, body: bytes) -> Letter:
    """Seal a body under a fresh key."""
    key = ContentKey.generate(step.random)
    content = seal_body(key, body, conversation_id, step.me, client_message_id, step.random)
    return Letter(conversation_id, client_message_id, base64url.encode(content), bytes(key))


def placed(step: Step, letter: Letter, number: int) -> None:
    """An own message has its number."""
    step.message_keys.append(MessageKey(letter.conversation_id, number, *step.me, letter.client_message_id, letter.key))
    conversation_id = letter.conversation_id
    groups.said(step, conversation_id, number)
    step.after(lambda: step.memory.mismatches.pop(conversation_id, None))


def seal(step: Step, letter: Letter) -> Sealed | NotYet | Refused:
    """Make the envelopes of a letter."""
    if not step.has_device or step.device.standing == "preparing":
        return NotYet("keys")
    if not step.linked:
        return Refused("not_linked", "this device is not linked: link it from another one, or start anew")
    mismatch = step.memory.mismatches.get(letter.conversation_id)
    if mismatch is not None and step.now < mismatch.at:
        return NotYet("wait")
    return (_direct if is_direct(letter.conversation_id) else _group)(step, letter)


def _payload(letter: Letter) -> bytes:
    return envelope_payload(ContentKey(letter.key), base64url.decode(letter.content))


def _lists_of(step: Step, users: list[str], stale: set[str]) -> NotYet | Refused | None:
    """Return what stands in the way: an unknown or outdated list, or a key that was not accepted."""
    missing = [user_id for user_id in users if user_id in stale or not step.user(user_id).known]
    for user_id in missing:
        lists.need(step, user_id)
    if missing:
        return NotYet("lists")
    for user_id in users:
        if lists.blocked(step, user_id):
            return Refused("key_changed", f"the keys of {user_id} have changed: compare or accept them first", user_id)
    return None


# --- direct chats


def _direct(step: Step, letter: Letter) -> Sealed | NotYet | Refused:
    users = sorted(set(direct_members(letter.conversation_id)))
    if step.me.user_id not in users:
        return Refused("not_a_member", "this is a chat of others")
    hindered = _lists_of(step, users, step.memory.lists)
    if hindered is not None:
        return hindered
    for user_id in users:
        if step.user(user_id).bot and user_id != step.me.user_id:
            return Refused("not_encrypted", "bots read plain messages only: set the conversation to plain", user_id)
    refs = [ref for user_id in users for ref, _ in lists.current(step, user_id) if ref != step.me]
    lacking = [ref for ref in refs if not pairwise.ready(step, ref) and not pairwise.barred(step, ref)]
    ready = [ref for ref in lacking if ref in step.memory.bundles and pairwise.begin(step, ref)]
    if len(ready) < len(lacking):
        for ref in lacking:
            step.after(partial(step.memory.sessions.__setitem__, ref, step.now + DEMAND_MS))
        return NotYet("sessions", len(refs) - len(lacking) + len(ready), len(refs))
    payload = _payload(letter)
    return Sealed(tuple(_envelope(step, ref, payload) for ref in refs))


def _envelope(step: Step, ref: DeviceRef, payload: bytes) -> frames.WireEnvelope:
    if pairwise.ready(step, ref):
        return frames.WireEnvelope(*ref, pairwise.encrypt(step, ref, payload))
    step.tally("envelopes_left_empty")
    return frames.WireEnvelope(*ref, NO_ENVELOPE)


# --- groups


def _group(step: Step, letter: Letter) -> Sealed | NotYet | Refused:
    conversation_id = letter.conversation_id
    group = step.group(conversation_id)
    if group is None or conversation_id in step.memory.groups or not (group.roster_version or group.gone):
        step.after(lambda: step.memory.groups.add(conversation_id))
        return NotYet("group")
    if group.gone or step.me.user_id not in group.members:
        return Refused("not_a_member", "this device's user is no member of the group")
    hindered = _lists_of(step, list(group.members), _outdated(step, conversation_id, group))
    if hindered is not None:
        return hindered
    devices = senders.group_devices(step, conversation_id)
    digest = device_list_hash((ref, base64url.encode(identity)) for ref, identity in devices.items())
    if digest != group.server_hash:
        since = step.memory.fetched.get(conversation_id, 0)
        old = {user_id for user_id in group.members if not lists.fresh_since(step, user_id, since)}
        hindered = _lists_of(step, list(group.members), old)
        if hindered is not None:
            return hindered
    senders.ensure(step, conversation_id, devices)
    lacking = senders.lacking(step, conversation_id, devices)
    if lacking:
        step.after(lambda: step.memory.demand.__setitem__(conversation_id, step.now + DEMAND_MS))
        return NotYet("distribution", len(devices) - 1 - len(lacking), len(devices) - 1)
    chain = step.chain(conversation_id)
    if chain is None:
        raise LookupError("there is no chain")
    after, message = sender_key.encrypt(chain, _payload(letter), group.roster_version, digest, step.me, step.random)
    step.put("chain", conversation_id, after)
    step.after(lambda: step.memory.demand.pop(conversation_id, None))
    return Sealed((), base64url.encode(message), group.roster_version, digest)


def _outdated(step: Step, conversation_id: str, group: GroupState) -> set[str]:
    """Return the members whose list is older than the group says, and was not fetched since."""
    since = step.memory.fetched.get(conversation_id, 0)
    return {
        user_id
        for user_id in group.members
        if user_id in step.memory.lists
        or (
            step.user(user_id).version < group.list_versions.get(user_id, 0)
            and not lists.fresh_since(step, user_id, since)
        )
    }


# --- refusals


def patience_over(step: Step) -> list[str]:
    """Return the conversations that were waited for after mismatches, and may be tried again now."""
    return [name for name, retry in step.memory.mismatches.items() if 0 < retry.at <= step.now]


def go_on(step: Step, conversation_id: str) -> None:
    """Wait for a conversation no longer; how often it was refused is remembered."""
    former = step.memory.mismatches[conversation_id]
    step.after(partial(step.memory.mismatches.__setitem__, conversation_id, Retry(former.attempts, 0)))


def mismatched(step: Step, conversation_id: str, error: frames.Error) -> None:
    """The server knows other devices than this one: look anew."""
    step.tally("mismatches")
    memory = step.memory
    former = memory.mismatches.get(conversation_id)
    attempts = 1 if former is None else former.attempts + 1
    late = attempts - PATIENT_MISMATCHES
    retry = Retry(attempts, step.now + wait_ms(late) if late >= 0 else 0)
    step.after(lambda: memory.mismatches.__setitem__(conversation_id, retry))
    if not is_direct(conversation_id):
        step.after(lambda: memory.groups.add(conversation_id))
        return
    named = {str(item.get("userId", "")) for item in (*error.missing, *error.extra)}
    for user_id in set(direct_members(conversation_id)):
        if user_id in named or not named:
            lists.need(step, user_id)
