"""A server's services over a real SQLite store, without sockets, its clock in the test's hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.types import ASGIApp

from cooee.adapters.memory.presence import MemoryPresence
from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.sqlite.store import SqliteStore, open_store
from cooee.app import house
from cooee.app.config import AccountsConfig, Config, LimitsConfig, WebhooksConfig
from cooee.app.ports import Live, Ports
from cooee.domain.errors import unavailable
from cooee.gateway.http.admin import AdminServices, admin_app
from cooee.gateway.http.app import HttpSettings, http_app
from cooee.gateway.http.services import HttpServices
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.protocol import frames
from cooee.protocol.admin import BackupProgress
from cooee.protocol.codec import decode_server
from cooee.protocol.poll import PollRequest, PollResponse
from cooee.services.passwords import PasswordSettings
from tests.fakes.asgi import AsgiClient
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import ManualClock
from tests.fakes.push_sender import RecordingPush
from tests.fakes.webhook_sender import RecordingSender

SERVER = "gw-test"
CHEAP = PasswordSettings(time_cost=1, memory_kib=8, parallelism=1, threads=2)
"""argon2id with parameters that a test can afford."""
CHEAP_ACCOUNTS = AccountsConfig(argon2_time_cost=1, argon2_memory_kib=8, argon2_parallelism=1, hash_threads=2)


class House(house.House):
    """All services by name, as the application composes them, and what was routed to live connections."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        accounts: AccountsConfig = CHEAP_ACCOUNTS,
        limits: LimitsConfig = LimitsConfig(),  # noqa: B008  # frozen
        webhooks: WebhooksConfig = WebhooksConfig(),  # noqa: B008  # frozen
        clock: ManualClock | None = None,
    ) -> None:
        self.store = store
        self.sender = RecordingSender()
        self.blobs = MemoryBlobs()
        self.clock = clock or ManualClock()
        self.push = RecordingPush()
        senders = {"web": self.push, "fcm": self.push}
        live = Live(MemorySessions(), MemoryRouter(), MemoryPresence(), self.sender, self.blobs, senders)
        super().__init__(
            Ports.of(store, live, self.clock),
            Config(accounts=accounts, limits=limits, webhooks=webhooks),
        )
        self.routed: list[Routed] = []
        self.draining = False
        self.levels: list[str] = []
        self.backup = ""
        self.polls: list[tuple[PollRequest, str, str]] = []

    def app(self, settings: HttpSettings | None = None) -> ASGIApp:
        """The public API."""
        services = HttpServices(
            accounts=self.accounts,
            bots=self.bots,
            incoming=self.incoming,
            webhooks=self.webhooks,
            profiles=self.profiles,
            devices=self.devices,
            contacts=self.contacts,
            conversations=self.conversations,
            keys=self.keys,
            device_lists=self.device_lists,
            modes=self.modes,
            media=self.media,
            messages=self.messages,
            receipts=self.receipts,
            sync=self.sync,
            groups=self.groups,
            export=self.export,
            push=self.pushes.service,
            budgets=self.budgets,
            poll=self._poll,
            ready=self._ready,
            metrics=lambda: b"cooee_up 1\n",
        )
        return http_app(services, settings or HttpSettings())

    def admin(self) -> AsgiClient:
        """A client of the administrative API, on its socket."""
        services = AdminServices(
            accounts=self.accounts,
            bots=self.bots,
            enrolment=self.enrolment,
            push=self.pushes.service,
            drain=self._drain,
            stats=lambda: {"connections": 0},
            set_log_level=self.levels.append,
            start_backup=self._start_backup,
            backup_progress=lambda: BackupProgress("done", self.backup, 1, 1, ""),
            ready=self._ready,
            metrics=lambda: b"cooee_up 1\n",
        )
        return AsgiClient(admin_app(services, HttpSettings()), address=None)

    def client(self, address: str = "127.0.0.1") -> AsgiClient:
        """A client without a token."""
        return AsgiClient(self.app(), address)

    async def person(self, user_id: str, password: str = "correct horse") -> AsgiClient:
        """Register a user, log him in, and return the client that has his token."""
        client = self.client()
        made = await client.request("POST", "/v1/accounts", {"userId": user_id, "password": password})
        assert made.status == 201, made.body
        return client.having(await self.log_in(user_id, password))

    async def log_in(self, user_id: str, password: str = "correct horse", **device: str) -> str:
        """Log in over HTTP and return the token."""
        body = {"userId": user_id, "password": password, "device": {"name": "test", "type": "cli"} | device}
        reply = await self.client().request("POST", "/v1/sessions", body)
        assert reply.status == 201, reply.body
        return str(reply.json["token"])

    def receive(self, items: Sequence[Routed]) -> None:
        """Take what is routed to this server."""
        self.routed.extend(items)

    async def connect(self, user_id: str, device_id: str) -> None:
        """Pretend that the device has a live connection, so that it is routed to."""
        await self.ports.sessions.register(SessionEntry(user_id, device_id, SERVER, f"c-{device_id}", "cli", 0))

    async def told(self) -> list[Routed]:
        """Return what was routed so far, and forget it."""
        for _ in range(10):
            await asyncio.sleep(0)
        told, self.routed = self.routed, []
        return told

    async def closed(self) -> list[tuple[str, str]]:
        """Return the (user, device or ``*``) whose connections were told to close."""
        return [
            (item.user_ids[0], item.only_device or "*") for item in await self.told() if item.kind is RouteKind.CLOSE
        ]

    async def events(self) -> list[frames.ServerFrame | None]:
        """Return the frames that were sent to live connections."""
        return [decode_server(item.frame) for item in await self.told() if item.kind is RouteKind.EVENT]

    async def _poll(self, request: PollRequest, token: str, peer: str) -> PollResponse:
        self.polls.append((request, token, peer))
        return PollResponse("s", 1, ())

    async def _ready(self) -> None:
        if self.draining:
            raise unavailable("the server is draining")

    def _start_backup(self, file: str, replace: bool) -> None:
        self.backup = file

    def _drain(self) -> None:
        self.draining = True


@asynccontextmanager
async def open_house(folder: Path, **settings: object) -> AsyncIterator[House]:
    """Open a house in ``folder``; ``settings`` are those of `House`."""
    store = await open_store(folder)
    opened = House(store, **settings)  # type: ignore[arg-type]  # checked where they arrive
    await opened.ports.router.subscribe(SERVER, opened.receive)
    running = asyncio.create_task(opened.routes.run())
    try:
        yield opened
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        opened.passwords.close()
        await store.aclose()
