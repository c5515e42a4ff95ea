"""The form of a backup: a tar file that any tar opens, with everything in it accounted for.

First the store (``cooee.db``), then the other files of the data folder, then ``backup.json`` (`Manifest`), and last
``SHA256SUMS`` over all of them, in the format of ``sha256sum -c``. What is cut short lacks it; what is changed differs.
"""

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

FORMAT = 1
STORE = "cooee.db"
_MANIFEST = "backup.json"
_SUMS = "SHA256SUMS"
_PIECE = 1024 * 1024
_LARGEST_TEXT = 64 * 1024 * 1024

Account = Callable[[int, float], None]
"""Is called after every piece with its bytes and the seconds that it took; it waits, or raises to stop."""


class ArchiveDamaged(Exception):
    """The file is no backup, cut short, or not as it was written; the message says what is wrong."""


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a backup says of itself."""

    format: int
    program: str
    """The version of Cooee that wrote it."""
    created_at: int
    """In ms since the Unix epoch."""
    schema: int
    """Version of the store's tables."""
    rows: dict[str, int]
    """Rows of every table."""


class Writer:
    """Writes a backup into an open file."""

    def __init__(self, file: IO[bytes], account: Account) -> None:
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_PIECE)
        self._account = account
        self._sums: dict[str, str] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file under ``name``. Raises OSError also when it shrinks meanwhile."""
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = status.st_size, status.st_mode & 0o777, int(status.st_mtime)
            self._add(entry, file)

    def finish(self, manifest: Manifest) -> None:
        """Add what the backup says of itself."""
        self._add_text(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        self._add_text(_SUMS, "".join(f"{each}  {name}\n" for name, each in self._sums.items()).encode())
        self._tar.close()

    def _add_text(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
        self._add(entry, io.BytesIO(content))

    def _add(self, entry: tarfile.TarInfo, file: IO[bytes]) -> None:
        counting = _Counting(file, self._account)
        self._tar.addfile(entry, counting)
        self._sums[entry.name] = counting.hash.hexdigest()


class _Counting:
    """A file that is hashed and accounted for while it is read."""

    def __init__(self, file: IO[bytes], account: Account) -> None:
        self._file = file
        self._account = account
        self.hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        started = time.perf_counter()
        piece = self._file.read(size)
        self.hash.update(piece)
        self._account(len(piece), time.perf_counter() - started)
        return piece


def read(file: Path, account: Account, into: Path | None = None) -> Manifest:
    """Check a backup from end to end against its sums; write its files into ``into``, an empty folder, if given.

    What is written is durable, with mode 0600, in folders with mode 0700.

    Raises:
        ArchiveDamaged: it is not as it was written. What was extracted until then is to be removed.
        OSError: it cannot be read, or the folder not be written.
    """
    sums: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    try:
        with tarfile.TarFile(file) as tar:
            for name, entry in _entries(tar):
                if name in sums:
                    raise ArchiveDamaged(f"{name} is in it twice")
                if name in (_MANIFEST, _SUMS):
                    texts[name] = _text(tar, entry)
                    sums[name] = hashlib.sha256(texts[name]).hexdigest()
                else:
                    sums[name] = _extract(tar, entry, into / name if into else None, account)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as problem:
        raise ArchiveDamaged(f"it is no backup, or cut short: {problem}") from None
    return _accounted(sums, texts)


def _accounted(sums: dict[str, str], texts: Mapping[str, bytes]) -> Manifest:
    if _SUMS not in texts or _MANIFEST not in texts or STORE not in sums:
        raise ArchiveDamaged("it is no backup, or cut short")
    del sums[_SUMS]
    lines = texts[_SUMS].decode("utf-8", "replace").splitlines()
    told = {name: each for each, _, name in (line.partition("  ") for line in lines)}
    wrong = sorted(name for name in told.keys() | sums.keys() if told.get(name) != sums.get(name))
    if wrong:
        raise ArchiveDamaged(f"{wrong[0]} is not as it was written")
    try:
        manifest = msgspec.json.decode(texts[_MANIFEST], type=Manifest)
    except msgspec.DecodeError as problem:
        raise ArchiveDamaged(f"{_MANIFEST}: {problem}") from None
    if manifest.format != FORMAT:
        raise ArchiveDamaged(f"its format is {manifest.format}, and this program reads {FORMAT}")
    return manifest


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the files by name. Nothing may leave the folder that they are put into."""
    for entry in tar:
        path = PurePosixPath(entry.name)
        plain = entry.isreg() and not path.is_absolute() and ".." not in path.parts and path.parts
        if not plain or str(path) != entry.name or "\0" in entry.name:
            raise ArchiveDamaged("it holds something that no backup holds")
        yield entry.name, entry


def _text(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(entry)
    if content is None or entry.size > _LARGEST_TEXT:
        raise ArchiveDamaged(f"{entry.name} is not as it was written")
    return content.read()


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path | None, account: Account) -> str:
    content = tar.extractfile(entry)
    if content is None:
        raise ArchiveDamaged(f"{entry.name} is not as it was written")
    if target is not None:
        _make(target.parent)
    descriptor = os.open(target or os.devnull, os.O_WRONLY | (os.O_CREAT | os.O_EXCL if target else 0), 0o600)
    reading, size = _Counting(content, account), 0
    with os.fdopen(descriptor, "wb") as file:
        while piece := reading.read(_PIECE):
            size += len(piece)
            file.write(piece)
        if target is not None:
            file.flush()
            os.fsync(file.fileno())
    if size != entry.size:
        raise ArchiveDamaged(f"it is cut short in {entry.name}")
    return reading.hash.hexdigest()


def _make(folder: Path) -> None:
    """Make a folder with those above it, each its user's alone."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700)
