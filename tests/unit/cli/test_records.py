"""The objects of ``--json``: their fields are API."""

import json

import msgspec
import pytest

from cooee.cli import records
from cooee.client import (
    AccountUpdated,
    ConnectionState,
    DeviceLinked,
    DeviceUnlinked,
    EncryptionChanged,
    EncryptionProblem,
    Event,
    KeyChanged,
    LinkNeeded,
    Message,
    MessageDeleted,
    MessageUpdated,
    Pending,
    Presence,
    TickChanged,
    Typing,
)
from cooee.protocol import frames, http

MESSAGE = Message(
    "dm:alice:bob", 3, "30", "alice", "d1", "c1", 1_764_000_000_000, "text", "hi", reply_to="20", mentions=("bob",)
)


def test_a_message_has_these_fields() -> None:
    assert records.message(MESSAGE, "alice", "read") == {
        "type": "message",
        "conversationId": "dm:alice:bob",
        "sequenceNumber": 3,
        "messageId": "30",
        "senderId": "alice",
        "senderDeviceId": "d1",
        "clientMessageId": "c1",
        "timestamp": 1_764_000_000_000,
        "contentType": "text",
        "content": "hi",
        "text": "hi",
        "own": True,
        "replyTo": "20",
        "mentions": ["bob"],
        "silent": False,
        "encrypted": False,
        "problem": None,
        "edited": False,
        "reactions": {},
        "expiresAt": None,
        "status": "read",
    }
    assert "status" not in records.message(MESSAGE, "bob")
    assert records.message(MESSAGE, "bob")["own"] is False


def test_what_opens_a_file_is_nobody_elses() -> None:
    content = {"mediaKey": "k", "key": "secret-key", "digest": "secret-digest", "picture": "small", "caption": "a cat"}
    told = records.message(
        msgspec.structs.replace(MESSAGE, content_type="image", content=content, encrypted=True), "bob"
    )
    assert told["content"] == {"mediaKey": "k", "caption": "a cat"}
    assert "secret" not in str(told)


OF_ENCRYPTION: list[tuple[Event, dict[str, object]]] = [
    (MessageUpdated(MESSAGE), {"type": "message_updated", "sequenceNumber": 3}),
    (KeyChanged("bob", verified=True), {"type": "key_changed", "userId": "bob", "verified": True}),
    (
        EncryptionChanged("dm:alice:bob", "plain", "bob"),
        {"type": "encryption", "conversationId": "dm:alice:bob", "encrypted": False, "by": "bob"},
    ),
    (DeviceLinked("d2"), {"type": "device_linked", "deviceId": "d2"}),
    (DeviceUnlinked("d2"), {"type": "device_unlinked", "deviceId": "d2"}),
    (LinkNeeded(), {"type": "link_needed"}),
    (
        EncryptionProblem("list_refused", "no", "bob"),
        {"type": "encryption_problem", "code": "list_refused", "text": "no", "userId": "bob"},
    ),
]


@pytest.mark.parametrize(("event", "fields"), OF_ENCRYPTION, ids=lambda value: type(value).__name__)
def test_what_is_told_of_encryption(event: Event, fields: dict[str, object]) -> None:
    told = records.event(event, "alice")
    assert told is not None
    assert fields.items() <= told.items()


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (
            TickChanged("dm:alice:bob", "read", 3),
            {"type", "conversationId", "status", "sequenceNumber", "clientMessageId", "code", "reason"},
        ),
        (MessageDeleted("dm:alice:bob", 3, "alice"), {"type", "conversationId", "sequenceNumber", "by"}),
        (Typing("dm:alice:bob", "bob", "started"), {"type", "conversationId", "userId", "status", "kind"}),
        (Presence("bob", "online"), {"type", "userId", "status", "lastSeen"}),
        (ConnectionState("online", "websocket"), {"type", "state", "transport", "retryInMs", "reason"}),
    ],
)
def test_an_event_has_these_fields(event: Event, fields: set[str]) -> None:
    told = records.event(event, "alice")
    assert told is not None
    assert set(told) == fields
    json.dumps(told)


def test_what_only_an_application_needs_is_not_told() -> None:
    assert records.event(AccountUpdated("profile"), "alice") is None


def test_a_pending_message_has_these_fields() -> None:
    entry = Pending("c1", "dm:alice:bob", "d1", 5, "text", "hi", status="failed", code="blocked", reason="blocked")
    assert records.pending(entry) == {
        "type": "pending",
        "clientMessageId": "c1",
        "conversationId": "dm:alice:bob",
        "createdAt": 5,
        "contentType": "text",
        "filename": None,
        "text": "hi",
        "status": "failed",
        "code": "blocked",
        "reason": "blocked",
    }


def test_a_body_of_the_http_api_keeps_its_names_and_nested_json() -> None:
    last = msgspec.Raw(b'{"type":"message","sequenceNumber":3}')
    body = http.Conversation("group:g1", "group", "Team", 3, 1, 3, 3, 0, 5, last_message=last)
    told = records.record("conversation", body)
    assert told["type"] == "conversation"
    assert told["lastSequenceNumber"] == 3
    assert told["lastMessage"] == {"type": "message", "sequenceNumber": 3}
    json.dumps(told)


def listed(frame: frames.MessageFrame) -> http.Conversation:
    last = msgspec.Raw(msgspec.json.encode(frame))
    return http.Conversation("dm:alice:bob", "direct", "", 3, 1, 3, 3, 0, 5, last_message=last)


def test_the_last_message_of_a_conversation_is_told_opened_and_never_as_ciphertext() -> None:
    sealed = frames.MessageFrame(
        conversation_id="dm:alice:bob",
        sequence_number=3,
        message_id="30",
        sender_id="alice",
        sender_device_id="d1",
        client_message_id="c1",
        timestamp=1_764_000_000_000,
        content_type="encrypted",
        content=msgspec.Raw(b'"Y2lwaGVydGV4dA"'),
        envelope="ZW52ZWxvcGU",
    )
    opened = msgspec.structs.replace(MESSAGE, encrypted=True)
    told = records.conversation(listed(sealed), "bob", opened, timer=0)
    assert told["lastMessage"] == records.message(opened, "bob")
    assert (told["type"], told["timer"]) == ("conversation", 0)
    unread = records.conversation(listed(sealed), "bob")["lastMessage"]
    assert (unread["sequenceNumber"], unread["content"], unread["text"], unread["problem"]) == (3, None, "", "waiting")
    waiting = msgspec.structs.replace(MESSAGE, content_type="encrypted", content="Y2lwaGVydGV4dA", problem="refused")
    kept = records.conversation(listed(sealed), "bob", waiting)["lastMessage"]
    assert (kept["content"], kept["problem"]) == (None, "refused")
    for record in (told["lastMessage"], unread, kept):
        assert "Y2lwaGVydGV4dA" not in str(record)
        assert "ZW52ZWxvcGU" not in str(record)
    plain = msgspec.structs.replace(sealed, content_type="text", content=msgspec.Raw(b'"hello"'), envelope=None)
    shown = records.conversation(listed(plain), "bob", opened)["lastMessage"]
    assert (shown["text"], shown["encrypted"]) == ("hello", False)


def test_a_type_of_a_bodys_own_does_not_hide_what_it_is() -> None:
    told = records.record("device", http.Device("d1", "desk", "cli", 1, 2, logged_in=True, current=True))
    assert (told["type"], told["deviceType"]) == ("device", "cli")
