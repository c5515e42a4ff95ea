"""What the hot path must know of a conversation, kept in memory: who is in it, how long it is, who wrote last."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from cooee.domain.conversation import Member, Role, Span
from cooee.domain.errors import CooeeError, not_a_member, not_found, unavailable
from cooee.domain.fanout import DEFAULT_LARGE_GROUP_MEMBERS, is_large
from cooee.domain.ids import check_conversation_id, direct_members, is_direct
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.receipt import Watermark
from cooee.ports.accounts import Account, Accounts
from cooee.ports.contacts import Contacts
from cooee.ports.cursors import Cursors
from cooee.ports.groups import Groups
from cooee.ports.timeline import Timeline

DEFAULT_CAPACITY = 100_000
"""Views kept in memory; a small one takes about one kilobyte."""

_log = logging.getLogger(__name__)
_NOBODY: frozenset[str] = frozenset()
_NOTHING = Watermark()
_RECENT = 512
_ROSTER_UNCHANGED = b'"event":"message_deleted"'
_LOAD_ATTEMPTS = 5


class ConversationView:
    """One active conversation. ``head`` may trail the timeline by what is being fanned out, and never leads it.

    ``blocked``: a direct chat with a block either way. ``gone``: the peer, or the group, exists no more for new
    messages. ``strangers``: those who may not open this empty direct chat without paying for it (PROTOCOL.md §13).
    ``hidden_readers``: members who neither give nor get read receipts.
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
        self.watermarks = dict(watermarks or {})
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
        mark = self.watermarks.get(sender, _NOTHING)
        if mark.delivered == number - 1:
            self.watermarks[sender] = Watermark(number, mark.read)

    def note_watermark(self, user_id: str, mark: Watermark) -> None:
        """Merge what is known of one member's watermarks."""
        old = self.watermarks.get(user_id)
        if old is None or (mark.delivered >= old.delivered and mark.read >= old.read):
            self.watermarks[user_id] = mark
        else:
            self.watermarks[user_id] = old.merge(mark.delivered, mark.read)


Ready = Callable[[ConversationView | CooeeError], None]
"""Called on the event loop with the view or the reason why there is none."""


class _Loading:
    """A view on its way from the store, what waits for it, and what happened to the conversation meanwhile."""

    __slots__ = ("marks", "observed", "stale", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Ready] = []
        self.observed: list[Message] = []
        self.marks: list[tuple[str, Watermark]] = []
        self.stale = False
        self.task: asyncio.Task[None] | None = None


class ViewSources(NamedTuple):
    """Where views are loaded from."""

    accounts: Accounts
    contacts: Contacts
    groups: Groups
    timeline: Timeline
    cursors: Cursors


class ConversationViews:
    """Views by conversation, the least recently written ones dropped beyond ``capacity``.

    Facts that change elsewhere (roster, blocks, accounts, read privacy) reach it by `forget` and `forget_user`.
    """

    def __init__(
        self,
        sources: ViewSources,
        *,
        large_group_members: int = DEFAULT_LARGE_GROUP_MEMBERS,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        self._sources = sources
        self._large_group_members = large_group_members
        self._capacity = capacity
        self._views: OrderedDict[str, ConversationView] = OrderedDict()
        self._loading: dict[str, _Loading] = {}
        self.peek = self._views.get
        """Return the view if it is in memory, else None."""

    def __len__(self) -> int:
        """Return how many views are in memory."""
        return len(self._views)

    def use(self, conversation_id: str, ready: Ready) -> None:
        """Call ``ready`` with the view: at once if it is in memory, else once it is loaded, in the order of the calls.

        The error is ``bad_frame`` for a malformed id, ``not_found`` when there never was such a user or group,
        ``unavailable`` when the store does not answer. A deleted peer or group has a view that is ``gone``.
        """
        view = self._views.get(conversation_id)
        if view is not None:
            ready(view)
            return
        loading = self._loading.get(conversation_id)
        if loading is None:
            try:
                check_conversation_id(conversation_id)
            except CooeeError as refusal:
                ready(refusal)
                return
            loading = self._loading[conversation_id] = _Loading()
            loading.task = asyncio.get_running_loop().create_task(self._load(conversation_id, loading))
        loading.waiting.append(ready)

    async def load(self, conversation_id: str) -> ConversationView:
        """Return the view. Raises what `use` hands over."""
        view = self._views.get(conversation_id)
        if view is not None:
            return view
        future: asyncio.Future[ConversationView | CooeeError] = asyncio.get_running_loop().create_future()
        self.use(conversation_id, partial(_resolve, future))
        outcome = await future
        if isinstance(outcome, CooeeError):
            raise outcome
        return outcome

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        """Return which numbers the user may see, oldest first.

        Raises:
            CooeeError: ``bad_frame`` for a malformed id, ``not_a_member`` for one who never took part.
        """
        check_takes_part(conversation_id, user_id)
        if is_direct(conversation_id):
            return (Span(1),)
        spans = await self._sources.groups.spans(conversation_id, user_id)
        if not spans:
            raise not_a_member()
        return spans

    def observe(self, message: Message) -> None:
        """Take note of a new message, in order. A system message that changes the roster drops the view."""
        conversation_id = message.conversation_id
        view = self._views.get(conversation_id)
        if view is not None:
            self._views.move_to_end(conversation_id)
            view.observe(message)
            if changes_roster(message):
                del self._views[conversation_id]
        elif self._loading:
            loading = self._loading.get(conversation_id)
            if loading is not None:
                loading.observed.append(message)
                loading.stale = loading.stale or changes_roster(message)

    def note_watermark(self, conversation_id: str, user_id: str, mark: Watermark) -> None:
        """Take note of a member's watermarks after they moved."""
        view = self._views.get(conversation_id)
        if view is not None:
            view.note_watermark(user_id, mark)
        elif (loading := self._loading.get(conversation_id)) is not None:
            loading.marks.append((user_id, mark))

    def forget(self, conversation_id: str) -> None:
        """Drop the view: its roster or its blocks changed."""
        self._views.pop(conversation_id, None)
        if (loading := self._loading.get(conversation_id)) is not None:
            loading.stale = True

    def forget_user(self, user_id: str) -> None:
        """Drop every view of the user's conversations: the account or its settings changed. Looks at all views."""
        for conversation_id in [key for key, view in self._views.items() if user_id in view.members]:
            del self._views[conversation_id]
        for loading in self._loading.values():
            loading.stale = True

    async def _load(self, conversation_id: str, loading: _Loading) -> None:
        outcome: ConversationView | CooeeError
        try:
            outcome = await self._read(conversation_id)
            for _ in range(_LOAD_ATTEMPTS):
                if not loading.stale:
                    break
                loading.stale = False
                outcome = await self._read(conversation_id)
        except CooeeError as refusal:
            outcome = refusal
        except Exception:  # noqa: BLE001  # whatever the store raises, nobody may wait for ever
            _log.exception("a conversation could not be loaded")
            outcome = unavailable("the conversation cannot be read now; try again")
        finally:
            del self._loading[conversation_id]
        if isinstance(outcome, ConversationView):
            self._keep(outcome, loading)
        for ready in loading.waiting:
            try:
                ready(outcome)
            except Exception:  # noqa: BLE001  # one caller's bug is not the others'
                _log.exception("a caller failed on its conversation")

    def _keep(self, view: ConversationView, loading: _Loading) -> None:
        for message in loading.observed:
            view.observe(message)
        for user_id, mark in loading.marks:
            view.note_watermark(user_id, mark)
        self._views[view.conversation_id] = view
        if len(self._views) > self._capacity:
            self._views.popitem(last=False)

    async def _read(self, conversation_id: str) -> ConversationView:
        if is_direct(conversation_id):
            return await self._read_direct(conversation_id)
        return await self._read_group(conversation_id)

    async def _read_direct(self, conversation_id: str) -> ConversationView:
        one, other = direct_members(conversation_id)
        sources = self._sources
        accounts, blocked, head, marks = await asyncio.gather(
            sources.accounts.find_many((one, other)),
            sources.contacts.blocked_either_way(one, (other,)),
            sources.timeline.head(conversation_id),
            sources.cursors.members(conversation_id),
        )
        if one not in accounts or other not in accounts:
            raise not_found("the user")
        members = {user_id: Member(user_id, Role.MEMBER, 1) for user_id in (one, other)}
        view = ConversationView(conversation_id, members, head=head.last, watermarks=marks)
        view.blocked = one != other and bool(blocked)
        view.gone = any(account.deleted or account.disabled for account in accounts.values())
        view.hidden_readers = _hidden_readers(accounts.values())
        if head.last == 0 and one != other:
            view.strangers = await self._strangers(one, other)
        return view

    async def _strangers(self, one: str, other: str) -> frozenset[str]:
        """Return which of the two is no contact of the other."""
        contacts = self._sources.contacts
        one_known, other_known = await asyncio.gather(contacts.is_contact(other, one), contacts.is_contact(one, other))
        return frozenset(user for user, known in ((one, one_known), (other, other_known)) if not known)

    async def _read_group(self, conversation_id: str) -> ConversationView:
        sources = self._sources
        group, head, marks = await asyncio.gather(
            sources.groups.find(conversation_id),
            sources.timeline.head(conversation_id),
            sources.cursors.members(conversation_id),
        )
        if group is None:
            raise not_found("the group")
        accounts = await sources.accounts.find_many(tuple(group.members))
        view = ConversationView(
            conversation_id,
            dict(group.members),
            large=is_large(len(group.members), self._large_group_members),
            roster_version=group.roster_version,
            head=head.last,
            watermarks=marks,
        )
        view.gone = group.deleted
        view.hidden_readers = _hidden_readers(accounts.values())
        return view


def check_takes_part(conversation_id: str, user_id: str) -> None:
    """Refuse a malformed id, and a direct chat of other people, by the id alone.

    Raises:
        CooeeError: ``bad_frame`` or ``not_a_member``.
    """
    if not is_direct(conversation_id):
        check_conversation_id(conversation_id)
    elif user_id not in direct_members(conversation_id):
        raise not_a_member()


def changes_roster(message: Message) -> bool:
    """Tell whether the message may have changed who is in the group, or as what."""
    return message.content_type == CONTENT_SYSTEM and _ROSTER_UNCHANGED not in message.body


def _hidden_readers(accounts: Iterable[Account]) -> frozenset[str]:
    return frozenset(account.user_id for account in accounts if not account.privacy.read_receipts)


def _resolve(future: "asyncio.Future[ConversationView | CooeeError]", outcome: ConversationView | CooeeError) -> None:
    if not future.done():
        future.set_result(outcome)
