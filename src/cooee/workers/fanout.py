"""Fan-out: from the log to live sessions, and to the push queue for who has none (ARCHITECTURE.md, hybrid fan-out)."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.ports.clock import Clock
from cooee.ports.message_log import MessageLog
from cooee.ports.router import Routed, RouteKind
from cooee.protocol.codec import message_frame
from cooee.services.conversations import ConversationViews
from cooee.services.routes import Routes
from cooee.workers.wakeups import Wakeups

_log = logging.getLogger(__name__)
_RESTART_DELAY_S = 1.0


class _Named(msgspec.Struct, rename="camel"):
    """The users that a system message names; they may see it even when it sends them away."""

    actor_id: str = ""
    user_ids: tuple[str, ...] = ()
    user_id: str = ""


class _SystemBody(msgspec.Struct):
    content: _Named


_new_ref = tuple.__new__
"""Makes a NamedTuple in half the time its own constructor takes; once per message."""
_decode_system = msgspec.json.Decoder(_SystemBody).decode


class Fanout:
    """Follows the log. One task runs `run`; no failure of a message, a conversation or the store ends it."""

    def __init__(
        self, log: MessageLog, views: ConversationViews, routes: Routes, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._log = log
        self._views = views
        self._routes = routes
        self._wakeups = wakeups
        self._clock = clock
        self.failed = 0
        """How many messages could not be routed; their receivers read them from the timeline."""

    async def run(self) -> None:
        """Fan out what becomes durable, batch by batch and in order, until cancelled."""
        while True:
            try:
                async for batch in self._log.follow():
                    await self._fan_out_safely(batch)
            except Exception:  # noqa: BLE001  # live delivery is a hint, but it must come back
                _log.exception("the log cannot be followed; starting again")
            await asyncio.sleep(_RESTART_DELAY_S)

    async def fan_out(self, batch: Sequence[Message]) -> None:
        """Route one batch: every message encoded once, sessions looked up once."""
        observe = self._views.observe
        for message in batch:
            observe(message)
        await self._load_missing(batch)
        items = []
        routed = []
        now = self._clock.monotonic()
        for message in batch:
            try:
                item = self._route(message, now)
            except Exception:  # noqa: BLE001  # the other conversations go on
                self.failed += 1
                _log.exception("a message could not be routed")
                continue
            if item is not None:
                items.append(item)
                routed.append(message)
        online = await self._routes.deliver(items)
        await self._wakeups.consider(routed, items, online)

    async def _fan_out_safely(self, batch: Sequence[Message]) -> None:
        try:
            await self.fan_out(batch)
        except Exception:  # noqa: BLE001  # one bad batch must not stop the follower
            self.failed += len(batch)
            _log.exception("a batch could not be routed")

    async def _load_missing(self, batch: Sequence[Message]) -> None:
        """Load the groups of the batch that are not in memory, all at once. Direct chats need no roster.

        What cannot be loaded is missing when its message is routed, and only that message fails.
        """
        peek = self._views.peek
        missing = {
            message.conversation_id
            for message in batch
            if peek(message.conversation_id) is None and not is_direct(message.conversation_id)
        }
        if missing:
            await asyncio.gather(*map(self._views.load, missing), return_exceptions=True)

    def _route(self, message: Message, now: float) -> Routed | None:
        conversation_id = message.conversation_id
        view = self._views.peek(conversation_id)
        kind = RouteKind.MESSAGE
        if view is not None:
            user_ids = view.recipients(message.sequence_number)
            if view.large:
                kind = RouteKind.HINT
        elif is_direct(conversation_id):
            one, other = direct_members(conversation_id)
            user_ids = (one,) if one == other else (one, other)
        else:
            self.failed += 1
            return None
        if message.content_type == CONTENT_SYSTEM:
            user_ids = _with_named(user_ids, message)
        return Routed(
            kind,
            user_ids,
            message_frame(message),
            conversation_id,
            message.sequence_number,
            _new_ref(DeviceRef, (message.sender_id, message.device_id)) if message.device_id else None,
            "",
            _envelopes(message) if message.envelopes else None,
            now,
        )


def _with_named(user_ids: tuple[str, ...], message: Message) -> tuple[str, ...]:
    """Add those whom the message names: one who leaves or is removed sees the message that says so."""
    try:
        named = _decode_system(message.body).content
    except msgspec.DecodeError:
        return user_ids
    return tuple(user for user in dict.fromkeys((*user_ids, named.actor_id, *named.user_ids, named.user_id)) if user)


def _envelopes(message: Message) -> dict[DeviceRef, str]:
    return {DeviceRef(one.user_id, one.device_id): one.content for one in message.envelopes}
