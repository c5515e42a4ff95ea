"""Numbering: dense, idempotent, replayable (ARCHITECTURE.md, invariants 2 and 3)."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.message import LogRecord, Message, Placed
from cooee.domain.sequence import DEDUP_WINDOW_MS, Decision, Head, sequence

START_MS = 1_764_000_000_000
DAY_MS = 24 * 3600 * 1000

times = st.integers(START_MS, START_MS + 40 * DAY_MS)
records = st.builds(
    lambda sender, device, name, timestamp: LogRecord(
        "group:g", sender, device, name, timestamp, "text", b'{"content":"x"}'
    ),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["d1", "d2"]),
    st.sampled_from([f"m{number}" for number in range(8)]),
    times,
)
logs = st.lists(records, max_size=60)


class Numbered(NamedTuple):
    """What became of a log."""

    decisions: list[Decision]
    messages: list[Message]


def number(log: list[LogRecord], first_position: int = 1) -> Numbered:
    """Number a log as an adapter does."""
    head = Head()
    dedup: dict[tuple[str, str, str, str], Placed] = {}
    decisions = []
    for position, record in enumerate(log, first_position):
        decision = sequence(head, record, position, dedup.get(record.dedup_key))
        head = decision.head
        dedup[record.dedup_key] = decision.placed
        decisions.append(decision)
    return Numbered(decisions, [one.message for one in decisions if one.message is not None])


@given(logs)
def test_numbers_are_dense_from_one(log: list[LogRecord]) -> None:
    assert [message.sequence_number for message in number(log).messages] == list(
        range(1, len(number(log).messages) + 1)
    )


@given(logs)
def test_message_ids_grow_whatever_the_clock_does(log: list[LogRecord]) -> None:
    ids = [message.message_id for message in number(log).messages]
    assert ids == sorted(set(ids))
    assert all(0 < one < 1 << 63 for one in ids)


@given(logs)
def test_a_replay_gives_the_same_numbers(log: list[LogRecord]) -> None:
    assert number(log) == number(log)


@given(logs)
def test_a_key_gets_one_number_within_the_window(log: list[LogRecord]) -> None:
    first: dict[tuple[str, str, str, str], Placed] = {}
    for record, decision in zip(log, number(log).decisions, strict=True):
        prior = first.get(record.dedup_key)
        if prior is not None and record.timestamp - prior.timestamp <= DEDUP_WINDOW_MS:
            assert decision.message is None
            assert decision.placed == prior
        else:
            assert decision.message is not None
            first[record.dedup_key] = decision.placed


@given(logs)
def test_a_message_is_what_was_recorded(log: list[LogRecord]) -> None:
    for record, decision in zip(log, number(log).decisions, strict=True):
        if decision.message is None:
            continue
        message = decision.message
        assert (message.sender_id, message.device_id, message.client_message_id) == record.dedup_key[1:]
        assert (message.timestamp, message.body) == (record.timestamp, record.body)
        assert decision.placed == Placed(message.message_id, message.sequence_number, message.timestamp)
        assert decision.head == Head(message.sequence_number, message.message_id)


@given(logs, logs)
def test_what_comes_later_changes_nothing_before(log: list[LogRecord], later: list[LogRecord]) -> None:
    assert number(log + later).decisions[: len(log)] == number(log).decisions


@given(logs.filter(bool), st.integers(1, 1 << 40))
def test_conversations_in_one_millisecond_get_ids_of_their_own(log: list[LogRecord], position: int) -> None:
    """The position tells apart what the time does not."""
    one, other = sequence(Head(), log[0], position, None), sequence(Head(), log[0], position + 1, None)
    assert one.placed.message_id != other.placed.message_id
