"""What `listen` has shown, and how it shows the next event."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import click
import msgspec

from cooee.cli import records
from cooee.cli.errors import UNREACHABLE, CliError, without_internals
from cooee.cli.invocation import Invocation
from cooee.cli.render import Naming, clock, happened, message_line, placeholder, reactions_text, safe, tick
from cooee.cli.trouble import trouble_text
from cooee.client import (
    ConnectionState,
    ConversationUpdated,
    ConversationView,
    CooeeClientError,
    DeviceLinked,
    DeviceUnlinked,
    EncryptionChanged,
    EncryptionProblem,
    Event,
    HistoryPage,
    KeyChanged,
    LinkNeeded,
    Message,
    MessageDeleted,
    MessageUpdated,
    Presence,
    TickChanged,
    Typing,
)
from cooee.domain.ids import DeviceRef, direct_members, is_direct

UNREAD_SHOWN = 50
"""Unread messages of one conversation that are shown at the start."""

REMEMBERED = 1_000
"""Messages of which is known what was shown, so that changes can be told."""

_WATCHED = 500


class Chats(Protocol):
    """What of the SDK's client is needed here."""

    @property
    def me(self) -> DeviceRef:
        """The own user and device."""
        ...

    async def history(self, conversation_id: str, *, before: int | None = None, limit: int = 50) -> HistoryPage:
        """Return the newest messages below ``before``, ascending."""
        ...

    async def mark_read(self, conversation_id: str, sequence_number: int | None = None) -> None:
        """Note that everything up to a number is read."""
        ...

    async def watch_presence(self, user_ids: Iterable[str]) -> None:
        """Replace the watched users."""
        ...


class Wishes(msgspec.Struct, frozen=True):
    """How to show: mark as read or not; after how many messages of others to end; whether to wait for a server."""

    read: bool = True
    count: int | None = None
    retry: bool = False


class Screen:
    """Shows events in the order they come, and marks as read what it has shown."""

    def __init__(self, invocation: Invocation, chats: Chats, wishes: Wishes, *, encrypts: bool = False) -> None:
        """Show to ``invocation``. ``encrypts``: what is not encrypted is marked."""
        self.naming = Naming(chats.me.user_id, {}, encrypts)
        self._known: OrderedDict[tuple[str, int], Message] = OrderedDict()
        self._link_told = False
        self.only: frozenset[str] = frozenset()
        self._invocation = invocation
        self._chats = chats
        self._wishes = wishes
        self._views: Sequence[ConversationView] = ()
        self._left = wishes.count
        self._was_online = False
        self._shown: dict[str, int] = {}
        self._there: set[str] = set()
        self._peers: set[str] = set()

    @property
    def full(self) -> bool:
        """Whether as many messages were shown as were wanted."""
        return self._left is not None and self._left <= 0

    def open(self, views: Sequence[ConversationView]) -> None:
        """Take the conversations as they stand now."""
        self._views = views
        self.naming.titles.update({view.conversation_id: view.title for view in views})
        self._peers = {peer for view in views if (peer := self._peer(view.conversation_id))}

    def wants(self, conversation_id: str) -> bool:
        """Tell whether a conversation is to be shown."""
        return not self.only or conversation_id in self.only

    async def show_unread(self) -> None:
        """Show what is unread, oldest first; of each conversation the newest 50."""
        found: list[Message] = []
        for view in self._views:
            if view.unread and not view.left and self.wants(view.conversation_id):
                found += await self._unread_of(view)
        for message in sorted(found, key=lambda message: (message.timestamp, message.sequence_number)):
            await self._show_message(message)
            if self.full:
                return

    async def _unread_of(self, view: ConversationView) -> list[Message]:
        try:
            page = await self._chats.history(view.conversation_id, limit=UNREAD_SHOWN)
        except CooeeClientError as problem:
            self._invocation.note(
                f"{self.naming.chat(view.conversation_id)}: unread messages cannot be shown: {problem}"
            )
            return []
        unread = [
            message
            for message in page.messages
            if message.sequence_number > view.read and message.sender_id != self.naming.me and message.counts_as_unread
        ]
        if len(unread) < view.unread and not page.complete:
            chat = self.naming.chat(view.conversation_id)
            self._invocation.note(f"{chat}: {view.unread} unread, the newest are shown; `cooee history` shows all.")
        return unread

    async def watch(self) -> None:
        """Ask for the presence of those with whom there are direct chats."""
        if self._peers:
            await self._chats.watch_presence(sorted(self._peers)[:_WATCHED])

    async def show(self, event: Event) -> None:
        """Show an event.

        Raises:
            CliError: the first connection failed, and nobody wants to wait for another.
        """
        match event:
            case Message():
                if self.wants(event.conversation_id) and not event.hidden:
                    await self._show_message(event)
            case TickChanged() if self.wants(event.conversation_id):
                self._invocation.tell(records.tick(event), self._tick_line(event))
            case Typing() if self.wants(event.conversation_id):
                self._show_typing(event)
            case MessageDeleted() if self.wants(event.conversation_id):
                chat = self.naming.chat(event.conversation_id)
                who = f"{safe(event.by)} deleted message" if event.by else "gone, as its timer said: message"
                self._tell(event, self._dim(f"{chat}: {who} {event.sequence_number}"))
            case Presence():
                self._show_presence(event)
            case ConnectionState():
                self._show_connection(event)
            case ConversationUpdated() if event.conversation.title:
                self.naming.titles[event.conversation.conversation_id] = event.conversation.title
            case _:
                await self._show_of_encryption(event)

    async def _show_of_encryption(self, event: Event) -> None:
        match event:
            case MessageUpdated() if self.wants(event.message.conversation_id):
                self._show_update(event)
                await self._mark_read(event.message)
            case EncryptionChanged() if self.wants(event.conversation_id):
                self._tell(event)  # the system message says it to people
            case KeyChanged() | LinkNeeded() | DeviceLinked() | DeviceUnlinked() | EncryptionProblem():
                self._show_trouble(event)

    async def _show_message(self, message: Message) -> None:
        if message.sequence_number <= self._shown.get(message.conversation_id, 0):
            await self._mark_read(message)  # it was shown before it was held here
            return
        self._shown[message.conversation_id] = message.sequence_number
        self._learn(message)
        self._remember(message)
        line = message_line(self._invocation.look, message, self.naming, self._invocation.now)
        unseen = (
            message.silent and not happened(message)
        ) or message.event == "message_deleted"  # that one is told as what it is about
        self._tell(message, *() if unseen else (line,))
        if message.sender_id == self.naming.me:
            return
        if self._left is not None and message.counts_as_unread and self._readable(message):
            self._left -= 1
        await self._mark_read(message)
        peer = self._peer(message.conversation_id)
        if peer and peer not in self._peers:
            self._peers.add(peer)
            await self.watch()

    def _readable(self, message: Message) -> bool:
        """Tell whether a message says what it will ever say here; without encryption it stays as it is."""
        return not placeholder(message) or not self.naming.encrypts

    def _remember(self, message: Message) -> None:
        """Keep what was shown, so that it can be told what becomes of it."""
        self._known[message.conversation_id, message.sequence_number] = message
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _show_update(self, event: MessageUpdated) -> None:
        """Tell what became of a message: readable at last, edited, or reacted to."""
        message = event.message
        former = self._known.get((message.conversation_id, message.sequence_number))
        came = not placeholder(message) and former is not None and bool(placeholder(former))
        self._remember(message)
        number = f"message {message.sequence_number}"
        if came or (former is not None and former.text != message.text):
            line = message_line(self._invocation.look, message, self.naming, self._invocation.now)
            self._tell(event, f"{line}  {self._dim('(' + number + ')')}")
        elif former is None or former.reactions != message.reactions:
            chat, said = self.naming.chat(message.conversation_id), reactions_text(message) or "no reactions"
            self._tell(event, self._dim(f"{chat}: {number}: {said}"))
        else:
            self._tell(event)
        if came and self._left is not None and message.counts_as_unread and message.sender_id != self.naming.me:
            self._left -= 1

    def _show_trouble(self, event: KeyChanged | LinkNeeded | DeviceLinked | DeviceUnlinked | EncryptionProblem) -> None:
        """Tell what a person has to know of encryption, and what to do."""
        if isinstance(event, LinkNeeded):
            if self._link_told:
                return
            self._link_told = True
        self._tell(event)
        self._invocation.note(trouble_text(event))

    async def _mark_read(self, message: Message) -> None:
        if self._wishes.read and message.sender_id != self.naming.me and self._readable(message):
            await self._chats.mark_read(message.conversation_id, message.sequence_number)

    def _learn(self, message: Message) -> None:
        if message.event in ("group_created", "group_renamed") and isinstance(message.content, dict):
            name = message.content.get("name")
            if isinstance(name, str):
                self.naming.titles[message.conversation_id] = name

    def _peer(self, conversation_id: str) -> str:
        if not is_direct(conversation_id):
            return ""
        a, b = direct_members(conversation_id)
        other = b if a == self.naming.me else a
        return "" if other == self.naming.me else other

    def _tick_line(self, event: TickChanged) -> str:
        chat = self.naming.chat(event.conversation_id)
        marks = tick(self._invocation.look, event.status, words=True)
        if event.status == "failed":
            return f"{marks} {chat}: {safe(event.reason or 'a message was refused')}"
        through = f" up to {event.sequence_number}" if event.sequence_number else ""
        return f"{marks} {self._dim(chat + through)}"

    def _show_typing(self, event: Typing) -> None:
        doing = "records" if event.kind == "recording" else "types"
        line = self._dim(f"{safe(event.user_id)} {doing} in {self.naming.chat(event.conversation_id)} …")
        self._tell(event, *(line,) if event.status == "started" else ())

    def _show_presence(self, event: Presence) -> None:
        """Tell who comes, and who of those who were there goes."""
        lines = []
        if event.status == "online" and event.user_id not in self._there:
            self._there.add(event.user_id)
            lines = [f"{safe(event.user_id)} is online"]
        elif event.status != "online" and event.user_id in self._there:
            self._there.discard(event.user_id)
            seen = f", last seen {clock(event.last_seen, self._invocation.now)}" if event.last_seen else ""
            lines = [f"{safe(event.user_id)} is offline{seen}"]
        self._tell(event, *map(self._dim, lines))

    def _show_connection(self, event: ConnectionState) -> None:
        self._tell(event)
        reason = without_internals(event.reason).rstrip(".")
        if event.state == "online":
            self._invocation.note(
                "Connected again." if self._was_online else f"Connected as {self.naming.me}; Ctrl-C ends."
            )
            self._was_online = True
        elif event.state == "waiting":
            if not (self._wishes.retry or self._was_online):
                raise CliError(f"The server cannot be reached: {reason}.", UNREACHABLE, code="unreachable")
            wait = max(1, round(event.retry_in_ms / 1000))
            self._invocation.note(f"The connection is gone: {reason}; the next try is in {wait} s.")

    def _tell(self, event: Event, *lines: str) -> None:
        record = records.event(event, self.naming.me)
        if record is not None:
            self._invocation.tell(record, *lines)

    def _dim(self, text: str) -> str:
        return self._invocation.look.dim(click.unstyle(text))
