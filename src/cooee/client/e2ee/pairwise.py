"""Sessions with devices: beginning them, encrypting and decrypting, and controls on their way to the server."""

from functools import partial
from typing import Final

import msgspec

from cooee.client.e2ee import kinds, lists, stock
from cooee.client.e2ee.kinds import OutFrame, OutItem, Task, Todo
from cooee.client.e2ee.step import SUITE, Retry, Step
from cooee.crypto import session
from cooee.crypto.errors import BadKey, CryptoError
from cooee.crypto.keys import IdentityPublicKey
from cooee.crypto.prekeys import PreKeyBundle
from cooee.crypto.suite import Party
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef
from cooee.protocol import keys
from cooee.protocol.body import Control, SessionControl, encode_control

FRAME_BLOBS: Final = 100
"""Blobs in one ``to_device`` frame."""
FRAME_BYTES: Final = 60 * 1024
"""Bytes of the blobs in one frame, with what is around them: the frame stays below 64 KiB."""
_AROUND: Final = 160
"""Bytes around one blob: names of user and device, and JSON."""
FRAMES_LIMIT: Final = 16
"""Frames that wait for the server; nothing more is made until they are taken."""
AT_ONCE: Final = 20
"""Sessions begun, or controls encrypted, in one call."""
TASKS_LIMIT: Final = 200
"""Controls that wait for one device; further ones are not queued (they are repeated by who needs them)."""
RENEW_AFTER_MS: Final = 300_000
"""At most one new session per device in this time because of messages that do not decrypt."""
BAR_FIRST_MS: Final = 60_000
BAR_LONGEST_MS: Final = 3_600_000
"""A device without usable keys is asked about again after a minute, then after twice as long, up to an hour."""


# --- sessions


def ready(step: Step, ref: DeviceRef) -> bool:
    """Tell whether there is a session to encrypt with, begun with the identity key that is listed now."""
    record = step.session(ref)
    if record is None or not record.can_encrypt():
        return False
    return lists.identity_of(step, ref) == bytes(record.peer.identity)


def barred(step: Step, ref: DeviceRef) -> bool:
    """Tell whether a device has no usable keys for now."""
    retry = step.memory.barred.get(ref)
    return retry is not None and step.now < retry.at


def bar(step: Step, ref: DeviceRef) -> None:
    """Wait for a device no longer: it gives no usable keys, or nothing may be sent to it."""
    step.tally("devices_barred")
    former = step.memory.barred.get(ref)
    attempts = 0 if former is None else former.attempts
    wait = min(BAR_FIRST_MS << min(attempts, 10), BAR_LONGEST_MS)
    retry = Retry(attempts + 1, step.now + wait)
    step.after(lambda: step.memory.barred.__setitem__(ref, retry))
    lists.need(step, ref.user_id)


def claimed(step: Step, answer: keys.Claimed) -> None:
    """Keep bundles in memory until sessions are begun with them; a device without one is barred."""
    for item in answer.items:
        ref = DeviceRef(item.user_id, item.device_id)
        try:
            bundle = PreKeyBundle.from_json(SUITE, msgspec.to_builtins(item))
        except BadKey:
            bar(step, ref)
            continue
        step.after(partial(step.memory.bundles.__setitem__, ref, bundle))
    for gone in answer.missing:
        bar(step, DeviceRef(gone.user_id, gone.device_id))


def begin(step: Step, ref: DeviceRef) -> bool:
    """Begin a session with a device whose bundle is here. False: it cannot be; then the device is barred."""
    bundle = step.memory.bundles[ref]
    step.after(lambda: step.memory.bundles.pop(ref, None))
    if lists.identity_of(step, ref) != bytes(bundle.identity):
        step.tally("bundles_refused")
        bar(step, ref)
        return False
    try:
        record = session.start(SUITE, step.party(), ref, bundle, step.random, _session_with(step, ref, bundle.identity))
    except CryptoError:
        step.tally("bundles_refused")
        bar(step, ref)
        return False
    step.put("session", kinds.device_id_of(ref), record)
    step.tally("sessions_begun")
    step.after(lambda: step.memory.barred.pop(ref, None))
    return True


def _session_with(step: Step, ref: DeviceRef, identity: IdentityPublicKey) -> session.SessionRecord | None:
    """Return the sessions with a device, unless they are with another identity key than this one."""
    record = step.session(ref)
    return record if record is not None and record.peer.identity == identity else None


def encrypt(step: Step, ref: DeviceRef, plaintext: bytes) -> str:
    """Encrypt for a device that is `ready`, and return it in base64url."""
    record = step.session(ref)
    if record is None:
        raise LookupError("there is no session")
    after, message = session.encrypt(SUITE, record, plaintext, step.random)
    step.put("session", kinds.device_id_of(ref), after)
    return base64url.encode(message)


def decrypt(step: Step, ref: DeviceRef, identity: bytes, message: bytes) -> bytes:
    """Decrypt what a device with this identity key sent. A refusal changes nothing.

    Raises:
        CryptoError: it does not decrypt.
    """
    key = IdentityPublicKey(identity)
    record = _session_with(step, ref, key)
    done = session.decrypt(SUITE, step.party(), Party(ref, key), record, message, stock.Secrets(step))
    step.put("session", kinds.device_id_of(ref), done.record)
    stock.used(step, done)
    if done.new_session:
        step.tally("sessions_accepted")
    return done.plaintext


def renew(step: Step, ref: DeviceRef) -> None:
    """Begin a new session with a listed device whose messages do not decrypt; at most one in `RENEW_AFTER_MS`."""
    last = step.memory.renewed.get(ref)
    if last is not None and step.now - last < RENEW_AFTER_MS:
        step.tally("renewals_held_back")
        return
    if lists.identity_of(step, ref) is None or ref == step.me:
        return
    step.after(lambda: step.memory.renewed.__setitem__(ref, step.now))
    record = step.session(ref)
    if record is not None:
        step.put("session", kinds.device_id_of(ref), record.retired())
    step.tally("sessions_renewed")
    tell(step, ref, SessionControl(), "session")


# --- controls


def tell(step: Step, ref: DeviceRef, control: Control, kind: str) -> None:
    """Queue a control for a device; it is encrypted when there is a session."""
    tasks = step.todo(ref).tasks
    if ref == step.me or (kind == "session" and any(task.kind == kind for task in tasks)):
        return
    if len(tasks) >= TASKS_LIMIT:
        step.tally("controls_dropped")
        return
    step.put("todo", kinds.device_id_of(ref), Todo((*tasks, Task(encode_control(control), kind))))


def asks(step: Step, ref: DeviceRef) -> bool:
    """Tell whether a key request for the device is queued already."""
    return any(task.kind == "key_request" for task in step.todo(ref).tasks)


def room(step: Step) -> bool:
    """Tell whether there is room for more frames."""
    return step.count("out") < FRAMES_LIMIT


def tellable(step: Step) -> list[DeviceRef]:
    """Return devices with queued controls that can be encrypted now."""
    if not step.count("todo") or not room(step):
        return []
    refs = [kinds.ref_of(ident) for ident in step.ids("todo")]
    return [ref for ref in refs if ready(step, ref) or ref in step.memory.bundles or _is_unlisted(step, ref)]


def _is_unlisted(step: Step, ref: DeviceRef) -> bool:
    return step.user(ref.user_id).known and lists.identity_of(step, ref) is None


def send_controls(step: Step) -> None:
    """Encrypt some of the queued controls."""
    left = AT_ONCE
    for ref in tellable(step):
        if left <= 0 or not room(step):
            return
        if _is_unlisted(step, ref):
            step.tally("controls_dropped", len(step.todo(ref).tasks))
            step.drop("todo", kinds.device_id_of(ref))
            continue
        left -= 1
        if not ready(step, ref) and not begin(step, ref):
            continue
        tasks = step.todo(ref).tasks
        for task in tasks[:left]:
            put_out(step, OutItem(ref, encrypt(step, ref, task.control)))
        rest = tasks[left:]
        left -= len(tasks) - len(rest)
        if rest:
            step.put("todo", kinds.device_id_of(ref), Todo(rest))
        else:
            step.drop("todo", kinds.device_id_of(ref))


# --- frames


def put_out(step: Step, item: OutItem) -> None:
    """Put a blob into the newest frame of this step, or into a new one."""
    size = len(item.content) + _AROUND
    for (kind, ident), value in reversed(step.changed.items()):
        if kind == "out" and isinstance(value, OutFrame) and ident not in step.memory.sent:
            if len(value.items) < FRAME_BLOBS and value.size + size <= FRAME_BYTES:
                step.put("out", ident, OutFrame((*value.items, item), value.size + size))
                return
            break
    step.put("out", new_frame_id(step), OutFrame((item,), size))


def new_frame_id(step: Step) -> str:
    """Return a clientMessageId; those made later are larger."""
    step.memory.frames += 1
    return f"e{step.now:012x}{step.memory.frames & 0xFFFFFF:06x}{step.random(8).hex()}"
