"""The ticks of one message, as they change, and how long they are waited for."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeGuard

import msgspec

from cooee.cli.errors import UNREACHABLE, CliError, without_internals
from cooee.cli.invocation import Invocation
from cooee.cli.render import tick
from cooee.client import Api, ConnectionFailed, ConnectionState, Event, SendFailed, ServerError, TickChanged
from cooee.protocol import frames

NOT_YET = "Not read yet; `cooee history` shows the ticks later."
_ORDER = ("sent", "delivered", "read")
LOOK_EVERY_S = 1.0
"""How often the server is asked for ticks that are not told."""


class Wait(msgspec.Struct, frozen=True):
    """How long to wait (s), for what, and whether the first connection that fails ends it."""

    until: str
    seconds: float
    gives_up_at_once: bool


class Ticked(msgspec.Struct, frozen=True, tag="tick"):
    """A message has another tick. ``sequence_number`` is its number once that is known."""

    status: str
    conversation_id: str
    client_message_id: str
    sequence_number: int | None = None


class Ticks:
    """Follows the ticks of one message, and says each new one; they only go forward, and none is passed over."""

    def __init__(self, say: Callable[[Ticked], None], conversation_id: str, client_message_id: str) -> None:
        self._say = say
        self._conversation_id = conversation_id
        self._client_message_id = client_message_id
        self._said = -1
        self._through = {"delivered": 0, "read": 0}
        self.number: int | None = None

    def reached(self, status: str, number: int | None = None) -> None:
        """Say ``status``, after those before it; ``number`` is the message's once it is known."""
        self.number = number if number is not None else self.number
        for at in range(self._said + 1, _ORDER.index(status) + 1):
            self._said = at
            self._say(Ticked(_ORDER[at], self._conversation_id, self._client_message_id, self.number))

    def take(self, event: TickChanged) -> None:
        """Say what ``event``, of this conversation, says of this message.

        Raises:
            SendFailed: it was refused.
        """
        if event.client_message_id == self._client_message_id:
            if event.status == "failed":
                raise SendFailed(event.code or "bad_frame", event.reason or "the message was refused")
            self.reached("sent", event.sequence_number)
        elif event.status in self._through:
            self._through[event.status] = max(self._through[event.status], event.sequence_number or 0)
        for status, number in self._through.items():
            if self.number is not None and number >= self.number:
                self.reached(status)

    def done(self, status: str) -> bool:
        """Tell whether ``status`` has been reached."""
        return self._said >= _ORDER.index(status)


class TickLine:
    """Shows the ticks of messages: in one line that changes on a terminal, else in a line each."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._in_place = not invocation.as_json and sys.stdout.isatty()
        self._message = ""

    def show(self, ticked: Ticked) -> None:
        """Show a tick."""
        self._invocation.settle()
        record = {
            "type": "tick",
            "status": ticked.status,
            "conversationId": ticked.conversation_id,
            "clientMessageId": ticked.client_message_id,
            "sequenceNumber": ticked.sequence_number,
        }
        line = tick(self._invocation.look, ticked.status, words=True)
        if not self._in_place:
            self._invocation.tell(record, line)
            return
        if self._message != ticked.client_message_id:
            self.end()
        sys.stdout.write(("\r\x1b[K" if self._message else "") + line)
        sys.stdout.flush()
        self._message = ticked.client_message_id

    def end(self) -> None:
        """Leave the line of the ticks."""
        if self._in_place and self._message:
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._message = ""


def is_broken(event: Event) -> TypeGuard[ConnectionState]:
    """Tell whether an event says that a try to connect has failed."""
    return isinstance(event, ConnectionState) and event.state == "waiting"


def _ended(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


def not_sent_yet(reason: str, then: str = "goes out with the next `cooee send` or `cooee listen`") -> CliError:
    """Build what is said of a message that waits in the outbox; ``then``: when it will be sent."""
    return CliError(
        f"Not sent yet: {_ended(without_internals(reason))} The message is kept and {then}; `cooee outbox` shows it.",
        UNREACHABLE,
        code="unreachable",
    )


async def patiently(sending: Callable[[], Awaitable[frames.Ack]], wait: Wait) -> frames.Ack:
    """Send, and send the same again where that is safe and wanted: the server stores it once."""
    while True:
        try:
            return await sending()
        except ConnectionFailed:
            if wait.gives_up_at_once:
                raise
        except ServerError as refusal:
            if not refusal.retryable:
                raise
            await asyncio.sleep((refusal.retry_after_ms or 0) / 1000)
        await asyncio.sleep(random.random())  # noqa: S311  # a spread of waits, no secret


async def look(api: Api, ticks: Ticks, conversation_id: str, me: str) -> None:
    """Ask who has received and who has read the message."""
    if ticks.number is None:
        return
    with suppress(ConnectionFailed):
        others = [mark for mark in await api.receipts(conversation_id, ticks.number) if mark.user_id != me]
        if all(mark.delivered >= ticks.number for mark in others):
            ticks.reached("delivered")
        if all(mark.read >= ticks.number for mark in others):
            ticks.reached("read")
