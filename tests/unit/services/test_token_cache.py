"""Tokens that are believed for a moment."""

from cooee.ports.devices import Device
from cooee.services.token_cache import TokenCache
from tests.fakes.clock import ManualClock


def device(user_id: str, token_hash: bytes) -> Device:
    return Device(user_id, "d1", "phone", "phone", token_hash, 0, 0)


def test_a_token_is_believed_for_a_while() -> None:
    clock = ManualClock()
    cache = TokenCache(clock, 5.0, 10)
    cache.enter(device("alice", b"a"), cache.revision)
    assert cache.find(b"a") == device("alice", b"a")
    assert cache.find(b"b") is None
    clock.advance(5)
    assert cache.find(b"a") is None


def test_forgetting_drops_the_users_tokens_only() -> None:
    cache = TokenCache(ManualClock(), 5.0, 10)
    for user_id, token_hash in (("alice", b"1"), ("alice", b"2"), ("bob", b"3")):
        cache.enter(device(user_id, token_hash), cache.revision)
    cache.forget({"alice", "carol"})
    assert [cache.find(token) is None for token in (b"1", b"2", b"3")] == [True, True, False]


def test_what_was_read_before_forgetting_is_not_entered_after_it() -> None:
    cache = TokenCache(ManualClock(), 5.0, 10)
    revision = cache.revision
    cache.forget({"bob"})
    cache.enter(device("alice", b"a"), revision)
    assert cache.find(b"a") is None


def test_it_does_not_grow_without_bound() -> None:
    cache = TokenCache(ManualClock(), 5.0, 3)
    for number in range(10):
        cache.enter(device("alice", bytes([number])), cache.revision)
    assert len(cache) == 3
    assert cache.find(b"\x09") is not None


def test_what_is_believed_no_longer_is_dropped() -> None:
    clock = ManualClock()
    cache = TokenCache(clock, 5.0, 10)
    cache.enter(device("alice", b"a"), cache.revision)
    clock.advance(3)
    cache.enter(device("bob", b"b"), cache.revision)
    clock.advance(2)
    cache.tend()
    assert len(cache) == 1
    assert cache.find(b"b") is not None
