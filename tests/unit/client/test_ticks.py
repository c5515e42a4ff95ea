"""Ticks from watermarks."""

from cooee.client.ticks import covered
from cooee.domain.receipt import Watermark

NOTHING = Watermark()


def test_a_direct_chat_follows_the_other() -> None:
    roster = {"alice": 1, "bob": 1}
    assert covered(roster, {"bob": Watermark(7, 3)}, NOTHING, "alice", 10) == Watermark(7, 3)


def test_the_sender_does_not_count() -> None:
    roster = {"alice": 1, "bob": 1}
    assert covered(roster, {"alice": Watermark(1, 1), "bob": Watermark(5, 5)}, NOTHING, "alice", 10) == Watermark(5, 5)


def test_the_slowest_member_decides() -> None:
    roster = {"alice": 1, "bob": 1, "carol": 1}
    marks = {"bob": Watermark(9, 9), "carol": Watermark(4, 2)}
    assert covered(roster, marks, NOTHING, "alice", 10) == Watermark(4, 2)


def test_who_joined_later_says_nothing_about_earlier_messages() -> None:
    roster = {"alice": 1, "bob": 1, "dave": 6}
    marks = {"bob": Watermark(9, 9)}
    assert covered(roster, marks, NOTHING, "alice", 10) == Watermark(5, 5)


def test_notes_to_oneself_are_read_at_once() -> None:
    assert covered({"alice": 1}, {}, NOTHING, "alice", 3) == Watermark(3, 3)


def test_a_large_group_is_told_of_as_a_whole() -> None:
    assert covered(None, {}, Watermark(8, 2), "alice", 10) == Watermark(8, 2)
    assert covered({"alice": 1, "bob": 1}, {}, Watermark(8, 2), "alice", 10) == Watermark(8, 2)


def test_nothing_beyond_the_own_position_is_ticked() -> None:
    assert covered({"alice": 1, "bob": 1}, {"bob": Watermark(9, 9)}, NOTHING, "alice", 4) == Watermark(4, 4)
