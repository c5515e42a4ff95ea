"""``cooee export``: one conversation, from its first message to its last, as a file."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from cooee.cli.choices import account_options
from cooee.cli.download import Place, note_waiting, save_file
from cooee.cli.errors import CliError, usage
from cooee.cli.export_forms import Entry, Form, Head, JsonLines, PlainText
from cooee.cli.export_html import Html
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CONVERSATION
from cooee.cli.performing import Worker, worker_of
from cooee.cli.reading import PAGE, Page, PageWish
from cooee.cli.render import Look
from cooee.cli.statuses import status_of, ticked_through
from cooee.cli.targets import find_by_api
from cooee.cli.whole_file import check_target, whole_file
from cooee.client import Api, Message, ServerError
from cooee.domain.errors import ErrorCode
from cooee.protocol import http

_FORMS: dict[str, Callable[[Look], Form]] = {"jsonl": JsonLines, "text": PlainText, "html": Html}
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".html": "html", ".htm": "html"}
_PATIENCE_S = 60.0

T = TypeVar("T")
Sink = Callable[[str], None]


@click.command()
@CONVERSATION
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMS)),
    help="Lines of JSON, a plain log, or a page for the browser  [default: as the file's name ends; text]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="The file to write, readable for you alone  [default: standard output]",
)
@click.option("--files", is_flag=True, help="Save the files of the messages too, in a folder beside it.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@account_options
@pass_invocation
def export(invocation: Invocation, conversation: str, form: str | None, output: Path, files: bool, force: bool) -> None:
    """Write a whole CONVERSATION, oldest message first, as the server lets you see it.

    A file gets its name when all of it is there; what is broken off leaves nothing.

    \b
    Examples: cooee export bob -o bob.html --files
              cooee export Team --format jsonl | jq -r .text
    """  # noqa: D301  # click needs the character itself
    if invocation.as_json and str(output) == "-":
        if form not in {None, "jsonl"}:
            raise usage(f"--json writes lines of JSON; leave it out for --format {form}.")
        form = "jsonl"
    form = form or _ENDINGS.get(output.suffix.lower(), "text")
    if str(output) == "-":
        if files:
            raise usage("--files goes with -o FILE: the folder gets its name.")
        writer = _FORMS[form](invocation.look)
        _run(invocation, conversation, Target(writer, _to_standard_output, None), bar=not sys.stdout.isatty())
        return
    check_target(output, force=force)
    writer = _FORMS[form](Look())
    folder = output.with_name(f"{output.stem}_files") if files else None
    if folder is not None:
        folder.mkdir(0o700, exist_ok=True)
    with whole_file(output, force=force) as file:

        def write(text: str) -> None:
            file.write(text.encode("utf-8", "backslashreplace"))

        count = _run(invocation, conversation, Target(writer, write, folder))
    size = output.stat().st_size
    plural = "" if count == 1 else "s"
    invocation.tell(
        {"type": "exported", "file": str(output), "bytes": size}, f"Wrote {count:,} message{plural} to {output}."
    )


def _to_standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class Target(NamedTuple):
    """In which form an export is written, where to, and where the files go (None: nowhere)."""

    form: Form
    write: Sink
    folder: Path | None


def _run(invocation: Invocation, conversation: str, target: Target, *, bar: bool = True) -> int:
    """Write a conversation; return of how many messages."""
    chosen = invocation.login()
    opening = worker_of(invocation, chosen)

    async def exporting() -> int:
        async with Api(chosen.url, chosen.token) as api, opening() as worker:
            await note_waiting(invocation, worker)
            return await _export(invocation, api, worker, conversation, target)

    return invocation.run(exporting(), bar=bar)


async def _export(invocation: Invocation, api: Api, worker: Worker, text: str, target: Target) -> int:
    conversation_id, me = await find_by_api(api, text, invocation.login().user_id)
    conversation = await _patiently(partial(api.conversation, conversation_id))
    ticked = await ticked_through(api, conversation, me)
    names = Names(api)
    await names.learn_own_and_contacts()
    numbers: dict[str, int] = {}
    taken: set[Path] = set()
    count = 0
    first, last = conversation.first_sequence_number, conversation.last_sequence_number
    form, write, folder = target
    write(form.begin(_head(invocation, conversation, me)))
    async for page in _pages(worker, conversation_id):
        for message in page.messages:
            numbers[message.message_id] = message.sequence_number
            name = await names.of(message.sender_id)
            answers = numbers.get(message.reply_to) if message.reply_to else None
            file = await _saved(invocation, api, message, folder, taken) if folder is not None else ""
            write(form.entry(Entry(message, name, status_of(message, me, ticked), answers, file)))
            count += 1
        invocation.progress("Exporting", page.through - first + 1, last - first + 1)
    write(form.end(count))
    return count


async def _saved(invocation: Invocation, api: Api, message: Message, folder: Path, taken: set[Path]) -> str:
    """Save the file of a message; return where it is, from beside the folder, empty when there is none (any more)."""
    if message.media is None:
        return ""
    place = Place(folder, force=False, thumbnail=False)
    try:
        saved = await _patiently(partial(save_file, invocation, api, message, place, taken))
    except ServerError as refusal:
        if refusal.code != ErrorCode.NOT_FOUND:
            raise
        return ""
    return f"{folder.name}/{saved.path.name}"


def _head(invocation: Invocation, conversation: http.Conversation, me: str) -> Head:
    now = time.time_ns() // 1_000_000
    return Head(conversation.conversation_id, conversation.kind, conversation.title, me, invocation.login().url, now)


async def _pages(worker: Worker, conversation_id: str) -> AsyncIterator[Page]:
    """Yield the whole history, oldest first; what comes meanwhile too."""
    after = 0
    while True:
        wish = PageWish(conversation_id, after)
        page = await _patiently(partial(worker.do, PAGE, wish))
        yield page
        if page.complete or page.through <= after:
            return
        after = page.through


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and ask again later if the server says so: a long history must not fail at its rate limit."""
    while True:
        try:
            return await ask()
        except (ServerError, CliError) as refusal:
            after_ms = refusal.retry_after_ms if isinstance(refusal, ServerError) else refusal.extra.get("retryAfterMs")
            wait = (after_ms or 0) / 1000
            if refusal.code != ErrorCode.RATE_LIMITED or wait > _PATIENCE_S:
                raise
            await asyncio.sleep(wait)


class Names:
    """How people are called, each asked for once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, str] = {"": ""}

    async def learn_own_and_contacts(self) -> None:
        """Learn at once the names that are most likely needed."""
        with suppress(ServerError):  # a bot may have no right to it
            me = await _patiently(self._api.me)
            self._known[me.user_id] = me.display_name
            self._known |= {user.user_id: user.display_name for user in await _patiently(self._api.contacts)}

    async def of(self, user_id: str) -> str:
        """Return a user's name; empty when the server does not tell it."""
        if user_id not in self._known:
            self._known[user_id] = ""
            with suppress(ServerError):
                self._known[user_id] = (await _patiently(partial(self._api.user, user_id))).display_name
        return self._known[user_id]
