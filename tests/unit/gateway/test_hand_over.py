"""What is not acknowledged reaches the push queue, also when the queue fails for a while."""

import asyncio
from collections.abc import Sequence

import pytest

from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.domain.errors import unavailable
from cooee.domain.ids import DeviceRef
from cooee.gateway import hand_over
from cooee.gateway.hand_over import HandOver
from cooee.gateway.outbox import Covered
from cooee.ports.push_queue import PushEntry
from tests.fakes.clock import ManualClock

BOB = DeviceRef("bob", "d1")


class FailingQueue(MemoryPushQueue):
    """Takes nothing for some calls."""

    failures = 2

    async def append(self, entries: Sequence[PushEntry]) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise unavailable("planted")
        await super().append(entries)


async def test_entries_survive_a_failing_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "RETRY_S", 0.0)
    clock, queue = ManualClock(), FailingQueue()
    tasks: list[asyncio.Task[None]] = []
    over = HandOver(queue, clock, lambda work: tasks.append(asyncio.get_running_loop().create_task(work)))
    over.add(BOB, [Covered("dm:a:b", 3)], 6000)
    over.add(BOB, [Covered("dm:b:c", 4)])
    over.add(BOB, [])
    assert len(tasks) == 1
    await tasks[0]
    now = clock.wall_ms()
    due = await queue.due(now + 6000, 10)
    assert {(one.conversation_id, one.sequence_number, one.due_at) for one in due} == {
        ("dm:a:b", 3, now + 6000),
        ("dm:b:c", 4, now),
    }
    over.add(BOB, [Covered("dm:b:d", 5)])
    assert len(tasks) == 2
    await tasks[1]
