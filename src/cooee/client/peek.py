"""What a store holds, without opening it as its owner does: for shell completion, beside a client that runs."""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from cooee.client.database import DATABASE_NAME, Error, connect
from cooee.client.errors import StoreError
from cooee.client.state import ConversationState
from cooee.client.store_key import open_key, protection

_decode = msgspec.json.Decoder(ConversationState).decode
_WAIT_S = 0.2


class HeldConversation(NamedTuple):
    """A conversation of a store. ``title``: the group's name, or the other user's."""

    conversation_id: str
    title: str
    archived: bool


def held_conversations(folder: Path, limit: int = 500) -> list[HeldConversation]:
    """Return the conversations in the store of ``folder``, last activity first; none when it cannot be read.

    It cannot while its key does not stand in the folder: completion asks for no passphrase and no keyring.
    """
    try:
        if protection(folder) != "file":
            return []
        path = folder / DATABASE_NAME
        with closing(connect(path, open_key(folder), read_only=True, wait_s=_WAIT_S)) as db:
            rows = db.execute(
                "SELECT state FROM conversations ORDER BY last_activity DESC LIMIT ?", (limit,)
            ).fetchall()
        states = [_decode(row[0]) for row in rows]
    except (Error, StoreError, msgspec.DecodeError, OSError):
        return []
    return [HeldConversation(state.conversation_id, state.title, state.archived) for state in states]
