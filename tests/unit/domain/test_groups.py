"""Each rule of groups, and each of its refusals (PROTOCOL.md §8)."""

import msgspec
import pytest

from cooee.domain import groups
from cooee.domain.conversation import Group, Member, Role
from cooee.domain.errors import CooeeError, ErrorCode


def actor(user_id: str) -> groups.Actor:
    return groups.Actor(user_id, 1000, "c1")


@pytest.fixture
def group() -> Group:
    members = {
        "ann": Member("ann", Role.OWNER, 1),
        "bob": Member("bob", Role.ADMIN, 1),
        "cat": Member("cat", Role.MEMBER, 2),
        "dan": Member("dan", Role.ADMIN, 3),
    }
    return Group("group:g", "tea", "ann", members, 4, 1)


def refused(code: ErrorCode, rule: object, *arguments: object) -> None:
    with pytest.raises(CooeeError) as caught:
        rule(*arguments)  # type: ignore[operator]
    assert caught.value.code is code


def event(change: groups.Change | None, index: int = 0) -> dict[str, object]:
    assert change is not None
    content = msgspec.json.decode(change.records[index].body)["content"]
    assert isinstance(content, dict)
    return content


def test_creating_twice_does_nothing(group: Group) -> None:
    assert groups.create(group, actor("ann"), "group:g", "tea", [], 500) is None


def test_creating_beyond_the_limit_is_refused() -> None:
    refused(
        ErrorCode.TOO_LARGE, groups.create, None, actor("ann"), "group:g", "tea", [f"u{n}" for n in range(500)], 500
    )
    assert groups.create(None, actor("ann"), "group:g", "tea", [f"u{n}" for n in range(499)], 500) is not None


def test_members_do_not_administer(group: Group) -> None:
    refused(ErrorCode.FORBIDDEN, groups.rename, group, actor("cat"), "x")
    refused(ErrorCode.FORBIDDEN, groups.add_members, group, actor("cat"), ["eve"], 500)
    refused(ErrorCode.FORBIDDEN, groups.remove_member, group, actor("cat"), "bob")


def test_strangers_learn_nothing_but_that_they_are_no_members(group: Group) -> None:
    for rule, arguments in (
        (groups.rename, ("x",)),
        (groups.add_members, (["eve"], 500)),
        (groups.remove_member, ("bob",)),
        (groups.set_role, ("bob", Role.MEMBER)),
        (groups.delete, ()),
    ):
        refused(ErrorCode.NOT_A_MEMBER, rule, group, actor("eve"), *arguments)
        refused(ErrorCode.NOT_A_MEMBER, rule, None, actor("eve"), *arguments)


def test_only_the_owner_removes_admins_and_nobody_the_owner(group: Group) -> None:
    refused(ErrorCode.FORBIDDEN, groups.remove_member, group, actor("bob"), "dan")
    refused(ErrorCode.FORBIDDEN, groups.remove_member, group, actor("bob"), "ann")
    assert event(groups.remove_member(group, actor("ann"), "dan"))["event"] == "member_removed"


def test_a_removed_member_does_not_come_back_by_link_but_by_an_admin(group: Group) -> None:
    change = groups.remove_member(group, actor("bob"), "cat")
    assert change is not None
    refused(ErrorCode.FORBIDDEN, groups.join, change.group, actor("cat"), 500)
    back = groups.add_members(change.group, actor("bob"), ["cat"], 500)
    assert back is not None
    assert "cat" not in back.group.barred


def test_one_who_left_may_come_back_by_link(group: Group) -> None:
    change = groups.remove_member(group, actor("cat"), "cat")
    assert event(change)["event"] == "member_left"
    assert change is not None
    assert event(groups.join(change.group, actor("cat"), 500)) == {
        "event": "member_added",
        "actorId": "cat",
        "userIds": ["cat"],
        "byLink": True,
    }


def test_the_owner_hands_over_before_leaving(group: Group) -> None:
    refused(ErrorCode.CONFLICT, groups.remove_member, group, actor("ann"), "ann")
    change = groups.set_role(group, actor("ann"), "cat", Role.OWNER)
    assert event(change) == {"event": "owner_changed", "actorId": "ann", "userId": "cat"}
    assert change is not None
    assert change.group.members["ann"].role is Role.ADMIN
    assert groups.remove_member(change.group, actor("ann"), "ann") is not None


def test_the_owner_cannot_demote_himself(group: Group) -> None:
    refused(ErrorCode.CONFLICT, groups.set_role, group, actor("ann"), "ann", Role.MEMBER)


def test_the_last_one_to_leave_ends_the_group() -> None:
    alone = Group("group:g", "tea", "ann", {"ann": Member("ann", Role.OWNER, 1)}, 1, 1)
    change = groups.remove_member(alone, actor("ann"), "ann")
    assert change is not None
    assert change.group.deleted


def test_an_owner_whose_account_ends_leaves_the_group_to_the_oldest_admin(group: Group) -> None:
    change = groups.depart(group, actor("ann"))
    assert change is not None
    assert change.group.owner_id == "bob"
    assert [event(change, n)["event"] for n in (0, 1)] == ["member_left", "owner_changed"]


def test_deleting_sends_everybody_away_and_can_be_repeated(group: Group) -> None:
    refused(ErrorCode.FORBIDDEN, groups.delete, group, actor("bob"))
    change = groups.delete(group, actor("ann"))
    assert change is not None
    assert set(change.subjects[0]) == set(group.members)
    assert groups.delete(change.group, actor("ann")) is None


@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "te\na", "a\u202eb", "\x00", "\ue000"])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    refused(ErrorCode.BAD_FRAME, groups.clean_name, name)


def test_names_are_trimmed_and_normalised() -> None:
    assert groups.clean_name("  Cafe\u0301 ") == "Café"
