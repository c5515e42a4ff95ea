"""``cooee outbox``: messages that wait for a connection, or were given up."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import click

from cooee.cli import records
from cooee.cli.choices import account_options
from cooee.cli.errors import CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.render import chat_name, clock, safe, table
from cooee.client import Client, Pending

T = TypeVar("T")
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
    me, kept, uploads = _with_client(invocation, _kept)
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

    async def retrying(client: Client) -> Pending:
        return await client.retry(message)

    entry = _failed(invocation, retrying)
    invocation.tell(records.pending(entry), "It is in line again, and goes out with the next `cooee send`.")


@outbox.command()
@_MESSAGE
@account_options
@pass_invocation
def discard(invocation: Invocation, message: str) -> None:
    """Forget a failed MESSAGE, or one whose file is not uploaded yet."""

    async def discarding(client: Client) -> None:
        with suppress(KeyError):
            await client.discard_upload(message)
            return
        await client.discard(message)

    _failed(invocation, discarding)
    invocation.tell({"type": "discarded", "clientMessageId": message}, "It is forgotten.")


async def _kept(client: Client) -> tuple[str, Sequence[Pending], set[str]]:
    """Return who it is, what is kept, and which of it still lacks its file on the server."""
    uploads = await client.uploads()
    kept = [*await client.outbox(), *(entry.message(client.me.device_id) for entry in uploads)]
    return client.me.user_id, kept, {entry.client_message_id for entry in uploads}


def _state(entry: Pending, uploads: set[str]) -> str:
    if entry.status == "failed":
        return safe(entry.reason)
    return "waits for its file" if entry.client_message_id in uploads else "waits"


def _text(entry: Pending) -> str:
    media = entry.media
    return entry.text if media is None else f"[{entry.content_type}] {media.filename or ''} {entry.text}".rstrip()


def _failed(invocation: Invocation, work: Callable[[Client], Awaitable[T]]) -> T:
    try:
        return _with_client(invocation, work)
    except KeyError:
        raise CliError("There is no failed message of this id; `cooee outbox` lists them.", code="not_found") from None


def _with_client(invocation: Invocation, work: Callable[[Client], Awaitable[T]]) -> T:
    chosen = invocation.login()

    async def working() -> T:
        async with Client(chosen.url, store=chosen.store, token=chosen.token, live=False) as client:
            return await work(client)

    return invocation.run(working())
