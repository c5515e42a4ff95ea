"""Accounts, sessions and devices over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def test_register_log_in_and_out(house: House) -> None:
    alice = await house.person("alice")
    me = await alice.request("GET", "/v1/me")
    assert me.status == 200
    assert me.json["userId"] == "alice"
    assert me.json["displayName"] == "alice"
    assert (await alice.request("DELETE", "/v1/sessions/current")).status == 204
    after = await alice.request("GET", "/v1/me")
    assert (after.status, after.code) == (401, "unauthorized")
    assert after.headers["www-authenticate"] == "Bearer"
