"""Outgoing webhooks over services and stores, a sender that reaches nobody, and a clock in the test's hand."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cooee.app.config import WebhooksConfig
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account, AccountKind
from cooee.ports.router import Routed, RouteKind
from cooee.ports.webhook_sender import Answered, NotSent
from cooee.ports.webhooks import Webhook
from cooee.protocol.webhook_signature import encode_secret, verify
from cooee.protocol.webhooks import PatchWebhook
from cooee.workers.outgoing import LOOK_EVERY_S, OutgoingPorts, OutgoingServices, OutgoingWebhooks
from tests.fakes.memory_house import MemoryHouse
from tests.fakes.webhook_sender import RecordingSender, Sent

URL = "https://example.org/hook"
CHAT = "dm:alice:echo"
SETTINGS = WebhooksConfig(
    retry_base_s=10, retry_cap_s=60, attempts=3, disable_after=2, dead_letters=2, batch_events=4, give_up_s=1000
)


class Scene(MemoryHouse):
    """Alice, her bot echo, and its webhooks."""

    def __init__(self, settings: WebhooksConfig = SETTINGS, **limits: Any) -> None:
        super().__init__(webhooks=settings, **limits)
        self.settings = settings
        self.outgoing = self.house.outgoing
        self.alice = DeviceRef("", "")

    async def prepare(self) -> None:
        """Make alice and her bot."""
        self.alice = await self.user("alice")
        await self.store.bots.create(Account("echo", "Echo", "", 1, kind=AccountKind.BOT, owner_id="alice"), 10)

    async def webhook(self, *events: str, bot: str = "echo") -> Webhook:
        """Make a webhook and open its line."""
        made = await self.house.webhooks.create("alice", bot, URL, events or ("message",))
        await self.work()
        return made

    async def say(self, *texts: str, conversation_id: str = CHAT) -> None:
        """Let alice send these to the bot; nobody tells the lines of it."""
        for text in texts:
            await self.send(self.alice, conversation_id, text)

    async def work(self) -> None:
        """Let the lines do what is due."""
        await self.outgoing.tick()
        await self.outgoing.settle()

    async def look(self) -> list[Sent]:
        """Let time pass until every line looks by itself; return what was sent."""
        self.clock.advance(LOOK_EVERY_S)
        await self.work()
        return self.sender.take()

    async def wait(self, seconds: float) -> list[Sent]:
        """Let time pass; return what was sent."""
        self.clock.advance(seconds)
        await self.work()
        return self.sender.take()

    async def state(self, ref: DeviceRef) -> Webhook:
        """Return a webhook as it is stored."""
        return await self.house.webhooks.get("alice", ref)

    async def received(self, ref: DeviceRef, conversation_id: str = CHAT) -> int:
        """Return a webhook's watermark."""
        return await self.store.cursors.device(ref, conversation_id)

    def again(self, unit: float = 0.5) -> OutgoingWebhooks:
        """Begin with the stores as they are, as after a restart; the former lines are left as they stand."""
        house, ports = self.house, self.house.ports
        self.outgoing = OutgoingWebhooks(
            OutgoingPorts(ports.webhooks, ports.accounts, ports.sessions, ports.router, self.clock),
            OutgoingServices(house.devices, house.outgoing._parts.reader, house.courier),  # the same
            self.settings,
            "gw-1",
            lambda: unit,
        )
        return self.outgoing


@pytest.fixture
async def scene() -> Scene:
    """Return alice and her bot."""
    made = Scene()
    await made.prepare()
    return made


def texts(sent: list[Sent]) -> list[list[Any]]:
    """Return the contents of each request."""
    return [one.texts for one in sent]


def flat(sent: list[Sent]) -> list[Any]:
    """Return the contents of all requests, one after the other."""
    return [text for one in sent for text in one.texts]


def failing(status: int = 500, retry_after: str = "") -> Callable[[Sent], Answered]:
    """Return an answer that is no success."""
    return lambda _sent: Answered(status, retry_after)


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_a_webhook_is_sent_what_comes_after_it_was_made_signed_and_receives_it(scene: Scene) -> None:
    made = await scene.webhook()
    await scene.say("one", "two")
    (sent,) = await scene.look()
    assert sent.texts == ["one", "two"]
    assert sent.json["type"] == "events"
    assert (sent.json["botId"], sent.json["webhookId"]) == ("echo", made.webhook_id)
    assert [(event["type"], event["senderId"]) for event in sent.json["events"]] == [("message", "alice")] * 2
    now_s = scene.clock.wall_ms() / 1000
    assert verify(encode_secret(made.secret), sent.headers, sent.body, now_s) == sent.webhook_id
    assert await scene.received(made.ref) == 2
    assert await scene.look() == []


async def test_what_was_delivered_before_it_was_made_is_not_sent(scene: Scene) -> None:
    first = await scene.webhook()
    await scene.say("early")
    await scene.look()
    await scene.webhook()
    await scene.say("late")
    assert sorted(flat(await scene.look())) == ["late", "late"]
    assert await scene.received(first.ref) == 2


async def test_live_routing_wakes_the_line_at_once(scene: Scene) -> None:
    await scene.webhook()
    await scene.say("now")
    scene.outgoing.receive([Routed(RouteKind.EVENT, ("echo",), b""), Routed(RouteKind.MESSAGE, ("bob",), b"")])
    await scene.work()
    assert scene.sender.take() == []
    scene.outgoing.receive([Routed(RouteKind.MESSAGE, ("alice", "echo"), b"", CHAT, 1)])
    await scene.work()
    assert texts(scene.sender.take()) == [["now"]]


async def test_the_line_stands_in_the_registry_like_a_session(scene: Scene) -> None:
    made = await scene.webhook()
    online = await scene.house.ports.sessions.of_users(("echo",))
    assert [(entry.device_id, entry.server_id) for entry in online["echo"]] == [(made.webhook_id, "gw-1.webhooks")]
    await scene.house.webhooks.delete("alice", made.ref)
    await scene.work()
    assert await scene.house.ports.sessions.of_users(("echo",)) == {}


async def test_many_events_go_in_several_requests_in_order(scene: Scene) -> None:
    await scene.webhook()
    await scene.say(*map(str, range(10)))
    assert texts(await scene.look()) == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


async def test_large_events_go_in_several_requests_and_the_largest_alone() -> None:
    scene = Scene(WebhooksConfig(batch_bytes=2000))
    await scene.prepare()
    await scene.webhook()
    await scene.say("a" * 500, "b" * 500, "c" * 500, "d" * 9000, "e" * 100)
    sizes = [[len(text) for text in each] for each in texts(await scene.look())]
    assert sizes == [[500, 500], [500], [9000], [100]]


async def test_one_request_holds_several_conversations(scene: Scene) -> None:
    made = await scene.webhook()
    bob = await scene.user("bob")
    await scene.say("a1", "a2")
    await scene.send(bob, "dm:bob:echo", "b1")
    (sent,) = await scene.look()
    assert [(event["conversationId"], event["content"]) for event in sent.json["events"]] == [
        (CHAT, "a1"),
        (CHAT, "a2"),
        ("dm:bob:echo", "b1"),
    ]
    assert (await scene.received(made.ref), await scene.received(made.ref, "dm:bob:echo")) == (2, 1)


async def test_large_groups_are_sent_in_full() -> None:
    scene = Scene(large_group_members=2)
    await scene.prepare()
    made = await scene.webhook()
    group, _ = await scene.house.groups.create(scene.alice, "Tea", ("echo",))
    await scene.say("to all", "and more", conversation_id=group.conversation_id)
    assert texts(await scene.look()) == [["to all", "and more"]]
    assert await scene.received(made.ref, group.conversation_id) == 3


async def test_the_filter_says_what_is_told_and_passes_the_rest(scene: Scene) -> None:
    messages = await scene.webhook("message")
    system = await scene.webhook("system")
    own = await scene.webhook("own")
    group, _ = await scene.house.groups.create(scene.alice, "Tea", ("echo",))
    await scene.say("hello", conversation_id=group.conversation_id)
    await scene.send(DeviceRef("echo", "x"), group.conversation_id, "hello yourself")
    sent = {one.json["webhookId"]: one.json["events"] for one in await scene.look()}
    assert [event["content"] for event in sent[messages.webhook_id]] == ["hello"]
    assert [event["content"]["event"] for event in sent[system.webhook_id]] == ["group_created"]
    assert [event["content"] for event in sent[own.webhook_id]] == ["hello yourself"]
    for each in (messages, system, own):
        assert await scene.received(each.ref, group.conversation_id) == 3


async def test_much_that_is_not_wanted_is_passed_in_pieces(scene: Scene) -> None:
    made = await scene.webhook("system")
    await scene.say(*map(str, range(300)))
    assert await scene.look() == []
    assert await scene.received(made.ref) == 300
    group, _ = await scene.house.groups.create(scene.alice, "Tea", ("echo",))
    (sent,) = await scene.look()
    assert sent.json["events"][0]["content"]["event"] == "group_created"
    assert await scene.received(made.ref, group.conversation_id) == 1


async def test_who_was_removed_from_a_group_is_told_no_more_of_it(scene: Scene) -> None:
    await scene.webhook()
    group, _ = await scene.house.groups.create(scene.alice, "Tea", ("echo",))
    await scene.say("in", conversation_id=group.conversation_id)
    await scene.house.groups.remove_member(scene.alice, group.conversation_id, "echo")
    await scene.say("out", conversation_id=group.conversation_id)
    await scene.say("private")
    assert texts(await scene.look()) == [["in", "private"]]
    assert await scene.look() == []


# --- what fails -------------------------------------------------------------------------------------------------------


async def test_what_fails_is_sent_again_under_its_id_ever_later_and_then_the_rest(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = failing()
    await scene.say("one")
    await scene.again(unit=0.999_999).start()
    (first,) = await scene.wait(0)
    await scene.say("two")
    state = await scene.state(made.ref)
    assert state.batch is not None
    assert (state.error, state.batch.attempts) == ("the receiver answered 500", 1)
    assert state.batch.next_at == pytest.approx(scene.clock.wall_ms() + 10_000, abs=50)
    assert await scene.wait(9.5) == []
    (second,) = await scene.wait(1)
    assert (second.webhook_id, second.body) == (first.webhook_id, first.body)
    scene.sender.answers = failing(200)
    assert await scene.wait(19) == []
    third, rest = await scene.wait(1.5)
    assert (third.webhook_id, third.body) == (first.webhook_id, first.body)
    assert third.headers["webhook-timestamp"] > first.headers["webhook-timestamp"]
    assert rest.texts == ["two"]
    assert rest.webhook_id != first.webhook_id
    state = await scene.state(made.ref)
    assert (state.error, state.error_at, state.batch) == ("", 0, None)
    assert state.delivered_at == scene.clock.wall_ms()


async def test_nothing_that_comes_makes_a_failed_request_sooner(scene: Scene) -> None:
    await scene.webhook()
    scene.sender.answers = failing(503, "40")
    await scene.say("one")
    assert len(await scene.look()) == 1
    for text in ("two", "three"):
        await scene.say(text)
        scene.outgoing.receive([Routed(RouteKind.MESSAGE, ("echo",), b"", CHAT, 2)])
        assert await scene.wait(1) == []
    assert await scene.wait(37) == []
    assert texts(await scene.wait(2)) == [["one"]]


@pytest.mark.parametrize("problem", [NotSent("timeout", "too slow"), NotSent("address", "no"), Answered(302)])
async def test_every_failure_is_told_and_counted(scene: Scene, problem: Answered | NotSent) -> None:
    made = await scene.webhook()
    scene.sender.answers = lambda _sent: problem
    await scene.say("one")
    await scene.look()
    told = str(problem) if isinstance(problem, NotSent) else "the receiver answered 302"
    assert (await scene.state(made.ref)).error == told
    counted = problem.reason if isinstance(problem, NotSent) else "3xx"
    assert scene.house.courier.counters.failed == {counted: 1}
    assert await scene.received(made.ref) == 0


async def test_after_the_last_attempt_a_dead_letter_is_kept_and_delivery_goes_on(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = lambda sent: Answered(500 if "bad" in sent.texts else 200)
    await scene.say("bad")
    sent = await scene.look()
    await scene.say("good")
    for _ in range(3):
        sent += await scene.wait(60)
    assert texts(sent) == [["bad"], ["bad"], ["bad"], ["good"]]
    (letter,) = await scene.house.webhooks.dead_letters("alice", made.ref, 0, 10)
    assert (letter.letter_id, letter.attempts, letter.error) == (sent[0].webhook_id, 3, "the receiver answered 500")
    assert [(part.conversation_id, part.first, part.last) for part in letter.parts] == [(CHAT, 1, 1)]
    assert await scene.received(made.ref) == 2
    state = await scene.state(made.ref)
    assert (state.dead_letters, state.dead_in_row, state.disabled_because) == (1, 0, "")
    assert scene.outgoing.counters.dead == 1


async def test_age_ends_the_attempts_too() -> None:
    scene = Scene(WebhooksConfig(retry_base_s=10, retry_cap_s=10, attempts=1000, give_up_s=100))
    await scene.prepare()
    made = await scene.webhook()
    scene.sender.answers = failing()
    await scene.say("one")
    for _ in range(20):
        await scene.wait(10)
    assert (await scene.state(made.ref)).dead_letters == 1


async def test_dead_letters_in_a_row_disable_and_enabling_goes_on_from_there(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = failing()
    for text in ("one", "two"):
        await scene.say(text)
        for _ in range(4):
            await scene.wait(60)
    state = await scene.state(made.ref)
    assert state.disabled_because == "2 requests in a row were given up; the last: the receiver answered 500"
    assert state.dead_letters == 2
    assert len(scene.outgoing) == 0
    await scene.say("three")
    assert await scene.look() == []
    scene.sender.answers = failing(200)
    await scene.house.webhooks.change("alice", made.ref, PatchWebhook(enabled=True))
    assert texts(await scene.wait(0)) == [["three"]]
    assert scene.outgoing.counters.disabled == 1


async def test_too_many_dead_letters_push_out_the_oldest(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = lambda sent: Answered(500 if sent.texts[0].startswith("bad") else 200)
    for text in ("bad 1", "good", "bad 2", "good", "bad 3", "good"):
        await scene.say(text)
        for _ in range(4):
            await scene.wait(60)
    kept = await scene.house.webhooks.dead_letters("alice", made.ref, 0, 10)
    assert [letter.parts[0].first for letter in kept] == [5, 3]
    assert scene.outgoing.counters.dropped == 1


async def test_a_receiver_that_is_gone_disables_at_once_and_nothing_is_lost(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = failing(410)
    await scene.say("one")
    (gone,) = await scene.look()
    assert "410" in (await scene.state(made.ref)).disabled_because
    assert await scene.look() == []
    scene.sender.answers = failing(200)
    await scene.house.webhooks.change("alice", made.ref, PatchWebhook(url="https://example.net/", enabled=True))
    (again,) = await scene.wait(0)
    assert (again.url, again.webhook_id, again.texts) == ("https://example.net/", gone.webhook_id, ["one"])


async def test_a_change_makes_what_failed_be_tried_at_once(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = failing(500, "3600")
    await scene.say("one")
    (first,) = await scene.look()
    scene.sender.answers = failing(200)
    await scene.house.webhooks.change("alice", made.ref, PatchWebhook(url="https://example.net/"))
    (again,) = await scene.wait(0)
    assert (again.url, again.webhook_id) == ("https://example.net/", first.webhook_id)


async def test_a_slow_receiver_holds_up_nobody(scene: Scene) -> None:
    slow, quick = await scene.webhook(), await scene.webhook()
    held: list[Sent] = []

    class Holding(RecordingSender):
        async def post(self, url: str, headers: Any, body: bytes) -> Answered:
            sent = Sent(url, headers, body)
            if sent.json["webhookId"] == slow.webhook_id:
                held.append(sent)
                await scene.sender.open.wait()
            return await super().post(url, headers, body)

    scene.sender.open.clear()
    holding = Holding()
    scene.house.courier._sender = holding  # one receiver is slow
    await scene.say("one")
    scene.clock.advance(LOOK_EVERY_S)
    await scene.outgoing.tick()
    for _ in range(100):
        await scene.settle()
    assert [sent.json["webhookId"] for sent in holding.sent] == [quick.webhook_id]
    assert len(held) == 1
    scene.sender.open.set()
    await scene.outgoing.settle()
    assert len(holding.sent) == 2


# --- what changes meanwhile -------------------------------------------------------------------------------------------


async def test_a_deleted_message_comes_without_its_content_when_it_is_sent_again(scene: Scene) -> None:
    await scene.webhook()
    scene.sender.answers = failing()
    await scene.say("secret")
    await scene.look()
    await scene.house.messages.delete_for_everyone(scene.alice, CHAT, 1)
    (again, *_) = await scene.wait(60)
    assert again.json["events"][0]["contentType"] == "deleted"
    assert b"secret" not in again.body


@pytest.mark.parametrize("change", ["message", "webhook", "bot"])
async def test_what_changes_while_a_request_waits_for_others_counts(change: str) -> None:
    scene = Scene(msgspec.structs.replace(SETTINGS, in_flight=1))
    await scene.prepare()
    made = [await scene.webhook(), await scene.webhook()]
    await scene.say("secret")
    scene.sender.open.clear()
    scene.clock.advance(LOOK_EVERY_S)
    await scene.outgoing.tick()
    await scene.settle()
    (first,) = scene.sender.take()
    (waiting,) = [one for one in made if one.webhook_id != first.json["webhookId"]]
    if change == "message":
        await scene.house.messages.delete_for_everyone(scene.alice, CHAT, 1)
    elif change == "webhook":
        await scene.house.webhooks.change("alice", waiting.ref, PatchWebhook(url="https://example.net/"))
    else:
        await scene.store.accounts.update("echo", {"disabled": True})
    scene.sender.open.set()
    await scene.outgoing.settle()
    sent = scene.sender.take()
    if change == "bot":
        assert sent == []
        await scene.store.accounts.update("echo", {"disabled": False})
        sent = await scene.look()
    assert [one.json["webhookId"] for one in sent] == [waiting.webhook_id]
    assert sent[0].json["events"][0]["contentType"] == ("deleted" if change == "message" else "text")
    assert sent[0].url == ("https://example.net/" if change == "webhook" else URL)


async def test_a_disabled_bot_or_owner_is_sent_nothing_until_he_is_back(scene: Scene) -> None:
    await scene.webhook()
    await scene.say("to the absent")
    for user_id in ("echo", "alice"):
        await scene.store.accounts.update(user_id, {"disabled": True})
        assert await scene.look() == []
        await scene.store.accounts.update(user_id, {"disabled": False})
    assert texts(await scene.look()) == [["to the absent"]]


async def test_a_deleted_webhook_is_sent_nothing(scene: Scene) -> None:
    made = await scene.webhook()
    await scene.say("one")
    await scene.house.webhooks.delete("alice", made.ref)
    assert await scene.look() == []
    assert len(scene.outgoing) == 0


async def test_a_device_that_is_revoked_ends_its_webhook(scene: Scene) -> None:
    made = await scene.webhook()
    await scene.house.devices.revoke(DeviceRef("echo", ""), made.webhook_id)
    scene.outgoing.receive([Routed(RouteKind.CLOSE, ("echo",), b"4003 revoked", only_device=made.webhook_id)])
    await scene.work()
    assert len(scene.outgoing) == 0


async def test_a_secret_that_was_replaced_signs_for_a_day_more(scene: Scene) -> None:
    made = await scene.webhook()
    turned = await scene.house.webhooks.rotate("alice", made.ref)
    assert turned.secret != made.secret
    await scene.say("one")
    (sent,) = await scene.look()
    now_s = scene.clock.wall_ms() / 1000
    for secret in (made.secret, turned.secret):
        assert verify(encode_secret(secret), sent.headers, sent.body, now_s)
    scene.clock.advance(86_400)
    await scene.say("two")
    (sent,) = await scene.look()
    assert len(sent.headers["webhook-signature"].split()) == 1
    assert verify(encode_secret(turned.secret), sent.headers, sent.body, scene.clock.wall_ms() / 1000)


# --- restarts ---------------------------------------------------------------------------------------------------------


async def test_a_restart_sends_what_may_not_have_arrived_under_the_same_id_and_nothing_else(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.open.clear()
    await scene.say("one", "two")
    scene.clock.advance(LOOK_EVERY_S)
    await scene.outgoing.tick()
    while not scene.sender.sent:
        await scene.settle()
    (first,) = scene.sender.take()  # the server dies here: the request was made, nobody heard the answer
    for task in scene.outgoing._tasks.values():  # a death is no method
        task.cancel()
    scene.sender.open.set()
    await scene.say("three")
    await scene.again().start()
    again, rest = await scene.wait(0)
    assert (again.webhook_id, again.body) == (first.webhook_id, first.body)
    assert rest.texts == ["three"]
    assert await scene.received(made.ref) == 3


async def test_a_restart_after_the_watermark_moved_sends_nothing_twice(scene: Scene) -> None:
    made = await scene.webhook()
    await scene.say("one")
    update = scene.store.webhooks.update

    async def full(ref: DeviceRef, changes: Any) -> Webhook | None:
        if "delivered_at" in changes:
            raise CooeeError(ErrorCode.UNAVAILABLE, "the disk is full")
        return await update(ref, changes)

    scene.store.webhooks.update = full  # type: ignore[method-assign]
    assert texts(await scene.look()) == [["one"]]
    assert await scene.received(made.ref) == 1
    scene.store.webhooks.update = update  # type: ignore[method-assign]
    await scene.say("two")
    await scene.again().start()
    assert texts(await scene.wait(0)) == [["two"]]


async def test_a_full_disk_only_delays(scene: Scene) -> None:
    await scene.webhook()
    await scene.say("one")
    update = scene.store.webhooks.update

    async def full(ref: DeviceRef, changes: Any) -> Webhook | None:
        raise CooeeError(ErrorCode.UNAVAILABLE, "the disk is full")

    scene.store.webhooks.update = full  # type: ignore[method-assign]
    assert await scene.look() == []  # nothing is sent that was not written
    scene.store.webhooks.update = update  # type: ignore[method-assign]
    assert texts(await scene.wait(1.5)) == [["one"]]


async def test_a_restart_keeps_the_time_of_the_next_attempt(scene: Scene) -> None:
    await scene.webhook()
    scene.sender.answers = failing(500, "45")
    await scene.say("one")
    await scene.look()
    await scene.again().start()
    assert await scene.wait(44) == []
    assert len(await scene.wait(1.5)) == 1


async def test_a_wall_clock_that_was_set_back_makes_nobody_wait_for_ever(scene: Scene) -> None:
    await scene.webhook()
    scene.sender.answers = failing(500, "45")
    await scene.say("one")
    await scene.look()
    scene.clock.jump_wall(scene.clock.wall_ms() - 10**9)
    await scene.again().start()
    assert len(await scene.wait(0) + await scene.wait(SETTINGS.retry_after_cap_s + 1)) == 1


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_a_dead_letter_that_is_asked_for_is_tried_once_under_its_id(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = lambda sent: Answered(500 if "bad" in sent.texts else 200)
    await scene.say("bad")
    first = await scene.look()
    for _ in range(3):
        await scene.wait(60)
    await scene.house.webhooks.retry("alice", made.ref, first[0].webhook_id)
    assert texts(await scene.wait(0)) == [["bad"]]
    (letter,) = await scene.house.webhooks.dead_letters("alice", made.ref, 0, 10)
    assert (letter.attempts, letter.requested) == (4, False)
    assert await scene.look() == []
    scene.sender.answers = failing(200)
    assert await scene.house.webhooks.retry("alice", made.ref, None) == 1
    (sent,) = await scene.wait(0)
    assert (sent.webhook_id, sent.texts) == (first[0].webhook_id, ["bad"])
    assert await scene.house.webhooks.dead_letters("alice", made.ref, 0, 10) == []


async def test_dead_letters_and_what_is_new_take_turns(scene: Scene) -> None:
    made = await scene.webhook()
    scene.sender.answers = lambda sent: Answered(500 if sent.texts[0].startswith("bad") else 200)
    for text in ("bad 1", "good 1", "bad 2", "good 2"):
        await scene.say(text)
        for _ in range(4):
            await scene.wait(60)
    scene.sender.answers = failing(200)
    await scene.say(*(f"new {number}" for number in range(9)))
    await scene.house.webhooks.retry("alice", made.ref, None)
    sent = await scene.wait(0)
    found = flat(sent)
    assert [text for text in found if text.startswith("bad")] == ["bad 1", "bad 2"]
    assert [text for text in found if text.startswith("new")] == [f"new {number}" for number in range(9)]
    assert found[-1] == "new 8"


async def test_a_dead_letter_whose_messages_are_gone_is_told_as_such(scene: Scene) -> None:
    made = await scene.webhook()
    group, _ = await scene.house.groups.create(scene.alice, "Tea", ("echo",))
    scene.sender.answers = failing()
    await scene.say("one", conversation_id=group.conversation_id)
    for _ in range(4):
        await scene.wait(60)
    await scene.house.webhooks.change("alice", made.ref, PatchWebhook(events=("own",)))
    await scene.house.webhooks.retry("alice", made.ref, None)
    assert await scene.wait(0) == []
    (letter,) = await scene.house.webhooks.dead_letters("alice", made.ref, 0, 10)
    assert letter.error == "the messages are not kept any more"
