"""Profiles, privacy and search."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from cooee.app.config import LimitsConfig
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.ports.router import RouteKind
from cooee.protocol import http
from cooee.protocol.frames import AccountChanged
from tests.fakes.house import CHEAP_ACCOUNTS, House, open_house

ALICE = DeviceRef("alice", "d1")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, limits=LimitsConfig(user_searches=Rate(0.1, 5))) as opened:
        await opened.accounts.create("alice", "correct horse", "Alice Liddell")
        await opened.accounts.create("bob", "correct horse", "Bob Builder")
        yield opened


async def test_what_is_left_out_stays(house: House) -> None:
    await house.profiles.change(ALICE, http.PatchMe(about="curious"))
    changed = await house.profiles.change(ALICE, http.PatchMe(privacy=http.PatchPrivacy(read_receipts=False)))
    assert changed == http.Me(
        "alice", "Alice Liddell", "curious", http.Privacy(read_receipts=False), house.clock.wall_ms()
    )
    assert await house.profiles.me("alice") == changed


async def test_an_empty_name_is_the_user_id_and_about_may_be_empty(house: House) -> None:
    changed = await house.profiles.change(ALICE, http.PatchMe(display_name="", about="  "))
    assert (changed.display_name, changed.about) == ("alice", "")


async def test_names_are_normalised(house: House) -> None:
    changed = await house.profiles.change(ALICE, http.PatchMe(display_name="  Zoe\u0308  "))
    assert changed.display_name == "Zo\u00eb"


async def test_other_devices_and_gateways_hear_of_a_real_change_only(house: House) -> None:
    await house.connect("alice", "d2")
    await house.told()
    patch = http.PatchMe(privacy=http.PatchPrivacy(last_seen="nobody"))
    await house.profiles.change(ALICE, patch)
    await house.profiles.change(ALICE, patch)
    told = await house.told()
    assert [item.kind for item in told] == [RouteKind.REFRESH, RouteKind.EVENT]
    house.receive(told)
    (frame,) = await house.events()
    assert isinstance(frame, AccountChanged)
    assert frame.changed == "privacy"
    assert isinstance(frame.account, msgspec.Raw)
    assert msgspec.json.decode(frame.account, type=http.Me).privacy.last_seen == "nobody"


async def test_a_user_shows_what_everybody_may_see(house: House) -> None:
    assert await house.profiles.user("bob") == http.User("bob", "Bob Builder")
    await house.accounts.set_disabled("bob", disabled=True)
    for user_id in ("bob", "nobody"):
        with pytest.raises(CooeeError) as refusal:
            await house.profiles.user(user_id)
        assert refusal.value.code is ErrorCode.NOT_FOUND


async def test_search_finds_who_lets_himself_be_found(house: House) -> None:
    assert [user.user_id for user in await house.profiles.search("alice", "buil")] == ["bob"]
    await house.profiles.change(DeviceRef("bob", "d"), http.PatchMe(privacy=http.PatchPrivacy(searchable=False)))
    assert await house.profiles.search("alice", "buil") == []


async def test_search_is_bounded(house: House) -> None:
    for query in ("", "ab", "  ab  ", "x" * 65):
        with pytest.raises(CooeeError) as refusal:
            await house.profiles.search("alice", query)
        assert refusal.value.code is ErrorCode.BAD_FRAME
    for number in range(25):
        await house.accounts.create(f"rabbit{number}", "correct horse")
    assert len(await house.profiles.search("alice", "rabbit")) == 20
    for _ in range(4):
        await house.profiles.search("alice", "rabbit")
    with pytest.raises(CooeeError) as refusal:
        await house.profiles.search("alice", "rabbit")
    assert refusal.value.code is ErrorCode.RATE_LIMITED


async def test_search_can_be_switched_off(tmp_path: Path) -> None:
    async with open_house(tmp_path, accounts=replace(CHEAP_ACCOUNTS, user_search=False)) as house:
        with pytest.raises(CooeeError) as refusal:
            await house.profiles.search("alice", "bob")
        assert refusal.value.code is ErrorCode.FORBIDDEN
