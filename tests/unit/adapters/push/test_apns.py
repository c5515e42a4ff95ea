"""APNs beyond the contract: the age of provider tokens, Apple's reasons, and a connection that is closed in order."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cooee.adapters.push.apns import MAX_PAYLOAD, ApnsKeyUnusable, apns_payload, read_apns_key
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict
from tests.fakes.apns_platform import KEY_ID, TEAM, ApnsPlatform, refusal
from tests.fakes.clock import ManualClock
from tests.fakes.push_platform import Response, Trouble

DELIVERED = PushOutcome(PushVerdict.DELIVERED)
EXPIRED = refusal(403, "ExpiredProviderToken")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ApnsPlatform]:
    made = ApnsPlatform(tmp_path, clock)
    await made.start()
    yield made
    await made.aclose()


def notification(target: dict[str, str], **fields: Any) -> PushNotification:
    values: dict[str, Any] = {"title": "Alice", "body": "Hi", "collapse_key": "a-key", "ttl_s": 60}
    return PushNotification(target=target, **(values | fields))


async def test_a_token_lives_forty_five_minutes(platform: ApnsPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    for _ in range(30):
        assert await sender.send(notification(target)) == DELIVERED
        clock.advance(300)
    assert platform.problems == []
    made_at = [at for _, at in platform.tokens]
    assert [later - earlier for earlier, later in itertools.pairwise(made_at)] == [2700.0, 2700.0, 2700.0]
    header = jwt.get_unverified_header(platform.tokens[0][0])
    assert (header["alg"], header["kid"]) == ("ES256", KEY_ID)
    assert jwt.decode(platform.tokens[0][0], options={"verify_signature": False})["iss"] == TEAM


async def test_a_token_that_has_expired_is_renewed_once_for_all(platform: ApnsPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    clock.advance(1300)
    platform.script.then(*[EXPIRED] * 5)
    outcomes = await asyncio.gather(*(sender.send(notification(target)) for _ in range(5)))
    assert set(outcomes) == {DELIVERED}
    assert len(platform.tokens) == 2


async def test_a_new_token_that_has_expired_too_ends_it(platform: ApnsPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    clock.advance(1300)
    platform.script.then(EXPIRED, EXPIRED)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.FAILED, "credentials")


async def test_a_young_token_is_not_renewed_whatever_apple_says(platform: ApnsPlatform) -> None:
    sender, target = platform.sender(), platform.target()
    platform.script.then(EXPIRED)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.FAILED, "credentials")
    assert await sender.send(notification(target)) == DELIVERED
    assert len(platform.tokens) == 1


@pytest.mark.parametrize(
    ("meets", "verdict", "reason"),
    [
        (refusal(410, "Unregistered", timestamp=1), PushVerdict.GONE, "unregistered"),
        (refusal(410, "ExpiredToken", timestamp=1), PushVerdict.GONE, "unregistered"),
        (Response(410), PushVerdict.GONE, "unregistered"),
        (refusal(400, "BadDeviceToken"), PushVerdict.GONE, "unregistered"),
        (refusal(400, "DeviceTokenNotForTopic"), PushVerdict.FAILED, "bad_target"),
        (refusal(400, "BadCollapseId"), PushVerdict.FAILED, "refused"),
        (refusal(400, "TopicDisallowed"), PushVerdict.FAILED, "refused"),
        (refusal(403, "InvalidProviderToken"), PushVerdict.FAILED, "credentials"),
        (refusal(404), PushVerdict.FAILED, "refused"),
        (refusal(429, "TooManyProviderTokenUpdates"), PushVerdict.RETRY, "busy"),
        (refusal(503, "Shutdown"), PushVerdict.RETRY, "platform_error"),
        (Response(400, {}, b"<p>no</p>"), PushVerdict.FAILED, "refused"),
    ],
)
async def test_apples_reasons(platform: ApnsPlatform, meets: Response, verdict: PushVerdict, reason: str) -> None:
    platform.script.then(meets)
    assert await platform.sender().send(notification(platform.target())) == PushOutcome(verdict, reason)


async def test_a_goaway_in_the_middle_loses_nothing(platform: ApnsPlatform) -> None:
    sender = platform.sender()
    targets = [platform.target() for _ in range(20)]
    await sender.send(notification(targets[0]))
    platform.script.then("503", "503", Trouble.GOAWAY)
    outcomes = await asyncio.gather(*(sender.send(notification(target)) for target in targets))
    assert [outcome.verdict for outcome in outcomes].count(PushVerdict.DELIVERED) >= 18
    assert {outcome.verdict for outcome in outcomes} <= {PushVerdict.DELIVERED, PushVerdict.RETRY}
    assert platform.connections >= 2


async def test_a_goaway_while_idle_is_noticed(platform: ApnsPlatform) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    platform.server.goaway()
    assert await sender.send(notification(target)) == DELIVERED
    assert platform.connections == 2


async def test_a_platform_that_was_away_is_found_again(platform: ApnsPlatform) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target))
    await platform.stop()
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, "unreached")
    await platform.start()
    assert await sender.send(notification(target)) == DELIVERED


async def test_headers_are_apples(platform: ApnsPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target, urgency="low", collapse_key="k" * 99))
    await sender.send(notification(target, silent=True, ttl_s=0))
    shown, silent = platform.headers
    assert (shown["apns-push-type"], shown["apns-priority"], shown["apns-collapse-id"]) == ("alert", "5", "k" * 64)
    assert shown["apns-expiration"] == str(clock.wall_ms() // 1000 + 60)
    assert (silent["apns-push-type"], silent["apns-priority"], silent["apns-expiration"]) == ("background", "5", "0")


async def test_a_token_of_a_device_is_no_path(platform: ApnsPlatform) -> None:
    outcome = await platform.sender().send(notification({"token": "../../x?y#z"}))
    assert outcome == PushOutcome(PushVerdict.GONE, "unregistered")


def test_the_payload_is_apples() -> None:
    shown = apns_payload(notification({}, badge=2, data={"conversationId": "c", "aps": "no"}))
    silent = apns_payload(notification({}, badge=0, silent=True, data={"clear": "k"}))
    assert shown is not None
    assert silent is not None
    assert json.loads(shown) == {
        "aps": {"alert": {"title": "Alice", "body": "Hi"}, "sound": "default", "badge": 2},
        "conversationId": "c",
    }
    assert json.loads(silent) == {"aps": {"content-available": 1}, "clear": "k", "badge": 0}
    full = apns_payload(notification({}, body="x" * 9000))
    assert full is not None
    assert MAX_PAYLOAD - 20 < len(full) <= MAX_PAYLOAD


def test_a_file_that_is_no_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "AuthKey.p8"
    path.write_text("nothing")
    with pytest.raises(ApnsKeyUnusable, match=r"AuthKey\.p8"):
        read_apns_key(path)
    other = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ApnsKeyUnusable, match="P-256"):
        read_apns_key(path)
