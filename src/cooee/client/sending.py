"""Writing messages: into the outbox first, durably, from where they are sent once (PROTOCOL.md §3)."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from cooee.client.bodies import said_by
from cooee.client.e2ee.results import Letter
from cooee.client.errors import SendFailed, StoreError
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.live import Live
from cooee.client.model import CONTENT_CONTROL, Message, Pending
from cooee.client.outbox import failed
from cooee.client.turn import Turn
from cooee.domain.digest import preview_of
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import check_conversation_id, direct_conversation_id, is_user_id, uuid7
from cooee.domain.message import CONTENT_TEXT
from cooee.protocol.body import MAX_BODY_BYTES, BadBody, Body, TextBody, encode_body

_EXPIRY_CHECK_S = 600.0


class Sending:
    """The way into the outbox, and what becomes of what is in it. ``wake`` makes the connection look again."""

    def __init__(self, ledger: Ledger, live: Live, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._live = live
        self._wake = wake

    async def text(
        self,
        to: str,
        text: str,
        *,
        reply_to: str | None = None,
        mentions: tuple[str, ...] = (),
        silent: bool = False,
        preview: str | None = None,
    ) -> Pending:
        """Commit a text; see `Client.send_text`. Raises `SendFailed`, `StoreError`."""
        conversation_id = self.conversation_id(to)
        self._check_text(text)
        now = wall_ms()
        entry = Pending(
            new_id(now),
            conversation_id,
            self._ledger.state.me.device_id,
            now,
            CONTENT_TEXT,
            text,
            reply_to=reply_to,
            mentions=mentions,
            silent=silent,
            preview=preview or "",
        )
        if self.encrypts(conversation_id):
            timer = self.timer(conversation_id)
            reference = await self.reference(conversation_id, reply_to)
            body = TextBody(text=text, reply_to=reference or None, mentions=mentions, expires_in=timer or None)
            entry = await self.enclosed(msgspec.structs.replace(entry, reply_reference=reference), body)
        elif preview is None:
            entry = msgspec.structs.replace(entry, preview=preview_of(text))
        return await self._put(entry)

    async def control(self, conversation_id: str, body: Body) -> Pending:
        """Commit what is said of another message, or of the conversation. Raises `SendFailed`, `StoreError`.

        ``not_encrypted``: the conversation is a plain one, which knows no such thing.
        """
        self.conversation_id(conversation_id)
        if not self.encrypts(conversation_id):
            raise SendFailed("not_encrypted", "reactions, edits and timers are sent in encrypted conversations only")
        said = said_by(body)
        now = wall_ms()
        entry = Pending(
            new_id(now),
            conversation_id,
            self._ledger.state.me.device_id,
            now,
            said.content_type,
            said.content,
            silent=True,
        )
        return await self._put(await self.enclosed(entry, body))

    async def _put(self, entry: Pending) -> Pending:
        entry = await self._ledger.run(self._ledger.store.put_pending, entry)
        self.take(entry)
        return entry

    async def reference(self, conversation_id: str, message_id: str | None) -> str:
        """Return how an encrypted body names the message that it answers; empty when it answers none.

        Raises:
            SendFailed: ``not_found``: it is not held here, or is the server's own, which nothing encrypted can name.
        """
        if message_id is None:
            return ""
        found = await self._ledger.run(self._ledger.store.find_by_id, conversation_id, message_id)
        if found is None or not found.reference:
            raise SendFailed(ErrorCode.NOT_FOUND, "the message that it answers is not held here, or cannot be answered")
        return found.reference

    def encrypts(self, conversation_id: str) -> bool:
        """Tell whether what is written to a conversation now is encrypted."""
        known = self._ledger.state.find(conversation_id)
        return self._ledger.agent is not None and not (known is not None and known.plain)

    def timer(self, conversation_id: str) -> int:
        """Return after how many ms what is written to a conversation now disappears; 0: never."""
        known = self._ledger.state.find(conversation_id)
        return known.timer if known is not None else 0

    async def enclosed(self, entry: Pending, body: Body) -> Pending:
        """Return ``entry`` with ``body`` sealed under a key of its own. Raises `SendFailed`."""
        try:
            payload = encode_body(body)
        except BadBody as problem:
            large = len(msgspec.json.encode(body)) > MAX_BODY_BYTES
            raise SendFailed("too_large" if large else "bad_frame", f"it cannot be sent: {problem}") from None
        expires_in = getattr(body, "expires_in", None) or 0
        entry = msgspec.structs.replace(
            entry, body=payload.decode(), expires_in=0 if entry.content_type == CONTENT_CONTROL else expires_in
        )
        return await self._with_letter(entry)

    async def _with_letter(self, entry: Pending) -> Pending:
        found: list[Letter] = []

        def fill(turn: Turn) -> None:
            found.append(turn.draft.enclose(entry.conversation_id, entry.client_message_id, entry.body.encode()))

        await self._ledger.step(fill)
        return msgspec.structs.replace(entry, letter=found[0], sealed=None)

    def take(self, entry: Pending) -> None:
        """Send what has just been stored."""
        self._ledger.state.outbox.add(entry)
        self._ledger.seal_wanted = True
        self._ledger.wake()
        self._live.open(entry.conversation_id, self._ledger.clock())
        self._wake()

    @property
    def largest(self) -> int:
        """How many bytes a message's content may have."""
        return self._live.limits.max_content_bytes

    def conversation_id(self, to: str) -> str:
        """Return the conversation with a user, or the conversation itself. Raises `SendFailed`."""
        if is_user_id(to):
            return direct_conversation_id(self._ledger.state.me.user_id, to)
        try:
            check_conversation_id(to)
        except CooeeError as problem:
            raise SendFailed(problem.code, f"{to!r} is no user and no conversation: {problem.message}") from None
        return to

    def _check_text(self, text: str) -> None:
        if not text:
            raise SendFailed("bad_frame", "the text is empty")
        largest = self._live.limits.max_content_bytes
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise SendFailed("bad_frame", "the text is not valid Unicode") from None
        if size > largest:
            raise SendFailed("too_large", f"the text has {size} bytes, at most {largest} can be sent; split it")

    def entries(self) -> Sequence[Pending]:
        """Return the outbox in the order of writing."""
        return sorted(self._ledger.state.outbox.entries(), key=lambda entry: entry.order)

    async def retry(self, client_message_id: str) -> Pending:
        """Send a failed message again, as a new one. Raises KeyError, and SendFailed when its file is not there."""
        former = self._failed(client_message_id)
        if former.media is not None and not former.media.media_key:
            raise SendFailed("not_found", "its file was not uploaded; discard the message, and send the file anew")
        now = wall_ms()
        entry = msgspec.structs.replace(
            former,
            client_message_id=new_id(now),
            device_id=self._ledger.state.me.device_id,
            created_at=now,
            status="pending",
            code="",
            reason="",
        )
        if entry.encrypted:
            entry = await self._with_letter(entry)
        entry = await self._ledger.run(self._ledger.store.replace_pending, client_message_id, entry)
        self._ledger.state.outbox.remove(client_message_id)
        self.take(entry)
        return entry

    async def discard(self, client_message_id: str) -> None:
        """Forget a failed message. Raises KeyError."""
        self._failed(client_message_id)
        await self._ledger.run(self._ledger.store.drop_pending, client_message_id)
        self._ledger.state.outbox.remove(client_message_id)

    def _failed(self, client_message_id: str) -> Pending:
        entry = self._ledger.state.outbox.find_failed(client_message_id)
        if entry is None:
            raise KeyError(client_message_id)
        return entry

    async def find(self, client_message_id: str) -> Message | None:
        """Return the message that an entry became, None while it waits.

        Raises:
            SendFailed: it failed, or nobody here ever wrote it.
        """
        outbox = self._ledger.state.outbox
        if outbox.find(client_message_id) is not None:
            return None
        given_up = outbox.find_failed(client_message_id)
        if given_up is not None:
            raise SendFailed(given_up.code, given_up.reason)
        sent = await self._ledger.run(self._ledger.store.find_sent, client_message_id)
        if sent is None:
            raise SendFailed("not_found", "no such message is known here")
        return sent

    async def give_up_foreign(self) -> None:
        """Fail what another device id wrote: only that device could ask whether it was sent."""
        me = self._ledger.state.me
        reason = "the device it was written on is gone, so nobody can tell whether it was sent; look, and send it again"
        foreign = [entry for entry in self.entries() if entry.device_id != me.device_id and entry.status == "pending"]
        await self._fail([failed(entry, "device_changed", reason) for entry in foreign])

    async def keep_fresh(self) -> None:
        """Give up, now and then, what has waited for 29 days; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_S)
            with suppress(StoreError):
                await self.expire(wall_ms())

    async def expire(self, now_ms: int) -> None:
        """Give up what has waited for 29 days. Raises `StoreError`."""
        await self._fail(self._ledger.state.outbox.expired(now_ms))

    async def _fail(self, entries: Sequence[Pending]) -> None:
        if not entries:
            return

        def fill(turn: Turn) -> None:
            for entry in entries:
                turn.fail(entry)

        await self._ledger.step(fill)


def new_id(now_ms: int) -> str:
    """Return a new clientMessageId."""
    return uuid7(now_ms, secrets.randbits(74))
