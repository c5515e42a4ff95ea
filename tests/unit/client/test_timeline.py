"""Holding back what is early."""

from cooee.client.model import message_of
from cooee.client.timeline import EARLY_LIMIT, Held, Piece, hold, single
from tests.fakes.client_frames import said


def piece(number: int) -> Piece:
    return single(message_of(said(number)))


def numbers(held: Held) -> list[int]:
    return [message.sequence_number for message in held.delivered]


def test_the_next_number_is_delivered() -> None:
    held = hold(4, (), piece(5))
    assert (held.position, numbers(held), held.early) == (5, [5], ())


def test_an_early_one_waits_and_comes_with_the_one_that_fills_the_hole() -> None:
    early = hold(0, (), piece(2))
    assert (early.position, numbers(early)) == (0, [])
    held = hold(0, early.early, piece(1))
    assert (held.position, numbers(held), held.early) == (2, [1, 2], ())


def test_what_is_known_changes_nothing() -> None:
    assert hold(5, (), piece(5)) == Held(5, (), ())
    early = hold(0, (), piece(3)).early
    assert hold(0, early, piece(3)).early == early


def test_numbers_that_do_not_exist_are_passed() -> None:
    held = hold(0, (piece(8),), Piece(1, 7))
    assert (held.position, numbers(held)) == (8, [8])


def test_a_page_that_overlaps_delivers_only_what_is_new() -> None:
    messages = tuple(message_of(said(number)) for number in (3, 4, 6))
    held = hold(4, (), Piece(3, 6, messages))
    assert (held.position, numbers(held)) == (6, [6])


def test_what_waits_is_bounded_and_the_lowest_stays() -> None:
    early: tuple[Piece, ...] = ()
    for number in range(EARLY_LIMIT * 2, 1, -1):
        early = hold(0, early, piece(number)).early
    assert sum(waiting.weight for waiting in early) <= EARLY_LIMIT
    assert early[0].first == 2
