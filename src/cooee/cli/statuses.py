"""The ticks of own messages, as history and export tell them: asked of the server (PROTOCOL.md §4)."""

from contextlib import suppress

from cooee.client import Api, Message, ServerError
from cooee.client.ticks import covered
from cooee.domain.receipt import Watermark
from cooee.protocol import http


async def ticked_through(api: Api, conversation: http.Conversation, me: str) -> Watermark:
    """Return up to which numbers own messages are delivered and read."""
    marks = {mark.user_id: Watermark(mark.delivered, mark.read) for mark in conversation.members}
    by_all = Watermark(conversation.delivered_by_all or 0, conversation.read_by_all or 0)
    roster: dict[str, int] | None = None
    if conversation.kind == "direct":
        roster = dict.fromkeys(marks, 1)
    elif conversation.delivered_by_all is None and not conversation.left:
        with suppress(ServerError):
            group = await api.group(conversation.conversation_id)
            roster = {member.user_id: member.joined for member in group.members}
    return covered(roster, marks, by_all, me, conversation.last_sequence_number)


def status_of(message: Message, me: str, ticked: Watermark) -> str:
    """Return ``sent``, ``delivered`` or ``read`` for an own message; nothing for any other."""
    if message.sender_id != me or message.event or message.deleted:
        return ""
    if ticked.read >= message.sequence_number:
        return "read"
    return "delivered" if ticked.delivered >= message.sequence_number else "sent"
