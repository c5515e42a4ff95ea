"""All ports on one SQLite file, opened and closed together."""

from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec

from cooee.adapters.sqlite.accounts import SqliteAccounts
from cooee.adapters.sqlite.contacts import SqliteContacts
from cooee.adapters.sqlite.credentials import SqliteCredentials
from cooee.adapters.sqlite.database import Database, DatabaseSettings
from cooee.adapters.sqlite.devices import SqliteDevices
from cooee.adapters.sqlite.preferences import SqlitePreferences
from cooee.adapters.sqlite.push_queue import SqlitePushQueue
from cooee.adapters.sqlite.to_device import SqliteToDevice
from cooee.domain.ids import DeviceRef

DATABASE_FILE = "cooee.db"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the composition root may set."""

    database: DatabaseSettings = DatabaseSettings()


class SqliteStore:
    """The ports of the embedded profile."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.accounts = SqliteAccounts(database, self._forget_cursors)
        self.devices = SqliteDevices(database, self._forget_cursors)
        self.contacts = SqliteContacts(database)
        self.preferences = SqlitePreferences(database)
        self.credentials = SqliteCredentials(database)
        self.to_device = SqliteToDevice(database)
        self.push_queue = SqlitePushQueue(database)

    async def aclose(self) -> None:
        """Close the file after all that was submitted is durable. Idempotent."""
        await self.database.aclose()

    def _forget_cursors(self, connection: apsw.Connection, gone: Sequence[DeviceRef]) -> None:
        """Drop the cursors of devices that are being revoked, in the writer thread, within that transaction."""


async def open_store(folder: Path, settings: StoreSettings | None = None) -> SqliteStore:
    """Open the store in ``folder``, which exists; create the file when there is none.

    Raises:
        StoreError: the folder is in use, the file damaged or newer than this program; the message says which.
    """
    settings = settings or StoreSettings()
    database = await Database.open(folder / DATABASE_FILE, settings.database)
    store = SqliteStore(database)
    database.start()
    return store
