"""The wire encoding: one message has one encoding, everything is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.crypto.errors import BadMessage
from cooee.crypto.wire import MAX_BYTES, Field, Fields, Kind, read, write

SCHEMA = {
    1: Field(Kind.BYTES, most=8),
    2: Field(Kind.NUMBER, most=300),
    20: Field(Kind.NUMBER, required=False, most=(1 << 64) - 1),
    21: Field(Kind.BYTES, required=False, most=MAX_BYTES),
}


def test_the_encoding_is_protobufs() -> None:
    """The examples of protobuf.dev, "Encoding": 150 in field 1, "testing" in field 2."""
    assert write([(1, 150), (2, b"testing")]).hex() == "089601" + "1207" + b"testing".hex()


@given(st.binary(max_size=8), st.integers(0, 300), st.none() | st.integers(0, 2**64 - 1), st.none() | st.binary())
def test_reading_gives_what_was_written(one: bytes, two: int, twenty: int | None, last: bytes | None) -> None:
    data = write([(1, one), (2, two), (20, twenty), (21, last)])
    numbers = {2: two} if twenty is None else {2: two, 20: twenty}
    assert read(data, SCHEMA) == Fields(numbers, {1: one} if last is None else {1: one, 21: last})


@given(st.binary(max_size=40))
def test_what_is_read_has_one_encoding(data: bytes) -> None:
    try:
        numbers, octets = read(data, SCHEMA)
    except BadMessage:
        return
    fields: dict[int, int | bytes] = {**numbers, **octets}
    assert write(sorted(fields.items())) == data


GOOD = write([(1, b"key"), (2, 5)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GOOD[:-1], id="cut off in a number"),
        pytest.param(GOOD[:3], id="cut off in bytes"),
        pytest.param(write([(1, b"key")]), id="a field is missing"),
        pytest.param(GOOD + write([(2, 5)]), id="a field twice"),
        pytest.param(write([(2, 5)]) + write([(1, b"key")]), id="out of order"),
        pytest.param(GOOD + write([(3, 1)]), id="unknown field"),
        pytest.param(write([(1, 7), (2, 5)]), id="a number for bytes"),
        pytest.param(write([(1, b"key"), (2, b"5")]), id="bytes for a number"),
        pytest.param(write([(1, b"key"), (2, 301)]), id="number too large"),
        pytest.param(write([(1, b"123456789"), (2, 5)]), id="bytes too long"),
        pytest.param(GOOD[:-1] + b"\x85\x00", id="number not canonical"),
        pytest.param(b"\x8a\x00" + GOOD[1:], id="tag not canonical"),
        pytest.param(GOOD + b"\xa0\x01" + b"\xff" * 9 + b"\x02", id="number of 65 bits"),
        pytest.param(GOOD + b"\xa0\x01" + b"\xff" * 10 + b"\x01", id="number of 11 bytes"),
        pytest.param(b"\x00\x01" + GOOD, id="field 0"),
        pytest.param(b"\x0a\xff\xff\xff\xff\x0f", id="longer than everything"),
        pytest.param(GOOD + b"\xa5\x01\x00\x00\x00\x00", id="another wire type"),
    ],
)
def test_what_is_not_canonical_or_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        read(data, SCHEMA)


def test_a_message_is_at_most_64_kib() -> None:
    room = MAX_BYTES - len(GOOD) - 5
    assert len(read(GOOD + write([(21, bytes(room))]), SCHEMA).byte_strings[21]) == room
    with pytest.raises(BadMessage, match="too long"):
        read(GOOD + write([(21, bytes(room + 9))]), SCHEMA)


@pytest.mark.parametrize("extra", [b"\x18\x01", b"\x1a\x02ab", b"\x19" + bytes(8), b"\x1d" + bytes(4)])
def test_foreign_formats_may_skip_what_is_unknown(extra: bytes) -> None:
    assert read(GOOD + extra, SCHEMA, skip_unknown=True) == read(GOOD, SCHEMA)
    with pytest.raises(BadMessage):
        read(GOOD + extra[:-1], SCHEMA, skip_unknown=True)
    with pytest.raises(BadMessage):
        read(GOOD + extra, SCHEMA)


@pytest.mark.parametrize("wire_type", [3, 4, 6, 7])
def test_groups_are_not_even_skipped(wire_type: int) -> None:
    with pytest.raises(BadMessage):
        read(GOOD + bytes((3 << 3 | wire_type,)) + bytes(16), SCHEMA, skip_unknown=True)


@pytest.mark.parametrize("fields", [[(2, 1), (1, 1)], [(1, 1), (1, 1)], [(0, 1)], [(1, -1)], [(1, 1 << 64)]])
def test_what_cannot_be_written_is_the_callers_fault(fields: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"ascend|64 bits"):
        write(fields)


def test_what_was_read_is_not_printed() -> None:
    """A distribution's chain key is among it."""
    assert "secret" not in repr(read(write(((1, b"secret"),)), {1: Field(Kind.BYTES)}))
