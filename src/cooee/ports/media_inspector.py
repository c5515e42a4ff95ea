"""Looking at files that strangers made: what they are, how large, and what to show before they are fetched."""

from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

WAVEFORM_BYTES = 64
"""Bytes of a waveform: loudness over time, 0 to 255 a byte, the loudest 255."""


class Unseen(StrEnum):
    """Why nothing is shown of a file."""

    FORMAT = "format"
    """It is of no kind that is looked at, or not what its first bytes say."""
    BROKEN = "broken"
    """It cannot be decoded: truncated, corrupt, empty."""
    SIZE = "size"
    """Decoding it takes more memory than is allowed."""
    TIME = "time"
    """Looking at it took too long."""
    CRASHED = "crashed"
    """Who looked at it died, twice."""
    NO_PROGRAM = "no_program"
    """It is a video or a sound, and there is no ffmpeg."""


class Findings(msgspec.Struct, frozen=True):
    """What was found out; None where nothing was. Sizes are those of the picture as it is shown, upright.

    ``content_type`` is by content; empty: unknown. ``thumbnail`` is a local file of type ``thumbnail_type`` without
    any metadata; whoever asked removes it. ``unseen`` says why nothing is shown, None when something is.
    """

    content_type: str = ""
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: bytes | None = None
    thumbnail: Path | None = None
    thumbnail_type: str = ""
    unseen: Unseen | None = None


class MediaInspector(Protocol):
    """Looks at files in bounded memory and time, apart from the server: no file can hurt it."""

    async def inspect(self, path: Path, content_type: str) -> Findings:
        """Look at a local file that is said to be of this type. A thumbnail is written beside it, as ``<name>.thumb``.

        Whatever the file is, this returns, and the same file gives the same again. It should have a folder to itself:
        what else lies there is in reach of who looks.

        Raises:
            CooeeError: ``unavailable``, too many wait already, or the inspector is closed; try again later.
        """
        ...
