"""Accounts in SQLite, and the terms by which they are found."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.devices import ForgetCursors, erase_devices
from cooee.adapters.sqlite.rows import chunks, marks
from cooee.domain.search import search_prefix, search_terms
from cooee.ports.accounts import Account, AccountKind, Privacy

_FIELDS = Account.__struct_fields__
_SELECT = """SELECT
    user_id, display_name, password_hash, created_at, about, privacy, disabled, deleted, admin, last_seen,
    kind, owner_id, disabled_with_owner
    FROM account """
_PUT = """INSERT OR REPLACE INTO account
    (user_id, display_name, password_hash, created_at, about, privacy, disabled, deleted, admin, last_seen,
    kind, owner_id, disabled_with_owner)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHANGEABLE = frozenset(_FIELDS) - {"user_id", "deleted", "kind"}
_ABOVE_ALL = "\U0010ffff"
_TERMS_PER_ACCOUNT = 17

_OWN_ROWS = (
    "DELETE FROM account_term WHERE user_id = ?",
    "DELETE FROM relation WHERE kind IN (1, 2) AND user_id = ?",
    "DELETE FROM conversation_flags WHERE user_id = ?",
    "DELETE FROM own_change WHERE user_id = ?",
    "DELETE FROM recovery_code WHERE user_id = ?",
    "DELETE FROM push_entry WHERE user_id = ?",
    "DELETE FROM incoming_hook WHERE bot_id = ?",
    "DELETE FROM device_list WHERE user_id = ?",
)
"""What is the user's alone, his devices excepted."""


class SqliteAccounts:
    """`Accounts`. ``forget_cursors`` is called in the transaction of `erase` with the account's devices."""

    def __init__(self, database: Database, forget_cursors: ForgetCursors) -> None:
        self._database = database
        self._forget_cursors = forget_cursors

    async def create(self, account: Account) -> bool:
        """Store a new account; False when the userId was ever taken. Durable."""

        def create(connection: apsw.Connection) -> bool:
            return insert_account(connection, account)

        return await self._database.write(create)

    async def find(self, user_id: str) -> Account | None:
        """Return the account, also a disabled or deleted one."""
        return await self._database.read(lambda connection: find_account(connection, user_id))

    async def find_many(self, user_ids: Sequence[str]) -> dict[str, Account]:
        """Return those that exist, by userId."""
        return await self._database.read(lambda connection: _find_many(connection, user_ids))

    async def update(self, user_id: str, changes: dict[str, Any]) -> Account | None:
        """Set the named fields; None when there is no such account or it is deleted. Durable."""
        if not changes.keys() <= _CHANGEABLE:
            raise ValueError(f"not changeable: {sorted(changes.keys() - _CHANGEABLE)}")

        def update(connection: apsw.Connection) -> Account | None:
            before = find_account(connection, user_id)
            if before is None or before.deleted:
                return None
            after = msgspec.structs.replace(before, **changes)
            _put(connection, after)
            if _terms(before) != _terms(after):
                _put_terms(connection, after)
            return after

        return await self._database.write(update)

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """Move last seen of the accounts forward, never back. Durable."""
        rows = [(at, user_id, at) for user_id, at in seen.items()]
        sql = "UPDATE account SET last_seen = ? WHERE user_id = ? AND last_seen < ? AND NOT deleted"
        if rows:
            await self._database.write(lambda connection: _run_many(connection, sql, rows))

    async def search(self, query: str, limit: int) -> Sequence[Account]:
        """Return searchable, live accounts, by the matching text and then userId."""
        prefix = search_prefix(query)
        if not prefix:
            return []
        return await self._database.read(lambda connection: _search(connection, prefix, limit))

    async def page(self, after: str, limit: int) -> Sequence[Account]:
        """Return accounts above ``after`` in ascending userId order."""
        where = "user_id > ? ORDER BY user_id LIMIT ?"
        return await self._database.read(lambda connection: select_accounts(connection, where, (after, limit)))

    async def erase(self, user_id: str) -> None:
        """Delete the account with all that is the user's alone, in one durable step; the name stays taken."""

        def erase(connection: apsw.Connection) -> None:
            if find_account(connection, user_id) is None:
                return
            _put(connection, Account(user_id, display_name="", password_hash="", created_at=0, deleted=True))
            erase_devices(connection, user_id, self._forget_cursors)
            for sql in _OWN_ROWS:
                connection.execute(sql, (user_id,))

        await self._database.write(erase)


def insert_account(connection: apsw.Connection, account: Account) -> bool:
    """Store a new account, within the caller's transaction; False when the userId was ever taken."""
    if find_account(connection, account.user_id) is not None:
        return False
    _put(connection, account)
    _put_terms(connection, account)
    return True


def find_account(connection: apsw.Connection, user_id: str) -> Account | None:
    """Return the account, also a disabled or deleted one."""
    found = select_accounts(connection, "user_id = ?", (user_id,))
    return found[0] if found else None


def select_accounts(connection: apsw.Connection, where: str, values: tuple[Any, ...]) -> list[Account]:
    """Return the accounts for which ``where`` holds."""
    return [_account(row) for row in connection.execute(f"{_SELECT} WHERE {where}", values)]


SEARCH_SQL = "SELECT user_id FROM account_term WHERE term >= ? AND term < ? ORDER BY term, user_id LIMIT ?"


def _search(connection: apsw.Connection, prefix: str, limit: int) -> Sequence[Account]:
    rows = connection.execute(SEARCH_SQL, (prefix, prefix + _ABOVE_ALL, limit * _TERMS_PER_ACCOUNT))
    user_ids = list(dict.fromkeys(user_id for (user_id,) in rows))[:limit]
    accounts = _find_many(connection, user_ids)
    return [accounts[user_id] for user_id in user_ids]


def _find_many(connection: apsw.Connection, user_ids: Sequence[str]) -> dict[str, Account]:
    found = {}
    for chunk in chunks(user_ids):
        rows = connection.execute(_SELECT + f"WHERE user_id IN ({marks(chunk)})", chunk)
        found.update({row[0]: _account(row) for row in rows})
    return found


def _put(connection: apsw.Connection, account: Account) -> None:
    values = msgspec.structs.asdict(account)
    values["privacy"] = msgspec.json.encode(account.privacy).decode()
    connection.execute(_PUT, tuple(values[name] for name in _FIELDS))


def _terms(account: Account) -> frozenset[str]:
    if account.disabled or account.deleted or not account.privacy.searchable:
        return frozenset()
    return search_terms(account.user_id, account.display_name)


def _put_terms(connection: apsw.Connection, account: Account) -> None:
    connection.execute("DELETE FROM account_term WHERE user_id = ?", (account.user_id,))
    rows = [(term, account.user_id) for term in _terms(account)]
    _run_many(connection, "INSERT INTO account_term (term, user_id) VALUES (?, ?)", rows)


def _run_many(connection: apsw.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection.executemany(sql, rows)


def _account(row: tuple[Any, ...]) -> Account:
    values = dict(zip(_FIELDS, row, strict=True))
    values["privacy"] = msgspec.json.decode(values["privacy"], type=Privacy)
    values["kind"] = AccountKind(values["kind"])
    for flag in ("disabled", "deleted", "admin", "disabled_with_owner"):
        values[flag] = bool(values[flag])
    return Account(**values)
