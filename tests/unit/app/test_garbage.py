"""What lives long is set aside, and garbage is found all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from cooee.app import garbage


class Knot:
    """An object that keeps itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def tied() -> "weakref.ref[Knot]":
    return weakref.ref(Knot())


def test_what_the_start_made_is_set_aside() -> None:
    garbage.GarbageCollection().begin()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == garbage.NEW_OBJECTS


def test_new_garbage_goes_when_the_rest_is_set_aside() -> None:
    collection = garbage.GarbageCollection()
    collection.begin()
    knot = tied()
    collection.set_aside()
    assert knot() is None


def test_what_became_garbage_later_is_found_in_the_end() -> None:
    collection = garbage.GarbageCollection()
    kept = Knot()
    knot = weakref.ref(kept)
    collection.begin()
    del kept
    for _ in range(garbage.WHOLE_EVERY - 1):
        collection.set_aside()
    assert knot() is not None
    collection.set_aside()
    assert knot() is None
