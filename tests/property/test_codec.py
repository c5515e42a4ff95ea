"""The wire codec: whatever comes in is a frame or a refusal that names it, and what goes out comes back the same."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cooee.domain.errors import CooeeError, ErrorCode, rate_limited
from cooee.domain.ids import DeviceRef
from cooee.domain.message import EMPTY_BODY, Envelope, Message
from cooee.protocol import codec, frames

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TYPES = sorted(codec._CLIENT_TYPES)
texts = st.text(max_size=60)


def refusal(payload: bytes) -> frames.Error | None:
    try:
        codec.decode_client(payload)
    except codec.RejectedFrame as rejected:
        return rejected.error
    return None


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"type":' * 20_000)
@example(b'{"type":"send","content":' + b"[" * 50_000)
@example(b'"\xed\xa0\x80"')
@example(b"\xff\xfe{}")
@example(b'{"type":"\\ud800"}')
def test_any_bytes_are_a_frame_or_a_documented_refusal(payload: bytes) -> None:
    error = refusal(payload)
    assert error is None or error.code in (ErrorCode.BAD_FRAME, ErrorCode.UNKNOWN_TYPE)


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(["ref", "conversationId", "sequenceNumber", "content",
    "clientMessageId", "contentType", "messages", "userIds", "limit", "token", "x"]), json_values))  # fmt: skip
def test_wrong_types_are_refused_and_the_refusal_repeats_the_ref(kind: str, fields: dict[str, object]) -> None:
    try:
        payload = msgspec.json.encode({"type": kind, **fields})
    except (msgspec.MsgspecError, OverflowError):
        return  # no JSON writer makes such a number
    error = refusal(payload)
    ref = fields.get("ref")
    if error is not None and isinstance(ref, str):
        assert error.ref == ref
        assert error.code == ErrorCode.BAD_FRAME


@given(st.text(max_size=30).filter(lambda kind: kind not in TYPES))
def test_an_unknown_type_is_told_from_a_bad_frame(kind: str) -> None:
    error = refusal(msgspec.json.encode({"type": kind, "ref": "r"}))
    assert error is not None
    assert (error.code, error.ref, error.retryable) == (ErrorCode.UNKNOWN_TYPE, "r", False)


@given(
    number=st.integers(1, 2**53 - 1),
    message_id=st.integers(1, 2**63 - 1),
    name=texts.filter(bool),
    text=texts,
    reply=st.none() | st.integers(1, 2**63).map(str),
    silent=st.booleans(),
)
def test_a_message_goes_out_and_comes_back_the_same(
    number: int, message_id: int, name: str, text: str, reply: str | None, silent: bool
) -> None:
    send = frames.Send(
        name, "text", msgspec.Raw(msgspec.json.encode(text)), "dm:ann:bob", reply_to=reply, silent=silent
    )
    body = codec.encode_body(send)
    message = Message("dm:ann:bob", number, message_id, "ann", "d1", name, 5, "text", body, silent)
    frame = codec.decode_server(codec.message_frame(message))
    assert isinstance(frame, frames.MessageFrame)
    assert isinstance(frame.content, msgspec.Raw)
    assert msgspec.json.decode(frame.content) == text
    assert (frame.sequence_number, frame.message_id, frame.client_message_id) == (number, str(message_id), name)
    assert (frame.reply_to, frame.silent, frame.envelope) == (reply, silent, None)


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["d1", "d2"]), texts), max_size=4))
def test_a_device_gets_its_own_envelope_and_no_other(parts: list[tuple[str, str, str]]) -> None:
    unique = {(user, device): content for user, device, content in parts}
    envelopes = tuple(Envelope(user, device, content) for (user, device), content in unique.items())
    message = Message("dm:ann:bob", 1, 7, "ann", "d1", "m", 5, "encrypted", b'{"content":"x"}', envelopes=envelopes)
    frame = codec.decode_server(codec.message_frame_for(DeviceRef("bob", "d1"), message))
    assert isinstance(frame, frames.MessageFrame)
    assert frame.envelope == unique.get(("bob", "d1"))


def test_a_deleted_message_has_no_content() -> None:
    message = Message("dm:ann:bob", 1, 7, "ann", "d1", "m", 5, "deleted", EMPTY_BODY)
    frame = codec.decode_server(codec.message_frame(message))
    assert isinstance(frame, frames.MessageFrame)
    assert frame.content is msgspec.UNSET


def test_a_client_ignores_frames_of_a_newer_server_and_refuses_broken_ones() -> None:
    assert codec.decode_server(b'{"type":"hologram","x":1}') is None
    with pytest.raises(msgspec.DecodeError):
        codec.decode_server(b'{"type":"ack"}')


@given(st.sampled_from(list(ErrorCode)))
def test_every_error_says_whether_to_retry(code: ErrorCode) -> None:
    frame = codec.error_frame(CooeeError(code, "no"), "r", "m")
    raw = msgspec.json.decode(codec.encode(frame))
    assert raw["retryable"] is (code in {ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE})
    assert (raw["code"], raw["ref"], raw["clientMessageId"]) == (code.value, "r", "m")


def test_a_spent_budget_says_how_long_to_wait() -> None:
    assert msgspec.json.decode(codec.encode(codec.error_frame(rate_limited(250))))["retryAfterMs"] == 250
