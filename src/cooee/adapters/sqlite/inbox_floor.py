"""What a device missed, at a cost that follows what was missed.

A device has a *floor*: a slot of the inbox below which it has everything, except in the conversations listed in
``behind``. Only entries at or above the floor and those in ``behind`` are looked at. When a look found many entries
that lacked nothing, the floor is lifted to the present, and what is still missing below goes into ``behind``.
"""

from typing import Any, NamedTuple

import apsw

from cooee.adapters.sqlite.ledger_state import LARGE_SLOT, slot_of
from cooee.domain.ids import DeviceRef
from cooee.ports.timeline import Missed

SETTLE_ABOVE = 64
"""Entries looked at in vain from which lifting the floor pays."""

_NO_DEVICE = -1
_FIND_DEVICE = """SELECT d.key, d.user, d.floor FROM chat_user AS u JOIN chat_device AS d ON d.user = u.key
    WHERE u.id = ? AND d.id = ? AND d.status <> 2"""
_LOOK = """
    SELECT i.slot, i.conversation, v.id,
        max(coalesce(c.received, 0), coalesce(
            (SELECT min(m.joined) - 1 FROM membership AS m
                WHERE m.conversation = i.conversation AND m.user = i.user), 0)),
        iif(i.left_number, i.left_number, h.last),
        iif(i.left_number, i.left_position, h.position) AS position
    FROM (
        SELECT user, slot, conversation, left_number, left_position FROM inbox WHERE user = :user AND slot >= :floor
        UNION
        SELECT e.user, e.slot, e.conversation, e.left_number, e.left_position
            FROM behind AS b CROSS JOIN inbox AS e
                ON e.user = :user AND e.slot = b.slot AND e.conversation = b.conversation
            WHERE b.device = :device
    ) AS i
    CROSS JOIN conversation AS v ON v.key = i.conversation
    CROSS JOIN head AS h ON h.conversation = i.conversation
    LEFT JOIN cursor AS c ON c.conversation = i.conversation AND c.user = i.user AND c.device = :device
    ORDER BY position"""


class Look(NamedTuple):
    """What was found missing, and how many entries lacked nothing (large groups, always looked at, do not count)."""

    missed: list[Missed]
    in_vain: int


def find_missed(connection: apsw.Connection, device: DeviceRef) -> Look:
    """Return what the device lacks, oldest activity first."""
    row = connection.execute(_FIND_DEVICE, device).fetchone()
    if row is None:
        row = (_NO_DEVICE, connection.execute("SELECT key FROM chat_user WHERE id = ?", (device.user_id,)).get, 0)
    missed, in_vain = [], 0
    for slot, _, conversation_id, received, last, _ in _look(connection, *row):
        if received < last:
            missed.append(Missed(conversation_id, received, last))
        elif slot != LARGE_SLOT:
            in_vain += 1
    return Look(missed, in_vain)


def settle(connection: apsw.Connection, device: DeviceRef, position: int) -> None:
    """Lift the device's floor to the slot of ``position``, the log's present end. In the writer thread."""
    row = connection.execute(_FIND_DEVICE, device).fetchone()
    if row is not None:
        key, user, floor = row
        _settle(connection, key, user, (floor, slot_of(position)))


def start_floor(connection: apsw.Connection, device: int, user: int, position: int) -> None:
    """Set a new device's floor, once its cursors stand. In the writer thread."""
    _settle(connection, device, user, (0, slot_of(position)))


def _look(connection: apsw.Connection, device: int, user: int, floor: int) -> list[tuple[Any, ...]]:
    return list(connection.execute(_LOOK, {"device": device, "user": user, "floor": floor}))


def _settle(connection: apsw.Connection, device: int, user: int, floors: tuple[int, int]) -> None:
    floor, new_floor = floors
    behind = [
        (device, slot, conversation)
        for slot, conversation, _, received, last, _ in _look(connection, device, user, floor)
        if received < last and slot < new_floor
    ]
    connection.execute("DELETE FROM behind WHERE device = ?", (device,))
    connection.executemany("INSERT INTO behind (device, slot, conversation) VALUES (?, ?, ?)", behind)
    connection.execute("UPDATE chat_device SET floor = ? WHERE key = ?", (new_floor, device))
