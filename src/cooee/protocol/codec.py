"""Bytes to client frames, and frames to bytes. Parsing happens here and nowhere else, strictly."""

from typing import Any

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.message import CONTENT_TEXT, EMPTY_BODY, Message
from cooee.protocol import frames


class _Head(msgspec.Struct, rename="camel"):
    """What can be told of a frame that is not valid as a whole, so that its error can name it."""

    type: Any = None
    ref: Any = None
    client_message_id: Any = None


class RejectedFrame(Exception):
    """A client frame that cannot be taken; ``error`` is the frame that answers it. The connection goes on."""

    def __init__(self, error: frames.Error) -> None:
        super().__init__(error.message)
        self.error = error


_client_decoder = msgspec.json.Decoder(frames.ClientFrame)
_server_decoder = msgspec.json.Decoder(frames.ServerFrame)
_head_decoder = msgspec.json.Decoder(_Head)
_encoder = msgspec.json.Encoder()
encode = _encoder.encode
"""Encode any frame or wire struct to JSON bytes."""

_CLIENT_TYPES = frozenset(str(frame.__struct_config__.tag) for frame in frames.ClientFrame.__args__)


def decode_client(payload: bytes) -> frames.ClientFrame:
    """Parse one client frame.

    Raises:
        RejectedFrame: ``bad_frame`` or ``unknown_type``, with the frame's ``ref`` when it can be read.
    """
    try:
        return _client_decoder.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError, UnicodeError) as problem:
        raise RejectedFrame(_explain(payload, problem)) from None


def decode_server(payload: bytes) -> frames.ServerFrame | None:
    """Parse one server frame; None for a frame type that this client does not know (it is newer: ignore it).

    Raises:
        msgspec.DecodeError: the frame breaks the contract.
    """
    try:
        return _server_decoder.decode(payload)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        head = _head_decoder.decode(payload)
        if isinstance(head.type, str) and head.type not in _SERVER_TYPES:
            return None
        raise


_SERVER_TYPES = frozenset(str(frame.__struct_config__.tag) for frame in frames.ServerFrame.__args__)


def _explain(payload: bytes, problem: Exception) -> frames.Error:
    try:
        head = _head_decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return frames.Error(ErrorCode.BAD_FRAME, "the frame is not one JSON object in UTF-8", retryable=False)
    ref = head.ref if isinstance(head.ref, str) and len(head.ref) <= 256 else None
    message_id = head.client_message_id
    client_message_id = message_id if isinstance(message_id, str) and len(message_id) <= 64 else None
    if isinstance(head.type, str) and head.type not in _CLIENT_TYPES:
        return frames.Error(
            ErrorCode.UNKNOWN_TYPE,
            "this server does not know frames of this type",
            retryable=False,
            ref=ref,
            client_message_id=client_message_id,
        )
    text = str(problem) if isinstance(problem, msgspec.ValidationError) else "the frame is not valid JSON"
    return frames.Error(ErrorCode.BAD_FRAME, text[:300], retryable=False, ref=ref, client_message_id=client_message_id)


def error_frame(error: CooeeError, ref: str | None = None, client_message_id: str | None = None) -> frames.Error:
    """Return the error frame that tells ``error`` to the sender of ``ref``."""
    return frames.Error(
        error.code,
        error.message,
        retryable=error.retryable,
        ref=ref,
        client_message_id=client_message_id,
        retry_after_ms=error.retry_after_ms,
        **error.extra,
    )


def message_frame(message: Message) -> bytes:
    """Return the ``message`` frame, encoded once for all its receivers, without any envelope.

    The body's fields are spliced in as they are stored: the content is never parsed again.
    """
    body = message.body
    client_message_id = message.client_message_id
    if '"' in client_message_id or "\\" in client_message_id or not client_message_id.isprintable():
        quoted = _encoder.encode(client_message_id).decode()
    else:
        quoted = f'"{client_message_id}"'
    return (
        f'{{"type":"message","messageId":"{message.message_id}","conversationId":"{message.conversation_id}",'
        f'"sequenceNumber":{message.sequence_number},"senderId":"{message.sender_id}",'
        f'"senderDeviceId":"{message.device_id}","clientMessageId":{quoted},'
        f'"timestamp":{message.timestamp},"contentType":"{message.content_type}"{"" if body == EMPTY_BODY else ","}'
    ).encode() + body[1:]


def with_envelope(frame: bytes, content: str) -> bytes:
    """Return a ``message`` frame with this device's own ``envelope`` added."""
    return frame[:-1] + b',"envelope":' + _encoder.encode(content) + b"}"


def message_frame_for(device: DeviceRef, message: Message) -> bytes:
    """Return the ``message`` frame as this device gets it: with its own envelope and no other."""
    frame = message_frame(message)
    for envelope in message.envelopes:
        if envelope.device_id == device.device_id and envelope.user_id == device.user_id:
            return with_envelope(frame, envelope.content)
    return frame


class Body(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    """The fields of a message that are stored as one JSON object and go to members unchanged."""

    content: msgspec.Raw
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    group_envelope: str | None = None
    roster_version: int | None = None
    device_list_hash: str | None = None
    media_keys: tuple[str, ...] = ()


def encode_body(send: frames.Send) -> bytes:
    """Return the stored body of a message to send."""
    if send.content_type == CONTENT_TEXT and send.reply_to is None and not send.mentions and not send.silent:
        return b'{"content":%b}' % bytes(send.content)  # as below, for what most messages are
    return _encoder.encode(
        Body(
            send.content,
            send.reply_to,
            send.mentions,
            send.silent,
            send.group_envelope,
            send.roster_version,
            send.device_list_hash,
            send.media_keys,
        )
    )


def encode_system_body(event: str, actor_id: str, **fields: Any) -> bytes:
    """Return the stored body of a ``system`` message (PROTOCOL.md §8)."""
    content = {"event": event, "actorId": actor_id, **fields}
    return _encoder.encode({"content": content})
