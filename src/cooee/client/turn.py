"""One step of the client's state: what some frames, or the user's own wishes, change, cause and tell.

A `Turn` reads the state and never touches it; it collects the changes, so that they are stored in one transaction
first, then installed, then told. A turn whose transaction failed is dropped, and nothing has happened. Frames may come
doubled, late, in any order and not at all: what is left after a resync is the same.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from cooee.client.events import (
    AccountUpdated,
    MediaUpdated,
    MessageDeleted,
    Presence,
    TickChanged,
    ToDevice,
    Typing,
)
from cooee.client.model import Message, Pending
from cooee.client.outbox import failed, is_final
from cooee.client.state import ConversationState, ServerCount
from cooee.client.system import after_system_message
from cooee.client.ticks import covered
from cooee.client.timeline import Held, Piece, hold, single
from cooee.client.unsealing import Unsealing, decode_message
from cooee.domain.errors import ErrorCode
from cooee.domain.message import CONTENT_SYSTEM
from cooee.domain.receipt import Watermark
from cooee.protocol import frames, http

TYPING_EXPIRES_MS = 6_000
_FOREVER = 1 << 62

_decode_conversation = msgspec.json.Decoder(http.Conversation).decode


class Turn(Unsealing):
    """What frames and the user's wishes change, cause and tell."""

    # --- frames

    def take(self, frame: frames.ServerFrame) -> None:
        """Take in one server frame. Frames that only concern the connection change nothing."""
        handle = self._FRAMES.get(type(frame))
        if handle is not None:
            handle(self, frame)

    def _message(self, frame: frames.MessageFrame) -> None:
        message = self.read(frame)
        number = message.sequence_number
        conversation = self.conversation(message.conversation_id)
        if conversation.learned and number <= conversation.position:
            self.redelivered[message.conversation_id] = min(
                number, self.redelivered.get(message.conversation_id, _FOREVER)
            )
        self._hold(message.conversation_id, single(message))

    def _skipped(self, frame: frames.Skipped) -> None:
        self._hold(frame.conversation_id, Piece(frame.from_, frame.through))

    def _page(self, frame: frames.Messages) -> None:
        messages = tuple(self.read(decode_message(raw)) for raw in frame.messages)
        if frame.covered_from <= frame.covered_through:
            self._hold(frame.conversation_id, Piece(frame.covered_from, frame.covered_through, messages))

    def _ack(self, frame: frames.Ack) -> None:
        pending = self.pending(frame.client_message_id)
        if pending is None:
            if self.agent is not None and frame.client_message_id is not None:
                self.answered = True
                self.draft.to_device_acked(frame.client_message_id)
            return
        if frame.sequence_number is not None and frame.message_id is not None:
            self._place(pending, frame.message_id, frame.sequence_number, frame.timestamp or pending.created_at)
        elif pending.client_message_id not in self.accepted:
            self.accepted[pending.client_message_id] = frame.timestamp or pending.created_at
            self._tell_sent(pending, None)

    def _committed(self, frame: frames.Committed) -> None:
        pending = self.pending(frame.client_message_id)
        if pending is not None:
            known = self.accepted.get(pending.client_message_id)
            timestamp = known or self.state.outbox.accepted_at(pending.client_message_id) or pending.created_at
            self._place(pending, frame.message_id, frame.sequence_number, timestamp)

    def _place(self, pending: Pending, message_id: str, number: int, timestamp: int) -> None:
        self._hold(
            pending.conversation_id, single(pending.placed(self.state.me, message_id, number, timestamp)), own=pending
        )

    def _error(self, frame: frames.Error) -> None:
        pending = self.pending(frame.client_message_id)
        if pending is None:
            if self.agent is not None and frame.client_message_id is not None:
                self.draft.to_device_refused(frame.client_message_id, frame.code, frame.retry_after_ms)
            return
        if frame.code == ErrorCode.MISMATCHED_DEVICES and pending.encrypted and self.agent is not None:
            self.draft.mismatched(pending.conversation_id, frame)
            self.unsealed.add(pending.client_message_id)
        elif self.doubts_standing(pending, frame):
            self.draft.look_up(self.state.me.user_id)
            self.unsealed.add(pending.client_message_id)
        elif is_final(frame.code, retryable=frame.retryable):
            self.fail(failed(pending, frame.code, frame.message))
        elif frame.code != ErrorCode.UNAUTHORIZED:
            self.held_back[pending.client_message_id] = frame.retry_after_ms

    def _receipt(self, frame: frames.Receipt) -> None:
        conversation = self.conversation(frame.conversation_id)
        number = frame.sequence_number
        delivered, read = (number, number if frame.status == "read" else 0)
        if frame.scope == "all":
            self.change(frame.conversation_id, by_all=conversation.by_all.merge(delivered, read))
        elif frame.user_id is not None:
            self._mark(frame.conversation_id, frame.user_id, delivered, read)
            if frame.user_id == self.state.me.user_id and frame.status == "read":
                self._read_up_to(frame.conversation_id, number)
        self._learn_if_needed(frame.conversation_id)

    def _mark(self, conversation_id: str, user_id: str, delivered: int, read: int) -> None:
        marks = self.conversation(conversation_id).marks
        mark = marks.get(user_id, Watermark())
        merged = mark.merge(delivered, read)
        if merged != mark:
            self.change(conversation_id, marks={**marks, user_id: merged})

    def _read_up_to(self, conversation_id: str, number: int) -> None:
        conversation = self.conversation(conversation_id)
        self.note_read(conversation_id, number)
        self.change(
            conversation_id,
            read=max(conversation.read, number),
            read_confirmed=max(conversation.read_confirmed, number),
        )

    def _hint(self, frame: frames.TimelineHint) -> None:
        conversation = self.conversation(frame.conversation_id)
        head = max(conversation.head, frame.last_sequence_number)
        self.change(frame.conversation_id, head=head, hinted=conversation.hinted or head > conversation.position)
        self._learn_if_needed(frame.conversation_id)

    def _watermarks(self, frame: frames.Watermarks) -> None:
        for item in frame.items:
            self._marks(item.conversation_id, item.members, item.delivered_by_all, item.read_by_all)
            self._read_up_to(item.conversation_id, item.read_sequence_number)
            conversation = self.conversation(item.conversation_id)
            self.change(
                item.conversation_id,
                head=max(conversation.head, item.last_sequence_number),
                server_received=max(conversation.server_received, item.received_sequence_number),
            )
            self.learned(item.conversation_id, item.received_sequence_number, item.last_sequence_number)

    def _marks(
        self,
        conversation_id: str,
        members: Iterable[frames.MemberWatermark],
        delivered_by_all: int | None,
        read_by_all: int | None,
    ) -> None:
        for member in members:
            self._mark(conversation_id, member.user_id, member.delivered, member.read)
        by_all = self.conversation(conversation_id).by_all.merge(delivered_by_all or 0, read_by_all or 0)
        self.change(conversation_id, by_all=by_all)

    def _presence(self, frame: frames.Presence) -> None:
        self.events.append(Presence(frame.user_id, frame.status, frame.last_seen))

    def _typing(self, frame: frames.Typing) -> None:
        if frame.user_id is None or frame.user_id == self.state.me.user_id:
            return
        key = (frame.conversation_id, frame.user_id)
        started = frame.status == "started"
        self.typing[key] = self.now + TYPING_EXPIRES_MS if started else None
        self.events.append(Typing(*key, "started" if started else "stopped", frame.kind))

    def _to_device(self, frame: frames.ToDevice) -> None:
        if self.agent is not None:
            self.take_control(frame)
        elif frame.sequence_number > self.to_device:
            self.to_device = frame.sequence_number
            self.events.append(ToDevice(frame.sequence_number, frame.sender_id, frame.sender_device_id, frame.content))

    def _media(self, frame: frames.MediaSeen) -> None:
        self.seen[frame.media_key] = frame
        self.events.append(
            MediaUpdated(
                frame.conversation_id,
                frame.media_key,
                frame.thumbnail,
                frame.width,
                frame.height,
                frame.duration_ms,
                frame.blurhash,
                frame.waveform,
            )
        )

    def _conversation_changed(self, frame: frames.ConversationChanged) -> None:
        self.snapshot(_decode_conversation(frame.conversation))
        self._follow_token(frame.sync_token)

    def _account_changed(self, frame: frames.AccountChanged) -> None:
        self.events.append(AccountUpdated(frame.changed))
        if frame.changed == "devices" and self.agent is not None:
            self.draft.look_up(self.state.me.user_id)
        self._follow_token(frame.sync_token)

    def _follow_token(self, token: str) -> None:
        """Keep the token of a change; before the first snapshot there is none to go on from."""
        if token and (self.sync_token or self.state.sync_token):
            self.sync_token = token

    # --- the timeline

    def _hold(self, conversation_id: str, piece: Piece, own: Pending | None = None) -> None:
        """Take in settled numbers; an own message among them ends its wait in the outbox."""
        conversation = self.conversation(conversation_id)
        own_last = conversation.own_last
        for message in piece.messages:
            if message.sender_id == self.state.me.user_id and message.content_type != CONTENT_SYSTEM:
                own_last = max(own_last, message.sequence_number)
            settled = self._settle_own(message, own)
            known = conversation.learned and conversation.start < message.sequence_number <= conversation.position
            if settled or message.deleted or not known:
                self.messages[conversation_id, message.sequence_number] = message
                self.amend(message)
        learned = conversation.learned or piece.first <= 1
        head = max(conversation.head, piece.through)
        if not learned:
            early = hold(0, conversation.early, piece)
            self.change(conversation_id, early=early.early, head=head, own_last=own_last)
            self.learn.add(conversation_id)
            return
        held = hold(conversation.position, conversation.early, piece)
        self._advance(conversation_id, held.position, held.early, head=head, own_last=own_last)
        self._deliver(held.delivered)

    def _advance(self, conversation_id: str, position: int, early: tuple[Piece, ...], **changes: Any) -> None:
        conversation = self.conversation(conversation_id)
        head = max(changes.pop("head", 0), conversation.head, position)
        hinted = conversation.hinted and position < head
        self.change(conversation_id, learned=True, position=position, early=early, head=head, hinted=hinted, **changes)

    def _settle_own(self, message: Message, own: Pending | None) -> bool:
        """End the wait of an own message in the outbox; False when ``message`` is none that waits."""
        if not message.sent_by(self.state.me):
            return False
        pending = own or self.pending(message.client_message_id)
        if pending is None or pending.conversation_id != message.conversation_id:
            return False
        self.placed[pending.client_message_id] = message
        self.place_letter(pending, message.sequence_number)
        self._tell_sent(pending, message.sequence_number)
        return True

    def _tell_sent(self, pending: Pending, number: int | None) -> None:
        self.events.append(TickChanged(pending.conversation_id, "sent", number, pending.client_message_id))

    def _deliver(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._stop_typing(message)
            last_activity = max(self.conversation(message.conversation_id).last_activity, message.timestamp)
            self.change(message.conversation_id, last_activity=last_activity)
            if message.content_type == CONTENT_SYSTEM:
                self._system(message)
            self.settle(message)
            if not message.sent_by(self.state.me) and not message.hidden:
                self.events.append(message)

    def _stop_typing(self, message: Message) -> None:
        key = (message.conversation_id, message.sender_id)
        if self.typing.get(key, self.state.typing.get(key)) is not None:
            self.typing[key] = None
            self.events.append(Typing(*key, "stopped"))

    def _system(self, message: Message) -> None:
        conversation = self.conversation(message.conversation_id)
        changes = after_system_message(conversation, message, self.state.me.user_id)
        if changes:
            self.change(message.conversation_id, **changes)
        if message.event == "message_deleted":
            number = message.content.get("sequenceNumber")
            if isinstance(number, int) and not isinstance(number, bool):
                self.erased.append((message.conversation_id, number))
                if self.agent is not None:
                    self.draft.forget(message.conversation_id, number)
                self.events.append(MessageDeleted(message.conversation_id, number, message.sender_id))

    # --- snapshots and wishes

    def snapshot(self, entry: http.Conversation) -> None:
        """Take in a conversation as the server lists it (§7): merged, so that an old one does no harm."""
        self._marks(entry.conversation_id, entry.members, entry.delivered_by_all, entry.read_by_all)
        self._read_up_to(entry.conversation_id, entry.read_sequence_number)
        conversation = self.conversation(entry.conversation_id)
        newer = entry.last_sequence_number >= conversation.counted.last
        self.change(
            entry.conversation_id,
            title=entry.title or conversation.title,
            first=max(conversation.first, entry.first_sequence_number),
            server_received=max(conversation.server_received, entry.received_sequence_number),
            roster=_listed(conversation, entry),
            muted_until=entry.muted_until,
            pinned=entry.pinned,
            archived=entry.archived,
            left=entry.left if newer else conversation.left,
            last_activity=max(conversation.last_activity, entry.last_activity),
            counted=ServerCount(entry.unread, entry.read_sequence_number, entry.last_sequence_number)
            if newer
            else conversation.counted,
        )
        self.learned(entry.conversation_id, entry.received_sequence_number, entry.last_sequence_number)

    def learned(self, conversation_id: str, received: int, last: int) -> None:
        """Take in where this device starts in a conversation, unless that is known."""
        conversation = self.conversation(conversation_id)
        if conversation.learned:
            self.change(conversation_id, head=max(conversation.head, last))
            return
        held = Held(received, (), ())
        delivered: tuple[Message, ...] = ()
        for piece in conversation.early:
            held = hold(held.position, held.early, piece)
            delivered += held.delivered
        self._advance(conversation_id, held.position, held.early, head=last, start=received)
        self._deliver(delivered)

    def roster(self, group: http.Group) -> None:
        """Take in a group's members with the numbers of their joining."""
        members = {member.user_id: member.joined for member in group.members}
        self.change(group.conversation_id, roster=members, roster_exact=True, title=group.name)

    def mark_read(self, conversation_id: str, number: int | None) -> None:
        """The user has read up to ``number`` (None: all that is held)."""
        conversation = self.conversation(conversation_id)
        upper = conversation.position if number is None else min(number, conversation.position)
        if upper > conversation.read:
            self.note_read(conversation_id, upper)
            self.change(conversation_id, read=upper)

    def fail(self, entry: Pending) -> None:
        """A message is given up, for the reason that the failed entry states."""
        self.failed[entry.client_message_id] = entry
        self.events.append(
            TickChanged(
                entry.conversation_id, "failed", None, entry.client_message_id, code=entry.code, reason=entry.reason
            )
        )

    def expire_typing(self) -> None:
        """End the typing of those from whom nothing came for 6 s."""
        for key, until in self.state.typing.items():
            if until <= self.now and key not in self.typing:
                self.typing[key] = None
                self.events.append(Typing(*key, "stopped"))

    # --- the end of the turn

    def finish(self) -> "Turn":
        """Derive the ticks and say which rosters are needed for them. Call once, before the turn is stored."""
        self.close_draft()
        for conversation_id in list(self.conversations):
            self._tick(conversation_id)
        return self

    def _tick(self, conversation_id: str) -> None:
        conversation = self.conversation(conversation_id)
        if conversation.own_last == 0 or conversation.left:
            return
        if not conversation.roster_exact and conversation.roster is not None:
            self.rosters.add(conversation_id)
        now = covered(
            conversation.roster, conversation.marks, conversation.by_all, self.state.me.user_id, conversation.position
        )
        ticked = conversation.ticked.merge(now.delivered, now.read)
        if ticked == conversation.ticked:
            return
        former = conversation.ticked
        self.change(conversation_id, ticked=ticked)
        if ticked.delivered > former.delivered < conversation.own_last:
            self.events.append(TickChanged(conversation_id, "delivered", ticked.delivered))
        if ticked.read > former.read < conversation.own_last:
            self.events.append(TickChanged(conversation_id, "read", ticked.read))

    def _learn_if_needed(self, conversation_id: str) -> None:
        if not self.conversation(conversation_id).learned:
            self.learn.add(conversation_id)

    _FRAMES: ClassVar[dict[type, Callable[["Turn", Any], None]]] = {
        frames.MessageFrame: _message,
        frames.Skipped: _skipped,
        frames.Messages: _page,
        frames.Ack: _ack,
        frames.Committed: _committed,
        frames.Error: _error,
        frames.Receipt: _receipt,
        frames.TimelineHint: _hint,
        frames.Watermarks: _watermarks,
        frames.Presence: _presence,
        frames.Typing: _typing,
        frames.ToDevice: _to_device,
        frames.ConversationChanged: _conversation_changed,
        frames.AccountChanged: _account_changed,
        frames.MediaSeen: _media,
    }


def _listed(conversation: ConversationState, entry: http.Conversation) -> dict[str, int] | None:
    """Return the roster after a snapshot: what the timeline told stays; else who is listed, joining numbers assumed."""
    if conversation.roster_exact:
        return dict(conversation.roster or {})
    if not entry.members:
        return None
    known = conversation.roster or {}
    return {member.user_id: known.get(member.user_id, 1) for member in entry.members}
