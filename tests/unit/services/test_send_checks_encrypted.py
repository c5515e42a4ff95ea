"""The shape of encrypted messages: what is refused before anybody asks whom they are for."""

from typing import Any

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.limits import Limits
from cooee.protocol.frames import Send, WireEnvelope
from cooee.services.send_checks import MAX_ENVELOPE, MAX_MEDIA_KEYS, check_send

LIMITS = Limits(content_bytes=1_000, devices_per_user=3)
HASH = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
GROUP: dict[str, Any] = {"group_envelope": "AQID", "roster_version": 1, "device_list_hash": HASH}
KEY = "k" * 22


def direct(content: str = '"AQID"', **fields: Any) -> Send:
    """Return an encrypted message to a direct chat."""
    return Send("m1", "encrypted", msgspec.Raw(content.encode()), **({"to": "bob"} | fields))


def group(**fields: Any) -> Send:
    """Return an encrypted message to a group."""
    return direct(**({"to": None, "conversation_id": "group:tea"} | GROUP | fields))


def envelopes(*devices: str, content: str = "AQID") -> tuple[WireEnvelope, ...]:
    """Return an envelope for each device of bob's."""
    return tuple(WireEnvelope("bob", device, content) for device in devices)


def refused(frame: Send) -> ErrorCode:
    """Return why a frame is refused."""
    with pytest.raises(CooeeError) as caught:
        check_send(frame, LIMITS)
    return caught.value.code


@pytest.mark.parametrize(
    "frame",
    [
        direct(),
        direct(envelopes=envelopes("d1", "d2")),
        direct(to=None, conversation_id="dm:alice:bob", silent=True, media_keys=(KEY,)),
        direct(f'"{"A" * 1_000}"', envelopes=envelopes("d1", content="A" * MAX_ENVELOPE)),
        direct(notification_preview="hi"),
        group(),
        group(silent=True, media_keys=(KEY, "l" * 22), group_envelope="A" * MAX_ENVELOPE),
    ],
)
def test_what_is_well_formed_is_taken(frame: Send) -> None:
    check_send(frame, LIMITS)


@pytest.mark.parametrize(
    "content", ["1", "{}", "null", "[]", '""', '"A"', '"AQIDA"', '"AQ=="', '"AQ+D"', '"AQ D"', '"\\u0041QID"', '"ÄQID"']
)
def test_content_is_base64url_and_nothing_else(content: str) -> None:
    assert refused(direct(content)) is ErrorCode.BAD_FRAME


@pytest.mark.parametrize(
    "fields",
    [
        {"reply_to": "1"},
        {"mentions": ("bob",)},
        {"to": None},
        {"conversation_id": "dm:alice:bob"},
        {"media_keys": ("../x",)},
        {"media_keys": (KEY, KEY)},
        {"media_keys": tuple(f"{number:022}" for number in range(MAX_MEDIA_KEYS + 1))},
        {"envelopes": envelopes("d1", "d1")},
        {"envelopes": envelopes("a/b")},
        {"envelopes": envelopes("")},
        {"envelopes": (WireEnvelope("Bob", "d1", "AQID"),)},
        {"envelopes": envelopes("d1", content="")},
        {"envelopes": envelopes("d1", content="A=")},
        {"envelopes": envelopes(*(f"d{number}" for number in range(7)))},
        *({name: value} for name, value in GROUP.items()),
    ],
)
def test_what_does_not_go_with_a_direct_chat_is_refused(fields: dict[str, Any]) -> None:
    assert refused(direct(**fields)) is ErrorCode.BAD_FRAME


@pytest.mark.parametrize(
    "fields",
    [
        {"envelopes": envelopes("d1")},
        *({name: None} for name in GROUP),
        {"group_envelope": ""},
        {"group_envelope": "A+"},
        {"device_list_hash": HASH[:-1]},
        {"device_list_hash": HASH + "A"},
        {"device_list_hash": "=" * 43},
        {"mentions": ("bob",)},
    ],
)
def test_what_does_not_go_with_a_group_is_refused(fields: dict[str, Any]) -> None:
    assert refused(group(**fields)) is ErrorCode.BAD_FRAME


@pytest.mark.parametrize(
    "frame",
    [
        direct(f'"{"A" * 1_002}"'),
        direct(envelopes=envelopes("d1", content="A" * (MAX_ENVELOPE + 2))),
        direct(notification_preview="x" * 257),
        group(group_envelope="A" * (MAX_ENVELOPE + 2)),
    ],
)
def test_what_is_too_large_is_told_so(frame: Send) -> None:
    assert refused(frame) is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("fields", [{"envelopes": envelopes("d1")}, {"media_keys": (KEY,)}, GROUP])
def test_plain_messages_carry_nothing_of_it(fields: dict[str, Any]) -> None:
    frame = Send("m1", "text", msgspec.Raw(b'"hi"'), to="bob", **fields)
    assert refused(frame) is ErrorCode.BAD_FRAME
