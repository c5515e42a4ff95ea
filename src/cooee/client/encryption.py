"""End-to-end encryption, as an application sees it (docs/sdk.md): a part of `Client`."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from cooee.client import store_backup
from cooee.client.e2ee.agent import Agent
from cooee.client.e2ee.results import Diagnostics, Standing
from cooee.client.errors import SendFailed, ServerError
from cooee.client.events import EncryptionChanged
from cooee.client.ledger import wall_ms
from cooee.client.model import Account, Message, Pending
from cooee.client.opened import Opened
from cooee.client.turn import Turn
from cooee.crypto import link, safety_number
from cooee.crypto.keys import AccountPublicKey
from cooee.domain.errors import ErrorCode
from cooee.protocol import http
from cooee.protocol.body import EditBody, OwnConversation, ReactionBody, TimerBody

Mode = Literal["plain", "encrypted"]
T = TypeVar("T")

ANSWER_S = 60.0
"""How long it may take until the server has taken a new device list."""


class SafetyNumber(NamedTuple):
    """What two people compare. ``digits``: 60; ``qr``: the text of a QR code, which the other side scans.

    ``verified``: the user said that they are the same. ``changed``: the other has a new key that was not accepted.
    """

    digits: str
    qr: str
    verified: bool
    changed: bool

    def grouped(self) -> str:
        """Return the digits in twelve groups of five."""
        return safety_number.SafetyNumber(self.digits, self.qr).grouped()

    def matches(self, scanned: str) -> bool:
        """Tell whether the QR text of the other side says the same. Raises ValueError when it is none."""
        try:
            return safety_number.SafetyNumber(self.digits, self.qr).matches(scanned)
        except Exception as problem:
            raise ValueError("this is no safety number") from problem


class LinkCode(NamedTuple):
    """What a new device shows, for ten minutes, so that an old one can link it: ``text`` for typing, ``qr``."""

    text: str
    qr: str

    def __repr__(self) -> str:
        return "LinkCode(…)"


class OwnDevice(NamedTuple):
    """A device of the own account. ``linked``: it stands in the signed device list, and reads encrypted messages."""

    device: http.Device
    linked: bool


class EncryptionOfClient(ABC):
    """What `Client` does about end-to-end encryption. With ``encryption="off"`` most of it raises RuntimeError."""

    folder: Path

    @property
    @abstractmethod
    def _parts(self) -> Opened:
        """The parts of the open client."""

    @abstractmethod
    async def _step(self, fill: Callable[[Turn], None]) -> Turn:
        """Take a step of the ledger."""

    @abstractmethod
    async def _until(self, check: Callable[[], Awaitable[T | None]], timeout_s: float | None) -> T:
        """Wait until ``check`` returns something."""

    @property
    def _agent(self) -> Agent:
        agent = self._parts.ledger.agent
        if agent is None:
            raise RuntimeError('encryption is off: use `Client(…, encryption="on")`')
        return agent

    # --- conversations

    def mode(self, conversation_id: str) -> Mode:
        """Return how what is written to a conversation is sent now."""
        return "encrypted" if self._parts.sending.encrypts(conversation_id) else "plain"

    async def set_mode(self, conversation_id: str, mode: Mode) -> None:
        """Let a conversation be written in the clear, or encrypted again. All members see it in the timeline.

        In the clear writes only who chose it: where another member did (`EncryptionChanged`), that is agreed to, for
        this user alone, without a further message. Who is no admin of a group may go back for himself in the same way.

        Raises:
            ServerError: not a member, or, in a group, no admin.
        """
        state = self._parts.ledger.state
        former = state.find(conversation_id)
        told = former is not None and former.told_plain
        number = 0
        if mode == "encrypted" or not told:
            try:
                number = (await self._parts.api.set_encryption(conversation_id, mode)).sequence_number
            except ServerError as refused:
                if refused.code != ErrorCode.FORBIDDEN or not told:
                    raise

        def fill(turn: Turn) -> None:
            conversation = turn.conversation(conversation_id)
            if number > conversation.mode_at:
                turn.change(conversation_id, told_plain=mode == "plain", mode_at=number)
                turn.events.append(EncryptionChanged(conversation_id, mode, turn.state.me.user_id))
            elif number and number < conversation.mode_at:
                return  # somebody has said something else since
            turn.change(conversation_id, plain=mode == "plain")
            if turn.agent is not None:
                turn.draft.tell_own(OwnConversation(conversation_id=conversation_id, mode=mode))

        await self._step(fill)

    async def react(self, conversation_id: str, sequence_number: int, emoji: str) -> Pending:
        """React to a message by an emoji, in place of the former one; an empty one takes it back.

        Raises:
            SendFailed: ``not_found``: no such message is held here; ``not_encrypted``: the conversation is plain.
        """
        target = await self._target(conversation_id, sequence_number)
        return await self._parts.sending.control(conversation_id, ReactionBody(target=target.reference, emoji=emoji))

    async def edit(self, conversation_id: str, sequence_number: int, text: str) -> Pending:
        """Give an own message, or the caption of an own file, another text.

        Raises:
            SendFailed: as for `react`; ``forbidden``: it is somebody else's; ``bad_frame``: it has no text.
        """
        target = await self._target(conversation_id, sequence_number)
        if target.sender_id != self._parts.account.user_id:
            raise SendFailed(ErrorCode.FORBIDDEN, "only its sender can edit a message")
        if target.content_type != "text" and target.media is None:
            raise SendFailed(ErrorCode.BAD_FRAME, "this message has no text")
        return await self._parts.sending.control(conversation_id, EditBody(target=target.reference, text=text))

    async def set_timer(self, conversation_id: str, ms: int) -> Pending:
        """Let messages of a conversation disappear ``ms`` after they are read, from here on; 0: not any more."""
        return await self._parts.sending.control(conversation_id, TimerBody(expires_in=ms))

    async def _target(self, conversation_id: str, sequence_number: int) -> Message:
        ledger = self._parts.ledger
        found = await ledger.run(ledger.store.find_message, conversation_id, sequence_number)
        if found is None or found.deleted or not found.reference or found.hidden:
            raise SendFailed(ErrorCode.NOT_FOUND, "no such message is held here")
        return found

    # --- people

    async def safety_number(self, user_id: str) -> SafetyNumber:
        """Return what to compare with a user, so that both know that nobody stands between them.

        Raises:
            SendFailed: ``not_found``: no key of that user, or of the own account, is known.
            ConnectionFailed, ServerError: it cannot be asked for now.
        """
        agent = self._agent
        mine = agent.own_account_key()
        person = agent.person(user_id)
        if person.account_key is None:
            await self._look_up(user_id)
            person = agent.person(user_id)
        if mine is None or person.account_key is None:
            whose = "this device is not linked" if mine is None else f"{user_id} has no device that encrypts"
            raise SendFailed(ErrorCode.NOT_FOUND, f"there is no safety number: {whose}")
        self._parts.ledger.compared[user_id] = person.account_key
        number = await asyncio.to_thread(
            safety_number.safety_number,
            self._parts.account.user_id,
            AccountPublicKey(mine),
            user_id,
            AccountPublicKey(person.account_key),
        )
        return SafetyNumber(number.digits, number.qr, person.verified, person.changed)

    async def _look_up(self, user_id: str) -> None:
        """Let the agent ask for a user's list, and wait for it."""
        await self._step(lambda turn: turn.draft.look_up(user_id))

        async def check() -> bool | None:
            return not self._agent.looks_up(user_id) or None

        with contextlib.suppress(TimeoutError):
            await self._until(check, ANSWER_S)

    async def set_verified(self, user_id: str, on: bool = True) -> None:  # it reads well
        """Note that the safety number was compared, or take that back. Known to the other own devices too.

        Raises:
            SendFailed: ``not_found``: no key of that user is known. ``key_changed``: his key is another one by now than
                the one of which `safety_number` told; compare again.
        """

        def fill(turn: Turn) -> None:
            key = self._agent.person(user_id).account_key
            if on and self._parts.ledger.compared.get(user_id, key) != key:
                raise SendFailed("key_changed", f"the keys of {user_id} have changed since: compare them again")
            turn.draft.set_verified(user_id, on=on)

        try:
            await self._step(fill)
        except ValueError as problem:
            raise SendFailed(ErrorCode.NOT_FOUND, str(problem)) from None

    async def accept_key(self, user_id: str) -> None:
        """Accept the new key of a user, so that what is written to him is sent again. It is not verified by that."""
        await self._step(lambda turn: turn.draft.accept_key(user_id))

    # --- own devices

    @property
    def standing(self) -> Standing:
        """How this device stands: ``preparing``, ``unlinked`` (it can send nothing encrypted), or ``linked``."""
        return self._agent.standing

    async def devices(self) -> Sequence[OwnDevice]:
        """Return the own devices, and which of them are linked."""
        listed = {ref.device_id for ref in self._agent.person(self._parts.account.user_id).devices}
        if self._agent.standing == "linked":
            listed.add(self._parts.account.device_id)
        return [OwnDevice(device, device.device_id in listed) for device in await self._parts.api.devices()]

    async def link_code(self) -> LinkCode:
        """Return a new code of this device, for an old one to take by `link`; waits until its keys are published.

        Raises:
            SendFailed: ``conflict``: this device is linked already.
            TimeoutError: the server could not be reached in a minute.
        """

        async def check() -> bool | None:
            return (self._agent.published and self._agent.standing != "preparing") or None

        await self._until(check, ANSWER_S)
        found: list[str] = []
        try:
            await self._step(lambda turn: found.append(turn.draft.link_code()))
        except ValueError as problem:
            raise SendFailed(ErrorCode.CONFLICT, str(problem)) from None
        code = link.parse(found[0])
        return LinkCode(code.text(), code.qr())

    async def link(self, code: str) -> None:
        """Link the device that shows ``code`` (typed or scanned); `DeviceLinked` tells when it is done.

        It gets the account's key, and the keys of all messages that are held here.

        Raises:
            SendFailed: ``bad_frame``: it is no code, was mistyped, or is another account's; or this device is unlinked.
        """
        try:
            await self._step(lambda turn: turn.draft.link(code))
        except ValueError as problem:
            raise SendFailed(ErrorCode.BAD_FRAME, str(problem)) from None

    async def linked(self, timeout_s: float | None = None) -> None:
        """Wait until this device is linked. Raises TimeoutError, Stopped."""

        async def check() -> bool | None:
            return self._agent.standing == "linked" or None

        await self._until(check, timeout_s)

    async def revoke_device(self, device_id: str, *, lost: bool = False, password: str = "") -> None:
        """Log an own device out for good: it reads nothing that is written from here on.

        ``lost``: somebody else may have it, and with it the account's key; so the account begins anew (`start_anew`),
        which needs the password and unlinks all other devices.

        Raises:
            ServerError: there is no such device. SendFailed: ``wrong_password``.
            TimeoutError: the server could not be reached in a minute; it goes on by itself, but for the log-out.
        """
        me = self._parts.account.user_id
        if lost:
            await self.start_anew(password)
        elif device_id in {ref.device_id for ref in self._agent.person(me).devices}:
            try:
                await self._step(lambda turn: turn.draft.revoke(device_id))
            except ValueError as problem:
                raise SendFailed(ErrorCode.BAD_FRAME, str(problem)) from None

            async def check() -> bool | None:
                return device_id not in {ref.device_id for ref in self._agent.person(me).devices} or None

            await self._until(check, ANSWER_S)
        await self._parts.api.revoke_device(device_id)

    async def start_anew(self, password: str) -> None:
        """Begin anew with a new account key and this device alone, when no old device is left to link this one.

        Whoever knows this account is told that its key changed. Other own devices are unlinked.

        Raises:
            SendFailed: ``wrong_password``.
            TimeoutError: the server could not be reached in a minute.
        """
        former = self._agent.own_account_key()
        problems = self._parts.ledger.problems
        seen = len(problems)

        async def check() -> str | None:
            if any(problem.code == "wrong_password" for problem in problems[seen:]):
                return "wrong_password"
            done = self._agent.standing == "linked" and self._agent.own_account_key() != former
            return "done" if done else None

        await self._step(lambda turn: turn.draft.start_anew(password))
        if await self._until(check, ANSWER_S) != "done":
            raise SendFailed("wrong_password", "this is not the password of the account")

    # --- how it fares, and copies

    def diagnostics(self) -> Diagnostics:
        """Return how end-to-end encryption fares here; nothing secret."""
        return self._agent.diagnostics(wall_ms())

    async def backup(
        self, path: str | Path, passphrase: str, progress: store_backup.Progress = lambda *_: None
    ) -> None:
        """Write a backup of the store, encrypted under ``passphrase``; messages, keys and outbox, no token, no files.

        ``progress`` is told rows done and rows in all, in another thread.

        Raises:
            StoreUnusable: it cannot be written. BackupUnusable: the passphrase is empty.
        """
        parts = self._parts
        await asyncio.to_thread(
            store_backup.backup, self.folder, parts.ledger.store.key, parts.account, Path(path), passphrase, progress
        )


async def restore_backup(
    path: str | Path,
    passphrase: str,
    folder: str | Path,
    progress: store_backup.Progress = lambda *_: None,
    *,
    store_passphrase: str | None = None,
    store_key: bytes | None = None,
) -> Account:
    """Make a store in ``folder``, which is empty or not there, out of a backup; log in there with the same device next.

    Raises:
        BackupUnusable: it is damaged, of a newer version, or of another passphrase.
        StoreUnusable: something is in the folder, or it cannot be written.
    """
    return await asyncio.to_thread(
        lambda: store_backup.restore(
            Path(path), passphrase, Path(folder), progress, store_passphrase=store_passphrase, store_key=store_key
        )
    )
