"""Many who are away: what they cost is bounded, and nobody who is there waits for it. Work is counted, never time."""

from collections.abc import Sequence

import pytest

from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_targets import PushTarget
from cooee.ports.router import Routed, RouteKind
from cooee.ports.sessions import SessionEntry
from cooee.workers.notifier import PAGE, SHARE
from tests.fakes.push_scene import PushScene

AWAY = 10_000


@pytest.fixture
async def scene() -> PushScene:
    """A server that has begun, before anything happened."""
    begun = PushScene(new_direct_chats_with_strangers=Rate(1e6, 1_000_000))
    await begun.work()
    return begun


async def absent(scene: PushScene, count: int, *, endpoint: str = "") -> list[str]:
    """Make users who are away, each with a phone, or a browser of one push service."""
    names = [f"u{number:05}" for number in range(count)]
    for name in names:
        await scene.user(name)
        address = {"endpoint": f"{endpoint}/{name}"} if endpoint else {"token": f"{name}-d1"}
        await scene.store.push_targets.put(PushTarget(name, "d1", "web" if endpoint else "fcm", address, 1))
    await scene.house.pushes.service.start()
    return names


async def handed_over(scene: PushScene, names: Sequence[str], sender: DeviceRef) -> None:
    """Let each of them miss a message of the sender's."""
    for name in names:
        conversation = f"dm:{min(sender.user_id, name)}:{max(sender.user_id, name)}"
        await scene.send(sender, conversation, "hello")
        await scene.missed(name, conversation, 1)


async def test_who_is_there_gets_messages_while_the_platform_hangs_for_ten_thousand(scene: PushScene) -> None:
    alice = await scene.user("alice")
    await scene.user("bob")
    names = await absent(scene, AWAY)
    scene.platform.open.clear()
    await handed_over(scene, names, alice)
    notifier = scene.house.pushes.notifier
    for _ in range(5):
        await notifier.tick()
        await scene.turns()
        assert len(notifier._tasks) <= SHARE * 32
    assert len(scene.platform.take()) == 32

    delivered: list[Routed] = []
    await scene.house.ports.router.subscribe("gw", delivered.extend)
    await scene.house.ports.sessions.register(SessionEntry("bob", "d1", "gw", "c", "cli", 0))
    await scene.send(alice, "dm:alice:bob", "hello")
    message = await scene.store.timeline.find("dm:alice:bob", 1)
    assert message is not None
    await scene.house.fanout.fan_out([message])
    assert [item.conversation_id for item in delivered] == ["dm:alice:bob"]
    assert scene.platform.take() == []  # it hangs still
    scene.platform.open.set()
    await notifier.settle()


async def test_one_message_to_ten_thousand_is_one_write_to_the_queue(
    scene: PushScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await absent(scene, AWAY // 2)
    writes: list[int] = []
    append = scene.store.push_queue.append

    async def counted(entries: Sequence[PushEntry]) -> None:
        writes.append(len(entries))
        await append(entries)

    monkeypatch.setattr(scene.store.push_queue, "append", counted)
    alice = await scene.user("alice")
    await scene.user("bob")
    await scene.send(alice, "dm:alice:bob", "hello")
    message = await scene.store.timeline.find("dm:alice:bob", 1)
    assert message is not None
    without_phones = tuple(f"nobody{number}" for number in range(AWAY // 2))
    item = Routed(RouteKind.MESSAGE, (*names, *without_phones), b"")
    await scene.house.wakeups.consider([message], [item], {})
    await scene.house.wakeups.flush()
    assert writes == [AWAY // 2]


async def test_a_platform_that_hangs_takes_its_share_and_no_more(scene: PushScene) -> None:
    alice = await scene.user("alice")
    hanging = await absent(scene, 300, endpoint="https://slow.example.net")
    scene.platform.open.clear()
    await handed_over(scene, hanging, alice)
    notifier = scene.house.pushes.notifier
    for _ in range(5):
        await notifier.tick()
        await scene.turns()
    assert len(scene.platform.sent) == 8  # a quarter of what a platform may have on its way
    before = len(scene.platform.take())
    await scene.user("zoe")
    await scene.phone("zoe")
    await scene.say(alice, "zoe", "hello")
    for _ in range(5):
        await notifier.tick()
        await scene.turns()
    assert [sent.target for sent in scene.platform.take()] == [{"token": "zoe-d1"}]
    assert before == 8
    scene.platform.open.set()
    await notifier.settle()


async def test_who_lacks_very_much_holds_up_nobody_else(scene: PushScene) -> None:
    alice = await scene.user("alice")
    for name in ("bob", "zoe"):
        await scene.user(name)
    await scene.phone("bob", platform="web", endpoint="https://slow.example.net/bob")
    scene.platform.open.clear()
    await scene.say(alice, "bob", "hello")
    for number in range(4 * PAGE):
        await scene.missed("bob", f"dm:bob:u{number:05}", 1)
    await scene.phone("zoe")
    scene.clock.advance(1)
    await scene.say(alice, "zoe", "hello")
    for _ in range(5):
        await scene.house.pushes.notifier.tick()
        await scene.turns()
    assert {"token": "zoe-d1"} in [sent.target for sent in scene.platform.take()]
    scene.platform.open.set()
    await scene.house.pushes.notifier.settle()


async def test_who_cannot_be_looked_at_hides_nobody(scene: PushScene, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await scene.user("alice")
    await scene.user("zoe")
    await scene.phone("zoe")
    await absent(scene, 1)
    lack = scene.house.pushes.notifier._facts.lack

    async def failing(user_id: str, entries: Sequence[PushEntry]) -> object:
        assert user_id == "zoe"
        return await lack(user_id, entries)

    monkeypatch.setattr(scene.house.pushes.notifier._facts, "lack", failing)
    for number in range(4 * PAGE):
        await scene.missed("u00000", f"dm:u00000:x{number:05}", 1)
    scene.clock.advance(1)
    await scene.say(alice, "zoe", "hello")
    for _ in range(3):
        await scene.work()
    assert [sent.target for sent in scene.platform.take()] == [{"token": "zoe-d1"}]


async def test_everybody_is_told_once_in_the_end(scene: PushScene) -> None:
    alice = await scene.user("alice")
    names = await absent(scene, 2 * PAGE)
    await handed_over(scene, names, alice)
    for _ in range(20):
        await scene.work(1)
    assert sorted(sent.target["token"] for sent in scene.platform.take()) == [f"{name}-d1" for name in names]
    assert await scene.waiting() == []
