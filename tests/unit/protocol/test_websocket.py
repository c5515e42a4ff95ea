"""The WebSocket codec: what RFC 6455 demands, byte for byte, in both roles."""

import os

import pytest

from cooee.protocol import websocket
from cooee.protocol.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Event, FrameParser

KEY = b"\x37\xfa\x21\x3d"
LIMIT = 70_000


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0) -> bytes:
    """A client's frame, with any first byte."""
    good = websocket.client_frame(opcode, payload, KEY)
    return bytes((opcode | (0x80 if final else 0) | rsv,)) + good[1:]


def parser(limit: int = LIMIT) -> FrameParser:
    return FrameParser(limit, masked=True)


def code_of(data: bytes, limit: int = LIMIT) -> int:
    """The close code that ``data`` ends a server's connection with; 0: none."""
    one = parser(limit)
    one.feed(data)
    return one.violation.code if one.violation is not None else 0


class TestExamplesOfTheRfc:
    """RFC 6455 §5.7 and §1.3."""

    def test_unmasked_text(self) -> None:
        assert FrameParser(LIMIT, masked=False).feed(bytes.fromhex("810548656c6c6f")) == [Event(TEXT, b"Hello")]
        assert websocket.head(TEXT, 5) + b"Hello" == bytes.fromhex("810548656c6c6f")

    def test_masked_text(self) -> None:
        data = bytes.fromhex("818537fa213d7f9f4d5158")
        assert parser().feed(data) == [Event(TEXT, b"Hello")]
        assert websocket.client_frame(TEXT, b"Hello", KEY) == data

    def test_fragmented_text(self) -> None:
        data = bytes.fromhex("010348656c") + bytes.fromhex("80026c6f")
        assert FrameParser(LIMIT, masked=False).feed(data) == [Event(TEXT, b"Hello")]

    def test_ping_and_masked_pong(self) -> None:
        assert FrameParser(LIMIT, masked=False).feed(bytes.fromhex("890548656c6c6f")) == [Event(PING, b"Hello")]
        assert parser().feed(bytes.fromhex("8a8537fa213d7f9f4d5158")) == [Event(PONG, b"Hello")]

    def test_lengths_of_16_and_64_bits(self) -> None:
        assert websocket.head(BINARY, 256) == bytes.fromhex("827e0100")
        assert websocket.head(BINARY, 65_536) == bytes.fromhex("827f0000000000010000")

    def test_accept_key(self) -> None:
        assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 399, 400, 401, 65_535, 65_536, LIMIT])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_length_form_comes_back(opcode: int, length: int) -> None:
    payload = bytes(0x20 + n % 90 for n in range(length))
    assert parser().feed(websocket.client_frame(opcode, payload, os.urandom(4))) == [Event(opcode, payload)]
    unmasked = websocket.head(opcode, length) + payload
    assert FrameParser(LIMIT, masked=False).feed(unmasked) == [Event(opcode, payload)]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 399, 400, 403, 1000])
def test_both_ways_to_unmask_agree_with_the_definition(length: int) -> None:
    data = os.urandom(length)
    expected = bytes(byte ^ KEY[n % 4] for n, byte in enumerate(data))
    assert websocket.unmask(data, KEY) == expected
    assert websocket.unmask(memoryview(data), KEY) == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        *((frame(TEXT, b"x", rsv=bit), 1002) for bit in (0x40, 0x20, 0x10)),
        (frame(PING, b"x", rsv=0x40), 1002),
        *((frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (websocket.head(TEXT, 1) + b"x", 1002),
        (websocket.head(PING, 0), 1002),
        (b"\x81\xfe\x00\x7d" + KEY, 1002),
        (b"\x81\xfe\x00\x05" + KEY + b"hello", 1002),
        (b"\x81\xff" + (65_535).to_bytes(8, "big"), 1002),
        (b"\x81\xff" + b"\xff" * 8, 1002),
        (frame(PING, final=False), 1002),
        (frame(CLOSE, final=False), 1002),
        (b"\x89\xfe\x00\x7e", 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(CONTINUATION, b"x", final=False), 1002),
        (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
        (frame(TEXT, b"x", final=False) + frame(BINARY, b"y", final=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xc0\xaf"), 1007),
        (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
        (frame(TEXT, b"\xe2\x82"), 1007),
        (frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"\x82"), 1007),
        (frame(BINARY, b"\xff"), 0),
        (frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"\x82\xac"), 0),
        (frame(TEXT, b"") + frame(BINARY, b""), 0),
    ],
)
def test_what_a_peer_may_not_send(data: bytes, code: int) -> None:
    """The whole and byte by byte alike."""
    assert code_of(data) == code
    one = parser()
    for byte in data:
        one.feed(bytes((byte,)))
    assert (one.violation.code if one.violation else 0) == code


def test_a_client_refuses_masked_frames() -> None:
    one = FrameParser(LIMIT, masked=False)
    assert one.feed(frame(TEXT, b"x")) == []
    assert one.violation is not None
    assert one.violation.code == 1002


class TestLimit:
    def test_the_limit_itself_is_allowed(self) -> None:
        assert code_of(frame(TEXT, b"x" * 300), 300) == 0
        assert code_of(frame(TEXT, b"x" * 301), 300) == 1009
        assert code_of(frame(TEXT, b"x" * 11), 10) == 1009

    @pytest.mark.parametrize("announced", [b"\xff" + (1 << 62).to_bytes(8, "big"), b"\xfe\x01\x2d"])
    def test_a_length_beyond_it_is_refused_when_it_is_announced(self, announced: bytes) -> None:
        assert code_of(b"\x82" + announced, 300) == 1009

    def test_fragments_count_together(self) -> None:
        pieces = frame(TEXT, b"x" * 200, final=False) + frame(CONTINUATION, b"x" * 100, final=False)
        assert code_of(pieces + frame(CONTINUATION), 300) == 0
        assert code_of(pieces + frame(CONTINUATION, b"x"), 300) == 1009

    def test_endless_empty_fragments_end(self) -> None:
        one = parser()
        one.feed(frame(TEXT, final=False))
        empty = frame(CONTINUATION, final=False)
        for _ in range(websocket.MAX_FRAGMENTS - 2):
            one.feed(empty)
        assert one.violation is None
        one.feed(empty)
        assert one.violation is not None
        assert one.violation.code == 1009

    def test_control_frames_have_their_own_limit(self) -> None:
        assert parser(10).feed(frame(PING, b"x" * 125)) == [Event(PING, b"x" * 125)]

    def test_the_count_begins_anew_with_each_message(self) -> None:
        one = parser()
        pieces = frame(TEXT, final=False) + frame(CONTINUATION, final=False) * 1000 + frame(CONTINUATION, b"x")
        for _ in range(3):
            assert one.feed(pieces) == [Event(TEXT, b"x")]


class TestStream:
    def test_control_frames_come_between_fragments(self) -> None:
        data = frame(TEXT, b"a", final=False) + frame(PING, b"p") + frame(CONTINUATION, b"b")
        assert parser().feed(data) == [Event(PING, b"p"), Event(TEXT, b"ab")]

    def test_what_was_complete_before_a_violation_is_returned_and_nothing_after(self) -> None:
        one = parser()
        assert one.feed(frame(TEXT, b"a") + frame(3) + frame(TEXT, b"b")) == [Event(TEXT, b"a")]
        assert one.feed(frame(TEXT, b"c")) == []

    def test_the_fed_buffer_may_be_overwritten(self) -> None:
        one = parser()
        data = websocket.client_frame(TEXT, b"hello", KEY)
        shared = bytearray(data)
        assert one.feed(memoryview(shared)[:7]) == []
        shared[:7] = b"\0" * 7
        assert one.feed(memoryview(shared)[7:]) == [Event(TEXT, b"hello")]

    def test_nothing_is_kept_between_whole_frames(self) -> None:
        one = parser()
        one.feed(frame(TEXT, b"a") + frame(BINARY, b"b") * 3)
        assert one._pending is None
        assert one._message is None

    def test_of_a_partial_frame_its_bytes_are_kept_and_nothing_else(self) -> None:
        one = parser()
        whole = frame(TEXT, b"x" * 300)
        for cut in range(1, len(whole)):
            assert one.feed(frame(TEXT, b"first") + whole[:cut]) == [Event(TEXT, b"first")]
            assert bytes(one._pending or b"") == whole[:cut]
            assert one.feed(whole[cut:]) == [Event(TEXT, b"x" * 300)]

    def test_a_violation_keeps_nothing(self) -> None:
        one = parser()
        one.feed(frame(TEXT, b"x", final=False) + frame(PING)[:3])
        one.feed(b"\0" * 3 + frame(CONTINUATION, rsv=0x40))
        assert one.violation is not None
        assert one._pending is one._message is None

    def test_a_character_may_be_cut_by_fragments(self) -> None:
        text = "κόσμε 😀".encode()
        for cut in range(len(text)):
            data = frame(TEXT, text[:cut], final=False) + frame(CONTINUATION, text[cut:])
            assert parser().feed(data) == [Event(TEXT, text)]

    def test_payloads_are_bytes_also_when_they_came_in_pieces(self) -> None:
        one = parser()
        data = frame(TEXT, b"a" * 500) + frame(TEXT, b"b" * 10)
        events = one.feed(data[:300]) + one.feed(data[300:])
        assert [type(event.payload) for event in events] == [bytes, bytes]


class TestClose:
    @pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 4000, 4999])
    def test_codes_that_may_be_sent(self, code: int) -> None:
        assert websocket.parse_close(websocket.close_payload(code, "why")) == code

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535])
    def test_codes_that_may_not(self, code: int) -> None:
        with pytest.raises(websocket.ProtocolViolation) as caught:
            websocket.parse_close(code.to_bytes(2, "big"))
        assert caught.value.code == 1002

    def test_no_code_half_a_code_and_a_reason_that_is_no_text(self) -> None:
        assert websocket.parse_close(b"") == websocket.NO_STATUS
        with pytest.raises(websocket.ProtocolViolation) as half:
            websocket.parse_close(b"\x03")
        assert half.value.code == 1002
        with pytest.raises(websocket.ProtocolViolation) as garbled:
            websocket.parse_close(b"\x03\xe8\xff")
        assert garbled.value.code == 1007

    def test_a_long_reason_is_cut_at_a_character(self) -> None:
        payload = websocket.close_payload(1000, "€" * 100)
        assert len(payload) <= 125
        assert payload[2:].decode() == "€" * 41


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        ("dGhlIHNhbXBsZSBub25jZQ==", True),
        ("", False),
        ("dGhlIHNhbXBsZSBub25jZQ", False),
        ("dGhlIHNhbXBsZSBub25jZSE=", False),
        ("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", False),
        ("*GhlIHNhbXBsZSBub25jZQ==", False),
        ("é", False),
    ],
)
def test_keys(key: str, valid: bool) -> None:
    assert websocket.is_valid_key(key) is valid
