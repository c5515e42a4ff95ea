"""All conversations as the SDK tells of them: views, outbox, typing, presence, connection, drafts. Pure.

`Book.take` follows one event after the other. Nothing is derived twice: unread counts and ticks are the SDK's.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from cooee.cli.tui.text import one_line, several
from cooee.client import (
    ConnectionState,
    ConversationUpdated,
    ConversationView,
    Event,
    LinkNeeded,
    MessageUpdated,
    Pending,
    Presence,
    SetupProgress,
    TickChanged,
    Typing,
)
from cooee.domain.ids import direct_members, is_direct


class Book:
    """What the user ``me`` has. ``changes`` counts what happened, so that a screen knows whether it is up to date."""

    def __init__(self, me: str, drafts: Mapping[str, str] | None = None) -> None:
        self.me = me
        self.views: dict[str, ConversationView] = {}
        self.drafts = {chat: text for chat, text in (drafts or {}).items() if text}
        self.presence: dict[str, Presence] = {}
        self.bots: set[str] = set()
        """Those of whom it is known that a program stands behind them."""

        self.encrypts = False
        """Whether what is not encrypted is marked."""

        self.unlinked = False
        """Whether this device must be linked first."""

        self.setup = ""
        """How far it is with setting up encryption; empty: nothing is being set up."""

        self.connection = ConnectionState("connecting")
        self.loaded = False
        self.changes = 0
        self._typing: dict[str, dict[str, str | None]] = {}
        self._outbox: dict[str, dict[str, Pending]] = {}
        self._begun: set[str] = set()
        self._unread: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._lists: dict[bool, list[str]] | None = None

    # --- what happens

    def take(self, event: Event) -> None:
        """Follow an event. Messages themselves belong to the `Timeline` of the chat that is open."""
        match event:
            case ConversationUpdated():
                self._put(event.conversation)
            case Typing():
                self._type(event)
            case Presence():
                self.presence[event.user_id] = event
            case ConnectionState():
                self.connection = event
                if event.state != "online":
                    self._typing.clear()
            case TickChanged(status="failed"):
                self._fail(event)
            case _:
                self._take_of_encryption(event)
        self.changes += 1

    def _take_of_encryption(self, event: Event) -> None:
        match event:
            case MessageUpdated(message=message):
                view = self.views.get(message.conversation_id)
                if view is not None and view.last is not None and view.last.sequence_number == message.sequence_number:
                    self._put(msgspec.structs.replace(view, last=message))
            case SetupProgress():
                going = event.total and event.done < event.total
                what = "Setting up encryption" if event.conversation_id else "History of the other device"
                self.setup = f"{what}: {event.done:,} of {event.total:,}" if going else ""
            case LinkNeeded():
                self.unlinked = True

    def _type(self, event: Typing) -> None:
        people = self._typing.setdefault(event.conversation_id, {})
        if event.status == "started":
            people[event.user_id] = event.kind
        else:
            people.pop(event.user_id, None)

    def _fail(self, event: TickChanged) -> None:
        entry = self._outbox.get(event.conversation_id, {}).get(event.client_message_id or "")
        if entry is not None:
            failed = msgspec.structs.replace(
                entry, status="failed", code=event.code or "", reason=event.reason or "it was refused"
            )
            self._outbox[event.conversation_id][entry.client_message_id] = failed

    def load(self, views: Iterable[ConversationView], outbox: Iterable[Pending]) -> None:
        """Take what the store has; what events told meanwhile is newer and stays."""
        for view in views:
            if view.conversation_id not in self.views:
                self._put(view)
        for entry in outbox:
            self.wait(entry)
        self.loaded = True
        self.changes += 1

    def renew(self, view: ConversationView) -> None:
        """Take a view that was asked for, unless an event told of a newer one."""
        known = self.views.get(view.conversation_id)
        if known is None or (view.head, view.position, view.read) >= (known.head, known.position, known.read):
            self._put(view)
            self.changes += 1

    def _put(self, view: ConversationView) -> None:
        self.views[view.conversation_id] = view
        (self._unread.add if view.unread else self._unread.discard)(view.conversation_id)
        self._put_in_place(view.conversation_id)

    def wait(self, entry: Pending) -> None:
        """Note a message that has no number yet."""
        self._outbox.setdefault(entry.conversation_id, {})[entry.client_message_id] = entry
        self._put_in_place(entry.conversation_id)
        self.changes += 1

    def settle(self, conversation_id: str, client_message_id: str) -> None:
        """Forget a message that has its number now, or was discarded."""
        waiting = self._outbox.get(conversation_id, {})
        if waiting.pop(client_message_id, None) is not None:
            self.changes += 1
        if not waiting:
            self._outbox.pop(conversation_id, None)
        self._put_in_place(conversation_id)

    def begin(self, conversation_id: str) -> None:
        """Show a conversation in which nothing was said yet."""
        self._begun.add(conversation_id)
        self._put_in_place(conversation_id)
        self.changes += 1

    def draft(self, conversation_id: str, text: str) -> None:
        """Keep what is written and not sent."""
        if text.strip():
            self.drafts[conversation_id] = text
        else:
            self.drafts.pop(conversation_id, None)
        self.changes += 1

    # --- what there is

    def view(self, conversation_id: str) -> ConversationView:
        """Return a conversation; an empty one when nothing is known of it."""
        return self.views.get(conversation_id) or blank(conversation_id)

    def name(self, conversation_id: str) -> str:
        """Return how a person names a conversation, in one line."""
        title = one_line(self.view(conversation_id).title)
        peer = self.peer(conversation_id)
        if peer == self.me:
            return "Notes to self"
        return title or peer or conversation_id

    def peer(self, conversation_id: str) -> str:
        """Return the other one in a direct chat (oneself in notes to self); empty for a group."""
        if not is_direct(conversation_id):
            return ""
        a, b = direct_members(conversation_id)
        return b if a == self.me else a

    def waiting(self, conversation_id: str) -> list[Pending]:
        """Return the messages of a conversation without a number, in the order of writing."""
        return sorted(self._outbox.get(conversation_id, {}).values(), key=lambda entry: entry.order)

    @property
    def queued(self) -> int:
        """How many messages wait to be sent, failed ones not counted."""
        return sum(entry.status == "pending" for queue in self._outbox.values() for entry in queue.values())

    def typing(self, conversation_id: str) -> dict[str, str | None]:
        """Return who types, and what kind of thing."""
        return self._typing.get(conversation_id, {})

    def online(self, conversation_id: str) -> bool:
        """Tell whether the other one of a direct chat is there."""
        peer = self.peer(conversation_id)
        known = self.presence.get(peer)
        return peer != self.me and known is not None and known.status == "online" and self.connection.state == "online"

    def listed(self, *, archived: bool = False) -> list[str]:
        """Return the conversations of the list: pinned ones first, then by last activity; or the archived ones."""
        if self._lists is None:
            self._lists = {False: [], True: []}
            for place in sorted(self._places.values()):
                self._lists[place.archived].append(place.conversation_id)
        return self._lists[archived]

    @property
    def archived(self) -> int:
        """How many conversations are put away."""
        return len(self.listed(archived=True))

    def unread(self, now_ms: int) -> int:
        """Return how many messages are unread in conversations that are neither muted nor archived."""
        views = (self.views[chat] for chat in self._unread)
        return sum(view.unread for view in views if not view.archived and not is_muted(view, now_ms))

    def found(self, query: str, limit: int = 50) -> list[str]:
        """Return the conversations whose name or user has all words of ``query``, best first."""
        words = query.casefold().split()
        ranked = []
        for place, chat in enumerate(self._all()):
            name = self.name(chat).casefold()
            text = f"{name} {self.peer(chat)}"
            if all(word in text for word in words):
                begins = bool(words) and (name.startswith(words[0]) or self.peer(chat).startswith(words[0]))
                ranked.append((not begins, place, chat))
        return [chat for _, _, chat in sorted(ranked)[:limit]]

    def peers(self, limit: int) -> list[str]:
        """Return the users of the direct chats, latest first."""
        peers = (self.peer(chat) for chat in self._all())
        return [peer for peer in peers if peer and peer != self.me][:limit]

    def _all(self) -> list[str]:
        return self.listed() + self.listed(archived=True)

    def _put_in_place(self, conversation_id: str) -> None:
        """Note where a conversation belongs in the list; it is sorted anew only when that has changed."""
        view = self.views.get(conversation_id)
        waiting = self._outbox.get(conversation_id)
        if view is None and not waiting and conversation_id not in self._begun:
            return
        written = max((entry.created_at for entry in waiting.values()), default=0) if waiting else 0
        activity = max(view.last_activity if view is not None else _NOW, written)
        pinned, archived = (view.pinned, view.archived) if view is not None else (False, False)
        place = _Place(not pinned, -activity, conversation_id, archived)
        if self._places.get(conversation_id) != place:
            self._places[conversation_id] = place
            self._lists = None


class _Place(NamedTuple):
    """Where a conversation stands: what sorts first comes first."""

    unpinned: bool
    age: int
    conversation_id: str
    archived: bool


_NOW = 1 << 53
"""A conversation that was just begun stands on top."""


def blank(conversation_id: str) -> ConversationView:
    """Return the view of a conversation of which nothing is known."""
    return ConversationView(
        conversation_id,
        "direct" if is_direct(conversation_id) else "group",
        title="",
        position=0,
        head=0,
        read=0,
        unread=0,
        muted_until=0,
        pinned=False,
        archived=False,
        left=False,
        last=None,
        last_activity=0,
        delivered_through=0,
        read_through=0,
        members={},
    )


def is_muted(view: ConversationView, now_ms: int) -> bool:
    """Tell whether a conversation is mute now (ms since the epoch)."""
    return view.muted_until < 0 or view.muted_until > now_ms


def connection_line(state: ConnectionState, queued: int) -> str:
    """Return what the line about the connection says; empty when all is well."""
    waiting = f" (queued: {queued})" if queued else ""
    match state.state:
        case "online":
            return ""
        case "connecting":
            return f"Connecting…{waiting}"
        case "catching_up":
            return f"Updating…{waiting}"
        case "waiting":
            again = max(1, round(state.retry_in_ms / 1000))
            return f"Offline{waiting} · next try in {several(again, 'second')}; messages are kept and sent later"
    return f"Not connected{waiting}: {one_line(state.reason, 300) or 'the connection was ended'}"
