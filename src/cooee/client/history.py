"""History: from the local store as far as it is complete there, else from the server, and kept (PROTOCOL.md §6)."""

from cooee.client.api import Api
from cooee.client.errors import ConnectionFailed
from cooee.client.ledger import Ledger
from cooee.client.model import HistoryPage, Message
from cooee.client.state import ConversationState
from cooee.client.store import Store
from cooee.client.unsealing import decode_message
from cooee.domain.message import CONTENT_ENCRYPTED
from cooee.protocol import frames

_PAGES = 8
"""How many pages are looked at for one: what is hidden in them does not count."""


class History:
    """Pages of history of all conversations."""

    def __init__(self, ledger: Ledger, api: Api) -> None:
        self._ledger = ledger
        self._api = api

    async def page(self, conversation_id: str, before: int | None, limit: int) -> HistoryPage:
        """Return the newest messages below ``before`` (None: the newest of all), ascending, at most ``limit``.

        What is hidden is left out, and older ones are taken instead; a page that is not full says by ``complete``
        whether there is nothing older.

        Raises:
            ServerError: the server refused.
            ConnectionFailed: nothing is held here, and the server cannot be reached.
        """
        page = await self._page(conversation_id, before, limit)
        shown = _shown(page.messages)
        hidden = len(page.messages) - len(shown)
        for _ in range(_PAGES):
            if not hidden or page.complete or len(shown) >= limit:
                break
            try:
                page = await self._page(conversation_id, page.messages[0].sequence_number, limit)
            except ConnectionFailed:
                break
            more = _shown(page.messages)
            hidden = len(page.messages) - len(more)
            shown = more + shown
        complete = page.complete and len(shown) <= limit
        return HistoryPage(shown[-limit:], complete, page.from_server)

    async def _page(self, conversation_id: str, before: int | None, limit: int) -> HistoryPage:
        conversation = self._ledger.state.find(conversation_id)
        if before is None and conversation is not None and conversation.position >= conversation.head > 0:
            before = conversation.position + 1
        page, bottom = await self._held(conversation_id, before, limit)
        if page is not None and (page.complete or len(page.messages) >= limit):
            return page
        try:
            fetched = await self._api.history(conversation_id, before=bottom, limit=limit)
        except ConnectionFailed:
            if page is not None and page.messages:
                return page
            raise
        await self._keep(fetched)
        upper = before if before is not None else fetched.covered_through + 1
        page, _ = await self._held(conversation_id, upper, limit)
        return HistoryPage(page.messages if page else (), page.complete if page else True, from_server=True)

    async def held(self, conversation_id: str, before: int | None, limit: int) -> HistoryPage:
        """Return what of such a page is held here without a hole, asking nobody; it may be short of what is hidden."""
        conversation = self._ledger.state.find(conversation_id) or ConversationState(conversation_id)
        upper = conversation.position + 1 if before is None else before
        page, _ = await self._ledger.run(self._ledger.store.history, conversation, upper, limit)
        return HistoryPage(_shown(page.messages), page.complete, from_server=False)

    async def _held(
        self, conversation_id: str, before: int | None, limit: int
    ) -> tuple[HistoryPage | None, int | None]:
        if before is None:
            return None, None
        conversation = self._ledger.state.find(conversation_id) or ConversationState(conversation_id)
        return await self._ledger.run(self._ledger.store.history, conversation, before, limit)

    async def _keep(self, page: frames.Messages) -> None:
        await self._ledger.acquaint(map(decode_message, page.messages))
        known = await self._ledger.run(_known, self._ledger.store, page)
        await self._ledger.step(lambda turn: turn.page(page, lambda frame: known.get(frame.sequence_number)))


def _known(store: Store, page: frames.Messages) -> dict[int, Message | bytes]:
    """Return what of a page is readable here already, or can be with a key that is here, by number."""
    known: dict[int, Message | bytes] = {}
    for frame in map(decode_message, page.messages):
        if frame.content_type != CONTENT_ENCRYPTED:
            continue
        held = store.find_message(frame.conversation_id, frame.sequence_number)
        if held is not None and held.content_type != CONTENT_ENCRYPTED:
            known[frame.sequence_number] = held
            continue
        key = store.find_key(frame.conversation_id, frame.sender_id, frame.sender_device_id, frame.client_message_id)
        if key is not None and key.sequence_number == frame.sequence_number:
            known[frame.sequence_number] = key.key
    return known


def _shown(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(message for message in messages if not message.hidden)
