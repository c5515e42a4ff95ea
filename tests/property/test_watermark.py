"""Watermarks merge by maximum, in any order (ARCHITECTURE.md, invariant 4)."""

import random

from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.receipt import Watermark, covers_all

numbers = st.integers(0, 1000)
marks = st.builds(lambda delivered, read: Watermark().merge(delivered, read), numbers, numbers)
users = st.sampled_from(["ann", "bob", "cat", "dan"])


@given(marks, st.lists(st.tuples(numbers, numbers), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_merging_does_not_matter(
    start: Watermark, updates: list[tuple[int, int]], order: random.Random
) -> None:
    def merged(sequence: list[tuple[int, int]]) -> Watermark:
        mark = start
        for delivered, read in sequence:
            mark = mark.merge(delivered, read)
        return mark

    shuffled = list(updates)
    order.shuffle(shuffled)
    assert merged(shuffled) == merged(updates)
    assert merged(updates + updates) == merged(updates)


@given(marks, numbers, numbers)
def test_a_merge_only_grows(mark: Watermark, delivered: int, read: int) -> None:
    after = mark.merge(delivered, read)
    assert after.delivered >= max(mark.delivered, delivered, read)
    assert after.read == max(mark.read, read)
    assert after.read <= after.delivered


@given(marks)
def test_merging_nothing_changes_nothing(mark: Watermark) -> None:
    assert mark.merge() == mark
    assert mark.merge(mark.delivered, mark.read) == mark


@given(st.dictionaries(users, marks), st.lists(users, unique=True))
def test_all_have_what_the_last_one_has(watermarks: dict[str, Watermark], members: list[str]) -> None:
    everybody = covers_all(watermarks, members)
    for user_id in members:
        mark = watermarks.get(user_id, Watermark())
        assert everybody.delivered <= mark.delivered
        assert everybody.read <= mark.read
    if not members:
        assert everybody == Watermark()
    else:
        assert any(watermarks.get(user_id, Watermark()).delivered == everybody.delivered for user_id in members)


@given(st.dictionaries(users, marks, min_size=1), marks)
def test_one_more_member_never_raises_what_all_have(watermarks: dict[str, Watermark], newcomer: Watermark) -> None:
    before = covers_all(watermarks, watermarks)
    after = covers_all({**watermarks, "eve": newcomer}, [*watermarks, "eve"])
    assert after.delivered <= before.delivered
    assert after.read <= before.read
