"""A store's key: shows nothing of itself, and comes back as it was wrapped, or not at all."""

import pickle
from typing import Any

import msgspec
import pytest

from cooee.client import key_wrap
from cooee.client.key_wrap import Costs, DoesNotFit, NotAKey, StoreKey, Wrapped

CHEAP = Costs(1, 64, 1)
KEY = StoreKey(bytes(range(32)))


def wrapped(passphrase: str = "correct horse") -> Wrapped:
    return key_wrap.under_passphrase(KEY, passphrase, costs=CHEAP)


def test_a_key_shows_nothing_of_itself() -> None:
    for shown in (repr(KEY), str(KEY), repr(wrapped()), repr(key_wrap.in_the_clear(KEY)), f"{KEY!r:>5}"):
        assert KEY.raw.hex() not in shown
        assert repr(KEY.raw)[2:10] not in shown


def test_a_key_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_keys_are_equal_by_their_bytes() -> None:
    assert StoreKey(KEY.raw) == KEY
    assert hash(StoreKey(KEY.raw)) == hash(KEY)
    assert StoreKey(bytes(32)) != KEY
    assert KEY.raw != KEY


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_another_length_is_no_key(length: int) -> None:
    with pytest.raises(NotAKey, match="32"):
        StoreKey(bytes(length))


def test_new_keys_take_all_their_bytes_from_the_random_source() -> None:
    assert StoreKey.generate(lambda count: b"\x07" * count).raw == b"\x07" * 32
    assert StoreKey.generate() != StoreKey.generate()


def test_it_comes_back_from_the_text_of_its_file() -> None:
    assert key_wrap.unwrap(key_wrap.decode(key_wrap.encode(key_wrap.in_the_clear(KEY)))) == KEY
    assert key_wrap.unwrap_by(key_wrap.decode(key_wrap.encode(wrapped())), "correct horse") == KEY


def test_a_passphrase_means_the_same_on_every_keyboard() -> None:
    assert key_wrap.unwrap_by(wrapped("caf\u00e9"), "cafe\u0301") == KEY


@pytest.mark.parametrize("other", ["correct horsf", "", "correct horse ", "CORRECT HORSE"])
def test_another_passphrase_opens_nothing(other: str) -> None:
    with pytest.raises(DoesNotFit):
        key_wrap.unwrap_by(wrapped(), other)


def test_what_is_kept_elsewhere_or_under_a_passphrase_does_not_stand_in_the_file() -> None:
    for kept in (key_wrap.kept_elsewhere(KEY), wrapped()):
        assert KEY.raw not in kept.key
        assert key_wrap.fits(kept, KEY)
        assert not key_wrap.fits(kept, StoreKey(bytes(32)))


def test_nothing_in_the_file_can_be_changed_unseen() -> None:
    good = wrapped()
    flipped = bytes((good.key[0] ^ 1, *good.key[1:]))
    changed: list[dict[str, Any]] = [
        {"key": flipped},
        {"key": good.key[:-1]},
        {"salt": bytes(16)},
        {"nonce": bytes(12)},
        {"check": bytes(16)},
        {"argon2id": Costs(2, 64, 1)},
    ]
    for change in changed:
        with pytest.raises(DoesNotFit):
            key_wrap.unwrap_by(msgspec.structs.replace(good, **change), "correct horse")


@pytest.mark.parametrize(
    "costs",
    [
        Costs(0, 64, 1),
        Costs(key_wrap.MAX_PASSES + 1, 64, 1),
        Costs(1, 7, 1),
        Costs(1, key_wrap.MAX_MEMORY_KIB + 1, 1),
        Costs(1, 64, 0),
        Costs(1, 1 << 16, key_wrap.MAX_LANES + 1),
        Costs(1, 31, 4),
        Costs(-1, -64, -1),
    ],
)
def test_a_file_that_asks_for_too_much_or_too_little_is_refused_before_anything_is_derived(costs: Costs) -> None:
    with pytest.raises(NotAKey, match="bounds"):
        key_wrap.unwrap_by(msgspec.structs.replace(wrapped(), argon2id=costs), "correct horse")


def test_the_default_costs_are_those_of_rfc_9106() -> None:
    assert Costs() == Costs(passes=3, memory_kib=64 * 1024, lanes=4)
    assert Costs().sane


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"null", b"\xff", b'{"version":1,"protection":"none","check":""}', b'{"version":1,"more":1}'],
)
def test_anything_else_is_no_key_file(text: bytes) -> None:
    with pytest.raises(NotAKey):
        key_wrap.decode(text)


def test_a_newer_file_says_so() -> None:
    newer = key_wrap.encode(msgspec.structs.replace(wrapped(), version=2))
    with pytest.raises(NotAKey, match="version 2"):
        key_wrap.decode(newer)


def test_a_damaged_key_in_the_clear_is_seen() -> None:
    with pytest.raises(NotAKey):
        key_wrap.unwrap(msgspec.structs.replace(key_wrap.in_the_clear(KEY), key=bytes(32)))
