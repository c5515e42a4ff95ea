"""Messages, as an application writes them: a part of `Client`."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from cooee.client.model import Message, Pending
from cooee.client.opened import Opened
from cooee.client.state import ConversationState

T = TypeVar("T")


class MessagesOfClient(ABC):
    """What `Client` does with messages on their way."""

    @property
    @abstractmethod
    def _parts(self) -> Opened:
        """The parts of the open client."""

    @abstractmethod
    async def _until(self, check: Callable[[], Awaitable[T | None]], timeout_s: float | None) -> T:
        """Wait until ``check`` returns something."""

    async def send_text(
        self,
        to: str,
        text: str,
        *,
        reply_to: str | None = None,
        mentions: Iterable[str] = (),
        silent: bool = False,
        preview: str | None = None,
    ) -> Pending:
        """Commit a text to the outbox, from where it is sent once, now or when there is a connection again.

        ``to``: a userId or a conversationId. Returns as soon as it is durable here. ``preview`` is what a notification
        shows of it: the beginning of the text when it is None, nothing when it is empty, or None and encrypted. One
        that is given goes past the encryption, and is refused unless all others let it.

        Raises:
            SendFailed: it can never be sent: an impossible recipient, an empty or too long text; ``not_found``: it is
                encrypted, and the message ``reply_to`` is not held here or is a system message.
            StoreUnusable: it could not be stored.
        """
        return await self._parts.sending.text(
            to,
            text,
            reply_to=reply_to,
            mentions=tuple(mentions),
            silent=silent,
            preview=preview,
        )

    def conversation_id(self, to: str) -> str:
        """Return the conversation with a user, or the conversation itself.

        Raises:
            SendFailed: ``bad_frame``: it is neither a userId nor a conversationId.
        """
        return self._parts.sending.conversation_id(to)

    async def outbox(self) -> Sequence[Pending]:
        """Return the messages whose number is not known, in the order of writing, the failed ones too."""
        return self._parts.sending.entries()

    async def retry(self, client_message_id: str) -> Pending:
        """Send a failed message again, as a new one.

        Raises:
            KeyError: there is no such failed message.
            SendFailed: ``not_found``: its file never was uploaded.
        """
        return await self._parts.sending.retry(client_message_id)

    async def discard(self, client_message_id: str) -> None:
        """Forget a failed message.

        Raises:
            KeyError: there is no such failed message.
        """
        await self._parts.sending.discard(client_message_id)

    async def wait_for_sent(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until a message has its number (one tick).

        Raises:
            SendFailed: it was refused, is too old, or is not known here.
            TimeoutError, Stopped: see `online`.
        """
        return await self._until(lambda: self._parts.sending.find(client_message_id), timeout_s)

    async def wait_for_delivered(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until everybody has received a message (two ticks). Raises as `wait_for_sent`."""
        return await self._wait_for_tick(
            client_message_id, timeout_s, lambda conversation: conversation.ticked.delivered
        )

    async def wait_for_read(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until everybody has read a message (two blue ticks). Raises as `wait_for_sent`."""
        return await self._wait_for_tick(client_message_id, timeout_s, lambda conversation: conversation.ticked.read)

    async def _wait_for_tick(
        self, client_message_id: str, timeout_s: float | None, through: Callable[[ConversationState], int]
    ) -> Message:
        async with asyncio.timeout(timeout_s):
            message = await self.wait_for_sent(client_message_id)

            async def check() -> Message | None:
                conversation = self._parts.ledger.state.find(message.conversation_id)
                ticked = conversation is not None and through(conversation) >= message.sequence_number
                return message if ticked else None

            return await self._until(check, None)
