"""Files in the open chat: shown with the system's viewer once they are here, sent from a path that is typed."""

import asyncio
import mimetypes
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.suggester import Suggester
from textual.widgets import Input, Static

from cooee.cli.files import saved_name
from cooee.cli.tui.dialogs import Dialog
from cooee.client import Client, Media, Message
from cooee.domain.magic import HEAD_BYTES, agrees
from cooee.domain.media import INLINE, is_media_key

FOLDER = "files"
"""The folder in the profile's for what was opened."""
COMMAND = "/file"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_SHOWN = INLINE | {
    "application/pdf",
    "text/plain",
    "text/csv",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    f"{_OFFICE}wordprocessingml.document",
    f"{_OFFICE}spreadsheetml.sheet",
    f"{_OFFICE}presentationml.presentation",
}
"""What a viewer may be given: nothing that runs, or that a browser would run."""

View = Callable[[Path], Awaitable[bool]]
"""Shows a file with the system's viewer; False when there is none."""


class Unviewable(Exception):
    """A file is saved and not opened; the message says where it is, and why."""


async def view_with_system(path: Path) -> bool:
    """Give a file to the system's viewer, and do not wait for it."""
    if sys.platform == "win32":
        await asyncio.to_thread(os.startfile, path)
        return True
    program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if program is None:
        return False
    nowhere = asyncio.subprocess.DEVNULL
    await asyncio.create_subprocess_exec(
        program, str(path), stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    return True


async def show(client: Client, message: Message, view: View) -> None:
    """Download the file of a message unless it is here, and open it if it is of a kind that only shows something.

    Raises:
        Unviewable: it is saved, and not opened.
        CooeeClientError, OSError: it could not be downloaded.
    """
    media = message.media
    if media is None:
        return
    if not is_media_key(media.media_key):
        raise Unviewable("Its file is not where a file can be.")
    folder = await asyncio.to_thread((client.folder / FOLDER / media.media_key).absolute)
    path = folder / saved_name(media, f"{message.content_type}-{message.sequence_number}")
    await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
    if not await asyncio.to_thread(path.exists):
        await client.download(message, path)
    if not await asyncio.to_thread(may_be_shown, media, path):
        raise Unviewable(f"Not opened, as it is not only to look at. It is saved as {path}")
    if not await view(path):
        raise Unviewable(f"Not opened, as there is no program for it (xdg-open). It is saved as {path}")


def may_be_shown(media: Media, path: Path) -> bool:
    """Tell whether name, declared type and first bytes all say that it is something to look at or to hear."""
    named = mimetypes.guess_type(path.name)[0]
    if media.mime_type not in _SHOWN or named not in _SHOWN:
        return False
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return agrees(media.mime_type, head) and agrees(named, head) and not head.startswith(b"#!")


def asked_file(text: str) -> tuple[str, str] | None:
    """Return the path and the caption in ``/file PATH``, with the caption in further lines; None for any other text."""
    first, _, caption = text.partition("\n")
    word, _, path = first.strip().partition(" ")
    if word != COMMAND:
        return None
    path = path.strip()
    if len(path) >= 2 and path[0] == path[-1] and path[0] in "'\"":
        path = path[1:-1]
    return path, caption.strip()


class PathSuggester(Suggester):
    """Completes the path of a file; → takes what is shown."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first path that begins so."""
        return await asyncio.to_thread(completed, value)


def completed(begun: str) -> str | None:
    """Return the first file or folder, by name, whose path begins with ``begun``; None: there is none."""
    folder, name = os.path.split(begun)
    try:
        entries = sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda entry: entry.name)
        found = next(
            entry
            for entry in entries
            if entry.name.startswith(name) and entry.name.isprintable() and (name or not entry.name.startswith("."))
        )
        behind = os.sep if found.is_dir() else ""
    except (OSError, StopIteration, RuntimeError):
        return None
    return os.path.join(folder, found.name) + behind  # noqa: PTH118  # as it was typed: ~ and all


class AskFile(Dialog[tuple[str, str]]):
    """Asks for a file and what to say with it."""

    TITLE_TEXT = "Send a file"

    def body(self) -> ComposeResult:
        """Give two lines to fill."""
        yield Input(placeholder="its path", id="path", suggester=PathSuggester())
        yield Input(placeholder="a caption, or nothing", id="caption")
        yield Static(Text("→: take what is offered · Enter: next, then send · Esc: cancel"), classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the caption, then answer."""
        path = self.query_one("#path", Input).value.strip()
        if event.input.id == "path" and path:
            self.query_one("#caption", Input).focus()
        elif not path:
            self.query_one("#path", Input).focus()
        else:
            self.answer((path, event.value.strip()))
