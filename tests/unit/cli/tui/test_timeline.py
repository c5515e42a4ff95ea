"""The window on a chat grows at both ends, stays bounded, and shows each message once and in order."""

from hypothesis import given
from hypothesis import strategies as st

from cooee.cli.tui.timeline import MOST, Timeline
from cooee.client import HistoryPage
from tests.unit.cli.tui.cases import DIRECT, message, page


def numbers(timeline: Timeline) -> list[int]:
    """Return what is shown."""
    return [shown.sequence_number for shown in timeline.messages]


def opened(first: int, through: int, *, at_end: bool = True) -> Timeline:
    """Return a window."""
    timeline = Timeline(DIRECT)
    timeline.begin(page(first, through), through, at_end=at_end)
    return timeline


def test_what_arrives_while_the_page_is_fetched_is_not_lost() -> None:
    timeline = Timeline(DIRECT)
    timeline.add(message(5))
    timeline.add(message(6))
    timeline.begin(page(1, 5), 5, at_end=True)
    assert numbers(timeline) == [1, 2, 3, 4, 5, 6]
    timeline.fetching()
    timeline.add(message(7))
    timeline.begin(page(1, 6), 6, at_end=True)
    assert numbers(timeline) == [1, 2, 3, 4, 5, 6, 7]


@given(st.permutations(range(11, 31)))
def test_own_and_others_messages_are_shown_once_and_in_order(arrivals: list[int]) -> None:
    timeline = opened(1, 10)
    for number in (*arrivals, *arrivals):
        timeline.add(message(number))
    assert numbers(timeline) == list(range(1, 31))


def test_pages_join_at_both_ends() -> None:
    timeline = opened(21, 30, at_end=False)
    timeline.older(page(11, 20))
    timeline.newer(page(25, 40), 40, at_end=False)
    assert numbers(timeline) == list(range(11, 41))
    timeline.add(message(41))
    assert timeline.last == 40
    timeline.newer(page(41, 41), 41, at_end=True)
    timeline.add(message(42))
    assert numbers(timeline)[-2:] == [41, 42]
    timeline.older(page(1, 10, complete=True))
    assert timeline.complete
    assert timeline.first == 1


def test_numbers_that_do_not_exist_here_do_not_stop_the_window() -> None:
    timeline = opened(1, 10, at_end=False)
    timeline.newer(HistoryPage((), complete=False, from_server=False), 60, at_end=False)
    assert (timeline.last, timeline.through) == (10, 60)
    timeline.older(HistoryPage((), complete=False, from_server=True), final=True)
    assert timeline.complete


def test_the_window_stays_bounded_and_the_far_end_can_be_loaded_again() -> None:
    timeline = opened(5_001, 5_100)
    for first in range(4_901, 3_000, -100):
        timeline.older(page(first, first + 99))
    assert len(timeline.messages) == MOST
    assert not timeline.at_end
    assert timeline.through == timeline.last
    while not timeline.at_end:
        through = timeline.through + 100
        timeline.newer(page(timeline.through + 1, through), through, at_end=through == 5_100)
    assert (len(timeline.messages), timeline.last, timeline.complete) == (MOST, 5_100, False)
    for number in range(5_101, 5_200):
        timeline.add(message(number))
    assert (len(timeline.messages), timeline.last) == (MOST, 5_199)


def test_a_deleted_message_keeps_its_place() -> None:
    timeline = opened(1, 3)
    before = timeline.changes
    timeline.delete(2)
    timeline.delete(77)
    assert [shown.deleted for shown in timeline.messages] == [False, True, False]
    assert timeline.changes == before + 1


def test_messages_are_found_by_number_and_id() -> None:
    timeline = opened(3, 5)
    found = timeline.at(4)
    assert found is not None
    assert timeline.find(found.message_id) == found
    assert (timeline.at(2), timeline.at(6), timeline.find("nothing")) == (None, None, None)
    assert (Timeline(DIRECT).first, Timeline(DIRECT).last) == (0, 0)
