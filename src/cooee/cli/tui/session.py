"""Between the SDK and what is shown: follows its events into the book and the open chat, and does what the user asks.

Knows no widget. ``changed`` is called whenever something to be seen has changed.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path

from cooee.cli.trouble import key_changed_here
from cooee.cli.tui.book import Book
from cooee.cli.tui.items import Item, Scene, items
from cooee.cli.tui.timeline import Timeline
from cooee.client import (
    Client,
    ConnectionFailed,
    ConnectionState,
    CooeeClientError,
    DeviceLinked,
    DeviceUnlinked,
    Event,
    KeyChanged,
    LinkNeeded,
    Message,
    MessageDeleted,
    MessageUpdated,
    SendFailed,
    ServerError,
    Stopped,
    TickChanged,
)
from cooee.client.ledger import EventStream
from cooee.domain.ids import is_direct

PAGE = 100
"""Messages that are loaded at once."""

_AHEAD = 60
"""Unread messages that are loaded below the line at which a chat opens."""

_WATCHED = 500
_TYPING_AGAIN_S = 3.0
_AT_ONCE = 200
"""Events after which the screen gets its turn."""

_MENTION = re.compile(r"(?<![\w@])@([a-z0-9][a-z0-9_.-]{1,31})")


class Session:
    """One user's chats, while the SDK's client is open."""

    def __init__(self, client: Client, book: Book, changed: Callable[[], None] = lambda: None) -> None:
        self.client = client
        self.book = book
        self.changed = changed
        self.timeline: Timeline | None = None
        self.unread_above = 0
        self.unread_count = 0
        self.ended: Stopped | None = None
        self._events: EventStream = client.events()
        self._fetching = False
        self._seen: dict[str, int] = {}
        self._peeked: set[str] = set()
        self._learned: set[str] = set()
        self._watched: set[str] = set()
        self._typing_told = 0.0
        self._notices: dict[str, list[str]] = {}
        book.encrypts = client.encrypts

    # --- what happens

    async def follow(self) -> None:
        """Follow the SDK until its end; a log-in that was ended for good is kept in ``ended``."""
        self.book.connection = self.client.connection
        count = 0
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await self.take(event)
                    count += 1
                    if count % _AT_ONCE == 0:
                        await asyncio.sleep(0)
        except Stopped as stopped:
            self.ended = stopped
            self.book.connection = self.client.connection
            self.changed()

    async def take(self, event: Event) -> None:
        """Follow one event."""
        self.book.take(event)
        self._take_of_encryption(event)
        timeline = self.timeline
        match event:
            case TickChanged(status="sent", client_message_id=str(key)) if event.sequence_number is not None:
                await self._settle(event.conversation_id, key)
            case Message() if timeline is not None and event.conversation_id == timeline.conversation_id:
                timeline.add(event)
            case MessageUpdated(message=message):
                if timeline is not None and message.conversation_id == timeline.conversation_id:
                    timeline.update(message)
            case MessageDeleted() if timeline is not None and event.conversation_id == timeline.conversation_id:
                timeline.delete(event.sequence_number)
        self.changed()

    def _take_of_encryption(self, event: Event) -> None:
        """Follow what a person has to know of encryption."""
        client = self.client
        if isinstance(event, KeyChanged):
            self.notice(client.conversation_id(event.user_id), key_changed_here(event.user_id, event.verified))
        if isinstance(event, DeviceLinked | DeviceUnlinked | LinkNeeded | ConnectionState) and client.encrypts:
            self.book.unlinked = client.standing == "unlinked"

    def notice(self, chat: str, text: str) -> None:
        """Let a sentence stand at the end of a chat until something is done about it."""
        told = self._notices.setdefault(chat, [])
        if text not in told:
            told.append(text)
            self.changed()

    def forget_notices(self, chat: str) -> None:
        """Something was done about what stands at the end of a chat."""
        self._notices.pop(chat, None)
        self.changed()

    async def _settle(self, conversation_id: str, client_message_id: str) -> None:
        """An own message has its number: it moves from behind the others to its place among them."""
        try:
            message = await self.client.wait_for_sent(client_message_id)
        except SendFailed:
            message = None
        timeline = self.timeline
        if message is not None and timeline is not None and timeline.conversation_id == conversation_id:
            timeline.add(message)
        self.book.settle(conversation_id, client_message_id)

    async def load(self) -> None:
        """Take what the local store has, or the server when it is empty and can be reached."""
        outbox = await self.client.outbox()
        self.book.load((), outbox)
        self.book.loaded = False
        try:
            views = await self.client.conversations()
        except (ConnectionFailed, ServerError):
            views = ()
        self.book.load(views, ())
        self.changed()

    # --- the open chat

    @property
    def chat(self) -> str:
        """The conversation that is open; empty: none."""
        return self.timeline.conversation_id if self.timeline is not None else ""

    async def open(self, conversation_id: str) -> None:
        """Open a chat where the unread begins, else at its end, with what is held here; `older` asks the server."""
        self.leave()
        view = self.book.view(conversation_id)
        self.timeline = timeline = Timeline(conversation_id)
        self.unread_above, self.unread_count = view.read, view.unread
        self.client.open(conversation_id)
        through = min(view.read + _AHEAD, view.position) if view.unread else view.position
        page = await self.client.held(conversation_id, before=through + 1, limit=PAGE)
        if self.timeline is not timeline:
            return
        timeline.begin(page, through, at_end=through >= view.position)
        self.changed()
        peer = self.book.peer(conversation_id)
        if peer and peer not in self._watched:
            await self.watch()

    def leave(self) -> None:
        """Close the open chat."""
        if self.timeline is not None:
            self.client.close(self.timeline.conversation_id)
            self.timeline = None
            self._fetching = False

    async def older(self) -> None:
        """Load the page before the window: from here, and from the server while it is there."""
        timeline = self.timeline
        if timeline is None or timeline.complete or not timeline.loaded or self._fetching:
            return
        self._fetching = True
        before = timeline.first or timeline.through + 1
        online = self.book.connection.state == "online"
        try:
            page = await (self.client.history if online else self.client.held)(
                timeline.conversation_id, before=before, limit=PAGE
            )
        except CooeeClientError:
            return
        finally:
            self._fetching = False
        if self.timeline is timeline and (page.messages or page.complete or online):
            timeline.older(page, final=not page.messages)
            self.changed()

    async def newer(self) -> None:
        """Load the page behind the window."""
        timeline = self.timeline
        if timeline is None or timeline.at_end or not timeline.loaded or self._fetching:
            return
        self._fetching = True
        position = self.book.view(timeline.conversation_id).position
        through = min(timeline.through + PAGE, position)
        try:
            page = await self.client.history(timeline.conversation_id, before=through + 1, limit=PAGE)
        except CooeeClientError:
            return
        finally:
            self._fetching = False
        if self.timeline is timeline:
            timeline.newer(page, through, at_end=through >= self.book.view(timeline.conversation_id).position)
            self.changed()

    async def go_to(self, number: int | None) -> bool:
        """Show the window around a number, or the end (None); tell whether the number is in it."""
        timeline = self.timeline
        if timeline is None:
            return False
        if number is not None and timeline.at(number) is not None:
            return True
        if number is None and timeline.at_end:
            return True
        position = self.book.view(timeline.conversation_id).position
        through = position if number is None else min(number + PAGE // 2, position)
        timeline.fetching()
        page = await self.client.held(timeline.conversation_id, before=through + 1, limit=PAGE)
        if number is not None and all(message.sequence_number != number for message in page.messages):
            through = number
            page = await self.client.held(timeline.conversation_id, before=through + 1, limit=PAGE)
        timeline.begin(page, through, at_end=through >= position)
        self.changed()
        return number is None or timeline.at(number) is not None

    def items(self, now: datetime) -> list[Item]:
        """Return what is shown of the open chat."""
        timeline = self.timeline
        if timeline is None:
            return []
        chat = timeline.conversation_id
        scene = Scene(
            self.book.me,
            self.book.view(chat),
            self.book.waiting(chat),
            self.unread_above,
            self.unread_count,
            now,
            self.book.encrypts,
            tuple(self._notices.get(chat, ())),
        )
        return items(timeline, scene)

    def stamp(self, now: datetime) -> object:
        """Return something that is the same as long as `items` would be."""
        timeline = self.timeline
        if timeline is None:
            return None
        view = self.book.view(timeline.conversation_id)
        ticks = (view.delivered_through, view.read_through)
        waiting = self.book.waiting(timeline.conversation_id)
        notices = len(self._notices.get(timeline.conversation_id, ()))
        return id(timeline), timeline.changes, timeline.at_end, ticks, waiting, self.unread_count, notices, now.date()

    # --- what the user does

    async def send(self, chat: str, text: str, answered: int = 0) -> None:
        """Put a text into the outbox; it answers the message with the number ``answered``, 0: none.

        Raises:
            SendFailed, StoreError: it was not taken.
        """
        timeline = self.timeline if self.chat == chat else None
        message = timeline.at(answered) if timeline is not None else None
        mentions: Iterable[str] = ()
        if not is_direct(chat):
            members = self.book.view(chat).members
            mentions = dict.fromkeys(name for name in _MENTION.findall(text) if name in members)
        reply_to = message.message_id if message is not None else None
        self.book.wait(await self.client.send_text(chat, text, reply_to=reply_to, mentions=tuple(mentions)))
        if timeline is not None and timeline is self.timeline:
            self.unread_count = 0
            await self.go_to(None)
        self.changed()

    async def edit(self, chat: str, number: int, text: str) -> None:
        """Give an own message another text.

        Raises:
            SendFailed, StoreError: it was not taken.
        """
        await self.client.edit(chat, number, text)
        self.changed()

    async def send_file(self, chat: str, path: str, caption: str) -> None:
        """Upload a file, and put its message into the outbox.

        Raises:
            SendFailed, ConnectionFailed, StoreError: it was not taken, or is tried again later.
        """
        source = Path(os.path.expanduser(path))  # noqa: ASYNC240, PTH111  # an unknown ~user stays as it is
        entry = await self.client.send_file(chat, source, caption=caption)
        if any(kept.client_message_id == entry.client_message_id for kept in await self.client.outbox()):
            self.book.wait(entry)  # else it has its number already
        self.changed()

    async def retry(self, client_message_id: str) -> None:
        """Send a failed message again, as a new one."""
        entry = await self.client.retry(client_message_id)
        self.book.settle(entry.conversation_id, client_message_id)
        self.book.wait(entry)
        self.changed()

    async def discard(self, client_message_id: str) -> None:
        """Forget a failed message."""
        entry = next((one for one in await self.client.outbox() if one.client_message_id == client_message_id), None)
        await self.client.discard(client_message_id)
        if entry is not None:
            self.book.settle(entry.conversation_id, client_message_id)
        self.changed()

    async def seen(self, number: int) -> None:
        """Note that the messages of the open chat up to ``number`` were on the screen."""
        chat = self.chat
        if chat and number > max(self.book.view(chat).read, self._seen.get(chat, 0)):
            self._seen[chat] = number
            await self.client.mark_read(chat, number)

    async def typed(self, text: str) -> None:
        """Tell the others that the user types, or stopped; often enough and not more."""
        if not self.chat or self.book.peer(self.chat) == self.book.me:
            return
        now = asyncio.get_running_loop().time()
        if text.strip():
            if now >= self._typing_told + _TYPING_AGAIN_S:
                self._typing_told = now
                await self.client.typing(self.chat)
        elif self._typing_told:
            self._typing_told = 0.0
            await self.client.typing(self.chat, started=False)

    async def watch(self) -> None:
        """Watch the presence of those of the latest direct chats, if they are others than before."""
        wanted = set(self.book.peers(_WATCHED - 1))
        peer = self.book.peer(self.chat) if self.chat else ""
        if peer and peer != self.book.me:
            wanted.add(peer)
        if wanted != self._watched:
            self._watched = wanted
            await self.client.watch_presence(sorted(wanted))

    async def learn_peer(self) -> None:
        """Ask once whether the other one of the open direct chat is a bot, or has another key than before."""
        peer = self.book.peer(self.chat) if self.chat else ""
        if not peer or peer == self.book.me or peer in self._learned or self.book.connection.state != "online":
            return
        self._learned.add(peer)
        with suppress(CooeeClientError):
            if (await self.client.api.user(peer)).bot:
                self.book.bots.add(peer)
                self.changed()
            elif self.client.encrypts and self.client.standing == "linked":
                number = await self.client.safety_number(peer)
                if number.changed:
                    self.notice(self.client.conversation_id(peer), key_changed_here(peer, number.verified))

    async def peek(self, conversation_ids: Iterable[str]) -> None:
        """Load the last message of conversations that a new device knows only by name."""
        for chat in conversation_ids:
            view = self.book.view(chat)
            if self.book.connection.state != "online" or view.last is not None or not view.head or view.left:
                continue
            if chat in self._peeked:
                continue
            self._peeked.add(chat)
            try:
                await self.client.history(chat, limit=1)
            except CooeeClientError:
                continue
            fresh = await self.client.conversation(chat)
            if fresh is not None:
                self.book.renew(fresh)
                self.changed()

    async def search(self, text: str, conversation_id: str | None) -> Sequence[Message]:
        """Search what is held here, newest first."""
        return await self.client.search(text, conversation_id=conversation_id, limit=200)
