"""The contract of `PushSender`, over the three platforms: real sockets, TLS, and servers that check like the real ones.

What only one platform has is tested in tests/unit/adapters/.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict
from tests.fakes.apns_platform import ApnsPlatform, refusal
from tests.fakes.clock import ManualClock
from tests.fakes.fcm_platform import FcmPlatform, problem
from tests.fakes.push_platform import Platform, Response, Seen, Trouble
from tests.fakes.web_platform import WebPlatform

KINDS: dict[str, Callable[[Path, Clock], Platform]] = {"web": WebPlatform, "fcm": FcmPlatform, "apns": ApnsPlatform}
KEY = "Zk3bq0YDtQhOoFuCAdlUoG"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=KINDS)
async def platform(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Platform]:
    """Yield each platform."""
    made = KINDS[request.param](tmp_path, clock)
    await made.start()
    yield made
    await made.aclose()


def notification(target: dict[str, str], **fields: Any) -> PushNotification:
    values: dict[str, Any] = {
        "target": target,
        "title": "Alice",
        "body": "Are you there?",
        "collapse_key": KEY,
        "ttl_s": 3600,
        "badge": 3,
        "data": {"conversationId": "dm:alice:bob"},
    }
    return PushNotification(**(values | fields))


def busy(platform: Platform, status: int, retry_after: str) -> Response:
    headers = {"retry-after": retry_after} if retry_after else {}
    if platform.name == "fcm":
        return problem(status, headers=headers)
    return refusal(status, headers=headers) if platform.name == "apns" else Response(status, headers)


async def test_what_is_told_arrives(platform: Platform) -> None:
    outcome = await platform.sender().send(notification(platform.target()))
    assert outcome == PushOutcome(PushVerdict.DELIVERED)
    assert platform.problems == []
    assert platform.seen == [
        Seen("Alice", "Are you there?", 3, False, {"conversationId": "dm:alice:bob"}, KEY, 3600, True)
    ]


async def test_what_is_silent_shows_nothing(platform: Platform) -> None:
    data = {"clear": KEY, "conversationId": "dm:alice:bob"}
    told = notification(platform.target(), title="", body="", silent=True, badge=0, data=data)
    assert (await platform.sender().send(told)).verdict is PushVerdict.DELIVERED
    assert platform.problems == []
    [seen] = platform.seen
    assert (seen.silent, seen.title, seen.body, seen.badge, seen.data) == (True, "", "", 0, data)
    assert (seen.collapse_key, seen.ttl_s) == (KEY, 3600)


async def test_without_a_badge_none_is_told(platform: Platform) -> None:
    await platform.sender().send(notification(platform.target(), badge=None, urgency="normal", data={}))
    [seen] = platform.seen
    assert (seen.badge, seen.urgent, seen.data) == (None, False, {})


@pytest.mark.parametrize("letter", ["x", "é", "\N{PARTY POPPER}", '"', "\x01"])
async def test_a_long_text_is_shortened_until_it_fits(platform: Platform, letter: str) -> None:
    outcome = await platform.sender().send(notification(platform.target(), body=letter * 5000))
    assert (outcome.verdict, platform.problems) == (PushVerdict.DELIVERED, [])
    [seen] = platform.seen
    assert seen.body.endswith("…")
    assert set(seen.body[:-1]) == {letter}
    assert len(seen.body) > 300


async def test_what_cannot_be_shortened_is_refused_before_it_is_sent(platform: Platform) -> None:
    outcome = await platform.sender().send(notification(platform.target(), data={"much": "x" * 5000}))
    assert outcome == PushOutcome(PushVerdict.FAILED, "too_large")
    silent = notification(platform.target(), silent=True, data={"much": "x" * 5000})
    assert await platform.sender().send(silent) == PushOutcome(PushVerdict.FAILED, "too_large")
    assert platform.seen == []


async def test_a_target_that_is_there_no_more_is_gone(platform: Platform) -> None:
    target = platform.target()
    platform.forget(target)
    assert await platform.sender().send(notification(target)) == PushOutcome(PushVerdict.GONE, "unregistered")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_platform_is_asked_again_when_it_says(platform: Platform, status: int, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    date = formatdate(clock.wall_ms() / 1000 + 90, usegmt=True)
    platform.script.then(busy(platform, status, "7"), busy(platform, status, date))
    reason = "busy" if status == 429 else "platform_error"
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, reason, 7.0)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, reason, 90.0)
    assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED


@pytest.mark.parametrize(("status", "reason"), [("400", "refused"), ("413", "too_large"), ("403", "credentials")])
async def test_what_the_platform_refuses_is_not_repeated(platform: Platform, status: str, reason: str) -> None:
    platform.script.then(status)
    assert await platform.sender().send(notification(platform.target())) == PushOutcome(PushVerdict.FAILED, reason)


async def test_a_redirect_is_not_followed(platform: Platform) -> None:
    sender, target = platform.sender(), platform.target()
    platform.script.then(Response(307, {"location": target.get("endpoint", "/elsewhere")}))
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.FAILED, "refused")
    assert platform.seen == []


async def test_a_connection_that_breaks_off_is_made_anew(platform: Platform) -> None:
    sender, target = platform.sender(), platform.target()
    platform.script.then(Trouble.RESET, Trouble.RESET)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, "unreached")
    platform.script.next.clear()
    assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED


async def test_a_platform_that_does_not_answer_is_given_up_in_time(platform: Platform) -> None:
    sender, target = platform.sender(timeout_s=0.5), platform.target()
    platform.script.then(Trouble.SILENCE)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, "timeout")


async def test_after_a_silence_the_next_one_passes(platform: Platform) -> None:
    sender, target = platform.sender(), platform.target()
    platform.script.then(Trouble.SILENCE)
    waiting = asyncio.create_task(sender.send(notification(target)))
    await platform.script.taken.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED


async def test_where_nobody_listens_nothing_is_reached(platform: Platform) -> None:
    sender, target = platform.sender(), platform.target()
    await platform.stop()
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, "unreached")


async def test_many_at_once_all_arrive(platform: Platform) -> None:
    sender = platform.sender()
    targets = [platform.target() for _ in range(40)]
    outcomes = await asyncio.gather(
        *(sender.send(notification(target, body=str(number))) for number, target in enumerate(targets))
    )
    assert {outcome.verdict for outcome in outcomes} == {PushVerdict.DELIVERED}
    assert sorted(int(seen.body) for seen in platform.seen) == list(range(40))
    if platform.name != "web":
        assert platform.connections == 1


async def test_one_after_the_other_goes_over_one_connection(platform: Platform) -> None:
    sender, target = platform.sender(), platform.target()
    for _ in range(5):
        assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED
    assert platform.connections == 1


async def test_nothing_of_it_is_logged(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for library in ("httpx", "httpcore", "hpack", "asyncio"):  # as app.logs sets them
            caplog.set_level(logging.WARNING, library)
        sender, target = platform.sender(), platform.target()
        platform.script.then("400", "500", Trouble.RESET)
        for _ in range(4):
            await sender.send(notification(target))
    assert len(platform.seen) >= 1
    for secret in ("Are you there", "Alice", *target.values()):
        assert secret not in caplog.text
