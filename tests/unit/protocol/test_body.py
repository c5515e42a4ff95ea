"""Bodies and controls: strict where they are known, told where they are not, and silent in every repr."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain import base64url
from cooee.domain.limits import Limits
from cooee.protocol import body
from cooee.protocol.body import BadBody, Unsupported, decode_body, decode_control, encode_body, encode_control

REFERENCE = "f" * 21 + "Q"
KEY = base64url.encode(bytes(range(32)))
FILE: dict[str, Any] = {
    "mediaKey": "m" * 22,
    "key": base64url.encode(bytes(range(64))),
    "digest": KEY,
    "size": 5,
    "mimeType": "image/png",
}
REF: dict[str, Any] = {
    "conversationId": "dm:alice:bob",
    "sequenceNumber": 7,
    "senderId": "alice",
    "senderDeviceId": "d1",
    "clientMessageId": "m1",
}
BODIES: list[dict[str, Any]] = [
    {"kind": "text", "text": "hi"},
    {"kind": "text", "replyTo": REFERENCE, "mentions": ["bob"], "expiresIn": 1000, "text": "hi"},
    {"kind": "media", "file": FILE},
    {"kind": "media", "file": FILE | {"filename": "a.png", "width": 4, "height": 3, "blurhash": "LEHV6nWB2yk8",
     "thumbnail": "AAAA"}, "contentType": "image", "caption": "c"},
    {"kind": "reaction", "target": REFERENCE, "emoji": "👍"},
    {"kind": "reaction", "target": REFERENCE, "emoji": ""},
    {"kind": "edit", "target": REFERENCE, "text": "hello"},
    {"kind": "delete", "target": REFERENCE},
    {"kind": "timer", "expiresIn": 0},
]  # fmt: skip
CONTROLS: list[dict[str, Any]] = [
    {"type": "session"},
    {"type": "sender_key", "conversationId": "group:g", "distribution": "AAAA"},
    {"type": "key_request", "items": [REF]},
    {"type": "key_reply", "items": [REF | {"key": KEY}]},
    {"type": "linked", "accountKey": KEY, "proof": KEY},
    {"type": "archive", "mediaKey": "m" * 22, "key": KEY, "digest": KEY, "size": 9},
    {"type": "own"},
    {"type": "own", "contacts": [{"userId": "bob", "accountKey": KEY, "verified": True}],
     "conversations": [{"conversationId": "group:g", "mode": "plain", "expiresIn": 0}]},
]  # fmt: skip


def as_json(value: object) -> bytes:
    return msgspec.json.encode(value)


@pytest.mark.parametrize("value", BODIES)
def test_a_body_comes_back_as_it_was_written(value: dict[str, Any]) -> None:
    read = decode_body(as_json(value))
    assert not isinstance(read, Unsupported)
    assert msgspec.json.decode(encode_body(read)) == value


@pytest.mark.parametrize("value", CONTROLS)
def test_a_control_comes_back_as_it_was_written(value: dict[str, Any]) -> None:
    read = decode_control(as_json(value))
    assert not isinstance(read, Unsupported)
    assert msgspec.json.decode(encode_control(read)) == value


def test_every_kind_and_type_is_tried() -> None:
    assert {value["kind"] for value in BODIES} == body._KINDS
    assert {value["type"] for value in CONTROLS} == body._TYPES


@pytest.mark.parametrize("value", BODIES)
def test_a_newer_writer_may_add_a_field(value: dict[str, Any]) -> None:
    assert decode_body(as_json(value | {"later": [1]})) == decode_body(as_json(value))


def test_what_is_not_known_is_told() -> None:
    assert decode_body(b'{"kind":"poll","question":"?"}') == Unsupported(kind="poll")
    assert decode_control(b'{"type":"later"}') == Unsupported(kind="later")


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"kind": 1},
        {"kind": "x" * 65},
        {"kind": "a\nb"},
        {"kind": "text"},
        {"kind": "text", "text": ""},
        {"kind": "text", "text": 1},
        {"kind": "text", "text": "x", "replyTo": "72"},
        {"kind": "text", "text": "x", "replyTo": REFERENCE + "\n"},
        {"kind": "text", "text": "x", "mentions": ["Bob"]},
        {"kind": "text", "text": "x", "mentions": ["bob"] * (body.MAX_MENTIONS + 1)},
        {"kind": "text", "text": "x", "expiresIn": 0},
        {"kind": "text", "text": "x", "expiresIn": body.MAX_EXPIRES_MS + 1},
        {"kind": "timer", "expiresIn": -1},
        {"kind": "reaction", "target": REFERENCE, "emoji": "x" * (body.MAX_EMOJI + 1)},
        {"kind": "reaction", "target": REFERENCE, "emoji": "a\nb"},
        {"kind": "media", "file": FILE | {"key": KEY}},
        {"kind": "media", "file": FILE | {"digest": KEY[:-1] + "9"}},
        {"kind": "media", "file": FILE | {"size": -1}},
        {"kind": "media", "file": FILE | {"filename": "../a"}},
        {"kind": "media", "file": FILE | {"mimeType": "png"}},
        {"kind": "media", "file": FILE | {"thumbnail": "A" * (body.MAX_THUMBNAIL + 1)}},
        {"kind": "media", "file": FILE, "contentType": "video"},
        {"kind": "text", "text": "x" * body.MAX_BODY_BYTES},
    ],
)
def test_a_wrong_body_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(BadBody) as refusal:
        decode_body(as_json(value))
    assert len(str(refusal.value)) < 60


@pytest.mark.parametrize(
    "value",
    [
        {"type": "key_request", "items": []},
        {"type": "key_request", "items": [REF] * (body.MAX_ITEMS + 1)},
        {"type": "key_request", "items": [REF | {"conversationId": "dm:bob:alice"}]},
        {"type": "key_request", "items": [REF | {"sequenceNumber": 0}]},
        {"type": "key_reply", "items": [REF]},
        {"type": "key_reply", "items": [REF | {"key": KEY + "="}]},
        {"type": "sender_key", "conversationId": "g", "distribution": "AAAA"},
        {"type": "sender_key", "conversationId": "group:g", "distribution": "A" * 1025},
        {"type": "own", "conversations": [{"conversationId": "group:g", "mode": "both"}]},
    ],
)
def test_a_wrong_control_is_refused(value: object) -> None:
    with pytest.raises(BadBody):
        decode_control(as_json(value))


def test_what_may_not_be_read_is_not_written() -> None:
    with pytest.raises(BadBody):
        encode_body(body.TextBody(text=""))
    with pytest.raises(BadBody):
        encode_body(body.TextBody(text="\ud800"))
    with pytest.raises(BadBody):
        encode_body(body.TextBody(text="x" * body.MAX_BODY_BYTES))
    with pytest.raises(BadBody):
        encode_control(body.LinkedControl(account_key="", proof=KEY))


@pytest.mark.parametrize("value", [*BODIES, *CONTROLS])
def test_no_repr_shows_what_is_inside(value: dict[str, Any]) -> None:
    read = decode_body(as_json(value)) if "kind" in value else decode_control(as_json(value))
    assert repr(read) == f"{type(read).__name__}(…)"
    assert read.__rich_repr__() == []


LONG = body.MessageKeyItem(
    conversation_id=f"group:{'g' * 64}",
    sequence_number=2**53 - 1,
    sender_id="a" * 32,
    sender_device_id="d" * 32,
    client_message_id="🦉" * 64,
    key=KEY,
)
SHORT = body.MessageKeyItem(
    conversation_id="group:g",
    sequence_number=1,
    sender_id="aa",
    sender_device_id="d",
    client_message_id="m",
    key=KEY,
)


@given(st.lists(st.sampled_from([LONG, SHORT]), max_size=150))
def test_items_are_split_into_controls_that_fit(items: list[body.MessageKeyItem]) -> None:
    batches = list(body.in_batches(items))
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert len(encode_control(body.KeyReplyControl(items=tuple(batch)))) <= body.MAX_CONTROL_BYTES


def test_a_control_has_at_most_so_many_items() -> None:
    assert [len(batch) for batch in body.in_batches([SHORT] * 120)] == [50, 50, 20]
    assert list(body.in_batches([])) == []
    long = list(body.in_batches([LONG] * 60))
    assert max(len(batch) for batch in long) < body.MAX_ITEMS
    assert [item for batch in long for item in batch] == [LONG] * 60
    for batch in long:
        encode_control(body.KeyReplyControl(items=tuple(batch)))


def test_the_longest_control_fits_into_a_message_between_devices() -> None:
    first_message = 2 + 1568 + 3 * 34 + 4 * 6 + 32 + 16 + 40
    assert (body.MAX_CONTROL_BYTES + first_message) * 4 / 3 <= Limits().to_device_bytes
