"""One conversation without holes: what arrives in any order is held back until it is its turn (PROTOCOL.md §4).

Pure. A message, a ``skipped`` range and a page of history are all a `Piece`: numbers ``first`` to ``through`` are
settled, and of these exactly ``messages`` exist for this device.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cooee.client.model import Message

EARLY_LIMIT = 512
"""Early pieces and messages held back per conversation; beyond them the highest are dropped and fetched again."""


class Piece(NamedTuple):
    """Settled numbers ``first`` … ``through``, and the messages among them, ascending."""

    first: int
    through: int
    messages: tuple[Message, ...] = ()

    @property
    def weight(self) -> int:
        """What the piece counts for against `EARLY_LIMIT`."""
        return 1 + len(self.messages)


class Held(NamedTuple):
    """The outcome of `hold`: the new position, what is still early, and what is now delivered, in order."""

    position: int
    early: tuple[Piece, ...]
    delivered: tuple[Message, ...]


def single(message: Message) -> Piece:
    """Return the piece that is one message."""
    return Piece(message.sequence_number, message.sequence_number, (message,))


def hold(position: int, early: Sequence[Piece], piece: Piece) -> Held:
    """Take in ``piece`` at ``position``: deliver what is contiguous, hold back what is early, drop what is known.

    Each number is delivered at most once and in ascending order, whatever the order of the pieces.
    """
    if piece.through <= position:
        return Held(position, tuple(early), ())
    waiting = _insert(early, piece)
    delivered: list[Message] = []
    taken = 0
    for candidate in waiting:
        if candidate.first > position + 1:
            break
        taken += 1
        if candidate.through > position:
            delivered += [message for message in candidate.messages if message.sequence_number > position]
            position = candidate.through
    return Held(position, _bounded(waiting[taken:]), tuple(delivered))


def _insert(early: Sequence[Piece], piece: Piece) -> list[Piece]:
    if any(known.first <= piece.first and known.through >= piece.through for known in early):
        return list(early)
    kept = [known for known in early if not (piece.first <= known.first and known.through <= piece.through)]
    kept.append(piece)
    kept.sort(key=lambda known: known.first)
    return kept


def _bounded(early: Sequence[Piece]) -> tuple[Piece, ...]:
    weight = 0
    for index, piece in enumerate(early):
        weight += piece.weight
        if weight > EARLY_LIMIT and index > 0:
            return tuple(early[:index])
    return tuple(early)
