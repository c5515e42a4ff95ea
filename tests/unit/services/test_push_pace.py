"""The first at once, what follows together; and what costs nothing."""

from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.domain.push import PushSettings
from cooee.ports.push_queue import PushEntry
from cooee.services.push_pace import PushPace, WantedPushes
from tests.fakes.clock import ManualClock


def entry(clock: ManualClock, user: str = "bob", wait_s: float = 0.0, number: int = 1) -> PushEntry:
    return PushEntry(user, "", "c", number, clock.wall_ms() + round(wait_s * 1000))


async def test_entries_of_a_burst_are_due_when_it_ends() -> None:
    clock, queue = ManualClock(), MemoryPushQueue()
    pace = PushPace(clock, PushSettings(burst_s=5))
    wanted = WantedPushes(queue, lambda _user: True, pace, clock)
    await wanted.append([entry(clock)])
    assert len(await wanted.due(clock.wall_ms(), 9)) == 1
    await wanted.complete([entry(clock)])
    pace.began("bob")
    clock.advance(1)
    await wanted.append([entry(clock), entry(clock, "carol"), entry(clock, "dave", 30)])
    due = {one.user_id: one.due_at - clock.wall_ms() for one in await wanted.due(2**60, 9)}
    assert due == {"bob": 4000, "carol": 0, "dave": 30_000}
    clock.advance(4)
    assert pace.wait_s("bob") == 0.0


async def test_who_cannot_be_reached_costs_no_write() -> None:
    clock, queue = ManualClock(), MemoryPushQueue()
    wanted = WantedPushes(queue, {"bob"}.__contains__, PushPace(clock, PushSettings()), clock)
    await wanted.append([entry(clock, "carol")])
    assert not wanted.news.is_set()
    await wanted.append([entry(clock, "carol"), entry(clock)])
    assert wanted.news.is_set()
    assert [one.user_id for one in await queue.due(2**60, 9)] == ["bob"]
    await wanted.cancel("bob", "c", 1)
    assert await queue.due(2**60, 9) == []


def test_a_device_has_its_own_budget() -> None:
    clock = ManualClock()
    pace = PushPace(clock, PushSettings(per_device=Rate(0.1, 2)))
    first, second = DeviceRef("bob", "d1"), DeviceRef("bob", "d2")
    assert [pace.spend(first), pace.spend(first), pace.spend(second)] == [0.0, 0.0, 0.0]
    wait = pace.spend(first)
    assert 0 < wait <= 10
    clock.advance(wait)
    assert pace.spend(first) == 0.0
