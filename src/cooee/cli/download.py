"""``cooee download``: the files of a conversation, into a folder or under a name."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from cooee.cli.choices import account_options
from cooee.cli.errors import CliError, usage
from cooee.cli.files import saved_name, shortened, size_text
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CONVERSATION
from cooee.cli.render import safe
from cooee.cli.send_files import file_bar
from cooee.cli.targets import find_by_api
from cooee.client import Api, Message
from cooee.client.downloading import Download
from cooee.client.model import message_of
from cooee.protocol import frames
from cooee.protocol.media import MediaLink

_PAGE = 200
_decode = msgspec.json.Decoder(frames.MessageFrame).decode


class Place(NamedTuple):
    """Where to: ``path`` is a folder or a file, and ``force`` replaces what is there."""

    path: Path
    force: bool
    thumbnail: bool


class Saved(NamedTuple):
    """A file that is here; ``fetched`` False: it was before."""

    path: Path
    link: MediaLink
    fetched: bool


@click.command()
@CONVERSATION
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--all", "everything", is_flag=True, help="All files of the conversation.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=".",
    help="The folder to save into, or the file to write  [default: this folder]",
)
@click.option("--thumbnail", is_flag=True, help="The small picture that the server made, instead of the file.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@account_options
@pass_invocation
def download(
    invocation: Invocation,
    conversation: str,
    number: int | None,
    everything: bool,
    output: Path,
    thumbnail: bool,
    force: bool,
) -> None:
    """Save the file of the message NUMBER of a CONVERSATION, or the newest one, or --all.

    In a folder it gets the name that its sender gave it, without what could do harm; another one with a number where
    that is taken. What is there already is not fetched again, and what broke off is gone on with.

    \b
    Examples: cooee download bob
              cooee download Team 42 -o plan.pdf
              cooee download Team --all -o pictures
    """  # noqa: D301  # click needs the character itself
    if everything and number is not None:
        raise usage("Say either NUMBER or --all.")
    if everything and not output.is_dir():
        raise usage(f"--all needs a folder; there is none called {output}.")
    place = Place(output, force, thumbnail)
    invocation.call(lambda api: _download(invocation, api, conversation, number, place, everything=everything))


async def _download(
    invocation: Invocation, api: Api, text: str, number: int | None, place: Place, *, everything: bool
) -> None:
    conversation_id, _ = await find_by_api(api, text, invocation.login().user_id)
    if not everything:
        message = await (_newest(api, conversation_id) if number is None else _at(api, conversation_id, number))
        await _save(invocation, api, message, place, set())
        return
    taken: set[Path] = set()
    async for message in _files(api, conversation_id):
        await _save(invocation, api, message, place, taken)
    if not taken:
        invocation.note("There are no files in this conversation.")


async def _save(invocation: Invocation, api: Api, message: Message, place: Place, taken: set[Path]) -> None:
    """Save one file and say so."""
    saved = await save_file(invocation, api, message, place, taken)
    record = {
        "type": "downloaded",
        "conversationId": message.conversation_id,
        "sequenceNumber": message.sequence_number,
        "mediaKey": saved.link.media_key,
        "file": str(saved.path),
        "bytes": saved.link.size,
        "fetched": saved.fetched,
    }
    done = f"saved, {size_text(saved.link.size)}" if saved.fetched else "is there already"
    invocation.tell(record, f"{message.sequence_number}  {safe(str(saved.path))}: {done}.")


async def save_file(invocation: Invocation, api: Api, message: Message, place: Place, taken: set[Path]) -> Saved:
    """Save the file of a message that has one; ``taken``: what this call has written, which is never replaced.

    Raises:
        CliError: there is something else, and nothing may be replaced.
        ServerError, ConnectionFailed, DownloadFailed: it could not be fetched.
    """
    media = message.media
    assert media is not None  # noqa: S101  # the caller looked
    link = await api.media(media.media_key, thumbnail=place.thumbnail)
    target, there = place.path, False
    if target.is_dir():
        what = (
            media if not place.thumbnail else msgspec.structs.replace(media, filename=None, mime_type=link.content_type)
        )
        name = saved_name(what, f"{message.content_type}-{message.sequence_number}")
        target, there = _free(target, name, link.sha256, taken, force=place.force)
    if not there:
        with file_bar(invocation, "Downloading", target.name) as progress:
            fetching = Download(api, media.media_key, thumbnail=place.thumbnail, progress=progress)
            try:
                await fetching.to(target, force=place.force)
            except FileExistsError:
                raise CliError(f"{target} is there already; --force replaces it.") from None
    taken.add(target)
    return Saved(target, link, fetched=not there)


def _free(folder: Path, name: str, sha256: str, taken: set[Path], *, force: bool) -> tuple[Path, bool]:
    """Return where a file goes in ``folder``, and whether it is there already."""
    for at in range(1, 10_000):
        path = folder / (name if at == 1 else shortened(name, f" ({at})"))
        if path in taken:
            continue
        if force or not os.path.lexists(path):
            return path, False
        if path.is_file() and not path.is_symlink() and _hash(path) == sha256:
            return path, True
    raise CliError(f"{folder} is full of files called {safe(name)}.")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- which


async def _at(api: Api, conversation_id: str, number: int) -> Message:
    page = await api.history(conversation_id, after=number - 1, limit=1)
    found = [message_of(_decode(raw)) for raw in page.messages]
    if not found or found[0].sequence_number != number:
        raise CliError(f"There is no message {number} in this conversation.", code="not_found")
    if found[0].media is None:
        raise CliError(f"Message {number} holds no file; `cooee history` shows which do.", code="not_found")
    return found[0]


async def _newest(api: Api, conversation_id: str) -> Message:
    before: int | None = None
    while True:
        page = await api.history(conversation_id, before=before, limit=_PAGE)
        for raw in reversed(page.messages):
            message = message_of(_decode(raw))
            if message.media is not None:
                return message
        if page.complete or page.covered_from <= 1 or page.covered_from == before:
            raise CliError("There are no files in this conversation.", code="not_found")
        before = page.covered_from


async def _files(api: Api, conversation_id: str) -> AsyncIterator[Message]:
    """Yield the messages with files, oldest first."""
    after = 0
    while True:
        page = await api.history(conversation_id, after=after, limit=_PAGE)
        for raw in page.messages:
            message = message_of(_decode(raw))
            if message.media is not None:
                yield message
        if page.complete or page.covered_through <= after:
            return
        after = page.covered_through
