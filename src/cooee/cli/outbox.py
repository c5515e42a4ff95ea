"""``cooee outbox``: messages that wait for a connection, or were given up."""

from contextlib import suppress

import click
import msgspec

from cooee.cli import records
from cooee.cli.amending import Nothing
from cooee.cli.choices import account_options
from cooee.cli.errors import CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.operation import Operation, Tell
from cooee.cli.performing import perform
from cooee.cli.render import chat_name, clock, safe, table
from cooee.client import Client, Pending

_MESSAGE = click.argument("message")


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def outbox(context: click.Context) -> None:
    """List, retry and discard messages that were not sent. Without a command: list them.

    What waits goes out with the next `cooee send` or `cooee listen`.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_outbox)


@outbox.command("list")
@account_options
@pass_invocation
def list_outbox(invocation: Invocation) -> None:
    """List what waits, and what failed."""
    found = perform(invocation, OUTBOX, Nothing())
    me, kept, uploads = found.me, found.entries, found.uploads
    for entry in kept:
        invocation.tell(records.pending(entry))
    rows = [
        (
            entry.client_message_id,
            chat_name(entry.conversation_id, me),
            clock(entry.created_at, invocation.now),
            _state(entry, uploads),
            safe(_text(entry))[:40],
        )
        for entry in kept
    ]
    invocation.say(*table(invocation.look, ("MESSAGE", "TO", "WRITTEN", "STATE", "TEXT"), rows))
    if not kept:
        invocation.note("Everything was sent.")


@outbox.command()
@_MESSAGE
@account_options
@pass_invocation
def retry(invocation: Invocation, message: str) -> None:
    """Put a failed MESSAGE in line again, as a new one."""
    entry = perform(invocation, CHANGE, Failed(message, again=True))
    assert entry is not None  # noqa: S101  # what is tried again is told
    invocation.tell(records.pending(entry), "It is in line again, and goes out with the next `cooee send`.")


@outbox.command()
@_MESSAGE
@account_options
@pass_invocation
def discard(invocation: Invocation, message: str) -> None:
    """Forget a failed MESSAGE, or one whose file is not uploaded yet."""
    perform(invocation, CHANGE, Failed(message, again=False))
    invocation.tell({"type": "discarded", "clientMessageId": message}, "It is forgotten.")


class Kept(msgspec.Struct, frozen=True):
    """Who it is, what is kept, and which of it still lacks its file on the server."""

    me: str
    entries: tuple[Pending, ...]
    uploads: frozenset[str]


async def _kept(client: Client, _: Nothing, __: Tell) -> Kept:
    uploads = await client.uploads()
    kept = (*await client.outbox(), *(entry.message(client.me.device_id) for entry in uploads))
    return Kept(client.me.user_id, kept, frozenset(entry.client_message_id for entry in uploads))


OUTBOX = Operation("outbox", _kept, Nothing, Kept, live=False)


class Failed(msgspec.Struct, frozen=True):
    """A failed message, and what becomes of it: it is put in line again, or forgotten."""

    client_message_id: str
    again: bool


async def _changed(client: Client, wish: Failed, _: Tell) -> Pending | None:
    try:
        if wish.again:
            return await client.retry(wish.client_message_id)
        with suppress(KeyError):
            await client.discard_upload(wish.client_message_id)
            return None
        await client.discard(wish.client_message_id)
    except KeyError:
        raise CliError("There is no failed message of this id; `cooee outbox` lists them.", code="not_found") from None
    return None


CHANGE: Operation[Failed, Pending | None] = Operation("outbox_change", _changed, Failed, Pending | None, live=False)


def _state(entry: Pending, uploads: frozenset[str]) -> str:
    if entry.status == "failed":
        return safe(entry.reason)
    return "waits for its file" if entry.client_message_id in uploads else "waits"


def _text(entry: Pending) -> str:
    media = entry.media
    return entry.text if media is None else f"[{entry.content_type}] {media.filename or ''} {entry.text}".rstrip()
