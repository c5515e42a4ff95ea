"""A file that is written wholly or not at all, and replaces nothing that nobody wanted replaced."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cooee.cli.errors import CliError


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a place where nothing can, or shall, be written; before any work is done for it.

    Raises:
        CliError: there is something already, or no folder to put it into.
    """
    if path.is_dir():
        raise CliError(f"{path} is a folder; name a file in it.")
    if os.path.lexists(path) and not force:
        raise CliError(f"{path} is there already; --force replaces it.")
    if not path.parent.is_dir():
        raise CliError(f"There is no folder {path.parent}; make it first.")


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Give a file to write, mode 0600, that is called ``path`` once all is on the disk; on any error it is gone.

    Raises:
        CliError: as `check_target`.
        OSError: it cannot be written; it names ``path``.
    """
    check_target(path, force=force)
    start = os.fsencode(path.name)[:100].decode("utf-8", "ignore")  # not half of a character: some systems refuse it
    draft = path.with_name(f".{start}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(draft, path, force=force)
    except OSError as problem:
        if problem.filename in {None, str(draft)} and problem.errno is not None:
            raise OSError(problem.errno, problem.strerror, str(path)) from None
        raise
    finally:
        with suppress(OSError):
            draft.unlink()


def _name(draft: Path, path: Path, *, force: bool) -> None:
    """Give the draft its name; without ``force`` not even over what came meanwhile, where links can tell."""
    if force:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise CliError(f"{path} came meanwhile; --force replaces it.") from None
    except OSError:  # a file system without links
        draft.replace(path)
