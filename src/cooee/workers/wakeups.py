"""Who is to be woken by push: users without a live session now, silent devices of the others a little later."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence

from cooee.domain.errors import CooeeError
from cooee.domain.message import Message
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.ports.clock import Clock
from cooee.ports.devices import Devices
from cooee.ports.push_queue import PushEntry, PushQueue
from cooee.ports.router import Routed
from cooee.services.routes import Online

_log = logging.getLogger(__name__)
_MAX_PENDING = 50_000
_MAX_KNOWN = 100_000
_KNOWN_FOR_S = 60.0
_RETRY_DELAY_S = 1.0
_OVERFLOW = 4
_NO_DEVICES: frozenset[str] = frozenset()


class Wakeups:
    """Hands absent receivers over to the push queue, off the path of live delivery.

    ``due_at`` of a user without sessions is now; a device without a session of a user who has others is due when an
    unacknowledged live sending would be (6 s), for the user may read it on the other. What is pending is bounded: the
    fan-out waits for a queue that is slow, and goes on without one that fails.
    """

    def __init__(self, queue: PushQueue, devices: Devices, clock: Clock, *, max_pending: int = _MAX_PENDING) -> None:
        self._queue = queue
        self._devices = devices
        self._clock = clock
        self._max_pending = max_pending
        self._pending: dict[tuple[str, str, str], PushEntry] = {}
        self._unsure: dict[tuple[str, str], tuple[int, frozenset[str]]] = {}
        self._known: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.dropped = 0
        """How many entries were given up, because the queue takes none and too much is pending."""

    async def consider(self, messages: Sequence[Message], items: Sequence[Routed], online: Online) -> None:
        """Note who missed these messages live. Waits while too much is pending, which slows the fan-out down."""
        now = self._clock.wall_ms()
        monotonic = self._clock.monotonic()
        known_devices = self._known
        for message, item in zip(messages, items, strict=True):
            if not message.counts_as_unread:
                continue
            for user_id in item.user_ids:
                if user_id == message.sender_id:
                    continue
                sessions = online.get(user_id)
                if not sessions:
                    self._note(PushEntry(user_id, "", message.conversation_id, message.sequence_number, now))
                    continue
                known = known_devices.get(user_id)
                if known is None or known[0] <= monotonic or len(known[1]) > len(sessions):
                    live = frozenset(entry.device_id for entry in sessions)
                    self._unsure[user_id, message.conversation_id] = (message.sequence_number, live)
        if self._pending or self._unsure:
            self._wake.set()
        if len(self._pending) + len(self._unsure) >= self._max_pending:
            self._room.clear()
            await self._room.wait()

    def forget_user(self, user_id: str) -> None:
        """Forget which devices the user has: one logged in or out."""
        self._known.pop(user_id, None)

    async def run(self) -> None:
        """Store what was noted, until cancelled. One long-lived task runs this."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
                continue
            except CooeeError as refusal:
                _log.warning("the push queue takes nothing now; %d entries wait: %s", len(self._pending), refusal)
            except Exception:  # noqa: BLE001  # what is pending stays so
                _log.exception("push entries could not be stored; trying again")
            self._wake.set()
            self._room.set()
            await asyncio.sleep(_RETRY_DELAY_S)

    async def flush(self) -> None:
        """Store what was noted. On failure it stays noted."""
        await self._look_up()
        pending, self._pending = self._pending, {}
        if pending:
            try:
                await self._queue.append(tuple(pending.values()))
            except BaseException:
                newer, self._pending = self._pending, pending
                for entry in newer.values():
                    self._note(entry)
                raise
        if not self._room.is_set():
            self._room.set()

    async def _look_up(self) -> None:
        """Learn the devices of users who have some session, and note those without one."""
        while self._unsure:
            unsure, self._unsure = self._unsure, {}
            now = self._clock.wall_ms()
            for (user_id, conversation_id), (number, live) in unsure.items():
                devices = await self._devices_of(user_id)
                self._note_silent(user_id, conversation_id, number, devices - live, now)

    async def _devices_of(self, user_id: str) -> frozenset[str]:
        monotonic = self._clock.monotonic()
        known = self._known.get(user_id)
        if known is not None and known[0] > monotonic:
            return known[1]
        try:
            devices = frozenset(d.device_id for d in await self._devices.of_user(user_id) if d.token_hash)
        except CooeeError as refusal:
            _log.warning("a user's devices cannot be read now: %s", refusal)
            return _NO_DEVICES
        except Exception:  # noqa: BLE001  # a missing hint for one user's other devices
            _log.exception("a user's devices could not be read")
            return _NO_DEVICES
        self._known[user_id] = (monotonic + _KNOWN_FOR_S, devices)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return devices

    def _note_silent(self, user_id: str, conversation_id: str, number: int, devices: frozenset[str], now: int) -> None:
        for device_id in devices:
            self._note(PushEntry(user_id, device_id, conversation_id, number, now + HAND_OVER_AFTER_MS))

    def _note(self, entry: PushEntry) -> None:
        """One entry per (user, device, conversation): the later number, the earlier due time."""
        key = (entry.user_id, entry.device_id, entry.conversation_id)
        old = self._pending.get(key)
        if old is None:
            if len(self._pending) >= _OVERFLOW * self._max_pending:
                self.dropped += 1
                return
        else:
            entry = PushEntry(*key, max(old.sequence_number, entry.sequence_number), min(old.due_at, entry.due_at))
        self._pending[key] = entry
