"""``cooee send``: one message, and its ticks as they change."""

import asyncio
import random
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import click
import msgspec

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.errors import UNREACHABLE, CliError, usage, without_internals
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS, PEOPLE
from cooee.cli.profile import Login
from cooee.cli.render import tick
from cooee.cli.targets import find_by_api, find_conversation, group_titles
from cooee.client import (
    Api,
    Client,
    ConnectionFailed,
    ConnectionState,
    SendFailed,
    ServerError,
    StoreLocked,
    TickChanged,
)
from cooee.client.ledger import EventStream
from cooee.domain.ids import direct_conversation_id, is_user_id, uuid7
from cooee.domain.scopes import Scope
from cooee.protocol import frames

_ORDER = ("sent", "delivered", "read")
_PATIENCE_S = 30.0
_FOLLOW_S = 600.0
_LOOK_EVERY_S = 1.0
_MAX_INPUT = 1024 * 1024
_NOT_YET = "Not read yet; `cooee history` shows the ticks later."


class Draft(msgspec.Struct, frozen=True):
    """What shall be sent. ``reply_to`` is a sequence number or a message id, as typed."""

    text: str
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False


class Wait(msgspec.Struct, frozen=True):
    """How long to wait (s), for what, and whether the first connection that fails ends it."""

    until: str
    seconds: float
    gives_up_at_once: bool


class Ticks:
    """Shows the ticks of one message; they only go forward, and none is passed over."""

    def __init__(self, invocation: Invocation, conversation_id: str, client_message_id: str) -> None:
        self._invocation = invocation
        self._ids = {"conversationId": conversation_id, "clientMessageId": client_message_id}
        self._in_place = not invocation.as_json and sys.stdout.isatty()
        self._shown = -1
        self._through = {"delivered": 0, "read": 0}
        self.number: int | None = None

    def reached(self, status: str, number: int | None = None) -> None:
        """Show ``status``, after those before it; ``number`` is the message's once it is known."""
        self._invocation.settle()
        self.number = number if number is not None else self.number
        for at in range(self._shown + 1, _ORDER.index(status) + 1):
            self._show(_ORDER[at])
            self._shown = at

    def take(self, event: TickChanged) -> None:
        """Show what ``event``, of this conversation, says of this message.

        Raises:
            SendFailed: it was refused.
        """
        if event.client_message_id == self._ids["clientMessageId"]:
            if event.status == "failed":
                raise SendFailed(event.code or "bad_frame", event.reason or "the message was refused")
            self.reached("sent", event.sequence_number)
        elif event.status in self._through:
            self._through[event.status] = max(self._through[event.status], event.sequence_number or 0)
        for status, number in self._through.items():
            if self.number is not None and number >= self.number:
                self.reached(status)

    def done(self, status: str) -> bool:
        """Tell whether ``status`` has been reached."""
        return self._shown >= _ORDER.index(status)

    def end(self) -> None:
        """Leave the line of the ticks."""
        if self._in_place and self._shown >= 0:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _show(self, status: str) -> None:
        record = {"type": "tick", "status": status, **self._ids, "sequenceNumber": self.number}
        line = tick(self._invocation.look, status, words=True)
        if self._in_place:
            sys.stdout.write(("\r\x1b[K" if self._shown >= 0 else "") + line)
            sys.stdout.flush()
        else:
            self._invocation.tell(record, line)


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
    """Send TEXT to a user or group; "-" or nothing reads it from standard input.

    The message is kept in this machine's outbox first: when the server cannot be reached (exit code 3), it goes out
    with the next `cooee send` or `cooee listen`.

    \b
    Examples: cooee send bob hello there
              cooee send Team --follow "lunch?"
              date | cooee send bob -
    """  # noqa: D301  # click needs the character itself
    mentions = tuple(checked_user(user) for user in options["mentions"])
    draft = Draft(_text(text), options["reply_to"], mentions, options["silent"])
    wait = Wait("read" if follow else "sent", timeout or (_FOLLOW_S if follow else _PATIENCE_S), timeout is None)
    chosen = invocation.login()
    invocation.run(_send(invocation, chosen, to, draft, wait))


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


async def _send(invocation: Invocation, chosen: Login, to: str, draft: Draft, wait: Wait) -> None:
    if not chosen.user_id:
        async with Api(chosen.url, chosen.token) as api:
            session = await api.session()
            if session.bot and Scope.MESSAGES_READ.value not in session.scopes:
                await _by_api(invocation, api, (_id_of(to, session.user_id), session.user_id), draft, wait)
                return
    client = Client(chosen.url, store=chosen.store, token=chosen.token)
    try:
        async with client:
            await _by_client(invocation, client, to, draft, wait)
    except StoreLocked:
        # `cooee listen` runs with this account: its connection stays, and this message goes by HTTP
        async with Api(chosen.url, chosen.token) as api:
            await _by_api(invocation, api, await find_by_api(api, to, chosen.user_id), draft, wait)


def _id_of(to: str, me: str) -> str:
    """Return the conversation that ``to`` means to a bot that may not read which groups it is in."""
    if not to.startswith(("dm:", "group:")) and not is_user_id(to):
        raise usage(f"This token may not read the titles of groups; name {to!r} by its id: group:…")
    return direct_conversation_id(me, to) if is_user_id(to) else to


async def _by_client(invocation: Invocation, client: Client, to: str, draft: Draft, wait: Wait) -> None:
    conversation_id = await find_conversation(to, client.me.user_id, lambda: _known_titles(client))
    reply_to = await _message_id(client.api, conversation_id, draft.reply_to)
    events = client.events()
    kept = await client.send_text(
        conversation_id, draft.text, reply_to=reply_to, mentions=draft.mentions, silent=draft.silent
    )
    ticks = Ticks(invocation, conversation_id, kept.client_message_id)
    try:
        async with asyncio.timeout(wait.seconds):
            await _watch(events, ticks, conversation_id, wait)
    except SendFailed:  # whoever sent it is told now; the outbox need not tell again
        with suppress(KeyError):
            await client.discard(kept.client_message_id)
        raise
    except TimeoutError:
        if not ticks.done("sent"):
            raise _kept("no connection in time") from None
        ticks.end()
        invocation.note(_NOT_YET)
    else:
        ticks.end()


async def _watch(events: EventStream, ticks: Ticks, conversation_id: str, wait: Wait) -> None:
    async for event in events:
        if isinstance(event, TickChanged) and event.conversation_id == conversation_id:
            ticks.take(event)
            if ticks.done(wait.until):
                return
        elif isinstance(event, ConnectionState) and event.state == "waiting" and not ticks.done("sent"):
            _give_up_if_asked(event.reason, wait)


def _give_up_if_asked(reason: str, wait: Wait) -> None:
    if wait.gives_up_at_once:
        raise _kept(reason)


def _kept(reason: str) -> CliError:
    return CliError(
        f"Not sent yet: {without_internals(reason).rstrip('.')}. The message is kept and goes out with the next "
        "`cooee send` or `cooee listen`; `cooee outbox` shows it.",
        UNREACHABLE,
        code="unreachable",
    )


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


async def _by_api(invocation: Invocation, api: Api, target: tuple[str, str], draft: Draft, wait: Wait) -> None:
    conversation_id, me = target
    message = frames.Send(
        uuid7(time.time_ns() // 1_000_000, secrets.randbits(74)),
        "text",
        msgspec.Raw(msgspec.json.encode(draft.text)),
        conversation_id,
        reply_to=await _message_id(api, conversation_id, draft.reply_to),
        mentions=draft.mentions,
        silent=draft.silent,
    )
    ticks = Ticks(invocation, conversation_id, message.client_message_id)
    try:
        async with asyncio.timeout(wait.seconds):
            ack = await _patiently(lambda: api.send_message(message), wait)
            ticks.reached("sent", ack.sequence_number)
            while not ticks.done(wait.until):
                await asyncio.sleep(_LOOK_EVERY_S)
                await _look(api, ticks, conversation_id, me)
    except TimeoutError:
        if not ticks.done("sent"):
            raise CliError("Not sent: no answer in time; try again.", UNREACHABLE, code="timeout") from None
        ticks.end()
        invocation.note(_NOT_YET)
    else:
        ticks.end()


async def _patiently(sending: Callable[[], Awaitable[frames.Ack]], wait: Wait) -> frames.Ack:
    """Send, and send the same again where that is safe and wanted: the server stores it once."""
    while True:
        try:
            return await sending()
        except ConnectionFailed:
            if wait.gives_up_at_once:
                raise
        except ServerError as refusal:
            if not refusal.retryable:
                raise
            await asyncio.sleep((refusal.retry_after_ms or 0) / 1000)
        await asyncio.sleep(random.random())  # noqa: S311  # a spread of waits, no secret


async def _look(api: Api, ticks: Ticks, conversation_id: str, me: str) -> None:
    """Ask who has received and who has read the message."""
    if ticks.number is None:
        return
    with suppress(ConnectionFailed):
        others = [mark for mark in await api.receipts(conversation_id, ticks.number) if mark.user_id != me]
        if all(mark.delivered >= ticks.number for mark in others):
            ticks.reached("delivered")
        if all(mark.read >= ticks.number for mark in others):
            ticks.reached("read")
