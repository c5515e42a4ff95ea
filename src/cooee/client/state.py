"""What the client knows, as plain values; `Turn` says how frames change it, the store keeps it (STYLE.md, rule 6)."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from cooee.client.model import Pending
from cooee.client.outbox import Outbox
from cooee.client.timeline import Piece
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.domain.receipt import Watermark

UNREAD_CAP = 999


class ServerCount(msgspec.Struct, frozen=True, gc=False):
    """How many were unread in (``read``, ``last``] by the server's count: for what this device does not hold itself."""

    unread: int = 0
    read: int = 0
    last: int = 0


class ConversationState(msgspec.Struct, frozen=True):
    """One conversation.

    ``learned`` is False until it is known where this device starts; then all of (``start``, ``position``] is held here,
    and ``early`` is held back. ``head`` is the newest number known to exist, ``first`` the oldest that is kept.
    ``server_received``: what the server believes this device holds. ``read`` is the own mark, ``read_confirmed`` what
    the server has. ``roster`` None: members unknown; ``roster_exact``: the joining numbers are known, not assumed.
    ``ticked``: up to where own messages are delivered and read. ``own_last``: the newest own message.
    ``hinted``: a large group of which only hints come until everything is fetched (§5).
    ``plain``: what is written here is not encrypted, as this user chose, on this device or another. ``told_plain``: the
    message with the number ``mode_at`` said that the conversation is written in the clear. ``timer``: after how many ms
    new messages disappear (0: never), as the message ``timer_at`` said.
    """

    conversation_id: str
    title: str = ""
    learned: bool = False
    start: int = 0
    position: int = 0
    head: int = 0
    first: int = 1
    server_received: int = 0
    read: int = 0
    read_confirmed: int = 0
    roster: Mapping[str, int] | None = None
    roster_exact: bool = False
    marks: Mapping[str, Watermark] = {}
    by_all: Watermark = Watermark()
    ticked: Watermark = Watermark()
    own_last: int = 0
    muted_until: int = 0
    pinned: bool = False
    archived: bool = False
    left: bool = False
    hinted: bool = False
    last_activity: int = 0
    counted: ServerCount = ServerCount()
    plain: bool = False
    told_plain: bool = False
    mode_at: int = 0
    timer: int = 0
    timer_at: int = 0
    early: tuple[Piece, ...] = ()

    @property
    def kind(self) -> Literal["direct", "group"]:
        """Direct chat or group."""
        return "direct" if is_direct(self.conversation_id) else "group"

    @property
    def has_gap(self) -> bool:
        """Whether something is missing below what is known to be there for this device."""
        return self.learned and (bool(self.early) or self.position < self.server_received)

    def visible(self) -> "ConversationState":
        """Return the part that an application can see, for telling whether it changed."""
        return msgspec.structs.replace(self, early=(), server_received=0, read_confirmed=0, roster_exact=False)


def new_conversation(conversation_id: str) -> ConversationState:
    """Return a conversation of which nothing is known yet but, in a direct chat, who is in it."""
    if not is_direct(conversation_id):
        return ConversationState(conversation_id)
    roster = dict.fromkeys(direct_members(conversation_id), 1)
    return ConversationState(conversation_id, roster=roster, roster_exact=True)


class State:
    """All that the client knows. Changed only by `Turn`, and only after the store has it."""

    def __init__(
        self,
        me: DeviceRef,
        conversations: Iterable[ConversationState] = (),
        pending: Iterable[Pending] = (),
        sync_token: str | None = None,
    ) -> None:
        self.me = me
        self.conversations = {conversation.conversation_id: conversation for conversation in conversations}
        self.outbox = Outbox(pending)
        self.sync_token = sync_token
        self.typing: dict[tuple[str, str], int] = {}
        self.to_device = 0
        """The newest device-to-device number that was handed on."""
        self.setup: dict[str, tuple[int, int]] = {}
        """How far it is with getting ready to write to a conversation, as it was told last."""

    def find(self, conversation_id: str) -> ConversationState | None:
        """Return the conversation, or None."""
        return self.conversations.get(conversation_id)
