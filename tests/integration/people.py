"""Users of the SDK against a real server."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar, cast

from cooee.client import Client, ClientSettings, ConversationView, Event, Message, MessageUpdated, register
from cooee.client.ledger import EventStream

PASSWORD = "correct horse battery"
WAIT_S = 60.0

E = TypeVar("E")


async def new_user(url: str, name: str) -> str:
    """Register a user whose id begins with ``name``."""
    user = f"{name}{secrets.token_hex(4)}"
    await register(url, user, PASSWORD)
    return user


class Person:
    """One client with everything it was told."""

    def __init__(self, client: Client, events: EventStream, stay: AsyncExitStack | None = None) -> None:
        self.client = client
        self.stay = stay or AsyncExitStack()
        self.told: list[Event] = []
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._listen(events))

    async def _listen(self, events: EventStream) -> None:
        async for event in events:
            async with self._changed:
                self.told.append(event)
                self._changed.notify_all()

    async def hears(self, kind: type[E], wanted: Callable[[E], object] = bool) -> E:
        """Wait for an event of ``kind`` that is as wanted; also one that was told before."""

        def found() -> list[E]:
            return [cast(E, event) for event in self.told if isinstance(event, kind) and wanted(event)]

        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(found)
            return found()[0]

    async def reads(self, text: str) -> Message:
        """Wait for a message with this text; also one that could be read only later."""
        return await self._reads(lambda message: message.text == text)

    async def reads_from(self, user_id: str, text: str) -> Message:
        """Wait for a message of ``user_id`` with this text."""
        return await self._reads(lambda message: (message.sender_id, message.text) == (user_id, text))

    async def _reads(self, wanted: Callable[[Message], bool]) -> Message:
        def found() -> list[Message]:
            told = (event.message if isinstance(event, MessageUpdated) else event for event in self.told)
            return [event for event in told if isinstance(event, Message) and wanted(event)]

        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(found)
            return found()[0]

    def messages(self, conversation_id: str) -> list[Message]:
        """Return the messages told of one conversation, in the order of telling."""
        return [event for event in self.told if isinstance(event, Message) and event.conversation_id == conversation_id]

    async def view(self, conversation_id: str) -> ConversationView:
        """Return a conversation that is known here."""
        found = await self.client.conversation(conversation_id)
        assert found is not None
        return found

    async def leave(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class House(AsyncExitStack):
    """Opens clients, and closes all in the end. They talk in the clear, unless ``encryption`` is ``on``."""

    def __init__(self, folder: Path, transport: str = "auto", encryption: str = "off") -> None:
        super().__init__()
        self._folder = folder
        self._encryption = encryption
        self.settings = ClientSettings(transport=cast(Any, transport))

    async def enter(self, url: str, user: str, device: str = "", **options: Any) -> Person:
        """Open a client of ``user`` and wait until it is online."""
        person = await self.open(url, user, device, **options)
        await person.client.online(WAIT_S)
        return person

    async def open(self, url: str, user: str, device: str = "", **options: Any) -> Person:
        """Open a client of ``user``, also where it gets no connection."""
        usual = {"settings": self.settings, "user": user, "password": PASSWORD, "encryption": self._encryption}
        options = dict[str, Any](usual) | options
        client = Client(url, store=self._folder / f"{user}{device}", **options)
        stay = await self.enter_async_context(AsyncExitStack())
        await stay.enter_async_context(client)
        person = Person(client, client.events(), stay)
        stay.push_async_callback(person.leave)
        return person

    async def leave(self, person: Person) -> None:
        """Close a client before the others."""
        await person.stay.aclose()
