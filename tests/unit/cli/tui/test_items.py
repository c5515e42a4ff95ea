"""What is shown of a chat, and in which order."""

from typing import Any

import msgspec

from cooee.cli.tui.items import Bubble, Item, Notice, Scene, items
from cooee.cli.tui.timeline import Timeline
from cooee.client import HistoryPage, Message
from tests.unit.cli.tui.cases import DIRECT, NOW, message, ms, pending, system, view

DAY_MS = 86_400_000


def scene(**changes: Any) -> Scene:
    """Return a scene as Alice sees it."""
    fields: dict[str, Any] = {
        "me": "alice",
        "view": view(),
        "waiting": (),
        "unread_above": 0,
        "unread_count": 0,
        "now": NOW,
    }
    return Scene(**fields | changes)


def shown(messages: list[Message], **changes: Any) -> list[Item]:
    """Return the items of a chat with these messages."""
    timeline = Timeline(DIRECT)
    timeline.begin(HistoryPage(tuple(messages), complete=False, from_server=False), 0, at_end=True)
    return items(timeline, scene(**changes))


def bubbles(found: list[Item]) -> list[Bubble]:
    """Return the messages among items."""
    return [item for item in found if isinstance(item, Bubble)]


def kinds(found: list[Item]) -> list[str]:
    """Return what kind each item is."""
    return [item.kind if isinstance(item, Notice) else "bubble" for item in found]


def test_each_day_begins_with_its_name() -> None:
    yesterday = message(1, timestamp=ms(NOW) - DAY_MS)
    found = shown([yesterday, message(2), message(3)])
    assert kinds(found) == ["day", "bubble", "day", "bubble", "bubble"]
    assert [item.text for item in found if isinstance(item, Notice)] == ["Yesterday", "Today"]


def test_messages_of_one_sender_within_two_minutes_join() -> None:
    late = message(4, timestamp=message(3).timestamp + 120_001)
    found = bubbles(shown([message(1), message(2), message(3, sender="carol"), late]))
    assert [bubble.joined for bubble in found] == [False, True, False, False]


def test_own_messages_have_ticks_from_the_watermarks() -> None:
    messages = [message(number, sender="alice") for number in range(1, 4)]
    found = bubbles(shown(messages, view=view(delivered_through=2, read_through=1)))
    assert [bubble.status for bubble in found] == ["read", "delivered", "sent"]
    assert bubbles(shown([message(1)]))[0].status == ""


def test_the_line_above_the_unread_stands_once_and_never_above_own_ones() -> None:
    messages = [message(1), message(2, sender="alice"), message(3), message(4)]
    assert kinds(shown(messages, unread_above=1, unread_count=2)) == [
        "day",
        "bubble",
        "bubble",
        "unread",
        "bubble",
        "bubble",
    ]
    found = shown(messages, unread_above=1, unread_count=999)
    assert [item.text for item in found if isinstance(item, Notice) and item.kind == "unread"] == [
        "999+ unread messages"
    ]


def test_what_waits_stands_behind_everything_in_the_order_of_writing() -> None:
    waiting = [pending("c8"), pending("c9", status="failed", reason="blocked")]
    found = bubbles(shown([message(1), message(2)], waiting=waiting))
    assert [(bubble.key, bubble.number, bubble.status) for bubble in found] == [
        ("1", 1, ""),
        ("2", 2, ""),
        ("c8", 0, "pending"),
        ("c9", 0, "failed"),
    ]
    assert found[-1].reason == "blocked"


def test_what_waits_is_not_shown_in_the_middle_of_the_past() -> None:
    timeline = Timeline(DIRECT)
    timeline.begin(HistoryPage((message(1),), complete=False, from_server=False), 1, at_end=False)
    assert len(bubbles(items(timeline, scene(waiting=[pending("c8")])))) == 1


def test_what_happened_is_told_and_what_is_silent_is_not() -> None:
    messages = [
        system(1, "group_created", actorId="bob", name="Choir"),
        system(2, "message_deleted", sequenceNumber=1),
        message(3, silent=True),
        message(4, content_type="deleted", content=None, sender="alice"),
        message(5, content_type="audio", content={}),
    ]
    found = shown(messages)
    assert kinds(found) == ["day", "event", "bubble", "bubble"]
    assert [item.text for item in found if isinstance(item, Notice)] == ["Today", "bob created the group Choir"]
    assert [(bubble.content, bubble.plain, bubble.status) for bubble in bubbles(found)] == [
        ("This message was deleted", False, ""),
        ("[audio]", False, ""),
    ]


def test_a_reply_quotes_what_it_answers() -> None:
    found = bubbles(shown([message(1, "why?"), message(2, reply_to="1"), message(3, reply_to="gone")]))
    assert [bubble.quote for bubble in found] == [None, ("bob", "why?"), ("", "an earlier message")]


def test_a_chat_says_where_it_begins() -> None:
    timeline = Timeline(DIRECT)
    timeline.begin(HistoryPage((), complete=True, from_server=False), 0, at_end=True)
    [nothing] = items(timeline, scene())
    assert isinstance(nothing, Notice)
    assert "first message" in nothing.text
    [begins, *_] = items(timeline, scene(waiting=[pending("c1")]))
    assert isinstance(begins, Notice)
    assert "begins" in begins.text


def test_a_file_has_its_line_and_its_caption_also_while_it_waits() -> None:
    content = {"mediaKey": "k" * 32, "mimeType": "image/png", "size": 3000, "filename": "a\x1bb.png", "caption": "look"}
    told = msgspec.structs.replace(message(1), content_type="image", content=content)
    waiting = msgspec.structs.replace(pending("c1"), content_type="image", content=content)
    for bubble in bubbles(shown([told], waiting=[waiting])):
        assert bubble.file == "[image] a\\x1bb.png (2.9 KiB, image/png)"
        assert (bubble.content, bubble.plain) == ("look", True)
