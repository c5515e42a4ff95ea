"""spec/vectors/wire.json: the frames that every implementation of the protocol agrees about."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.domain.errors import CooeeError
from cooee.domain.ids import check_conversation_id, direct_conversation_id
from cooee.domain.limits import Limits
from cooee.domain.message import EMPTY_BODY, Message
from cooee.protocol import frames
from cooee.protocol.codec import RejectedFrame, decode_client, decode_server, encode, message_frame
from cooee.services.send_checks import check_send

WIRE: dict[str, Any] = json.loads((Path(__file__).parents[3] / "spec/vectors/wire.json").read_text("utf-8"))
_BODY = ("content", "replyTo", "mentions", "silent")


def vectors(kind: str) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once for each vector of one kind."""
    found = WIRE[kind]["vectors"]
    return pytest.mark.parametrize("vector", found, ids=[each["name"] for each in found])


def payload(vector: dict[str, Any]) -> bytes:
    """Return the bytes of a vector's frame."""
    if "base64url" in vector:
        return base64.urlsafe_b64decode(vector["base64url"] + "==")
    if "build" in vector:
        return "".join(text * count for text, count in vector["build"]).encode()
    return str(vector["frame"]).encode()


@vectors("clientFrames")
def test_client_frames_are_read_and_mean_what_is_told(vector: dict[str, Any]) -> None:
    frame = decode_client(payload(vector))
    means = json.loads(vector.get("means", vector["frame"]))
    assert json.loads(encode(frame)) == means
    assert decode_client(encode(frame)) == frame


@vectors("rejectedFrames")
def test_rejected_frames_are_answered_as_told(vector: dict[str, Any]) -> None:
    with pytest.raises(RejectedFrame) as rejected:
        decode_client(payload(vector))
    error = rejected.value.error
    assert error.code == vector["code"]
    assert (error.ref, error.client_message_id) == (vector.get("ref"), vector.get("clientMessageId"))
    assert not error.retryable


@vectors("sends")
def test_sends_are_judged_as_told(vector: dict[str, Any]) -> None:
    frame = decode_client(payload(vector))
    assert isinstance(frame, frames.Send)
    if "code" not in vector:
        check_send(frame, Limits())
        return
    with pytest.raises(CooeeError) as refusal:
        check_send(frame, Limits())
    assert refusal.value.code == vector["code"]


@vectors("messageFrames")
def test_messages_go_out_byte_for_byte(vector: dict[str, Any]) -> None:
    told = vector["message"]
    body = {name: told[name] for name in _BODY if name in told}
    message = Message(
        told["conversationId"],
        told["sequenceNumber"],
        int(told["messageId"]),
        told["senderId"],
        told["senderDeviceId"],
        told["clientMessageId"],
        told["timestamp"],
        told["contentType"],
        msgspec.json.encode(body) if body else EMPTY_BODY,
    )
    assert message_frame(message) == payload(vector)
    read = decode_server(payload(vector))
    assert isinstance(read, frames.MessageFrame)
    assert json.loads(encode(read)) == {"type": "message", **told}


@vectors("serverFrames")
def test_server_frames_are_read_and_written_again(vector: dict[str, Any]) -> None:
    frame = decode_server(payload(vector))
    assert frame is not None
    assert json.loads(encode(frame)) == json.loads(vector["frame"])


@vectors("ignoredServerFrames")
def test_frames_of_a_newer_server_are_passed_over(vector: dict[str, Any]) -> None:
    assert decode_server(payload(vector)) is None


@pytest.mark.parametrize("conversation_id", WIRE["conversationIds"]["valid"])
def test_valid_conversation_ids_pass(conversation_id: str) -> None:
    check_conversation_id(conversation_id)


@pytest.mark.parametrize("conversation_id", WIRE["conversationIds"]["invalid"])
def test_invalid_conversation_ids_are_bad_frames(conversation_id: str) -> None:
    with pytest.raises(CooeeError) as refusal:
        check_conversation_id(conversation_id)
    assert refusal.value.code == "bad_frame"


@pytest.mark.parametrize("derived", WIRE["conversationIds"]["derived"], ids=lambda derived: derived["conversationId"])
def test_both_sides_derive_the_same_direct_chat(derived: dict[str, Any]) -> None:
    one, other = derived["users"]
    assert direct_conversation_id(one, other) == direct_conversation_id(other, one) == derived["conversationId"]
