"""FCM beyond the contract: tokens of the service account, and what Google's errors mean."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooee.adapters.push.fcm import DEFAULT_WAIT_S, MAX_PAYLOAD, fcm_message
from cooee.adapters.push.service_account import ServiceAccount, ServiceAccountUnusable
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict
from tests.fakes.clock import ManualClock
from tests.fakes.fcm_platform import FcmPlatform, problem
from tests.fakes.push_platform import Response, Trouble

DELIVERED = PushOutcome(PushVerdict.DELIVERED)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[FcmPlatform]:
    made = FcmPlatform(tmp_path, clock)
    await made.start()
    yield made
    await made.aclose()


def notification(target: dict[str, str], **fields: Any) -> PushNotification:
    values: dict[str, Any] = {"title": "Alice", "body": "Hi", "collapse_key": "a-key", "ttl_s": 60}
    return PushNotification(target=target, **(values | fields))


async def test_one_token_is_fetched_for_all_who_wait(platform: FcmPlatform) -> None:
    sender = platform.sender()
    outcomes = await asyncio.gather(*(sender.send(notification(platform.target())) for _ in range(20)))
    assert set(outcomes) == {DELIVERED}
    assert (platform.granted, platform.problems) == (1, [])


async def test_a_token_is_renewed_before_it_ends(platform: FcmPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    clock.advance(3599 - 301)
    assert await sender.send(notification(target)) == DELIVERED
    assert platform.granted == 1
    clock.advance(2)
    assert await sender.send(notification(target)) == DELIVERED
    assert platform.granted == 2


async def test_a_token_that_is_refused_is_renewed_once_for_all(platform: FcmPlatform) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    platform.revoke()
    outcomes = await asyncio.gather(*(sender.send(notification(target)) for _ in range(10)))
    assert set(outcomes) == {DELIVERED}
    assert platform.granted == 2


async def test_a_token_that_is_always_refused_ends_it(platform: FcmPlatform) -> None:
    platform.script.then("401", "401")
    outcome = await platform.sender().send(notification(platform.target()))
    assert outcome == PushOutcome(PushVerdict.FAILED, "credentials")
    assert platform.granted == 2


@pytest.mark.parametrize(
    ("meets", "outcome"),
    [
        (Response(503, {"retry-after": "9"}), PushOutcome(PushVerdict.RETRY, "platform_error", 9.0)),
        (Response(429), PushOutcome(PushVerdict.RETRY, "busy")),
        (Response(400, {}, b'{"error":"invalid_grant"}'), PushOutcome(PushVerdict.FAILED, "credentials")),
        (Response(404), PushOutcome(PushVerdict.FAILED, "credentials")),
        (Response(200, {}, b"<p>hello</p>"), PushOutcome(PushVerdict.RETRY, "platform_error")),
        (Response(200, {}, b'{"access_token":""}'), PushOutcome(PushVerdict.RETRY, "platform_error")),
    ],
)
async def test_without_a_token_nothing_is_sent(platform: FcmPlatform, meets: Response, outcome: PushOutcome) -> None:
    sender, target = platform.sender(), platform.target()
    platform.token_script.then(meets)
    assert await sender.send(notification(target)) == outcome
    assert platform.seen == []
    assert await sender.send(notification(target)) == DELIVERED


async def test_who_gives_up_waiting_for_the_token_takes_it_from_nobody(platform: FcmPlatform) -> None:
    sender = platform.sender(timeout_s=3.0)
    platform.token_script.then(Trouble.SILENCE)
    first = asyncio.create_task(sender.send(notification(platform.target())))
    second = asyncio.create_task(sender.send(notification(platform.target())))
    await platform.token_script.taken.wait()
    first.cancel()
    assert await second == PushOutcome(PushVerdict.RETRY, "timeout")
    assert await sender.send(notification(platform.target())) == DELIVERED


@pytest.mark.parametrize(
    ("meets", "verdict", "reason"),
    [
        (problem(404, "UNREGISTERED"), PushVerdict.GONE, "unregistered"),
        (problem(400, "INVALID_ARGUMENT", field="message.token"), PushVerdict.GONE, "unregistered"),
        (problem(400, "INVALID_ARGUMENT", field="message.data"), PushVerdict.FAILED, "refused"),
        (problem(404), PushVerdict.FAILED, "refused"),
        (Response(404, {"content-type": "text/html"}, b"<p>no</p>"), PushVerdict.FAILED, "refused"),
        (Response(400, {}, b'{"error":"x"}'), PushVerdict.FAILED, "refused"),
        (problem(403, "SENDER_ID_MISMATCH"), PushVerdict.FAILED, "credentials"),
    ],
)
async def test_a_target_ends_only_when_google_says_so(
    platform: FcmPlatform, meets: Response, verdict: PushVerdict, reason: str
) -> None:
    platform.script.then(meets)
    assert await platform.sender().send(notification(platform.target())) == PushOutcome(verdict, reason)


async def test_a_quota_without_a_time_is_a_minute(platform: FcmPlatform) -> None:
    platform.script.then("429")
    outcome = await platform.sender().send(notification(platform.target()))
    assert outcome == PushOutcome(PushVerdict.RETRY, "busy", DEFAULT_WAIT_S)


def test_the_message_is_as_the_api_has_it() -> None:
    packed = fcm_message(notification({"token": "t"}, badge=2, data={"conversationId": "c"}))
    assert packed is not None
    assert json.loads(packed) == {
        "message": {
            "token": "t",
            "notification": {"title": "Alice", "body": "Hi"},
            "data": {"conversationId": "c", "badge": "2"},
            "android": {
                "priority": "HIGH",
                "ttl": "60s",
                "collapse_key": "a-key",
                "notification": {"tag": "a-key", "notification_count": 2},
            },
        }
    }


def test_a_long_token_takes_nothing_from_the_text() -> None:
    packed = fcm_message(notification({"token": "t" * 4096}, body="x" * 9000))
    assert packed is not None
    assert MAX_PAYLOAD - 20 < len(packed) - 4096 <= MAX_PAYLOAD


@pytest.mark.parametrize(
    "change",
    [{"private_key": "no"}, {"private_key": None}, {"client_email": ""}, {"project_id": 3}, {"token_uri": None}],
)
async def test_a_file_that_is_no_service_account_is_told(platform: FcmPlatform, change: dict[str, Any]) -> None:
    path = platform.account_file()
    account = json.loads(path.read_bytes()) | change
    path.write_text(json.dumps({name: value for name, value in account.items() if value is not None}))
    with pytest.raises(ServiceAccountUnusable, match=r"service-account\.json"):
        ServiceAccount.read(path)
    path.write_text("{")
    with pytest.raises(ServiceAccountUnusable):
        ServiceAccount.read(path)


async def test_an_error_names_no_key(platform: FcmPlatform) -> None:
    path = platform.account_file()
    account = json.loads(path.read_bytes())
    path.write_text(json.dumps(account | {"private_key": account["private_key"][:200]}))
    with pytest.raises(ServiceAccountUnusable) as told:
        ServiceAccount.read(path)
    assert account["private_key"][60:90] not in str(told.value)
