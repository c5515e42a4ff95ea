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
from cooee.cli.performing import Worker, worker_of
from cooee.cli.reading import FILE, PAGE, WAITS, FileWish, PageWish, WaitsWish
from cooee.cli.render import safe
from cooee.cli.sameness import Same, hashed, same_as
from cooee.cli.send_files import file_bar
from cooee.cli.targets import find_by_api
from cooee.cli.trouble import waiting_text
from cooee.client import Api, Media, Message
from cooee.client.downloading import Download, Lock, write_file
from cooee.domain import base64url


class Place(NamedTuple):
    """Where to: ``path`` is a folder or a file, and ``force`` replaces what is there."""

    path: Path
    force: bool
    thumbnail: bool


class Saved(NamedTuple):
    """A file that is here; ``fetched`` False: it was before."""

    path: Path
    media_key: str
    size: int
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
@click.option("--thumbnail", is_flag=True, help="The small picture that came with it, instead of the file.")
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
    chosen = invocation.login()
    opening = worker_of(invocation, chosen)

    async def downloading() -> None:
        async with Api(chosen.url, chosen.token) as api, opening() as worker:
            conversation_id, _ = await find_by_api(api, conversation, chosen.user_id)
            await note_waiting(invocation, worker)
            if everything:
                await _all(invocation, api, worker, conversation_id, place)
                return
            message = await worker.do(FILE, FileWish(conversation_id, number))
            await _save(invocation, api, message, place, set())

    invocation.run(downloading())


async def note_waiting(invocation: Invocation, worker: Worker) -> None:
    """Say that messages cannot be read yet, and how they can, where it is so."""
    found = await worker.do(WAITS, WaitsWish())
    if waiting := waiting_text(found.messages, unlinked=found.unlinked):
        invocation.note(waiting)


async def _all(invocation: Invocation, api: Api, worker: Worker, conversation_id: str, place: Place) -> None:
    taken: set[Path] = set()
    async for message in _files(worker, conversation_id):
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
        "mediaKey": saved.media_key,
        "file": str(saved.path),
        "bytes": saved.size,
        "fetched": saved.fetched,
    }
    done = f"saved, {size_text(saved.size)}" if saved.fetched else "is there already"
    invocation.tell(record, f"{message.sequence_number}  {safe(str(saved.path))}: {done}.")


async def save_file(invocation: Invocation, api: Api, message: Message, place: Place, taken: set[Path]) -> Saved:
    """Save the file of a message that has one; ``taken``: what this call has written, which is never replaced.

    Raises:
        CliError: there is something else, and nothing may be replaced.
        ServerError, ConnectionFailed, DownloadFailed: it could not be fetched.
    """
    media = message.media
    assert media is not None  # noqa: S101  # the caller looked
    if media.encrypted and place.thumbnail:
        return await _save_picture(message, media, place, taken)
    link = await api.media(media.media_key, thumbnail=place.thumbnail)
    lock = Lock(media.key, media.digest, media.size) if media.encrypted else None
    target, there = place.path, False
    if target.is_dir():
        what = (
            media if not place.thumbnail else msgspec.structs.replace(media, filename=None, mime_type=link.content_type)
        )
        name = saved_name(what, f"{message.content_type}-{message.sequence_number}")
        same = same_as(api, link, media if lock is not None else None)
        target, there = await _free(target, name, same, taken, force=place.force)
    if not there:
        with file_bar(invocation, "Downloading", target.name) as progress:
            fetching = Download(api, media.media_key, thumbnail=place.thumbnail, progress=progress, lock=lock)
            try:
                await fetching.to(target, force=place.force)
            except FileExistsError:
                raise CliError(f"{target} is there already; --force replaces it.") from None
    taken.add(target)
    size = media.size if media.encrypted else link.size
    return Saved(target, media.media_key, size, fetched=not there)


async def _save_picture(message: Message, media: Media, place: Place, taken: set[Path]) -> Saved:
    """Save the small picture that came in an encrypted message."""
    if not media.picture:
        raise CliError(f"The file of message {message.sequence_number} came without a small picture.", code="not_found")
    content = base64url.decode(media.picture)
    target = place.path
    if target.is_dir():
        what = msgspec.structs.replace(media, filename=None, mime_type="image/jpeg")
        name = saved_name(what, f"{message.content_type}-{message.sequence_number}")
        digest = hashlib.sha256(content).hexdigest()

        async def same(path: Path) -> bool:
            return hashed(path) == digest

        target, there = await _free(target, name, same, taken, force=place.force)
        if there:
            return Saved(target, media.media_key, len(content), fetched=False)
    try:
        write_file(target, content, force=place.force)
    except FileExistsError:
        raise CliError(f"{target} is there already; --force replaces it.") from None
    taken.add(target)
    return Saved(target, media.media_key, len(content), fetched=True)


async def _free(folder: Path, name: str, same: Same, taken: set[Path], *, force: bool) -> tuple[Path, bool]:
    """Return where a file goes in ``folder``, and whether it is there already."""
    for at in range(1, 10_000):
        path = folder / (name if at == 1 else shortened(name, f" ({at})"))
        if path in taken:
            continue
        if force or not os.path.lexists(path):  # noqa: ASYNC240  # a look at a name
            return path, False
        if path.is_file() and not path.is_symlink() and await same(path):
            return path, True
    raise CliError(f"{folder} is full of files called {safe(name)}.")


async def _files(worker: Worker, conversation_id: str) -> AsyncIterator[Message]:
    """Yield the messages with files, oldest first."""
    after = 0
    while True:
        page = await worker.do(PAGE, PageWish(conversation_id, after))
        for message in page.messages:
            if message.media is not None:
                yield message
        if page.complete or page.through <= after:
            return
        after = page.through
