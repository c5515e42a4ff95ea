"""A disk that can lose its power: what was not fsynced may be gone, or there in part, in any combination.

`PowerVFS` is a SQLite file layer over real files. It notes each write, truncation, creation and deletion, and what a
sync made durable. `Disk.image` is what the disk may hold if the power went now: everything that was synced, and of the
rest a random choice, the last sectors of a write torn. SQLite's wal-index is kept in memory (exclusive locking), as a
Python file layer has no shared memory.
"""

import threading
from pathlib import Path
from random import Random

import apsw

SECTOR = 512
_Step = tuple[str, int, bytes]


class _File:
    """One file: what is durable of it, and the steps since, in order."""

    def __init__(self) -> None:
        self.durable: bytes | None = None
        self.steps: list[_Step] = []


class Disk:
    """All files of one data folder. Safe to look at from another thread than the one that writes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: dict[str, _File] = {}
        self.syncs = 0

    def note(self, name: str, step: _Step) -> None:
        """Note a step that is not durable yet."""
        with self.lock:
            self.files.setdefault(name, _File()).steps.append(step)

    def sync(self, name: str) -> None:
        """Make all steps of a file durable, its existence too.

        The first sync of a new journal or log syncs the folder as well, as SQLite does, and so what was deleted in it.
        """
        with self.lock:
            self.syncs += 1
            file = self.files.setdefault(name, _File())
            if file.durable is None and name.endswith(("-wal", "-journal")):
                gone = [other for other, each in self.files.items() if each.steps and each.steps[-1][0] == "delete"]
                for other in gone:
                    del self.files[other]
            file.durable = _applied(file.durable or b"", file.steps)
            file.steps = []

    def delete(self, name: str, *, durable: bool) -> None:
        """Delete a file; without a sync of the folder it may come back."""
        with self.lock:
            if durable:
                self.files.pop(name, None)
            elif name in self.files:
                self.files[name].steps.append(("delete", 0, b""))

    def image(self, random: Random) -> dict[str, bytes]:
        """Return the files as the disk may hold them after a power cut at this moment."""
        with self.lock:
            found = {name: _survivor(file, random) for name, file in self.files.items()}
        return {name: content for name, content in found.items() if content is not None}


def _survivor(file: _File, random: Random) -> bytes | None:
    share = random.choice((0.0, 0.3, 0.7, 1.0))
    survived = [step for step in file.steps if random.random() < share]
    kept = [_torn(step, random) if random.random() < 0.3 else step for step in survived]
    if kept[-1][0] == "delete" if kept else file.durable is None:
        return None
    return _applied(file.durable or b"", kept)


def _torn(step: _Step, random: Random) -> _Step:
    kind, offset, data = step
    if kind != "write" or len(data) <= SECTOR:
        return step
    sectors = len(data) // SECTOR
    return kind, offset, data[: random.randrange(sectors + 1) * SECTOR]


def _applied(content: bytes, steps: list[_Step]) -> bytes:
    buffer = bytearray(content)
    for kind, offset, data in steps:
        if kind == "write":
            if len(buffer) < offset:
                buffer.extend(bytes(offset - len(buffer)))
            buffer[offset : offset + len(data)] = data
        else:
            del buffer[offset:]
    return bytes(buffer)


class PowerVFS(apsw.VFS):
    """The file layer. Register by making it; `unregister` when done."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.disk = disk
        super().__init__(name, "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's
        """Open a file of the folder."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile("unix", name, flags)
        return PowerFile(self.disk, Path(path).name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802  # SQLite's
        """Delete a file."""
        super().xDelete(filename, syncdir)
        self.disk.delete(Path(filename).name, durable=syncdir)


class PowerFile(apsw.VFSFile):
    """An open file whose writes the disk notes."""

    def __init__(self, disk: Disk, name: str, filename: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._name = name
        super().__init__("unix", filename, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's
        """Write, and note it."""
        super().xWrite(data, offset)
        self._disk.note(self._name, ("write", offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  # SQLite's
        """Cut the file, and note it."""
        super().xTruncate(newsize)
        self._disk.note(self._name, ("truncate", newsize, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's
        """Make everything so far durable; the real disk need not wait for it."""
        self._disk.sync(self._name)
