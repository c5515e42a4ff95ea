"""The SDK's face: one ``async with``, and people can talk.

async with Client("http://127.0.0.1:8080", store="~/.cooee/alice", user="alice", password="…") as client:
    await client.send_text("bob", "hi")
    async for event in client.events():
        …
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import msgspec

from cooee.client.account import save_account
from cooee.client.api import Api
from cooee.client.connection import Connection
from cooee.client.encryption import EncryptionOfClient
from cooee.client.errors import Stopped
from cooee.client.events import ConnectionState
from cooee.client.ledger import EventStream, Ledger
from cooee.client.links import HttpLinks
from cooee.client.media import MediaOfClient
from cooee.client.messages import MessagesOfClient
from cooee.client.model import Account, ConversationView, HistoryPage, Message
from cooee.client.opened import Credentials, Opened, log_in_again, opened, running
from cooee.client.opening import Opening
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.protocol import frames, http
from cooee.protocol.codes import CloseCode

VERSION = "0.1"

T = TypeVar("T")


_LEAVE_S = 5.0
"""How long a log-out waits for the connection to end."""


class ClientSettings(msgspec.Struct, frozen=True):
    """What hardly anybody changes. ``transport``: ``auto``, ``websocket`` or ``longpoll``."""

    transport: Literal["auto", "websocket", "longpoll"] = "auto"
    open_s: float = 5.0
    """How long a WebSocket has to open before long polling is tried."""

    websocket_again_ms: int = 60_000
    """How long long polling goes on before the WebSocket is tried again."""

    name: str = f"cooee-python/{VERSION}"
    acknowledge_to_device: bool = True
    """Whether device-to-device blobs are acknowledged as soon as they were told as events."""


class Client(MessagesOfClient, MediaOfClient, EncryptionOfClient):
    """One device of one account, with its local store in the folder ``store``.

    The account comes from the store, from ``token``, or from a log-in with ``user`` and ``password``. With
    ``live=False`` no connection is kept: the HTTP operations and the local history are there, and messages wait in the
    outbox. ``follow_large_groups``: fetch everything of large groups, not only of those that are open.
    ``ca_file``: an authority (PEM) to trust in the server's certificate, beside the system's; else `COOEE_CA_FILE`.
    ``encryption``: ``off`` sends everything in the clear and opens nothing; that is how bots are. ``passphrase`` or
    ``store_key`` (32 bytes) protect the store on the disk; without either its key lies beside it.
    """

    def __init__(  # noqa: PLR0913 - each has a name, and a default but for the first two
        self,
        url: str,
        *,
        store: str | Path,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        device_name: str | None = None,
        device_type: str = "cli",
        live: bool = True,
        follow_large_groups: bool = False,
        ca_file: str | Path | None = None,
        settings: ClientSettings | None = None,
        encryption: Literal["on", "off"] = "on",
        passphrase: str | None = None,
        store_key: bytes | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.folder = Path(store).expanduser()
        self._credentials = Credentials(user, password, token, device_name, device_type, passphrase, store_key)
        self._encrypts = encryption == "on"
        self._live_wanted = live
        self._follow = follow_large_groups
        self._ca_file = ca_file
        self._settings = settings or ClientSettings()
        self._stack = AsyncExitStack()
        self._opened: Opened | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Open the store, log in if need be, and begin to connect; does not wait for the connection.

        Raises:
            StoreLocked, StoreMismatch, StoreUnusable, StoreKeyError: the store cannot be used.
            NotLoggedIn, ServerError, ConnectionFailed: there is no account in the store, and the log-in failed.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            parts = await stack.enter_async_context(
                opened(
                    self.url,
                    self.folder,
                    self._credentials,
                    self._wake,
                    follow=self._follow,
                    acknowledge=settings.acknowledge_to_device,
                    ca_file=self._ca_file,
                    encrypts=self._encrypts,
                )
            )
            self._opened = parts
            if self._live_wanted:
                self._connection = self._new_connection(parts)
                await stack.enter_async_context(running(self._connection, parts))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _new_connection(self, parts: Opened) -> Connection:
        async def renew() -> bool:
            return await log_in_again(parts, self.folder, self._credentials)

        links = HttpLinks(parts.http, parts.api, self._settings.open_s)
        return Connection(
            parts.ledger,
            parts.live,
            links,
            Opening(parts.ledger, links, self._settings.name, self._settings.transport),
            probe_ms=self._settings.websocket_again_ms,
            renew=renew if self._credentials.password is not None else None,
        )

    # --- parts

    @property
    def _parts(self) -> Opened:
        if self._opened is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._opened

    @property
    def me(self) -> DeviceRef:
        """The own user and device id."""
        return self._parts.account.me

    @property
    def encrypts(self) -> bool:
        """Whether end-to-end encryption is on in this client."""
        return self._encrypts

    @property
    def api(self) -> Api:
        """Every operation of the HTTP API, under this device's token."""
        return self._parts.api

    @property
    def _ledger(self) -> Ledger:
        return self._parts.ledger

    @property
    def connection(self) -> ConnectionState:
        """How the connection stands."""
        return self._connection.state if self._connection is not None else ConnectionState("stopped")

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    async def _step(self, fill: Callable[[Turn], None]) -> Turn:
        turn = await self._ledger.step(fill)
        self._parts.live.absorb(turn, self._ledger.clock())
        self._wake()
        return turn

    async def _until(self, check: Callable[[], Awaitable[T | None]], timeout_s: float | None) -> T:
        """Wait until ``check`` returns something; raises TimeoutError, or `Stopped` when nothing can come any more."""
        ledger = self._ledger
        ledger.waiters += 1
        ledger.taken()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    change = ledger.next_change()
                    found = await check()
                    if found is not None:
                        return found
                    if self._connection is not None and self._connection.state.state == "stopped":
                        raise self._connection.stopped or Stopped(CloseCode.NORMAL, "the client is closed")
                    await change.wait()
        finally:
            ledger.waiters -= 1

    async def online(self, timeout_s: float | None = None) -> None:
        """Wait until the connection is there and everything missed has arrived.

        Raises:
            TimeoutError: it took longer than ``timeout_s`` seconds.
            Stopped: the server refuses this device for good.
        """

        async def check() -> bool | None:
            return self.connection.state == "online" or None

        await self._until(check, timeout_s)

    def events(self) -> EventStream:
        """Return what happens from now on. Each stream gets everything; it starts with this call."""
        return self._ledger.subscribe()

    async def log_out(self) -> None:
        """End the log-in on the server and forget the token; the store and its outbox stay for the next log-in.

        The connection is closed, and the event streams end with `Stopped`.
        """
        if self._connection is not None:
            self._connection.close()
        await self.api.log_out()
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connection.ended(), _LEAVE_S)
        self._ledger.stop(Stopped(CloseCode.UNAUTHORIZED, "logged out"))
        save_account(self.folder, Account(self.url, *self.me, token="", bot=self._parts.account.bot))

    # --- conversations

    async def conversations(self) -> Sequence[ConversationView]:
        """Return the conversations, last activity first; asks the server when the store has none yet."""
        if self._ledger.state.sync_token is None and not self._ledger.state.conversations:
            await self._step(await HttpLinks.list_through(self.api))
        found = sorted(self._ledger.state.conversations.values(), key=lambda known: -known.last_activity)
        return await self._ledger.views(conversation for conversation in found if conversation.learned)

    async def conversation(self, conversation_id: str) -> ConversationView | None:
        """Return one conversation, or None when it is not known here."""
        found = self._ledger.state.find(conversation_id)
        return await self._ledger.view(found) if found is not None else None

    async def mark_read(self, conversation_id: str, sequence_number: int | None = None) -> None:
        """Note, here now and on the server as soon as possible, what is read: up to a number, or all that is held."""
        await self._step(lambda turn: turn.mark_read(conversation_id, sequence_number))

    async def set_flags(
        self,
        conversation_id: str,
        *,
        muted_until: int | None = None,
        pinned: bool | None = None,
        archived: bool | None = None,
    ) -> ConversationView:
        """Mute (ms since the epoch, 0: not, -1: for ever), pin or archive; None leaves a flag as it is."""
        changes = http.PatchConversation(
            msgspec.UNSET if muted_until is None else muted_until,
            msgspec.UNSET if pinned is None else pinned,
            msgspec.UNSET if archived is None else archived,
        )
        entry = await self.api.set_flags(conversation_id, changes)
        await self._step(lambda turn: turn.snapshot(entry))
        return await self._ledger.view(self._ledger.state.conversations[conversation_id])

    def open(self, conversation_id: str) -> None:
        """Keep a conversation complete while it is open; a large group's messages are fetched as they are hinted."""
        self._parts.live.open(conversation_id, self._ledger.clock())
        self._wake()

    def close(self, conversation_id: str) -> None:
        """Be content with hints of a large group again."""
        self._parts.live.opened.discard(conversation_id)

    async def delete_message(self, conversation_id: str, sequence_number: int) -> None:
        """Delete a message for everyone."""
        await self.api.delete_message(conversation_id, sequence_number)

    async def typing(self, conversation_id: str, *, started: bool = True, kind: str | None = None) -> None:
        """Tell the others that the user types, or stopped; lost without a connection."""
        if self.connection.state in ("online", "catching_up"):
            self._parts.live.say(frames.Typing(conversation_id, "started" if started else "stopped", kind))
            self._wake()

    async def watch_presence(self, user_ids: Iterable[str]) -> None:
        """Replace the watched users; kept over reconnects. Their states come as events."""
        self._parts.live.watch(user_ids, self._ledger.clock())
        self._wake()

    async def unwatch_presence(self) -> None:
        """Watch nobody any more."""
        await self.watch_presence(())

    # --- history

    async def history(self, conversation_id: str, *, before: int | None = None, limit: int = 50) -> HistoryPage:
        """Return the newest messages below ``before`` (None: the newest), ascending; from here, else from the server.

        What the server tells is kept. Without a connection to it, what is held here is returned.

        Raises:
            ServerError: not a member, for example.
            ConnectionFailed: nothing is held here, and the server cannot be reached.
        """
        return await self._parts.history.page(conversation_id, before, limit)

    async def held(self, conversation_id: str, *, before: int | None = None, limit: int = 50) -> HistoryPage:
        """Return what of that page is held here, at once; ``complete`` only when the conversation begins there."""
        return await self._parts.history.held(conversation_id, before, limit)

    async def search(self, text: str, *, conversation_id: str | None = None, limit: int = 50) -> Sequence[Message]:
        """Search the texts held here, newest first."""
        return await self._ledger.run(self._ledger.store.search, text, conversation_id, limit)
