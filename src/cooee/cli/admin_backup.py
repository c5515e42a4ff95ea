"""``cooee admin backup`` and ``cooee admin restore``."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cooee.cli.admin_place import Place, pass_place
from cooee.cli.admin_socket import AdminSocket, NobodyListens
from cooee.cli.choices import json_option
from cooee.cli.errors import CliError, sentence
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.progress import Bar
from cooee.protocol import admin as bodies

if TYPE_CHECKING:
    from cooee.app.backup import Progress

T = TypeVar("T")
_BACKUP = "/v1/admin/backup"
_LOOK_EVERY_S = 0.1
_DOING = {
    "copying": "Copying the store",
    "checking": "Checking the copy",
    "writing": "Writing",
    "verifying": "Reading it back",
    "restoring": "Reading the backup",
}


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@json_option
@pass_place
@pass_invocation
def backup(invocation: Invocation, place: Place, file: Path, force: bool) -> None:
    """Write everything that a restore needs to FILE, while the server runs or not.

    The backup is checked before it gets its name. It holds all messages and secrets: keep it as you keep the data.
    """
    target = file.absolute()
    with Bar("Beginning", quiet=invocation.as_json, unit="bytes") as bar:
        try:
            _online(place.socket(), target, bar, replace=force)
        except NobodyListens:
            _offline(place, target, bar, replace=force)
    size = target.stat().st_size
    invocation.tell({"type": "backup", "file": str(target), "bytes": size}, f"{target}: {size:,} bytes, checked.")


def _online(socket: AdminSocket, target: Path, bar: Bar, *, replace: bool) -> None:
    """Have the running server do it, and watch."""
    told = socket.call("POST", _BACKUP, bodies.BackupProgress, bodies.MakeBackup(str(target), replace))
    while told.state not in ("done", "failed"):
        time.sleep(_LOOK_EVERY_S)
        try:
            told = socket.call("GET", _BACKUP, bodies.BackupProgress)
        except NobodyListens:
            raise CliError("The server stopped meanwhile; there is no backup. Try again.", code="state") from None
        if told.file != str(target):
            raise CliError(f"The server was restarted meanwhile; look whether {target} is there.", code="state")
        _show(bar, told.state, told.done, told.total)
    if told.state == "failed":
        raise CliError(f"There is no backup: {told.message}.", code="state")


def _offline(place: Place, target: Path, bar: Bar, *, replace: bool) -> None:
    from cooee.app.wiring import backup_offline  # noqa: PLC0415  # the server's imports, only when needed

    config = place.config()
    _watched(lambda progress: backup_offline(config, target, progress, replace=replace), bar)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--data-dir", metavar="FOLDER", help="The data folder to put it into, empty or not there  [as for `cooee admin`]"
)
@click.option("--force", is_flag=True, help="Restore into a used folder; what is there is moved to a folder in it.")
@json_option
@pass_place
@pass_invocation
def restore(invocation: Invocation, place: Place, file: Path, data_dir: str | None, force: bool) -> None:
    """Put a backup into a data folder on which no server runs.

    The backup is checked first. What was sent after it was made is lost; docs/operations.md says what clients notice.
    """
    from cooee.app.wiring import restore_offline  # noqa: PLC0415  # the server's imports, only when needed

    folder = Path(data_dir or place.config().server.data_dir)
    with Bar("Beginning", quiet=invocation.as_json, unit="bytes") as bar:
        manifest = _watched(lambda progress: restore_offline(file, folder, progress, force=force), bar)
    made = datetime.fromtimestamp(manifest.created_at / 1000).astimezone()
    invocation.tell(
        {"type": "restored", "dataDir": str(folder), "createdAt": manifest.created_at, "rows": manifest.rows},
        f"{folder} is as it was at {made:%Y-%m-%d %H:%M:%S}: accounts: {manifest.rows.get('account', 0):,}, "
        f"messages: {manifest.rows.get('message', 0):,}.",
    )
    invocation.note(f"Start the server on it with: cooee serve --data-dir {folder}")


def _watched(work: Callable[["Progress"], T], bar: Bar) -> T:
    """Do the work in this thread, and show from another how far it is."""
    from cooee.app.backup import BackupFailed, Progress  # noqa: PLC0415  # as above

    progress, ended = Progress(), threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            _show(bar, progress.state, progress.done, progress.total)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        return work(progress)
    except BackupFailed as problem:
        raise CliError(sentence(str(problem)), code="store") from None
    finally:
        ended.set()
        watching.join()


def _show(bar: Bar, state: str, done: int, total: int) -> None:
    bar.show(_DOING.get(state, state), done, total)
