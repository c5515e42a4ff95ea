"""Typing goes to the other members' live sessions, once, and to nobody else (PROTOCOL.md §7)."""

import msgspec
import pytest

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.ports.router import RouteKind
from cooee.protocol import frames
from tests.fakes.memory_house import MemoryHouse

ANN = DeviceRef("ann", "d1")


@pytest.fixture
async def scene() -> MemoryHouse:
    scene = MemoryHouse()
    for user in ("ann", "bob", "cat"):
        await scene.user(user)
    return scene


async def told(scene: MemoryHouse, device: DeviceRef, frame: frames.Typing) -> list[tuple[tuple[str, ...], object]]:
    scene.house.typing.typing(device, frame)
    for _ in range(20):
        await scene.settle()
    pending, scene.house.routes._pending = scene.house.routes._pending, []
    assert all(item.kind is RouteKind.EVENT for item in pending)
    return [(item.user_ids, msgspec.json.decode(item.frame)) for item in pending]


async def test_the_other_members_are_told_who_types(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(ANN, "Tea", ["bob", "cat"])).group.conversation_id
    [(users, frame)] = await told(scene, ANN, frames.Typing(group, "started", "recording"))
    assert set(users) == {"bob", "cat"}
    assert frame == {
        "type": "typing",
        "conversationId": group,
        "status": "started",
        "kind": "recording",
        "userId": "ann",
    }


async def test_a_claimed_user_id_is_replaced_by_the_real_one(scene: MemoryHouse) -> None:
    [(_, frame)] = await told(scene, ANN, frames.Typing("dm:ann:bob", "started", user_id="cat"))
    assert frame["userId"] == "ann"  # type: ignore[index]  # a JSON object


async def test_strangers_and_blocked_users_type_unheard(scene: MemoryHouse) -> None:
    group = (await scene.house.groups.create(DeviceRef("bob", "d1"), "Tea", [])).group.conversation_id
    assert await told(scene, ANN, frames.Typing(group, "started")) == []
    assert await told(scene, ANN, frames.Typing("dm:bob:cat", "started")) == []
    await scene.store.contacts.set_block("bob", "ann", present=True)
    assert await told(scene, ANN, frames.Typing("dm:ann:bob", "started")) == []


@pytest.mark.parametrize(
    "frame",
    [
        frames.Typing("dm:ann:bob", "maybe"),
        frames.Typing("dm:ann:bob", "started", "dancing"),
        frames.Typing("dm:bob:ann", "started"),
        frames.Typing("nonsense", "started"),
    ],
)
async def test_malformed_frames_are_refused(scene: MemoryHouse, frame: frames.Typing) -> None:
    with pytest.raises(CooeeError):
        scene.house.typing.typing(ANN, frame)
