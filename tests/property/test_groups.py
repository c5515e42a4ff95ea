"""Whatever members and strangers try, a group keeps its rules."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain import groups
from cooee.domain.conversation import Group, Member, Role
from cooee.domain.errors import CooeeError, ErrorCode

USERS = ["ann", "bob", "cat", "dan", "eve", "fay"]
LIMIT = 5
users = st.sampled_from(USERS)
operations = st.one_of(
    st.tuples(st.just("rename"), users, st.sampled_from(["tea", "rum"])),
    st.tuples(st.just("add"), users, st.lists(users, max_size=3)),
    st.tuples(st.just("join"), users, st.none()),
    st.tuples(st.just("remove"), users, users),
    st.tuples(st.just("depart"), users, st.none()),
    st.tuples(st.just("role"), users, st.tuples(users, st.sampled_from(list(Role)))),
    st.tuples(st.just("delete"), users, st.none()),
)


def decide(group: Group | None, name: str, actor: groups.Actor, argument: Any) -> groups.Change | None:
    rules = {
        "rename": lambda: groups.rename(group, actor, argument),
        "add": lambda: groups.add_members(group, actor, argument, LIMIT),
        "join": lambda: groups.join(group, actor, LIMIT),
        "remove": lambda: groups.remove_member(group, actor, argument),
        "depart": lambda: groups.depart(group, actor),
        "role": lambda: groups.set_role(group, actor, *argument),
        "delete": lambda: groups.delete(group, actor),
    }
    return rules[name]()


def store(change: groups.Change, number: int) -> Group:
    """Put the number of joining in, as a store does."""
    members = {
        user: member if member.joined else Member(user, member.role, number)
        for user, member in change.group.members.items()
    }
    return msgspec.structs.replace(change.group, members=members)


def founded() -> Group:
    change = groups.create(None, groups.Actor("ann", 1, "c0"), "group:g", "tea", ["bob", "cat"], LIMIT)
    assert change is not None
    return store(change, 1)


@given(st.lists(operations, max_size=30))
def test_a_group_keeps_its_rules(steps: list[tuple[str, str, object]]) -> None:
    group = founded()
    for number, (name, actor_id, argument) in enumerate(steps, 2):
        actor = groups.Actor(actor_id, number, f"c{number}")
        before = group
        try:
            change = decide(group, name, actor, argument)
        except CooeeError as refusal:
            allowed = {
                ErrorCode.NOT_A_MEMBER,
                ErrorCode.FORBIDDEN,
                ErrorCode.NOT_FOUND,
                ErrorCode.CONFLICT,
                ErrorCode.TOO_LARGE,
            }
            if refusal.code not in allowed:
                raise
            continue
        if change is None:
            continue
        group = store(change, number)
        owners = [user for user, member in group.members.items() if member.role is Role.OWNER]
        assert owners == ([] if group.deleted else [group.owner_id])
        assert len(group.members) <= LIMIT
        assert group.deleted == (not group.members)
        assert group.roster_version == before.roster_version + 1
        assert not group.barred & group.members.keys()
        assert len(change.records) == len(change.subjects)
        assert actor_id in before.members or name == "join", "a stranger changed the group"
        if name == "join":
            assert actor_id not in before.barred
        told = {user for subjects in change.subjects for user in subjects}
        assert told == before.members.keys() ^ group.members.keys()


@given(st.lists(operations, max_size=30))
def test_a_record_says_who_did_it_and_a_retry_is_the_same_change(steps: list[tuple[str, str, object]]) -> None:
    group = founded()
    for number, (name, actor_id, argument) in enumerate(steps, 2):
        actor = groups.Actor(actor_id, number, f"c{number}")
        try:
            change = decide(group, name, actor, argument)
            again = decide(group, name, actor, argument)
        except CooeeError:
            continue
        assert change == again
        if change is not None:
            group = store(change, number)
            for record in change.records:
                content = msgspec.json.decode(record.body)["content"]
                assert content["actorId"] == record.sender_id == actor_id
                assert record.content_type == "system"
                assert record.device_id == ""
