"""The contract of `Groups`: roster and system messages change together."""

import asyncio
import json
from pathlib import Path

import pytest

from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain import groups as rules
from cooee.domain.conversation import Group, Member, Role, Span
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.groups import Actor, Change
from cooee.ports.groups import GroupChanged, InviteToken
from tests.contract.log import (
    ALICE,
    ALL,
    DAY_MS,
    GROUP,
    NOW_MS,
    add,
    append,
    append_all,
    create_group,
    numbers,
    record,
    remove,
)
from tests.contract.stores import HOSTILE, Store, reopened


async def test_a_group_is_founded_with_its_first_message(store: Store) -> None:
    changed = await create_group(store, "bob", "carol")
    assert [place.sequence_number for place in changed.placed] == [1]
    assert changed.group == Group(
        GROUP,
        "Crew",
        "alice",
        {
            "alice": Member("alice", Role.OWNER, 1),
            "bob": Member("bob", Role.MEMBER, 1),
            "carol": Member("carol", Role.MEMBER, 1),
        },
        1,
        NOW_MS,
    )
    assert await store.groups.find(GROUP) == changed.group
    message = await store.timeline.find(GROUP, 1)
    assert message is not None
    assert (message.content_type, message.sender_id) == ("system", "alice")
    assert json.loads(message.body)["content"]["event"] == "group_created"


async def test_an_unknown_group(store: Store) -> None:
    assert await store.groups.find(GROUP) is None
    assert await store.groups.spans(GROUP, "alice") == []
    assert await store.groups.of_user("alice") == []
    with pytest.raises(CooeeError) as refused:
        await store.groups.change(GROUP, lambda _group: None)
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_nothing_to_do_stores_nothing(store: Store) -> None:
    founded = await create_group(store, "bob")
    again = await create_group(store, "bob")
    assert again == GroupChanged(founded.group, ())
    assert (await store.timeline.head(GROUP)).last == 1


async def test_a_refusal_stores_nothing(store: Store) -> None:
    await create_group(store, "bob")
    before = await store.groups.find(GROUP)
    stranger = Actor("mallory", NOW_MS, "x")
    with pytest.raises(CooeeError) as refused:
        await store.groups.change(GROUP, lambda group: rules.rename(group, stranger, "Mine"))
    assert refused.value.code is ErrorCode.NOT_A_MEMBER
    assert await store.groups.find(GROUP) == before
    assert (await store.timeline.head(GROUP)).last == 1
    assert (await append(store, conversation_id=GROUP)).sequence_number == 2


async def test_a_failing_rule_undoes_only_itself(store: Store) -> None:
    """Neighbours in the same batch are stored; numbering goes on without a hole."""
    await create_group(store, "bob")

    def fail(_group: Group | None) -> Change | None:
        raise KeyError("a bug")

    appended = asyncio.create_task(append(store, "m1", conversation_id=GROUP))
    failed = asyncio.create_task(store.groups.change(GROUP, fail))
    added = asyncio.create_task(add(store, "carol"))
    with pytest.raises(KeyError):
        await failed
    assert (await appended).sequence_number == 2
    assert [place.sequence_number for place in (await added).placed] == [3]


async def test_members_come_and_go_at_numbers(store: Store) -> None:
    await create_group(store, "bob")
    await append(store, "m1", conversation_id=GROUP)
    added = await add(store, "carol", "dave")
    assert added.group.members["carol"].joined == 3
    assert added.group.members["bob"].joined == 1
    removed = await remove(store, "carol")
    assert "carol" not in removed.group.members
    assert removed.group.barred == {"carol"}
    assert await store.groups.spans(GROUP, "carol") == [Span(3, 4)]
    assert await store.groups.spans(GROUP, "bob") == [Span(1)]
    again = await add(store, "carol", change="again")
    assert again.group.barred == frozenset()
    assert await store.groups.spans(GROUP, "carol") == [Span(3, 4), Span(5)]
    assert await store.groups.find(GROUP) == again.group


async def test_a_change_precedes_what_is_sent_after_it(store: Store) -> None:
    await create_group(store, "bob")
    await remove(store, "bob")
    await append(store, conversation_id=GROUP)
    (span,) = await store.groups.spans(GROUP, "bob")
    assert numbers(await store.timeline.read_after(GROUP, 0, 10, [span], ALICE)) == [1, 2]


async def test_a_departing_owner_leaves_two_messages(store: Store) -> None:
    await create_group(store, "bob", "carol")
    actor = Actor("alice", NOW_MS, "gone")
    changed = await store.groups.change(GROUP, lambda group: rules.depart(group, actor))
    assert [place.sequence_number for place in changed.placed] == [2, 3]
    assert changed.group.owner_id == "bob"
    assert await store.groups.spans(GROUP, "alice") == [Span(1, 2)]
    found = await store.groups.find(GROUP)
    assert found == changed.group
    assert found is not None
    assert found.members["bob"].role is Role.OWNER


async def test_roles_are_kept(store: Store) -> None:
    await create_group(store, "bob", "carol")
    actor = Actor("alice", NOW_MS, "role")
    await store.groups.change(GROUP, lambda group: rules.set_role(group, actor, "bob", Role.ADMIN))
    group = await store.groups.find(GROUP)
    assert group is not None
    assert {user: member.role for user, member in group.members.items()} == {
        "alice": Role.OWNER,
        "bob": Role.ADMIN,
        "carol": Role.MEMBER,
    }
    assert await store.groups.spans(GROUP, "bob") == [Span(1)]


async def test_a_deleted_group_has_no_members(store: Store) -> None:
    await create_group(store, "bob")
    actor = Actor("alice", NOW_MS, "end")
    changed = await store.groups.change(GROUP, lambda group: rules.delete(group, actor))
    assert changed.group.deleted
    group = await store.groups.find(GROUP)
    assert group == changed.group
    assert group is not None
    assert group.members == {}
    assert await store.groups.spans(GROUP, "bob") == [Span(1, 2)]
    assert await store.groups.of_user("bob") == []


async def test_groups_of_a_user(store: Store) -> None:
    await append(store)
    for name in ("one", "two", "three"):
        await create_group(store, "bob", conversation_id=f"group:{name}")
    await remove(store, "bob", conversation_id="group:two")
    assert await store.groups.of_user("bob") == ["group:one", "group:three"]
    assert await store.groups.of_user("alice") == ["group:one", "group:three", "group:two"]


async def test_concurrent_changes_are_put_in_order(store: Store) -> None:
    await create_group(store)
    people = [f"user{number:02}" for number in range(20)]
    changes = await asyncio.gather(*(add(store, one) for one in people))
    assert sorted(change.group.roster_version for change in changes) == list(range(2, 22))
    group = await store.groups.find(GROUP)
    assert group is not None
    assert group.roster_version == 21
    assert sorted(group.members) == ["alice", *people]
    assert sorted(member.joined for member in group.members.values()) == list(range(1, 22))


async def test_one_of_two_who_take_the_last_place(store: Store) -> None:
    await create_group(store)

    async def take(user_id: str) -> GroupChanged:
        actor = Actor("alice", NOW_MS, user_id)
        return await store.groups.change(GROUP, lambda group: rules.add_members(group, actor, [user_id], 2))

    outcomes = await asyncio.gather(take("bob"), take("carol"), return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, CooeeError)]
    assert [refusal.code for refusal in refusals] == [ErrorCode.TOO_LARGE]
    group = await store.groups.find(GROUP)
    assert group is not None
    assert len(group.members) == 2


async def test_five_hundred_members(store: Store) -> None:
    people = [f"user{number:03}" for number in range(499)]
    await create_group(store, *people)
    group = await store.groups.find(GROUP)
    assert group is not None
    assert len(group.members) == 500
    await append(store, conversation_id=GROUP)
    assert [missed.last for missed in await store.timeline.missed(ALICE)] == [2]


async def test_a_hostile_name_is_kept_as_it_is(store: Store) -> None:
    for number, text in enumerate(HOSTILE):
        conversation_id = f"group:{number}"
        group = Group(conversation_id, text, "alice", {"alice": Member("alice", Role.OWNER, 0)}, 1, NOW_MS)
        change = Change(group, (record(f"c{number}", conversation_id=conversation_id),), (("alice",),))
        await store.groups.change(conversation_id, lambda _group, change=change: change)  # type: ignore[misc]
        found = await store.groups.find(conversation_id)
        assert found is not None
        assert found.name == text


async def test_a_group_is_there_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await create_group(sqlite_store, "bob", "carol")
    changed = await remove(sqlite_store, "bob")
    store = await reopened(sqlite_store, tmp_path)
    assert await store.groups.find(GROUP) == changed.group
    assert await store.groups.spans(GROUP, "bob") == [Span(1, 2)]
    assert numbers(await store.timeline.read_after(GROUP, 0, 10, ALL, ALICE)) == [1, 2]
    await store.aclose()


async def test_a_message_racing_a_removal_is_numbered(store: Store) -> None:
    await create_group(store, "bob")
    _, places = await asyncio.gather(
        remove(store, "bob"), append_all(store, [record("race", conversation_id=GROUP, sender=ALICE)])
    )
    assert places[0].sequence_number in {2, 3}
    assert (await store.timeline.head(GROUP)).last == 3


# Invitations


async def invite(store: Store, token: bytes = b"hash", **changes: int) -> None:
    await create_group(store)
    await store.groups.put_invite(InviteToken(token, GROUP, "alice", **changes))


async def test_an_invitation_counts_its_uses(store: Store) -> None:
    await invite(store)
    used = await store.groups.use_invite(b"hash", NOW_MS)
    assert used == InviteToken(b"hash", GROUP, "alice", 0, 0, 1)
    used = await store.groups.use_invite(b"hash", NOW_MS)
    assert used is not None
    assert used.uses == 2
    assert await store.groups.use_invite(b"other", NOW_MS) is None


async def test_an_invitation_is_used_up(store: Store) -> None:
    await invite(store, max_uses=3)
    uses = await asyncio.gather(*(store.groups.use_invite(b"hash", NOW_MS) for _ in range(5)))
    assert sum(use is not None for use in uses) == 3


async def test_an_invitation_expires(store: Store) -> None:
    await invite(store, expires_at=NOW_MS + DAY_MS)
    assert await store.groups.use_invite(b"hash", NOW_MS + DAY_MS - 1) is not None
    assert await store.groups.use_invite(b"hash", NOW_MS + DAY_MS) is None


async def test_an_invitation_replaces_the_former(store: Store) -> None:
    await invite(store, b"first")
    await store.groups.put_invite(InviteToken(b"second", GROUP, "alice"))
    await store.groups.put_invite(InviteToken(b"other", "group:other", "alice"))
    assert await store.groups.use_invite(b"first", NOW_MS) is None
    assert await store.groups.use_invite(b"second", NOW_MS) is not None
    await store.groups.delete_invites(GROUP)
    assert await store.groups.use_invite(b"second", NOW_MS) is None
    assert await store.groups.use_invite(b"other", NOW_MS) is not None
