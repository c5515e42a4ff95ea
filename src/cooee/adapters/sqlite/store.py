"""All ports on one SQLite file, opened and closed together."""

from pathlib import Path

import msgspec

from cooee.adapters.sqlite.database import Database, DatabaseSettings

DATABASE_FILE = "cooee.db"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the composition root may set."""

    database: DatabaseSettings = DatabaseSettings()


class SqliteStore:
    """The ports of the embedded profile."""

    def __init__(self, database: Database) -> None:
        self.database = database

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
    store = SqliteStore(database)
    database.start()
    return store
