"""Looking at files: what they are by content, and a small picture of them."""

from pathlib import Path
from typing import Protocol

import msgspec


class Findings(msgspec.Struct, frozen=True):
    """What was found out about a file. Nothing of it is there for sure: most files have no picture.

    ``content_type`` is what the file is by its content; empty: not known. ``waveform``: loudness over time, a byte
    each, 128 at most. ``thumbnail``: a file that the caller removes, of type ``thumbnail_type``.
    """

    content_type: str = ""
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: bytes = b""
    thumbnail: Path | None = None
    thumbnail_type: str = "image/webp"


class MediaInspector(Protocol):
    """Looks at files that anybody may have made, in bounded memory and time."""

    async def inspect(self, path: Path, content_type: str) -> Findings:
        """Return what the local file is, which was declared as ``content_type``.

        A hostile, broken or unknown file ends in less that is found, never in an exception. A thumbnail lies in the
        folder of ``path``.

        Raises:
            CooeeError: ``unavailable``, nothing can be looked at now; try again later.
        """
        ...
