"""What a webhook's device has missed, cut into requests: the timeline is the queue, its watermark the place in it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.message import CONTENT_SYSTEM, Message
from cooee.domain.webhooks import WebhookSettings
from cooee.ports.timeline import Missed
from cooee.ports.webhooks import Part, Webhook
from cooee.protocol import frames
from cooee.services.receipts import Receipts
from cooee.services.sync import Sync

_PAGE = 64
MAX_PARTS = 100
"""Conversations of one request; also how many pages are read in vain before the watermark is moved."""
_GONE = frozenset({ErrorCode.NOT_A_MEMBER, ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN, ErrorCode.BAD_FRAME})


class Cut(NamedTuple):
    """The messages of one request. ``events`` may be empty: then there is nothing to send, only to move past."""

    parts: tuple[Part, ...]
    events: tuple[bytes, ...]


class Backlog:
    """What is known to be missed by one device, until it is taken; looked up anew when it is empty."""

    __slots__ = ("gone", "missed")

    def __init__(self) -> None:
        self.missed: deque[Missed] = deque()
        self.gone: set[str] = set()
        """Conversations that the bot may not read and whose watermark it may not move: passed over."""


class WebhookReader:
    """Reads for webhooks, and says `received` for them."""

    def __init__(self, sync: Sync, receipts: Receipts, settings: WebhookSettings) -> None:
        self._sync = sync
        self._receipts = receipts
        self._settings = settings

    async def cut(self, webhook: Webhook, backlog: Backlog) -> Cut | None:
        """Take the next request's messages off the backlog; None when nothing is missed.

        In order per conversation, as many as fit, oldest activity first. A large group is read like any other.

        Raises:
            CooeeError: the store does not answer; the backlog is as it was before, or empty.
        """
        if not backlog.missed:
            missed = await self._sync.missed(webhook.ref)
            backlog.missed.extend(one for one in missed if one.conversation_id not in backlog.gone)
        parts: list[Part] = []
        events: list[bytes] = []
        room = self._settings.batch_bytes
        for _ in range(MAX_PARTS):
            if not backlog.missed or len(events) >= self._settings.batch_events or room <= 0:
                break
            one = backlog.missed[0]
            part, found = await self._read(
                webhook, one, self._settings.batch_events - len(events), room, any_=not events
            )
            if part is None:  # the next event does not fit any more
                break
            if parts and parts[-1].conversation_id == part.conversation_id:
                parts[-1] = Part(part.conversation_id, parts[-1].first, part.last)
            else:
                parts.append(part)
            events += found
            room -= sum(map(len, found))
            backlog.missed.popleft()
            if part.last < one.last:
                backlog.missed.appendleft(Missed(one.conversation_id, part.last, one.last))
        return Cut(tuple(parts), tuple(events)) if parts else None

    async def events(self, webhook: Webhook, parts: Sequence[Part]) -> tuple[bytes, ...]:
        """Read the messages of ``parts`` again; what was deleted meanwhile comes as such, what was swept not at all."""
        found: list[bytes] = []
        for part in parts:
            after = part.first - 1
            while after < part.last:
                try:
                    page = await self._sync.read_after(webhook.ref, part.conversation_id, after, _PAGE)
                except CooeeError as refusal:
                    if refusal.code not in _GONE:
                        raise
                    break
                for message, frame in zip(page.messages, await self._sync.page_frames(webhook.ref, page), strict=True):
                    if message.sequence_number <= part.last and _is_wanted(webhook, message):
                        found.append(frame)
                if page.complete or page.covered_through <= after:
                    break
                after = page.covered_through
        return tuple(found)

    async def has_all(self, ref: DeviceRef, parts: Sequence[Part]) -> bool:
        """Tell whether the device's watermarks cover ``parts`` already."""
        for part in parts:
            if await self._sync.position(ref, part.conversation_id) < part.last:
                return False
        return True

    async def received(self, ref: DeviceRef, parts: Sequence[Part], backlog: Backlog) -> None:
        """Move the device's watermarks past ``parts``; their senders see the second tick. Durable.

        Raises:
            CooeeError: the store takes nothing now.
        """
        highest = {part.conversation_id: part.last for part in parts}
        answers = await asyncio.gather(*(self._move(ref, *one) for one in highest.items()))
        for conversation_id, answer in zip(highest, answers, strict=True):
            if isinstance(answer, frames.Error):
                code = ErrorCode(answer.code)
                if code not in _GONE:
                    raise CooeeError(code, answer.message)
                backlog.gone.add(conversation_id)

    def _move(self, ref: DeviceRef, conversation_id: str, number: int) -> "asyncio.Future[frames.ServerFrame]":
        answered: asyncio.Future[frames.ServerFrame] = asyncio.get_running_loop().create_future()

        def answer(frame: frames.ServerFrame) -> None:
            if not answered.done():
                answered.set_result(frame)

        self._receipts.received(ref, frames.Received(conversation_id, number, "webhook"), answer)
        return answered

    async def _read(
        self, webhook: Webhook, one: Missed, limit: int, room: int, *, any_: bool
    ) -> tuple[Part | None, list[bytes]]:
        """Read on in one conversation, a page at most; ``any_``: the first event is taken however large it is."""
        found: list[bytes] = []
        first, last = one.received + 1, one.last
        try:
            page = await self._sync.read_after(webhook.ref, one.conversation_id, one.received, min(limit, _PAGE))
        except CooeeError as refusal:
            if refusal.code not in _GONE:
                raise
            return Part(one.conversation_id, first, last), found
        if not page.complete:
            last = min(last, page.covered_through)
            if last < first:
                return None, found
        passed = one.received
        for message, frame in zip(page.messages, await self._sync.page_frames(webhook.ref, page), strict=True):
            if message.sequence_number > last:
                break
            if _is_wanted(webhook, message):
                if len(frame) > room and not (any_ and not found):
                    return (Part(one.conversation_id, first, passed) if passed >= first else None), found
                found.append(frame)
                room -= len(frame)
            passed = message.sequence_number
        return Part(one.conversation_id, first, last), found


def _is_wanted(webhook: Webhook, message: Message) -> bool:
    if message.content_type == CONTENT_SYSTEM:
        return "system" in webhook.events
    return ("own" if message.sender_id == webhook.bot_id else "message") in webhook.events
