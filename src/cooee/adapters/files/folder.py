"""The folder on disk. Everything here blocks.

``ab/abcd…`` is an object; ``ab/abcd….stat`` beside it says what it is, and is written before it, so each has one.
``incoming/`` holds what is not whole yet: ``<key>.partial`` for an upload in one piece, and for one in parts a folder
``<key>.parts/<upload>`` with ``<number>.partial``. Those who copy the folder may leave out what ends with ``.partial``.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found, unavailable
from cooee.ports.blobs import KEY_PATTERN, BlobStat, NoRoom

PIECE = 1024 * 1024
"""Bytes that are read or written at a time."""
STALE_S = 86_400.0
"""Age after which what is incoming is swept at the start; a client has stopped trying long before."""
_KEY = re.compile(KEY_PATTERN)
_UPLOAD = re.compile(r"([1-9][0-9]{0,15})-[0-9a-f]{32}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SECRET_BYTES = 32


class Folder:
    """Objects as files. ``keep_free``: bytes of the disk that uploads leave to others, such as the messages' store."""

    def __init__(self, root: Path, keep_free: int) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self._keep_free = keep_free

    def prepare(self, now_s: float) -> int:
        """Make the folder, and sweep what uploads that ended long ago left behind; return how much. Raises OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        swept = 0
        for path in self.incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if _changed_at(path) < now_s - STALE_S:
                    _remove(path)
                    swept += 1
        return swept

    def find(self, key: str) -> BlobStat | None:
        """Return what the object is; None when there is none. Its content was looked at when it was stored."""
        path = self.path(key)
        try:
            known = msgspec.json.decode(path.with_name(path.name + ".stat").read_bytes(), type=_Stat)
            size = path.stat().st_size
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return BlobStat(size, bytes.fromhex(known.sha256), known.content_type) if size == known.size else None

    def path(self, key: str) -> Path:
        """Return where an object is. ValueError when it can be none's key."""
        check_key(key)
        return self.root / key[:2] / key

    def partial(self, key: str) -> Path:
        """Return where an upload in one piece grows."""
        check_key(key)
        return self.incoming / f"{key}.partial"

    def check_room(self, needed: int) -> None:
        """Raise `NoRoom` unless ``needed`` more bytes fit."""
        if shutil.disk_usage(self.root).free - needed < self._keep_free:
            raise NoRoom

    def settle(self, partial: Path, key: str, stat: BlobStat) -> None:
        """Make a whole, checked file the object: durable when it returns, and all of it or nothing."""
        path = self.path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_name(path.name + ".stat")
        described = self.incoming / f"{key}.stat.partial"
        described.write_bytes(msgspec.json.encode(_Stat(stat.size, stat.sha256.hex(), stat.content_type)))
        _force(described)
        _force(partial)
        described.replace(beside)
        partial.replace(path)
        _force(path.parent)
        _force(self.root)

    def delete(self, key: str) -> None:
        """Remove the object, and what is incoming of it."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".stat").unlink(missing_ok=True)
        _remove(self.partial(key))
        _remove(self._parts(key))

    # --- parts --------------------------------------------------------------------------------------------------------

    def begin_parts(self, key: str, part_size: int) -> str:
        """Make room for an upload in parts and return its id, which holds the size of the parts.

        One that goes on with parts of this size is gone on with; of any other what came is removed. So what comes for
        a key takes its room once, however often it is asked for.
        """
        check_key(key)
        parts = self._parts(key)
        parts.mkdir(mode=0o700, exist_ok=True)
        for folder in parts.iterdir():
            if folder.name.startswith(f"{part_size}-"):
                return folder.name
            _remove(folder)
        upload_id = f"{part_size}-{secrets.token_hex(16)}"
        (parts / upload_id).mkdir(mode=0o700)
        return upload_id

    def part(self, key: str, upload_id: str, number: int) -> Path:
        """Return where a part goes. ``not_found``: there is no such upload (any more)."""
        if not self._is_begun(key, upload_id):
            raise not_found("the upload")
        return self._parts(key) / upload_id / f"{number}.partial"

    def join(self, key: str, upload_id: str, stat: BlobStat) -> None:
        """Make the parts the object. See `Blobs.complete_parts`."""
        if not self._is_begun(key, upload_id):
            if self.find(key) == stat:
                return
            raise not_found("the upload")
        size = int(upload_id.partition("-")[0])
        parts = [self.part(key, upload_id, number + 1) for number in range(-(-stat.size // size))]
        lacking = [i + 1 for i, part in enumerate(parts) if size_of(part) != min(size, stat.size - i * size)]
        if lacking:
            shown = ", ".join(map(str, lacking[:10]))
            raise CooeeError(ErrorCode.CONFLICT, f"parts are missing or not whole: {shown}; send them and try again")
        self.check_room(stat.size)
        partial = self.partial(key)
        try:
            if copied(parts, partial) != stat.sha256:
                raise bad_frame("the file has another SHA-256 than was declared; upload it anew")
            self.settle(partial, key, stat)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        except CooeeError:
            partial.unlink(missing_ok=True)
            _remove(self._parts(key))
            raise
        _remove(self._parts(key))

    def _parts(self, key: str) -> Path:
        check_key(key)
        return self.incoming / f"{key}.parts"

    def _is_begun(self, key: str, upload_id: str) -> bool:
        return _UPLOAD.fullmatch(upload_id) is not None and (self._parts(key) / upload_id).is_dir()


class _Stat(msgspec.Struct, frozen=True):
    size: int
    sha256: str
    content_type: str


def check_key(key: str) -> None:
    """Raise ValueError unless it is a key, which cannot lead out of the folder."""
    if _KEY.fullmatch(key) is None:
        raise ValueError("not a key of media")


def size_of(path: Path) -> int:
    """Return a file's size, -1 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def copied(sources: Iterable[Path], target: Path, limit: int | None = None) -> bytes:
    """Write the files behind each other into ``target``, the first ``limit`` bytes of each; return the SHA-256 of it.

    Raises OSError.
    """
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for source in sources:
            left = sys.maxsize if limit is None else limit
            with source.open("rb") as opened:
                while piece := opened.read(min(PIECE, left)):
                    digest.update(piece)
                    file.write(piece)
                    left -= len(piece)
    return digest.digest()


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what the disk refuses into what a client may be told."""
    try:
        yield
    except OSError as problem:
        raise refusal_of(problem) from problem


def refusal_of(problem: OSError) -> CooeeError:
    """Return the refusal that goes with an error of the disk."""
    return NoRoom() if problem.errno in _FULL else unavailable("the store of files does not work now")


def load_secret(path: Path) -> bytes:
    """Return what signs requests; made at the first call, readable by this user alone. Raises OSError.

    A lost one does no harm beyond the requests that were signed with it, which live for hours at most.
    """
    with contextlib.suppress(FileNotFoundError):
        secret = bytes.fromhex(path.read_text("ascii"))
        if len(secret) == _SECRET_BYTES:
            return secret
    secret = secrets.token_bytes(_SECRET_BYTES)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _force(path.parent)
    return secret


def _changed_at(path: Path) -> float:
    """Return when something incoming changed last, in seconds; of parts when the last of them came."""
    there = (path, *path.iterdir()) if path.is_dir() else (path,)
    return max(each.lstat().st_mtime for each in there)


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
