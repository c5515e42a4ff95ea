"""Identifiers: both sides derive the same, and nothing else passes (PROTOCOL.md §1)."""

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import (
    SNOWFLAKE_EPOCH_MS,
    check_conversation_id,
    direct_conversation_id,
    direct_members,
    group_conversation_id,
    is_client_message_id,
    is_direct,
    is_user_id,
    snowflake,
    uuid7,
)

user_ids = st.from_regex(r"[a-z0-9][a-z0-9_.\-]{1,31}", fullmatch=True)
times = st.integers(SNOWFLAKE_EPOCH_MS, SNOWFLAKE_EPOCH_MS + (1 << 40))
positions = st.integers(1, 1 << 50)


@given(user_ids, user_ids)
def test_both_sides_derive_the_same_conversation(a: str, b: str) -> None:
    conversation_id = direct_conversation_id(a, b)
    assert conversation_id == direct_conversation_id(b, a)
    assert is_direct(conversation_id)
    assert sorted(direct_members(conversation_id)) == sorted((a, b))
    check_conversation_id(conversation_id)


@given(user_ids, user_ids, user_ids, user_ids)
def test_different_pairs_have_different_conversations(a: str, b: str, c: str, d: str) -> None:
    same = sorted((a, b)) == sorted((c, d))
    assert (direct_conversation_id(a, b) == direct_conversation_id(c, d)) is same


@given(user_ids, user_ids)
def test_only_the_canonical_order_passes(a: str, b: str) -> None:
    first, second = sorted((a, b))
    if first != second:
        with pytest.raises(CooeeError):
            direct_members(f"dm:{second}:{first}")


@given(st.text(max_size=80) | st.from_regex(r"(dm|group):.*", fullmatch=True))
def test_any_text_passes_or_is_a_bad_frame(text: str) -> None:
    try:
        check_conversation_id(text)
    except CooeeError as refusal:
        assert refusal.code is ErrorCode.BAD_FRAME  # noqa: PT017 - most texts are refused, some are not
    else:
        assert text.startswith(("dm:", "group:"))
        assert text.isascii()
        assert text.isprintable()


@given(st.text(alphabet=string.ascii_letters + string.digits + "_-", min_size=1, max_size=64))
def test_group_ids_pass(group_id: str) -> None:
    check_conversation_id(group_conversation_id(group_id))
    assert not is_direct(group_conversation_id(group_id))


@given(st.text(max_size=40))
def test_a_user_id_has_nothing_that_could_end_it(text: str) -> None:
    if is_user_id(text):
        assert 2 <= len(text) <= 32
        assert set(text) <= set(string.ascii_lowercase + string.digits + "_.-")


@given(st.text(max_size=80))
def test_a_client_message_id_has_no_control_characters(text: str) -> None:
    if is_client_message_id(text):
        assert 1 <= len(text) <= 64
        assert not any(ord(ch) < 0x20 or 0x7F <= ord(ch) < 0xA0 or 0xD800 <= ord(ch) < 0xE000 for ch in text)


@given(times, positions, st.lists(st.tuples(times, st.integers(1, 1000)), max_size=10))
def test_snowflakes_grow_through_any_clock(first: int, position: int, later: list[tuple[int, int]]) -> None:
    last = snowflake(first, position, 0)
    for timestamp, step in later:
        position += step
        following = snowflake(timestamp, position, last)
        assert last < following < 1 << 63
        last = following


@given(times, positions, positions)
def test_a_snowflake_is_a_pure_function_of_its_record(timestamp: int, position: int, other: int) -> None:
    assert snowflake(timestamp, position, 0) == snowflake(timestamp, position, 0)
    apart = (position - other) % (1 << 22) != 0
    assert (snowflake(timestamp, position, 0) != snowflake(timestamp, other, 0)) is apart


@given(times, st.integers(0, (1 << 74) - 1), st.integers(0, (1 << 74) - 1))
def test_uuid7_is_one_and_sorts_by_time(timestamp: int, some: int, other: int) -> None:
    made = uuid.UUID(uuid7(timestamp, some))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == timestamp
    assert uuid7(timestamp, some) < uuid7(timestamp + 1, other)
    assert (uuid7(timestamp, some) == uuid7(timestamp, other)) is (some == other)
    assert is_client_message_id(str(made))
