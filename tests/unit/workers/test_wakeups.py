"""Who is woken by push, and when."""

import asyncio

import pytest

from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.domain.message import Message
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.ports.devices import Device
from cooee.ports.push_queue import PushEntry
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.workers import wakeups as wakeups_module
from cooee.workers.wakeups import Wakeups
from tests.fakes.clock import ManualClock

FOREVER = 2**60


class FixedDevices:
    """`Devices` of which only `of_user` is asked."""

    def __init__(self, **devices: list[str]) -> None:
        self.devices = devices
        self.asked = 0

    async def of_user(self, user_id: str) -> list[Device]:
        self.asked += 1
        return [
            Device(user_id, one.strip("-"), "", "", b"" if "-" in one else b"h", 0, 0) for one in self.devices[user_id]
        ]


def message(number: int, sender: str = "alice", *, silent: bool = False, content_type: str = "text") -> Message:
    return Message("dm:alice:bob", number, number, sender, "d1", "c", 0, content_type, b"{}", silent)


def item(*user_ids: str) -> Routed:
    return Routed(RouteKind.MESSAGE, user_ids, b"{}", "dm:alice:bob")


def session(user_id: str, device_id: str) -> SessionEntry:
    return SessionEntry(user_id, device_id, "gw-1", "c", "web", 0)


def wakeups(clock: ManualClock, queue: MemoryPushQueue, **devices: list[str]) -> Wakeups:
    return Wakeups(queue, FixedDevices(**devices), clock)  # type: ignore[arg-type]  # the one method that is used


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue() -> MemoryPushQueue:
    return MemoryPushQueue()


async def due(queue: MemoryPushQueue) -> list[PushEntry]:
    return list(await queue.due(FOREVER, 100))


async def test_an_absent_user_is_woken_at_once(clock: ManualClock, queue: MemoryPushQueue) -> None:
    found = wakeups(clock, queue)
    await found.consider([message(1)], [item("alice", "bob")], {"alice": [session("alice", "d1")]})
    await found.flush()
    assert await due(queue) == [PushEntry("bob", "", "dm:alice:bob", 1, clock.wall_ms())]


async def test_the_sender_is_never_woken(clock: ManualClock, queue: MemoryPushQueue) -> None:
    found = wakeups(clock, queue)
    await found.consider([message(1)], [item("alice")], {})
    await found.flush()
    assert await due(queue) == []


@pytest.mark.parametrize(
    "uncounted", [message(1, silent=True), message(1, content_type="system"), message(1, content_type="deleted")]
)
async def test_what_counts_as_unread_for_nobody_wakes_nobody(
    uncounted: Message, clock: ManualClock, queue: MemoryPushQueue
) -> None:
    found = wakeups(clock, queue)
    await found.consider([uncounted], [item("bob")], {})
    await found.flush()
    assert await due(queue) == []


async def test_a_silent_device_of_a_connected_user_is_woken_later(clock: ManualClock, queue: MemoryPushQueue) -> None:
    found = wakeups(clock, queue, bob=["d1", "d2", "-d3"])
    for number in (1, 2):
        await found.consider([message(number)], [item("bob")], {"bob": [session("bob", "d1")]})
        await found.flush()
        clock.advance(1)
    assert await due(queue) == [PushEntry("bob", "d2", "dm:alice:bob", 2, clock.wall_ms() - 2000 + HAND_OVER_AFTER_MS)]


async def test_devices_are_read_once_a_minute(clock: ManualClock, queue: MemoryPushQueue) -> None:
    devices = FixedDevices(bob=["d1"])
    found = Wakeups(queue, devices, clock)  # type: ignore[arg-type]  # the one method that is used
    for _ in range(3):
        await found.consider([message(1)], [item("bob")], {"bob": [session("bob", "d1")]})
        await found.flush()
    assert devices.asked == 1
    clock.advance(61)
    await found.consider([message(1)], [item("bob")], {"bob": [session("bob", "d1")]})
    await found.flush()
    assert devices.asked == 2
    found.forget_user("bob")
    await found.consider([message(1)], [item("bob")], {"bob": [session("bob", "d1")]})
    await found.flush()
    assert devices.asked == 3
    assert await due(queue) == []


async def test_later_messages_keep_the_earlier_due_time(clock: ManualClock, queue: MemoryPushQueue) -> None:
    found = wakeups(clock, queue)
    first = clock.wall_ms()
    await found.consider([message(1)], [item("bob")], {})
    clock.advance(3)
    await found.consider([message(2)], [item("bob")], {})
    await found.flush()
    assert await due(queue) == [PushEntry("bob", "", "dm:alice:bob", 2, first)]


async def test_a_failing_queue_loses_nothing(
    clock: ManualClock, queue: MemoryPushQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = wakeups(clock, queue)
    await found.consider([message(1)], [item("bob")], {})

    async def fail(entries: object) -> None:
        await found.consider([message(2)], [item("bob")], {})
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "append", fail)
        with pytest.raises(OSError, match="disk full"):
            await found.flush()
    await found.flush()
    assert [entry.sequence_number for entry in await due(queue)] == [2]


async def test_too_much_pending_holds_the_fan_out_up_until_it_is_stored(
    clock: ManualClock, queue: MemoryPushQueue
) -> None:
    found = Wakeups(queue, FixedDevices(), clock, max_pending=1)  # type: ignore[arg-type]  # no method is used
    waiting = asyncio.get_running_loop().create_task(found.consider([message(1)], [item("bob")], {}))
    await asyncio.sleep(0)
    assert not waiting.done()
    running = asyncio.get_running_loop().create_task(found.run())
    await waiting
    assert len(await due(queue)) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_failing_queue_is_tried_again_and_does_not_hold_the_fan_out_up(
    clock: ManualClock, queue: MemoryPushQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_entries: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(wakeups_module, "_RETRY_DELAY_S", 0)
    found = Wakeups(queue, FixedDevices(), clock, max_pending=1)  # type: ignore[arg-type]  # no method is used
    running = asyncio.get_running_loop().create_task(found.run())
    with monkeypatch.context() as patch:
        patch.setattr(queue, "append", fail)
        for number in range(1, 7):
            entry = Message(f"dm:alice:b{number}", number, number, "alice", "d1", "c", 0, "text", b"{}")
            await found.consider([entry], [item("bob")], {})
    assert found.dropped == 2, "four times the bound is kept for a queue that fails"
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(await due(queue)) == 4
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_devices_that_cannot_be_read_cost_only_their_hint(
    clock: ManualClock, queue: MemoryPushQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = wakeups(clock, queue, bob=["d1", "d2"])
    online = {"bob": [session("bob", "d1")]}

    async def fail(_devices: object, _user_id: str) -> list[Device]:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(FixedDevices, "of_user", fail)
        await found.consider([message(1)], [item("bob", "carol")], online)
        await found.flush()
    assert [entry.user_id for entry in await due(queue)] == ["carol"]
    await found.consider([message(2)], [item("bob")], online)
    await found.flush()
    assert {entry.device_id for entry in await due(queue)} == {"", "d2"}
