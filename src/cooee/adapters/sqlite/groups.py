"""Groups in SQLite: roster and system messages in one transaction of the writer thread."""

from collections.abc import Sequence

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.group_rows import Left, Roster, find_group, put_barred, put_group
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.walk import position_of
from cooee.domain.conversation import Group, Span
from cooee.domain.errors import not_found
from cooee.domain.fanout import is_large
from cooee.domain.groups import Change
from cooee.domain.message import Placed
from cooee.ports.groups import GroupChanged, InviteToken, Rule

_SPANS = """SELECT joined, left_number FROM membership
    WHERE conversation = (SELECT key FROM conversation WHERE id = ?)
        AND user = (SELECT key FROM chat_user WHERE id = ?) ORDER BY joined"""
_OF_USER = """SELECT v.id FROM inbox AS i CROSS JOIN chat_group AS g ON g.conversation = i.conversation
    CROSS JOIN conversation AS v ON v.key = i.conversation
    WHERE i.user = (SELECT key FROM chat_user WHERE id = ?) AND NOT i.left_number ORDER BY v.id"""
_PUT_INVITE = """INSERT INTO group_invite (token_hash, conversation, created_by, expires_at, max_uses, uses)
    VALUES (?, ?, ?, ?, ?, ?)"""
_USABLE = "token_hash = :hash AND (NOT expires_at OR expires_at > :now) AND (NOT max_uses OR uses < max_uses)"
_INVITE = """token_hash, (SELECT v.id FROM conversation AS v WHERE v.key = group_invite.conversation), created_by,
    expires_at, max_uses, uses"""
_FIND_INVITE = f"SELECT {_INVITE} FROM group_invite WHERE {_USABLE}"  # noqa: S608  # of the constants above
_USE_INVITE = f"UPDATE group_invite SET uses = uses + 1 WHERE {_USABLE} RETURNING {_INVITE}"  # noqa: S608  # likewise
_DELETE_INVITES = """DELETE FROM group_invite
    WHERE conversation = (SELECT key FROM conversation WHERE id = ?)"""


class SqliteGroups:
    """`Groups`. ``large_group_members``: from how many members on no list entries are written per message."""

    def __init__(self, database: Database, ledger: Ledger, large_group_members: int) -> None:
        self._database = database
        self._ledger = ledger
        self._large_group_members = large_group_members

    async def change(self, conversation_id: str, rule: Rule) -> GroupChanged:
        """Let ``rule`` decide on the group as it stands and store what it decided, in the writer thread. Durable."""

        def run(connection: apsw.Connection) -> GroupChanged:
            group = find_group(connection, conversation_id)
            change = rule(group)
            if change is not None:
                return self._store(connection, group, change)
            if group is None:
                raise not_found("the group")
            return GroupChanged(group, ())

        return await self._database.write(run)

    async def find(self, conversation_id: str) -> Group | None:
        """Return the group as it stands."""
        return await self._database.read(lambda connection: find_group(connection, conversation_id))

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        """Return what the user may see of the group, oldest first."""

        def read(connection: apsw.Connection) -> list[Span]:
            return [Span(*row) for row in connection.execute(_SPANS, (conversation_id, user_id))]

        return await self._database.read(read)

    async def of_user(self, user_id: str) -> Sequence[str]:
        """Return the ids of the groups that the user is in now, ascending."""
        return await self._database.read(
            lambda connection: [row[0] for row in connection.execute(_OF_USER, (user_id,))]
        )

    async def put_invite(self, invite: InviteToken) -> None:
        """Store an invitation in place of every other of the group. Durable."""

        def put(connection: apsw.Connection) -> None:
            key = self._ledger.names.conversation(connection, invite.conversation_id).key
            connection.execute("DELETE FROM group_invite WHERE conversation = ?", (key,))
            row = (invite.token_hash, key, invite.created_by, invite.expires_at, invite.max_uses, invite.uses)
            connection.execute(_PUT_INVITE, row)

        await self._database.write(put)

    async def find_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Return the invitation without using it."""
        values = {"hash": token_hash, "now": now_ms}
        row = await self._database.read(lambda connection: connection.execute(_FIND_INVITE, values).fetchone())
        return None if row is None else InviteToken(*row)

    async def use_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Count one use and return the invitation as it is then. Durable."""

        def use(connection: apsw.Connection) -> InviteToken | None:
            row = connection.execute(_USE_INVITE, {"hash": token_hash, "now": now_ms}).fetchone()
            return None if row is None else InviteToken(*row)

        return await self._database.write(use)

    async def delete_invites(self, conversation_id: str) -> None:
        """Remove the group's invitations. Durable."""

        def delete(connection: apsw.Connection) -> None:
            connection.execute(_DELETE_INVITES, (conversation_id,))

        await self._database.write(delete)

    def _store(self, connection: apsw.Connection, former: Group | None, change: Change) -> GroupChanged:
        ledger, group = self._ledger, change.group
        before = former.members if former is not None else {}
        placed = ledger.append(connection, change.records)
        told = _told_by(change, placed)
        joined = {user: told.get(user, placed[-1]).sequence_number for user in group.members if user not in before}
        members = {
            user: msgspec.structs.replace(member, joined=joined.get(user, member.joined))
            for user, member in group.members.items()
        }
        group = msgspec.structs.replace(group, members=members)

        conversation = ledger.names.conversation(connection, group.conversation_id)
        large = is_large(len(members), self._large_group_members)
        roster = Roster(connection, conversation, large=large)
        key_of = {user: ledger.names.user(connection, user) for user in [*before, *members]}
        for user in before.keys() - members.keys():
            place = told.get(user, placed[-1])
            position = position_of(connection, conversation.key, place.sequence_number) or conversation.position
            roster.send_away(key_of[user], Left(place.sequence_number, place.timestamp, position))
        for user, number in joined.items():
            roster.let_in(key_of[user], number, members[user].role)
        stayed = before.keys() & members.keys()
        for user in stayed:
            if members[user].role is not before[user].role:
                roster.set_role(key_of[user], members[user].role)
        roster.move(key_of[user] for user in stayed)

        put_group(connection, conversation.key, group)
        if group.barred != (former.barred if former is not None else frozenset()):
            put_barred(connection, conversation.key, [ledger.names.user(connection, user) for user in group.barred])
        ledger.change_roster(connection, conversation, roster.new_slot, large=large)
        return GroupChanged(group, tuple(placed))


def _told_by(change: Change, placed: Sequence[Placed]) -> dict[str, Placed]:
    """Return, for each user that is let in or sent away, the place of the record that tells of it."""
    told: dict[str, Placed] = {}
    for place, subjects in zip(placed, change.subjects, strict=True):
        told.update(dict.fromkeys(subjects, place))
    return told
