"""A file in a message: as a line of text, and under which name it may be saved here. Pure."""

import mimetypes
import re
from pathlib import PurePath

from cooee.client.model import Media
from cooee.protocol.disposition import safe_name

_LONGEST = 200
"""Bytes of a name: room for a number, and for the ending of what is not whole yet."""
_UNITS = ("KiB", "MiB", "GiB", "TiB")
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def size_text(size: int) -> str:
    """Return a number of bytes for people."""
    if size < 1024:
        return f"{size} byte{'' if size == 1 else 's'}"
    step = next((step for step in range(1, len(_UNITS)) if size / 1024**step < 999.5), len(_UNITS))
    shown, unit = size / 1024**step, _UNITS[step - 1]
    return f"{shown:.1f} {unit}" if shown < 10 else f"{shown:.0f} {unit}"


def length_text(duration_ms: int) -> str:
    """Return a length of time as players show it."""
    seconds = round(duration_ms / 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def file_text(media: Media) -> str:
    """Return name, size, length and type, as the sender gave them: for `safe`, or for escaping."""
    told = [size_text(media.size)]
    if media.duration_ms is not None:
        told.append(length_text(media.duration_ms))
    told.append(media.mime_type)
    about = ", ".join(told)
    return f"{media.filename} ({about})" if media.filename else f"({about})"


def saved_name(media: Media, otherwise: str) -> str:
    """Return a name for a file in a folder of this machine, whatever its sender calls it.

    No path, no control or direction-changing characters, nothing in front that hides it or makes it an option, and
    nothing that another system takes for a device. ``otherwise``: what to call it, without an ending, when it has none.
    """
    name = _NOT_IN_NAMES.sub("_", safe_name(media.filename or ""))
    name = name.lstrip("-").strip(" .")
    if not name:
        name = otherwise + (mimetypes.guess_extension(media.mime_type) or "")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    return shortened(name, "")


def shortened(name: str, behind: str) -> str:
    """Return ``name`` with ``behind`` before its ending, short enough for any file system."""
    ending = PurePath(name).suffix
    ending = ending if len(ending.encode()) <= 20 else ""
    stem = name.removesuffix(ending) if ending else name
    room = _LONGEST - len((behind + ending).encode())
    if len(stem.encode()) > room:
        stem = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return stem + behind + ending
