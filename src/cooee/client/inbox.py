"""What others wrote, once each and over restarts: for programs that do something about every message."""

from collections.abc import AsyncGenerator

from cooee.client.client import Client
from cooee.client.events import Event, MessageUpdated
from cooee.client.model import ConversationView, Message

_PAGE = 200


async def inbox(client: Client) -> AsyncGenerator[Message, None]:
    """Yield what others write, first what is unread from before; in order within a conversation, without end.

    A message is marked as read when the next one is asked for. So one that a program died over comes again after a
    restart: what is done about it must stand being done twice. Own messages, system messages and silent ones are left
    out; an encrypted one that cannot be read yet comes when it can be, if that is in the same run.

    Raises:
        Stopped: the server does not take the token any more.
    """
    me = client.me.user_id
    events = client.events()
    await client.online()
    handled: dict[str, int] = {}
    waiting: set[tuple[str, int]] = set()
    for view in await client.conversations():
        for message in await _unread(client, view):
            handled[view.conversation_id] = message.sequence_number
            if message.problem:
                waiting.add((message.conversation_id, message.sequence_number))
            elif _is_for(me, message):
                yield message
                await client.mark_read(message.conversation_id, message.sequence_number)
    async for event in events:
        told = _message_of(event)
        if told is None or not _is_for(me, told):
            continue
        place = (told.conversation_id, told.sequence_number)
        is_new = isinstance(event, Message) and told.sequence_number > handled.get(told.conversation_id, 0)
        if told.problem:
            waiting.add(place)
        elif is_new or place in waiting:
            waiting.discard(place)
            yield told
            await client.mark_read(*place)


def _message_of(event: Event) -> Message | None:
    if isinstance(event, MessageUpdated):
        return event.message
    return event if isinstance(event, Message) else None


def _is_for(me: str, message: Message) -> bool:
    return message.sender_id != me and message.counts_as_unread


async def _unread(client: Client, view: ConversationView) -> list[Message]:
    """Return what is held above the read watermark, oldest first."""
    found: list[Message] = []
    before = view.position + 1
    while before > view.read + 1:
        page = await client.held(view.conversation_id, before=before, limit=_PAGE)
        found[:0] = [message for message in page.messages if message.sequence_number > view.read]
        if not page.messages or page.complete:
            break
        before = page.messages[0].sequence_number
    return found
