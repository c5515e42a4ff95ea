"""Who is told of what, whatever happens in whatever order, compared with a model that can be believed by reading it.

The world: bob with two devices, whom alice and carol write to. Live delivery hands over as the gateway does; a crash
loses what is on its way, and nothing that is stored.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cooee.domain.digest import NEW_MESSAGE, TITLE, collapse_key, counted
from cooee.domain.ids import DeviceRef
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_sender import PushNotification, PushOutcome
from cooee.ports.sessions import SessionEntry
from cooee.services import push_facts
from cooee.services.push_clearing import PushClearing
from cooee.services.push_facts import PushFacts, _Scene
from cooee.workers.notifier import Notifier
from tests.fakes.push_scene import PushScene
from tests.fakes.push_sender import TAKEN, later

CHATS = {"dm:alice:bob": "alice", "dm:bob:carol": "carol"}
DEVICES = ("d1", "d2")
AGES_S = 20 * 60.0
"""Long enough for every wait of the pipeline to end."""

chats = st.sampled_from(tuple(CHATS))
devices = st.sampled_from(DEVICES)


class World:
    """The server, and what is true in the model."""

    def __init__(self) -> None:
        self.scene = PushScene()
        self.sent: dict[str, int] = dict.fromkeys(CHATS, 0)
        self.read = dict.fromkeys(CHATS, 0)
        self.received = {(device, chat): 0 for device in DEVICES for chat in CHATS}
        self.muted: set[str] = set()
        self.exempt = dict.fromkeys(CHATS, 0)
        """Messages up to here were unread while the conversation was muted: nobody need be told of them."""
        self.covered = {(device, chat): 0 for device in DEVICES for chat in CHATS}
        self.live: dict[str, SessionEntry] = {}
        self.busy = False
        self.wrong: list[str] = []

    async def open(self) -> None:
        """Begin."""
        await self.scene.work()
        await self.scene.people(devices=2)
        await self.scene.user("carol")
        self.scene.platform.answers = self.answer

    def pending(self, device: str, chat: str) -> int:
        """Return how many messages the device lacks that were not read."""
        return max(0, self.sent[chat] - max(self.read[chat], self.received[device, chat]))

    def answer(self, notification: PushNotification) -> PushOutcome:
        """Look whether a notification is true now, and answer it."""
        device = notification.target["token"].removeprefix("bob-")
        badge = sum(self.sent[chat] - self.read[chat] for chat in CHATS if chat not in self.muted)
        self.expect(notification.badge == badge, f"badge {notification.badge}, not {badge}")
        if not notification.silent:
            self.check_text(device, notification)
        return later() if self.busy else TAKEN

    def check_text(self, device: str, notification: PushNotification) -> None:
        """Compare what is shown with what the device lacks."""
        lacks = {chat: self.pending(device, chat) for chat in CHATS if chat not in self.muted}
        chat = notification.data.get("conversationId", "")
        if chat:
            self.expect(lacks.get(chat, 0) > 0, f"{device} is told of {chat}, of which it lacks nothing")
            count, title = lacks.get(chat, 0), CHATS[chat].title()
            body = counted(count, "message") if count > 1 else NEW_MESSAGE
            key = collapse_key("bob", chat)
            told = [chat]
        else:
            self.expect(all(lacks.get(one) for one in CHATS), f"a digest of what {device} has")
            body = f"{counted(sum(lacks.values()), 'message')} from 2 conversations"
            title, key, told = TITLE, collapse_key("bob"), list(CHATS)
        shown = (notification.title, notification.body, notification.collapse_key)
        self.expect(shown == (title, body, key), f"{shown} instead of {(title, body, key)}")
        if not self.busy:
            for one in told:
                self.covered[device, one] = self.sent[one]

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong; it is told at the end of the step, for a sender must not raise."""
        if not holds:
            self.wrong.append(otherwise)

    async def say(self, chat: str, *, unheard: bool = False) -> None:
        """Let a message come, and hand it over as live delivery does, unless that is ``unheard``."""
        scene = self.scene
        ack = await scene.send(DeviceRef(CHATS[chat], "d1"), chat, "hello")
        self.sent[chat] = ack.sequence_number or 0
        if chat in self.muted:
            self.exempt[chat] = self.sent[chat]
        if unheard:
            return
        if not self.live:
            await scene.missed("bob", chat, self.sent[chat])
            return
        for device in DEVICES:
            await scene.missed("bob", chat, self.sent[chat], device, HAND_OVER_AFTER_MS / 1000)

    async def leave(self, device: str) -> None:
        """End the device's session; what it lacks is handed over."""
        entry = self.live.pop(device, None)
        if entry is None:
            return
        await self.scene.house.ports.sessions.release(entry)
        for chat in CHATS:
            if self.received[device, chat] < self.sent[chat]:
                await self.scene.missed("bob", chat, self.sent[chat], device, HAND_OVER_AFTER_MS / 1000)

    async def crash(self, *, amid: bool) -> None:
        """Lose everything that is not stored, with ``amid`` while notifications are on their way."""
        scene = self.scene
        if amid:
            scene.platform.open.clear()
            await scene.house.pushes.notifier.tick()
            for _ in range(50):
                await asyncio.sleep(0)
            for task in list(scene.house.pushes.notifier._tasks.values()):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            scene.platform.open.set()
        self.live.clear()
        self.scene = PushScene(before=scene)
        await self.scene.house.pushes.service.start()

    async def settle(self) -> None:
        """Let everything that waits come to its end, and look whether nobody was forgotten."""
        self.busy = False
        for _ in range(3):
            await self.scene.work(AGES_S / 2)
        for device in DEVICES:
            for chat in CHATS:
                due = self.pending(device, chat) and self.sent[chat] > max(self.exempt[chat], self.read[chat])
                if due and chat not in self.muted and self.covered[device, chat] < self.sent[chat]:
                    self.wrong.append(f"{device} was never told of {chat} {self.sent[chat]}")
        if await self.scene.waiting():
            self.wrong.append("entries stay for ever")


class Pushes(RuleBasedStateMachine):
    """Any order of what may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.loop.run_until_complete(self.world.open())

    @rule(chat=chats)
    def say(self, chat: str) -> None:
        self.loop.run_until_complete(self.world.say(chat))

    @rule(chat=chats, seconds=st.sampled_from([0.0, 6.5]))
    def say_and_work(self, chat: str, seconds: float) -> None:
        self.loop.run_until_complete(self.world.say(chat))
        self.loop.run_until_complete(self.world.scene.work(seconds))

    @rule(device=devices, chat=chats)
    def receive(self, device: str, chat: str) -> None:
        world = self.world
        if device in world.live:
            world.received[device, chat] = world.sent[chat]
            mark = world.scene.mark(DeviceRef("bob", device), chat, received=world.sent[chat])
            self.loop.run_until_complete(mark)

    @rule(device=devices, chat=chats, short=st.integers(0, 2))
    def read(self, device: str, chat: str, short: int) -> None:
        world = self.world
        number = world.sent[chat] - short
        if device in world.live and number > world.read[chat]:
            world.read[chat] = number
            world.received[device, chat] = max(world.received[device, chat], number)
            self.loop.run_until_complete(world.scene.read(DeviceRef("bob", device), chat, number))

    @rule(chat=chats)
    def mute(self, chat: str) -> None:
        self.world.muted.add(chat)
        self.world.exempt[chat] = self.world.sent[chat]
        self.loop.run_until_complete(self.world.scene.mute("bob", chat))

    @rule(chat=chats)
    def unmute(self, chat: str) -> None:
        self.world.muted.discard(chat)
        self.loop.run_until_complete(self.world.scene.mute("bob", chat, 0))

    @rule(device=devices)
    def connect(self, device: str) -> None:
        if device not in self.world.live:
            self.world.live[device] = self.loop.run_until_complete(self.world.scene.connect("bob", device))

    @rule(device=devices)
    def leave(self, device: str) -> None:
        self.loop.run_until_complete(self.world.leave(device))

    @rule(busy=st.booleans())
    def platform(self, busy: bool) -> None:
        self.world.busy = busy

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 5.5, 30.0]))
    def work(self, seconds: float) -> None:
        self.loop.run_until_complete(self.world.scene.work(seconds))

    @rule(how=st.sampled_from(("not", "not", "not", "between", "amid", "behind the ack")), chat=chats)
    def crash(self, how: str, chat: str) -> None:
        if how == "behind the ack":
            self.loop.run_until_complete(self.world.say(chat, unheard=True))
        if how != "not":
            self.loop.run_until_complete(self.world.crash(amid=how == "amid"))

    @invariant()
    def nothing_was_wrong(self) -> None:
        assert self.world.wrong == []

    def teardown(self) -> None:
        self.loop.run_until_complete(self.world.settle())
        self.loop.close()
        assert self.world.wrong == []


CHECKS = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_nobody_is_told_of_what_he_has_and_everybody_of_what_he_lacks() -> None:
    run_state_machine_as_test(Pushes, settings=CHECKS)


async def _forgets(self: Notifier, entries: Sequence[PushEntry], _waits: object) -> None:
    await self._queue.complete(entries)


async def _looks_at_nothing(_self: PushClearing) -> bool:
    return False


def _finds_all_loud(_until: int, _now: int) -> bool:
    return False


async def _counts_what_was_read(self: PushFacts, scene: _Scene, user_id: str, _floor: int) -> int:
    return await self._sources.timeline.unread(scene.conversation_id, user_id, 0, scene.last, 999)


@pytest.mark.parametrize(
    ("place", "name", "bug"),
    [
        (Notifier, "_finish", _forgets),
        (PushClearing, "begin", _looks_at_nothing),
        (push_facts, "is_muted", _finds_all_loud),
        (PushFacts, "_count", _counts_what_was_read),
    ],
)
def test_planted_bugs_are_found(monkeypatch: pytest.MonkeyPatch, place: object, name: str, bug: object) -> None:
    monkeypatch.setattr(place, name, bug)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Pushes,
            settings=settings(CHECKS, max_examples=1000, database=None, derandomize=True, phases=(Phase.generate,)),
        )
