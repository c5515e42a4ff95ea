"""Requests to receivers: signed, a bounded number at a time, and nobody's share taken by somebody else."""

import asyncio

import pytest

from cooee.domain.webhooks import Verdict, WebhookSettings
from cooee.ports.webhook_sender import Answered, NotSent
from cooee.ports.webhooks import Webhook
from cooee.protocol.webhook_signature import encode_secret, verify
from cooee.services.webhook_courier import Outcome, WebhookCourier
from tests.fakes.clock import ManualClock
from tests.fakes.webhook_sender import RecordingSender

KEY = bytes(range(32))


def webhook(bot_id: str = "echo") -> Webhook:
    """Return a webhook."""
    return Webhook(bot_id, "w1", f"https://example.org/{bot_id}", KEY, 1)


async def test_a_request_is_signed_at_the_time_of_the_attempt() -> None:
    sender, clock = RecordingSender(), ManualClock()
    courier = WebhookCourier(sender, clock, WebhookSettings())
    for _ in range(2):
        await courier.send(webhook(), "alice", "msg_1", [b'{"type":"message"}'])
        clock.advance(100)
    first, second = sender.take()
    assert (
        first.body
        == second.body
        == (b'{"type":"events","botId":"echo","webhookId":"w1","events":[{"type":"message"}]}')
    )
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 100
    for sent in (first, second):
        assert verify(encode_secret(KEY), sent.headers, sent.body, float(sent.headers["webhook-timestamp"])) == "msg_1"


@pytest.mark.parametrize(
    ("answer", "outcome", "counted"),
    [
        (Answered(204), Outcome(Verdict.DELIVERED, 204), {}),
        (Answered(410), Outcome(Verdict.GONE, 410, "the receiver answered 410"), {"4xx": 1}),
        (Answered(429, "7"), Outcome(Verdict.FAILED, 429, "the receiver answered 429", 7.0), {"4xx": 1}),
        (Answered(302), Outcome(Verdict.FAILED, 302, "the receiver answered 302"), {"3xx": 1}),
        (NotSent("tls", "no"), Outcome(Verdict.FAILED, error="no"), {"tls": 1}),
    ],
)
async def test_what_came_of_it_is_told_and_counted(
    answer: Answered | NotSent, outcome: Outcome, counted: dict[str, int]
) -> None:
    sender = RecordingSender()
    sender.answers = lambda _sent: answer
    courier = WebhookCourier(sender, ManualClock(), WebhookSettings())
    assert await courier.send(webhook(), "alice", "msg_1", [b"{}", b"{}"]) == outcome
    assert courier.counters.failed == counted
    assert (courier.counters.sent, courier.counters.events) == ((0, 0) if counted else (1, 2))
    assert courier.counters.in_flight == 0


async def test_one_owner_has_a_quarter_of_what_may_be_on_its_way() -> None:
    sender = RecordingSender()
    sender.open.clear()
    courier = WebhookCourier(sender, ManualClock(), WebhookSettings(in_flight=8))
    greedy = [asyncio.create_task(courier.send(webhook("greedy"), "mallory", "m", [])) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(sender.sent) == 2
    others = [asyncio.create_task(courier.send(webhook("other"), f"user{n}", "m", [])) for n in range(10)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert [sent.json["botId"] for sent in sender.sent] == ["greedy"] * 2 + ["other"] * 6
    assert courier.counters.in_flight == 8
    sender.open.set()
    await asyncio.gather(*greedy, *others)
    assert len(sender.sent) == 30
    assert courier.counters.in_flight == 0
    assert courier._of_owner == {}


async def test_who_is_cancelled_gives_his_place_back() -> None:
    sender = RecordingSender()
    sender.open.clear()
    courier = WebhookCourier(sender, ManualClock(), WebhookSettings(in_flight=1))
    tasks = [asyncio.create_task(courier.send(webhook(), "alice", "m", [])) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    sender.open.set()
    assert (await tasks[2]).verdict is Verdict.DELIVERED
    assert courier.counters.in_flight == 0
