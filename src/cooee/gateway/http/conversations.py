"""Routes of conversations and messages (PROTOCOL.md §6, §7, §11)."""

import re
from typing import Annotated

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import check_conversation_id, is_user_id
from cooee.domain.scopes import Scope
from cooee.gateway.http.paging import PageQuery, from_cursor, page_of, to_cursor
from cooee.gateway.http.route import Answer, Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import frames, http
from cooee.protocol.frames import Number

_Call = Call[HttpServices]
_NUMBER = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_ACCESS = (ErrorCode.NOT_FOUND,)


class HistoryQuery(msgspec.Struct, frozen=True):
    """``?after=|before=&limit=``; bounds are exclusive, and neither of them means the newest page."""

    after: Annotated[Number | None, msgspec.Meta(description="The oldest messages above this number.")] = None
    before: Annotated[Number | None, msgspec.Meta(description="The newest messages below this number.")] = None
    limit: Annotated[Number | None, msgspec.Meta(description="At most 200; 50 when left out.")] = None


class ReceiptsQuery(PageQuery, frozen=True, kw_only=True):
    """``?sequenceNumber=``: the message that is asked about."""

    sequence_number: Annotated[Number, msgspec.Meta(description="The message.")] = msgspec.field(name="sequenceNumber")


async def list_conversations(call: _Call) -> http.Page[http.Conversation]:
    """List the own conversations."""
    query: PageQuery = call.query
    place = from_cursor(query.cursor, _is_place)
    page = await call.services.conversations.page(call.caller, place or None, query.size)
    return http.Page(page.items, to_cursor(page.next_cursor) if page.next_cursor else None)


def _is_place(text: str) -> bool:
    time, _, conversation_id = text.partition("~")
    try:
        check_conversation_id(conversation_id)
    except CooeeError:
        return False
    return time.isascii() and time.isdecimal() and len(time) <= 16


async def get_conversation(call: _Call) -> http.Conversation:
    """Return one conversation."""
    return await call.services.conversations.one(call.caller, call.path["conversationId"])


async def patch_conversation(call: _Call) -> http.Conversation:
    """Mute, pin or archive."""
    return await call.services.conversations.set_flags(call.caller, call.path["conversationId"], call.body)


async def get_messages(call: _Call) -> frames.Messages:
    """Return a page of history."""
    query: HistoryQuery = call.query
    limit = query.limit if query.limit is not None else call.services.budgets.limits.page
    fetch = frames.Fetch(call.path["conversationId"], query.after, query.before, limit)
    return await call.services.sync.history(call.caller, fetch)


async def get_receipts(call: _Call) -> http.Page[frames.MemberWatermark]:
    """Tell who received and who read."""
    query: ReceiptsQuery = call.query
    after = from_cursor(query.cursor, is_user_id)
    conversation_id = _conversation_id(call)
    marks = await call.services.receipts.who(call.caller.user_id, conversation_id, query.sequence_number)
    rest = sorted((mark for mark in marks if mark.user_id > after), key=_user)
    return page_of(rest, query.size, _user)


def _user(mark: frames.MemberWatermark) -> str:
    return mark.user_id


async def send_message(call: _Call) -> frames.Ack | Answer:
    """Send without a socket."""
    sender = call.caller
    call.services.budgets.spend("sends", f"{sender.user_id} {sender.device_id} http")
    ack = await call.services.messages.send_and_wait(sender, call.body)
    return ack if ack.sequence_number is not None else Answer(ack, 202)


async def delete_message(call: _Call) -> None:
    """Delete for everyone."""
    number = call.path["sequenceNumber"]
    if _NUMBER.fullmatch(number) is None:
        raise bad_frame("the sequenceNumber is malformed")
    await call.services.messages.delete_for_everyone(call.caller, _conversation_id(call), int(number))


def _conversation_id(call: _Call) -> str:
    conversation_id = call.path["conversationId"]
    check_conversation_id(conversation_id)
    return conversation_id


_ONE = "/v1/conversations/{conversationId}"

ROUTES = (
    Route(
        method="GET",
        path="/v1/conversations",
        endpoint=list_conversations,
        summary="List the own conversations by last activity.",
        tag="conversations",
        needs=Scope.MESSAGES_READ,
        query=PageQuery,
        response=http.Page[http.Conversation],
    ),
    Route(
        method="GET",
        path=_ONE,
        endpoint=get_conversation,
        summary="One conversation.",
        tag="conversations",
        needs=Scope.MESSAGES_READ,
        response=http.Conversation,
        errors=_ACCESS,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        endpoint=patch_conversation,
        summary="Mute until, pin, archive; the user's other devices are told.",
        tag="conversations",
        needs=Scope.MESSAGES_WRITE,
        request=http.PatchConversation,
        response=http.Conversation,
        errors=_ACCESS,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/messages",
        endpoint=get_messages,
        summary="A page of history.",
        tag="conversations",
        needs=Scope.MESSAGES_READ,
        query=HistoryQuery,
        response=frames.Messages,
        errors=_ACCESS,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/receipts",
        endpoint=get_receipts,
        summary="The members' watermarks: who received and who read a message, by userId.",
        tag="conversations",
        needs=Scope.MESSAGES_READ,
        query=ReceiptsQuery,
        response=http.Page[frames.MemberWatermark],
        errors=_ACCESS,
    ),
    Route(
        method="DELETE",
        path=f"{_ONE}/messages/{{sequenceNumber}}",
        endpoint=delete_message,
        summary="Delete a message for everyone (its sender, or an admin of the group). Idempotent.",
        tag="conversations",
        needs=Scope.MESSAGES_WRITE,
        status=204,
        errors=_ACCESS,
    ),
    Route(
        method="POST",
        path="/v1/messages",
        endpoint=send_message,
        summary="Send a message without a socket. The body is that of a send frame; its type may be left out.",
        tag="conversations",
        needs=Scope.MESSAGES_WRITE,
        request=frames.Send,
        response=frames.Ack,
        limit="sends",
        also={202: "The message is durable; its number is not known yet (cluster)."},
        errors=(ErrorCode.NOT_FOUND, ErrorCode.MISMATCHED_DEVICES),
    ),
)
