"""Token buckets never let more through than their rule, and keyed ones never forget a debt."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.limits import Rate
from cooee.domain.ratelimit import FULL, KeyedBuckets, TokenBucket, address_key

rates = st.floats(0.01, 1000.0)
bursts = st.integers(1, 500)
steps = st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 5)), max_size=60)


@dataclass
class Model:
    """The textbook: a level that is refilled as time passes."""

    rate: float
    burst: int
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = float(self.burst)

    def pass_time(self, seconds: float) -> None:
        self.level = min(float(self.burst), self.level + seconds * self.rate)

    def needs(self, n: int) -> float:
        return min(n, self.burst) - self.level


@given(rates, bursts, steps)
def test_bucket_is_the_textbook_bucket(rate: float, burst: int, moves: list[tuple[float, int]]) -> None:
    bucket, model = TokenBucket(rate, burst), Model(rate, burst)
    state, now = FULL, 50.0
    for pause, n in moves:
        now += pause
        model.pass_time(pause)
        state, wait = bucket.take(state, now, n)
        if wait == 0.0:
            assert model.needs(n) <= 1e-6 * max(1.0, rate * now)
            model.level -= n
        else:
            assert wait == pytest.approx(model.needs(n) / rate, rel=1e-6, abs=1e-6)
        assert bucket.available(state, now) == pytest.approx(model.level, rel=1e-6, abs=1e-6 * max(1.0, rate * now))


@given(rates, bursts, steps)
def test_never_more_than_burst_and_rate_in_any_interval(
    rate: float, burst: int, moves: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst)
    state, now = FULL, 0.0
    taken: list[tuple[float, int]] = []
    for pause, n in moves:
        now += pause
        size = min(n, burst)
        state, wait = bucket.take(state, now, size)
        if wait == 0.0:
            taken.append((now, size))
    for first, (start, _) in enumerate(taken):
        total = 0
        for at, size in taken[first:]:
            total += size
            assert total <= burst + (at - start) * rate + 1e-5 * max(1.0, rate)


@given(rates, bursts, st.integers(1, 1000))
def test_waiting_as_told_is_enough(rate: float, burst: int, n: int) -> None:
    bucket = TokenBucket(rate, burst)
    state, _ = bucket.take(FULL, 10.0, burst)
    same, wait = bucket.take(state, 10.0, n)
    assert same == state
    assert wait > 0.0
    _, again = bucket.take(state, 10.0 + wait, n)
    assert again == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_lets_nothing_through_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(rate, burst)


def test_larger_than_burst_passes_when_full_and_is_paid_off() -> None:
    bucket = TokenBucket.of(Rate(1, 10))
    state, wait = bucket.take(FULL, 0.0, 25)
    assert wait == 0.0
    assert bucket.available(state, 0.0) == -15
    assert bucket.take(state, 0.0)[1] == pytest.approx(16)


class Now:
    """A monotonic clock."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0.0, 3.0)), max_size=300), st.integers(1, 8))
def test_keyed_buckets_are_never_milder_than_one_bucket_per_key(moves: list[tuple[int, float]], max_keys: int) -> None:
    now = Now()
    bucket = TokenBucket(1.0, 3)
    keyed = KeyedBuckets(bucket, now, max_keys)
    exact: dict[str, float] = {}
    for number, pause in moves:
        now.at += pause
        key = f"k{number}"
        wait = keyed.take(key)
        state, exact_wait = bucket.take(exact.get(key, FULL), now.at)
        assert wait >= exact_wait - 1e-9
        if wait == 0.0:
            exact[key] = state
        assert len(keyed) <= max_keys


def test_ever_new_keys_do_not_give_an_exhausted_bucket_back() -> None:
    keyed = KeyedBuckets(TokenBucket(0.01, 5), Now(), max_keys=10)
    for _ in range(5):
        assert keyed.take("attacker") == 0.0
    for number in range(1000):
        keyed.take(f"other-{number}")
    assert keyed.take("attacker") > 0.0
    assert len(keyed) <= 10


def test_a_flood_of_single_takes_costs_a_newcomer_no_more_than_it_took() -> None:
    keyed = KeyedBuckets(TokenBucket(0.001, 5), Now(), max_keys=10)
    for number in range(10_000):
        keyed.take(f"flood-{number}")
    allowed = 0
    while keyed.take("newcomer") == 0.0:
        allowed += 1
    assert allowed >= 4


def test_a_full_bucket_is_forgotten() -> None:
    now = Now()
    keyed = KeyedBuckets(TokenBucket(1.0, 2), now, max_keys=2)
    for key in ("a", "b", "c"):
        keyed.take(key)
        now.at += 10
    for key in ("a", "b", "c"):
        assert keyed.take(key) == 0.0
        assert keyed.take(key) == 0.0
        assert keyed.take(key) > 0.0


def test_a_huge_key_is_not_kept() -> None:
    keyed = KeyedBuckets(TokenBucket(1.0, 1), Now())
    huge = "x" * 100_000 + "\ud800"
    assert keyed.take(huge) == 0.0
    assert keyed.take(huge) > 0.0
    assert max(len(key) for key in keyed._states) <= 128


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_address_key(address: str, key: str) -> None:
    assert address_key(address) == key
