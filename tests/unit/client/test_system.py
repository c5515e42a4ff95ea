"""What system messages say of a group."""

from typing import Any

import pytest

from cooee.client.model import message_of
from cooee.client.state import ConversationState
from cooee.client.system import after_system_message
from tests.fakes.client_frames import GROUP, told

KNOWN = ConversationState(GROUP, roster={"alice": 1, "bob": 1}, roster_exact=True)


@pytest.mark.parametrize(
    ("event", "content", "changes"),
    [
        (
            "group_created",
            {"name": "G", "members": ["alice", "carol"]},
            {"title": "G", "roster": {"alice": 7, "carol": 7}, "roster_exact": True, "left": False},
        ),
        ("group_renamed", {"name": "H"}, {"title": "H"}),
        ("group_renamed", {"name": 3}, {}),
        ("member_added", {"userIds": ["carol"]}, {"roster": {"alice": 1, "bob": 1, "carol": 7}}),
        ("member_added", {"userIds": ["alice"]}, {"roster": {"alice": 7, "bob": 1}, "left": False}),
        ("member_removed", {"userIds": ["bob"]}, {"roster": {"alice": 1}}),
        ("member_left", {"userIds": ["alice"]}, {"roster": {"bob": 1}, "left": True}),
        ("member_removed", {"userIds": "bob"}, {"roster": {"alice": 1, "bob": 1}}),
        ("role_changed", {"userId": "bob", "role": "admin"}, {}),
        ("confetti", {}, {}),
    ],
)
def test_events(event: str, content: dict[str, Any], changes: dict[str, Any]) -> None:
    assert after_system_message(KNOWN, message_of(told(7, event, **content)), "alice") == changes


def test_an_unknown_roster_stays_unknown() -> None:
    unknown = ConversationState(GROUP)
    assert after_system_message(unknown, message_of(told(7, "member_added", userIds=["carol"])), "alice") == {}
    assert after_system_message(unknown, message_of(told(7, "member_left", userIds=["alice"])), "alice") == {
        "left": True
    }
