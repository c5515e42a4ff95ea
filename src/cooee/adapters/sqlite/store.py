"""All ports on one SQLite file, opened and closed together."""

from pathlib import Path

import msgspec

from cooee.adapters.sqlite.accounts import SqliteAccounts
from cooee.adapters.sqlite.bots import SqliteBots
from cooee.adapters.sqlite.contacts import SqliteContacts
from cooee.adapters.sqlite.credentials import SqliteCredentials
from cooee.adapters.sqlite.cursors import SqliteCursors
from cooee.adapters.sqlite.database import Database, DatabaseSettings
from cooee.adapters.sqlite.device_keys import SqliteDeviceKeys
from cooee.adapters.sqlite.devices import SqliteDevices
from cooee.adapters.sqlite.groups import SqliteGroups
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.media import SqliteMedia
from cooee.adapters.sqlite.message_log import SqliteMessageLog
from cooee.adapters.sqlite.preferences import SqlitePreferences
from cooee.adapters.sqlite.push_queue import SqlitePushQueue
from cooee.adapters.sqlite.push_targets import SqlitePushTargets
from cooee.adapters.sqlite.retention import SqliteRetention, note_retention
from cooee.adapters.sqlite.timeline import SqliteTimeline
from cooee.adapters.sqlite.to_device import SqliteToDevice, sweep_to_device
from cooee.adapters.sqlite.webhooks import SqliteWebhooks
from cooee.domain.fanout import DEFAULT_LARGE_GROUP_MEMBERS
from cooee.ports.retention import DAY_MS, RetentionSettings

DATABASE_FILE = "cooee.db"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the composition root may set."""

    database: DatabaseSettings = DatabaseSettings()
    retention: RetentionSettings = RetentionSettings()
    large_group_members: int = DEFAULT_LARGE_GROUP_MEMBERS
    """Members from which on no list entries are written per message."""
    cache_entries: int = 50_000
    """Conversations with their watermarks that the writer thread remembers, about; likewise devices."""


class SqliteStore:
    """The ports of the embedded profile."""

    def __init__(self, database: Database, settings: StoreSettings) -> None:
        """Build the ports and start the writer thread."""
        self.database = database
        self.message_log = SqliteMessageLog(database)
        ledger = Ledger(
            message_retention_ms=settings.retention.message_days * DAY_MS,
            cache_entries=settings.cache_entries,
            emit=self.message_log.emit,
        )
        self.timeline = SqliteTimeline(database, ledger)
        self.cursors = SqliteCursors(database, ledger)
        self.groups = SqliteGroups(database, ledger, settings.large_group_members)
        self.retention = SqliteRetention(database, ledger, settings.retention, sweep_to_device)
        self.accounts = SqliteAccounts(database, self.cursors.forget_rows)
        self.devices = SqliteDevices(database, self.cursors.forget_rows)
        self.device_keys = SqliteDeviceKeys(database)
        self.bots = SqliteBots(database)
        self.webhooks = SqliteWebhooks(database)
        self.contacts = SqliteContacts(database)
        self.preferences = SqlitePreferences(database)
        self.credentials = SqliteCredentials(database)
        self.media = SqliteMedia(database)
        self.to_device = SqliteToDevice(database)
        self.push_queue = SqlitePushQueue(database)
        self.push_targets = SqlitePushTargets(database)
        note_retention(database.setup_connection, settings.retention)
        database.start(ledger)

    async def check_writable(self) -> None:
        """Write and make durable one row that means nothing. Raises CooeeError ``unavailable`` when that fails."""
        await self.database.write(lambda connection: connection.execute("REPLACE INTO meta VALUES ('probed', 1)").get)

    async def aclose(self) -> None:
        """Close the file after all that was submitted is durable. Idempotent."""
        await self.database.aclose()


async def open_store(folder: Path, settings: StoreSettings | None = None) -> SqliteStore:
    """Open the store in ``folder``, which exists; create the file when there is none.

    Raises:
        StoreError: the folder is in use, the file damaged or newer than this program; the message says which.
    """
    settings = settings or StoreSettings()
    database = await Database.open(folder / DATABASE_FILE, settings.database)
    return SqliteStore(database, settings)
