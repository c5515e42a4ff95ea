"""Active conversations, kept in memory for the hot path, loaded once however many ask."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError, not_a_member, unavailable
from cooee.domain.ids import check_conversation_id, direct_members, is_direct
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.receipt import Watermark
from cooee.services.conversation_view import ConversationView, changes_roster
from cooee.services.view_sources import ViewSources

__all__ = ["ConversationView", "ConversationViews", "ViewSources", "check_takes_part"]

DEFAULT_CAPACITY = 100_000
"""Views kept in memory; a small one takes about one kilobyte."""

_log = logging.getLogger(__name__)
_LOAD_ATTEMPTS = 5


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


class ConversationViews:
    """Views by conversation, the least recently written ones dropped beyond ``capacity``.

    Facts that change elsewhere (roster, blocks, accounts, read privacy) reach it by `forget` and `forget_user`.
    """

    def __init__(
        self,
        sources: ViewSources,
        *,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        self._sources = sources
        self._capacity = capacity
        self._views: OrderedDict[str, ConversationView] = OrderedDict()
        self._of_user: dict[str, list[str]] = {}
        self._loading: dict[str, _Loading] = {}
        self.peek = self._views.get
        """Return the view if it is in memory, else None."""

    def __len__(self) -> int:
        """Return how many views are in memory."""
        return len(self._views)

    def use(self, conversation_id: str, ready: Ready) -> None:
        """Call ``ready`` with the view: at once if it is in memory, else once it is loaded, in the order of the calls.

        The error is ``bad_frame`` for a malformed id, ``not_found`` when there never was such a user, ``not_a_member``
        when there never was such a group (nobody learns which groups exist), ``unavailable`` when the store does not
        answer. A deleted peer or group has a view that is ``gone``.
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
            if message.content_type == CONTENT_SYSTEM and changes_roster(message):
                self._drop(view)
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
        view = self._views.get(conversation_id)
        if view is not None:
            self._drop(view)
        if (loading := self._loading.get(conversation_id)) is not None:
            loading.stale = True

    def forget_user(self, user_id: str) -> None:
        """Drop every view of the user's conversations: the account or its settings changed."""
        for conversation_id in self._of_user.pop(user_id, ()):
            self._drop(self._views[conversation_id])
        for loading in self._loading.values():
            loading.stale = True

    async def _load(self, conversation_id: str, loading: _Loading) -> None:
        outcome: ConversationView | CooeeError
        try:
            outcome = await self._sources.read(conversation_id)
            for _ in range(_LOAD_ATTEMPTS):
                if not loading.stale:
                    break
                loading.stale = False
                outcome = await self._sources.read(conversation_id)
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
        for user_id in view.members:
            self._of_user.setdefault(user_id, []).append(view.conversation_id)
        if len(self._views) > self._capacity:
            self._drop(next(iter(self._views.values())))

    def _drop(self, view: ConversationView) -> None:
        conversation_id = view.conversation_id
        del self._views[conversation_id]
        for user_id in view.members:
            of_user = self._of_user.get(user_id)
            if of_user is not None:
                of_user.remove(conversation_id)
                if not of_user:
                    del self._of_user[user_id]


def check_takes_part(conversation_id: str, user_id: str) -> None:
    """Refuse a malformed id, and a direct chat of other people, by the id alone.

    Raises:
        CooeeError: ``bad_frame`` or ``not_a_member``.
    """
    if not is_direct(conversation_id):
        check_conversation_id(conversation_id)
    elif user_id not in direct_members(conversation_id):
        raise not_a_member()


def _resolve(future: "asyncio.Future[ConversationView | CooeeError]", outcome: ConversationView | CooeeError) -> None:
    if not future.done():
        future.set_result(outcome)
