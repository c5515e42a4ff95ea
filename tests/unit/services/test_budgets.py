"""Budgets are counted per name and key; exempt networks are free of those per address."""

import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.limits import Limits, Rate
from cooee.services.budgets import Budgets
from tests.fakes.clock import ManualClock


def budgets(clock: ManualClock, exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")) -> Budgets:
    return Budgets(Limits(group_changes=Rate(1, 2), log_ins_per_address=Rate(1, 1)), clock.monotonic, exempt)


def test_a_spent_budget_says_how_long_to_wait_and_fills_again() -> None:
    clock = ManualClock()
    spending = budgets(clock)
    spending.spend("group_changes", "ann", 2)
    spending.spend("group_changes", "bob")
    with pytest.raises(CooeeError) as caught:
        spending.spend("group_changes", "ann")
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert 0 < (caught.value.retry_after_ms or 0) <= 1000
    clock.advance(1)
    spending.spend("group_changes", "ann")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_exempt_addresses_are_free(address: str) -> None:
    spending = budgets(ManualClock())
    for _ in range(10):
        spending.spend_for_address("log_ins_per_address", address)


def test_one_customer_has_one_ipv6_budget() -> None:
    spending = budgets(ManualClock())
    spending.spend_for_address("log_ins_per_address", "2001:db8::1")
    with pytest.raises(CooeeError):
        spending.spend_for_address("log_ins_per_address", "2001:db8::2")
    spending.spend_for_address("log_ins_per_address", "2001:db8:0:1::1")


def test_what_is_no_address_is_not_exempt() -> None:
    assert not budgets(ManualClock()).is_exempt("unix")
