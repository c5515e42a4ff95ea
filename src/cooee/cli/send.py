"""``cooee send``: a text, or files, and the ticks as they change."""

import asyncio
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from cooee.cli.account import checked_user
from cooee.cli.at_hand import somebody_at_hand
from cooee.cli.choices import account_options
from cooee.cli.errors import UNREACHABLE, CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS, PEOPLE
from cooee.cli.operation import Tell
from cooee.cli.performing import encryption_of, perform_as
from cooee.cli.profile import Login
from cooee.cli.send_files import FileBars, with_file
from cooee.cli.sending import SEND, Draft, Noted, Prepared, SendWish, Uploaded, message_id_by_api
from cooee.cli.store import in_use
from cooee.cli.targets import find_by_api
from cooee.cli.ticks import LOOK_EVERY_S, NOT_YET, Ticked, TickLine, Ticks, Wait, look, patiently
from cooee.client import Api
from cooee.client.uploading import FileWish
from cooee.domain.ids import direct_conversation_id, is_user_id, uuid7
from cooee.domain.scopes import Scope
from cooee.protocol import frames

_PATIENCE_S = 30.0
_FOLLOW_S = 600.0
_MAX_INPUT = 1024 * 1024


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
@click.option("--plain", is_flag=True, help="Write here in the clear from now on, for all to see: to bots.")
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

    It is encrypted end to end, unless the conversation is in the clear (`cooee conversations plain`): bots read
    nothing else. The message is kept in this machine's outbox first: when the server cannot be reached (exit code
    3), it goes out with the next `cooee send` or `cooee listen`. So is a file that could not be sent wholly: leave
    it where it is.

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
    if encryption_of(chosen) == "off" and _goes_by_api(invocation, chosen):
        invocation.run(_send_by_api(invocation, chosen, to, drafts, wait))
        return
    with _shown(invocation) as tell:
        perform_as(invocation, chosen, SEND, SendWish(to, tuple(drafts), wait, options["plain"]), tell)


@contextmanager
def _shown(invocation: Invocation) -> Iterator[Tell]:
    """Show what sending tells: bars, ticks and notes."""
    line = TickLine(invocation)
    with FileBars(invocation, "Sending") as bars:

        def tell(told: msgspec.Struct) -> None:
            match told:
                case Uploaded():
                    bars.show(told.name, told.done, told.total)
                case Ticked():
                    bars.end()
                    line.show(told)
                case Prepared():
                    invocation.progress("Setting up encryption, by devices", told.done, told.total)
                case Noted():
                    line.end()
                    invocation.note(told.text)

        try:
            yield tell
        finally:
            line.end()


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
        Draft(said, options["reply_to"], mentions, options["silent"], str(file.absolute()), options["as_document"])
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


# --- in the clear and without the store: a bot's token that opens no session, or whose store another program has


def _goes_by_api(invocation: Invocation, chosen: Login) -> bool:
    """Tell whether there can be no client: another program has the store, or the token may not open a session."""
    if in_use(chosen.store) and not somebody_at_hand(chosen.store):
        return True
    if chosen.user_id:
        return False

    async def asking() -> bool:
        async with Api(chosen.url, chosen.token) as api:
            session = await api.session()
            return session.bot and Scope.MESSAGES_READ.value not in session.scopes

    return invocation.run(asking())


async def _send_by_api(invocation: Invocation, chosen: Login, to: str, drafts: Sequence[Draft], wait: Wait) -> None:
    async with Api(chosen.url, chosen.token) as api:
        target = await _target(api, to, chosen.user_id)
        await _by_api(invocation, api, target, drafts, wait)


async def _target(api: Api, to: str, me: str) -> tuple[str, str]:
    """Return the conversation that ``to`` means and who sends; a bot may not be allowed to read its groups' titles."""
    if me:
        return await find_by_api(api, to, me)
    session = await api.session()
    if Scope.MESSAGES_READ.value in session.scopes:
        return await find_by_api(api, to, session.user_id)
    if not to.startswith(("dm:", "group:")) and not is_user_id(to):
        raise usage(f"This token may not read the titles of groups; name {to!r} by its id: group:…")
    return direct_conversation_id(session.user_id, to) if is_user_id(to) else to, session.user_id


async def _by_api(
    invocation: Invocation, api: Api, target: tuple[str, str], drafts: Sequence[Draft], wait: Wait
) -> None:
    conversation_id, me = target
    reply_to = await message_id_by_api(api, conversation_id, drafts[0].reply_to)
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
        if draft.file:
            wish = FileWish(draft.text, "document" if draft.as_document else None)
            message = await with_file(invocation, api, message, Path(draft.file), wish)
        await _follow_by_api(invocation, api, message, me, wait)


async def _follow_by_api(invocation: Invocation, api: Api, message: frames.Send, me: str, wait: Wait) -> None:
    conversation_id = message.conversation_id or ""
    line = TickLine(invocation)
    ticks = Ticks(line.show, conversation_id, message.client_message_id)
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
        line.end()
        invocation.note(NOT_YET)
    else:
        line.end()
