"""What single frames change, cause and tell."""

import msgspec
import pytest

from cooee.client.events import AccountUpdated, MessageDeleted, Presence, TickChanged, ToDevice, Typing
from cooee.client.model import Message
from cooee.client.state import State
from cooee.client.turn import TYPING_EXPIRES_MS, Turn
from cooee.domain.conversation import Role
from cooee.domain.receipt import Watermark
from cooee.protocol import frames, http
from tests.fakes.client_frames import CHAT, GROUP, ME, ack, page, pending, raw, said, take, told


def entry(chat: str = CHAT, **fields: object) -> http.Conversation:
    values: dict[str, object] = {
        "conversation_id": chat,
        "kind": "direct",
        "title": "Bob",
        "last_sequence_number": 12,
        "first_sequence_number": 1,
        "received_sequence_number": 10,
        "read_sequence_number": 8,
        "unread": 4,
        "last_activity": 12_000,
        **fields,
    }
    return http.Conversation(**values)  # type: ignore[arg-type]


def snapshot(state: State, conversation: http.Conversation) -> Turn:
    turn = Turn(state)
    turn.snapshot(conversation)
    turn.finish().install()
    return turn


def messages_of(turn: Turn) -> list[int]:
    return [event.sequence_number for event in turn.events if isinstance(event, Message)]


def test_a_turn_leaves_the_state_alone_until_it_is_installed() -> None:
    state = State(ME, pending=[pending("k1")])
    turn = Turn(state)
    turn.take(said(1))
    turn.take(ack("k1", 2))
    assert state.find(CHAT) is None
    assert state.outbox.find("k1") is not None
    turn.install()
    assert state.conversations[CHAT].position == 2
    assert state.outbox.find("k1") is None


def test_an_unknown_chat_that_begins_at_one_needs_no_question() -> None:
    turn = take(State(ME), said(1))
    assert messages_of(turn) == [1]
    assert not turn.learn


def test_an_unknown_chat_is_asked_for_and_then_delivered_from_where_this_device_starts() -> None:
    state = State(ME)
    first = take(state, said(41), said(42))
    assert messages_of(first) == []
    assert first.learn == {CHAT}
    item = frames.ConversationWatermarks(CHAT, 42, 40, 0)
    assert messages_of(take(state, frames.Watermarks((item,)))) == [41, 42]
    assert state.conversations[CHAT].start == 40


def test_an_own_message_ends_its_wait_and_is_no_news() -> None:
    state = State(ME, pending=[pending("k1", text="hi")])
    turn = take(state, ack("k1", 1))
    assert turn.placed["k1"].text == "hi"
    assert turn.messages[CHAT, 1].sender_device_id == "d1"
    assert turn.events == [TickChanged(CHAT, "sent", 1, "k1")]


def test_an_own_message_beyond_a_hole_counts_as_sent_and_waits_for_its_turn() -> None:
    state = State(ME, pending=[pending("k1")])
    take(state, ack("k1", 3))
    assert not state.conversations[CHAT].learned or state.conversations[CHAT].has_gap
    state = State(ME, pending=[pending("k1")])
    take(state, said(1))
    turn = take(state, ack("k1", 3))
    conversation = state.conversations[CHAT]
    assert (conversation.position, conversation.has_gap) == (1, True)
    assert TickChanged(CHAT, "sent", 3, "k1") in turn.events
    take(state, frames.Receipt(CHAT, "delivered", 3, "bob"))
    assert state.conversations[CHAT].ticked == Watermark(1, 0)
    turn = take(state, said(2))
    assert state.conversations[CHAT].position == 3
    assert TickChanged(CHAT, "delivered", 3) in turn.events


def test_an_ack_without_number_is_a_tick_and_the_number_follows() -> None:
    state = State(ME, pending=[pending("k1")])
    turn = take(state, ack("k1", None))
    assert turn.events == [TickChanged(CHAT, "sent", None, "k1")]
    assert state.outbox.find("k1") is not None
    turn = take(state, frames.Committed("k1", CHAT, "1001", 1))
    assert turn.placed["k1"].timestamp == 5000
    assert state.outbox.find("k1") is None


def test_an_own_message_that_comes_as_a_message_is_found_in_the_outbox() -> None:
    state = State(ME, pending=[pending("k1")])
    turn = take(state, said(1, sender="alice", device="d1", key="k1"))
    assert list(turn.placed) == ["k1"]
    assert messages_of(turn) == []


def test_an_own_message_below_where_this_device_starts_is_kept_all_the_same() -> None:
    """The server counts it as held from the append on, so a device that was killed may start above it."""
    state = State(ME, pending=[pending("k1")])
    snapshot(state, entry(received_sequence_number=12))
    turn = take(state, ack("k1", 12))
    assert turn.messages[CHAT, 12].client_message_id == "k1"
    assert state.conversations[CHAT].position == 12


def test_a_message_of_an_own_other_device_is_news() -> None:
    assert messages_of(take(State(ME), said(1, sender="alice", device="d2"))) == [1]


@pytest.mark.parametrize(("code", "retryable"), [("blocked", False), ("too_large", False), ("not_a_member", False)])
def test_a_final_refusal_fails_the_message(code: str, retryable: bool) -> None:
    state = State(ME, pending=[pending("k1")])
    turn = take(state, frames.Error(code, "no", retryable, client_message_id="k1"))
    assert turn.events == [TickChanged(CHAT, "failed", None, "k1", code, "no")]
    failed = state.outbox.find_failed("k1")
    assert failed is not None
    assert (failed.status, failed.code, failed.reason) == ("failed", code, "no")


@pytest.mark.parametrize(
    ("code", "retryable"), [("rate_limited", True), ("unavailable", True), ("unauthorized", False)]
)
def test_a_passing_refusal_keeps_the_message(code: str, retryable: bool) -> None:
    state = State(ME, pending=[pending("k1")])
    take(state, frames.Error(code, "later", retryable, client_message_id="k1", retry_after_ms=50))
    assert state.outbox.find("k1") is not None


def test_skipped_numbers_let_the_position_pass() -> None:
    state = State(ME)
    take(state, said(1), said(5))
    turn = take(state, frames.Skipped(CHAT, 2, 4, "retention"))
    assert messages_of(turn) == [5]
    assert state.conversations[CHAT].position == 5


def test_a_page_fills_a_hole() -> None:
    state = State(ME)
    take(state, said(1), said(4))
    turn = take(state, page(said(2), first=2, through=3))
    assert messages_of(turn) == [2, 4]


def test_what_comes_again_is_dropped_and_noted() -> None:
    state = State(ME)
    take(state, said(1), said(2))
    turn = take(state, said(2), said(1))
    assert turn.events == []
    assert turn.redelivered == {CHAT: 1}
    assert not turn.messages


def test_a_deletion_erases_and_tells() -> None:
    state = State(ME)
    take(state, said(1))
    turn = take(state, told(2, "message_deleted", chat=CHAT, sequenceNumber=1))
    assert turn.erased == [(CHAT, 1)]
    assert MessageDeleted(CHAT, 1, "bob") in turn.events


def test_receipts_tick_and_never_untick() -> None:
    state = State(ME, pending=[pending("k1"), pending("k2")])
    take(state, ack("k1", 1), ack("k2", 2))
    turn = take(state, frames.Receipt(CHAT, "read", 2, "bob"))
    assert turn.events == [TickChanged(CHAT, "delivered", 2), TickChanged(CHAT, "read", 2)]
    assert take(state, frames.Receipt(CHAT, "delivered", 1, "bob")).events == []
    assert state.conversations[CHAT].ticked == Watermark(2, 2)


def test_reading_on_another_device_counts_here() -> None:
    state = State(ME)
    take(state, said(1), said(2))
    take(state, frames.Receipt(CHAT, "read", 2, "alice"))
    conversation = state.conversations[CHAT]
    assert (conversation.read, conversation.read_confirmed) == (2, 2)


def test_reading_here_stays_unconfirmed_until_the_server_says_so() -> None:
    state = State(ME)
    take(state, said(1), said(2))
    turn = Turn(state)
    turn.mark_read(CHAT, 99)
    turn.finish().install()
    assert (state.conversations[CHAT].read, state.conversations[CHAT].read_confirmed) == (2, 0)
    take(state, frames.Receipt(CHAT, "read", 2, "alice", ref="r1"))
    assert state.conversations[CHAT].read_confirmed == 2


def test_a_hint_moves_the_head_and_nothing_else() -> None:
    state = State(ME)
    take(state, told(1, "group_created", name="Big", members=["alice", "bob"]))
    take(state, frames.TimelineHint(GROUP, 50))
    conversation = state.conversations[GROUP]
    assert (conversation.position, conversation.head, conversation.hinted) == (1, 50, True)
    take(state, page(chat=GROUP, first=2, through=50))
    assert not state.conversations[GROUP].hinted


def test_the_roster_follows_the_timeline() -> None:
    state = State(ME)
    take(
        state, told(1, "group_created", name="G", members=["alice", "bob"]), told(2, "member_added", userIds=["carol"])
    )
    assert state.conversations[GROUP].roster == {"alice": 1, "bob": 1, "carol": 2}
    take(state, told(3, "group_renamed", name="H"), told(4, "member_removed", userIds=["alice", "bob"]))
    conversation = state.conversations[GROUP]
    assert (conversation.title, conversation.left, conversation.roster) == ("H", True, {"carol": 2})
    take(state, told(5, "member_added", userIds=["alice"]))
    assert not state.conversations[GROUP].left


def test_a_system_message_of_an_unknown_kind_changes_nothing() -> None:
    state = State(ME)
    take(state, told(1, "group_created", name="G", members=["alice"]))
    before = state.conversations[GROUP]
    take(state, told(2, "confetti", userIds=3), told(3, "member_added", userIds="carol"))
    assert state.conversations[GROUP].roster == before.roster


def test_a_snapshot_says_where_a_new_device_starts() -> None:
    state = State(ME)
    snapshot(state, entry(members=(frames.MemberWatermark("bob", 9, 7),)))
    conversation = state.conversations[CHAT]
    assert (conversation.title, conversation.start, conversation.position, conversation.head) == ("Bob", 10, 10, 12)
    assert conversation.marks["bob"] == Watermark(9, 7)
    assert messages_of(take(state, said(11), said(12))) == [11, 12]


def test_an_old_snapshot_does_no_harm() -> None:
    state = State(ME)
    snapshot(state, entry(last_sequence_number=12, received_sequence_number=0, read_sequence_number=8))
    take(state, page(first=1, through=12), said(13))
    snapshot(state, entry(last_sequence_number=3, received_sequence_number=0, read_sequence_number=2, left=True))
    conversation = state.conversations[CHAT]
    assert (conversation.position, conversation.head, conversation.read, conversation.left) == (13, 13, 8, False)


def test_a_snapshot_that_knows_more_received_than_is_held_shows_a_gap() -> None:
    state = State(ME)
    take(state, said(1))
    snapshot(state, entry(received_sequence_number=10))
    assert state.conversations[CHAT].has_gap


def test_a_listed_roster_is_asked_for_once_own_messages_depend_on_it() -> None:
    state = State(ME, pending=[pending("k1", GROUP)])
    marks = (frames.MemberWatermark("alice", 5, 5), frames.MemberWatermark("bob", 9, 9))
    turn = snapshot(state, entry(GROUP, kind="group", received_sequence_number=12, members=marks))
    assert not turn.rosters
    assert take(state, ack("k1", 13, GROUP)).rosters == {GROUP}
    turn = Turn(state)
    members = (http.GroupMember("alice", Role.OWNER, 1), http.GroupMember("bob", Role.MEMBER, 3))
    turn.roster(http.Group(GROUP, "G", "alice", members, 2, 0))
    turn.finish().install()
    assert state.conversations[GROUP].roster == {"alice": 1, "bob": 3}
    assert not take(state, said(14, chat=GROUP)).rosters


def test_a_changed_conversation_carries_a_token_only_once_there_is_one() -> None:
    state = State(ME)
    changed = frames.ConversationChanged(raw(msgspec.json.decode(msgspec.json.encode(entry(pinned=True)))), "t1")
    assert take(state, changed).sync_token is None
    assert state.conversations[CHAT].pinned
    state.sync_token = "t0"
    take(state, changed)
    assert state.sync_token == "t1"


def test_a_conversation_with_a_last_message_is_understood() -> None:
    wire = msgspec.json.decode(msgspec.json.encode(entry()))
    wire["lastMessage"] = {"type": "message", "content": "x"}
    state = State(ME)
    take(state, frames.ConversationChanged(raw(wire), "t1"))
    assert state.conversations[CHAT].title == "Bob"


def test_typing_ends_by_itself_and_with_a_message() -> None:
    state = State(ME)
    typing = frames.Typing(CHAT, "started", user_id="bob")
    assert take(state, typing, now=100).events == [Typing(CHAT, "bob", "started")]
    turn = Turn(state, 100 + TYPING_EXPIRES_MS)
    turn.expire_typing()
    assert turn.events == [Typing(CHAT, "bob", "stopped")]
    turn.install()
    assert not state.typing
    take(state, typing)
    assert Typing(CHAT, "bob", "stopped") in take(state, said(1)).events


def test_own_typing_is_no_news() -> None:
    assert take(State(ME), frames.Typing(CHAT, "started", user_id="alice")).events == []


def test_presence_and_account_changes_are_told() -> None:
    turn = take(State(ME), frames.Presence("bob", "online"), frames.AccountChanged("contacts", sync_token="t"))
    assert turn.events == [Presence("bob", "online"), AccountUpdated("contacts")]
    assert turn.is_empty


def test_a_blob_for_the_device_is_told_once() -> None:
    state = State(ME)
    blob = frames.ToDevice(1, "bob", "d7", "x")
    assert take(state, blob, blob).events == [ToDevice(1, "bob", "d7", "x")]
    assert take(state, blob).events == []


def test_only_what_can_be_seen_counts_as_updated() -> None:
    state = State(ME)
    first, early, again = Turn(state), Turn(state), Turn(state)
    first.take(said(1))
    assert first.updated == [CHAT]
    first.install()
    early.take(said(3))
    assert early.updated == [CHAT], "the head moved"
    early.install()
    again.take(said(3))
    assert again.updated == []
