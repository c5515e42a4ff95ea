"""The WebSocket codec over any bytes, cut anywhere."""

import sys
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from cooee.protocol.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Event,
    FrameParser,
    ProtocolViolation,
    checked_text,
    client_frame,
    close_payload,
    head,
    parse_close,
    unmask,
)

LIMIT = 1000
MAX_FRAME_HEAD = 14

keys = st.binary(min_size=4, max_size=4)
texts = st.text(max_size=300).map(str.encode)
payloads = st.one_of(texts, st.binary(max_size=300), st.binary(min_size=120, max_size=130), st.just(b"a" * LIMIT))
controls = st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=125))


@st.composite
def strange_frames(draw: st.DrawFn) -> bytes:
    """A frame of which any part may be wrong: bits, opcode, mask, length, payload."""
    first = draw(st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x02, 0x89, 0x88])) | draw(
        st.sampled_from([0] * 9 + [0x40])
    )
    first = draw(st.sampled_from([first] * 9 + [draw(st.integers(0, 255))]))
    payload = draw(payloads)
    length = draw(st.sampled_from([len(payload)] * 9 + [LIMIT + 1, 1 << 62, 1 << 63]))
    size = draw(st.sampled_from([None] * 9 + [2, 8]))
    bit = draw(st.sampled_from([0x80] * 9 + [0]))
    if size == 8 or length >= 1 << 16:
        field = bytes((bit | 127,)) + length.to_bytes(8, "big")
    elif size == 2 or length > 125:
        field = bytes((bit | 126,)) + length.to_bytes(2, "big")
    else:
        field = bytes((bit | length,))
    key = draw(keys)
    return bytes((first,)) + field + (key + unmask(payload, key) if bit else payload)


streams = st.one_of(
    st.binary(max_size=2000), st.lists(st.one_of(strange_frames(), st.binary(max_size=6))).map(b"".join)
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same stream in pieces."""
    stream = draw(streams)
    if draw(st.booleans()):
        return stream, [stream[n : n + 1] for n in range(len(stream))]
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=20)) | {0, len(stream)})
    return stream, [stream[start:stop] for start, stop in pairwise(cuts)]


def outcome(pieces: list[bytes], *, masked: bool) -> tuple[list[Event], tuple[int, str] | None]:
    """Return all events and the violation of a stream that comes in these pieces."""
    parser = FrameParser(LIMIT, masked=masked)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(memoryview(bytearray(piece)))
    violation = parser.violation
    return events, None if violation is None else (violation.code, violation.message)


@given(cut_streams(), st.booleans())
def test_where_a_stream_is_cut_makes_no_difference(cut: tuple[bytes, list[bytes]], masked: bool) -> None:
    stream, pieces = cut
    assert outcome(pieces, masked=masked) == outcome([stream], masked=masked)


@given(streams, st.booleans())
def test_bytes_never_raise_and_what_comes_out_is_valid(stream: bytes, masked: bool) -> None:
    events, violation = outcome([stream], masked=masked)
    for opcode, payload in events:
        assert opcode in {TEXT, BINARY, CLOSE, PING, PONG}
        assert type(payload) is bytes
        assert len(payload) <= (125 if opcode >= CLOSE else LIMIT)
        if opcode == TEXT:
            payload.decode()
    assert violation is None or violation[0] in {1002, 1007, 1009}


@given(cut_streams())
def test_what_is_kept_is_bounded(cut: tuple[bytes, list[bytes]]) -> None:
    """A partial frame and an unfinished message together stay below the limit; a broken stream keeps nothing."""
    parser = FrameParser(LIMIT, masked=True)
    for piece in cut[1]:
        parser.feed(piece)
        kept = len(parser._pending or b"") + len(parser._message or b"")
        assert kept < LIMIT + MAX_FRAME_HEAD
        assert parser.violation is None or not kept


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_the_memory_of_what_is_kept_follows_the_limit_not_the_stream(sizes: list[int]) -> None:
    """Frames that end in the middle of a read, over and over, do not leave their space behind."""
    parser = FrameParser(LIMIT, masked=True)
    stream = b"".join(client_frame(TEXT, b"x" * size, b"abcd") for size in sizes) * 20
    step = 997
    for start in range(0, len(stream), step):
        parser.feed(stream[start : start + step])
        assert sys.getsizeof(parser._pending or b"") <= 2 * (LIMIT + MAX_FRAME_HEAD + step) + 100


messages = st.lists(
    st.one_of(st.tuples(st.just(TEXT), texts), st.tuples(st.just(BINARY), st.binary(max_size=LIMIT)), controls),
    max_size=10,
)


@given(messages, keys)
def test_what_a_client_writes_the_server_reads(sent: list[tuple[int, bytes]], key: bytes) -> None:
    stream = b"".join(client_frame(opcode, payload, key) for opcode, payload in sent)
    assert outcome([stream], masked=True) == ([Event(*each) for each in sent], None)


@given(messages)
def test_what_a_server_writes_the_client_reads(sent: list[tuple[int, bytes]]) -> None:
    stream = b"".join(head(opcode, len(payload)) + payload for opcode, payload in sent)
    assert outcome([stream], masked=False) == ([Event(*each) for each in sent], None)


@given(messages, st.lists(st.integers(0, LIMIT), max_size=6), st.booleans())
def test_an_independent_peer_is_understood(sent: list[tuple[int, bytes]], cuts: list[int], masked: bool) -> None:
    """Frames made by another implementation, data fragmented and control frames put between the fragments."""
    stream: list[bytes] = []
    expected: list[Event] = []
    for opcode, payload in sent:
        if opcode >= CLOSE:
            stream.append(Frame(Opcode(opcode), payload).serialize(mask=masked))
            expected.append(Event(opcode, payload))
            continue
        edges = [0, *sorted(cut for cut in cuts if cut <= len(payload)), len(payload)]
        parts = [payload[start:stop] for start, stop in pairwise(edges)]
        for number, part in enumerate(parts):
            final = number == len(parts) - 1
            kind = Opcode(opcode if number == 0 else CONTINUATION)
            stream.append(Frame(kind, part, fin=final).serialize(mask=masked))
            if not final:
                stream.append(Frame(Opcode.PING, b"between").serialize(mask=masked))
                expected.append(Event(PING, b"between"))
        expected.append(Event(opcode, payload))
    assert outcome([b"".join(stream)], masked=masked) == (expected, None)


@given(st.one_of(st.binary(max_size=40), st.binary(min_size=390, max_size=5000)), keys)
def test_unmasking_is_the_rfcs_formula(data: bytes, key: bytes) -> None:
    """RFC 6455 §5.3: octet i is XORed with octet i modulo 4 of the key. Both ways of doing it, and twice is nothing."""
    expected = bytes(octet ^ key[index % 4] for index, octet in enumerate(data))
    for kind in (bytes, bytearray, memoryview):
        assert unmask(kind(data), key) == expected
    assert unmask(expected, key) == data


@given(st.binary(max_size=125))
def test_close_payloads_are_read_or_refused(payload: bytes) -> None:
    try:
        code = parse_close(payload)
    except ProtocolViolation as violation:
        assert violation.code in {1002, 1007}  # noqa: PT017  # both ends are right
    else:
        assert code == 1005 if not payload else 1000 <= code <= 4999


@given(st.sampled_from([1000, 1001, 1011, 3000, 4008, 4999]), st.text(max_size=200))
def test_own_close_payloads_can_be_read(code: int, reason: str) -> None:
    payload = close_payload(code, reason)
    assert len(payload) <= 125
    assert parse_close(payload) == code
    assert reason.startswith(payload[2:].decode())


@given(st.binary(max_size=200))
def test_text_is_what_python_decodes(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        expected = False
    else:
        expected = True
    try:
        checked_text(payload)
    except ProtocolViolation as violation:
        assert (expected, violation.code) == (False, 1007)  # noqa: PT017  # both ends are right
    else:
        assert expected
