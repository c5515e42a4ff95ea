"""The composition root: builds every part of a server from its configuration. The only file that names adapters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from cooee.adapters.http.bounded_connector import BoundedConnector
from cooee.adapters.http.checked_resolver import CheckedResolver, look_up
from cooee.adapters.http.webhook_sender import HttpWebhookSender
from cooee.adapters.inspect.media_inspector import ProcessInspector
from cooee.adapters.memory.clock import SystemClock
from cooee.adapters.memory.presence import MemoryPresence
from cooee.adapters.memory.router import MemoryRouter
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.push import platforms
from cooee.adapters.push.apns import PRODUCTION, SANDBOX
from cooee.adapters.push.platforms import Platforms, PlatformSettings
from cooee.adapters.push.web import Ways
from cooee.adapters.sqlite import copies
from cooee.adapters.sqlite.batch import BATCH_SIZE_BOUNDS
from cooee.adapters.sqlite.database import DatabaseSettings
from cooee.adapters.sqlite.errors import StoreError
from cooee.adapters.sqlite.folder_lock import FolderLock
from cooee.adapters.sqlite.migrations import known_migrations
from cooee.adapters.sqlite.store import DATABASE_FILE, SqliteStore, StoreSettings, open_store
from cooee.app.archive import Manifest
from cooee.app.backup import BackupFailed, Backups, Progress, StoreFiles, restore_backup, write_backup
from cooee.app.config import Config
from cooee.app.gauges import connection_values, gateway_values
from cooee.app.house import House
from cooee.app.logs import set_level
from cooee.app.media_store import MediaStore, open_media_store, routes_to
from cooee.app.ports import Live, Ports
from cooee.app.telemetry import Buckets, Telemetry, Value
from cooee.app.tls.pair import CertificateFailed
from cooee.app.tls.serving import Tls, tls_of, url_of
from cooee.domain.addresses import AddressRules
from cooee.domain.errors import unavailable
from cooee.gateway.gateway import Gateway
from cooee.gateway.http.admin import AdminServices, admin_app
from cooee.gateway.http.app import HttpSettings, http_app
from cooee.gateway.http.services import HttpServices
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.gateway.services import GatewayServices
from cooee.ports.retention import RetentionSettings
from cooee.services.accounts import AccountService

ADMIN_SOCKET = "admin.sock"
_MAX_SOCKET_PATH = 107
_READY_FOR_S = 1.0
_NAMES_S = 3600.0


class StoreFailed(Exception):
    """The store cannot be opened; the message names the file or folder and what to do."""


class Server:
    """One running server process of the embedded profile. ``tls``: how it encrypts, None when it does not."""

    def __init__(self, config: Config, store: SqliteStore, tls: Tls | None = None) -> None:
        self._config = config
        self.tls = tls
        self._store = store
        clock = SystemClock()
        self._sender = HttpWebhookSender(config.webhooks)
        self._blobs = _blobs(config, clock)
        self._platforms = _platforms(config, clock)
        self._inspector = ProcessInspector(config.media) if config.media.inspection else None
        live = Live(
            MemorySessions(),
            MemoryRouter(),
            MemoryPresence(),
            self._sender,
            self._blobs,
            self._platforms.senders,
            self._inspector,
        )
        self._house = House(Ports.of(store, live, clock), config)
        self._gateway = Gateway(_gateway_services(self._house), config.server.server_id, config.limits, clock)
        self._telemetry = Telemetry([self._values, self._house.values, self._house.lag.values, self._store_values])
        settings = HttpSettings(config.server.public_url, config.server.allowed_origins, config.limits.http_body_bytes)
        app = http_app(self._http_services(), settings, routes_to(self._blobs, clock))
        self._front = FrontServer(
            app if tls is None else tls.app(app),
            self._gateway.new_session,
            FrontSettings(
                host=config.server.host if tls is None else tls.host,
                port=config.server.port,
                backlog=config.server.backlog,
                public_url=config.server.public_url,
                allowed_origins=config.server.allowed_origins,
                trusted_proxies=config.server.trusted_proxies,
                limits=config.limits,
            ),
            None if tls is None else tls.encryption(app),
        )
        self._backups = Backups(Path(config.server.data_dir), _STORE_FILES)
        self._admin = admin_app(self._admin_services(), settings)
        self._drained = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self._writable_until = 0.0
        self._started = False

    @property
    def url(self) -> str:
        """Where programs on this machine find this process."""
        if self.tls is None or self.tls.is_plain_here:
            return url_of("http", self._front.settings.host or "127.0.0.1", self._front.port)
        return url_of("https", self._front.settings.host or "127.0.0.1", self._front.tls_port)

    @property
    def port(self) -> int:
        """The public port."""
        return self._front.port

    @property
    def connections(self) -> int:
        """Open connections of the public port."""
        return self._front.open_connections if self._started else 0

    @property
    def writer_thread(self) -> int:
        """The system's id of the thread that writes the store."""
        return self._store.database.writer_thread

    @property
    def drain_s(self) -> float:
        """How long a drain may take."""
        return self._config.limits.drain_s

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            OSError: the address is taken or may not be used.
            StoreFailed: the path of the data folder is too long for the administrative socket.
        """
        _check_length(admin_socket(self._config))
        await self._house.start()
        await self._gateway.start()
        await self._front.start()
        self._started = True
        if self.tls is not None:
            self.tls.port = self._front.tls_port
        await self._front.listen_for_administration(admin_socket(self._config), self._admin)

    async def drained(self) -> None:
        """Return once a drain that was asked for by the administrator has ended."""
        await self._drained.wait()

    async def drain(self) -> None:
        """Let all clients leave for another server, up to ``limits.drain_s``. Repeated calls wait for the first."""
        if self._drain is None:
            self._drain = asyncio.create_task(self._drain_once())
        await asyncio.shield(self._drain)

    async def aclose(self) -> None:
        """Stop serving and close the store after all that was accepted is durable."""
        if self._drain is not None and not self._drain.done():
            self._drain.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._drain
        await self._gateway.aclose()
        if self._started:
            await self._front.aclose()
            admin_socket(self._config).unlink(missing_ok=True)  # once, at the end
        await self._backups.aclose()
        await self._house.aclose()
        await self._sender.aclose()
        if self._inspector is not None:
            await self._inspector.aclose()
        await self._platforms.aclose()
        await self._blobs.aclose()
        await self._store.aclose()

    async def _drain_once(self) -> None:
        await self._gateway.drain(self._front.stop_accepting)
        self._drained.set()

    def _begin_drain(self) -> None:
        if self._drain is None:
            self._drain = asyncio.create_task(self._drain_once())

    async def _ready(self) -> None:
        """Refuse while draining, and while the store takes nothing; looked at once a second at most."""
        if not self._gateway.ready:
            raise unavailable("this server is draining")
        now = asyncio.get_running_loop().time()
        if now >= self._writable_until:
            await self._store.check_writable()
            self._writable_until = now + _READY_FOR_S

    def _http_services(self) -> HttpServices:
        house = self._house
        return HttpServices(
            accounts=house.accounts,
            bots=house.bots,
            incoming=house.incoming,
            webhooks=house.webhooks,
            profiles=house.profiles,
            devices=house.devices,
            contacts=house.contacts,
            conversations=house.conversations,
            keys=house.keys,
            device_lists=house.device_lists,
            modes=house.modes,
            media=house.media,
            messages=house.messages,
            receipts=house.receipts,
            sync=house.sync,
            groups=house.groups,
            export=house.export,
            push=house.pushes.service,
            budgets=house.budgets,
            poll=self._gateway.poll,
            ready=self._ready,
            metrics=self._telemetry.render,
            web_push_key=self._platforms.web_key,
        )

    def _admin_services(self) -> AdminServices:
        return AdminServices(
            accounts=self._house.accounts,
            bots=self._house.bots,
            enrolment=self._house.enrolment,
            push=self._house.pushes.service,
            drain=self._begin_drain,
            stats=self._stats,
            set_log_level=set_level,
            start_backup=self._backups.start,
            backup_progress=self._backups.progress,
            ready=self._ready,
            metrics=self._telemetry.render,
        )

    def _stats(self) -> Mapping[str, int | float | str]:
        values = self._telemetry.values()
        plain = {name.removeprefix("cooee_"): value for name, value in values.items() if isinstance(value, float)}
        return {"url": self.url, "server_id": self._config.server.server_id, **plain}

    def _values(self) -> Iterator[tuple[str, Value]]:
        yield from gateway_values(self._gateway.counters, draining=not self._gateway.ready)
        if self._started:
            yield "cooee_connections", float(self._front.open_connections)
            if self.tls is not None:
                yield "cooee_tls_certificate_expiry_seconds", self.tls.keeper.loaded.seconds_left()
            yield from connection_values(self._front.shared, self._gateway.counters.slow_polls)
        if self._inspector is not None:
            yield "cooee_media_look_seconds", self._inspector.counters.seconds
            yield "cooee_media_inspectors_replaced", float(self._inspector.counters.replaced)

    def _store_values(self) -> Iterator[tuple[str, Value]]:
        counters = self._store.database.counters
        yield "cooee_commits", float(counters.commits)
        yield "cooee_commit_failures", float(counters.failures)
        yield "cooee_commit_operations", float(counters.operations)
        yield "cooee_commit_seconds", counters.commit_seconds
        yield "cooee_commit_batch_size", Buckets(BATCH_SIZE_BOUNDS, counters.batch_sizes, float(counters.operations))
        yield "cooee_wal_pages", float(counters.wal_pages)


async def open_server(config: Config) -> Server:
    """Open the store in the configured data folder, which exists, and build a server on it.

    Raises:
        StoreFailed: the folder is in use, or its file cannot be used.
        CertificateFailed: it is to encrypt, and has no certificate that can be used.
    """
    store = await _open_store(config)
    try:
        tls = tls_of(config.server)  # after the store, whose lock guards the folder
        return Server(config, store, tls)
    except (CertificateFailed, StoreFailed):
        await store.aclose()
        raise


@contextlib.asynccontextmanager
async def open_offline(config: Config) -> AsyncIterator[AccountService]:
    """Give the account service of a server that does not run, for administration.

    Raises:
        StoreFailed: the folder is in use (the server runs: use its administrative socket), or cannot be used.
    """
    store = await _open_store(config)
    try:
        clock = SystemClock()
        blobs = _blobs(config, clock)
        sender = HttpWebhookSender(config.webhooks)
        live = Live(MemorySessions(), MemoryRouter(), MemoryPresence(), sender, blobs)
        house = House(Ports.of(store, live, clock), config)
        yield house.accounts
        await blobs.aclose()
    finally:
        await store.aclose()


def backup_offline(config: Config, target: Path, progress: Progress, *, replace: bool) -> None:
    """Write a backup of the data folder of a server that does not run. Blocks.

    Raises:
        BackupFailed: the folder is in use, or it cannot be done; nothing was written under that name.
    """
    folder = Path(config.server.data_dir)
    with _locked(folder):
        write_backup(_STORE_FILES, folder, target, progress, replace=replace)


def restore_offline(file: Path, folder: Path, progress: Progress, *, force: bool) -> Manifest:
    """Put a backup into a data folder, which is made if it is not there. Blocks.

    Raises:
        BackupFailed: the folder is in use, the backup damaged or newer than this program; nothing was changed.
    """
    if not file.is_file():
        raise BackupFailed(f"there is no backup {file}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise BackupFailed(f"the data folder {folder} cannot be made: {problem.strerror}") from None
    with _locked(folder):
        return restore_backup(_STORE_FILES, file, folder, progress, force=force)


def examine_store(config: Config, *, online: bool) -> tuple[int, int, str]:
    """Return the store's schema version, the newest that this program knows, and what is wrong, empty: nothing is.

    Quick while the server runs, from end to end while it does not. Blocks; changes nothing.

    Raises:
        StoreFailed: the folder is in use though nobody answers, or the store is not there, not ours, or too new.
    """
    folder = Path(config.server.data_dir)
    newest = known_migrations()[-1].version
    try:
        with contextlib.nullcontext() if online else _locked(folder):
            version, wrong = copies.check_live(folder / DATABASE_FILE, full=not online)
    except (StoreError, BackupFailed) as problem:
        raise StoreFailed(str(problem)) from problem
    return version, newest, wrong


def admin_socket(config: Config) -> Path:
    """Return where the running server of this configuration listens for administration."""
    return Path(config.server.data_dir) / ADMIN_SOCKET


def _check_length(socket_path: Path) -> None:
    """Refuse a path that the system cannot bind a Unix socket to (sockaddr_un)."""
    length = len(bytes(socket_path))
    if length > _MAX_SOCKET_PATH:
        raise StoreFailed(
            f"the path of the administrative socket, {socket_path}, has {length} bytes, and the system takes "
            f"{_MAX_SOCKET_PATH} at most; choose a shorter --data-dir"
        )


async def _open_store(config: Config) -> SqliteStore:
    store = config.store
    settings = StoreSettings(
        database=DatabaseSettings(commit_delay_s=store.group_commit_ms / 1000, readers=store.readers),
        retention=RetentionSettings(
            message_days=store.message_days,
            undelivered_days=store.undelivered_days,
            dedup_days=store.dedup_days,
            to_device_days=store.to_device_days,
        ),
        large_group_members=config.limits.large_group_members,
    )
    try:
        return await open_store(Path(config.server.data_dir), settings)
    except StoreError as problem:
        raise StoreFailed(str(problem)) from problem


def _blobs(config: Config, clock: SystemClock) -> MediaStore:
    """Open the store of media. Blocks."""
    try:
        return open_media_store(config, clock)
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreFailed(f"the store of files cannot be opened: {problem}") from None


def examine_platforms(config: Config) -> tuple[list[str], str]:
    """Return which push platforms are set up, and what is wrong with a key, empty: nothing is. Blocks."""
    return platforms.examine_platforms(_platform_settings(config))


def _platform_settings(config: Config) -> PlatformSettings:
    push = config.push
    public_url = config.server.public_url
    return PlatformSettings(
        pace=push,
        vapid_key_file=Path(config.server.data_dir) / "vapid.pem",
        vapid_contact=push.vapid_contact or (public_url if public_url.startswith("https://") else ""),
        fcm_service_account_file=push.fcm_service_account_file,
        fcm_url=push.fcm_url,
        apns_key_file=push.apns_key_file,
        apns_key_id=push.apns_key_id,
        apns_team_id=push.apns_team_id,
        apns_topic=push.apns_topic,
        apns_url=push.apns_url or (SANDBOX if push.apns_sandbox else PRODUCTION),
    )


def _platforms(config: Config, clock: SystemClock) -> Platforms:
    """Read the keys of the push platforms. Blocks."""
    push = config.push
    rules = AddressRules(push.allowed_networks)
    resolver = CheckedResolver(rules, look_up, push.in_flight, "push-names", remembered_s=_NAMES_S)
    try:
        return Platforms(_platform_settings(config), Ways(resolver, BoundedConnector), clock)
    except OSError as problem:
        raise StoreFailed(
            f"a key of the push platforms cannot be used: {problem.filename}: {problem.strerror}"
        ) from None
    except ValueError as problem:
        raise StoreFailed(f"a key of the push platforms cannot be used: {problem}") from None


def _gateway_services(house: House) -> GatewayServices:
    return GatewayServices(
        messages=house.messages,
        receipts=house.receipts,
        sync=house.sync,
        views=house.views,
        presence=house.presence,
        typing=house.typing,
        devices=house.devices,
        to_device=house.to_device,
        conversation_list=house.conversations,
        sessions=house.ports.sessions,
        router=house.ports.router,
        push_queue=house.pushes.queue,
    )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StoreError as problem:
        raise BackupFailed(str(problem)) from problem


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _told():
        lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.release()


_STORE_FILES = StoreFiles(_told()(copies.copy_file), _told()(copies.check_copy), _told()(copies.begin_epoch))
