"""What tests of the agent share."""

import pytest

from cooee.client.e2ee import stock


@pytest.fixture(autouse=True)
def small_stock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let devices make few one-time keys, except where the stock itself is looked at."""
    if request.module.__name__.rpartition(".")[2] != "test_stock":
        monkeypatch.setattr(stock, "STOCK", 24)
