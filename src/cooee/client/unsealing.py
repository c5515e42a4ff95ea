"""The part of a turn about end-to-end encryption: what comes in is opened, what waits is sealed (docs/e2ee.md).

All of it happens in one draft of the agent (`client.e2ee`), which is stored in the turn's own transaction and installed
with it, or dropped with it. So a message, the step that opened it and its acknowledgement never diverge.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from cooee.client.bodies import edit_of, reaction_of, readable, unreadable
from cooee.client.changes import Changes, MessageKey, Page
from cooee.client.e2ee.agent import Agent
from cooee.client.e2ee.draft import Draft
from cooee.client.e2ee.results import (
    BadKeyDropped,
    DeviceListed,
    DeviceUnlisted,
    KeyChanged,
    NeedsLink,
    Notice,
    NotYet,
    Opened,
    OwnStateTold,
    Problem,
    Refused,
)
from cooee.client.e2ee.wants import Want
from cooee.client.events import (
    DeviceLinked,
    DeviceUnlinked,
    EncryptionChanged,
    EncryptionProblem,
    Event,
    LinkNeeded,
    MessageUpdated,
    SetupProgress,
)
from cooee.client.events import KeyChanged as KeyChangedEvent
from cooee.client.model import Message, Pending, frame_of, message_of
from cooee.client.outbox import failed
from cooee.client.state import State
from cooee.domain.errors import ErrorCode
from cooee.domain.message import CONTENT_ENCRYPTED
from cooee.protocol import frames

MODE_EVENT: Final = "settings_changed"
DOUBTS: Final = 5
"""How often the server may say of a message that this device is not linked before it fails for that."""


class Unsealing(Changes):
    """What a turn opens and seals. Without ``agent`` nothing is: encrypted messages stay as they came.

    ``wall``: ms since the Unix epoch.
    """

    def __init__(self, state: State, now: int = 0, agent: Agent | None = None, wall: int = 0) -> None:
        super().__init__(state, now)
        self.agent = agent
        self.wall = wall
        self.answered = False
        """Whether the agent got an answer: what follows from it for what waits is seen by the next step."""
        self._draft: Draft | None = None

    @property
    def draft(self) -> Draft:
        """The agent's step of this turn, begun when it is needed first.

        Raises:
            RuntimeError: there is no agent: encryption is off.
        """
        if self._draft is None:
            if self.agent is None:
                raise RuntimeError("encryption is off")
            self._draft = self.agent.draft(self.wall)
        return self._draft

    # --- what comes in

    def read(self, frame: frames.MessageFrame) -> Message:
        """Return the message of a frame, opened if it is encrypted and not held already."""
        message = message_of(frame)
        if self.agent is None:
            return message
        pending = self.pending(frame.client_message_id) if message.sent_by(self.state.me) else None
        if pending is not None and pending.encrypted and not message.deleted:
            return pending.placed(self.state.me, message.message_id, message.sequence_number, message.timestamp)
        if message.content_type != CONTENT_ENCRYPTED:
            return message
        return self._held(message) or self._opened(message, frame)

    def _held(self, message: Message) -> Message | None:
        """Return a message that was opened before; as it came, where the store has it and it is not needed."""
        conversation = self.conversation(message.conversation_id)
        number = message.sequence_number
        if conversation.learned and conversation.start < number <= conversation.position:
            return message
        found = self.messages.get((message.conversation_id, number))
        if found is not None:
            return found
        early = (held for piece in conversation.early for held in piece.messages)
        return next((held for held in early if held.sequence_number == number), None)

    def _opened(self, message: Message, frame: frames.MessageFrame, key: bytes | None = None) -> Message:
        result = self.draft.open(frame, key)
        if not isinstance(result, Opened):
            return unreadable(message, result.problem)
        read = self.conversation(message.conversation_id).read >= message.sequence_number
        return readable(message, result.body, read=read or message.sender_id == self.state.me.user_id)

    def heal(self, found: Iterable[tuple[Message, bytes]]) -> None:
        """Open messages that could not be read so far, and whose key has come."""
        for message, key in found:
            opened = self._opened(message, frame_of(message), key)
            place = (message.conversation_id, message.sequence_number)
            if opened.content_type == CONTENT_ENCRYPTED:
                self.dropped_keys.append(place)
                continue
            self.messages[place] = opened
            self.amend(opened)
            self._set_timer(opened)
            self.events.append(MessageUpdated(opened))

    def _open_late(self, keys: Iterable[MessageKey]) -> None:
        """Open what came in this very turn before its key did: nobody needs to see that it waited."""
        for key in keys:
            place = (key.conversation_id, key.sequence_number)
            message = self.messages.get(place)
            if message is None or message.problem != "waiting":
                continue
            opened = self._opened(message, frame_of(message), key.key)
            if opened.problem == "waiting":
                continue
            self.messages[place] = opened
            self.amend(opened)
            self._set_timer(opened)
            kept = [] if opened.hidden else [opened]
            for at, event in enumerate(self.events):
                if event is message:
                    self.events[at : at + 1] = kept
                    break

    def page(self, page: frames.Messages, held: "Callable[[frames.MessageFrame], Message | bytes | None]") -> None:
        """Take in a page of history from the server. ``held``: the message if it is readable here, or its key."""
        messages = []
        for raw in page.messages:
            frame = decode_message(raw)
            message = message_of(frame)
            if message.content_type == CONTENT_ENCRYPTED and self.agent is not None:
                known = held(frame)
                message = known if isinstance(known, Message) else self._opened(message, frame, known)
            self.amend(message)
            messages.append(message)
        first = 1 if page.complete else page.covered_from
        self.pages.append(Page(page.conversation_id, tuple(messages), first, page.covered_through))

    def amend(self, message: Message) -> None:
        """Note what a control says of another message."""
        reaction, edit = reaction_of(message), edit_of(message)
        if reaction is not None:
            self.reactions.append(reaction)
        if edit is not None:
            self.edits.append(edit)

    def settle(self, message: Message) -> None:
        """Take in what a message that is delivered, in order, says of its conversation: the mode, the timer."""
        self._set_timer(message)
        conversation = self.conversation(message.conversation_id)
        number = message.sequence_number
        if message.event == MODE_EVENT:
            mode = message.content.get("encryption")
            if mode in {"plain", "encrypted"} and number > conversation.mode_at:
                plain = conversation.plain and mode == "plain"  # the server alone vouches for it: it may only encrypt
                self.change(message.conversation_id, plain=plain, told_plain=mode == "plain", mode_at=number)
                self.events.append(EncryptionChanged(message.conversation_id, mode, message.sender_id))
        if message.event and self.agent is not None and conversation.kind == "group":
            self.draft.system(frame_of(message))

    def _set_timer(self, message: Message) -> None:
        if message.control == "timer":
            number = message.sequence_number
            if number > self.conversation(message.conversation_id).timer_at:
                self.change(message.conversation_id, timer=message.content["expiresIn"], timer_at=number)

    def note_read(self, conversation_id: str, number: int) -> None:
        """Let the time of disappearing messages run that are read now."""
        read = self.conversation(conversation_id).read
        if self.agent is not None and number > read:
            former = self.read_at.get(conversation_id, (read, read, 0))
            self.read_at[conversation_id] = (former[0], max(former[1], number), self.wall)

    def take_control(self, frame: frames.ToDevice) -> None:
        """Take in a blob for this device; it is acknowledged once this turn is stored."""
        if frame.sequence_number > self.to_device:
            self.to_device = frame.sequence_number
            self.keeps_to_device = True
            self.draft.to_device(frame)

    def answer(self, want: Want, answer: Any) -> None:
        """Give the agent what it wanted."""
        self.answered = True
        self.draft.got(want, answer)

    def answer_failed(self, want: Want, code: str, retry_after_ms: int | None = None) -> None:
        """Tell the agent that it does not get what it wanted."""
        self.answered = True
        self.draft.failed(want, code, retry_after_ms)

    # --- what goes out

    def place_letter(self, pending: Pending, number: int) -> None:
        """Keep the key of an own message that has its number."""
        if pending.letter is not None and self.agent is not None:
            self.draft.placed(pending.letter, number)

    def seal_due(self) -> None:
        """Seal what is to be sent now."""
        if self.agent is None:
            return
        for entry in self.state.outbox.to_seal(self.placed.keys() | self.failed.keys()):
            if entry.letter is None or entry.client_message_id in self.unsealed:
                continue
            result = self.draft.seal(entry.letter)
            if isinstance(result, Refused):
                self.fail(failed(entry, result.code, result.reason))
            elif isinstance(result, NotYet):
                self._tell_setup(entry.conversation_id, result.done, result.total)
            else:
                self._tell_setup(entry.conversation_id, 0, 0)
                self.sealed[entry.client_message_id] = msgspec.structs.replace(entry, sealed=result)

    def doubts_standing(self, pending: Pending, refusal: frames.Error) -> bool:
        """Tell whether the server says that this device is not linked, which then is looked at again a few times."""
        forbidden = refusal.code == ErrorCode.FORBIDDEN and pending.encrypted and not pending.preview
        return self.agent is not None and forbidden and self.state.outbox.unsealings(pending.client_message_id) < DOUBTS

    def _tell_setup(self, conversation_id: str, done: int, total: int) -> None:
        former = self.state.setup.get(conversation_id, (0, 0))
        if total == 0 and former[1]:
            done = total = former[1]
            self.setup[conversation_id] = (0, 0)
        elif total == 0 or (done, total) == former:
            return
        else:
            self.setup[conversation_id] = (done, total)
        if (done, total) != former:
            self.events.append(SetupProgress(conversation_id, done, total))

    def fail(self, entry: Pending) -> None:
        """A message is given up, for the reason that the failed entry states."""
        raise NotImplementedError

    # --- the end of the turn

    def close_draft(self) -> None:
        """Take what the draft leaves to be stored and told into the turn. Call once, when the turn is complete."""
        draft = self._draft
        if draft is None:
            self._bound_expiry()
            return
        self._open_late([MessageKey(*msgspec.structs.astuple(key)) for key in draft.message_keys])
        for notice in draft.notices:
            self._notice(notice)
        self.records = draft.records()
        self.message_keys += [MessageKey(*msgspec.structs.astuple(key)) for key in draft.message_keys]
        self._bound_expiry()

    def _bound_expiry(self) -> None:
        """Let messages whose time runs disappear in time: the server's time, which it runs from, may lie ahead."""
        if self.agent is None:
            return
        for place, message in self.messages.items():
            self.messages[place] = self._bounded(message)
        self.pages = [page._replace(messages=tuple(map(self._bounded, page.messages))) for page in self.pages]

    def _bounded(self, message: Message) -> Message:
        latest = self.wall + message.expires_in
        return msgspec.structs.replace(message, expires_at=latest) if message.expires_at > latest else message

    def _notice(self, notice: Notice) -> None:
        if isinstance(notice, BadKeyDropped):
            self.dropped_keys.append(notice)
        elif isinstance(notice, OwnStateTold):
            self._own_state(notice)
        else:
            event = _event_of(notice)
            if event is not None:
                self.events.append(event)

    def _own_state(self, told: OwnStateTold) -> None:
        """Take in how another own device has set conversations; in the clear only where the timeline says so too."""
        for one in told.conversations:
            conversation = self.conversation(one.conversation_id)
            if one.mode is not None and (not conversation.mode_at or conversation.told_plain):
                self.change(one.conversation_id, plain=one.mode == "plain")
            if one.expires_in is not None and not conversation.timer_at:
                self.change(one.conversation_id, timer=one.expires_in)

    def install(self) -> None:
        """Make the changes the state, and the draft the agent's. Call after they are stored."""
        super().install()
        if self._draft is not None:
            self._draft.install()


decode_message = msgspec.json.Decoder(frames.MessageFrame).decode


def _event_of(notice: Notice) -> Event | None:
    match notice:
        case KeyChanged(user_id, verified):
            return KeyChangedEvent(user_id, verified)
        case DeviceListed(device_id):
            return DeviceLinked(device_id)
        case DeviceUnlisted(device_id):
            return DeviceUnlinked(device_id)
        case NeedsLink():
            return LinkNeeded()
        case Problem(code, text, user_id):
            return EncryptionProblem(code, text, user_id)
    return None
