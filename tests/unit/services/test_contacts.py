"""Contacts and blocks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.app.config import LimitsConfig
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.router import RouteKind
from cooee.protocol.frames import AccountChanged
from tests.fakes.house import House, open_house

ALICE = DeviceRef("alice", "d1")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, limits=LimitsConfig(contacts_per_user=3)) as opened:
        for user_id in ("alice", "bob", "carol", "dave", "eve"):
            await opened.accounts.create(user_id, "correct horse")
        yield opened


async def ids(house: House, relation: str) -> list[str]:
    return [user.user_id for user in await house.contacts.page("alice", relation, "", 10)]  # type: ignore[arg-type]


@pytest.mark.parametrize("relation", ["contact", "block"])
async def test_they_are_put_once_listed_in_order_and_removed(house: House, relation: str) -> None:
    for other in ("carol", "bob", "carol"):
        await house.contacts.put(ALICE, relation, other)  # type: ignore[arg-type]
    assert await ids(house, relation) == ["bob", "carol"]
    for _ in range(2):
        await house.contacts.remove(ALICE, relation, "bob")  # type: ignore[arg-type]
    assert await ids(house, relation) == ["carol"]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ("alice", ErrorCode.BAD_FRAME),
        ("BOB", ErrorCode.BAD_FRAME),
        ("bob:carol", ErrorCode.BAD_FRAME),
        ("nobody", ErrorCode.NOT_FOUND),
    ],
)
async def test_only_other_people_can_be_put(house: House, other: str, code: ErrorCode) -> None:
    with pytest.raises(CooeeError) as refusal:
        await house.contacts.put(ALICE, "contact", other)
    assert refusal.value.code is code


async def test_there_is_a_most(house: House) -> None:
    for other in ("bob", "carol", "dave"):
        await house.contacts.put(ALICE, "contact", other)
    with pytest.raises(CooeeError) as refusal:
        await house.contacts.put(ALICE, "contact", "eve")
    assert refusal.value.code is ErrorCode.TOO_LARGE
    await house.contacts.put(ALICE, "contact", "bob")
    await house.contacts.put(ALICE, "block", "eve")


async def test_one_who_has_left_stays_in_the_list_and_can_be_removed(house: House) -> None:
    await house.contacts.put(ALICE, "contact", "bob")
    await house.accounts.delete("bob")
    (bob,) = await house.contacts.page("alice", "contact", "", 10)
    assert (bob.user_id, bob.display_name, bob.deleted) == ("bob", "bob", True)
    with pytest.raises(CooeeError):
        await house.contacts.put(ALICE, "block", "bob")
    await house.contacts.remove(ALICE, "contact", "bob")
    assert await ids(house, "contact") == []


async def test_a_block_counts_both_ways_at_once(house: House) -> None:
    alice = house.client().having(await house.log_in("alice"))
    bob = house.client().having(await house.log_in("bob"))
    message = {"contentType": "text", "content": "hi"}

    async def send(client: object, to: str, number: int) -> str:
        body = message | {"to": to, "clientMessageId": f"m{number}"}
        reply = await client.request("POST", "/v1/messages", body)  # type: ignore[attr-defined]
        return "sent" if reply.status == 200 else str(reply.code)

    assert await send(alice, "bob", 1) == "sent"
    assert (await alice.request("PUT", "/v1/blocks/bob")).status == 204
    assert [await send(alice, "bob", 2), await send(bob, "alice", 3)] == ["blocked", "blocked"]
    found = await bob.request("GET", "/v1/users?query=alice")
    assert found.json["items"] == []
    assert (await alice.request("DELETE", "/v1/blocks/bob")).status == 204
    assert [await send(alice, "bob", 4), await send(bob, "alice", 5)] == ["sent", "sent"]


async def test_gateways_and_the_users_other_devices_are_told_of_a_change_once(house: House) -> None:
    for user_id, device_id in (("alice", "d1"), ("alice", "d2"), ("bob", "d3")):
        await house.connect(user_id, device_id)
    await house.told()
    for _ in range(2):
        await house.contacts.put(ALICE, "block", "bob")
    told = await house.told()
    assert [item.user_ids for item in told if item.kind is RouteKind.REFRESH] == [("alice", "bob")]
    events = [item for item in told if item.kind is RouteKind.EVENT]
    assert [(item.user_ids, item.except_device) for item in events] == [(("alice",), ALICE)]
    house.receive(events)
    (frame,) = await house.events()
    assert isinstance(frame, AccountChanged)
    assert frame.changed == "blocks"
    assert frame.sync_token
