"""Strings become small integers: users, devices and conversations, found in bulk or named anew."""

from collections.abc import Iterable
from typing import Any

import apsw

from cooee.adapters.sqlite.bulk import read_rows
from cooee.adapters.sqlite.ledger_state import AgingCache, ConversationState, DeviceState, DeviceStatus
from cooee.domain.sequence import Head

DeviceName = tuple[str, str]
"""(userId, deviceId); a `DeviceRef` is one."""

_FIND_CONVERSATIONS = """SELECT c.id, c.key, c.large, c.held, c.sweep_at,
        h.last, h.message_id, h.position, h.timestamp, h.slot
    FROM ({rows}) AS wanted CROSS JOIN conversation AS c ON c.id = wanted.column1
    LEFT JOIN head AS h ON h.conversation = c.key"""
_FIND_DEVICES = """SELECT u.id, d.id, d.key, d.user, d.status
    FROM ({rows}) AS wanted CROSS JOIN chat_user AS u ON u.id = wanted.column1
    CROSS JOIN chat_device AS d ON d.user = u.key AND d.id = wanted.column2"""


class NameBook:
    """The keys of users, devices and conversations, for the writer thread. What has no key yet gets one."""

    def __init__(self, limit: int) -> None:
        """Remember about ``limit`` of each kind."""
        self.conversations: AgingCache[str, ConversationState] = AgingCache(limit, _weigh)
        self.devices: AgingCache[DeviceName, DeviceState] = AgingCache(limit, _one)
        self._users: AgingCache[str, int] = AgingCache(limit, _one)
        self.created = 0
        """How many names were given so far."""

    def age(self) -> None:
        """Drop what was not used for long. Not while a batch is carried out."""
        self.conversations.age()
        self.devices.age()
        self._users.age()

    def clear(self) -> None:
        """Forget everything."""
        self.conversations.clear()
        self.devices.clear()
        self._users.clear()

    def load_conversations(self, connection: apsw.Connection, ids: Iterable[str]) -> None:
        """Make `conversations` hold all of ``ids``."""
        missing = [one for one in ids if self.conversations.get(one) is None]
        for row in read_rows(connection, _FIND_CONVERSATIONS, 1, missing):
            self.conversations.put(row[0], _conversation(row))
        for one in missing:
            if self.conversations.get(one) is None:
                connection.execute("INSERT INTO conversation (id) VALUES (?)", (one,))
                self.created += 1
                self.conversations.put(one, ConversationState(connection.last_insert_rowid(), one))

    def load_devices(self, connection: apsw.Connection, names: Iterable[DeviceName]) -> None:
        """Make `devices` hold all of ``names``."""
        missing = [name for name in names if self.devices.get(name) is None]
        flat = [part for name in missing for part in name]
        for user_id, device_id, key, user, status in read_rows(connection, _FIND_DEVICES, 2, flat):
            self.devices.put((user_id, device_id), DeviceState(key, user, status))
        for name in missing:
            if self.devices.get(name) is None:
                user = self.user(connection, name[0])
                connection.execute("INSERT INTO chat_device (user, id) VALUES (?, ?)", (user, name[1]))
                self.created += 1
                self.devices.put(name, DeviceState(connection.last_insert_rowid(), user, DeviceStatus.NAMED))

    def conversation(self, connection: apsw.Connection, conversation_id: str) -> ConversationState:
        """Return the state of one conversation."""
        self.load_conversations(connection, (conversation_id,))
        state = self.conversations.get(conversation_id)
        assert state is not None  # noqa: S101 - it was loaded just now
        return state

    def device(self, connection: apsw.Connection, name: DeviceName) -> DeviceState:
        """Return the state of one device."""
        self.load_devices(connection, (name,))
        state = self.devices.get(name)
        assert state is not None  # noqa: S101 - it was loaded just now
        return state

    def user(self, connection: apsw.Connection, user_id: str) -> int:
        """Return a user's key."""
        key = self._users.get(user_id)
        if key is None:
            row = connection.execute("SELECT key FROM chat_user WHERE id = ?", (user_id,)).fetchone()
            if row is None:
                connection.execute("INSERT INTO chat_user (id) VALUES (?)", (user_id,))
                self.created += 1
                key = connection.last_insert_rowid()
            else:
                key = int(row[0])
            self._users.put(user_id, key)
        return key


def _conversation(row: tuple[Any, ...]) -> ConversationState:
    conversation_id, key, large, held, sweep_at, last, message_id, position, timestamp, slot = row
    state = ConversationState(key, conversation_id)
    state.large, state.held, state.sweep_at = bool(large), bool(held), sweep_at
    if last is not None:
        state.head = Head(last, message_id)
        state.position, state.timestamp, state.slot = position, timestamp, slot
    return state


def _weigh(state: ConversationState) -> int:
    return 1 + len(state.members)


def _one(_value: object) -> int:
    return 1
