"""``cooee conversations``, ``history``, ``search``, ``read`` and ``receipts``."""

from collections.abc import Sequence

import click
import msgspec

from cooee.cli import records
from cooee.cli.amending import MODE, OVERVIEW, Held, ModeWish, Nothing
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS, CONVERSATION
from cooee.cli.performing import encryption_of, perform
from cooee.cli.reading import HISTORY, READ, SEARCH, HistoryWish, ReadWish, SearchWish
from cooee.cli.render import PLAIN, Naming, chat_name, clock, message_line, placeholder, safe, span_text, table
from cooee.cli.statuses import status_of
from cooee.cli.targets import find_by_api, moment
from cooee.cli.trouble import waiting_text
from cooee.client import Api
from cooee.client.model import message_of
from cooee.domain.message import CONTENT_ENCRYPTED
from cooee.protocol import frames, http

_FOREVER = -1


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def conversations(context: click.Context) -> None:
    """List, mute, pin and archive conversations; how they are encrypted. Without a command: list them.

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
    encrypts = encryption_of(invocation.login()) == "on"
    held: dict[str, Held] = perform(invocation, OVERVIEW, Nothing()) if encrypts and found else {}
    for conversation in found:
        known = held.get(conversation.conversation_id)
        more = {"encrypted": not (known and known.plain), "timer": known.timer if known else 0} if encrypts else {}
        invocation.tell(records.conversation(conversation, me, known.last if known else None, **more))
    now = invocation.now
    rows = [
        (
            chat_name(conversation.conversation_id, me, conversation.title),
            str(conversation.unread) if conversation.unread else "",
            clock(conversation.last_activity, now) if conversation.last_activity else "",
            _flags(conversation, held.get(conversation.conversation_id)),
            _last(conversation, held.get(conversation.conversation_id)),
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


@conversations.command()
@CONVERSATION
@account_options
@pass_invocation
def plain(invocation: Invocation, conversation: str) -> None:
    """Write to a conversation in the clear from now on; all members see that you do.

    For bots and scripts, which read nothing else. In a group, admins may do it. What was written before stays as it is,
    and each member chooses for himself: nobody else's word, nor the server's, makes you write in the clear.
    """
    _tell_mode(invocation, conversation, plain=True)


@conversations.command()
@CONVERSATION
@account_options
@pass_invocation
def encrypted(invocation: Invocation, conversation: str) -> None:
    """Write to a conversation end-to-end encrypted again, as is usual."""
    _tell_mode(invocation, conversation, plain=False)


def _tell_mode(invocation: Invocation, conversation: str, *, plain: bool) -> None:
    now = perform(invocation, MODE, ModeWish(conversation, plain))
    name = chat_name(now.conversation_id, now.me, now.title)
    told = f"{PLAIN} from now on; all members see that" if plain else "end-to-end encrypted from now on"
    invocation.tell(
        {"type": "encryption", "conversationId": now.conversation_id, "encrypted": not plain, "changed": now.changed},
        f"{name}: {told}." if now.changed else f"{name}: {told.partition(' from')[0]} already.",
    )


@click.command()
@CONVERSATION
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True, help="How many messages.")
@click.option("--before", type=click.IntRange(min=1), metavar="NUMBER", help="Only messages below this number.")
@account_options
@pass_invocation
def history(invocation: Invocation, conversation: str, limit: int, before: int | None) -> None:
    """Show the newest messages of a CONVERSATION, with the ticks of your own.

    The number in front names a message in --before, --reply-to, `cooee receipts`, `react`, `edit`
    and `delete`.
    Example: cooee history bob --limit 10
    """
    shown = perform(invocation, HISTORY, HistoryWish(conversation, limit, before))
    encrypts = encryption_of(invocation.login()) == "on"
    naming = Naming(shown.me, {shown.conversation_id: shown.title}, encrypts)
    look, now = invocation.look, invocation.now
    wide = len(str(shown.messages[-1].sequence_number)) if shown.messages else 1
    for message in shown.messages:
        status = status_of(message, shown.me, shown.ticked)
        line = message_line(look, message, naming, now, status=status)
        number = look.dim(f"{message.sequence_number:>{wide}}")
        invocation.tell(records.message(message, shown.me, status), f"{number} {line}")
    if not shown.messages:
        invocation.note("There is nothing.")
    elif not shown.complete:
        invocation.note(f"Older ones: cooee history {conversation} --before {shown.messages[0].sequence_number}")
    if waiting := waiting_text(shown.waits.messages, unlinked=shown.waits.unlinked):
        invocation.note(waiting)
    if shown.plain and encrypts:
        invocation.note(f"This conversation is {PLAIN}; `cooee conversations encrypted {conversation}` changes that.")
    if shown.timer:
        invocation.note(f"What is written here disappears {span_text(shown.timer)} after it is read.")


@click.command()
@click.argument("text")
@click.option("--in", "conversation", metavar="CONVERSATION", shell_complete=CHATS, help="Only in this conversation.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many messages.")
@account_options
@pass_invocation
def search(invocation: Invocation, text: str, conversation: str | None, limit: int) -> None:
    """Search the messages on this machine for TEXT, newest first. The server cannot: it reads none of them.

    Example: cooee search "the key" --in Choir
    """
    found = perform(invocation, SEARCH, SearchWish(text, conversation, limit))
    encrypts = encryption_of(invocation.login()) == "on"
    naming, look, now = Naming(found.me, found.titles, encrypts), invocation.look, invocation.now
    for message in found.messages:
        number = look.dim(f"{message.sequence_number:>5}")
        invocation.tell(records.message(message, found.me), f"{number} {message_line(look, message, naming, now)}")
    if not found.messages:
        invocation.note("Nothing on this machine holds that.")


@click.command()
@CONVERSATION
@click.option("--through", type=click.IntRange(min=1), metavar="NUMBER", help="Only up to this number.")
@account_options
@pass_invocation
def read(invocation: Invocation, conversation: str, through: int | None) -> None:
    """Mark a CONVERSATION as read."""
    place = perform(invocation, READ, ReadWish(conversation, through))
    invocation.tell(
        {"type": "read", "conversationId": place.conversation_id, "sequenceNumber": place.sequence_number},
        f"Read up to {place.sequence_number}.",
    )


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


def _set(invocation: Invocation, text: str, changes: http.PatchConversation) -> http.Conversation:
    async def setting(api: Api) -> http.Conversation:
        conversation_id, _ = await find_by_api(api, text, invocation.login().user_id)
        return await api.set_flags(conversation_id, changes)

    return invocation.call(setting)


def _tell_changed(invocation: Invocation, changed: http.Conversation, text: str) -> None:
    name = safe(changed.title) or changed.conversation_id
    invocation.tell(records.conversation(changed, invocation.login().user_id), f"{name} is {text}.")


def _flags(conversation: http.Conversation, held: Held | None) -> str:
    flags = {
        "pinned": conversation.pinned,
        "muted": conversation.muted_until != 0,
        "archived": conversation.archived,
        "left": conversation.left,
        PLAIN: held is not None and held.plain,
    }
    shown = [name for name, on in flags.items() if on]
    return " ".join([*shown, *([f"disappears after {span_text(held.timer)}"] if held and held.timer else [])])


def _last(conversation: http.Conversation, held: Held | None) -> str:
    if conversation.last_message is None:
        return ""
    message = message_of(msgspec.json.decode(conversation.last_message, type=frames.MessageFrame))
    if message.content_type == CONTENT_ENCRYPTED and held is not None and held.last is not None:
        message = held.last
    text = safe(message.text) or f"[{message.event or placeholder(message) or message.content_type}]"
    return text if len(text) <= 40 else text[:39] + "…"
