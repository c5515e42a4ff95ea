"""Carries out what the agent of end-to-end encryption wants (`client.e2ee`): over HTTP, in the store, with archives.

Each answer is a step of the ledger. Beside that it lets messages that got their key be read. It needs no connection,
and goes on with whatever failed when the agent says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from cooee.client.api import Api
from cooee.client.archives import Archives
from cooee.client.e2ee import wants
from cooee.client.e2ee.agent import Agent
from cooee.client.errors import ConnectionFailed, DownloadFailed, SendFailed, ServerError, StoreError
from cooee.client.events import DeviceLinked, EncryptionProblem
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.store import Store
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef, uuid7_ms
from cooee.domain.message import CONTENT_ENCRYPTED
from cooee.protocol import frames, keys
from cooee.protocol.body import OwnConversation

UNREACHABLE = "unreachable"
ACQUAINT_S = 3.0
ASKED_AGAIN_MS = 60_000
"""How long nobody waits again for the list of somebody who was looked up."""
_HEALED_AT_ONCE = 50
_IDLE_S = 30.0
_AGAIN_S = 1.0

Step = Callable[[Callable[[Turn], None]], Awaitable[Turn]]


class E2eeWorker:
    """Drives the agent of one client. ``step``: a step of the ledger that the connection hears of."""

    def __init__(self, ledger: Ledger, agent: Agent, api: Api, archives: Archives, step: Step) -> None:
        self._ledger = ledger
        self._agent = agent
        self._api = api
        self._archives = archives
        self._step = step
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_again_at: dict[str, int] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                change = self._ledger.next_change()
                try:
                    await self.once()
                except StoreError:
                    await asyncio.sleep(_AGAIN_S)
                except Exception as bug:  # noqa: BLE001  # told, and tried again: nothing would be encrypted any more
                    self._tell(bug)
                    await asyncio.sleep(_AGAIN_S)
                due = self._agent.next_due(wall_ms())
                wait = _IDLE_S if due is None else min(max((due - wall_ms()) / 1000, 0.01), _IDLE_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):  # `wait_for` may swallow the cancelling that ends this
                        await change.wait()
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def once(self) -> None:
        """Do what is to be done now, and begin what is wanted. Raises `StoreError`."""
        working = self._agent.has_work(wall_ms())
        if working or self._ledger.seal_wanted:
            self._ledger.seal_wanted = False
            await self._step(lambda turn: turn.draft.work() if working else None)
        while self._ledger.keys_came:
            await self._heal()
        for want in self._agent.wants(wall_ms()):
            task = asyncio.create_task(self._carry(want), name="cooee-e2ee")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def acquaint(self, found: Iterable[frames.MessageFrame]) -> None:
        """Look up who sent messages, where that is not known yet, so that they can be read at once.

        Waits for at most `ACQUAINT_S`; what is not known by then is read when it is.
        """
        now = wall_ms()
        strangers = {
            frame.sender_id
            for frame in found
            if frame.content_type == CONTENT_ENCRYPTED
            and not self._agent.knows_sender(frame)
            and now >= self._asked_again_at.get(frame.sender_id, 0)
        }
        if not strangers:
            return
        self._asked_again_at |= dict.fromkeys(strangers, now + ASKED_AGAIN_MS)

        def fill(turn: Turn) -> None:
            for user_id in strangers:
                turn.draft.look_up(user_id)

        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(ACQUAINT_S):
                await self._step(fill)
                while any(map(self._agent.looks_up, strangers)):
                    await self._ledger.next_change().wait()

    async def _heal(self) -> None:
        """Let messages be read whose keys have come."""
        self._ledger.keys_came = False
        found = await self._ledger.run(self._ledger.store.unreadable_with_key, _HEALED_AT_ONCE)
        if found:
            await self._step(lambda turn: turn.heal(found))
            self._ledger.keys_came = True

    # --- wants

    async def _carry(self, want: wants.Want) -> None:
        try:
            answer = await self._answer(want)
        except ServerError as problem:
            code, wait = problem.code, problem.retry_after_ms
            await self._settle(lambda turn: turn.answer_failed(want, code, wait))
        except (ConnectionFailed, SendFailed, DownloadFailed, StoreError, OSError):
            await self._settle(lambda turn: turn.answer_failed(want, UNREACHABLE))
        except Exception as bug:  # noqa: BLE001  # told, and tried again: what was wanted would be waited for for ever
            self._tell(bug)
            await self._settle(lambda turn: turn.answer_failed(want, UNREACHABLE))
        else:
            await self._settle(lambda turn: turn.answer(want, answer))

    def _tell(self, bug: Exception) -> None:
        """Say that something failed that never should; the text of the error may hold secrets, its name does not."""
        name = type(bug).__name__
        self._ledger.emit(EncryptionProblem("internal", f"encryption failed: {name}; this is a bug, please report it"))

    async def _settle(self, fill: Callable[[Turn], None]) -> None:
        """Give the agent an answer, as soon as the store takes it."""
        while True:
            try:
                turn = await self._step(fill)
                if any(isinstance(event, DeviceLinked) for event in turn.events):
                    await self._step(tell_settings)
            except StoreError:
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def _answer(self, want: wants.Want) -> Any:
        match want:
            case wants.LookUpKeys():
                return await self._ledger.run(found_keys, self._ledger.store, want)
            case wants.ExportArchive(device_id=device_id):
                return await self._archives.export(device_id)
            case wants.ImportArchive(archive=archive):
                await self._archives.take_in(archive)
                self._ledger.keys_came = True
                return None
            case _:
                return await self._asked(want)

    async def _asked(self, want: wants.Want) -> Any:
        """Return what the server answers."""
        match want:
            case wants.FetchStatus():
                return await self._api.key_status()
            case wants.PublishKeys(body=published):
                return await self._api.publish_keys(published)
            case wants.PutDeviceList(body=body):
                me = self._ledger.state.me.user_id
                signed = keys.SignedList(body.payload, body.signature)
                version = await self._api.put_device_list(me, signed, reset=body.reset, password=body.password)
                return keys.ListVersion(version)
            case wants.FetchLists(body=asked):
                lists = await self._api.device_lists([(one.user_id, one.version) for one in asked.users])
                return keys.DeviceLists(tuple(lists))
            case wants.FetchGroup(conversation_id=conversation_id):
                return await self._api.group(conversation_id)
            case wants.Claim(body=claim):
                return await self._api.claim_keys(DeviceRef(one.user_id, one.device_id) for one in claim.devices)
        raise TypeError(f"nobody can carry out {want!r}")


def tell_settings(turn: Turn) -> None:
    """Tell the other own devices how conversations are set: a new one cannot know it from what it sees."""
    turn.draft.tell_own(
        *(
            OwnConversation(
                conversation_id=one.conversation_id, mode="plain" if one.plain else "encrypted", expires_in=one.timer
            )
            for one in turn.state.conversations.values()
            if (one.mode_at or one.timer_at or one.plain or one.timer) and not one.left
        )
    )


def found_keys(store: Store, want: wants.LookUpKeys) -> Sequence[wants.FoundKey]:
    """Return the keys that are held of the messages that were asked about, with their true places and times.

    A message is at most as new as its sender's device said, in its id, which is sealed: the server's time alone could
    make what was written before a change of keys look as if it were for the new ones.
    """
    found = []
    for item in want.items:
        held = store.find_key(item.conversation_id, item.sender_id, item.sender_device_id, item.client_message_id)
        message = store.find_message(held.conversation_id, held.sequence_number) if held is not None else None
        if held is None or message is None or message.deleted or message.client_message_id != item.client_message_id:
            continue
        written = uuid7_ms(message.client_message_id)
        timestamp = message.timestamp if written is None else min(message.timestamp, written)
        found.append(wants.FoundKey(item, message.sequence_number, timestamp, held.key))
    return found
