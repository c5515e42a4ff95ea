"""Blobs between devices: who may send to whom, whole batches, in order."""

from collections.abc import AsyncIterator

import pytest

from cooee.adapters.memory.to_device import MemoryToDevice
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits, Rate
from cooee.ports.router import RouteKind
from cooee.protocol import frames
from cooee.services.to_device import Acquaintance, ToDeviceService
from tests.fakes.message_scene import MessageScene

ALICE = DeviceRef("alice", "d1")
BOB = DeviceRef("bob", "d1")


class ToDeviceScene(MessageScene):
    """A scene with the to-device service; everybody has the one device ``d1``."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.queue = MemoryToDevice()
        store = self.store
        known = Acquaintance(self.devices, self.contacts, self.groups, store)  # type: ignore[arg-type]  # `head` is there
        self.to_device = ToDeviceService(self.queue, known, self.routes, self.clock, self.budgets)

    async def blobs(self, *items: tuple[str, str, str], client_message_id: str = "t1") -> frames.ServerFrame:
        frame = frames.ToDeviceSend(client_message_id, tuple(frames.ToDeviceItem(*item) for item in items), "r1")
        answers: list[frames.ServerFrame] = []
        self.to_device.send(ALICE, frame, answers.append)
        await self.settle()
        [answer] = answers
        return answer

    async def queued(self, device: DeviceRef) -> list[tuple[int, str]]:
        return [(m.sequence_number, m.content) for m in await self.to_device.read_after(device, 0, 100)]


@pytest.fixture
async def scene() -> AsyncIterator[ToDeviceScene]:
    async with ToDeviceScene() as scene:
        await scene.people("alice", "bob", "carol")
        await scene.send("alice", "dm:alice:bob")
        scene.take_routed()
        yield scene


def code(answer: frames.ServerFrame) -> str:
    assert isinstance(answer, frames.Error), answer
    return str(answer.code)


async def test_a_batch_is_queued_acknowledged_and_announced(scene: ToDeviceScene) -> None:
    answer = await scene.blobs(("bob", "d1", "one"), ("bob", "d1", "two"))
    assert answer == frames.Ack("sent", "r1", "t1")
    assert await scene.queued(BOB) == [(1, "one"), (2, "two")]
    [item] = scene.take_routed()
    assert (item.kind, item.user_ids, item.only_device) == (RouteKind.TO_DEVICE, ("bob",), "d1")
    await scene.to_device.acknowledge(BOB, 1)
    assert await scene.queued(BOB) == [(2, "two")]


async def test_a_resend_is_acknowledged_and_queues_nothing(scene: ToDeviceScene) -> None:
    first = await scene.blobs(("bob", "d1", "one"))
    scene.take_routed()
    assert await scene.blobs(("bob", "d1", "one")) == first
    assert await scene.queued(BOB) == [(1, "one")]
    assert scene.take_routed() == []


async def test_frames_of_one_device_keep_their_order(scene: ToDeviceScene) -> None:
    for number in range(5):
        frame = frames.ToDeviceSend(f"t{number}", (frames.ToDeviceItem("bob", "d1", str(number)),))
        scene.to_device.send(ALICE, frame, lambda _answer: None)
    await scene.settle()
    assert [content for _, content in await scene.queued(BOB)] == ["0", "1", "2", "3", "4"]


async def test_own_devices_and_companions_may_be_written_to(scene: ToDeviceScene) -> None:
    assert isinstance(await scene.blobs(("alice", "d1", "x")), frames.Ack)
    assert code(await scene.blobs(("carol", "d1", "x"), client_message_id="t2")) == "forbidden"
    await scene.group("group:g", "carol", "alice")
    assert isinstance(await scene.blobs(("carol", "d1", "x"), client_message_id="t3"), frames.Ack)


async def test_a_block_ends_writing_unless_a_group_is_shared(scene: ToDeviceScene) -> None:
    await scene.contacts.set_block("bob", "alice", present=True)
    assert code(await scene.blobs(("bob", "d1", "x"))) == "forbidden"
    await scene.group("group:g", "alice", "bob")
    assert isinstance(await scene.blobs(("bob", "d1", "x"), client_message_id="t2"), frames.Ack)


async def test_unknown_devices_are_named_and_nothing_is_queued(scene: ToDeviceScene) -> None:
    answer = await scene.blobs(("bob", "d1", "x"), ("bob", "d9", "x"))
    assert isinstance(answer, frames.Error)
    assert answer.code == "mismatched_devices"
    assert answer.extra == ({"userId": "bob", "deviceId": "d9"},)
    assert await scene.queued(BOB) == []


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((), "bad_frame"),
        ((("bob", "d1", "x"),) * 101, "bad_frame"),
        ((("Bob", "d1", "x"),), "bad_frame"),
        ((("bob", "d 1", "x"),), "bad_frame"),
        ((("bob", "d1", "é" * (8 * 1024 + 1)),), "too_large"),
    ],
)
async def test_impossible_batches_are_refused(
    scene: ToDeviceScene, items: tuple[tuple[str, str, str], ...], expected: str
) -> None:
    assert code(await scene.blobs(*items)) == expected


async def test_a_bad_client_message_id_is_refused(scene: ToDeviceScene) -> None:
    assert code(await scene.blobs(("bob", "d1", "x"), client_message_id="")) == "bad_frame"


async def test_frames_are_counted_per_user() -> None:
    async with ToDeviceScene(Limits(to_device=Rate(1, 2))) as scene:
        await scene.people("alice")
        for number in range(2):
            answer = await scene.blobs(("alice", "d1", "x"), client_message_id=f"t{number}")
            assert isinstance(answer, frames.Ack)
        answer = await scene.blobs(("alice", "d1", "x"), client_message_id="t2")
        assert isinstance(answer, frames.Error)
        assert (answer.code, answer.retry_after_ms) == ("rate_limited", 1000)


async def test_a_full_queue_is_told() -> None:
    async with ToDeviceScene(Limits(to_device_queued_messages=1)) as scene:
        await scene.people("alice")
        assert code(await scene.blobs(("alice", "d1", "x"), ("alice", "d1", "y"))) == "rate_limited"


async def test_a_failing_look_up_is_answered_and_the_next_frame_goes_on(
    scene: ToDeviceScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_ref: DeviceRef) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(scene.devices, "find", fail)
        assert code(await scene.blobs(("bob", "d1", "x"))) == "internal"
    assert isinstance(await scene.blobs(("bob", "d1", "x")), frames.Ack)
