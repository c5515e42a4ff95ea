"""Blobs from other devices (`to_device`): decrypted, read, and handed to whom they concern."""

from typing import Final

from cooee.client.e2ee import healing, kinds, linking, lists, opening, pairwise, senders
from cooee.client.e2ee.kinds import ArchiveWish, Held
from cooee.client.e2ee.results import OwnStateTold
from cooee.client.e2ee.step import SUITE, Retry, Step, wait_ms
from cooee.client.e2ee.wants import StoredArchive
from cooee.crypto import sender_key
from cooee.crypto.errors import CryptoError, Duplicate
from cooee.crypto.suite import MessageKind
from cooee.domain import base64url
from cooee.domain.ids import DeviceRef, is_direct
from cooee.protocol import frames
from cooee.protocol.body import (
    ArchiveControl,
    BadBody,
    KeyReplyControl,
    KeyRequestControl,
    LinkedControl,
    OwnControl,
    SenderKeyControl,
    SessionControl,
    decode_control,
)

HELD_LIMIT: Final = 500
"""Blobs that wait for the list of their sender."""
GROUPS_PER_DEVICE: Final = 1_000
"""Groups of which the sender keys of one device are kept; messages of further ones are healed one by one."""
RETRIES_WHOLE: Final = 3
"""So often is a frame retried as a whole when the server is busy; then one full queue does not hold up the others."""
RETRIES_ALONE: Final = 10
"""So often is a blob retried that is alone in its frame: its device's queue is full."""


def take(step: Step, frame: frames.ToDevice) -> None:
    """Take in a blob."""
    ref = DeviceRef(frame.sender_id, frame.sender_device_id)
    if ref == step.me:
        return
    if not step.has_device:
        hold(step, ref, frame.content)
        return
    if ref.user_id == step.me.user_id and not step.linked:
        _take_from_own(step, ref, frame.content)
        return
    identity = lists.identity_of(step, ref)
    if identity is None:
        hold(step, ref, frame.content)
        return
    _read(step, ref, identity, frame.content)


def hold(step: Step, ref: DeviceRef, content: str) -> None:
    """Keep a blob until the list of its sender was fetched."""
    if step.count("held") >= HELD_LIMIT:
        step.tally("blobs_dropped")
        return
    step.put("held", f"{step.now:013d}{step.memory.next_number():08d}", Held(ref, content, step.now))
    lists.need(step, ref.user_id)


def release(step: Step, user_id: str) -> None:
    """A user's list was fetched: read what was held of his devices; what is of none is dropped."""
    for ident, held in list(step.all("held", Held)):
        if held.sender.user_id != user_id:
            continue
        own_unlinked = user_id == step.me.user_id and not step.linked
        identity = lists.identity_of(step, held.sender)
        if own_unlinked:
            continue
        step.drop("held", ident)
        if identity is None:
            step.tally("blobs_of_unlisted")
        else:
            _read(step, held.sender, identity, held.content)


def _read(step: Step, ref: DeviceRef, identity: bytes, content: str) -> None:
    mark = step.mark()
    try:
        plaintext = pairwise.decrypt(step, ref, identity, base64url.decode(content))
    except Duplicate:
        step.tally("blobs_repeated")
    except (CryptoError, ValueError) as problem:
        step.back_to(mark)
        step.tally(f"blob_failed_{type(problem).__name__}")
        pairwise.renew(step, ref)
    else:
        _act(step, ref, plaintext)


def _take_from_own(step: Step, ref: DeviceRef, content: str) -> None:
    """While this device is not linked it knows no own list: only the answer to its link code is looked at.

    The identity key is the one in the first message; what makes it trusted is the proof, nothing else.
    """
    mark = step.mark()
    try:
        message = base64url.decode(content)
        if SUITE.framing.kind(message) is MessageKind.FIRST:
            identity = bytes(SUITE.framing.decode_first(message).identity)
        else:
            record = step.session(ref)
            if record is None:
                raise ValueError("there is no session")
            identity = bytes(record.peer.identity)
        control = decode_control(pairwise.decrypt(step, ref, identity, message))
    except (CryptoError, ValueError):
        step.back_to(mark)
        hold(step, ref, content)
        return
    if isinstance(control, LinkedControl):
        linking.linked(step, ref, identity, control)
    else:
        step.back_to(mark)
        hold(step, ref, content)


def _act(step: Step, ref: DeviceRef, plaintext: bytes) -> None:  # noqa: C901  # one case per control
    try:
        control = decode_control(plaintext)
    except BadBody:
        step.tally("controls_malformed")
        return
    step.tally("controls_read")
    is_own = ref.user_id == step.me.user_id
    match control:
        case SessionControl():
            senders.all_again(step, ref)
            linking.hand_again(step, ref)
        case SenderKeyControl():
            _sender_key(step, ref, control)
        case KeyRequestControl():
            healing.requested(step, ref, control)
        case KeyReplyControl():
            healing.replied(step, ref, control)
        case ArchiveControl() if is_own:
            archive = StoredArchive(
                control.media_key, base64url.decode(control.key), base64url.decode(control.digest), control.size
            )
            step.put("archive", f"in/{control.media_key}", ArchiveWish(ref.device_id, archive))
        case OwnControl() if is_own:
            for contact in control.contacts:
                lists.told(step, contact.user_id, base64url.decode(contact.account_key), verified=contact.verified)
            if control.conversations:
                step.notices.append(OwnStateTold(control.conversations))
        case LinkedControl() if is_own:
            step.tally("links_repeated")
        case _:
            step.tally("controls_ignored")


def _sender_key(step: Step, ref: DeviceRef, control: SenderKeyControl) -> None:
    conversation_id = control.conversation_id
    if is_direct(conversation_id):
        step.tally("controls_malformed")
        return
    ident = f"{conversation_id}/{kinds.device_id_of(ref)}"
    try:
        known = step.find("peer", ident)
        if known is None and not _has_room(step, ref):
            step.tally("sender_keys_dropped")
            return
        accepted = sender_key.accept(known, conversation_id, ref, base64url.decode(control.distribution))
    except (CryptoError, ValueError):
        step.tally("controls_malformed")
        return
    step.put("peer", ident, accepted)
    if known is None:
        step.after(lambda: step.memory.peers.update((kinds.device_id_of(ref),)))
    opening.try_again(step, ref, groups=True)


def _has_room(step: Step, ref: DeviceRef) -> bool:
    """Tell whether sender keys of one more group are taken from a device."""
    peers, name = step.memory.peers, kinds.device_id_of(ref)
    if not peers:
        peers.update(ident.split("/", 1)[1] for ident in step.ids("peer"))
    return peers[name] < GROUPS_PER_DEVICE


def archive_made(step: Step, device_id: str, archive: StoredArchive) -> None:
    """Tell a linked device where its history is."""
    control = ArchiveControl(
        media_key=archive.media_key,
        key=base64url.encode(archive.key),
        digest=base64url.encode(archive.digest),
        size=archive.size,
    )
    pairwise.tell(step, DeviceRef(step.me.user_id, device_id), control, "archive")
    step.drop("archive", f"out/{device_id}")


def frame_acked(step: Step, client_message_id: str) -> None:
    """The server has a frame."""
    frame: kinds.OutFrame | None = step.find("out", client_message_id)
    if frame is None:
        return
    for item in frame.items:
        if item.conversation_id:
            senders.acked(step, item)
    _forget(step, client_message_id)


def frame_refused(step: Step, client_message_id: str, code: str, retry_after_ms: int | None) -> None:
    """The server refused a frame: later again, in smaller parts, or not at all when it is one blob alone."""
    frame: kinds.OutFrame | None = step.find("out", client_message_id)
    memory = step.memory
    if frame is None:
        return
    step.tally("frames_refused")
    passing = code in {"rate_limited", "unavailable", "internal", "unauthorized", "unreachable"}
    former = memory.frame_retries.get(client_message_id)
    attempts = 1 if former is None else former.attempts + 1
    most = RETRIES_WHOLE if len(frame.items) > 1 else RETRIES_ALONE
    if passing and (attempts <= most or code != "rate_limited"):
        wait = max(retry_after_ms or 0, wait_ms(attempts - 1))
        retry = Retry(attempts, step.now + wait)
        step.after(lambda: memory.frame_retries.__setitem__(client_message_id, retry))
        step.after(lambda: memory.sent.discard(client_message_id))
        return
    _forget(step, client_message_id)
    if len(frame.items) == 1:
        step.tally("blobs_given_up")
        pairwise.bar(step, frame.items[0].ref)
        return
    middle = len(frame.items) // 2
    for items in (frame.items[:middle], frame.items[middle:]):
        size = sum(len(item.content) for item in items)
        step.put("out", pairwise.new_frame_id(step), kinds.OutFrame(items, size + pairwise.FRAME_BYTES))


def _forget(step: Step, client_message_id: str) -> None:
    memory = step.memory
    step.drop("out", client_message_id)
    step.after(lambda: memory.sent.discard(client_message_id))
    step.after(lambda: memory.frame_retries.pop(client_message_id, None))


def unresolved(step: Step) -> set[str]:
    """Return the users whose lists something stored waits for: to be fetched after a start."""
    users = {held.sender.user_id for _, held in step.all("held", Held)}
    for _, waiting in step.all("waiting", kinds.Waiting):
        if waiting.reason == "list":
            users.add(waiting.sender.user_id)
    return users
