"""Outgoing webhooks in SQLite."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.rows import marks
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.webhooks import CHANGEABLE, Batch, DeadLetter, Part, Webhook

_FIELDS = tuple(name for name in Webhook.__struct_fields__ if name != "dead_letters")
_COLUMNS = ", ".join(_FIELDS)
_SELECT = f"""SELECT {_COLUMNS}, (SELECT count(*) FROM dead_letter AS d
    WHERE d.bot_id = w.bot_id AND d.webhook_id = w.webhook_id) FROM webhook AS w WHERE """  # noqa: S608  # names of ours
_OF_BOT = _SELECT + "bot_id = ? ORDER BY created_at, webhook_id"
_ENABLED = _SELECT + "disabled_because = ''"
_ONE = _SELECT + "bot_id = ? AND webhook_id = ?"
_PUT = f"INSERT OR REPLACE INTO webhook ({_COLUMNS}) VALUES ({marks(_FIELDS)})"  # noqa: S608  # names of ours
_DEVICE = "SELECT 1 FROM device WHERE user_id = ? AND device_id = ? AND NOT revoked"
_BURY = """INSERT OR REPLACE INTO dead_letter
    (bot_id, webhook_id, letter_id, parts, died_at, attempts, error, requested) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_DROP = """DELETE FROM dead_letter WHERE bot_id = ? AND webhook_id = ? AND number <= (SELECT number FROM dead_letter
    WHERE bot_id = ? AND webhook_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)"""
_LETTERS = """SELECT letter_id, parts, died_at, attempts, error, requested, number FROM dead_letter
    WHERE bot_id = ? AND webhook_id = ? AND (? = 0 OR number < ?) AND requested >= ? ORDER BY number DESC LIMIT ?"""
_SETTLE = """UPDATE dead_letter SET error = ?, attempts = attempts + 1, requested = 0
    WHERE bot_id = ? AND webhook_id = ? AND letter_id = ?"""

_batch = msgspec.json.Decoder(Batch)
_parts = msgspec.json.Decoder(tuple[Part, ...])


class SqliteWebhooks:
    """`Webhooks`: one row each, and one per dead letter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, webhook: Webhook, limit: int) -> None:
        """Store a new webhook, whose device exists. Durable, atomic."""

        def create(connection: apsw.Connection) -> None:
            if not connection.execute(_DEVICE, webhook.ref).get:
                raise not_found("the webhook's device")
            count = connection.execute("SELECT count(*) FROM webhook WHERE bot_id = ?", (webhook.bot_id,)).get
            if count >= limit:
                raise CooeeError(ErrorCode.TOO_LARGE, f"a bot has at most {limit} webhooks")
            _put(connection, webhook)

        await self._database.write(create)

    async def of_bot(self, bot_id: str) -> Sequence[Webhook]:
        """Return the bot's webhooks, oldest first."""
        return await self._database.read(lambda connection: _select(connection, _OF_BOT, (bot_id,)))

    async def enabled(self) -> Sequence[Webhook]:
        """Return all webhooks that are not disabled."""
        return await self._database.read(lambda connection: _select(connection, _ENABLED, ()))

    async def update(self, ref: DeviceRef, changes: Mapping[str, Any]) -> Webhook | None:
        """Set the named fields and return the new state; None when there is no such webhook. Durable."""
        if not changes.keys() <= CHANGEABLE:
            raise ValueError(f"not changeable: {sorted(changes.keys() - CHANGEABLE)}")
        return await self._database.write(lambda connection: _update(connection, ref, changes))

    async def bury(self, ref: DeviceRef, letter: DeadLetter, changes: Mapping[str, Any], keep: int) -> int:
        """Store a dead letter and the webhook's changes in one durable step; return how many were dropped."""
        parts = msgspec.json.encode(letter.parts).decode()
        row = (letter.letter_id, parts, letter.died_at, letter.attempts, letter.error, int(letter.requested))

        def bury(connection: apsw.Connection) -> int:
            if _update(connection, ref, changes) is None:
                return 0
            connection.execute(_BURY, (*ref, *row))
            connection.execute(_DROP, (*ref, *ref, keep))
            return connection.changes()

        return await self._database.write(bury)

    async def dead_letters(
        self, ref: DeviceRef, before: int, limit: int, *, requested: bool = False
    ) -> Sequence[DeadLetter]:
        """Return dead letters below the number ``before`` (0: from the newest), newest first."""
        values = (*ref, before, before, int(requested), limit)
        return await self._database.read(
            lambda connection: [_letter(row) for row in connection.execute(_LETTERS, values)]
        )

    async def request(self, ref: DeviceRef, letter_id: str | None) -> int:
        """Mark a dead letter, or all, for one more attempt; return how many there are to mark. Durable."""
        sql = """UPDATE dead_letter SET requested = 1
            WHERE bot_id = ? AND webhook_id = ? AND letter_id = ifnull(?, letter_id)"""

        def request(connection: apsw.Connection) -> int:
            connection.execute(sql, (*ref, letter_id))
            return connection.changes()

        return await self._database.write(request)

    async def settle(self, ref: DeviceRef, letter_id: str, error: str | None) -> None:
        """End the attempt at a marked letter: None removes it, an error is kept with it. Durable."""

        def settle(connection: apsw.Connection) -> None:
            if error is None:
                sql = "DELETE FROM dead_letter WHERE bot_id = ? AND webhook_id = ? AND letter_id = ?"
                connection.execute(sql, (*ref, letter_id))
            else:
                connection.execute(_SETTLE, (error, *ref, letter_id))

        await self._database.write(settle)


def forget_webhooks(connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
    """Remove the webhooks that these revoked devices are, within the caller's transaction."""
    connection.executemany("DELETE FROM webhook WHERE bot_id = ? AND webhook_id = ?", devices)
    connection.executemany("DELETE FROM dead_letter WHERE bot_id = ? AND webhook_id = ?", devices)


def _update(connection: apsw.Connection, ref: DeviceRef, changes: Mapping[str, Any]) -> Webhook | None:
    found = _select(connection, _ONE, ref)
    if not found:
        return None
    after = msgspec.structs.replace(found[0], **changes)
    _put(connection, after)
    return after


def _put(connection: apsw.Connection, webhook: Webhook) -> None:
    values: dict[str, Any] = {name: getattr(webhook, name) for name in _FIELDS}
    values["events"] = " ".join(webhook.events)
    values["batch"] = None if webhook.batch is None else msgspec.json.encode(webhook.batch).decode()
    connection.execute(_PUT, tuple(values.values()))


def _select(connection: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Webhook]:
    return [_webhook(row) for row in connection.execute(sql, values)]


def _webhook(row: tuple[Any, ...]) -> Webhook:
    values = dict(zip((*_FIELDS, "dead_letters"), row, strict=True))
    values["events"] = tuple(values["events"].split())
    values["batch"] = None if values["batch"] is None else _batch.decode(values["batch"])
    return Webhook(**values)


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    letter_id, parts, died_at, attempts, error, requested, number = row
    return DeadLetter(letter_id, _parts.decode(parts), died_at, attempts, error, bool(requested), number)
