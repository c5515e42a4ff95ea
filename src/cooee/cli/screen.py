"""What `listen` has shown, and how it shows the next event."""

from collections.abc import Sequence

import click

from cooee.cli import records
from cooee.cli.errors import UNREACHABLE, CliError
from cooee.cli.invocation import Invocation
from cooee.cli.render import Naming, clock, message_line, safe, tick
from cooee.client import (
    Client,
    ConnectionState,
    ConversationUpdated,
    ConversationView,
    CooeeClientError,
    Event,
    Message,
    MessageDeleted,
    Presence,
    TickChanged,
    Typing,
)
from cooee.domain.ids import direct_members, is_direct

UNREAD_SHOWN = 50
"""Unread messages of one conversation that are shown at the start."""

_WATCHED = 500


class Screen:
    """Shows events in the order they come; marks as read what it has shown, if it shall.

    ``count``: how many messages of others are wanted. ``must_connect``: give up when the first connection fails.
    """

    def __init__(self, invocation: Invocation, *, read: bool, count: int | None, must_connect: bool) -> None:
        self.naming = Naming("", {})
        self.only: frozenset[str] = frozenset()
        self._invocation = invocation
        self._read = read
        self._left = count
        self._must_connect = must_connect
        self._was_online = False
        self._shown: dict[str, int] = {}
        self._there: set[str] = set()
        self._peers: set[str] = set()
        self._client: Client | None = None

    @property
    def full(self) -> bool:
        """Whether as many messages were shown as were wanted."""
        return self._left is not None and self._left <= 0

    def open(self, client: Client, views: Sequence[ConversationView]) -> None:
        """Take ``client``, whose conversations are ``views`` now."""
        self._client = client
        self.naming = Naming(client.me.user_id, {view.conversation_id: view.title for view in views})
        self._peers = {peer for view in views if (peer := self._peer(view.conversation_id))}

    def wants(self, conversation_id: str) -> bool:
        """Tell whether a conversation is to be shown."""
        return not self.only or conversation_id in self.only

    async def show_unread(self, views: Sequence[ConversationView]) -> None:
        """Show what is unread, oldest first; of each conversation the newest 50."""
        found: list[Message] = []
        for view in views:
            if view.unread and not view.left and self.wants(view.conversation_id):
                found += await self._unread_of(view)
        for message in sorted(found, key=lambda message: (message.timestamp, message.sequence_number)):
            await self._show_message(message)
            if self.full:
                return

    async def _unread_of(self, view: ConversationView) -> list[Message]:
        assert self._client is not None  # noqa: S101  # open() came first
        try:
            page = await self._client.history(view.conversation_id, limit=UNREAD_SHOWN)
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
        if self._client is not None:
            await self._client.watch_presence(sorted(self._peers)[:_WATCHED])

    async def show(self, event: Event) -> None:
        """Show an event.

        Raises:
            CliError: the first connection failed, and nobody wants to wait for another.
        """
        match event:
            case Message():
                if self.wants(event.conversation_id):
                    await self._show_message(event)
            case TickChanged() if self.wants(event.conversation_id):
                self._invocation.tell(records.tick(event), self._tick_line(event))
            case Typing() if self.wants(event.conversation_id):
                self._show_typing(event)
            case MessageDeleted() if self.wants(event.conversation_id):
                chat = self.naming.chat(event.conversation_id)
                self._tell(event, self._dim(f"{chat}: {safe(event.by)} deleted message {event.sequence_number}"))
            case Presence():
                self._show_presence(event)
            case ConnectionState():
                self._show_connection(event)
            case ConversationUpdated():
                self.naming.titles[event.conversation.conversation_id] = event.conversation.title

    async def _show_message(self, message: Message) -> None:
        if message.sequence_number <= self._shown.get(message.conversation_id, 0):
            return
        self._shown[message.conversation_id] = message.sequence_number
        self._learn(message)
        if not (message.silent and not self._invocation.as_json):
            line = message_line(self._invocation.look, message, self.naming, self._invocation.now)
            self._tell(message, line)
        if message.sender_id == self.naming.me:
            return
        if self._left is not None and message.counts_as_unread:
            self._left -= 1
        assert self._client is not None  # noqa: S101  # open() came first
        if self._read:
            await self._client.mark_read(message.conversation_id, message.sequence_number)
        peer = self._peer(message.conversation_id)
        if peer and peer not in self._peers:
            self._peers.add(peer)
            await self.watch()

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
        if event.state == "online" and not self._was_online:
            self._invocation.note(f"Connected as {self.naming.me}; Ctrl-C ends.")
        elif event.state == "waiting":
            if self._must_connect and not self._was_online:
                raise CliError(f"{event.reason.rstrip('.')}.", UNREACHABLE, code="unreachable")
            wait = max(1, round(event.retry_in_ms / 1000))
            self._invocation.note(f"No connection: {event.reason}; the next try is in {wait} s.")
        if event.state == "online":
            self._was_online = True

    def _tell(self, event: Event, *lines: str) -> None:
        record = records.event(event, self.naming.me)
        if record is not None:
            self._invocation.tell(record, *lines)

    def _dim(self, text: str) -> str:
        return self._invocation.look.dim(click.unstyle(text))
