"""Safety numbers: both sides see the same, another key gives another, and the code of one fits that of the other."""

import pytest

from cooee.crypto import safety_number as module
from cooee.crypto.errors import BadMessage
from cooee.crypto.keys import AccountPrivateKey
from cooee.crypto.safety_number import safety_number

ALICE = AccountPrivateKey(bytes(range(32))).public()
BOB = AccountPrivateKey(bytes(32)).public()
EVE = AccountPrivateKey(b"\x01" * 32).public()
MINE = safety_number("alice", ALICE, "bob", BOB)
THEIRS = safety_number("bob", BOB, "alice", ALICE)


def test_both_sides_see_the_same_sixty_digits() -> None:
    assert MINE.digits == THEIRS.digits
    assert len(MINE.digits) == 60
    assert MINE.digits.isdecimal()
    assert MINE.grouped().replace(" ", "") == MINE.digits
    assert len(MINE.grouped().split()) == 12


@pytest.mark.parametrize(
    "other",
    [
        safety_number("alice", ALICE, "bob", EVE),
        safety_number("alice", EVE, "bob", BOB),
        safety_number("alice", ALICE, "bobby", BOB),
        safety_number("alice", BOB, "bob", ALICE),
    ],
)
def test_another_key_or_name_gives_another_number(other: module.SafetyNumber) -> None:
    assert other.digits != MINE.digits
    assert not MINE.matches(other.qr)


def test_what_one_shows_fits_what_the_other_scans() -> None:
    assert MINE.matches(THEIRS.qr)
    assert THEIRS.matches(MINE.qr)
    assert not MINE.matches(MINE.qr)


@pytest.mark.parametrize(
    "text",
    ["", "hello", module.QR_PREFIX, module.QR_PREFIX + "AAAA", MINE.qr + "=", MINE.qr.removeprefix(module.QR_PREFIX)],
)
def test_what_is_no_code_is_told(text: str) -> None:
    with pytest.raises(BadMessage):
        MINE.matches(text)


def test_both_halves_of_a_code_must_fit() -> None:
    assert not MINE.matches(safety_number("bob", BOB, "alice", EVE).qr)
    assert not MINE.matches(safety_number("bob", EVE, "alice", ALICE).qr)
