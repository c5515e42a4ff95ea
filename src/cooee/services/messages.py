"""Sending: check, append, acknowledge. The hot path, without a task or a future per message (PROTOCOL.md §3)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from cooee.domain.conversation import Role
from cooee.domain.errors import CooeeError, ErrorCode, not_a_member, not_found
from cooee.domain.ids import DeviceRef, direct_conversation_id, is_direct, is_user_id
from cooee.domain.message import (
    CONTENT_DELETED,
    CONTENT_SYSTEM,
    CONTENT_TEXT,
    MEDIA_TYPES,
    Envelope,
    LogRecord,
    Message,
    Placed,
)
from cooee.ports.clock import Clock
from cooee.ports.message_log import MessageLog
from cooee.ports.timeline import Timeline
from cooee.protocol import frames
from cooee.protocol.codec import encode_body, encode_system_body, error_frame
from cooee.protocol.media import media_content
from cooee.services.budgets import Budgets
from cooee.services.conversations import ConversationView, ConversationViews, check_takes_part
from cooee.services.send_checks import check_send
from cooee.services.send_line import SendLine

_log = logging.getLogger(__name__)
_NOBODY: frozenset[str] = frozenset()
_NO_MEDIA: tuple[str, ...] = ()
_Answer = TypeVar("_Answer")

Reply = Callable[[frames.ServerFrame], None]
"""Takes the one answer to a client frame, on the event loop."""


class Messages:
    """Accepts messages. What it refuses was never appended; what it appended is never refused (invariant 9)."""

    def __init__(
        self,
        log: MessageLog,
        views: ConversationViews,
        timeline: Timeline,
        clock: Clock,
        budgets: Budgets,
        line: SendLine,
    ) -> None:
        self._log = log
        self._views = views
        self._timeline = timeline
        self._clock = clock
        self._budgets = budgets
        self._limits = budgets.limits
        self._line = line
        self._waiting = line.waiting
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, sender: DeviceRef, frame: frames.Send, reply: Reply) -> None:
        """Accept or refuse a message; ``reply`` gets an `Ack` once it is durable, or an `Error`. Never raises.

        Messages of one conversation are appended in the order of the calls.
        """
        try:
            check_send(frame, self._limits)
            conversation_id = frame.conversation_id
            if conversation_id is None:
                conversation_id = _direct_with(sender, frame)
            if (self._waiting or frame.content_type != CONTENT_TEXT) and self._line.take(
                sender, frame, reply, conversation_id, self._forward
            ):
                return
            view = self._views.peek(conversation_id)
            if view is None:
                check_takes_part(conversation_id, sender.user_id)
                self._views.use(conversation_id, partial(self._append_or_refuse, sender, frame, reply))
            else:
                self._append(sender, frame, reply, view)
        except Exception as problem:  # noqa: BLE001  # the session must live; the client may try again
            _refuse(frame, reply, problem)

    async def send_and_wait(self, sender: DeviceRef, frame: frames.Send) -> frames.Ack:
        """Send, and return the `Ack`.

        Raises:
            CooeeError: the refusal.
        """
        future: asyncio.Future[frames.ServerFrame] = asyncio.get_running_loop().create_future()
        self.send(sender, frame, partial(_resolve, future))
        answer = await future
        if isinstance(answer, frames.Ack):
            return answer
        assert isinstance(answer, frames.Error)  # noqa: S101  # `send` knows no third answer
        fields = {name: getattr(answer, name) for name in ("missing", "extra", "roster_version", "device_list_hash")}
        extra = {name: value for name, value in fields.items() if value}
        raise CooeeError(ErrorCode(answer.code), answer.message, retry_after_ms=answer.retry_after_ms, extra=extra)

    async def delete_for_everyone(self, actor: DeviceRef, conversation_id: str, sequence_number: int) -> None:
        """Erase a message's content and envelopes for everybody; its number stays. Idempotent, durable (§11).

        Raises:
            CooeeError: ``not_a_member``, ``not_found``, or ``forbidden`` for one who neither sent it nor
                administers the group.
        """
        check_takes_part(conversation_id, actor.user_id)
        view = await self._views.load(conversation_id)
        if actor.user_id not in view.members:
            raise not_a_member()
        message = await self._timeline.find(conversation_id, sequence_number)
        if message is None or not await self._sees(actor.user_id, conversation_id, sequence_number):
            raise not_found("the message")
        if message.content_type == CONTENT_DELETED:
            return
        _check_may_delete(actor.user_id, message, view)
        await self._append_system(
            LogRecord(
                conversation_id,
                actor.user_id,
                "",
                f"message_deleted.{sequence_number}",
                self._clock.wall_ms(),
                CONTENT_SYSTEM,
                encode_system_body(
                    "message_deleted",
                    actor.user_id,
                    sequenceNumber=sequence_number,
                    messageId=str(message.message_id),
                ),
                erases=sequence_number,
            )
        )

    def _forward(
        self, sender: DeviceRef, frame: frames.Send, reply: Reply, conversation_id: str, refusal: CooeeError | None
    ) -> None:
        """Take a message whose turn in the line has come, as `send` does."""
        try:
            if refusal is not None:
                self._spawn(self._answer_resend(sender, frame, reply, conversation_id, refusal))
                return
            check_takes_part(conversation_id, sender.user_id)
            self._views.use(conversation_id, partial(self._append_or_refuse, sender, frame, reply))
        except Exception as problem:  # noqa: BLE001  # as in `send`
            _refuse(frame, reply, problem)

    def _append_or_refuse(
        self, sender: DeviceRef, frame: frames.Send, reply: Reply, outcome: ConversationView | CooeeError
    ) -> None:
        try:
            if isinstance(outcome, CooeeError):
                raise outcome
            self._append(sender, frame, reply, outcome)
        except Exception as problem:  # noqa: BLE001  # as in `send`
            _refuse(frame, reply, problem)

    def _append(self, sender: DeviceRef, frame: frames.Send, reply: Reply, view: ConversationView) -> None:
        user_id, device_id = sender
        if user_id not in view.members or view.blocked or view.gone:
            refusal = _refusal_of_closed(view) if user_id in view.members else not_a_member()
            self._spawn(self._answer_resend(sender, frame, reply, view.conversation_id, refusal))
            return
        if view.strangers:
            self._open_chat(user_id, view)
        record = LogRecord(
            view.conversation_id,
            user_id,
            device_id,
            frame.client_message_id,
            self._clock.wall_ms(),
            frame.content_type,
            encode_body(frame),
            frame.silent,
            0,
            frame.notification_preview,
            _envelopes(frame) if frame.envelopes else (),
            _NO_MEDIA if frame.content_type == CONTENT_TEXT else self._media(frame),
        )
        self._log.append(record, partial(self._appended, frame, record, reply))

    def _appended(
        self, frame: frames.Send, record: LogRecord, reply: Reply, outcome: Placed | CooeeError | None
    ) -> None:
        if outcome.__class__ is Placed:
            reply(_ack(frame, record.conversation_id, outcome))
        elif isinstance(outcome, CooeeError):
            reply(error_frame(outcome, frame.ref, frame.client_message_id))
        else:
            reply(frames.Ack("sent", frame.ref, frame.client_message_id, conversation_id=record.conversation_id))

    async def _answer_resend(
        self, sender: DeviceRef, frame: frames.Send, reply: Reply, conversation_id: str, refusal: CooeeError
    ) -> None:
        """Refuse, unless this is the re-send of a message that was stored while it was still allowed."""
        try:
            placed = await self._log.find_place((conversation_id, *sender, frame.client_message_id))
        except Exception as problem:  # noqa: BLE001  # the session must live; the client may try again
            _refuse(frame, reply, problem)
            return
        if placed is None:
            _refuse(frame, reply, refusal)
        else:
            reply(_ack(frame, conversation_id, placed))

    def _media(self, frame: frames.Send) -> tuple[str, ...]:
        """Return what the message holds."""
        if frame.content_type not in MEDIA_TYPES:
            return frame.media_keys
        return (media_content(frame.content_type, bytes(frame.content), self._limits.content_bytes).media_key,)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open_chat(self, user_id: str, view: ConversationView) -> None:
        """Count the opening of a direct chat with somebody who does not know the user; once per chat."""
        if user_id in view.strangers:
            self._budgets.spend("new_direct_chats_with_strangers", user_id)
        view.strangers = _NOBODY

    async def _sees(self, user_id: str, conversation_id: str, number: int) -> bool:
        return any(span.covers(number) for span in await self._views.spans(conversation_id, user_id))

    async def _append_system(self, record: LogRecord) -> None:
        future: asyncio.Future[Placed | CooeeError | None] = asyncio.get_running_loop().create_future()
        self._log.append(record, partial(_resolve, future))
        outcome = await future
        if isinstance(outcome, CooeeError):
            raise outcome


def _ack(frame: frames.Send, conversation_id: str, placed: Placed) -> frames.Ack:
    return frames.Ack(
        "sent",
        frame.ref,
        frame.client_message_id,
        str(placed.message_id),
        conversation_id,
        placed.sequence_number,
        placed.timestamp,
    )


def _direct_with(sender: DeviceRef, frame: frames.Send) -> str:
    to = frame.to or ""
    if not is_user_id(to):
        raise not_found("the user")
    return direct_conversation_id(sender.user_id, to)


def _refusal_of_closed(view: ConversationView) -> CooeeError:
    if view.gone:
        return not_found("the user")
    return CooeeError(ErrorCode.BLOCKED, "one of you blocks the other")


def _check_may_delete(user_id: str, message: Message, view: ConversationView) -> None:
    own = message.sender_id == user_id and message.content_type != CONTENT_SYSTEM
    administers = not is_direct(view.conversation_id) and view.members[user_id].role is not Role.MEMBER
    if message.content_type == CONTENT_SYSTEM or not (own or administers):
        raise CooeeError(ErrorCode.FORBIDDEN, "only the sender or an admin of the group deletes a message for everyone")


def _envelopes(frame: frames.Send) -> tuple[Envelope, ...]:
    return tuple(Envelope(wire.user_id, wire.device_id, wire.content) for wire in frame.envelopes)


def _refuse(frame: frames.Send, reply: Reply, problem: Exception) -> None:
    if not isinstance(problem, CooeeError):
        _log.error("a message could not be taken", exc_info=problem)
        problem = CooeeError(ErrorCode.INTERNAL, "the server failed on this message; try again", retry_after_ms=1000)
    reply(error_frame(problem, frame.ref, frame.client_message_id))


def _resolve(future: "asyncio.Future[_Answer]", answer: _Answer) -> None:
    if not future.done():
        future.set_result(answer)
