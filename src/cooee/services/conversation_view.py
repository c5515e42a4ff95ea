"""One conversation in memory: who is in it, how long it is, who wrote last, how far everybody is."""

from collections.abc import Mapping

from cooee.domain.conversation import Member
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.receipt import Watermark

_NOBODY: frozenset[str] = frozenset()
_NOTHING = Watermark()
_NO_MARKS: dict[str, Watermark] = {}
_RECENT = 512
_ROSTER_UNCHANGED = b'"event":"message_deleted"'


class ConversationView:
    """One active conversation. ``head`` may trail the timeline by what is being fanned out, and never leads it.

    ``blocked``: a direct chat with a block either way. ``gone``: the peer, or the group, exists no more for new
    messages. ``strangers``: those who may not open this empty direct chat without paying for it (PROTOCOL.md §13).
    ``hidden_readers``: members who neither give nor get read receipts. ``watermarks``: of large groups only, whose
    minimum is announced; those of the others are the store's affair. ``previewed``: members who allow a preview with
    an encrypted message.
    """

    __slots__ = (
        "_recent",
        "_recent_from",
        "blocked",
        "conversation_id",
        "gone",
        "head",
        "hidden_readers",
        "large",
        "members",
        "newest_join",
        "previewed",
        "roster_version",
        "strangers",
        "user_ids",
        "watermarks",
    )

    def __init__(
        self,
        conversation_id: str,
        members: dict[str, Member],
        *,
        large: bool = False,
        roster_version: int = 0,
        head: int = 0,
        watermarks: Mapping[str, Watermark] | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.members = members
        self.user_ids = tuple(members)
        self.newest_join = max((member.joined for member in members.values()), default=0)
        self.large = large
        self.roster_version = roster_version
        self.head = head
        self.blocked = False
        self.gone = False
        self.strangers = _NOBODY
        self.hidden_readers = _NOBODY
        self.previewed = _NOBODY
        self.watermarks = dict(watermarks or {}) if large else _NO_MARKS
        self._recent: list[str] = []
        self._recent_from = head + 1

    def senders(self, after: int, through: int) -> frozenset[str] | None:
        """Return who sent the messages in (after, through], system messages excepted; None: ask the timeline."""
        start = after + 1 - self._recent_from
        if start < 0 or through > self.head:
            return None
        if through - after == 1:
            sender = self._recent[start]
            return frozenset((sender,)) if sender else _NOBODY
        found = frozenset(self._recent[start : through + 1 - self._recent_from])
        return found - {""} if "" in found else found

    def recipients(self, number: int) -> tuple[str, ...]:
        """Return the members who may see ``number``: those who joined later do not."""
        if number >= self.newest_join:
            return self.user_ids
        return tuple(user_id for user_id, member in self.members.items() if member.joined <= number)

    def observe(self, message: Message) -> None:
        """Take note of a new message, in order: head, recent senders, and the sender's own watermark."""
        number = message.sequence_number
        if number <= self.head:
            return
        recent = self._recent
        if number != self.head + 1:
            recent.clear()
            self._recent_from = number
        elif len(recent) >= _RECENT:
            del recent[: _RECENT // 2]
            self._recent_from += _RECENT // 2
        self.head = number
        sender = message.sender_id
        if message.content_type == CONTENT_SYSTEM:
            recent.append("")
            return
        recent.append(sender)
        if self.large:
            mark = self.watermarks.get(sender, _NOTHING)
            if mark.delivered == number - 1:
                self.watermarks[sender] = Watermark(number, mark.read)

    def note_watermark(self, user_id: str, mark: Watermark) -> None:
        """Merge what is known of one member's watermarks; only a large group's are kept."""
        if not self.large:
            return
        old = self.watermarks.get(user_id)
        if old is None or (mark.delivered >= old.delivered and mark.read >= old.read):
            self.watermarks[user_id] = mark
        else:
            self.watermarks[user_id] = old.merge(mark.delivered, mark.read)


def changes_roster(message: Message) -> bool:
    """Tell whether the message may have changed who is in the group, or as what."""
    return message.content_type == CONTENT_SYSTEM and _ROSTER_UNCHANGED not in message.body
