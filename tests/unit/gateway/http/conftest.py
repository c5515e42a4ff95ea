"""A house for each test of the HTTP API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Everything behind the API, on an empty store."""
    async with open_house(tmp_path) as opened:
        yield opened
