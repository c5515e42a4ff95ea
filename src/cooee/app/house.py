"""The services of one server, put together from ports; which adapters fill them is wiring's affair."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import structlog

from cooee.app.config import Config
from cooee.app.gauges import key_values, media_values, push_values, webhook_values
from cooee.app.ports import Ports
from cooee.app.pushes import Pushes
from cooee.app.telemetry import LoopLag, Value
from cooee.domain.errors import CooeeError
from cooee.ports.media_inspector import MediaInspector
from cooee.services.accounts import AccountService, AccountSettings, AccountStores, Ending
from cooee.services.bots import BotParts, BotService, BotStores
from cooee.services.budgets import Budgets
from cooee.services.contacts import ContactService, ContactStores
from cooee.services.conversation_list import ConversationList, ListSources
from cooee.services.conversations import ConversationViews
from cooee.services.device_lists import DeviceLists
from cooee.services.devices import DeviceService, DeviceSettings, DeviceStores
from cooee.services.encrypted import EncryptedChecks, EncryptedParts
from cooee.services.encryption_modes import EncryptionModes
from cooee.services.enrolment import Enrolment
from cooee.services.export import ExportService, ExportStores
from cooee.services.group_receipts import GroupReceipts
from cooee.services.groups import GroupService
from cooee.services.incoming import HookStores, IncomingHooks, Posting
from cooee.services.keys import KeyService, KeyStores
from cooee.services.media import MediaService, MediaStores
from cooee.services.media_checks import MediaChecks
from cooee.services.messages import Messages
from cooee.services.own_conversations import OwnConversations
from cooee.services.own_state import OwnState
from cooee.services.passwords import Passwords, PasswordSettings
from cooee.services.presence import PresenceService
from cooee.services.profiles import ProfileService, ProfileStores
from cooee.services.receipts import Receipts, ReceiptStores
from cooee.services.routes import Routes
from cooee.services.send_line import SendLine
from cooee.services.sync import OwnEntries, Sync, SyncStores
from cooee.services.sync_tokens import SyncTokens
from cooee.services.to_device import Acquaintance, ToDeviceService
from cooee.services.typing import TypingService
from cooee.services.view_sources import ViewSources
from cooee.services.webhook_courier import WebhookCourier
from cooee.services.webhook_reader import WebhookReader
from cooee.services.webhooks import WebhookParts, WebhookService
from cooee.workers.fanout import Fanout
from cooee.workers.media_collector import MediaCollector
from cooee.workers.media_looks import Desk, MediaLooks, Telling
from cooee.workers.outgoing import OutgoingPorts, OutgoingServices, OutgoingWebhooks
from cooee.workers.sweeper import Sweeper
from cooee.workers.wakeups import Wakeups

LOOKS_FOLDER = "media-looks"
"""In the data folder: where files lie while they are looked at."""
_TEND_S = 30.0
_log = structlog.get_logger(__name__)


class House:
    """All services and workers of one server. `start` runs the workers, `aclose` ends them."""

    def __init__(self, ports: Ports, config: Config) -> None:
        self.ports = ports
        self._config = config
        limits, clock, settings = config.limits, ports.clock, config.accounts
        self.lag = LoopLag()
        self.budgets = Budgets(limits, clock.monotonic, limits.exempt)
        self.routes = Routes(ports.sessions, ports.router)
        self.views = ConversationViews(
            ViewSources(
                ports.accounts, ports.contacts, ports.groups, ports.timeline, ports.cursors, limits.large_group_members
            )
        )
        tokens = SyncTokens()
        self.own_state = OwnState(ports.preferences, self.routes, tokens.at)
        self.conversations = ConversationList(
            ListSources(ports.accounts, ports.groups, ports.timeline, ports.cursors, ports.preferences),
            self.routes,
            limits,
            tokens.at,
        )
        self.own_conversations = OwnConversations(ports.preferences, ports.sessions, self.conversations, self.routes)
        self.passwords = Passwords(
            PasswordSettings(
                settings.argon2_time_cost,
                settings.argon2_memory_kib,
                settings.argon2_parallelism,
                settings.hash_threads,
                settings.min_password_length,
            )
        )
        self.devices = DeviceService(
            DeviceStores(ports.accounts, ports.devices, ports.cursors, ports.sessions),
            self.passwords,
            self.budgets,
            self.routes,
            self.own_state,
            clock,
            DeviceSettings(settings.token_idle_days),
        )
        self.device_lists = DeviceLists(ports.device_keys, clock.monotonic)
        self.devices.revoked = self.device_lists.forget
        self.pushes = Pushes(ports, config.push)
        self.wakeups = Wakeups(self.pushes.queue, ports.devices, clock)
        self.profiles = ProfileService(
            ProfileStores(ports.accounts, ports.contacts),
            self.own_state,
            self.budgets,
            self.forget_user,
            user_search=settings.user_search,
        )
        self.groups = GroupService(
            ports.groups, ports.accounts, ports.contacts, self.own_conversations, self.views, clock, self.budgets
        )
        self.accounts = AccountService(
            AccountStores(ports.accounts, ports.credentials, ports.bots),
            self.devices,
            self.passwords,
            self.budgets,
            clock,
            Ending(self.groups.depart, self.forget_user),
            AccountSettings(settings.registration),
        )
        self.bots = BotService(
            BotStores(ports.accounts, ports.bots),
            BotParts(self.accounts, self.devices, self.profiles),
            self.budgets,
            clock,
        )
        self.enrolment = Enrolment(self.accounts, self.devices)
        self.contacts = ContactService(
            ContactStores(ports.contacts, ports.accounts), self.own_state, self.routes, limits, self.views.forget
        )
        stores = MediaStores(ports.media, ports.blobs, clock)
        self.media = MediaService(stores, self.budgets, config.media)
        self.media_checks = MediaChecks(stores, config.media)
        self.collector = MediaCollector(stores, config.media.collect_interval_s)
        self.encrypted = EncryptedChecks(EncryptedParts(self.views, self.device_lists, self.media_checks))
        self.line = SendLine(self.media_checks, self.encrypted, limits.content_bytes)
        self.looks = None if ports.inspector is None else self._looks(stores, ports.inspector)
        self.messages = Messages(ports.log, self.views, ports.timeline, clock, self.budgets, self.line)
        self.keys = KeyService(
            KeyStores(ports.device_keys, ports.accounts, ports.contacts, ports.groups),
            self.device_lists,
            self.own_state,
            self.passwords,
            self.budgets,
        )
        self.modes = EncryptionModes(ports.log, self.views, clock, self.budgets)
        self.incoming = IncomingHooks(
            HookStores(ports.bots, ports.cursors),
            Posting(self.bots, self.devices, self.messages, self.views),
            self.budgets,
            clock,
        )
        self.receipts = Receipts(
            ReceiptStores(ports.cursors, ports.timeline, self.own_conversations),
            self.views,
            self.routes,
            clock,
            GroupReceipts(ports.timeline, self.views, self.routes, clock),
            self.pushes.clearing.read,
        )
        self.sync = Sync(
            SyncStores(ports.timeline, ports.cursors, ports.preferences, clock),
            self.views,
            limits,
            OwnEntries(self.conversations, self.profiles.me),
            tokens,
            config.store.message_days,
        )
        self.export = ExportService(
            ExportStores(ports.devices, ports.contacts, ports.groups, ports.timeline),
            self.sync,
            self.profiles.me,
            clock,
        )
        self.to_device = ToDeviceService(
            ports.to_device,
            Acquaintance(ports.devices, ports.contacts, ports.groups, ports.timeline),
            self.routes,
            clock,
            self.budgets,
        )
        self.typing = TypingService(self.views, self.routes)
        self.presence = PresenceService(
            ports.presence,
            ports.accounts,
            ports.contacts,
            clock,
            limits,
            config.server.server_id,
            overloaded=self.lag.overloaded,
        )
        self.courier = WebhookCourier(ports.webhook_sender, clock, config.webhooks)
        self.outgoing = OutgoingWebhooks(
            OutgoingPorts(ports.webhooks, ports.accounts, ports.sessions, ports.router, clock),
            OutgoingServices(self.devices, WebhookReader(self.sync, self.receipts, config.webhooks), self.courier),
            config.webhooks,
            config.server.server_id,
        )
        self.webhooks = WebhookService(
            ports.webhooks,
            WebhookParts(self.bots, self.devices, self.courier),
            clock,
            config.webhooks,
            self.outgoing.changed,
        )
        self.fanout = Fanout(ports.log, self.views, self.routes, self.wakeups, clock)
        self.sweeper = Sweeper(ports.retention, clock, config.store.sweep_interval_s, config.store.sweep_after_s)
        self._tasks: list[asyncio.Task[None]] = []

    def _looks(self, stores: MediaStores, inspector: MediaInspector) -> MediaLooks:
        looks = MediaLooks(
            stores,
            inspector,
            Telling(self.views, self.routes),
            self._config.media.inspection_processes,
            Desk(Path(self._config.server.data_dir, LOOKS_FOLDER), self._config.media.keep_free_bytes),
        )
        self.line.noticed = looks.notice
        return looks

    def forget_user(self, user_id: str) -> None:
        """Forget cached facts about a user: the account, its settings, its blocks or its devices changed."""
        self.views.forget_user(user_id)
        self.device_lists.forget((user_id,))
        self.wakeups.forget_user(user_id)

    async def start(self) -> None:
        """Run the workers."""
        await self.presence.start()
        await self.pushes.service.start()
        for work in (
            self.routes.run,
            self.fanout.run,
            self.wakeups.run,
            self.own_conversations.run,
            self.presence.run,
            self.sweeper.run,
            self.collector.run,
            *([] if self.looks is None else [self.looks.run]),
            self.outgoing.run,
            self.pushes.notifier.run,
            self.lag.run,
            self._tend,
        ):
            self._tasks.append(asyncio.create_task(_supervised(work), name=work.__qualname__))

    async def aclose(self) -> None:
        """End the workers; presence keeps when its users were last seen."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        for last in (self.presence.aclose, self.devices.tend):
            try:
                await last()
            except CooeeError as refusal:  # a full disk keeps nobody from stopping
                _log.warning("the last state could not be kept", of=last.__qualname__, problem=str(refusal))
        self.passwords.close()

    def values(self) -> Iterator[tuple[str, Value]]:
        """Yield the metrics of services and workers."""
        yield "cooee_fanout_failures", float(self.fanout.failed)
        yield "cooee_routes_dropped", float(self.routes.dropped)
        yield "cooee_views", float(len(self.views))
        yield from webhook_values(self.outgoing, self.courier)
        yield from media_values(self.media.counters, self.media_checks, self.collector, self.looks)
        yield from key_values(self.keys.counters, self.encrypted)
        yield from push_values(self.pushes.notifier, self.pushes.lanes)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TEND_S)
            await self.devices.tend()


async def _supervised(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``work`` for ever: what fails is logged and started again."""
    while True:
        try:
            await work()
        except CooeeError as refusal:  # the store's trouble, which it has logged itself
            _log.warning("a worker waits for the store", worker=work.__qualname__, problem=str(refusal))
        except Exception:  # noqa: BLE001  # no worker may end while the server runs
            _log.exception("a worker failed; starting it again", worker=work.__qualname__)
        await asyncio.sleep(1.0)
