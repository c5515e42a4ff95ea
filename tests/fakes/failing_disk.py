"""A disk that fails on demand: full, or broken."""

from typing import Any

import apsw


class FailingDisk(apsw.VFS):
    """SQLite's file layer over real files. ``fail_writes`` and ``fail_syncs``, when set, are raised instead."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.fail_writes: type[Exception] | None = None
        self.fail_syncs: type[Exception] | None = None
        self.writes_left: int | None = None
        """So many writes go through before ``fail_writes`` begins."""

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 - SQLite's word
        """Open a file."""
        return FailingFile(self, name, flags)

    def check_write(self) -> None:
        """Raise what is due."""
        if self.fail_writes is None:
            return
        if self.writes_left:
            self.writes_left -= 1
            return
        raise self.fail_writes


class FailingFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: FailingDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's word
        """Write, or fail."""
        self._disk.check_write()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's word
        """Cut the file; a full disk does not mind."""
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's word
        """Sync, or fail."""
        if self._disk.fail_syncs is not None:
            raise self._disk.fail_syncs
        super().xSync(flags)
