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
from cooee.client.ledger import EventStream
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


class Ticks:
    """Shows the ticks of one message; they only go forward, and none is passed over."""

    def __init__(self, invocation: Invocation, conversation_id: str, client_message_id: str) -> None:
        self._invocation = invocation
        self._ids = {"conversationId": conversation_id, "clientMessageId": client_message_id}
        self._in_place = not invocation.as_json and sys.stdout.isatty()
        self._shown = -1
        self._through = {"delivered": 0, "read": 0}
        self.number: int | None = None

    def reached(self, status: str, number: int | None = None) -> None:
        """Show ``status``, after those before it; ``number`` is the message's once it is known."""
        self._invocation.settle()
        self.number = number if number is not None else self.number
        for at in range(self._shown + 1, _ORDER.index(status) + 1):
            self._show(_ORDER[at])
            self._shown = at

    def take(self, event: TickChanged) -> None:
        """Show what ``event``, of this conversation, says of this message.

        Raises:
            SendFailed: it was refused.
        """
        if event.client_message_id == self._ids["clientMessageId"]:
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
        return self._shown >= _ORDER.index(status)

    def end(self) -> None:
        """Leave the line of the ticks."""
        if self._in_place and self._shown >= 0:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _show(self, status: str) -> None:
        record = {"type": "tick", "status": status, **self._ids, "sequenceNumber": self.number}
        line = tick(self._invocation.look, status, words=True)
        if self._in_place:
            sys.stdout.write(("\r\x1b[K" if self._shown >= 0 else "") + line)
            sys.stdout.flush()
        else:
            self._invocation.tell(record, line)


async def watch(events: EventStream, ticks: Ticks, conversation_id: str, wait: Wait) -> None:
    """Show the ticks of one message until what is waited for; raises CliError when that is given up."""
    async for event in events:
        if isinstance(event, TickChanged) and event.conversation_id == conversation_id:
            ticks.take(event)
            if ticks.done(wait.until):
                return
        elif is_broken(event) and wait.gives_up_at_once and not ticks.done("sent"):
            raise not_sent_yet(event.reason)


def is_broken(event: Event) -> TypeGuard[ConnectionState]:
    """Tell whether an event says that a try to connect has failed."""
    return isinstance(event, ConnectionState) and event.state == "waiting"


def not_sent_yet(reason: str, then: str = "goes out with the next `cooee send` or `cooee listen`") -> CliError:
    """Build what is said of a message that waits in the outbox; ``then``: when it will be sent."""
    return CliError(
        f"Not sent yet: {without_internals(reason).rstrip('.')}. The message is kept and {then}; "
        "`cooee outbox` shows it.",
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
