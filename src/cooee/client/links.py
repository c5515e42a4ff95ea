"""What a connection needs of the outside: transports, and lists over HTTP."""

from collections.abc import Callable

import aiohttp

from cooee.client.api import Api
from cooee.client.longpoll import LongPollTransport
from cooee.client.transport import Transport
from cooee.client.turn import Turn
from cooee.client.websocket import WebSocketTransport


class HttpLinks:
    """Transports and lists of the server behind ``api``."""

    def __init__(self, http: aiohttp.ClientSession, api: Api, open_s: float) -> None:
        self._http = http
        self._api = api
        self._open_s = open_s

    def websocket(self) -> Transport:
        """Return a new WebSocket, not yet open."""
        return WebSocketTransport(self._http, f"{self._api.url}/v1/ws", self._open_s)

    def longpoll(self) -> Transport:
        """Return a new long-polling session, not yet open."""
        return LongPollTransport(self._http, f"{self._api.url}/v1/poll", self._api.token)

    @property
    def token(self) -> str:
        """The token for ``hello``."""
        return self._api.token

    async def load_conversations(self) -> Callable[[Turn], None]:
        """Return what puts the whole conversation list into a turn."""
        return await self.list_through(self._api)

    @staticmethod
    async def list_through(api: Api) -> Callable[[Turn], None]:
        """Read the whole conversation list and return what puts it into a turn."""
        entries = [entry async for entry in api.conversations()]

        def fill(turn: Turn) -> None:
            for entry in entries:
                turn.snapshot(entry)

        return fill

    async def load_details(self, conversation_id: str, *, roster: bool) -> Callable[[Turn], None]:
        """Read one conversation, or its roster, and return what puts it into a turn."""
        if roster:
            group = await self._api.group(conversation_id)
            return lambda turn: turn.roster(group)
        entry = await self._api.conversation(conversation_id)
        return lambda turn: turn.snapshot(entry)
