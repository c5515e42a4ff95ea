"""What a `send` frame must look like."""

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.limits import Limits
from cooee.protocol.codec import decode_client
from cooee.protocol.frames import Send
from cooee.services.send_checks import check_send

LIMITS = Limits()


def send(**fields: object) -> Send:
    frame = {"type": "send", "clientMessageId": "c1", "contentType": "text", "content": "hi", "to": "bob"} | fields
    present = {name: value for name, value in frame.items() if value is not None}
    decoded = decode_client(msgspec.json.encode(present))
    assert isinstance(decoded, Send)
    return decoded


def refusal(**fields: object) -> CooeeError:
    with pytest.raises(CooeeError) as caught:
        check_send(send(**fields), LIMITS)
    return caught.value


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"to": None, "conversationId": "dm:alice:bob"},
        {"clientMessageId": "x" * 64},
        {"clientMessageId": "žluť ✓"},
        {"content": "é" * (LIMITS.content_bytes // 2)},
        {"content": '\U0001f600\n\t"\\'},
        {"replyTo": "7265", "mentions": ["alice", "b.c-d_1"], "silent": True},
        {"notificationPreview": "é" * 128},
    ],
)
def test_good_frames_pass(fields: dict[str, object]) -> None:
    check_send(send(**fields), LIMITS)


@pytest.mark.parametrize(
    "fields",
    [
        {"to": None},
        {"conversationId": "dm:alice:bob"},
        {"clientMessageId": ""},
        {"clientMessageId": "x" * 65},
        {"clientMessageId": "a\nb"},
        {"clientMessageId": "a\x85b"},
        {"content": ""},
        {"content": 5},
        {"content": {"text": "hi"}},
        {"content": ["hi"]},
        {"replyTo": ""},
        {"replyTo": "-1"},
        {"replyTo": "12x"},
        {"replyTo": "\u0661\u0662"},
        {"replyTo": "1" * 21},
        {"mentions": ["Bob"]},
        {"mentions": ["a:b"]},
        {"mentions": ["bob"] * 101},
        {"mediaKeys": ["k"]},
        {"groupEnvelope": ""},
        {"envelopes": [{"userId": "bob", "deviceId": "d1", "content": "x"}]},
        {"rosterVersion": 0},
        {"deviceListHash": "x"},
    ],
)
def test_bad_frames_are_refused(fields: dict[str, object]) -> None:
    assert refusal(**fields).code is ErrorCode.BAD_FRAME


@pytest.mark.parametrize("content_type", ["sticker", "system", "deleted", "", "TEXT"])
def test_an_unsupported_content_type_is_told_what_is_supported(content_type: str) -> None:
    error = refusal(contentType=content_type)
    assert error.code is ErrorCode.BAD_FRAME
    assert "text" in error.message


def test_missing_content_is_refused() -> None:
    frame = msgspec.structs.replace(send(), content=msgspec.Raw(b"null"))
    with pytest.raises(CooeeError):
        check_send(frame, LIMITS)


def test_content_is_measured_in_utf8_and_unescaped() -> None:
    assert refusal(content="é" * (LIMITS.content_bytes // 2 + 1)).code is ErrorCode.TOO_LARGE
    escaped = b'"' + b"\\u0041" * LIMITS.content_bytes + b'"'
    check_send(msgspec.structs.replace(send(), content=msgspec.Raw(escaped)), LIMITS)
    longer = b'"' + b"\\u0041" * (LIMITS.content_bytes + 1) + b'"'
    with pytest.raises(CooeeError) as caught:
        check_send(msgspec.structs.replace(send(), content=msgspec.Raw(longer)), LIMITS)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_invalid_utf8_is_refused() -> None:
    frame = msgspec.structs.replace(send(), content=msgspec.Raw(b'"\xff\xfe"'))
    with pytest.raises(CooeeError) as caught:
        check_send(frame, LIMITS)
    assert caught.value.code is ErrorCode.BAD_FRAME


def test_a_long_preview_is_refused() -> None:
    assert refusal(notificationPreview="é" * 129).code is ErrorCode.TOO_LARGE


# --- media ------------------------------------------------------------------------------------------------------------

PHOTO = {"mediaKey": "k" * 22, "mimeType": "image/png", "size": 10}


def media(content_type: str = "image", **changes: object) -> CooeeError | None:
    """Return why a message with a file is refused, or None."""
    content = {name: value for name, value in {**PHOTO, **changes}.items() if value is not None}
    try:
        check_send(send(contentType=content_type, content=content), LIMITS)
    except CooeeError as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("content_type", "changes"),
    [
        ("image", {"caption": "hé", "filename": "ä b.png", "width": 1, "height": 1_000_000}),
        ("image", {"blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj"}),
        ("video", {"mimeType": "video/mp4", "durationMs": 0}),
        ("audio", {"mimeType": "audio/ogg", "waveform": "A" * 171}),
        ("document", {"mimeType": "text/html"}),
        ("document", {}),
    ],
)
def test_good_media_pass(content_type: str, changes: dict[str, object]) -> None:
    assert media(content_type, **changes) is None


@pytest.mark.parametrize(
    ("content_type", "changes"),
    [
        ("image", {"mimeType": "image/svg+xml"}),
        ("image", {"mimeType": "text/html"}),
        ("image", {"mimeType": "video/mp4"}),
        ("video", {"mimeType": "image/png"}),
        ("audio", {"mimeType": "video/mp4"}),
        ("document", {"mimeType": "text/html; charset=utf-8"}),
        ("document", {"mimeType": "nonsense"}),
        ("image", {"mediaKey": "../../etc/passwd"}),
        ("image", {"mediaKey": "k" * 21}),
        ("image", {"mediaKey": "k" * 22 + ".thumb"}),
        ("image", {"mediaKey": None}),
        ("image", {"size": 0}),
        ("image", {"size": 2**53}),
        ("image", {"size": "10"}),
        ("image", {"width": 0}),
        ("image", {"height": -1}),
        ("image", {"durationMs": -1}),
        ("image", {"filename": "a/b.png"}),
        ("image", {"filename": "..\\b.png"}),
        ("image", {"filename": "x" * 256}),
        ("image", {"filename": "a\nb"}),
        ("image", {"filename": ""}),
        ("image", {"blurhash": "<script>"}),
        ("image", {"blurhash": "x" * 129}),
        ("image", {"waveform": "A" * 172}),
        ("image", {"waveform": "=="}),
        ("image", {"url": "https://evil.example"}),
    ],
)
def test_bad_media_are_refused(content_type: str, changes: dict[str, object]) -> None:
    refused = media(content_type, **changes)
    assert refused is not None
    assert refused.code is ErrorCode.BAD_FRAME


def test_a_caption_beyond_the_limit_is_too_large() -> None:
    refused = media(caption="ж" * LIMITS.content_bytes)
    assert refused is not None
    assert refused.code is ErrorCode.TOO_LARGE


def test_a_text_is_no_media_and_media_no_text() -> None:
    for content_type, content in (("text", PHOTO), ("image", "hello"), ("image", ["x"])):
        with pytest.raises(CooeeError) as caught:
            check_send(send(contentType=content_type, content=content), LIMITS)
        assert caught.value.code is ErrorCode.BAD_FRAME
