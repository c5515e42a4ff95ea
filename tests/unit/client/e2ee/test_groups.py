"""Who was a member when, from what the server says and from system messages, in whatever order both come."""

import msgspec
import pytest

from cooee.client.e2ee import groups
from cooee.client.e2ee.step import Step
from cooee.domain.conversation import Role
from cooee.protocol import frames
from cooee.protocol.http import Group, GroupMember
from tests.fakes.e2ee_scene import quiet

GROUP = "group:g"


@pytest.fixture
def step() -> Step:
    world = quiet(1)
    return world.boxes[0].agent.draft(world.server.now).step


def told(number: int, event: str, **content: object) -> frames.MessageFrame:
    raw = msgspec.Raw(msgspec.json.encode({"event": event, **content}))
    return frames.MessageFrame("1", GROUP, number, "", "", "", 0, "system", raw)


def group(version: int, **joined: int) -> Group:
    members = tuple(GroupMember(user, Role.MEMBER, number, 3) for user, number in joined.items())
    return Group(GROUP, "g", "a", members, version, 0, (), "hash")


def test_who_leaves_stands_in_the_past(step: Step) -> None:
    groups.system(step, told(1, "group_created", members=["a", "b"]))
    groups.system(step, told(5, "member_added", userIds=["c"]))
    groups.system(step, told(9, "member_removed", userIds=["b"]))
    groups.system(step, told(12, "member_left", userIds=["c"]))
    state = step.group(GROUP)
    assert state is not None
    assert state.past == (("b", 1, 9), ("c", 5, 12))
    assert state.since == {"a": 1}


def test_a_late_event_brings_nobody_back(step: Step) -> None:
    groups.take(step, group(4, a=1))
    groups.system(step, told(5, "member_added", userIds=["c"]))
    state = step.group(GROUP)
    assert state is not None
    assert state.members == {"a": 1}, "only the server says who is a member now"
    groups.system(step, told(6, "member_removed", userIds=["c"]))
    state = step.group(GROUP)
    assert state is not None
    assert state.past == (("c", 5, 6),)


def test_who_left_is_taken_out_at_once_but_not_who_came_back_since(step: Step) -> None:
    groups.take(step, group(4, a=1, b=20, c=2))
    groups.system(step, told(9, "member_removed", userIds=["b"]))
    groups.system(step, told(10, "member_removed", userIds=["c"]))
    state = step.group(GROUP)
    assert state is not None
    assert state.members == {"a": 1, "b": 20}


def test_an_older_answer_of_the_server_is_not_taken(step: Step) -> None:
    groups.take(step, group(4, a=1))
    groups.take(step, group(3, a=1, b=1))
    state = step.group(GROUP)
    assert state is not None
    assert state.members == {"a": 1}
    assert state.list_versions == {"a": 3}


@pytest.mark.parametrize(
    "frame",
    [
        told(3, "group_renamed", name="x"),
        told(3, "member_removed", userIds=7),
        frames.MessageFrame("1", GROUP, 3, "", "", "", 0, "system"),
        frames.MessageFrame("1", GROUP, 3, "", "", "", 0, "system", msgspec.Raw(b"[")),
    ],
)
def test_what_says_nothing_of_members_changes_nothing(step: Step, frame: frames.MessageFrame) -> None:
    groups.system(step, frame)
    assert step.group(GROUP) is None


def test_the_past_is_bounded(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    assert groups.PAST_LIMIT == 1_000
    monkeypatch.setattr(groups, "PAST_LIMIT", 2)
    for number in range(1, 11, 2):
        groups.system(step, told(number, "member_added", userIds=["b"]))
        groups.system(step, told(number + 1, "member_left", userIds=["b"]))
    state = step.group(GROUP)
    assert state is not None
    assert state.past == (("b", 7, 8), ("b", 9, 10))


def test_a_group_that_is_gone_has_no_members(step: Step) -> None:
    groups.take(step, group(4, a=1))
    groups.gone(step, GROUP)
    state = step.group(GROUP)
    assert state is not None
    assert state.gone
    assert not state.members
    groups.take(step, group(5, a=1))
    state = step.group(GROUP)
    assert state is not None
    assert not state.gone
