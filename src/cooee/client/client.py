"""The SDK's face: one ``async with``, and people can talk.

async with Client("http://127.0.0.1:8080", store="~/.cooee/alice", user="alice", password="…") as client:
    await client.send_text("bob", "hi")
    async for event in client.events():
        …
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import aiohttp
import msgspec

from cooee.client.account import StoreLock, load_account, make_folder, save_account
from cooee.client.api import Api, new_http_session
from cooee.client.connection import Connection
from cooee.client.errors import ConnectionFailed, NotLoggedIn, SendFailed, ServerError, StoreError
from cooee.client.events import ConnectionState
from cooee.client.ledger import EventStream, Ledger, wall_ms
from cooee.client.links import HttpLinks
from cooee.client.live import Live
from cooee.client.login import adopt_token, check_owner, log_in_with
from cooee.client.model import Account, ConversationView, HistoryPage, Message, Pending, message_of
from cooee.client.outbox import failed
from cooee.client.state import ConversationState
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef, check_conversation_id, direct_conversation_id, is_user_id, uuid7
from cooee.domain.message import CONTENT_TEXT
from cooee.protocol import frames, http

VERSION = "0.1"
_CLOSE_S = 3.0
_EXPIRY_CHECK_S = 600.0

T = TypeVar("T")


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


class Client:
    """One device of one account, with its local store in the folder ``store``.

    The account comes from the store, from ``token``, or from a log-in with ``user`` and ``password``. With
    ``live=False`` no connection is kept: the HTTP operations and the local history are there, and messages wait in the
    outbox. ``follow_large_groups``: fetch everything of large groups, not only of those that are open.
    """

    def __init__(
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
        settings: ClientSettings | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.folder = Path(store).expanduser()
        self._user = user
        self._password = password
        self._token = token
        self._device = (device_name, device_type)
        self._live_wanted = live
        self._follow = follow_large_groups
        self._settings = settings or ClientSettings()
        self._lock: StoreLock | None = None
        self._account: Account | None = None
        self._http: aiohttp.ClientSession | None = None
        self._api: Api | None = None
        self._ledger: Ledger | None = None
        self._live: Live | None = None
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the store, log in if need be, and begin to connect; does not wait for the connection.

        Raises:
            StoreLocked, StoreMismatch, StoreUnusable: the store cannot be used.
            NotLoggedIn, ServerError, ConnectionFailed: there is no account in the store, and the log-in failed.
        """
        make_folder(self.folder)
        self._lock = StoreLock(self.folder)
        try:
            self._http = new_http_session()
            self._api = Api(self.url, http_session=self._http)
            self._account = await self._open_account(self._api)
            await self._open_store(self._account.me)
            if self._live_wanted:
                self._connect()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _open_account(self, api: Api) -> Account:
        account = load_account(self.folder)
        check_owner(self.folder, account, self.url, self._user)
        if self._token is not None:
            api.token = self._token
            return await adopt_token(api, self.folder, self._token)
        if account is not None and account.token:
            api.token = account.token
            return account
        if self._user is None or self._password is None:
            raise NotLoggedIn(f"nobody is logged in at {self.url} with the store {self.folder}; log in first")
        return await log_in_with(api, self.folder, self._user, self._password, *self._device)

    async def _open_store(self, me: DeviceRef) -> None:
        store = await asyncio.to_thread(Store, self.folder)
        self._ledger = await Ledger.open(store, me)
        foreign = [entry for entry in self._ledger.state.outbox.entries() if entry.device_id != me.device_id]
        if foreign:
            await self._ledger.step(lambda turn: _give_up(turn, foreign))
        self._live = Live(
            self._ledger.state, follow=self._follow, acknowledge_to_device=self._settings.acknowledge_to_device
        )

    def _connect(self) -> None:
        assert self._http is not None  # noqa: S101 - set just before, for the type checker
        links = HttpLinks(self._http, self.api, self._settings.open_s)
        self._connection = Connection(
            self._book,
            self._lively,
            links,
            client_name=self._settings.name,
            transport=self._settings.transport,
            probe_ms=self._settings.websocket_again_ms,
            renew=self._log_in_again if self._user is not None and self._password is not None else None,
        )
        self._tasks = [
            asyncio.create_task(self._connection.run(), name="cooee-connection"),
            asyncio.create_task(self._expire(), name="cooee-outbox-expiry"),
        ]

    async def _log_in_again(self) -> bool:
        with suppress(ServerError, ConnectionFailed, StoreError):
            account = await log_in_with(self.api, self.folder, self._user or "", self._password or "", *self._device)
            if self._account is not None and account.device_id == self._account.device_id:
                self._account = account
                return True
        return False

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            await asyncio.wait(self._tasks[:1], timeout=_CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._ledger is not None:
            await self._ledger.close()
        if self._http is not None:
            await self._http.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- parts

    @property
    def me(self) -> DeviceRef:
        """The own user and device id."""
        if self._account is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._account.me

    @property
    def api(self) -> Api:
        """Every operation of the HTTP API, under this device's token."""
        if self._api is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._api

    @property
    def connection(self) -> ConnectionState:
        """How the connection stands."""
        return self._connection.state if self._connection is not None else ConnectionState("stopped")

    @property
    def _book(self) -> Ledger:
        if self._ledger is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._ledger

    @property
    def _lively(self) -> Live:
        if self._live is None:
            raise RuntimeError("use `async with Client(…)`")
        return self._live

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    async def _step(self, fill: Callable[[Turn], None]) -> Turn:
        turn = await self._book.step(fill)
        self._lively.absorb(turn, self._book.clock())
        self._wake()
        return turn

    async def _until(self, check: Callable[[], Awaitable[T | None]], timeout_s: float | None) -> T:
        """Wait until ``check`` returns something; raises TimeoutError, or `Stopped` when nothing can come any more."""
        ledger = self._book
        ledger.waiters += 1
        ledger.taken()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    change = ledger.next_change()
                    found = await check()
                    if found is not None:
                        return found
                    if self._connection is not None and self._connection.stopped is not None:
                        raise self._connection.stopped
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
        return self._book.subscribe()

    async def log_out(self) -> None:
        """End the log-in on the server and forget the token; the store and its outbox stay for the next log-in."""
        await self.api.log_out()
        save_account(self.folder, Account(self.url, *self.me, token=""))

    # --- sending

    async def send_text(
        self,
        to: str,
        text: str,
        *,
        reply_to: str | None = None,
        mentions: Iterable[str] = (),
        silent: bool = False,
        preview: str = "",
    ) -> Pending:
        """Commit a text to the outbox, from where it is sent once, now or when there is a connection again.

        ``to``: a userId or a conversationId. Returns as soon as it is durable here.

        Raises:
            SendFailed: it can never be sent: an impossible recipient, an empty or too long text.
            StoreUnusable: it could not be stored.
        """
        conversation_id = self.conversation_id(to)
        self._check_text(text)
        now = wall_ms()
        entry = Pending(
            uuid7(now, secrets.randbits(74)),
            conversation_id,
            self.me.device_id,
            now,
            CONTENT_TEXT,
            text,
            reply_to=reply_to,
            mentions=tuple(mentions),
            silent=silent,
            preview=preview,
        )
        entry = await self._book.run(self._book.store.put_pending, entry)
        self._book.state.outbox.add(entry)
        self._lively.open(conversation_id, self._book.clock())
        self._wake()
        return entry

    def conversation_id(self, to: str) -> str:
        """Return the conversation with a user, or the conversation itself.

        Raises:
            SendFailed: ``bad_frame``: it is neither a userId nor a conversationId.
        """
        if is_user_id(to):
            return direct_conversation_id(self.me.user_id, to)
        try:
            check_conversation_id(to)
        except CooeeError as problem:
            raise SendFailed(problem.code, f"{to!r} is no user and no conversation: {problem.message}") from None
        return to

    def _check_text(self, text: str) -> None:
        if not text:
            raise SendFailed("bad_frame", "the text is empty")
        largest = self._lively.limits.max_content_bytes
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise SendFailed("bad_frame", "the text is not valid Unicode") from None
        if size > largest:
            raise SendFailed("too_large", f"the text has {size} bytes, at most {largest} can be sent; split it")

    async def outbox(self) -> Sequence[Pending]:
        """Return the messages whose number is not known, in the order of writing, the failed ones too."""
        return sorted(self._book.state.outbox.entries(), key=lambda entry: entry.order)

    async def retry(self, client_message_id: str) -> Pending:
        """Send a failed message again, as a new one.

        Raises:
            KeyError: there is no such failed message.
        """
        outbox = self._book.state.outbox
        former = outbox.find_failed(client_message_id)
        if former is None:
            raise KeyError(client_message_id)
        now = wall_ms()
        entry = msgspec.structs.replace(
            former,
            client_message_id=uuid7(now, secrets.randbits(74)),
            device_id=self.me.device_id,
            created_at=now,
            status="pending",
            code="",
            reason="",
        )
        entry = await self._book.run(self._book.store.replace_pending, client_message_id, entry)
        outbox.remove(client_message_id)
        outbox.add(entry)
        self._wake()
        return entry

    async def discard(self, client_message_id: str) -> None:
        """Forget a failed message.

        Raises:
            KeyError: there is no such failed message.
        """
        if self._book.state.outbox.find_failed(client_message_id) is None:
            raise KeyError(client_message_id)
        await self._book.run(self._book.store.drop_pending, client_message_id)
        self._book.state.outbox.remove(client_message_id)

    async def _expire(self) -> None:
        """Give up, now and then, what has waited too long."""
        while True:
            expired = self._book.state.outbox.expired(wall_ms())
            if expired:
                with suppress(StoreError):
                    await self._step(lambda turn: _fail_all(turn, expired))
            await asyncio.sleep(_EXPIRY_CHECK_S)

    async def wait_for_sent(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until a message has its number (one tick).

        Raises:
            SendFailed: it was refused, is too old, or is not known here.
            TimeoutError, Stopped: see `online`.
        """

        async def check() -> Message | None:
            outbox = self._book.state.outbox
            if outbox.find(client_message_id) is not None:
                return None
            given_up = outbox.find_failed(client_message_id)
            if given_up is not None:
                raise SendFailed(given_up.code, given_up.reason)
            sent = await self._book.run(self._book.store.find_sent, client_message_id)
            if sent is None:
                raise SendFailed("not_found", "no such message is known here")
            return sent

        return await self._until(check, timeout_s)

    async def wait_for_delivered(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until everybody has received a message (two ticks). Raises as `wait_for_sent`."""
        return await self._wait_for_tick(client_message_id, timeout_s, lambda conversation: conversation.ticked.delivered)

    async def wait_for_read(self, client_message_id: str, timeout_s: float | None = None) -> Message:
        """Wait until everybody has read a message (two blue ticks). Raises as `wait_for_sent`."""
        return await self._wait_for_tick(client_message_id, timeout_s, lambda conversation: conversation.ticked.read)

    async def _wait_for_tick(
        self, client_message_id: str, timeout_s: float | None, through: Callable[[ConversationState], int]
    ) -> Message:
        async with asyncio.timeout(timeout_s):
            message = await self.wait_for_sent(client_message_id)

            async def check() -> Message | None:
                conversation = self._book.state.find(message.conversation_id)
                ticked = conversation is not None and through(conversation) >= message.sequence_number
                return message if ticked else None

            return await self._until(check, None)

    # --- conversations

    async def conversations(self) -> Sequence[ConversationView]:
        """Return the conversations, last activity first; asks the server when the store has none yet."""
        if self._book.state.sync_token is None and not self._book.state.conversations:
            await self._step(await HttpLinks.list_through(self.api))
        found = sorted(self._book.state.conversations.values(), key=lambda known: -known.last_activity)
        return [await self._book.view(conversation) for conversation in found if conversation.learned]

    async def conversation(self, conversation_id: str) -> ConversationView | None:
        """Return one conversation, or None when it is not known here."""
        found = self._book.state.find(conversation_id)
        return await self._book.view(found) if found is not None else None

    async def mark_read(self, conversation_id: str, sequence_number: int | None = None) -> None:
        """Note, here at once and on the server as soon as possible, that everything up to a number is read (None: all)."""
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
        return await self._book.view(self._book.state.conversations[conversation_id])

    def open(self, conversation_id: str) -> None:
        """Keep a conversation complete while it is open; a large group's messages are fetched as they are hinted."""
        self._lively.open(conversation_id, self._book.clock())
        self._wake()

    def close(self, conversation_id: str) -> None:
        """Be content with hints of a large group again."""
        self._lively.opened.discard(conversation_id)

    async def delete_message(self, conversation_id: str, sequence_number: int) -> None:
        """Delete a message for everyone."""
        await self.api.delete_message(conversation_id, sequence_number)

    async def typing(self, conversation_id: str, *, started: bool = True, kind: str | None = None) -> None:
        """Tell the others that the user types, or stopped; lost without a connection."""
        if self.connection.state in ("online", "catching_up"):
            self._lively.say(frames.Typing(conversation_id, "started" if started else "stopped", kind))
            self._wake()

    async def watch_presence(self, user_ids: Iterable[str]) -> None:
        """Replace the watched users; kept over reconnects. Their states come as events."""
        self._lively.watch(user_ids, self._book.clock())
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
        conversation = self._book.state.find(conversation_id)
        if before is None and conversation is not None and conversation.position >= conversation.head > 0:
            before = conversation.position + 1
        page, bottom = await self._held(conversation_id, before, limit)
        if page is not None and (page.complete or len(page.messages) >= limit):
            return page
        try:
            fetched = await self.api.history(conversation_id, before=bottom, limit=limit)
        except ConnectionFailed:
            if page is not None and page.messages:
                return page
            raise
        await self._keep(fetched)
        upper = before if before is not None else fetched.covered_through + 1
        page, _ = await self._held(conversation_id, upper, limit)
        return HistoryPage(page.messages if page else (), page.complete if page else True, from_server=True)

    async def _held(
        self, conversation_id: str, before: int | None, limit: int
    ) -> tuple[HistoryPage | None, int | None]:
        if before is None:
            return None, None
        conversation = self._book.state.find(conversation_id) or ConversationState(conversation_id)
        return await self._book.run(self._book.store.history, conversation, before, limit)

    async def _keep(self, page: frames.Messages) -> None:
        found = [message_of(msgspec.json.decode(raw, type=frames.MessageFrame)) for raw in page.messages]
        first = 1 if page.complete else page.covered_from
        await self._book.run(
            self._book.store.put_history, self.me, page.conversation_id, found, first, page.covered_through
        )

    async def search(self, text: str, *, conversation_id: str | None = None, limit: int = 50) -> Sequence[Message]:
        """Search the texts held here, newest first."""
        return await self._book.run(self._book.store.search, text, conversation_id, limit)


def _give_up(turn: Turn, entries: Iterable[Pending]) -> None:
    reason = "the device it was written on is gone, so nobody can tell whether it was sent; look, and send it again"
    _fail_all(turn, [failed(entry, "device_changed", reason) for entry in entries if entry.status == "pending"])


def _fail_all(turn: Turn, entries: Iterable[Pending]) -> None:
    for entry in entries:
        turn.fail(entry)
