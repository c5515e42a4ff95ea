"""A server's services over a real SQLite store, without sockets, its clock in the test's hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.types import ASGIApp

from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.sqlite.store import SqliteStore, open_store
from cooee.domain.errors import unavailable
from cooee.domain.limits import Limits
from cooee.gateway.http.admin import AdminServices, admin_app
from cooee.gateway.http.app import HttpSettings, http_app
from cooee.gateway.http.services import HttpServices
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.protocol.poll import PollRequest, PollResponse
from cooee.services.accounts import AccountService, AccountSettings, AccountStores, Ending
from cooee.services.budgets import Budgets
from cooee.services.contacts import ContactService, ContactStores
from cooee.services.conversation_list import ConversationList, ListSources
from cooee.services.conversations import ConversationViews
from cooee.services.devices import DeviceService, DeviceSettings, DeviceStores
from cooee.services.export import ExportService, ExportStores
from cooee.services.group_receipts import GroupReceipts
from cooee.services.groups import GroupService
from cooee.services.messages import Messages
from cooee.services.own_state import OwnState
from cooee.services.passwords import Passwords, PasswordSettings
from cooee.services.profiles import ProfileService, ProfileStores
from cooee.services.receipts import Receipts
from cooee.services.routes import Routes
from cooee.services.sync import Sync, SyncStores
from cooee.services.sync_tokens import SyncTokens
from cooee.services.view_sources import ViewSources
from tests.fakes.asgi import AsgiClient
from tests.fakes.clock import ManualClock

SERVER = "gw-test"
CHEAP = PasswordSettings(time_cost=1, memory_kib=8, parallelism=1, threads=2)
"""argon2id with parameters that a test can afford."""


class House:
    """All services by name, and what was routed to live connections."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        limits: Limits | None = None,
        exempt: Sequence[str] = ("127.0.0.0/8", "::1/128"),
        accounts: AccountSettings | None = None,
        user_search: bool = True,
        passwords: PasswordSettings = CHEAP,
        clock: ManualClock | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or ManualClock()
        self.limits = limits or Limits()
        self.budgets = Budgets(self.limits, self.clock.monotonic, exempt)
        self.sessions = MemorySessions()
        self.router = MemoryRouter()
        self.routed: list[Routed] = []
        self.routes = Routes(self.sessions, self.router)
        self.views = ConversationViews(
            ViewSources(store.accounts, store.contacts, store.groups, store.timeline, store.cursors)
        )
        tokens = SyncTokens("test")
        own_state = OwnState(store.preferences, self.routes, tokens.at)
        self.passwords = Passwords(passwords)
        self.devices = DeviceService(
            DeviceStores(store.accounts, store.devices, store.cursors, self.sessions),
            self.passwords,
            self.budgets,
            self.routes,
            own_state,
            self.clock,
            DeviceSettings(),
        )
        self.groups = GroupService(
            store.groups,
            store.accounts,
            store.contacts,
            store.preferences,
            self.views,
            self.clock,
            self.budgets,
        )
        self.accounts = AccountService(
            AccountStores(store.accounts, store.credentials),
            self.devices,
            self.passwords,
            self.budgets,
            self.clock,
            Ending(self.groups.depart, self.views.forget_user),
            accounts or AccountSettings(),
        )
        self.profiles = ProfileService(
            ProfileStores(store.accounts, store.contacts),
            own_state,
            self.budgets,
            self.views.forget_user,
            user_search=user_search,
        )
        self.contacts = ContactService(
            ContactStores(store.contacts, store.accounts), own_state, self.routes, self.limits, self.views.forget
        )
        self.messages = Messages(store.message_log, self.views, store.timeline, self.clock, self.budgets)
        self.receipts = Receipts(
            store.cursors,
            store.timeline,
            self.views,
            self.routes,
            self.clock,
            GroupReceipts(store.timeline, self.views, self.routes, self.clock),
        )
        self.conversations = ConversationList(
            ListSources(store.accounts, store.groups, store.timeline, store.cursors, store.preferences),
            self.routes,
            self.limits,
            tokens.at,
        )
        self.sync = Sync(
            SyncStores(store.timeline, store.cursors, store.preferences),
            self.views,
            self.limits,
            self.conversations,
            self.profiles.me,
            tokens,
        )
        self.export = ExportService(
            ExportStores(store.devices, store.contacts, store.groups, store.timeline),
            self.sync,
            self.profiles.me,
            self.clock,
        )
        self.draining = False
        self.levels: list[str] = []
        self.polls: list[tuple[PollRequest, str, str]] = []

    def app(self, settings: HttpSettings | None = None) -> ASGIApp:
        """The public API."""
        services = HttpServices(
            accounts=self.accounts,
            profiles=self.profiles,
            devices=self.devices,
            contacts=self.contacts,
            conversations=self.conversations,
            messages=self.messages,
            receipts=self.receipts,
            sync=self.sync,
            groups=self.groups,
            export=self.export,
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
            drain=self._drain,
            stats=lambda: {"connections": 0},
            set_log_level=self.levels.append,
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
        await self.sessions.register(SessionEntry(user_id, device_id, SERVER, f"c-{device_id}", "cli", 0))

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

    def _drain(self) -> None:
        self.draining = True


@asynccontextmanager
async def open_house(folder: Path, **settings: object) -> AsyncIterator[House]:
    """Open a house in ``folder``; ``settings`` are those of `House`."""
    store = await open_store(folder)
    house = House(store, **settings)  # type: ignore[arg-type]  # checked where they arrive
    await house.router.subscribe(SERVER, house.receive)
    running = asyncio.create_task(house.routes.run())
    try:
        yield house
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        house.passwords.close()
        await store.aclose()
