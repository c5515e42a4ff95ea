"""Web Push beyond the contract: the specifications' own example, who signs, and where requests may go."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cooee.adapters.push.vapid import Vapid, VapidKeyUnusable, load_vapid_key
from cooee.adapters.push.web import MAX_PAYLOAD, PADDED_TO, BadTarget, encrypted, web_payload
from cooee.domain.digest import collapse_key
from cooee.ports.push_sender import PushNotification, PushOutcome, PushVerdict
from tests.fakes.clock import ManualClock
from tests.fakes.push_platform import Trouble
from tests.fakes.web_platform import WebPlatform, b64, decrypted, point, unb64

# RFC 8291, Appendix A.
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RECEIVER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
PLAIN = "When I grow up, I want to be a watermelon"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6"
    "cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
DENIED = PushOutcome(PushVerdict.FAILED, "bad_target")


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64(text), "big"), ec.SECP256R1())


def notification(target: dict[str, str], **fields: Any) -> PushNotification:
    values: dict[str, Any] = {"title": "Alice", "body": "Hi", "collapse_key": "a-key", "ttl_s": 60}
    return PushNotification(target=target, **(values | fields))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[WebPlatform]:
    made = WebPlatform(tmp_path, clock)
    await made.start()
    yield made
    await made.aclose()


def test_the_example_of_rfc_8291() -> None:
    body = encrypted(PLAIN.encode(), POINT, AUTH, private(SENDER), unb64(SALT))
    assert b64(body) == SEALED
    assert b64(point(private(RECEIVER))) == POINT
    assert decrypted(unb64(SEALED), private(RECEIVER), unb64(AUTH)) == PLAIN.encode()


def test_no_two_bodies_are_the_same() -> None:
    first, second = (encrypted(b"x", POINT, AUTH) for _ in range(2))
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("", AUTH), ("AAAA", AUTH), (b64(b"\x04" + b"\x01" * 64), AUTH), ("é", AUTH), (POINT, "é")],
    ids=["none", "short", "not on the curve", "letters", "auth"],
)
def test_keys_that_are_none_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(BadTarget):
        encrypted(b"x", p256dh, auth)


async def test_bad_keys_are_a_bad_target(platform: WebPlatform) -> None:
    told = notification(platform.target() | {"p256dh": b64(b"\x04" + b"\x01" * 64)})
    assert await platform.sender().send(told) == DENIED


def test_the_payload_says_little_by_its_length() -> None:
    lengths = {len(web_payload(notification({}, body="x" * size)) or b"") for size in range(0, 6000, 50)}
    assert lengths == {PADDED_TO, 2 * PADDED_TO, MAX_PAYLOAD}


def test_the_payload_is_json_with_its_padding() -> None:
    packed = web_payload(notification({}, badge=2, data={"conversationId": "c"}))
    assert packed is not None
    assert json.loads(packed) == {
        "title": "Alice", "body": "Hi", "badge": 2, "tag": "a-key", "silent": False, "data": {"conversationId": "c"}
    }  # fmt: skip


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    clock = ManualClock()
    first = Vapid(load_vapid_key(path), "", clock).public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Vapid(load_vapid_key(path), "", clock).public_key == first
    assert len(unb64(first)) == 65
    assert [file.name for file in tmp_path.iterdir()] == ["vapid.pem"]


def test_another_key_in_its_place_is_told(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    path.write_text("nothing")
    with pytest.raises(VapidKeyUnusable, match=r"vapid\.pem"):
        load_vapid_key(path)
    key = rsa.generate_private_key(65_537, 2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(VapidKeyUnusable, match="P-256"):
        load_vapid_key(path)


def test_one_token_an_origin_for_six_hours(tmp_path: Path) -> None:
    clock = ManualClock()
    vapid = Vapid(load_vapid_key(tmp_path / "vapid.pem"), "mailto:a@b.example", clock)
    first = vapid.authorization("https://push.example/1")
    assert vapid.authorization("https://push.example/2?x") == first
    other = vapid.authorization("https://push.example:8443/1")
    assert other != first
    clock.advance(6 * 3600 - 1)
    assert vapid.authorization("https://push.example/1") == first
    clock.advance(1)
    assert vapid.authorization("https://push.example/1") != first
    token = other.removeprefix("vapid t=").partition(",")[0]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {"aud": "https://push.example:8443", "exp": 1_764_000_000 + 12 * 3600, "sub": "mailto:a@b.example"}


def test_a_topic_is_the_servers_secret(tmp_path: Path) -> None:
    clock = ManualClock()
    one, other = (Vapid(load_vapid_key(tmp_path / f"{name}.pem"), "", clock) for name in ("one", "other"))
    again = Vapid(load_vapid_key(tmp_path / "one.pem"), "", clock)
    name = collapse_key("bob", "dm:alice:bob")
    assert one.topic(name) == again.topic(name)
    assert len({one.topic(name), one.topic(collapse_key("bob")), other.topic(name), name}) == 4


def test_a_clock_that_was_set_back_makes_another_token(tmp_path: Path) -> None:
    clock = ManualClock()
    vapid = Vapid(load_vapid_key(tmp_path / "vapid.pem"), "", clock)
    first = vapid.authorization("https://push.example/1")
    clock.jump_wall(clock.wall_ms() - 86_400_000)
    assert vapid.authorization("https://push.example/1") != first


def test_tokens_of_old_origins_are_forgotten(tmp_path: Path) -> None:
    vapid = Vapid(load_vapid_key(tmp_path / "vapid.pem"), "", ManualClock())
    for number in range(1005):
        vapid.authorization(f"https://push{number}.example/1")
    assert len(vapid._tokens) == 1000


async def test_the_push_service_knows_this_server_over_hours(platform: WebPlatform, clock: ManualClock) -> None:
    sender, target = platform.sender(), platform.target()
    for _ in range(4):
        assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED
        clock.advance(4 * 3600)
    assert len(set(platform.authorizations)) == 2


async def test_another_servers_key_is_no_credential(platform: WebPlatform, tmp_path: Path, clock: ManualClock) -> None:
    target = platform.target()
    sender = platform.sender()
    sender._vapid = Vapid(load_vapid_key(tmp_path / "other.pem"), "mailto:a@b.example", clock)
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.FAILED, "credentials")


@pytest.mark.parametrize("status", ["404", "410"])
async def test_a_subscription_ends_in_two_ways(platform: WebPlatform, status: str) -> None:
    platform.script.then(status)
    assert (await platform.sender().send(notification(platform.target()))).verdict is PushVerdict.GONE


async def test_headers_tell_how_long_and_how_urgent(platform: WebPlatform) -> None:
    sender, target = platform.sender(), platform.target()
    await sender.send(notification(target, urgency="very-low"))
    await sender.send(notification(target, collapse_key="longer than a topic may be, or in other letters"))
    first, second = platform.headers
    assert (first["ttl"], first["urgency"]) == ("60", "very-low")
    assert first["topic"] != second["topic"]
    assert len(first["topic"]) == len(second["topic"]) == 22
    assert "cookie" not in first


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/push", "https://[::1]/push", "https://10.0.0.1/", "https://169.254.169.254/latest",
        "http://push.example/", "https://a:b@push.example/", "https://127.1/", "https://push.example:22/", "",
    ],
)  # fmt: skip
async def test_endpoints_that_a_user_may_not_choose_are_not_asked(platform: WebPlatform, endpoint: str) -> None:
    sender = platform.sender(networks=())
    assert await sender.send(notification(platform.target() | {"endpoint": endpoint})) == DENIED
    assert platform.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["203.0.114.7", "127.0.0.1"], ["10.0.0.1"], []])
async def test_a_name_with_an_address_that_is_not_public_is_not_connected_to(
    platform: WebPlatform, addresses: list[str]
) -> None:
    sender = platform.sender(networks=(), lookup=lambda _host, _port: addresses)
    target = platform.target("localhost")
    assert await sender.send(notification(target)) == PushOutcome(PushVerdict.RETRY, "unreached")
    assert platform.connections == 0


async def test_a_name_is_looked_up_and_connected_to(platform: WebPlatform) -> None:
    asked = []

    def look(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    sender = platform.sender(lookup=look)
    told = notification(platform.target("localhost"))
    outcomes = [await sender.send(told) for _ in range(3)]
    assert {outcome.verdict for outcome in outcomes} == {PushVerdict.DELIVERED}
    assert asked == [("localhost", platform.port)]


async def test_services_that_hang_leave_connections_to_the_others(platform: WebPlatform) -> None:
    platform.script.then(*[Trouble.SILENCE] * 300)
    sender = platform.sender(timeout_s=60.0)
    target = platform.target()
    hanging = [asyncio.create_task(sender.send(notification(target))) for _ in range(300)]
    async with asyncio.timeout(30):
        while platform.connections < 300:  # noqa: ASYNC110  # what is awaited are sockets
            await asyncio.sleep(0.01)
        assert (await sender.send(notification(target))).verdict is PushVerdict.DELIVERED
    await platform.stop()
    await asyncio.gather(*hanging)


async def test_a_certificate_for_another_name_is_refused(platform: WebPlatform) -> None:
    sender = platform.sender(lookup=lambda _host, _port: ["127.0.0.1"])
    told = notification(platform.target("push.example"))
    assert await sender.send(told) == PushOutcome(PushVerdict.RETRY, "tls")


async def test_a_closed_sender_reaches_nobody(platform: WebPlatform) -> None:
    sender = platform.sender()
    waiting = asyncio.create_task(sender.send(notification(platform.target())))
    await sender.aclose()
    await sender.aclose()
    assert (await waiting).verdict in {PushVerdict.RETRY, PushVerdict.DELIVERED}
