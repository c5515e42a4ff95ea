"""The view of one conversation: who wrote what it remembers, who may see a number."""

from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.conversation import Member, Role
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.receipt import Watermark
from cooee.protocol.codec import encode_system_body
from cooee.services.conversation_view import ConversationView, changes_roster


def message(
    number: int, sender: str = "alice", content_type: str = "text", body: bytes = b'{"content":"x"}'
) -> Message:
    return Message("group:g", number, number, sender, "d1", f"c{number}", 0, content_type, body)


def view_of(*user_ids: str, head: int = 0, joined: int = 1) -> ConversationView:
    return ConversationView("group:g", {user: Member(user, Role.MEMBER, joined) for user in user_ids}, head=head)


def test_senders_of_a_range_are_known_from_what_was_observed() -> None:
    view = view_of("alice", "bob")
    for number, sender in enumerate(["alice", "bob", "alice"], start=1):
        view.observe(message(number, sender))
    assert view.senders(0, 3) == frozenset({"alice", "bob"})
    assert view.senders(1, 2) == frozenset({"bob"})
    assert view.senders(3, 3) == frozenset()


def test_senders_before_the_loading_are_unknown() -> None:
    view = view_of("alice", head=10)
    view.observe(message(11))
    assert view.senders(9, 11) is None
    assert view.senders(10, 11) == frozenset({"alice"})


def test_senders_above_the_head_are_unknown() -> None:
    view = view_of("alice")
    view.observe(message(1))
    assert view.senders(0, 2) is None


def test_system_messages_have_no_sender() -> None:
    view = view_of("alice")
    view.observe(message(1, "alice", CONTENT_SYSTEM))
    view.observe(message(2, "alice"))
    assert view.senders(0, 1) == frozenset()
    assert view.senders(0, 2) == frozenset({"alice"})


def test_a_gap_forgets_who_wrote_before_it() -> None:
    view = view_of("alice", "bob")
    view.observe(message(1, "bob"))
    view.observe(message(5, "alice"))
    assert view.head == 5
    assert view.senders(0, 5) is None
    assert view.senders(4, 5) == frozenset({"alice"})


def test_an_old_message_changes_nothing() -> None:
    view = view_of("alice", head=5)
    view.observe(message(5))
    assert view.head == 5
    assert view.senders(4, 5) is None


@given(
    st.integers(0, 30),
    st.lists(st.sampled_from(["alice", "bob", "carol"]), max_size=2000),
    st.data(),
)
def test_senders_agree_with_the_whole_history(head: int, senders: list[str], data: st.DataObject) -> None:
    view = view_of("alice", "bob", "carol", head=head)
    for number, sender in enumerate(senders, start=head + 1):
        view.observe(message(number, sender))
    last = head + len(senders)
    after = data.draw(st.integers(0, last))
    through = data.draw(st.integers(after, last))
    found = view.senders(after, through)
    if found is not None:
        assert found == set(senders[max(0, after - head) : max(0, through - head)])
    if through == last and last - after <= 256 and after >= head:
        assert found is not None


def test_recipients_are_those_who_had_joined() -> None:
    members = {"alice": Member("alice", Role.OWNER, 1), "bob": Member("bob", Role.MEMBER, 7)}
    view = ConversationView("group:g", members, head=7)
    assert view.recipients(6) == ("alice",)
    assert view.recipients(7) == ("alice", "bob")


def test_an_own_message_is_held_by_its_sender_who_stood_before_it() -> None:
    view = ConversationView("group:g", {}, large=True)
    view.observe(message(1, "alice"))
    assert view.watermarks["alice"] == Watermark(1, 0)
    view.observe(message(2, "bob"))
    assert "bob" not in view.watermarks
    view.observe(message(3, "alice"))
    assert view.watermarks["alice"] == Watermark(1, 0)


def test_watermarks_merge_in_any_order() -> None:
    view = ConversationView("group:g", {}, large=True)
    view.note_watermark("alice", Watermark(5, 2))
    view.note_watermark("alice", Watermark(4, 3))
    assert view.watermarks["alice"] == Watermark(5, 3)


def test_only_large_groups_keep_watermarks() -> None:
    view = view_of("alice")
    view.note_watermark("alice", Watermark(5, 2))
    view.observe(message(1, "alice"))
    assert view.watermarks == {}


def test_only_a_deletion_leaves_the_roster_as_it_is() -> None:
    deleted = encode_system_body("message_deleted", "alice", sequenceNumber=1)
    added = encode_system_body("member_added", "alice", userIds=["bob"])
    assert not changes_roster(message(2, "alice", CONTENT_SYSTEM, deleted))
    assert changes_roster(message(2, "alice", CONTENT_SYSTEM, added))
    assert not changes_roster(message(2, "alice", "text", b'{"content":"\\"event\\":\\"member_added\\""}'))


def test_what_is_remembered_of_senders_is_bounded() -> None:
    view = view_of("alice", "bob")
    for number in range(1, 2001):
        view.observe(message(number, "alice" if number % 2 else "bob"))
    assert len(view._recent) <= 512
    assert view.senders(0, 1) is None
    assert view.senders(1999, 2000) == frozenset({"bob"})
    assert view.senders(1744, 2000) == frozenset({"alice", "bob"})
