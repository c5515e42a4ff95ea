"""What may be done with a group and its members, by role."""

from cooee.cli.tui.book import Book
from cooee.cli.tui.details import group_choices, member_choices, member_rows, person_text, role_in
from cooee.cli.tui.finding import around
from cooee.cli.tui.group_dialogs import user_list
from cooee.cli.tui.message_list import act_at
from cooee.cli.tui.palette import Span
from cooee.client import ConnectionState, Presence
from cooee.domain.conversation import Role
from cooee.protocol import http
from tests.unit.cli.tui.cases import DIRECT, GROUP, NOW, ms


def group() -> http.Group:
    """Return a group of three."""
    roles = {"dora": Role.MEMBER, "alice": Role.OWNER, "bob": Role.ADMIN}
    return http.Group(
        GROUP, "Choir", "alice", tuple(http.GroupMember(user, role, 1) for user, role in roles.items()), 1, 1
    )


def keys(choices: list[tuple[str, str]]) -> list[str]:
    """Return what can be chosen."""
    return [key for key, _ in choices]


def test_a_group_offers_what_the_role_allows() -> None:
    assert keys(group_choices(group(), "alice")) == ["add", "invite", "revoke", "rename", "delete"]
    assert keys(group_choices(group(), "bob")) == ["add", "invite", "revoke", "rename", "leave"]
    assert keys(group_choices(group(), "dora")) == ["leave"]
    assert role_in(group(), "nobody") == Role.MEMBER


def test_members_with_a_role_come_first() -> None:
    assert [text for _, text in member_rows(group(), "bob")] == ["alice  (owner)", "bob  (admin, you)", "dora"]


def test_a_member_can_be_dealt_with_as_the_roles_allow() -> None:
    assert keys(member_choices(Role.OWNER, Role.MEMBER, "dora")) == ["chat", "admin", "owner", "remove"]
    assert keys(member_choices(Role.OWNER, Role.ADMIN, "bob")) == ["chat", "member", "owner", "remove"]
    assert keys(member_choices(Role.ADMIN, Role.MEMBER, "dora")) == ["chat", "remove"]
    assert keys(member_choices(Role.ADMIN, Role.OWNER, "alice")) == ["chat"]
    assert keys(member_choices(Role.MEMBER, Role.MEMBER, "bob")) == ["chat"]


def test_a_person_is_described() -> None:
    book = Book("alice")
    assert "not told" in person_text(book, DIRECT, None, NOW)
    assert person_text(book, DIRECT, http.User("bob", "Bob", bot=True), NOW).startswith("@bob, a bot\n")
    book.take(Presence("bob", "offline", ms(NOW) - 3_600_000))
    told = person_text(book, DIRECT, http.User("bob", "Bob", "sings\x1b[31m"), NOW)
    assert told.splitlines() == ["@bob", "sings\\x1b[31m", "last seen today at 11:00"]
    book.take(ConnectionState("online"))
    book.take(Presence("bob", "online"))
    assert person_text(book, DIRECT, None, NOW).endswith("online")


def test_users_are_read_however_they_are_separated() -> None:
    assert user_list("bob, @Carol;dora  bob") == ("bob", "carol", "dora")


def test_what_was_searched_is_in_sight() -> None:
    assert around("short bach", "bach") == "short bach"
    assert around("x" * 500 + " Bach fugue", "bach").startswith("…")
    assert "Bach fugue" in around("x" * 500 + " Bach fugue", "bach")


def test_a_click_finds_what_it_is_on() -> None:
    line = (Span("   "), Span("漢字", act="open:1"), Span("x"))
    assert [act_at(line, x) for x in (2, 3, 6, 7, 99)] == ["", "open:1", "open:1", "", ""]
