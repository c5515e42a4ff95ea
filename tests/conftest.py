"""What all tests share: Hypothesis profiles, and the rule for services that are not there."""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a shared machine is slow at times, and no test here asserts a duration.
_BASE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _BASE, max_examples=100)
settings.register_profile("fast", _BASE, max_examples=50)
settings.register_profile("ci", _BASE, max_examples=300, derandomize=False, print_blob=True)
settings.load_profile("dev")

Need = Callable[[bool, str, str], None]


@pytest.fixture(scope="session")
def need() -> Need:
    """Return ``need(found, service, remedy)``, which lets a test go on only where the service was found.

    Where it is missing the test fails under CI and is skipped elsewhere, with the remedy in the message.
    """

    def need(found: bool, service: str, remedy: str) -> None:
        if found:
            return
        message = f"{service} is missing: {remedy}"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)

    return need
