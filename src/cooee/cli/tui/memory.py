"""What the terminal client remembers from one run to the next: drafts, and which colours were chosen.

In the profile's folder, readable for its owner alone, as the messages are.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

FILE_NAME = "chat.json"


class Remembered(msgspec.Struct, frozen=True):
    """What is remembered. ``theme`` is empty while nobody chose one."""

    theme: str = ""
    drafts: dict[str, str] = {}


def recall(folder: Path) -> Remembered:
    """Return what was remembered; nothing when the file is missing or damaged: drafts are no reason not to start."""
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return Remembered()


def remember(folder: Path, remembered: Remembered) -> None:
    """Write the file anew, whole or not at all.

    Raises:
        OSError: it could not be written; the former one stays.
    """
    fresh = folder / f"{FILE_NAME}.new"
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(remembered))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / FILE_NAME)
