"""The frames of a load: written by hand, because a generator must cost less than what it measures."""

import time

import msgspec


class Seen(msgspec.Struct, rename="camel"):
    """What a load client reads of a server frame, or of a message on a page."""

    type: str = ""
    client_message_id: str = ""
    conversation_id: str = ""
    sequence_number: int = 0
    status: str = ""
    code: str = ""
    last_sequence_number: int = 0
    messages: tuple["Seen", ...] = ()


read = msgspec.json.Decoder(Seen).decode
"""Read a server frame."""


def message_name(number: int) -> str:
    """Return a clientMessageId in time's order, as UUIDv7 is; ``number`` tells apart those of a millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}-{number:08x}"


def send(conversation_id: str, name: str) -> bytes:
    """Return a ``send`` frame of usual length."""
    return (
        f'{{"type":"send","clientMessageId":"{name}","conversationId":"{conversation_id}",'
        f'"contentType":"text","content":"a message of usual length, about this long {name}"}}'
    ).encode()


def received(conversation_id: str, number: int) -> bytes:
    """Return a ``received`` frame."""
    return f'{{"type":"received","conversationId":"{conversation_id}","sequenceNumber":{number}}}'.encode()


def fetch(conversation_id: str, after: int) -> bytes:
    """Return a ``fetch`` frame for what comes after a number."""
    return f'{{"type":"fetch","conversationId":"{conversation_id}","after":{after},"limit":200}}'.encode()


def fetch_before(conversation_id: str, before: int, limit: int) -> bytes:
    """Return a ``fetch`` frame for the page below a number."""
    return f'{{"type":"fetch","conversationId":"{conversation_id}","before":{before},"limit":{limit}}}'.encode()
