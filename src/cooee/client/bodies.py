"""Between the bodies of encrypted messages (`protocol.body`) and the messages that an application sees. Pure."""

from typing import Any, NamedTuple

import msgspec

from cooee.client.changes import Edit, Reaction
from cooee.client.model import CONTENT_CONTROL, CONTENT_UNSUPPORTED, Message
from cooee.domain.message import CONTENT_ENCRYPTED, CONTENT_TEXT
from cooee.protocol.body import (
    BadBody,
    Body,
    DeleteBody,
    EditBody,
    EncryptedFile,
    MediaBody,
    ReactionBody,
    TextBody,
    TimerBody,
    Unsupported,
    decode_body,
)

UNSUPPORTED = CONTENT_UNSUPPORTED
"""Content type and `Message.problem` of what a newer program wrote, or what is malformed: it was opened, and says
nothing here."""


class Said(NamedTuple):
    """What a body is to an application: content type, content, and what goes beside it. ``expires_in``: ms, 0 never."""

    content_type: str
    content: Any
    reply_reference: str = ""
    mentions: tuple[str, ...] = ()
    expires_in: int = 0


def said_by(body: Body) -> Said:
    """Return what ``body`` says."""
    match body:
        case TextBody(text=text):
            return _beside(body, Said(CONTENT_TEXT, text))
        case MediaBody(file=file):
            return _beside(body, Said(body.content_type, file_content(file, body.caption)))
        case TimerBody(expires_in=expires_in):
            return Said(CONTENT_CONTROL, {"kind": "timer", "expiresIn": expires_in})
        case ReactionBody(target=target, emoji=emoji):
            return Said(CONTENT_CONTROL, {"kind": "reaction", "target": target, "emoji": emoji})
        case EditBody(target=target, text=text):
            return Said(CONTENT_CONTROL, {"kind": "edit", "target": target, "text": text})
        case DeleteBody(target=target):
            return Said(CONTENT_CONTROL, {"kind": "delete", "target": target})


def _beside(body: TextBody | MediaBody, said: Said) -> Said:
    return said._replace(reply_reference=body.reply_to or "", mentions=body.mentions, expires_in=body.expires_in or 0)


def file_content(file: EncryptedFile, caption: str | None) -> dict[str, Any]:
    """Return the content of a message with an encrypted file, as `Message.media` reads it."""
    content: dict[str, Any] = msgspec.to_builtins(file)
    picture = content.pop("thumbnail", None)
    if picture:
        content |= {"thumbnail": True, "picture": picture}
    return content | ({"caption": caption} if caption else {})


def readable(sealed: Message, payload: bytes, *, read: bool) -> Message:
    """Return the message that ``sealed`` (content type ``encrypted``) is, given its opened body.

    ``read``: it was read already, or is an own one; so its time runs from when it was sent.

    A malformed body, or one of a newer kind, makes a message of the content type `UNSUPPORTED`.
    """
    try:
        body = decode_body(payload)
    except BadBody:
        said = Said(UNSUPPORTED, None)
    else:
        said = Said(UNSUPPORTED, None) if isinstance(body, Unsupported) else said_by(body)
    return msgspec.structs.replace(
        sealed,
        content_type=said.content_type,
        content=said.content,
        reply_to=None,
        reply_reference=said.reply_reference,
        mentions=said.mentions,
        envelope=None,
        group_envelope=None,
        encrypted=True,
        problem=UNSUPPORTED if said.content_type == UNSUPPORTED else "",
        expires_in=said.expires_in,
        expires_at=sealed.timestamp + said.expires_in if said.expires_in and read else 0,
    )


def unreadable(sealed: Message, problem: str) -> Message:
    """Return ``sealed`` as a message that says why it cannot be read; its ciphertext stays in it."""
    return msgspec.structs.replace(sealed, content_type=CONTENT_ENCRYPTED, encrypted=True, problem=problem)


def reaction_of(message: Message) -> Reaction | None:
    """Return the reaction that a control is."""
    if message.control != "reaction":
        return None
    content = message.content
    return Reaction(
        message.conversation_id, content["target"], message.sender_id, message.sequence_number, content["emoji"]
    )


def edit_of(message: Message) -> Edit | None:
    """Return the edit, or the deletion, that a control is."""
    if message.control not in {"edit", "delete"}:
        return None
    content = message.content
    return Edit(
        message.conversation_id, content["target"], message.sender_id, message.sequence_number, content.get("text")
    )
