"""The one function that gives messages their numbers.

`sequence` is pure: the same log in the same order yields the same numbers, on every machine and at every replay. The
adapter of the log (embedded) or the sequencer (cluster) calls it and stores what it returns; nothing else numbers.
"""

import msgspec

from cooee.domain.ids import snowflake
from cooee.domain.message import LogRecord, Message, Placed

DEDUP_WINDOW_MS = 31 * 24 * 3600 * 1000
"""How long a re-send finds its first copy, by record time."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """The state of a conversation's numbering: the last number given and the last messageId."""

    last_sequence_number: int = 0
    last_message_id: int = 0


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one record. ``message`` is None for a re-send, which stores nothing."""

    head: Head
    placed: Placed
    message: Message | None


def sequence(head: Head, record: LogRecord, position: int, prior: Placed | None) -> Decision:
    """Number ``record``, which stands at ``position`` of the log.

    ``prior`` is what the dedup table holds for the record's key, or None. A prior older than the dedup window (by
    record time) counts as none. Never refuses: refusals precede the append.
    """
    if prior is not None and record.timestamp - prior.timestamp <= DEDUP_WINDOW_MS:
        return Decision(head, prior, None)
    number = head.last_sequence_number + 1
    message_id = snowflake(record.timestamp, position, head.last_message_id)
    message = Message(
        record.conversation_id,
        number,
        message_id,
        record.sender_id,
        record.device_id,
        record.client_message_id,
        record.timestamp,
        record.content_type,
        record.body,
        record.silent,
        record.preview,
        record.envelopes,
    )
    return Decision(Head(number, message_id), Placed(message_id, number, record.timestamp), message)
