"""A disk whose power can be cut: SQLite's file layer, with what was not synced kept apart.

Everything is written to real files, so the store under test runs as always. Beside that, the disk keeps for each file
what was last synced, and the writes since. `CutDisk.image` makes the folder as it might be found after a power cut
at this very moment: synced content, and of the later writes any subset, any of them torn at a sector's boundary.
A file's name is lost with it until the file was synced once. A deletion may be undone until its folder is synced, which
SQLite does at the first sync of a new journal or write-ahead log.
"""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512

Change = tuple[int, bytes | None]
"""A write (offset, data) or a truncation (size, None)."""


class DiskFile:
    """One file: its synced content (None: its name was never synced) and the changes since."""

    def __init__(self) -> None:
        self.synced: bytes | None = None
        self.changes: list[Change] = []
        self.deleted = False

    def sync(self) -> None:
        """Everything written so far survives from now on."""
        content = bytearray(self.synced or b"")
        for change in self.changes:
            apply(content, change)
        self.synced = bytes(content)
        self.changes = []

    def after_cut(self, chance: random.Random) -> bytes | None:
        """Return the content that is found after a power cut; None: no such file."""
        if (self.synced is None or self.deleted) and chance.random() < 0.5:
            return None
        content = bytearray(self.synced or b"")
        survival = chance.choice((0.0, 0.3, 0.7, 1.0))
        for change in self.changes:
            if chance.random() < survival:
                apply(content, torn(change, chance))
        return bytes(content)


def apply(content: bytearray, change: Change) -> None:
    """Carry out one change."""
    offset, data = change
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def torn(change: Change, chance: random.Random) -> Change:
    """Return the change as it arrived: whole, or one write in four with the sectors up to somewhere only."""
    offset, data = change
    if data is None or len(data) <= SECTOR or chance.random() < 0.75:
        return change
    first = SECTOR - offset % SECTOR
    cuts = range(first, len(data), SECTOR)
    return offset, data[: chance.choice(cuts)] if cuts else data


class CutDisk(apsw.VFS):
    """The file layer, registered under ``name`` until it is collected.

    ``watch``, if set, is called before every write, sync and deletion, in the thread that does it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.watch: Callable[[], None] | None = None
        self.lock = threading.RLock()
        self._files: dict[str, DiskFile] = {}

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 - SQLite's word
        """Open a file through the real layer, and take note of it."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self.lock:
            file = self._files.get(path)
            if file is None or file.deleted:
                self._files[path] = file = DiskFile()
        return CutFile(self, file, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's word
        """Delete a file; until its folder is synced, the deletion may be undone."""
        self.happen()
        with self.lock:
            file = self._files.get(filename)
            if file is not None:
                file.deleted = True
                if syncdir:
                    del self._files[filename]
        super().xDelete(filename, syncdir)

    def happen(self) -> None:
        """Something is about to reach the disk."""
        if self.watch is not None:
            self.watch()

    def sync_folder(self) -> None:
        """Make deletions final."""
        with self.lock:
            self._files = {path: file for path, file in self._files.items() if not file.deleted}

    def image(self, folder: Path, seed: int) -> None:
        """Write to ``folder`` what a power cut now might leave; the same seed leaves the same."""
        chance = random.Random(seed)
        with self.lock:
            for path, file in sorted(self._files.items()):
                content = file.after_cut(chance)
                if content is not None:
                    (folder / Path(path).name).write_bytes(content)


class CutFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: CutDisk, file: DiskFile, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._file = file

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's word
        """Write, and remember what."""
        self._disk.happen()
        with self._disk.lock:
            self._file.changes.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's word
        """Cut the file, and remember where."""
        self._disk.happen()
        with self._disk.lock:
            self._file.changes.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's word
        """From now on what was written survives."""
        self._disk.happen()
        with self._disk.lock:
            if self._file.synced is None:
                self._disk.sync_folder()
            self._file.sync()
        # The real sync is left out: the test reads images, never the disk after a crash of its own.
