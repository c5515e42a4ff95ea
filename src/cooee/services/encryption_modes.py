"""Saying how a conversation is written, to all its members (PROTOCOL.md §15). The timeline is the truth."""

import asyncio
import secrets
from functools import partial
from typing import Literal, TypeVar

from cooee.domain.conversation import Role
from cooee.domain.errors import CooeeError, ErrorCode, not_a_member, not_found
from cooee.domain.ids import DeviceRef, is_direct
from cooee.domain.message import CONTENT_SYSTEM, LogRecord, Placed
from cooee.ports.clock import Clock
from cooee.ports.message_log import MessageLog
from cooee.protocol import keys
from cooee.protocol.codec import encode_system_body
from cooee.services.budgets import Budgets
from cooee.services.conversations import ConversationView, ConversationViews, check_takes_part

_Outcome = TypeVar("_Outcome")


class EncryptionModes:
    """Appends the system message that tells of it. The server itself takes either kind of message in either mode."""

    def __init__(self, log: MessageLog, views: ConversationViews, clock: Clock, budgets: Budgets) -> None:
        self._log = log
        self._views = views
        self._clock = clock
        self._budgets = budgets

    async def set(self, actor: DeviceRef, conversation_id: str, mode: Literal["plain", "encrypted"]) -> keys.Encryption:
        """Say that the conversation is written in this mode from now on; durable when it returns.

        Raises:
            CooeeError: ``not_a_member``; ``forbidden``, a group is for its admins; ``blocked``; ``not_found``;
                ``rate_limited``.
        """
        check_takes_part(conversation_id, actor.user_id)
        self._budgets.spend("group_changes", actor.user_id)
        view = await self._views.load(conversation_id)
        _check(view, actor.user_id)
        if actor.user_id in view.strangers:
            self._budgets.spend("new_direct_chats_with_strangers", actor.user_id)
        record = LogRecord(
            conversation_id,
            actor.user_id,
            "",
            f"settings_changed.{secrets.token_hex(8)}",
            self._clock.wall_ms(),
            CONTENT_SYSTEM,
            encode_system_body("settings_changed", actor.user_id, encryption=mode),
        )
        future: asyncio.Future[Placed | CooeeError | None] = asyncio.get_running_loop().create_future()
        self._log.append(record, partial(_resolve, future))
        outcome = await future
        if isinstance(outcome, CooeeError):
            raise outcome
        self._views.forget(conversation_id)
        return keys.Encryption(mode, 0 if outcome is None else outcome.sequence_number)


def _check(view: ConversationView, user_id: str) -> None:
    if user_id not in view.members:
        raise not_a_member()
    if view.gone:
        raise not_found("the user" if is_direct(view.conversation_id) else "the group")
    if view.blocked:
        raise CooeeError(ErrorCode.BLOCKED, "one of you blocks the other")
    if not is_direct(view.conversation_id) and view.members[user_id].role is Role.MEMBER:
        raise CooeeError(ErrorCode.FORBIDDEN, "only an admin of the group says how it is written")


def _resolve(future: "asyncio.Future[_Outcome]", outcome: _Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
