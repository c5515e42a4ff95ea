"""What end-to-end encrypted messages say (docs/e2ee.md): bodies of messages, and controls between devices.

Plaintext JSON, read strictly: a known kind with a wrong field is refused, unknown fields are ignored (their writer is
newer), and an unknown kind is told as such, so that a client can show that there is something. Writing checks as
strictly as reading. No record here shows its content in its ``repr``, and no error quotes it.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from cooee.domain.errors import CooeeError
from cooee.domain.ids import CLIENT_MESSAGE_ID, DEVICE_ID, USER_ID, check_conversation_id
from cooee.domain.media import goes_with, is_filename, is_mime_type
from cooee.protocol.frames import Number
from cooee.protocol.media import Blurhash, Side, Waveform

MAX_BODY_BYTES = 36_000
"""Most bytes of a body's JSON: sealed, and in base64url, it fits into the 48 KiB of a message's content."""
MAX_CONTROL_BYTES = 10_240
"""Most bytes of a control's JSON: it fits into 16 KiB of ``to_device`` even as the first message of a session."""
MAX_ITEMS = 50
"""Most items of one control."""
MAX_MENTIONS = 100
MAX_EXPIRES_MS = 366 * 24 * 60 * 60 * 1000
"""Longest time after which a message may disappear: 366 days."""
MAX_EMOJI = 32
"""Most characters of a reaction: some emoji are sequences of ten and more."""
MAX_THUMBNAIL = 10_923
"""Most characters of a thumbnail: 8 KiB of JPEG in base64url."""


def _text(pattern: str, what: str, least: int = 0, most: int | None = None) -> Any:
    return msgspec.Meta(pattern=f"^(?:{pattern})\\Z", description=what, min_length=least, max_length=most)


UserId = Annotated[str, _text(USER_ID.pattern, "A userId.")]
DeviceId = Annotated[str, _text(DEVICE_ID.pattern, "A deviceId.")]
ClientMessageId = Annotated[str, _text(CLIENT_MESSAGE_ID.pattern, "A clientMessageId.")]
ConversationId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="A conversationId.")]
Reference = Annotated[str, _text("[A-Za-z0-9_-]{21}[AQgw]", "A message of the same conversation: domain.reference.")]
Bytes32 = Annotated[str, _text("[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", "32 bytes in base64url.")]
Bytes64 = Annotated[str, _text("[A-Za-z0-9_-]{85}[AQgw]", "64 bytes in base64url.")]
MediaKey = Annotated[str, _text("[A-Za-z0-9_-]{22,64}", "A mediaKey.")]
Distribution = Annotated[str, _text("[A-Za-z0-9_-]+", "A sender key's distribution in base64url.", 1, 1024)]
Thumbnail = Annotated[str, _text("[A-Za-z0-9_-]+", "A small JPEG in base64url.", 1, MAX_THUMBNAIL)]
Emoji = Annotated[str, _text("[^\\x00-\\x1f\\x7f-\\x9f]*", "One emoji; empty takes it back.", 0, MAX_EMOJI)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Lasting = Annotated[int, msgspec.Meta(ge=1, le=MAX_EXPIRES_MS, description="ms after reading.")]
Timer = Annotated[int, msgspec.Meta(ge=0, le=MAX_EXPIRES_MS, description="ms; 0: off.")]
ShownAs = Literal["image", "video", "audio", "document"]


class BadBody(ValueError):
    """Not a body or control that may be read or written. The message says what it is, and quotes nothing of it."""


class _Quiet(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """Base of all records: nothing of what they hold is shown by ``repr``, thus by no log or traceback."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


# Bodies of messages -------------------------------------------------------------------------------------------------


class _Body(_Quiet, tag_field="kind", frozen=True, kw_only=True):
    """What every body may have: the message it answers, who is mentioned, and how long it lasts once read."""

    reply_to: Reference | None = None
    mentions: Annotated[tuple[UserId, ...], msgspec.Meta(max_length=MAX_MENTIONS)] = ()
    expires_in: Lasting | None = None


class TextBody(_Body, tag="text", frozen=True, kw_only=True):
    """Text."""

    text: Text


class EncryptedFile(_Quiet, frozen=True, kw_only=True):
    """A file that lies encrypted in the media store (docs/e2ee.md, "Files").

    ``key``: 64 bytes that open it; ``digest``: SHA-256 of the encrypted file; ``size``: bytes of the plain file.
    The rest is what the sender says of it, and as true as he is.
    """

    media_key: MediaKey
    key: Bytes64
    digest: Bytes32
    size: Number
    mime_type: str
    filename: str | None = None
    width: Side | None = None
    height: Side | None = None
    duration_ms: Number | None = None
    waveform: Waveform | None = None
    blurhash: Blurhash | None = None
    thumbnail: Thumbnail | None = None

    def __post_init__(self) -> None:
        """Refuse a type that is none, and a file name with a path in it."""
        if not is_mime_type(self.mime_type):
            raise ValueError("mimeType is malformed")
        if self.filename is not None and not is_filename(self.filename):
            raise ValueError("filename is malformed")


class MediaBody(_Body, tag="media", frozen=True, kw_only=True):
    """A file. ``content_type`` says how it is meant, as for plain messages: the type of the file must go with it."""

    file: EncryptedFile
    content_type: ShownAs = "document"
    caption: str | None = None

    def __post_init__(self) -> None:
        """Refuse a picture that is no picture."""
        if not goes_with(self.content_type, self.file.mime_type):
            raise ValueError("mimeType does not go with contentType")


class ReactionBody(_Body, tag="reaction", frozen=True, kw_only=True):
    """A reaction of its sender to ``target``; the newest counts, an empty ``emoji`` takes it back."""

    target: Reference
    emoji: Emoji


class EditBody(_Body, tag="edit", frozen=True, kw_only=True):
    """New text of ``target``. Counts only when it comes from the user who sent the target."""

    target: Reference
    text: Text


class DeleteBody(_Body, tag="delete", frozen=True, kw_only=True):
    """Take ``target`` back. Counts only when it comes from the user who sent the target."""

    target: Reference


class TimerBody(_Quiet, tag_field="kind", tag="timer", frozen=True, kw_only=True):
    """From here on messages of this conversation disappear ``expires_in`` ms after reading; 0: no more."""

    expires_in: Timer


Body = TextBody | MediaBody | ReactionBody | EditBody | DeleteBody | TimerBody


# Controls between devices -------------------------------------------------------------------------------------------


class _Control(_Quiet, tag_field="type", frozen=True, kw_only=True):
    """Base of controls."""


class SessionControl(_Control, tag="session", frozen=True, kw_only=True):
    """Nothing but a new session: what the other side can answer over."""


class SenderKeyControl(_Control, tag="sender_key", frozen=True, kw_only=True):
    """The sending device's sender key of a group, from its present place on."""

    conversation_id: ConversationId
    distribution: Distribution

    def __post_init__(self) -> None:
        """Refuse what is no conversation."""
        _check_conversation(self.conversation_id)


class MessageRef(_Quiet, frozen=True, kw_only=True):
    """Which message is meant: its place, and what its key belongs to."""

    conversation_id: ConversationId
    sequence_number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    sender_id: UserId
    sender_device_id: DeviceId
    client_message_id: ClientMessageId

    def __post_init__(self) -> None:
        """Refuse what is no conversation."""
        _check_conversation(self.conversation_id)


class MessageKeyItem(MessageRef, frozen=True, kw_only=True):
    """A message and the key K that opens it."""

    key: Bytes32


class KeyRequestControl(_Control, tag="key_request", frozen=True, kw_only=True):
    """Ask for the keys of messages that this device could not open."""

    items: Annotated[tuple[MessageRef, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class KeyReplyControl(_Control, tag="key_reply", frozen=True, kw_only=True):
    """Keys that were asked for; what is not known, or not due to who asked, is left out."""

    items: Annotated[tuple[MessageKeyItem, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class LinkedControl(_Control, tag="linked", frozen=True, kw_only=True):
    """To a new device: it is in the list now. ``account_key`` is the private key's seed, ``proof`` see crypto.link."""

    account_key: Bytes32
    proof: Bytes32


class ArchiveControl(_Control, tag="archive", frozen=True, kw_only=True):
    """To a new device: history, as an archive in the media store. ``size``: bytes of the whole archive."""

    media_key: MediaKey
    key: Bytes32
    digest: Bytes32
    size: Number


class OwnContact(_Quiet, frozen=True, kw_only=True):
    """What another own device knows of somebody's account key."""

    user_id: UserId
    account_key: Bytes32
    verified: bool = False


class OwnConversation(_Quiet, frozen=True, kw_only=True):
    """What another own device knows of a conversation; what is None is not said."""

    conversation_id: ConversationId
    mode: Literal["plain", "encrypted"] | None = None
    expires_in: Timer | None = None

    def __post_init__(self) -> None:
        """Refuse what is no conversation."""
        _check_conversation(self.conversation_id)


class OwnControl(_Control, tag="own", frozen=True, kw_only=True):
    """Between own devices only: trust in contacts, modes and timers of conversations."""

    contacts: Annotated[tuple[OwnContact, ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()
    conversations: Annotated[tuple[OwnConversation, ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()


Control = (
    SessionControl
    | SenderKeyControl
    | KeyRequestControl
    | KeyReplyControl
    | LinkedControl
    | ArchiveControl
    | OwnControl
)


class Unsupported(_Quiet, frozen=True, kw_only=True):
    """A body of a kind, or a control of a type, that this version does not know."""

    kind: str


class _Head(msgspec.Struct):
    """What names the kind."""

    kind: str | None = None
    type: str | None = None


_encode = msgspec.json.Encoder().encode
_body_decoder: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)
_control_decoder: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)
_head_decoder = msgspec.json.Decoder(_Head)
_MAX_KIND = 64
_BATCH_BYTES = MAX_CONTROL_BYTES - 128
_Item = TypeVar("_Item", bound=_Quiet)
_KINDS = frozenset(str(one.__struct_config__.tag) for one in Body.__args__)
_TYPES = frozenset(str(one.__struct_config__.tag) for one in Control.__args__)
_INVALID = (msgspec.DecodeError, RecursionError, UnicodeError)


def encode_body(body: Body) -> bytes:
    """Return the JSON of ``body``.

    Raises:
        BadBody: a field is not what it may be, or all of it has more than ``MAX_BODY_BYTES``.
    """
    return _write(body, _body_decoder, MAX_BODY_BYTES)


def decode_body(payload: bytes) -> Body | Unsupported:
    """Read a body. One of a kind that is not known here comes as ``Unsupported``.

    Raises:
        BadBody: it is none.
    """
    read: Body | Unsupported = _read(payload, _body_decoder, MAX_BODY_BYTES, _KINDS)
    return read


def encode_control(control: Control) -> bytes:
    """Return the JSON of ``control``.

    Raises:
        BadBody: a field is not what it may be, or all of it has more than ``MAX_CONTROL_BYTES``.
    """
    return _write(control, _control_decoder, MAX_CONTROL_BYTES)


def decode_control(payload: bytes) -> Control | Unsupported:
    """Read a control. One of a type that is not known here comes as ``Unsupported``.

    Raises:
        BadBody: it is none.
    """
    read: Control | Unsupported = _read(payload, _control_decoder, MAX_CONTROL_BYTES, _TYPES)
    return read


def in_batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Split ``items`` in order so that each batch fits into one control, by number and by bytes.

    The items are of one control: ``MessageRef``, ``MessageKeyItem``, ``OwnContact`` or ``OwnConversation``.
    """
    start, size = 0, 0
    for at, item in enumerate(items):
        bytes_ = len(_encode(item)) + 1
        if at > start and (at - start == MAX_ITEMS or size + bytes_ > _BATCH_BYTES):
            yield items[start:at]
            start, size = at, 0
        size += bytes_
    if items:
        yield items[start:]


def _write(record: msgspec.Struct, decoder: "msgspec.json.Decoder[Any]", most: int) -> bytes:
    try:
        payload = _encode(record)
        decoder.decode(payload)
    except _INVALID:
        raise BadBody("a field is not what it may be") from None
    if len(payload) > most:
        raise BadBody(f"more than {most} bytes")
    return payload


def _read(payload: bytes, decoder: "msgspec.json.Decoder[Any]", most: int, known: frozenset[str]) -> Any:
    if len(payload) > most:
        raise BadBody(f"more than {most} bytes")
    try:
        return decoder.decode(payload)
    except _INVALID:
        pass
    try:
        head = _head_decoder.decode(payload)
    except _INVALID:
        raise BadBody("not one JSON object that names its kind") from None
    name = head.kind if known is _KINDS else head.type
    if name is None or name in known or len(name) > _MAX_KIND or not name.isprintable():
        raise BadBody("a field is missing, or not what it may be")
    return Unsupported(kind=name)


def _check_conversation(conversation_id: str) -> None:
    try:
        check_conversation_id(conversation_id)
    except CooeeError:
        raise ValueError("conversationId is malformed") from None
