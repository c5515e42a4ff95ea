"""Rows of groups: how a group is read, and how a change of its roster is written."""

from collections.abc import Iterable
from typing import NamedTuple

import apsw

from cooee.adapters.sqlite.ledger_state import LARGE_SLOT, ConversationState, slot_of
from cooee.domain.conversation import Group, Member, Role

_GROUP = "SELECT name, owner, roster_version, created_at, deleted FROM chat_group WHERE conversation = ?"
_MEMBERS = """SELECT u.id, m.role, m.joined FROM membership AS m JOIN chat_user AS u ON u.key = m.user
    WHERE m.conversation = ? AND m.left_number IS NULL ORDER BY m.joined, u.id"""
_BARRED = "SELECT u.id FROM barred AS b JOIN chat_user AS u ON u.key = b.user WHERE b.conversation = ?"

_PUT_GROUP = (
    "REPLACE INTO chat_group (conversation, name, owner, roster_version, created_at, deleted) VALUES (?, ?, ?, ?, ?, ?)"
)
_JOIN = "INSERT INTO membership (conversation, user, joined, role) VALUES (?, ?, ?, ?)"
_LEAVE = "UPDATE membership SET left_number = ? WHERE conversation = ? AND user = ? AND left_number IS NULL"
_SET_ROLE = "UPDATE membership SET role = ? WHERE conversation = ? AND user = ? AND left_number IS NULL"
_FORGET_FORMER = """DELETE FROM inbox WHERE user = ?2 AND conversation = ?1
    AND EXISTS (SELECT 1 FROM membership WHERE conversation = ?1 AND user = ?2)"""
_ENTER = "INSERT INTO inbox (user, slot, conversation) VALUES (?, ?, ?)"
_LIFT_OUT = "DELETE FROM inbox WHERE user = ? AND slot = ? AND conversation = ?"
_ENTER_LEFT = """INSERT INTO inbox (user, slot, conversation, left_number, left_timestamp, left_position)
    VALUES (?, ?, ?, ?, ?, ?)"""


class Left(NamedTuple):
    """The message that sent somebody away."""

    number: int
    timestamp: int
    position: int


def find_group(connection: apsw.Connection, conversation_id: str) -> Group | None:
    """Read a group with its members."""
    key = connection.execute("SELECT key FROM conversation WHERE id = ?", (conversation_id,)).get
    row = connection.execute(_GROUP, (key,)).fetchone()
    if row is None:
        return None
    name, owner_id, version, created_at, deleted = row
    members = {row[0]: Member(row[0], Role(row[1]), row[2]) for row in connection.execute(_MEMBERS, (key,))}
    barred = frozenset(row[0] for row in connection.execute(_BARRED, (key,)))
    return Group(conversation_id, name, owner_id, members, version, created_at, bool(deleted), barred)


def put_group(connection: apsw.Connection, key: int, group: Group) -> None:
    """Write the group's own row."""
    row = (key, group.name, group.owner_id, group.roster_version, group.created_at, int(group.deleted))
    connection.execute(_PUT_GROUP, row)


def put_barred(connection: apsw.Connection, key: int, users: Iterable[int]) -> None:
    """Replace the list of those whom a link does not let in."""
    connection.execute("DELETE FROM barred WHERE conversation = ?", (key,))
    connection.executemany("INSERT INTO barred (conversation, user) VALUES (?, ?)", [(key, user) for user in users])


class Roster:
    """Writes who comes, goes and stays, in the memberships and in everybody's list. In the writer thread.

    The system messages of the change are written already. ``large``: how the group is fanned out from now on.
    """

    def __init__(self, connection: apsw.Connection, conversation: ConversationState, *, large: bool) -> None:
        self._connection = connection
        self._conversation = conversation
        self._present = slot_of(conversation.position)
        self.old_slot = conversation.slot
        self.new_slot = LARGE_SLOT if large else self._present

    def let_in(self, user: int, joined: int, role: Role) -> None:
        """Make ``user`` a member from number ``joined`` on."""
        key = self._conversation.key
        self._connection.execute(_FORGET_FORMER, (key, user))
        self._connection.execute(_JOIN, (key, user, joined, role.value))
        self._connection.execute(_ENTER, (user, self.new_slot, key))

    def send_away(self, user: int, left: Left) -> None:
        """End the membership; the entry in the user's list ends there too."""
        key = self._conversation.key
        self._connection.execute(_LEAVE, (left.number, key, user))
        self._connection.execute(_LIFT_OUT, (user, self.old_slot, key))
        self._connection.execute(_ENTER_LEFT, (user, slot_of(left.position), key, *left))

    def set_role(self, user: int, role: Role) -> None:
        """Give a member another role."""
        self._connection.execute(_SET_ROLE, (role.value, self._conversation.key, user))

    def move(self, users: Iterable[int]) -> None:
        """Have the entries of those who stay stand where the group's new mode wants them."""
        if self.new_slot == self.old_slot:
            return
        key = self._conversation.key
        for user in users:
            self._connection.execute(_LIFT_OUT, (user, self.old_slot, key))
            self._connection.execute(_ENTER, (user, self.new_slot, key))
