"""``cooee conversations``, ``history``, ``read``, ``receipts`` and ``delete``."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import click
import msgspec

from cooee.cli import records
from cooee.cli.choices import account_options
from cooee.cli.errors import CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CONVERSATION
from cooee.cli.profile import Login
from cooee.cli.render import Naming, chat_name, clock, message_line, safe, table
from cooee.cli.statuses import status_of, ticked_through
from cooee.cli.targets import find_by_api, find_conversation, group_titles, moment
from cooee.client import Api, Client, ConnectionFailed, Message, ServerError, StoreLocked
from cooee.client.model import message_of
from cooee.domain.receipt import Watermark
from cooee.protocol import frames, http

_FOREVER = -1


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def conversations(context: click.Context) -> None:
    """List, mute, pin and archive conversations. Without a command: list them.

    CONVERSATION is a user, a group's title, or an id (dm:…, group:…).
    """
    if context.invoked_subcommand is None:
        context.invoke(list_conversations)


@conversations.command("list")
@click.option("--all", "everything", is_flag=True, help="Also the archived ones and groups you left.")
@account_options
@pass_invocation
def list_conversations(invocation: Invocation, everything: bool = False) -> None:
    """List conversations, last activity first."""

    async def listing(api: Api) -> tuple[str, list[http.Conversation]]:
        me = invocation.login().user_id or (await api.me()).user_id
        return me, [found async for found in api.conversations() if everything or not (found.archived or found.left)]

    me, found = invocation.call(listing)
    for conversation in found:
        invocation.tell(records.record("conversation", conversation))
    now = invocation.now
    rows = [
        (
            chat_name(conversation.conversation_id, me, conversation.title),
            str(conversation.unread) if conversation.unread else "",
            clock(conversation.last_activity, now) if conversation.last_activity else "",
            _flags(conversation),
            _last(conversation),
        )
        for conversation in found
    ]
    invocation.say(*table(invocation.look, ("CONVERSATION", "UNREAD", "LAST", "", ""), rows))
    if not found:
        invocation.note("There is no conversation yet; `cooee send NAME hello` begins one.")


@conversations.command()
@CONVERSATION
@click.option("--until", callback=moment(_FOREVER), help="When it ends: 8h, 7d or a date and time  [default: never]")
@click.option("--off", is_flag=True, help="Mute no longer.")
@account_options
@pass_invocation
def mute(invocation: Invocation, conversation: str, until: int, off: bool) -> None:
    """Mute a conversation: no notifications."""
    changed = _set(invocation, conversation, http.PatchConversation(muted_until=0 if off else until))
    text = "not muted any more" if off else "muted" if until < 0 else f"muted until {clock(until, invocation.now)}"
    _tell_changed(invocation, changed, text)


@conversations.command()
@CONVERSATION
@click.option("--off", is_flag=True, help="Pin no longer.")
@account_options
@pass_invocation
def pin(invocation: Invocation, conversation: str, off: bool) -> None:
    """Pin a conversation to the top."""
    changed = _set(invocation, conversation, http.PatchConversation(pinned=not off))
    _tell_changed(invocation, changed, "not pinned any more" if off else "pinned")


@conversations.command()
@CONVERSATION
@click.option("--off", is_flag=True, help="Take it out of the archive.")
@account_options
@pass_invocation
def archive(invocation: Invocation, conversation: str, off: bool) -> None:
    """Archive a conversation."""
    changed = _set(invocation, conversation, http.PatchConversation(archived=not off))
    _tell_changed(invocation, changed, "out of the archive" if off else "archived")


class Shown(NamedTuple):
    """A page of history and what its own messages' ticks follow from."""

    naming: Naming
    messages: Sequence[Message]
    complete: bool
    ticked: Watermark


@click.command()
@CONVERSATION
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True, help="How many messages.")
@click.option("--before", type=click.IntRange(min=1), metavar="NUMBER", help="Only messages below this number.")
@account_options
@pass_invocation
def history(invocation: Invocation, conversation: str, limit: int, before: int | None) -> None:
    """Show the newest messages of a CONVERSATION, with the ticks of your own.

    The number in front names a message in --before, --reply-to, `cooee receipts` and `cooee delete`.
    Example: cooee history bob --limit 10
    """
    chosen = invocation.login()
    shown = invocation.run(_history(chosen, conversation, limit, before))
    look, now = invocation.look, invocation.now
    wide = len(str(shown.messages[-1].sequence_number)) if shown.messages else 1
    for message in shown.messages:
        status = status_of(message, shown.naming.me, shown.ticked)
        line = message_line(look, message, shown.naming, now, status=status)
        number = look.dim(f"{message.sequence_number:>{wide}}")
        invocation.tell(records.message(message, shown.naming.me, status), f"{number} {line}")
    if not shown.messages:
        invocation.note("There is nothing.")
    elif not shown.complete:
        invocation.note(f"Older ones: cooee history {conversation} --before {shown.messages[0].sequence_number}")


async def _history(chosen: Login, text: str, limit: int, before: int | None) -> Shown:
    try:
        async with Client(chosen.url, store=chosen.store, token=chosen.token, live=False) as client:
            return await _held_history(client, text, limit, before)
    except StoreLocked:  # `cooee listen` runs; the server tells as well
        async with Api(chosen.url, chosen.token) as api:
            return await _server_history(api, chosen, text, limit, before)


async def _held_history(client: Client, text: str, limit: int, before: int | None) -> Shown:
    me = client.me.user_id

    async def titles() -> dict[str, str]:
        with suppress(ConnectionFailed):
            return await group_titles(client.api)
        return {view.conversation_id: view.title for view in await client.conversations()}

    conversation_id = await find_conversation(text, me, titles)
    head = None
    with suppress(ConnectionFailed, ServerError):
        head = await client.api.conversation(conversation_id)
    newest = head.last_sequence_number + 1 if head is not None and before is None else before
    page = await client.history(conversation_id, before=newest, limit=limit)
    if head is not None:
        ticked = await ticked_through(client.api, head, me)
        return Shown(Naming(me, {conversation_id: head.title}), page.messages, page.complete, ticked)
    view = await client.conversation(conversation_id)
    ticked = Watermark(view.delivered_through, view.read_through) if view else Watermark()
    return Shown(Naming(me, {conversation_id: view.title if view else ""}), page.messages, page.complete, ticked)


async def _server_history(api: Api, chosen: Login, text: str, limit: int, before: int | None) -> Shown:
    conversation_id, me = await find_by_api(api, text, chosen.user_id)
    page = await api.history(conversation_id, before=before, limit=limit)
    found = [message_of(msgspec.json.decode(raw, type=frames.MessageFrame)) for raw in page.messages]
    head = await api.conversation(conversation_id)
    return Shown(Naming(me, {conversation_id: head.title}), found, page.complete, await ticked_through(api, head, me))


@click.command()
@CONVERSATION
@click.option("--through", type=click.IntRange(min=1), metavar="NUMBER", help="Only up to this number.")
@account_options
@pass_invocation
def read(invocation: Invocation, conversation: str, through: int | None) -> None:
    """Mark a CONVERSATION as read."""
    chosen = invocation.login()

    async def reading() -> tuple[str, int]:
        async with Client(chosen.url, store=chosen.store, token=chosen.token) as client:
            conversation_id, _ = await find_by_api(client.api, conversation, client.me.user_id)
            head = (await client.api.conversation(conversation_id)).last_sequence_number
            number = min(through or head, head)
            await client.online(_ONLINE_S)
            await client.mark_read(conversation_id, number)
            await _until_known(client.api, conversation_id, number)
            return conversation_id, number

    conversation_id, number = invocation.run(reading())
    invocation.tell(
        {"type": "read", "conversationId": conversation_id, "sequenceNumber": number}, f"Read up to {number}."
    )


async def _until_known(api: Api, conversation_id: str, number: int) -> None:
    """Wait until the server says that it knows of the reading, so that the next command sees it."""
    try:
        async with asyncio.timeout(_ONLINE_S):
            while (await api.conversation(conversation_id)).read_sequence_number < number:  # noqa: ASYNC110  # by HTTP
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError:
        raise CliError("The server does not confirm that; it is kept here and told when `cooee listen` runs.") from None


_ONLINE_S = 30.0
_ASK_AGAIN_S = 0.05


@click.command()
@CONVERSATION
@click.argument("number", type=click.IntRange(min=1))
@account_options
@pass_invocation
def receipts(invocation: Invocation, conversation: str, number: int) -> None:
    """Tell who received and who read the message NUMBER of a CONVERSATION."""

    async def asking(api: Api) -> tuple[str, Sequence[frames.MemberWatermark], str]:
        conversation_id, me = await find_by_api(api, conversation, invocation.login().user_id)
        return conversation_id, await api.receipts(conversation_id, number), me

    conversation_id, marks, me = invocation.call(asking)
    others = [mark for mark in marks if mark.user_id != me]
    rows = []
    for mark in others:
        status = "read" if mark.read >= number else "delivered" if mark.delivered >= number else "sent"
        rows.append((mark.user_id, status))
        invocation.tell(
            {"type": "receipt", "conversationId": conversation_id, "userId": mark.user_id, "status": status}
        )
    invocation.say(*table(invocation.look, ("USER", "STATUS"), rows))


@click.command()
@CONVERSATION
@click.argument("number", type=click.IntRange(min=1))
@account_options
@pass_invocation
def delete(invocation: Invocation, conversation: str, number: int) -> None:
    """Delete the message NUMBER for everyone: your own, or any as an admin of the group."""

    async def deleting(api: Api) -> str:
        conversation_id, _ = await find_by_api(api, conversation, invocation.login().user_id)
        await api.delete_message(conversation_id, number)
        return conversation_id

    conversation_id = invocation.call(deleting)
    invocation.tell(
        {"type": "deleted", "conversationId": conversation_id, "sequenceNumber": number, "by": None},
        f"Message {number} is deleted for everyone.",
    )


def _set(invocation: Invocation, text: str, changes: http.PatchConversation) -> http.Conversation:
    async def setting(api: Api) -> http.Conversation:
        conversation_id, _ = await find_by_api(api, text, invocation.login().user_id)
        return await api.set_flags(conversation_id, changes)

    return invocation.call(setting)


def _tell_changed(invocation: Invocation, changed: http.Conversation, text: str) -> None:
    name = safe(changed.title) or changed.conversation_id
    invocation.tell(records.record("conversation", changed), f"{name} is {text}.")


def _flags(conversation: http.Conversation) -> str:
    flags = {
        "pinned": conversation.pinned,
        "muted": conversation.muted_until != 0,
        "archived": conversation.archived,
        "left": conversation.left,
    }
    return " ".join(name for name, on in flags.items() if on)


def _last(conversation: http.Conversation) -> str:
    if conversation.last_message is None:
        return ""
    message = message_of(msgspec.json.decode(conversation.last_message, type=frames.MessageFrame))
    text = safe(message.text) or f"[{message.event or message.content_type}]"
    return text if len(text) <= 40 else text[:39] + "…"
