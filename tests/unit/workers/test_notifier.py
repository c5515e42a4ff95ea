"""Who is notified of what, and of what not: the notifier over all services in memory, its clock in the test's hand."""

import pytest

from cooee.domain.digest import NotificationSettings, QuietHours, collapse_key
from cooee.domain.errors import unavailable
from cooee.domain.ids import DeviceRef
from cooee.ports.push_sender import PushNotification, PushOutcome
from tests.fakes.push_scene import DIRECT, PushScene
from tests.fakes.push_sender import GONE, REFUSED, TAKEN, later


@pytest.fixture
async def scene() -> PushScene:
    """A server that has begun, before anything happened."""
    begun = PushScene()
    await begun.work()
    return begun


async def restart(before: PushScene) -> PushScene:
    """Return the scene after a crash and a start."""
    scene = PushScene(before=before)
    await scene.house.pushes.service.start()
    return scene


async def test_one_message_shows_its_sender_and_preview_at_once(scene: PushScene) -> None:
    alice = await scene.people()
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    (sent,) = scene.platform.take()
    assert (sent.title, sent.body, sent.badge, sent.silent) == ("Alice", "hello", 1, False)
    assert sent.target == {"token": "bob-d1"}
    assert sent.collapse_key == collapse_key("bob", DIRECT)
    assert sent.data == {"conversationId": DIRECT}
    assert await scene.waiting() == []
    assert [one.sequence_number for one in await scene.store.push_targets.shown("bob")] == [number]


async def test_what_follows_shortly_after_comes_together(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "one")
    assert await scene.told() == ["Alice: one"]
    for text in ("two", "three"):
        await scene.say(alice, "bob", text)
        assert await scene.told(1) == []
    assert await scene.told(4) == ["Alice: 3 messages"]
    assert await scene.told(60) == []


async def test_several_conversations_are_one_notification(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "one")
    await scene.work()
    for name in ("carol", "dave"):
        sender = await scene.user(name)
        for text in ("a", "b"):
            await scene.say(sender, "bob", text)
    scene.platform.take()
    await scene.work(5)
    (sent,) = scene.platform.take()
    assert (sent.title, sent.body, sent.badge) == ("Cooee", "4 messages from 2 conversations", 5)
    assert (sent.collapse_key, sent.data) == (collapse_key("bob"), {})


async def test_a_digest_goes_on_with_what_is_new_and_ends_with_its_last_conversation(scene: PushScene) -> None:
    alice = await scene.people()
    carol = await scene.user("carol")
    await scene.missed("bob", DIRECT, (await scene.send(alice, DIRECT, "a")).sequence_number or 0)
    await scene.say(carol, "bob", "b")
    await scene.work()
    await scene.say(carol, "bob", "c")
    await scene.work(5)
    first, second = scene.platform.take()
    assert (first.body, second.body) == ("2 messages from 2 conversations", "3 messages from 2 conversations")
    assert first.collapse_key == second.collapse_key
    await scene.mark(DeviceRef("bob", "d9"), DIRECT, read=1)
    await scene.say(carol, "bob", "d")
    await scene.work(5)
    (third,) = scene.platform.take()
    assert (third.title, third.body) == ("Carol", "3 messages")
    assert third.data == {"conversationId": "dm:bob:carol", "clear": second.collapse_key}


async def test_a_digest_takes_away_what_it_says_anew(scene: PushScene) -> None:
    alice = await scene.people()
    carol = await scene.user("carol")
    await scene.say(alice, "bob", "a")
    await scene.work()
    await scene.say(alice, "bob", "b")
    await scene.say(carol, "bob", "c")
    await scene.work(5)
    digest_of_both = scene.platform.take()[-1]
    assert digest_of_both.body == "3 messages from 2 conversations"
    assert digest_of_both.data == {"clear": collapse_key("bob", DIRECT)}


async def test_nothing_is_told_that_was_read_meanwhile(scene: PushScene) -> None:
    alice = await scene.people()
    number = await scene.say(alice, "bob", "hello")
    await scene.mark(DeviceRef("bob", "d1"), DIRECT, read=number)
    assert await scene.told() == []
    assert await scene.waiting() == []


async def test_a_device_is_not_told_of_what_it_got_meanwhile_another_is(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    number = await scene.say(alice, "bob", "hello")
    await scene.mark(DeviceRef("bob", "d1"), DIRECT, received=number)
    await scene.work()
    assert [sent.target["token"] for sent in scene.platform.take()] == ["bob-d2"]


async def test_a_device_that_has_come_back_is_told_only_if_its_session_does_not_bring_it(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    await scene.connect("bob", "d1")
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    assert [sent.target["token"] for sent in scene.platform.take()] == ["bob-d2"]
    await scene.work(5.9)
    assert scene.platform.take() == []
    await scene.work(0.2)
    assert [sent.target["token"] for sent in scene.platform.take()] == ["bob-d1"]
    await scene.say(alice, "bob", "again")
    await scene.mark(DeviceRef("bob", "d1"), DIRECT, received=number + 1)
    await scene.work(60)
    assert [sent.target["token"] for sent in scene.platform.take()] == ["bob-d2"]


async def test_a_silent_live_device_is_told(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.connect("bob", "d1")
    ack = await scene.send(alice, DIRECT, "hello")
    await scene.missed("bob", DIRECT, ack.sequence_number or 0, "d1")
    assert await scene.told() == ["Alice: New message"]


async def test_a_silent_device_is_told_when_its_time_has_come(scene: PushScene) -> None:
    alice = await scene.people()
    ack = await scene.send(alice, DIRECT, "hello", notification_preview="hello")
    assert ack.sequence_number is not None
    await scene.missed("bob", DIRECT, ack.sequence_number, "d1", 6)
    assert await scene.told(5.9) == []
    assert await scene.told(0.2) == ["Alice: hello"]


async def test_muted_conversations_are_silent_and_stand_in_no_badge(scene: PushScene) -> None:
    alice = await scene.people()
    carol = await scene.user("carol")
    await scene.mute("bob", DIRECT)
    await scene.say(alice, "bob", "psst")
    assert await scene.told() == []
    await scene.say(carol, "bob", "hello")
    await scene.work()
    assert [(sent.title, sent.badge) for sent in scene.platform.take()] == [("Carol", 1)]


async def test_a_mute_that_has_ended_is_none(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.mute("bob", DIRECT, scene.clock.wall_ms() + 1000)
    await scene.say(alice, "bob", "psst")
    assert await scene.told() == []
    await scene.say(alice, "bob", "hello")
    assert await scene.told(2) == ["Alice: 2 messages"]


async def test_a_mention_breaks_through_unless_the_user_does_not_want_it(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.mute("bob", DIRECT)
    await scene.say(alice, "bob", "@bob noon?", mentions=("bob",))
    await scene.say(alice, "bob", "and bring tea")
    assert await scene.told() == ["Alice: 2 messages"]

    other = PushScene()
    alice = await other.people(NotificationSettings(mentions=False))
    await other.mute("bob", DIRECT)
    await other.say(alice, "bob", "@bob noon?", mentions=("bob",))
    assert await other.told() == []


async def test_previews_can_be_switched_off(scene: PushScene) -> None:
    alice = await scene.people(NotificationSettings(preview=False))
    await scene.say(alice, "bob", "a secret")
    assert await scene.told() == ["Alice: New message"]


async def test_in_quiet_hours_it_waits_for_their_end(scene: PushScene) -> None:
    minute = scene.clock.wall_ms() // 60_000 % (24 * 60)
    hours = QuietHours((minute - 10) % 1440, (minute + 10) % 1440)
    alice = await scene.people(NotificationSettings(quiet_hours=hours))
    await scene.say(alice, "bob", "one")
    await scene.say(alice, "bob", "two")
    assert await scene.told() == []
    assert await scene.told(8 * 60) == []
    assert await scene.told(2 * 60) == ["Alice: 2 messages"]


async def test_silent_system_and_deleted_messages_cause_nothing(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "👍", silent=True)
    assert await scene.told() == []
    number = await scene.say(alice, "bob", "oops")
    await scene.house.messages.delete_for_everyone(alice, DIRECT, number)
    assert await scene.told() == []


async def test_groups_show_who_wrote_and_where(scene: PushScene) -> None:
    alice = await scene.people()
    where = (await scene.house.groups.create(alice, "Tea", ("bob",))).group.conversation_id
    await scene.say(alice, "bob", "hello", conversation_id=where)
    assert await scene.told() == ["Alice in Tea: hello"]
    await scene.say(alice, "bob", "again", conversation_id=where)
    assert await scene.told(5) == ["Tea: 2 messages"]


async def test_who_was_removed_is_told_of_nothing_more(scene: PushScene) -> None:
    alice = await scene.people()
    where = (await scene.house.groups.create(alice, "Tea", ("bob",))).group.conversation_id
    await scene.say(alice, "bob", "hello", conversation_id=where)
    await scene.house.groups.remove_member(alice, where, "bob")
    assert await scene.told() == []


@pytest.mark.parametrize("change", [{"disabled": True}, {"deleted": True}])
async def test_accounts_that_have_ended_are_told_of_nothing(scene: PushScene, change: dict[str, bool]) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "hello")
    if "deleted" in change:
        await scene.store.accounts.erase("bob")
    else:
        await scene.store.accounts.update("bob", dict(change))
    assert await scene.told() == []
    assert await scene.waiting() == []


async def test_a_device_that_is_logged_out_is_told_of_nothing(scene: PushScene) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "hello")
    await scene.store.devices.set_token(DeviceRef("bob", "d1"), b"", 1)
    assert await scene.told() == []


async def test_who_has_no_target_costs_the_queue_nothing(scene: PushScene) -> None:
    alice = await scene.user("alice")
    await scene.user("bob")
    await scene.say(alice, "bob", "hello")
    assert await scene.waiting() == []


async def test_a_target_that_is_gone_is_dropped(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    scene.platform.answers = lambda sent: GONE if sent.target["token"] == "bob-d1" else TAKEN
    await scene.say(alice, "bob", "hello")
    await scene.work()
    assert [target.device_id for target in await scene.store.push_targets.of_user("bob")] == ["d2"]
    assert await scene.waiting() == []


async def test_what_the_platform_refuses_is_not_repeated(scene: PushScene) -> None:
    alice = await scene.people()
    scene.platform.answers = lambda _sent: REFUSED
    await scene.say(alice, "bob", "hello")
    assert await scene.told() == ["Alice: hello"]
    assert await scene.told(600) == []
    assert scene.house.pushes.lanes.counters.failed == {"refused": 1}


async def test_a_busy_platform_is_tried_again_for_that_device_alone(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    scene.platform.answers = lambda sent: later(30) if sent.target["token"] == "bob-d1" else TAKEN
    await scene.say(alice, "bob", "hello")
    await scene.work()
    assert len(scene.platform.take()) == 2
    assert await scene.told(29) == []
    scene.platform.answers = lambda _sent: TAKEN
    await scene.work(2)
    assert [sent.target["token"] for sent in scene.platform.take()] == ["bob-d1"]
    assert await scene.waiting() == []


async def test_after_a_wait_it_says_what_is_true_then(scene: PushScene) -> None:
    alice = await scene.people()
    scene.platform.answers = lambda _sent: later(30)
    await scene.say(alice, "bob", "one")
    assert await scene.told() == ["Alice: one"]
    number = await scene.say(alice, "bob", "two")
    scene.platform.answers = lambda _sent: TAKEN
    await scene.mark(DeviceRef("bob", "d1"), DIRECT, read=number - 1)
    assert await scene.told(31) == ["Alice: two"]


async def test_messages_that_are_too_old_are_given_up(scene: PushScene) -> None:
    alice = await scene.people()
    scene.platform.answers = lambda _sent: later(3600)
    await scene.say(alice, "bob", "hello")
    for _ in range(30):
        await scene.work(3600)
    scene.platform.take()
    assert await scene.waiting() == []


async def test_a_device_has_a_budget_and_what_is_beyond_it_waits(scene: PushScene) -> None:
    alice = await scene.people()
    told = []
    for number in range(80):
        await scene.say(alice, "bob", f"m{number}")
        told += await scene.told(5)
    assert 50 < len(told) < 70
    await scene.say(alice, "bob", "last")
    assert (await scene.told(60))[-1:] == ["Alice: 81 messages"]


async def test_reading_on_one_device_cancels_and_clears_the_other(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    assert len(scene.platform.take()) == 2
    await scene.missed("bob", DIRECT, number, "d2", 3)
    await scene.connect("bob", "d1")
    await scene.read(DeviceRef("bob", "d1"), DIRECT, number)
    await scene.work()
    (sent,) = scene.platform.take()
    assert (sent.silent, sent.target, sent.badge) == (True, {"token": "bob-d2"}, 0)
    assert sent.data == {"clear": collapse_key("bob", DIRECT), "conversationId": DIRECT}
    assert await scene.waiting() == []
    assert await scene.store.push_targets.shown("bob") == []
    assert await scene.told(60) == []


async def test_a_device_that_is_logged_out_is_not_told_of_reading(scene: PushScene) -> None:
    alice = await scene.people(devices=2)
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    assert len(scene.platform.take()) == 2
    await scene.store.devices.set_token(DeviceRef("bob", "d2"), b"", 1)
    await scene.connect("bob", "d1")
    await scene.read(DeviceRef("bob", "d1"), DIRECT, number)
    await scene.work()
    assert scene.platform.take() == []
    assert await scene.store.push_targets.shown("bob") == []


async def test_a_digest_is_cleared_when_all_of_it_was_read(scene: PushScene) -> None:
    alice = await scene.people()
    carol = await scene.user("carol")
    await scene.missed("bob", DIRECT, (await scene.send(alice, DIRECT, "a")).sequence_number or 0)
    await scene.say(carol, "bob", "b")
    assert await scene.told() == ["Cooee: 2 messages from 2 conversations"]
    await scene.read(DeviceRef("bob", "d9"), DIRECT, 1)
    await scene.work()
    (first,) = scene.platform.take()
    assert (first.silent, first.badge, first.data) == (True, 1, {})
    await scene.read(DeviceRef("bob", "d9"), "dm:bob:carol", 1)
    await scene.work()
    (second,) = scene.platform.take()
    assert (second.badge, second.data["clear"]) == (0, collapse_key("bob"))


async def test_clearing_waits_for_a_busy_platform(scene: PushScene) -> None:
    alice = await scene.people()
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    scene.platform.answers = lambda _sent: later(10)
    await scene.read(DeviceRef("bob", "d9"), DIRECT, number)
    await scene.work()
    scene.platform.take()
    scene.platform.answers = lambda _sent: TAKEN
    assert await scene.told(9) == []
    assert await scene.told(2) == ["-"]


async def test_clearing_waits_for_a_store_that_fails(scene: PushScene, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await scene.people()
    number = await scene.say(alice, "bob", "hello")
    await scene.work()
    scene.platform.take()

    async def broken(*_: object) -> None:
        raise unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.push_targets, "shown", broken)
        await scene.read(DeviceRef("bob", "d9"), DIRECT, number)
        assert await scene.told() == []
    assert await scene.told() == []
    assert await scene.told(1) == ["-"]


async def test_after_a_start_everything_is_looked_at_once(scene: PushScene) -> None:
    alice = await scene.people()
    carol = await scene.user("carol")
    shown = await scene.say(alice, "bob", "hello")
    await scene.work()
    scene.platform.take()
    await scene.send(carol, "dm:bob:carol", "acked, and then the power went", notification_preview="hey")
    await scene.mark(DeviceRef("bob", "d9"), DIRECT, read=shown)
    restarted = await restart(scene)
    assert await restarted.told() == ["-"]
    assert await restarted.told(6) == ["Carol: hey"]
    again = await restart(restarted)
    assert [*await again.told(), *await again.told(6)] == []


async def test_a_store_that_fails_for_a_moment_loses_nothing(scene: PushScene, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await scene.people()
    await scene.say(alice, "bob", "hello")

    async def broken(*_: object) -> None:
        raise unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.cursors, "member", broken)
        assert await scene.told() == []
    assert await scene.told(2) == ["Alice: hello"]


async def test_a_sender_that_raises_is_one_that_is_busy(scene: PushScene) -> None:
    alice = await scene.people()

    def explode(_sent: PushNotification) -> PushOutcome:
        raise RuntimeError("a bug of the adapter")

    scene.platform.answers = explode
    await scene.say(alice, "bob", "hello")
    assert await scene.told() == ["Alice: hello"]
    scene.platform.answers = lambda _sent: TAKEN
    assert await scene.told(10) == ["Alice: hello"]
