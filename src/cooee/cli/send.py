"""``cooee send``: a text, or files, and the ticks as they change."""

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.errors import UNREACHABLE, CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS, PEOPLE
from cooee.cli.profile import Login
from cooee.cli.send_files import Upload, with_file
from cooee.cli.targets import find_by_api, find_conversation, group_titles
from cooee.cli.ticks import LOOK_EVERY_S, NOT_YET, Ticks, Wait, look, not_sent_yet, patiently, watch
from cooee.client import (
    Api,
    Client,
    ConnectionFailed,
    FileKind,
    Pending,
    SendFailed,
    StoreLocked,
)
from cooee.client.uploading import FileWish
from cooee.domain.ids import direct_conversation_id, is_user_id, uuid7
from cooee.domain.scopes import Scope
from cooee.protocol import frames

_PATIENCE_S = 30.0
_FOLLOW_S = 600.0
_MAX_INPUT = 1024 * 1024


class Draft(msgspec.Struct, frozen=True):
    """What shall be sent. ``reply_to`` is a sequence number or a message id, as typed.

    With ``file``, ``text`` is its caption, and ``as_document`` sends it as one whatever it is.
    """

    text: str
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    file: Path | None = None
    as_document: bool = False


@click.command()
@click.argument("to", shell_complete=CHATS)
@click.argument("text", nargs=-1)
@click.option("--follow", "-f", is_flag=True, help="Show the ticks change until the message is read.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to wait  [default: until the first try fails, 30 at most; 600 with --follow]",
)
@click.option("--reply-to", metavar="NUMBER", help="The number (or message id) of the message that this answers.")
@click.option(
    "--mention",
    "mentions",
    multiple=True,
    metavar="USER",
    shell_complete=PEOPLE,
    help="Mention a user; may be repeated.",
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Send a file; may be repeated.",
)
@click.option("--caption", metavar="TEXT", help="What to say with the (first) file.")
@click.option("--as-document", is_flag=True, help="Send pictures, videos and sounds as plain files too.")
@click.option("--silent", is_flag=True, help="Neither count as unread nor cause a notification.")
@account_options
@pass_invocation
def send(
    invocation: Invocation,
    /,
    to: str,
    text: tuple[str, ...],
    follow: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Send TEXT, or files, to a user or group; "-" or nothing reads the text from standard input.

    The message is kept in this machine's outbox first: when the server cannot be reached (exit code 3), it goes out
    with the next `cooee send` or `cooee listen`. So is a file that could not be sent wholly: leave it where it is.

    \b
    Examples: cooee send bob hello there
              cooee send bob --file cat.jpg --caption "the cat"
              cooee send Team --follow "lunch?"
              date | cooee send bob -
    """  # noqa: D301  # click needs the character itself
    mentions = tuple(checked_user(user) for user in options["mentions"])
    drafts = _drafts(text, mentions, options)
    wait = Wait("read" if follow else "sent", timeout or (_FOLLOW_S if follow else _PATIENCE_S), timeout is None)
    chosen = invocation.login()
    invocation.run(_send(invocation, chosen, to, drafts, wait))


def _drafts(text: tuple[str, ...], mentions: tuple[str, ...], options: dict[str, Any]) -> list[Draft]:
    """Return what is to be sent, one after another."""
    files: tuple[Path, ...] = options["files"]
    caption: str | None = options["caption"]
    if not files:
        if caption is not None or options["as_document"]:
            raise usage("--caption and --as-document go with --file.")
        return [Draft(_text(text), options["reply_to"], mentions, options["silent"])]
    if text:
        raise usage("What is to be said with a file goes into --caption.")
    captions = [caption or "", *[""] * (len(files) - 1)]
    return [
        Draft(said, options["reply_to"], mentions, options["silent"], file, options["as_document"])
        for said, file in zip(captions, files, strict=True)
    ]


def _text(words: tuple[str, ...]) -> str:
    if words and words != ("-",):
        return " ".join(words)
    if not words and sys.stdin.isatty():
        raise usage('Say what to send: cooee send NAME TEXT, or "-" to type or pipe it into standard input.')
    content = sys.stdin.buffer.read(_MAX_INPUT + 1)
    if len(content) > _MAX_INPUT:
        raise usage("What stands on standard input is too long for a message.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise usage("What stands on standard input is not UTF-8 text.") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise usage("There is nothing on standard input to send.")
    return text


async def _send(invocation: Invocation, chosen: Login, to: str, drafts: Sequence[Draft], wait: Wait) -> None:
    if not chosen.user_id:
        async with Api(chosen.url, chosen.token) as api:
            session = await api.session()
            if session.bot and Scope.MESSAGES_READ.value not in session.scopes:
                await _by_api(invocation, api, (_id_of(to, session.user_id), session.user_id), drafts, wait)
                return
    client = Client(chosen.url, store=chosen.store, token=chosen.token)
    try:
        async with client:
            await _by_client(invocation, client, to, drafts, wait)
    except StoreLocked:
        # `cooee listen` runs with this account: its connection stays, and this message goes by HTTP
        async with Api(chosen.url, chosen.token) as api:
            await _by_api(invocation, api, await find_by_api(api, to, chosen.user_id), drafts, wait)


def _id_of(to: str, me: str) -> str:
    """Return the conversation that ``to`` means to a bot that may not read which groups it is in."""
    if not to.startswith(("dm:", "group:")) and not is_user_id(to):
        raise usage(f"This token may not read the titles of groups; name {to!r} by its id: group:…")
    return direct_conversation_id(me, to) if is_user_id(to) else to


async def _by_client(invocation: Invocation, client: Client, to: str, drafts: Sequence[Draft], wait: Wait) -> None:
    conversation_id = await find_conversation(to, client.me.user_id, lambda: _known_titles(client))
    reply_to = await _message_id(client.api, conversation_id, drafts[0].reply_to)
    for draft in drafts:
        await _follow(invocation, client, conversation_id, msgspec.structs.replace(draft, reply_to=reply_to), wait)


async def _follow(invocation: Invocation, client: Client, conversation_id: str, draft: Draft, wait: Wait) -> None:
    """Send one message and show its ticks."""
    events = client.events()
    entry = await _put(invocation, client, conversation_id, draft, wait)
    ticks = Ticks(invocation, conversation_id, entry.client_message_id)
    try:
        async with asyncio.timeout(wait.seconds):
            await watch(events, ticks, conversation_id, wait)
    except SendFailed:  # whoever sent it is told now; the outbox need not tell again
        with suppress(KeyError):
            await client.discard(entry.client_message_id)
        raise
    except TimeoutError:
        if not ticks.done("sent"):
            raise not_sent_yet("no connection in time") from None
        ticks.end()
        invocation.note(NOT_YET)
    else:
        ticks.end()


async def _put(invocation: Invocation, client: Client, conversation_id: str, draft: Draft, wait: Wait) -> Pending:
    """Put a message into the outbox, after its file is uploaded."""
    said: dict[str, Any] = {"reply_to": draft.reply_to, "mentions": draft.mentions, "silent": draft.silent}
    if draft.file is None:
        return await client.send_text(conversation_id, draft.text, **said)
    kind: FileKind | None = "document" if draft.as_document else None
    uploading = Upload(invocation, client, wait)
    return await uploading.send(conversation_id, draft.file, caption=draft.text, kind=kind, **said)


async def _known_titles(client: Client) -> dict[str, str]:
    """Return the groups' titles, as the server has them or, without a connection, as they were last known here."""
    with suppress(ConnectionFailed):
        return await group_titles(client.api)
    return {view.conversation_id: view.title for view in await client.conversations() if view.kind == "group"}


async def _message_id(api: Api, conversation_id: str, answered: str | None) -> str | None:
    """Return the id of the message with the number ``answered``; what is too long for a number is an id itself."""
    if answered is None or (answered.isdecimal() and len(answered) > 12):
        return answered
    if not answered.isdecimal() or int(answered) < 1:
        raise usage(f"{answered!r} is no message's number; `cooee history` shows them.")
    page = await api.history(conversation_id, after=int(answered) - 1, limit=1)
    found = [msgspec.json.decode(raw, type=frames.MessageFrame) for raw in page.messages]
    if not found or found[0].sequence_number != int(answered):
        raise CliError(f"There is no message {answered} in this conversation.", code="not_found")
    return found[0].message_id


# --- beside a `cooee listen` of the same account, or with a bot's token that opens no session


async def _by_api(
    invocation: Invocation, api: Api, target: tuple[str, str], drafts: Sequence[Draft], wait: Wait
) -> None:
    conversation_id, me = target
    reply_to = await _message_id(api, conversation_id, drafts[0].reply_to)
    for draft in drafts:
        message = frames.Send(
            uuid7(time.time_ns() // 1_000_000, secrets.randbits(74)),
            "text",
            msgspec.Raw(msgspec.json.encode(draft.text)),
            conversation_id,
            reply_to=reply_to,
            mentions=draft.mentions,
            silent=draft.silent,
        )
        if draft.file is not None:
            wish = FileWish(draft.text, "document" if draft.as_document else None)
            message = await with_file(invocation, api, message, draft.file, wish)
        await _follow_by_api(invocation, api, message, me, wait)


async def _follow_by_api(invocation: Invocation, api: Api, message: frames.Send, me: str, wait: Wait) -> None:
    conversation_id = message.conversation_id or ""
    ticks = Ticks(invocation, conversation_id, message.client_message_id)
    try:
        async with asyncio.timeout(wait.seconds):
            ack = await patiently(lambda: api.send_message(message), wait)
            ticks.reached("sent", ack.sequence_number)
            while not ticks.done(wait.until):
                await asyncio.sleep(LOOK_EVERY_S)
                await look(api, ticks, conversation_id, me)
    except TimeoutError:
        if not ticks.done("sent"):
            raise CliError("Not sent: no answer in time; try again.", UNREACHABLE, code="timeout") from None
        ticks.end()
        invocation.note(NOT_YET)
    else:
        ticks.end()
