"""History: from the local store as far as it is complete there, else from the server, and kept (PROTOCOL.md §6)."""

import msgspec

from cooee.client.api import Api
from cooee.client.errors import ConnectionFailed
from cooee.client.ledger import Ledger
from cooee.client.model import HistoryPage, message_of
from cooee.client.state import ConversationState
from cooee.protocol import frames

_decode_message = msgspec.json.Decoder(frames.MessageFrame).decode


class History:
    """Pages of history of all conversations."""

    def __init__(self, ledger: Ledger, api: Api) -> None:
        self._ledger = ledger
        self._api = api

    async def page(self, conversation_id: str, before: int | None, limit: int) -> HistoryPage:
        """Return the newest messages below ``before`` (None: the newest of all), ascending, at most ``limit``.

        Raises:
            ServerError: the server refused.
            ConnectionFailed: nothing is held here, and the server cannot be reached.
        """
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
        """Return what of such a page is held here without a hole, asking nobody."""
        conversation = self._ledger.state.find(conversation_id) or ConversationState(conversation_id)
        upper = conversation.position + 1 if before is None else before
        page, _ = await self._ledger.run(self._ledger.store.history, conversation, upper, limit)
        return page

    async def _held(
        self, conversation_id: str, before: int | None, limit: int
    ) -> tuple[HistoryPage | None, int | None]:
        if before is None:
            return None, None
        conversation = self._ledger.state.find(conversation_id) or ConversationState(conversation_id)
        return await self._ledger.run(self._ledger.store.history, conversation, before, limit)

    async def _keep(self, page: frames.Messages) -> None:
        found = [message_of(_decode_message(raw)) for raw in page.messages]
        first = 1 if page.complete else page.covered_from
        await self._ledger.run(
            self._ledger.store.put_history,
            self._ledger.state.me,
            page.conversation_id,
            found,
            first,
            page.covered_through,
        )
