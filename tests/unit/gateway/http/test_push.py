"""Push subscriptions over HTTP: whose they are, and what an attacker gets for his pains (PROTOCOL.md §19)."""

import base64
from typing import Any

import pytest

from tests.fakes.asgi import AsgiClient
from tests.fakes.bots import EVERY_SCOPE, make_bot, make_token
from tests.fakes.house import House

PATH = "/v1/push/subscription"
FCM = {"platform": "fcm", "token": "a-token"}


def b64(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


POINT = b64(b"\x04" + bytes(64))
WEB = {"endpoint": "https://push.example.net/send/1", "keys": {"p256dh": POINT, "auth": b64(bytes(16))}}


async def put(client: AsgiClient, body: Any) -> tuple[int, Any]:
    """Subscribe; return status and code, or what is subscribed."""
    reply = await client.request("PUT", PATH, body)
    return reply.status, reply.json["error"]["code"] if "error" in reply.json else reply.json


async def test_a_device_says_where_it_is_pushed_to_and_ends_it(house: House) -> None:
    alice = await house.person("alice")
    assert (await alice.request("GET", PATH)).status == 404
    seen = {"platform": "web", "endpoint": WEB["endpoint"], "token": "", "createdAt": house.clock.wall_ms()}
    assert await put(alice, WEB) == (200, seen)
    assert (await alice.request("GET", PATH)).json == seen
    assert (await put(alice, FCM))[0] == 200
    assert (await alice.request("GET", PATH)).json["token"] == "a-token"
    assert house.pushes.service.wants("alice")
    for _ in range(2):
        assert (await alice.request("DELETE", PATH)).status == 204
    assert (await alice.request("GET", PATH)).status == 404


async def test_what_a_browser_gives_is_taken_as_it_is(house: House) -> None:
    alice = await house.person("alice")
    assert (await put(alice, WEB | {"expirationTime": None}))[0] == 200
    padded = {"p256dh": POINT + "=", "auth": b64(bytes(16)) + "=="}
    assert (await put(alice, WEB | {"keys": padded}))[0] == 200


async def test_each_device_has_its_own_and_sees_no_others(house: House) -> None:
    alice = await house.person("alice")
    other = alice.having(await house.log_in("alice"))
    await put(alice, FCM)
    assert (await other.request("GET", PATH)).status == 404
    assert (await other.request("DELETE", PATH)).status == 204
    assert (await alice.request("GET", PATH)).status == 200


async def test_who_takes_a_place_takes_it_alone(house: House) -> None:
    """One browser, two accounts one after the other: the former is told of nothing there any more."""
    alice = await house.person("alice")
    bob = await house.person("bob")
    await put(alice, WEB)
    await put(bob, WEB)
    assert (await alice.request("GET", PATH)).status == 404
    assert (await bob.request("GET", PATH)).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"platform": "apns", "token": "0" * 64}, "forbidden"),
        ({"platform": "pager", "token": "1"}, "bad_frame"),
        ({"platform": "fcm", "token": ""}, "bad_frame"),
        ({"platform": "fcm", "token": "a b"}, "bad_frame"),
        ({"platform": "fcm", "token": "a\r\nX-Evil: 1"}, "bad_frame"),
        ({"platform": "fcm", "token": "ü"}, "bad_frame"),
        ({"platform": "fcm", "token": "x" * 4097}, "bad_frame"),
        ({"platform": "fcm", "token": ["x"]}, "bad_frame"),
        ({"endpoint": WEB["endpoint"]}, "bad_frame"),
        ([], "bad_frame"),
        ({}, "bad_frame"),
    ],
)
async def test_what_is_no_target_is_refused(house: House, body: Any, code: str) -> None:
    alice = await house.person("alice")
    assert (await put(alice, body))[1] == code
    assert (await alice.request("GET", PATH)).status == 404
    assert not house.pushes.service.wants("alice")


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("http://push.example.net/1", "bad_frame"),
        ("https://user@push.example.net/1", "bad_frame"),
        ("https://push.example.net:22/1", "bad_frame"),
        ("https://push.example.net/1#x", "bad_frame"),
        ("https://push.example.net/\r\nx", "bad_frame"),
        ("file:///etc/passwd", "bad_frame"),
        ("", "bad_frame"),
        ("https://push.example.net/" + "x" * 2048, "bad_frame"),
        ("https://127.0.0.1/1", "forbidden"),
        ("https://[::1]/1", "forbidden"),
        ("https://169.254.169.254/latest", "forbidden"),
        ("https://10.0.0.1:8443/1", "forbidden"),
        ("https://[::ffff:10.0.0.1]/1", "forbidden"),
        ("https://0x7f.1/1", "bad_frame"),
    ],
)
async def test_endpoints_lead_to_public_places_by_https(house: House, endpoint: str, code: str) -> None:
    alice = await house.person("alice")
    assert (await put(alice, WEB | {"endpoint": endpoint}))[1] == code


@pytest.mark.parametrize(
    "keys",
    [
        None,
        {},
        {"p256dh": POINT, "auth": ""},
        {"p256dh": POINT, "auth": b64(bytes(15))},
        {"p256dh": b64(bytes(65)), "auth": b64(bytes(16))},
        {"p256dh": b64(b"\x04" + bytes(63)), "auth": b64(bytes(16))},
        {"p256dh": POINT[:-1] + "+", "auth": b64(bytes(16))},
        {"p256dh": POINT, "auth": "!" * 22},
        {"p256dh": POINT, "auth": "ü" * 22},
        {"p256dh": "A" * 200, "auth": b64(bytes(16))},
    ],
)
async def test_keys_have_the_form_of_keys(house: House, keys: Any) -> None:
    alice = await house.person("alice")
    assert (await put(alice, WEB | {"keys": keys})) == (400, "bad_frame")


async def test_a_bot_has_no_screen_to_push_to(house: House) -> None:
    alice = await house.person("alice")
    await make_bot(alice)
    bot = alice.having(await make_token(alice, "echo", EVERY_SCOPE))
    assert await put(bot, FCM) == (403, "forbidden")


async def test_without_a_token_nothing_is_told(house: House) -> None:
    stranger = house.client()
    for method, body in (("PUT", FCM), ("GET", None), ("DELETE", None)):
        assert (await stranger.request(method, PATH, body)).status == 401


async def test_a_subscription_ends_with_its_device(house: House) -> None:
    alice = await house.person("alice")
    other = alice.having(await house.log_in("alice"))
    await put(other, FCM)
    device = (await other.request("GET", "/v1/sessions/current")).json["deviceId"]
    assert (await alice.request("DELETE", f"/v1/devices/{device}")).status == 204
    assert await house.ports.push_targets.of_user("alice") == []


async def test_the_operator_sends_a_test_to_every_device(house: House) -> None:
    alice = await house.person("alice")
    await put(alice, FCM)
    reply = await house.admin().request("POST", "/v1/admin/users/alice/push-test")
    (tested,) = reply.json["items"]
    assert (reply.status, tested["platform"], tested["outcome"]) == (200, "fcm", "delivered")
    (sent,) = house.push.take()
    assert (sent.title, sent.silent, sent.target) == ("Cooee", False, {"token": "a-token"})
    nobody = await house.admin().request("POST", "/v1/admin/users/nobody/push-test")
    assert nobody.json["items"] == []
    assert (await alice.request("POST", "/v1/admin/users/alice/push-test")).status == 404
