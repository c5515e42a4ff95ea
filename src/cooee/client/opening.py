"""Opening a connection: which transport gets through, hello, and the welcome (PROTOCOL.md §2, §10, §12)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple, Protocol

import msgspec

from cooee.client.errors import Stopped
from cooee.client.ledger import Ledger
from cooee.client.transport import ABNORMAL, Transport, TransportClosed, TransportRefused
from cooee.client.turn import Turn
from cooee.domain.errors import ErrorCode
from cooee.protocol import codec, frames
from cooee.protocol.codes import NO_RECONNECT, CloseCode

WELCOME_S = 10.0
_STOP_REASONS = {
    int(CloseCode.UNAUTHORIZED): "the server does not accept this log-in any more; log in again",
    int(CloseCode.REPLACED): "another connection of this device took over; use one client per device",
}


class Links(Protocol):
    """Makes transports, and answers what is asked over HTTP."""

    def websocket(self) -> Transport:
        """Return a new WebSocket, not yet open."""
        ...

    def longpoll(self) -> Transport:
        """Return a new long-polling session, not yet open."""
        ...

    @property
    def token(self) -> str:
        """The token for ``hello``."""
        ...

    async def load_conversations(self) -> Callable[[Turn], None]:
        """Return what puts the whole conversation list into a turn. Raises ServerError or ConnectionFailed."""
        ...

    async def load_details(self, conversation_id: str, *, roster: bool) -> Callable[[Turn], None]:
        """Return what puts one conversation, or its roster, into a turn. Raises ServerError or ConnectionFailed."""
        ...


class Ending(NamedTuple):
    """How a connection ended. ``delay_ms`` None: wait as the back-off says. ``stop``: do not come back."""

    reason: str
    delay_ms: int | None = None
    stop: Stopped | None = None


def ending_of(code: int, reason: str) -> Ending:
    """Return what a close code means for coming back (PROTOCOL.md §10)."""
    if code in NO_RECONNECT:
        return Ending(reason, stop=Stopped(code, _STOP_REASONS[int(code)]))
    return Ending(reason or f"the connection was closed ({code})")


def forbidden_ending(reason: str) -> Ending:
    """Return the ending for a token that is good, but not for a session: a bot's without ``messages:read``."""
    return Ending(reason, stop=Stopped(CloseCode.UNAUTHORIZED, reason))


class HelloRefused(Exception):
    """The server answered hello with a refusal."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Greeted(NamedTuple):
    """A connection after the welcome, and what came with it."""

    transport: Transport
    welcome: frames.Welcome
    rest: list[bytes]


TransportChoice = Literal["auto", "websocket", "longpoll"]


class Opening:
    """Opens connections: over a WebSocket if possible, else by long polling."""

    def __init__(self, ledger: Ledger, links: Links, client_name: str, choice: TransportChoice) -> None:
        self.choice = choice
        self._ledger = ledger
        self._links = links
        self._client_name = client_name

    async def open(self, prepared: Transport | None) -> Greeted:
        """Open a connection; ``prepared`` is one that is open already.

        Raises:
            HelloRefused, TransportRefused, TransportUnreachable: no connection.
            ServerError, ConnectionFailed: a new device could not learn where it starts.
        """
        await self._first_list()
        if prepared is not None:
            with suppress(TransportRefused):
                return await self._say_hello(prepared)
        if self.choice != "longpoll":
            try:
                return await self._open_and_say_hello(self._links.websocket())
            except TransportRefused:
                if self.choice == "websocket":
                    raise
        return await self._open_and_say_hello(self._links.longpoll())

    async def _first_list(self) -> None:
        """Learn where a new device starts, before the first messages come."""
        state = self._ledger.state
        if state.sync_token is None and not state.conversations:
            await self._ledger.step(await self._links.load_conversations())

    async def _open_and_say_hello(self, transport: Transport) -> Greeted:
        try:
            await transport.open()
        except TransportClosed as closed:
            raise TransportRefused(str(closed)) from None
        return await self._say_hello(transport)

    async def _say_hello(self, transport: Transport) -> Greeted:
        try:
            hello = frames.Hello(self._links.token, self._client_name, self._ledger.state.sync_token)
            await transport.send([codec.encode(hello)])
            async with asyncio.timeout(WELCOME_S):
                first, *rest = await transport.receive()
            return Greeted(transport, _welcome(codec.decode_server(first)), rest)
        except TransportClosed as closed:
            await transport.close()
            if closed.code == ABNORMAL:
                raise TransportRefused(str(closed)) from None
            raise HelloRefused(ending_of(closed.code, closed.reason)) from None
        except (TimeoutError, msgspec.DecodeError):
            await transport.close()
            raise TransportRefused("no welcome came") from None
        except BaseException:
            await transport.close()
            raise


def _welcome(frame: frames.ServerFrame | None) -> frames.Welcome:
    if isinstance(frame, frames.Welcome):
        return frame
    if not isinstance(frame, frames.Error):
        raise TransportRefused("something else than a welcome came")
    if frame.code == ErrorCode.UNAUTHORIZED:
        raise HelloRefused(ending_of(CloseCode.UNAUTHORIZED, frame.message))
    if frame.code == ErrorCode.FORBIDDEN:
        raise HelloRefused(forbidden_ending(frame.message))
    raise HelloRefused(Ending(frame.message, frame.retry_after_ms))
