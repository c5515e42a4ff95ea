"""What ``--json`` writes: one object a line, each with its ``type``; docs/cli.md lists types and fields.

Names are camel case as on the wire, times in ms since the Unix epoch. Fields may be added, never renamed.
"""

from typing import Any

import msgspec

from cooee.client import events
from cooee.client.model import Message, Pending, message_of
from cooee.domain.message import CONTENT_ENCRYPTED
from cooee.protocol import frames, http

_SECRET = frozenset({"key", "digest", "picture"})
Record = dict[str, Any]


def record(kind: str, body: msgspec.Struct, **more: Any) -> Record:
    """Return a body of the HTTP API as an object of type ``kind``; a ``type`` of its own becomes ``{kind}Type``."""
    fields = msgspec.json.decode(msgspec.json.encode(body))
    own = {f"{kind}Type": fields.pop("type")} if "type" in fields else {}
    return {"type": kind, **fields, **own, **more}


def message(told: Message, me: str, status: str | None = None) -> Record:
    """Return a message. ``status`` (``sent``, ``delivered``, ``read``) stands with own messages where it is known."""
    fields = {
        "type": "message",
        "conversationId": told.conversation_id,
        "sequenceNumber": told.sequence_number,
        "messageId": told.message_id,
        "senderId": told.sender_id,
        "senderDeviceId": told.sender_device_id,
        "clientMessageId": told.client_message_id,
        "timestamp": told.timestamp,
        "contentType": told.content_type,
        "content": _open_content(told.content),
        "text": told.text,
        "own": told.sender_id == me,
        "replyTo": told.reply_to,
        "mentions": list(told.mentions),
        "silent": told.silent,
        "encrypted": told.encrypted,
        "problem": told.problem or None,
        "edited": told.edited,
        "reactions": dict(told.reactions),
        "expiresAt": told.expires_at or None,
    }
    return fields | ({"status": status} if status else {})


def conversation(body: http.Conversation, me: str, last: Message | None = None, **more: Any) -> Record:
    """Return a conversation; its ``lastMessage`` is a `message`.

    Of an encrypted one, it is ``last``, as it could be read on this machine; without that, who wrote it and when, and
    no content.
    """
    told = record("conversation", body, **more)
    if body.last_message is not None:
        found = message_of(msgspec.json.decode(body.last_message, type=frames.MessageFrame))
        if found.content_type == CONTENT_ENCRYPTED and last is not None:
            found = last
        if found.content_type == CONTENT_ENCRYPTED:
            problem = found.problem or "waiting"
            found = msgspec.structs.replace(found, content=None, encrypted=True, problem=problem)
        told["lastMessage"] = message(found, me)
    return told


def _open_content(content: Any) -> Any:
    """Return the content of a message without what opens its file, which is nobody else's."""
    if not isinstance(content, dict):
        return content
    return {name: value for name, value in content.items() if name not in _SECRET}


def pending(kept: Pending) -> Record:
    """Return a message of the outbox; ``status`` is ``pending`` or ``failed``, then ``code`` and ``reason`` say why."""
    return {
        "type": "pending",
        "clientMessageId": kept.client_message_id,
        "conversationId": kept.conversation_id,
        "createdAt": kept.created_at,
        "contentType": kept.content_type,
        "text": kept.text,
        "filename": kept.media.filename if kept.media is not None else None,
        "status": kept.status,
        "code": kept.code or None,
        "reason": kept.reason or None,
    }


def tick(changed: events.TickChanged) -> Record:
    """Return a change of ticks; ``delivered`` and ``read`` hold for all own messages up to ``sequenceNumber``."""
    return {
        "type": "tick",
        "conversationId": changed.conversation_id,
        "status": changed.status,
        "sequenceNumber": changed.sequence_number,
        "clientMessageId": changed.client_message_id,
        "code": changed.code,
        "reason": changed.reason,
    }


def event(told: events.Event, me: str) -> Record | None:
    """Return the object of an event; None for what only an application's state is about."""
    match told:
        case Message():
            return message(told, me)
        case events.TickChanged():
            return tick(told)
        case events.MessageDeleted():
            return {
                "type": "deleted",
                "conversationId": told.conversation_id,
                "sequenceNumber": told.sequence_number,
                "by": told.by,
            }
        case events.Typing():
            return {
                "type": "typing",
                "conversationId": told.conversation_id,
                "userId": told.user_id,
                "status": told.status,
                "kind": told.kind,
            }
        case events.Presence():
            return {"type": "presence", "userId": told.user_id, "status": told.status, "lastSeen": told.last_seen}
        case events.ConnectionState():
            return {
                "type": "connection",
                "state": told.state,
                "transport": told.transport,
                "retryInMs": told.retry_in_ms,
                "reason": told.reason,
            }
    return _of_encryption(told, me)


def _of_encryption(told: events.Event, me: str) -> Record | None:
    match told:
        case events.MessageUpdated():
            return message(told.message, me) | {"type": "message_updated"}
        case events.KeyChanged():
            return {"type": "key_changed", "userId": told.user_id, "verified": told.verified}
        case events.EncryptionChanged():
            return {
                "type": "encryption",
                "conversationId": told.conversation_id,
                "encrypted": told.mode == "encrypted",
                "by": told.by,
            }
        case events.DeviceLinked():
            return {"type": "device_linked", "deviceId": told.device_id}
        case events.DeviceUnlinked():
            return {"type": "device_unlinked", "deviceId": told.device_id}
        case events.LinkNeeded():
            return {"type": "link_needed"}
        case events.EncryptionProblem():
            return {
                "type": "encryption_problem",
                "code": told.code,
                "text": told.text,
                "userId": told.user_id or None,
            }
    return None
