"""Groups as their members use them: over the memory store, with the application's own composition."""

import msgspec
import pytest

from cooee.domain.conversation import Role
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.ports.accounts import GroupAddAudience, Privacy
from tests.fakes.memory_house import MemoryHouse

ONLY_CONTACTS = Privacy(group_adds=GroupAddAudience.CONTACTS)


@pytest.fixture
async def scene() -> MemoryHouse:
    scene = MemoryHouse()
    for user in ("ann", "bob", "cat", "dan"):
        await scene.user(user)
    return scene


ANN, BOB, CAT, DAN = (DeviceRef(user, "d1") for user in ("ann", "bob", "cat", "dan"))


async def events(scene: MemoryHouse, device: DeviceRef, conversation_id: str) -> list[str]:
    page = await scene.house.sync.read_after(device, conversation_id, 0, 100)
    return [msgspec.json.decode(message.body)["content"]["event"] for message in page.messages]


async def refused(code: ErrorCode, attempt: object) -> None:
    with pytest.raises(CooeeError) as caught:
        await attempt  # type: ignore[misc]
    assert caught.value.code is code


async def test_each_change_is_a_system_message_before_it_is_answered(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, " Tea ", ["bob"])).group
    await groups.rename(ANN, group.conversation_id, "Rum")
    await groups.add_members(ANN, group.conversation_id, ["cat"])
    await groups.set_role(ANN, group.conversation_id, "bob", Role.ADMIN)
    await groups.remove_member(BOB, group.conversation_id, "cat")
    await groups.set_role(ANN, group.conversation_id, "bob", Role.OWNER)
    await groups.remove_member(ANN, group.conversation_id, "ann")
    assert await events(scene, BOB, group.conversation_id) == [
        "group_created",
        "group_renamed",
        "member_added",
        "role_changed",
        "member_removed",
        "owner_changed",
        "member_left",
    ]


async def test_who_came_later_and_who_was_removed_see_their_span_only(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, "Tea", [])).group
    await groups.add_members(ANN, group.conversation_id, ["cat"])
    await groups.remove_member(ANN, group.conversation_id, "cat")
    await groups.rename(ANN, group.conversation_id, "Secret")
    assert await events(scene, CAT, group.conversation_id) == ["member_added", "member_removed"]


async def test_strangers_cannot_tell_a_group_from_none(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(ANN, "Tea", [])).group
    for conversation_id in (group.conversation_id, "group:none"):
        await refused(ErrorCode.NOT_A_MEMBER, scene.house.groups.get("bob", conversation_id))
        await refused(ErrorCode.NOT_A_MEMBER, scene.house.groups.rename(BOB, conversation_id, "x"))
        await refused(ErrorCode.NOT_A_MEMBER, scene.house.groups.delete(BOB, conversation_id))


async def test_who_lets_only_contacts_add_him_is_left_out_and_named(scene: MemoryHouse) -> None:
    await scene.user("eve", ONLY_CONTACTS)
    added = await scene.house.groups.create(ANN, "Tea", ["bob", "eve"])
    assert added.not_added == ("eve",)
    assert set(added.group.members) == {"ann", "bob"}
    await refused(ErrorCode.FORBIDDEN, scene.house.groups.add_members(ANN, added.group.conversation_id, ["eve"]))
    await scene.store.contacts.set_contact("eve", "ann", present=True)
    again = await scene.house.groups.add_members(ANN, added.group.conversation_id, ["eve"])
    assert "eve" in again.group.members


async def test_a_block_looks_like_the_privacy_setting(scene: MemoryHouse) -> None:
    await scene.store.contacts.set_block("bob", "ann", present=True)
    assert (await scene.house.groups.create(ANN, "Tea", ["bob"])).not_added == ("bob",)


async def test_impossible_and_missing_users_are_refused(scene: MemoryHouse) -> None:
    await refused(ErrorCode.BAD_FRAME, scene.house.groups.create(ANN, "Tea", ["no:body"]))
    await refused(ErrorCode.NOT_FOUND, scene.house.groups.create(ANN, "Tea", ["nobody"]))
    await scene.store.accounts.erase("dan")
    await refused(ErrorCode.NOT_FOUND, scene.house.groups.create(ANN, "Tea", ["dan"]))


async def test_five_hundred_and_one_members_are_too_many(scene: MemoryHouse) -> None:
    everybody = [f"u{number}" for number in range(500)]
    for user in everybody:
        await scene.user(user)
    await refused(ErrorCode.TOO_LARGE, scene.house.groups.create(ANN, "Tea", everybody))
    full = (await scene.house.groups.create(ANN, "Tea", everybody[:499])).group
    await refused(ErrorCode.TOO_LARGE, scene.house.groups.add_members(ANN, full.conversation_id, ["bob"]))


async def test_an_invitation_lets_in_until_it_is_replaced_used_up_or_expired(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, "Tea", [])).group
    first = await groups.create_invite(ANN, group.conversation_id, 0, 0)
    second = await groups.create_invite(ANN, group.conversation_id, 0, 1)
    await refused(ErrorCode.NOT_FOUND, groups.join(BOB, first))
    assert "bob" in (await groups.join(BOB, second)).members
    await refused(ErrorCode.NOT_FOUND, groups.join(CAT, second))
    third = await groups.create_invite(ANN, group.conversation_id, scene.clock.wall_ms() + 1000, 0)
    scene.clock.advance(2)
    await refused(ErrorCode.NOT_FOUND, groups.join(CAT, third))
    await refused(ErrorCode.BAD_FRAME, groups.create_invite(ANN, group.conversation_id, scene.clock.wall_ms() - 1, 0))
    await refused(ErrorCode.FORBIDDEN, groups.create_invite(BOB, group.conversation_id, 0, 0))


async def test_a_removed_member_does_not_come_back_by_link(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, "Tea", ["bob"])).group
    token = await groups.create_invite(ANN, group.conversation_id, 0, 0)
    await groups.remove_member(ANN, group.conversation_id, "bob")
    await refused(ErrorCode.FORBIDDEN, groups.join(BOB, token))


async def test_who_is_refused_or_in_already_uses_no_invitation_up(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, "Tea", ["bob"])).group
    await groups.remove_member(ANN, group.conversation_id, "bob")
    token = await groups.create_invite(ANN, group.conversation_id, 0, 1)
    await refused(ErrorCode.FORBIDDEN, groups.join(BOB, token))
    assert "ann" in (await groups.join(ANN, token)).members
    assert "cat" in (await groups.join(CAT, token)).members
    await refused(ErrorCode.NOT_FOUND, groups.join(DAN, token))


async def test_a_deleted_group_takes_nothing_more(scene: MemoryHouse) -> None:
    groups = scene.house.groups
    group = (await groups.create(ANN, "Tea", ["bob"])).group
    token = await groups.create_invite(ANN, group.conversation_id, 0, 0)
    await groups.delete(ANN, group.conversation_id)
    await groups.delete(ANN, group.conversation_id)
    await refused(ErrorCode.NOT_FOUND, groups.join(CAT, token))
    await refused(ErrorCode.NOT_A_MEMBER, groups.get("ann", group.conversation_id))
    with pytest.raises(CooeeError):
        await scene.send(ANN, group.conversation_id, "anybody?")
    assert (await events(scene, BOB, group.conversation_id))[-1] == "member_removed"


async def test_an_account_that_ends_leaves_its_groups(scene: MemoryHouse) -> None:
    one = (await scene.house.groups.create(ANN, "Tea", ["bob"])).group
    two = (await scene.house.groups.create(BOB, "Rum", ["ann"])).group
    await scene.house.groups.depart("ann")
    assert (await scene.house.groups.get("bob", one.conversation_id)).owner_id == "bob"
    assert "ann" not in (await scene.house.groups.get("bob", two.conversation_id)).members


async def test_changes_are_limited_per_user() -> None:
    scene = MemoryHouse(group_changes=Rate(1, 2))
    await scene.user("ann")
    await scene.house.groups.create(ANN, "1", [])
    await scene.house.groups.create(ANN, "2", [])
    with pytest.raises(CooeeError) as caught:
        await scene.house.groups.create(ANN, "3", [])
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert caught.value.retry_after_ms
