"""Backups of the data folder, and their return (docs/operations.md). Everything here blocks, but for `Backups`.

A backup is made beside its final name, checked, and only then given it: whatever is there under that name is whole.
"""

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import structlog

from cooee.app import archive
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.protocol.admin import BackupProgress

_log = structlog.get_logger(__name__)
_DATABASE = ("cooee.db", "cooee.db-wal", "cooee.db-shm", "cooee.db-journal")
_NOT_COPIED = ("cooee.lock", "admin.sock", "media-looks", *_DATABASE)
_NOT_USED = frozenset({"cooee.lock", "lost+found"})
_RESTORING = "restore.partial"
_REPLACED = "replaced-"
_ROOM = 64 * 1024 * 1024
_LONGEST_REST_S = 1.0


class BackupFailed(Exception):
    """No backup was made, or nothing was restored; the message says why and what to do."""


class StoreFiles(NamedTuple):
    """What the store's adapter does with files; each raises BackupFailed. ``Facts``: schema version, rows by table."""

    copy: Callable[[Path, Path, Callable[[int, int], None], Callable[[float], None]], tuple[int, dict[str, int]]]
    """Copy the store (first) into a new file (second), reporting bytes done and in all, resting between pieces."""
    check: Callable[[Path], tuple[int, dict[str, int]]]
    """Examine a copy from end to end."""
    begin_epoch: Callable[[Path], None]
    """Make the sync tokens of the copied store foreign to the copy."""


class Progress:
    """How far it is: written by one thread, read by anyone. ``pace`` is how long to rest, per second of work."""

    def __init__(self, pace: float = 0.0) -> None:
        self.state = "none"
        self.file = ""
        self.done = 0
        self.total = 0
        self.message = ""
        self._pace = pace
        self._stopped = threading.Event()

    def begin(self, state: str, total: int = 0) -> None:
        """Start the next part: copying, checking, writing, verifying, restoring."""
        self.state, self.done, self.total = state, 0, total

    def report(self, done: int, total: int) -> None:
        """Note the bytes done, and in all."""
        self.done, self.total = done, total

    def account(self, size: int, took_s: float) -> None:
        """Note another piece, and rest."""
        self.done += size
        self.rest(took_s)

    def rest(self, took_s: float) -> None:
        """Leave the disk to others for about as long as it was used.

        Raises:
            BackupFailed: it was stopped.
        """
        if self._stopped.wait(min(took_s * self._pace, _LONGEST_REST_S)):
            raise BackupFailed("it was stopped, because the server stops")

    def stop(self) -> None:
        """End the work at its next rest."""
        self._stopped.set()

    def told(self) -> BackupProgress:
        """Return it as the administrative API does."""
        return BackupProgress(self.state, self.file, self.done, self.total, self.message)


def write_backup(store: StoreFiles, folder: Path, target: Path, progress: Progress, *, replace: bool) -> None:
    """Write a backup of the data folder to ``target``, mode 0600, all of it or nothing.

    It holds what was acknowledged before the call. A server may run on the folder.

    Raises:
        BackupFailed: nothing was written under that name.
    """
    progress.file = str(target)
    _check_target(folder, target, replace=replace)
    partial, copy = target.with_name(target.name + ".partial"), target.with_name(target.name + ".partial-store")
    logs = [copy.with_name(copy.name + end) for end in ("-journal", "-wal", "-shm")]
    try:
        with _removed(partial, copy, *logs):
            _check_room(folder, target.parent)
            progress.begin("copying")
            facts = store.copy(folder / archive.STORE, copy, progress.report, progress.rest)
            progress.begin("checking")
            if store.check(copy) != facts:
                raise BackupFailed("the copy is not as the store is; nothing was written; check the disk")
            others = list(_others(folder))
            size = copy.stat().st_size + sum(map(_size, (path for _, path in others)))
            progress.begin("writing", size)
            manifest = archive.Manifest(
                format=archive.FORMAT,
                program=version("cooee"),
                created_at=time.time_ns() // 1_000_000,
                schema=facts[0],
                rows=facts[1],
            )
            _write(partial, [(archive.STORE, copy), *others], manifest, progress)
            progress.begin("verifying", size)
            if archive.read(partial, progress.account) != manifest:
                raise BackupFailed("what was written reads differently; check the disk")
            partial.replace(target)
            _force(target.parent)
    except OSError as problem:
        raise BackupFailed(f"{problem.filename or target}: {problem.strerror or problem}") from None
    except archive.ArchiveDamaged as problem:
        raise BackupFailed(f"what was written reads differently: {problem}; check the disk") from None
    progress.begin("done", size)
    progress.report(size, size)


def restore_backup(store: StoreFiles, file: Path, folder: Path, progress: Progress, *, force: bool) -> archive.Manifest:
    """Put a backup into ``folder``, which is made or empty; ``force`` moves what is there to a folder in it.

    Checked before anything is moved. The caller holds the folder's lock: no server may run on it.

    Raises:
        BackupFailed: nothing was changed.
    """
    progress.file = str(file)
    used = sorted(path.name for path in folder.iterdir() if path.name not in _NOT_USED and path.name != _RESTORING)
    if used and not force:
        raise BackupFailed(f"the data folder {folder} is in use: there is {used[0]}; name an empty one, or use --force")
    partial = folder / _RESTORING
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700)
        progress.begin("restoring", file.stat().st_size)
        manifest = archive.read(file, progress.account, partial)
        progress.begin("checking")
        if store.check(partial / archive.STORE) != (manifest.schema, manifest.rows):
            raise BackupFailed(f"the backup {file} does not hold the rows that it says; use another one")
        store.begin_epoch(partial / archive.STORE)
        _settle(partial, folder, used)
    except archive.ArchiveDamaged as problem:
        raise BackupFailed(f"the backup {file} is damaged: {problem}; use another one") from None
    except OSError as problem:
        raise BackupFailed(f"{problem.filename or folder}: {problem.strerror or problem}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    progress.begin("done")
    return manifest


class Backups:
    """The backups of a running server: one at a time, in a thread, resting as long as it works."""

    def __init__(self, folder: Path, store: StoreFiles) -> None:
        self._folder = folder
        self._store = store
        self._progress = Progress()
        self._task: asyncio.Task[None] | None = None

    def start(self, file: str, replace: bool) -> None:
        """Begin a backup to an absolute path.

        Raises:
            CooeeError: ``conflict`` when one runs, ``bad_frame`` when the path is not absolute.
        """
        if self._task is not None and not self._task.done():
            raise CooeeError(ErrorCode.CONFLICT, f"a backup runs already, to {self._progress.file}; wait for its end")
        if not Path(file).is_absolute() or "\0" in file:
            raise bad_frame("file must be an absolute path")
        self._progress = Progress(pace=1.0)
        self._progress.begin("copying")
        self._task = asyncio.create_task(self._run(Path(file), self._progress, replace=replace))

    def progress(self) -> BackupProgress:
        """Return how far the last backup is; state ``none``: there was none."""
        return self._progress.told()

    async def aclose(self) -> None:
        """Stop the one that runs; nothing of it stays."""
        self._progress.stop()
        if self._task is not None:
            await self._task

    async def _run(self, target: Path, progress: Progress, *, replace: bool) -> None:
        try:
            await asyncio.to_thread(write_backup, self._store, self._folder, target, progress, replace=replace)
        except BackupFailed as problem:
            progress.message, progress.state = str(problem), "failed"
            _log.warning("the backup failed", file=str(target), problem=str(problem))
        except Exception as problem:  # noqa: BLE001  # whoever waits for the end must be told of it
            progress.message, progress.state = f"{type(problem).__name__}", "failed"
            _log.exception("the backup failed", file=str(target))
        else:
            _log.info("made a backup", file=str(target), bytes=progress.total)


def _check_target(folder: Path, target: Path, *, replace: bool) -> None:
    if not target.parent.is_dir():
        raise BackupFailed(f"there is no folder {target.parent}, or the server may not see it")
    if target.parent.resolve().is_relative_to(folder.resolve()):
        raise BackupFailed(f"{target} lies in the data folder itself; name a file elsewhere, best on another disk")
    if target.is_dir() or (target.exists() and not replace):
        raise BackupFailed(f"there is {target} already; name another file, or use --force")


def _check_room(folder: Path, at: Path) -> None:
    needed = 2 * sum(path.stat().st_size for path in folder.glob("cooee.db*") if ".before-" not in path.name) + _ROOM
    needed += sum(_size(path) for _, path in _others(folder))
    free = shutil.disk_usage(at).free
    if free < needed:
        raise BackupFailed(f"{at} has {free >> 20} MiB free, and {needed >> 20} are needed; name a file elsewhere")


def _others(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files beside the store that a restored server needs, by name."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        top = name.partition("/")[0]
        if path.is_symlink() or not path.is_file() or name.endswith(".partial"):
            continue
        if top not in (*_NOT_COPIED, _RESTORING) and not top.startswith(("cooee.db.before-", _REPLACED)):
            yield name, path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write(partial: Path, files: list[tuple[str, Path]], manifest: archive.Manifest, progress: Progress) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        writer = archive.Writer(file, progress.account)
        for name, path in files:
            with contextlib.suppress(FileNotFoundError):  # it has expired meanwhile
                writer.add(name, path)
        writer.finish(manifest)
        file.flush()
        os.fsync(file.fileno())


def _settle(partial: Path, folder: Path, used: list[str]) -> None:
    """Move what is there aside, and what was restored to its place; the store last."""
    if used:
        aside = folder / time.strftime(f"{_REPLACED}%Y%m%d-%H%M%S", time.gmtime())
        aside.mkdir(mode=0o700)
        for name in used:
            if not name.startswith(_REPLACED):
                (folder / name).rename(aside / name)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == archive.STORE):
        path.rename(folder / path.name)
    _force(folder)


@contextlib.contextmanager
def _removed(*paths: Path) -> Iterator[None]:
    """See to it that the files are not there, before and after."""
    for path in paths:
        path.unlink(missing_ok=True)
    try:
        yield
    finally:
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _force(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
