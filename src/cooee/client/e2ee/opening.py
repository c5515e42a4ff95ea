"""Opening messages: through the sender device's session or sender key, or with a key that came another way."""

from hashlib import sha256
from typing import Final

import msgspec

from cooee.client.e2ee import groups, lists, pairwise
from cooee.client.e2ee.kinds import Waiting
from cooee.client.e2ee.results import BadKeyDropped, MessageKey, Opened, Unreadable
from cooee.client.e2ee.step import Step
from cooee.crypto import sender_key
from cooee.crypto.content import PAYLOAD_BYTES, ContentKey, key_for, open_body
from cooee.crypto.errors import BadMessage, CryptoError, Duplicate, NoSession
from cooee.crypto.primitives import KEY_BYTES, equal
from cooee.crypto.sender_key import PeerSenderKeys
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.protocol import frames

GRACE_MS: Final = 5_000
"""So long does an unreadable message wait for what may be on its way, before its key is asked for."""
TRIED_AGAIN_MS: Final = 60_000
"""A key that was given to the store is tried within this time, else it is asked for again."""
WAITING_LIMIT: Final = 5_000
"""Messages that are healed at a time; more stay unreadable until they are opened again."""


def open_message(step: Step, frame: frames.MessageFrame, key: bytes | None) -> Opened | Unreadable:
    """Open a message; if it cannot be read, see to it that it will be."""
    content = _content(frame)
    if content is None:
        step.tally("messages_malformed")
        return Unreadable("refused", "the content is malformed")
    if key is not None:
        return _with_key(step, frame, content, key)
    if not step.has_device:
        return wait(step, frame, "keys")
    ref = DeviceRef(frame.sender_id, frame.sender_device_id)
    hindered = _check_sender(step, frame, ref)
    if hindered is not None:
        return hindered
    mark = step.mark()
    try:
        payload = payload_of(step, _as_waiting(step, frame, ""))
        content_key = key_for(payload, content)
        body = _open(content_key, content, frame)
    except CryptoError as problem:
        step.back_to(mark)
        return _failed(step, frame, ref, problem)
    return _opened(step, frame, bytes(content_key), body)


def _content(frame: frames.MessageFrame) -> bytes | None:
    if isinstance(frame.content, msgspec.UnsetType):
        return None
    try:
        return base64url.decode(msgspec.json.decode(frame.content, type=str))
    except (msgspec.DecodeError, ValueError):
        return None


def _open(key: ContentKey, content: bytes, frame: frames.MessageFrame) -> bytes:
    sender = DeviceRef(frame.sender_id, frame.sender_device_id)
    return open_body(key, content, frame.conversation_id, sender, frame.client_message_id)


def _opened(step: Step, frame: frames.MessageFrame, key: bytes, body: bytes) -> Opened:
    step.message_keys.append(
        MessageKey(
            frame.conversation_id,
            frame.sequence_number,
            frame.sender_id,
            frame.sender_device_id,
            frame.client_message_id,
            key,
        )
    )
    if frame.sender_id == step.me.user_id:
        groups.said(step, frame.conversation_id, frame.sequence_number)
    forget(step, frame.conversation_id, frame.sequence_number)
    step.tally("messages_opened")
    return Opened(body)


def _with_key(step: Step, frame: frames.MessageFrame, content: bytes, key: bytes) -> Opened | Unreadable:
    known = step.waiting(frame.conversation_id, frame.sequence_number)
    try:
        if known is not None and known.digest and not equal(known.digest, sha256(content).digest()):
            raise BadMessage("the content is another one")
        if len(key) != KEY_BYTES:
            raise BadMessage("a key has the wrong length")
        return _opened(step, frame, key, _open(ContentKey(key), content, frame))
    except CryptoError:
        step.tally("keys_refused")
        step.notices.append(BadKeyDropped(frame.conversation_id, frame.sequence_number))
        if known is not None:
            put(step, msgspec.structs.replace(known, given=False, next_at=step.now))
            return Unreadable("waiting", "bad_key")
        return wait(step, frame, "bad_key")


def _check_sender(step: Step, frame: frames.MessageFrame, ref: DeviceRef) -> Unreadable | None:
    """Return what speaks against the sender's device, None when it is listed, or was when it sent this."""
    if is_direct(frame.conversation_id) and ref.user_id not in direct_members(frame.conversation_id):
        step.tally("messages_of_strangers")
        return Unreadable("refused", "this is a chat of others")
    if ref == step.me:
        return wait(step, frame, "own")
    own = ref.user_id == step.me.user_id
    if own and not step.linked:
        return wait(step, frame, "not_linked")
    if lists.identity_at(step, ref, frame.timestamp) is not None:
        return None
    if step.user(ref.user_id).known and ref.device_id in step.user(ref.user_id).former:
        step.tally("messages_of_unlisted")
        return Unreadable("refused", "unsigned device")
    lists.need(step, ref.user_id)
    return wait(step, frame, "list")


def payload_of(step: Step, message: Waiting) -> bytes:
    """Decrypt the envelope of a message. A failing one changes nothing.

    Raises:
        CryptoError: it does not decrypt, or there is none.
    """
    ref = message.sender
    if message.group_envelope is not None:
        ident = f"{message.conversation_id}/{ref.user_id}/{ref.device_id}"
        known: PeerSenderKeys | None = step.find("peer", ident)
        after, payload = sender_key.decrypt(
            known, _octets(message.group_envelope), message.roster_version, message.device_list_hash
        )
        step.put("peer", ident, after)
        return payload
    identity = lists.identity_at(step, ref, message.timestamp)
    if message.envelope is None or identity is None:
        raise NoSession("there is no envelope for this device")
    return pairwise.decrypt(step, ref, identity, _octets(message.envelope))


def _octets(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise BadMessage("an envelope is no base64url") from None


def _failed(step: Step, frame: frames.MessageFrame, ref: DeviceRef, problem: CryptoError) -> Unreadable:
    """A message does not decrypt: ask for its key, and doubt the session that it came through."""
    name = type(problem).__name__
    step.tally(f"open_failed_{name}")
    if frame.envelope is not None and not isinstance(problem, Duplicate):
        pairwise.renew(step, ref)
    return wait(step, frame, name)


# --- waiting


def wait(step: Step, frame: frames.MessageFrame, reason: str) -> Unreadable:
    """Have a message healed."""
    known, new = step.waiting(frame.conversation_id, frame.sequence_number), _as_waiting(step, frame, reason)
    if known is not None and _same(known, new):
        return Unreadable("waiting", reason)
    if known is None and step.count("waiting") >= WAITING_LIMIT:
        step.tally("waiting_full")
        return Unreadable("waiting", reason)
    step.tally("messages_unreadable")
    put(step, new)
    return Unreadable("waiting", reason)


def _same(one: Waiting, other: Waiting) -> bool:
    """Tell whether two are one message with the same envelopes; the server may have shown something else before."""
    return (one.sender, one.client_message_id, one.envelope, one.group_envelope) == (
        other.sender,
        other.client_message_id,
        other.envelope,
        other.group_envelope,
    )


def _as_waiting(step: Step, frame: frames.MessageFrame, reason: str) -> Waiting:
    return Waiting(
        frame.conversation_id,
        frame.sequence_number,
        DeviceRef(frame.sender_id, frame.sender_device_id),
        frame.client_message_id,
        frame.timestamp,
        frame.envelope,
        frame.group_envelope,
        frame.roster_version or 0,
        frame.device_list_hash or "",
        reason,
        step.now + GRACE_MS,
    )


def put(step: Step, waiting: Waiting) -> None:
    """Store a waiting message."""
    step.put("waiting", f"{waiting.conversation_id}#{waiting.sequence_number}", waiting)


def forget(step: Step, conversation_id: str, number: int) -> None:
    """Wait for a message no more."""
    step.drop("waiting", f"{conversation_id}#{number}")


def given(step: Step, waiting: Waiting, key: bytes, digest: bytes = b"") -> None:
    """A key came for a waiting message: into the store with it, where the message is opened with it."""
    step.message_keys.append(
        MessageKey(waiting.conversation_id, waiting.sequence_number, *waiting.sender, waiting.client_message_id, key)
    )
    changed = msgspec.structs.replace(
        waiting, given=True, next_at=step.now + TRIED_AGAIN_MS, digest=digest or waiting.digest
    )
    put(step, changed)


def try_again(step: Step, ref: DeviceRef, *, groups: bool) -> None:
    """Try the envelopes of what waits from a device: its sender key came (``groups``), or its list."""
    for _, waiting in list(step.all("waiting", Waiting)):
        if waiting.sender != ref or waiting.given or (groups and waiting.group_envelope is None):
            continue
        if lists.identity_at(step, ref, waiting.timestamp) is None:
            continue
        mark = step.mark()
        try:
            payload = payload_of(step, waiting)
        except CryptoError:
            continue
        if len(payload) != PAYLOAD_BYTES:
            step.back_to(mark)
        else:
            step.tally("messages_healed")
            given(step, waiting, payload[:KEY_BYTES], payload[KEY_BYTES:])
