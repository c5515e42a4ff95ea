"""What others wrote, once each and over restarts: for programs that do something about every message."""

from collections.abc import AsyncGenerator

from cooee.client.client import Client
from cooee.client.model import ConversationView, Message

_PAGE = 200


async def inbox(client: Client) -> AsyncGenerator[Message, None]:
    """Yield what others write, first what is unread from before; in order within a conversation, without end.

    A message is marked as read when the next one is asked for. So one that a program died over comes again after a
    restart: what is done about it must stand being done twice. Own messages, system messages and silent ones are left
    out.

    Raises:
        Stopped: the server does not take the token any more.
    """
    me = client.me.user_id
    events = client.events()
    await client.online()
    handled: dict[str, int] = {}
    for view in await client.conversations():
        for message in await _unread(client, view):
            handled[view.conversation_id] = message.sequence_number
            if _is_for(me, message):
                yield message
                await client.mark_read(message.conversation_id, message.sequence_number)
    async for event in events:
        if not isinstance(event, Message) or not _is_for(me, event):
            continue
        if event.sequence_number > handled.get(event.conversation_id, 0):
            yield event
            await client.mark_read(event.conversation_id, event.sequence_number)


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
