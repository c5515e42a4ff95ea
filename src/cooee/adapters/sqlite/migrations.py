"""The schema: numbered SQL files, applied in order, each once. The file's ``user_version`` is the last one applied."""

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import apsw

from cooee.adapters.sqlite.errors import SchemaTooNew, StoreCorrupt

APPLICATION_ID = 0x436F6565
"""``Coee``: tells a Cooee file from any other SQLite file."""


class Migration(NamedTuple):
    """One step of the schema."""

    version: int
    name: str
    sql: str


@cache
def known_migrations() -> tuple[Migration, ...]:
    """Return the steps that this program knows, numbered 1, 2, 3 … in ascending order."""
    folder = files("cooee.adapters.sqlite") / "schema"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    steps = tuple(Migration(int(name.split("_", 1)[0]), name, (folder / name).read_text("utf-8")) for name in names)
    if [step.version for step in steps] != list(range(1, len(steps) + 1)):
        raise AssertionError(f"migration files must be numbered 1, 2, 3 …: {names}")
    return steps


def migrate(connection: apsw.Connection, path: Path, steps: tuple[Migration, ...] | None = None) -> int:
    """Bring the file to the newest schema in one transaction, and return the version it had before (0: empty).

    A file of an older version is copied first, to ``<name>.before-v<new>``, whole and checked by SQLite.

    Raises:
        SchemaTooNew: the file is from a newer program; it is left as it is.
        StoreCorrupt: the file belongs to another application.
    """
    steps = known_migrations() if steps is None else steps
    newest = steps[-1].version
    version = recognise(connection, path, steps)
    if version == newest:
        return version
    if version:
        copy_before(connection, path, newest)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            if step.version > version:
                connection.execute(step.sql)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", newest)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return version


def recognise(connection: apsw.Connection, path: Path, steps: tuple[Migration, ...] | None = None) -> int:
    """Return the file's schema version (0: empty) without changing anything.

    Raises:
        SchemaTooNew: the file is from a newer program.
        StoreCorrupt: the file belongs to another application.
    """
    newest = (known_migrations() if steps is None else steps)[-1].version
    version = int(connection.pragma("user_version"))
    application = int(connection.pragma("application_id"))
    if application != APPLICATION_ID and (version or connection.pragma("schema_version")):
        raise StoreCorrupt(path, "it is not a Cooee data file")
    if version > newest:
        raise SchemaTooNew(path, version, newest)
    return version


def copy_before(connection: apsw.Connection, path: Path, newest: int) -> Path:
    """Copy the whole file beside itself before it is changed; an earlier copy of the same name is replaced."""
    target = path.with_name(f"{path.name}.before-v{newest}")
    partial = path.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(partial),))
    _force(partial)  # SQLite does not
    partial.replace(target)
    _force(path.parent)
    return target


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
