"""Watermarks in SQLite: one row a device; what a member has is the maximum over his rows."""

from collections.abc import Mapping, Sequence

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.inbox_floor import start_floor
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.ledger_state import DeviceStatus
from cooee.adapters.sqlite.operations import Advance
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.ports.cursors import CursorDone, CursorUpdate

_DEVICE = """SELECT max(
        coalesce((SELECT c.received FROM chat_device AS d JOIN cursor AS c ON c.device = d.key
            WHERE d.user = u.key AND d.id = :device AND d.status <> 2
                AND c.conversation = v.key AND c.user = u.key), 0),
        coalesce((SELECT min(joined) - 1 FROM membership WHERE conversation = v.key AND user = u.key), 0))
    FROM chat_user AS u, conversation AS v WHERE u.id = :user AND v.id = :conversation"""
_MEMBER = """SELECT coalesce(max(received), 0), coalesce(max(read), 0) FROM cursor
    WHERE conversation = (SELECT key FROM conversation WHERE id = ?)
        AND user = (SELECT key FROM chat_user WHERE id = ?)"""
_MEMBERS = """SELECT u.id, max(c.received) AS delivered, max(c.read)
    FROM cursor AS c JOIN chat_user AS u ON u.key = c.user
    WHERE c.conversation = (SELECT key FROM conversation WHERE id = ?) GROUP BY c.user HAVING delivered > 0"""

_START = """INSERT OR IGNORE INTO cursor (conversation, user, device, received, read)
    SELECT i.conversation, i.user, :device, (SELECT coalesce(max(c.received), 0) FROM cursor AS c
        WHERE c.conversation = i.conversation AND c.user = i.user), 0
    FROM inbox AS i WHERE i.user = :user"""

_OWN_ROWS = """FROM cursor WHERE (conversation, user, device) IN
    (SELECT conversation, user, :device FROM inbox WHERE user = :user)"""
_FOLD = f"""INSERT INTO cursor (conversation, user, device, received, read)
    SELECT conversation, user, 0, received, read {_OWN_ROWS}
    ON CONFLICT DO UPDATE SET received = max(received, excluded.received), read = max(read, excluded.read)"""
_DROP = f"DELETE {_OWN_ROWS}"
_RELEASE = """UPDATE conversation SET held = 0, sweep_at = 1
    WHERE held AND key IN (SELECT conversation FROM inbox WHERE user = ?)"""


class SqliteCursors:
    """`Cursors`. Advances are merged in the writer thread, by the ledger; each is one row per batch."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._submit = database.submit
        self._ledger = ledger

    def advance(self, update: CursorUpdate, done: CursorDone) -> None:
        """Merge ``update`` by maximum; ``done`` gets the state around it once it is durable."""
        self._submit(Advance(done, update))

    async def device(self, device: DeviceRef, conversation_id: str) -> int:
        """Return what the device has received."""
        names = {"user": device.user_id, "device": device.device_id, "conversation": conversation_id}
        return await self._database.read(lambda connection: int(connection.execute(_DEVICE, names).get or 0))

    async def member(self, conversation_id: str, user_id: str) -> Watermark:
        """Return one member's watermarks."""

        def read(connection: apsw.Connection) -> Watermark:
            row: tuple[int, int] | None = connection.execute(_MEMBER, (conversation_id, user_id)).fetchone()
            return Watermark(*row) if row is not None else Watermark()

        return await self._database.read(read)

    async def members(self, conversation_id: str) -> Mapping[str, Watermark]:
        """Return the watermarks of all that ever had one there."""

        def read(connection: apsw.Connection) -> dict[str, Watermark]:
            return {row[0]: Watermark(*row[1:]) for row in connection.execute(_MEMBERS, (conversation_id,))}

        return await self._database.read(read)

    async def start_device(self, device: DeviceRef) -> None:
        """Fix where a new device starts, per conversation; nothing happens for one that started before. Durable."""

        def start(connection: apsw.Connection) -> None:
            state = self._ledger.names.device(connection, device)
            if state.status == DeviceStatus.CURRENT:
                return
            keys = {"user": state.user, "device": state.key}
            connection.execute("UPDATE chat_device SET status = 1 WHERE key = ?", (state.key,))
            connection.execute(_START, keys)
            start_floor(connection, state.key, state.user, self._ledger.position(connection))
            self._ledger.clear()

        await self._database.write(start)

    async def forget_devices(self, devices: Sequence[DeviceRef]) -> None:
        """Drop the cursors of revoked devices; what their users had through them stays. Durable."""
        if devices:
            await self._database.write(lambda connection: self.forget_rows(connection, devices))

    def forget_rows(self, connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
        """Do what `forget_devices` does within the caller's transaction, in the writer thread."""
        for device in devices:
            state = self._ledger.names.device(connection, device)
            keys = {"user": state.user, "device": state.key}
            connection.execute(_FOLD, keys)
            connection.execute(_DROP, keys)
            connection.execute("DELETE FROM behind WHERE device = ?", (state.key,))
            connection.execute("UPDATE chat_device SET status = 2 WHERE key = ?", (state.key,))
            connection.execute(_RELEASE, (state.user,))
        self._ledger.clear()
