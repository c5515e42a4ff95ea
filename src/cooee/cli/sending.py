"""Sending, as the client that has the store does it: texts and files, one after another, and what happens to each."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec

from cooee.cli.errors import CliError, usage
from cooee.cli.operation import Operation, Tell
from cooee.cli.targets import find_conversation, group_titles
from cooee.cli.ticks import NOT_YET, Ticked, Ticks, Wait, is_broken, not_sent_yet
from cooee.cli.trouble import key_changed_text
from cooee.client import (
    Api,
    Client,
    ConnectionFailed,
    Event,
    FileKind,
    KeyChanged,
    Message,
    Pending,
    SendFailed,
    SetupProgress,
    TickChanged,
)
from cooee.domain.ids import direct_members, is_direct
from cooee.protocol import frames

CONTROL_S = 30.0
"""How long a reaction, an edit or a timer is waited for."""
_WHOSE_KEYS = re.compile(r"the keys of (\S+) have changed")
_THEN = "goes on with the next `cooee listen` or `cooee chat`"


class Draft(msgspec.Struct, frozen=True):
    """What shall be sent. ``reply_to`` is a sequence number or a message id, as typed.

    With ``file``, ``text`` is its caption, and ``as_document`` sends it as one whatever it is.
    """

    text: str
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    file: str = ""
    as_document: bool = False


class SendWish(msgspec.Struct, frozen=True):
    """What to send whereto (as typed), and how long to wait. ``plain``: in the clear from now on."""

    to: str
    drafts: tuple[Draft, ...]
    wait: Wait
    plain: bool = False


class Uploaded(msgspec.Struct, frozen=True, tag="upload"):
    """How far a file is, in bytes."""

    name: str
    done: int
    total: int


class Prepared(msgspec.Struct, frozen=True, tag="setup"):
    """For how many devices of a conversation the encryption is set up."""

    done: int
    total: int


class Noted(msgspec.Struct, frozen=True, tag="note"):
    """Something that a person should read."""

    text: str


Told = Ticked | Uploaded | Prepared | Noted


async def _send(client: Client, wish: SendWish, tell: Tell) -> bool:
    conversation_id = await find_conversation(wish.to, client.me.user_id, lambda: known_titles(client))
    if wish.plain and client.mode(conversation_id) != "plain":
        await client.set_mode(conversation_id, "plain")
    reply_to = await message_id(client, conversation_id, wish.drafts[0].reply_to)
    for draft in wish.drafts:
        try:
            await _follow(client, conversation_id, msgspec.structs.replace(draft, reply_to=reply_to), wish.wait, tell)
        except SendFailed as problem:
            raise refused(problem, conversation_id, client.me.user_id) from None
    return True


SEND = Operation("send", _send, SendWish, bool, told=Told)
"""Send; ends when what is waited for has come about, or the time is over after the first tick."""


def peer_of(conversation_id: str, me: str) -> str:
    """Return the other one of a direct chat; empty for a group and for notes to oneself."""
    if not is_direct(conversation_id):
        return ""
    a, b = direct_members(conversation_id)
    other = b if a == me else a
    return "" if other == me else other


def refused(problem: SendFailed, conversation_id: str, me: str) -> Exception:
    """Return a refusal with what to do about it."""
    peer = peer_of(conversation_id, me)
    if problem.code == "key_changed":
        named = _WHOSE_KEYS.search(problem.message)  # in a group: whose key it is stands in the text alone
        who = peer or (named[1] if named else "")
        text = key_changed_text(who, verified=True) if who else f"{problem.message}: cooee verify NAME --accept"
        return CliError(f"Not sent: {text}", code=problem.code)
    if problem.code == "not_encrypted":
        who = peer or "the other one"
        return CliError(
            f"Not sent: {who} is a bot, and bots read no encrypted messages. Write in the clear, which is marked for "
            f"all to see: cooee send --plain {peer or 'BOT'} …; the conversation stays so until "
            f"`cooee conversations encrypted {peer or 'BOT'}`.",
            code=problem.code,
        )
    if problem.code == "not_linked":
        return CliError(
            "Not sent: this device is not linked to your account yet, so it has no keys to encrypt with. Link it from "
            "another device: cooee devices link (or, if there is none left: cooee devices start-anew).",
            code=problem.code,
        )
    return problem


async def _follow(client: Client, conversation_id: str, draft: Draft, wait: Wait, tell: Tell) -> None:
    """Send one message and tell its ticks."""
    events = client.events()
    async with aclosing(events):
        entry = await _put(client, conversation_id, draft, wait, tell)
        ticks = Ticks(tell, conversation_id, entry.client_message_id)
        try:
            async with asyncio.timeout(wait.seconds):
                await _watch(client, events, ticks, conversation_id, wait, tell)
        except SendFailed:  # whoever sent it is told now; the outbox need not tell again
            with suppress(KeyError):
                await client.discard(entry.client_message_id)
            raise
        except TimeoutError:
            if not ticks.done("sent"):
                raise not_sent_yet("no connection in time") from None
            tell(Noted(NOT_YET))


async def _watch(
    client: Client, events: AsyncIterator[Event], ticks: Ticks, conversation_id: str, wait: Wait, tell: Tell
) -> None:
    """Tell the ticks of one message until what is waited for; raises CliError when that is given up."""
    if client.connection.state == "waiting" and wait.gives_up_at_once:
        raise not_sent_yet(client.connection.reason)
    async for event in events:
        if isinstance(event, TickChanged) and event.conversation_id == conversation_id:
            ticks.take(event)
            if ticks.done(wait.until):
                return
        elif isinstance(event, SetupProgress) and event.conversation_id == conversation_id:
            tell(Prepared(event.done, event.total))
        elif isinstance(event, KeyChanged) and not event.verified:
            tell(Noted(key_changed_text(event.user_id, verified=False)))
        elif is_broken(event) and wait.gives_up_at_once and not ticks.done("sent"):
            raise not_sent_yet(event.reason)


async def follow_control(client: Client, entry: Pending, tell: Tell) -> None:
    """Wait until an entry of the outbox has its number, without telling its ticks.

    Raises:
        SendFailed: it was refused. CliError: there is no connection; it is sent later.
    """

    def silent(told: msgspec.Struct) -> None:
        if not isinstance(told, Ticked):
            tell(told)

    wait = Wait("sent", CONTROL_S, gives_up_at_once=True)
    ticks = Ticks(silent, entry.conversation_id, entry.client_message_id)
    async with aclosing(client.events()) as events:
        if all(kept.client_message_id != entry.client_message_id for kept in await client.outbox()):
            await client.wait_for_sent(entry.client_message_id, CONTROL_S)
            return
        try:
            async with asyncio.timeout(CONTROL_S):
                await _watch(client, events, ticks, entry.conversation_id, wait, silent)
        except TimeoutError:
            raise not_sent_yet("no answer in time") from None


async def _put(client: Client, conversation_id: str, draft: Draft, wait: Wait, tell: Tell) -> Pending:
    """Put a message into the outbox, after its file is uploaded."""
    said: dict[str, Any] = {"reply_to": draft.reply_to, "mentions": draft.mentions, "silent": draft.silent}
    if not draft.file:
        return await client.send_text(conversation_id, draft.text, **said)
    kind: FileKind | None = "document" if draft.as_document else None
    return await _Upload(client, wait, tell).send(conversation_id, Path(draft.file), draft.text, kind, said)


class _Upload:
    """One file; ended when there is no connection to begin with, or no time left."""

    def __init__(self, client: Client, wait: Wait, tell: Tell) -> None:
        self._client = client
        self._wait = wait
        self._tell = tell
        self._kept = asyncio.Event()
        self._begun = False

    async def send(
        self, conversation_id: str, file: Path, caption: str, kind: FileKind | None, said: dict[str, Any]
    ) -> Pending:
        """Upload ``file`` and put its message into the outbox.

        Raises:
            CliError: not now; the message is kept, and sent later.
            SendFailed: it can never be sent.
        """

        def progress(done: int, total: int) -> None:
            self._kept.set()
            self._begun = done > 0
            self._tell(Uploaded(file.name, done, total))

        sending = asyncio.create_task(
            self._client.send_file(conversation_id, file, caption=caption, kind=kind, progress=progress, **said),
            name="cooee-send-file",
        )
        watching = asyncio.create_task(self._no_connection(), name="cooee-send-watch")
        try:
            return await self._first(sending, watching)
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _first(self, sending: asyncio.Task[Pending], watching: asyncio.Task[str]) -> Pending:
        keeping = asyncio.create_task(self._kept.wait(), name="cooee-send-kept")
        await asyncio.wait((keeping, sending), return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        try:
            async with asyncio.timeout(None if self._wait.gives_up_at_once else self._wait.seconds):
                await asyncio.wait((watching, sending), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    raise not_sent_yet(watching.result(), _THEN)
                return sending.result()
        except TimeoutError:
            raise not_sent_yet("it takes longer than it may", _THEN) from None
        except ConnectionFailed as problem:
            raise not_sent_yet(str(problem), _THEN) from None

    async def _no_connection(self) -> str:
        """Return why no connection comes about, if nothing was sent until then."""
        async with aclosing(self._client.events()) as events:
            async for event in events:
                if is_broken(event) and self._wait.gives_up_at_once and not self._begun:
                    return event.reason
        return "the connection ended"


async def known_titles(client: Client) -> dict[str, str]:
    """Return the groups' titles, as the server has them or, without a connection, as they were last known here."""
    with suppress(ConnectionFailed):
        return await group_titles(client.api)
    return {view.conversation_id: view.title for view in await client.conversations() if view.kind == "group"}


async def message_id(client: Client, conversation_id: str, answered: str | None) -> str | None:
    """Return the id of the message with the number ``answered``; what is too long for a number is an id itself.

    Raises:
        CliError: there is no such message.
    """
    number = numbered(answered)
    if not isinstance(number, int):
        return number
    return (await message_at(client, conversation_id, number)).message_id


def numbered(answered: str | None) -> str | int | None:
    """Return a message's number, or its id as it is."""
    if answered is None or (answered.isdecimal() and len(answered) > 12):
        return answered
    if not answered.isdecimal() or int(answered) < 1:
        raise usage(f"{answered!r} is no message's number; `cooee history` shows them.")
    return int(answered)


async def message_at(client: Client, conversation_id: str, number: int) -> Message:
    """Return the message with a number, from here or from the server.

    Raises:
        CliError: there is none.
    """
    page = await client.history(conversation_id, before=number + 1, limit=1)
    if not page.messages or page.messages[-1].sequence_number != number:
        raise CliError(f"There is no message {number} in this conversation.", code="not_found")
    return page.messages[-1]


async def message_id_by_api(api: Api, conversation_id: str, answered: str | None) -> str | None:
    """Return the same as `message_id`, as the server tells it. Raises as that."""
    number = numbered(answered)
    if not isinstance(number, int):
        return number
    page = await api.history(conversation_id, after=number - 1, limit=1)
    found = [msgspec.json.decode(raw, type=frames.MessageFrame) for raw in page.messages]
    if not found or found[0].sequence_number != number:
        raise CliError(f"There is no message {number} in this conversation.", code="not_found")
    return found[0].message_id
