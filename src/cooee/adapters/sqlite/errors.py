"""Why a store does not open. Each message names the file or folder and says what to do next."""

from pathlib import Path


class StoreError(Exception):
    """The data folder cannot be used as it is; the server does not start on it."""


class FolderLocked(StoreError):
    """Another process works on the data folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        owner = f" (process {pid})" if pid else ""
        super().__init__(f"the data folder {folder} is in use by another server{owner}; stop that one, or name another")
        self.folder = folder


class StoreCorrupt(StoreError):
    """The file is no database, or SQLite found it damaged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the data file {path} is damaged: {reason}; nothing was changed; restore it from a backup")
        self.path = path


class SchemaTooNew(StoreError):
    """The file was written by a newer version of this program."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        super().__init__(
            f"the data file {path} has schema version {version}, and this program knows {known} at most; "
            "run the version that wrote it, or a newer one"
        )
        self.path = path


class StoreUnreadable(StoreError):
    """The file or its folder cannot be opened or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the data file {path} cannot be opened: {reason}")
        self.path = path
