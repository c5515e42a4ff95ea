"""One process at a time on a data folder."""

import fcntl
import os
from pathlib import Path

from cooee.adapters.sqlite.errors import FolderLocked, StoreUnreadable

LOCK_FILE = "cooee.lock"


class FolderLock:
    """An exclusive lock on a folder, held until `release` or the end of the process.

    The lock is the kernel's, so a killed process leaves none behind; the file itself stays.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            FolderLocked: another process, or another store of this one, has it.
            StoreUnreadable: the folder does not exist or cannot be written.
        """
        path = folder / LOCK_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnreadable(path, error.strerror or str(error)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise FolderLocked(folder, owner) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the folder free. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
