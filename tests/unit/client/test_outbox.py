"""Which message is sent when."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cooee.client.e2ee.results import Letter, Sealed
from cooee.client.model import Pending
from cooee.client.outbox import (
    ANSWER_WITHIN_MS,
    EXPIRES_AFTER_MS,
    IN_FLIGHT_LIMIT,
    UNSEALED_MS,
    Outbox,
    failed,
    is_final,
)
from tests.fakes.client_frames import CHAT, GROUP, pending


def keys(entries: list[Pending]) -> list[str]:
    return [entry.client_message_id for entry in entries]


def test_one_at_a_time_in_a_conversation_in_the_order_of_writing() -> None:
    outbox = Outbox([pending("k1"), pending("k2")])
    assert keys(outbox.due(0)) == ["k1"]
    assert keys(outbox.due(1)) == []
    outbox.remove("k1")
    assert keys(outbox.due(2)) == ["k2"]


def letter(key: str, **fields: Any) -> Pending:
    """Return a message that is to be sent encrypted."""
    sealed = Letter(CHAT, key, "content", bytes(32))
    return msgspec.structs.replace(pending(key), body="{}", letter=sealed, **fields)


def test_what_is_not_sealed_yet_holds_back_its_conversation_alone() -> None:
    outbox = Outbox([letter("k1"), pending("k2"), pending("k3", GROUP)])
    assert keys(outbox.due(0)) == ["k3"]
    outbox.remove("k3")
    assert outbox.next_due() is None, "it does not ask again and again"
    assert keys(outbox.to_seal(set())) == ["k1"]
    outbox.replace(letter("k1", sealed=Sealed()))
    assert (outbox.next_due(), outbox.to_seal(set())) == (0, [])
    assert keys(outbox.due(1)) == ["k1"]
    outbox.remove("k1")
    assert keys(outbox.due(2)) == ["k2"]


def test_the_next_one_is_sealed_when_the_one_before_leaves() -> None:
    outbox = Outbox([letter("k1", sealed=Sealed()), letter("k2"), letter("k3")])
    assert keys(outbox.to_seal(set())) == []
    assert keys(outbox.to_seal({"k1"})) == ["k2"]
    outbox.accepted("k1", 5, 0)
    assert keys(outbox.to_seal(set())) == ["k2"]
    assert outbox.next_due() == ANSWER_WITHIN_MS


def test_a_mismatch_is_sealed_anew_and_many_in_a_row_slow_down() -> None:
    outbox = Outbox([letter("k1", sealed=Sealed())])
    now, waits = 0, []
    for _ in range(12):
        assert keys(outbox.due(now)) == ["k1"]
        outbox.unseal("k1", now)
        assert keys(outbox.to_seal(set())) == ["k1"]
        outbox.replace(letter("k1", sealed=Sealed()))
        at = outbox.next_due()
        assert at is not None
        waits.append(max(at - now, 0))
        now = max(at, now)
    assert waits[:4] == [0, 2 * UNSEALED_MS, 4 * UNSEALED_MS, 8 * UNSEALED_MS]
    assert max(waits) == ANSWER_WITHIN_MS
    outbox.unseal("gone", now)


def test_a_message_is_ready_when_it_is_sealed() -> None:
    entry = letter("k1", sealed=Sealed())
    assert entry.ready
    assert entry.encrypted
    assert "content" not in repr(entry)
    assert not letter("k2").ready


def test_conversations_do_not_wait_for_each_other() -> None:
    outbox = Outbox([pending("k1"), pending("k2", GROUP)])
    assert keys(outbox.due(0)) == ["k1", "k2"]


def test_what_is_not_answered_is_sent_again_ever_more_slowly() -> None:
    outbox = Outbox([pending("k1")])
    outbox.due(0)
    assert keys(outbox.due(ANSWER_WITHIN_MS - 1)) == []
    assert outbox.next_due() == ANSWER_WITHIN_MS
    assert keys(outbox.due(ANSWER_WITHIN_MS)) == ["k1"]
    assert outbox.next_due() == 3 * ANSWER_WITHIN_MS


def test_a_new_connection_sends_everything_again_in_order() -> None:
    outbox = Outbox([pending("k1"), pending("k2")])
    outbox.due(0)
    outbox.accepted("k1", 5, 1)
    assert keys(outbox.due(2)) == ["k2"]
    outbox.disconnected()
    assert keys(outbox.due(3)) == ["k1"]


def test_an_accepted_message_lets_the_next_go_and_asks_for_its_number_later() -> None:
    outbox = Outbox([pending("k1")])
    outbox.due(0)
    outbox.accepted("k1", 77, 10)
    assert outbox.accepted_at("k1") == 77
    assert keys(outbox.due(11)) == []
    assert keys(outbox.due(10 + ANSWER_WITHIN_MS)) == ["k1"]
    outbox.remove("k1")
    assert outbox.accepted_at("k1") is None
    assert outbox.next_due() is None


def test_a_short_limit_holds_everything_back() -> None:
    outbox = Outbox([pending("k1"), pending("k2", GROUP)])
    outbox.due(0)
    outbox.remove("k2")
    outbox.add(pending("k3", GROUP))
    outbox.hold_back("k1", 500, 10)
    assert keys(outbox.due(509)) == []
    assert outbox.next_due() == 510
    assert keys(outbox.due(510)) == ["k1", "k3"]


def test_a_long_limit_holds_one_conversation_back() -> None:
    outbox = Outbox([pending("k1"), pending("k2", GROUP)])
    outbox.due(0)
    outbox.remove("k2")
    outbox.add(pending("k3", GROUP))
    outbox.hold_back("k1", 3_600_000, 10)
    assert keys(outbox.due(11)) == ["k3"]


def test_a_held_back_message_stays_before_later_ones() -> None:
    outbox = Outbox([pending("k1"), pending("k2")])
    outbox.due(0)
    outbox.hold_back("k1", None, 0)
    assert keys(outbox.due(1)) == []
    assert keys(outbox.due(1_000)) == ["k1"]


def test_a_failed_message_is_seen_and_not_sent_and_lets_the_next_go() -> None:
    outbox = Outbox([pending("k1"), pending("k2")])
    outbox.due(0)
    outbox.fail(failed(pending("k1"), "blocked", "no"))
    assert keys(outbox.due(1)) == ["k2"]
    assert outbox.find("k1") is None
    assert outbox.find_failed("k1") is not None
    assert set(keys(list(outbox.entries()))) == {"k1", "k2"}
    outbox.remove("k1")
    assert outbox.find_failed("k1") is None


def test_what_is_too_old_expires() -> None:
    outbox = Outbox([pending("k1")])
    assert outbox.expired(4000 + EXPIRES_AFTER_MS) == []
    assert [entry.code for entry in outbox.expired(4001 + EXPIRES_AFTER_MS)] == ["expired"]


def test_only_so_many_are_in_flight() -> None:
    outbox = Outbox([pending(f"k{at}", f"group:g{at}") for at in range(IN_FLIGHT_LIMIT + 5)])
    assert len(outbox.due(0)) == IN_FLIGHT_LIMIT
    outbox.remove("k0")
    assert len(outbox.due(1)) == 1


def test_which_refusals_are_final() -> None:
    assert is_final("blocked", retryable=False)
    assert not is_final("rate_limited", retryable=True)
    assert not is_final("unauthorized", retryable=False)


@given(st.lists(st.sampled_from(["tick", "answer", "refuse", "accept", "cut"]), max_size=60), st.integers(1, 4))
def test_whatever_happens_messages_arrive_first_in_the_order_of_writing(happenings: list[str], chats: int) -> None:
    """The server, which drops re-sends, sees each conversation's messages in their order, and none is forgotten."""
    entries = [pending(f"k{at}", f"group:g{at % chats}") for at in range(8)]
    outbox = Outbox(entries)
    arrived: list[str] = []
    flying: list[str] = []
    now = 0
    for happening in [*happenings, *["cut", *["answer"] * 8] * 9]:
        now += 2_000
        for entry in outbox.due(now):
            flying.append(entry.client_message_id)
            if happening != "refuse" and entry.client_message_id not in arrived:
                arrived.append(entry.client_message_id)
        if happening == "cut":
            outbox.disconnected()
            flying = []
        elif flying and happening in ("answer", "accept", "refuse"):
            key = flying.pop(0)
            if key not in arrived:
                outbox.hold_back(key, 1_000, now)
            elif happening == "accept":
                outbox.accepted(key, now, now)
            else:
                outbox.remove(key)
    for chat in range(chats):
        written = [entry.client_message_id for entry in entries if entry.conversation_id == f"group:g{chat}"]
        assert [key for key in arrived if key in written] == written
    assert not list(outbox.entries())


def test_conversations_have_their_own_order() -> None:
    outbox = Outbox([pending("k1", CHAT), pending("k2", GROUP), pending("k3", CHAT)])
    outbox.due(0)
    outbox.remove("k1")
    assert keys(outbox.due(1)) == ["k3"]
