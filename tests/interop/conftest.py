"""The other implementation, started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.conftest import Need
from tests.interop.oracle import REMEDY, Oracle, is_installed


@pytest.fixture(scope="session")
def oracle(need: Need) -> Iterator[Oracle]:
    """Return the running program; where it is not installed, the test fails under CI and is skipped elsewhere."""
    need(is_installed(), "@signalapp/libsignal-client", REMEDY)
    with Oracle() as running:
        yield running
