"""Outgoing webhooks over HTTP: what they do, and whom they refuse."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooee.app.config import WebhooksConfig
from cooee.domain.ids import DeviceRef
from cooee.ports.webhook_sender import Answered, NotSent
from cooee.ports.webhooks import Webhook
from cooee.protocol.webhook_signature import verify
from tests.fakes.asgi import AsgiClient, Reply
from tests.fakes.bots import make_bot, make_token
from tests.fakes.house import House, open_house
from tests.fakes.http_cases import bury_one

ALL = "/v1/bots/echo/webhooks"
GOOD = {"url": "https://example.org/hook"}


@pytest.fixture
async def alice(house: House) -> AsgiClient:
    """Alice, who owns the bot echo."""
    client = await house.person("alice")
    await make_bot(client)
    return client


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[House]:
    """A house in which nobody makes webhooks."""
    folder = tmp_path / "closed"
    folder.mkdir()
    async with open_house(folder, webhooks=WebhooksConfig(per_bot=0)) as opened:
        yield opened


async def devices(house: House) -> list[str]:
    """Return the devices of echo's that are webhooks."""
    return [device.device_id for device in await house.ports.devices.of_user("echo") if device.type == "webhook"]


async def make(client: AsgiClient, **fields: Any) -> Reply:
    """Make a webhook of echo's."""
    return await client.request("POST", ALL, GOOD | fields)


async def made(client: AsgiClient, **fields: Any) -> tuple[str, str]:
    """Make a webhook and return its path and its secret."""
    reply = await make(client, **fields)
    assert reply.status == 201, reply.body
    return f"{ALL}/{reply.json['webhookId']}", str(reply.json["secret"])


async def test_a_webhook_is_made_shown_changed_and_ended(alice: AsgiClient) -> None:
    path, secret = await made(alice)
    assert secret.startswith("whsec_")
    shown = (await alice.request("GET", path)).json
    assert (shown["url"], shown["events"], shown["enabled"]) == ("https://example.org/hook", ["message"], True)
    assert "secret" not in shown
    assert (await alice.request("GET", ALL)).json["items"] == [shown]
    changed = await alice.request("PATCH", path, {"url": "https://example.net/", "events": ["own", "message", "own"]})
    assert (changed.json["url"], changed.json["events"]) == ("https://example.net/", ["message", "own"])
    disabled = (await alice.request("PATCH", path, {"enabled": False})).json
    assert (disabled["enabled"], disabled["disabledBecause"]) == (False, "its owner disabled it")
    assert (await alice.request("PATCH", path, {"enabled": True})).json["enabled"]
    assert (await alice.request("PATCH", path, {})).status == 200
    assert (await alice.request("DELETE", path)).status == 204
    assert (await alice.request("GET", path)).code == "not_found"
    assert (await alice.request("DELETE", path)).code == "not_found"


async def test_a_webhook_is_a_device_that_no_token_opens_and_that_counts_as_no_token(
    house: House, alice: AsgiClient
) -> None:
    path, secret = await made(alice)
    webhook_id = path.rpartition("/")[2]
    device = await house.ports.devices.find(DeviceRef("echo", webhook_id))
    assert device is not None
    assert (device.type, device.token_hash, device.scopes) == ("webhook", b"", frozenset())
    tokens = (await alice.request("GET", "/v1/bots/echo/tokens")).json["items"]
    assert webhook_id not in [token["tokenId"] for token in tokens]
    for token in (secret, webhook_id, ""):
        assert (await house.client().having(token).request("GET", "/v1/me")).status == 401


async def test_a_test_tells_what_came_of_it_and_nothing_that_was_answered(house: House, alice: AsgiClient) -> None:
    path, secret = await made(alice)
    assert (await alice.request("POST", f"{path}/test")).json == {"delivered": True, "status": 200, "error": ""}
    (sent,) = house.sender.take()
    assert sent.json == {"type": "test", "botId": "echo", "webhookId": path.rpartition("/")[2], "events": []}
    assert verify(secret, sent.headers, sent.body, house.clock.wall_ms() / 1000) == sent.webhook_id
    house.sender.answers = lambda _sent: Answered(302, "internal.example")
    told = (await alice.request("POST", f"{path}/test")).json
    assert told == {"delivered": False, "status": 302, "error": "the receiver answered 302"}
    house.sender.answers = lambda _sent: NotSent("timeout", "the receiver did not answer in time")
    told = (await alice.request("POST", f"{path}/test")).json
    assert told == {"delivered": False, "status": 0, "error": "the receiver did not answer in time"}


async def test_a_rotated_secret_is_shown_once_and_the_former_one_signs_for_a_day(
    house: House, alice: AsgiClient
) -> None:
    path, former = await made(alice)
    turned = (await alice.request("POST", f"{path}/rotate")).json
    assert turned["secret"] != former
    assert turned["formerSecretUntil"] == house.clock.wall_ms() + 86_400_000
    await alice.request("POST", f"{path}/test")
    (sent,) = house.sender.take()
    for secret in (former, turned["secret"]):
        verify(secret, sent.headers, sent.body, house.clock.wall_ms() / 1000)
    assert turned["secret"].encode() not in (await alice.request("GET", path)).body


async def test_dead_letters_come_in_pages_and_are_tried_again_when_asked(house: House, alice: AsgiClient) -> None:
    path, _ = await made(alice)
    ref = DeviceRef("echo", path.rpartition("/")[2])
    for number in range(3):
        await bury_one(house, ref, f"msg_{number}")
    first = (await alice.request("GET", f"{path}/dead-letters?limit=2")).json
    assert [letter["letterId"] for letter in first["items"]] == ["msg_2", "msg_1"]
    rest = (await alice.request("GET", f"{path}/dead-letters?limit=2&cursor={first['nextCursor']}")).json
    assert [letter["letterId"] for letter in rest["items"]] == ["msg_0"]
    assert rest["nextCursor"] is None
    assert rest["items"][0]["messages"] == [{"conversationId": "dm:alice:bob", "first": 1, "last": 1}]
    assert (await alice.request("POST", f"{path}/dead-letters/msg_1/retry")).json == {"letters": 1}
    marked = (await alice.request("GET", f"{path}/dead-letters")).json["items"]
    assert [letter["retrying"] for letter in marked] == [False, True, False]
    assert (await alice.request("POST", f"{path}/dead-letters/retry")).json == {"letters": 3}
    assert (await alice.request("POST", f"{path}/dead-letters/msg_9/retry")).code == "not_found"
    await alice.request("PATCH", path, {"enabled": False})
    assert (await alice.request("POST", f"{path}/dead-letters/retry")).code == "conflict"
    for cursor in ("x", "MXg", "MS0x", "MTE" * 50):
        assert (await alice.request("GET", f"{path}/dead-letters?cursor={cursor}")).code == "bad_frame"


async def test_what_happens_with_one_webhook_is_told_in_full(house: House, alice: AsgiClient) -> None:
    path, _ = await made(alice)
    house.sender.answers = lambda _sent: Answered(500)
    frame = {"clientMessageId": "1", "to": "echo", "contentType": "text", "content": "hello"}
    assert (await alice.request("POST", "/v1/messages", frame)).status == 200
    house.outgoing.changed("echo")
    await house.outgoing.tick()
    await house.outgoing.settle()
    shown = (await alice.request("GET", path)).json
    assert (shown["error"], shown["errorAt"]) == ("the receiver answered 500", house.clock.wall_ms())
    assert shown["attempts"] == 1
    assert house.clock.wall_ms() < shown["nextAttemptAt"] <= house.clock.wall_ms() + 5000


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_strangers_and_other_owners_cannot_tell_whether_there_is_a_webhook(
    house: House, alice: AsgiClient
) -> None:
    path, _ = await made(alice)
    bob = await house.person("bob")
    await make_bot(bob, "other")
    hers = path.replace("/echo/", "/other/")
    bot = await make_bot(bob, "third", scopes=("webhooks", "messages:read"))
    for method, target, body in (
        ("POST", ALL, GOOD),
        ("GET", ALL, None),
        ("GET", path, None),
        ("PATCH", path, {"enabled": False}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/rotate", None),
        ("GET", f"{path}/dead-letters", None),
        ("POST", f"{path}/dead-letters/retry", None),
        ("POST", f"{path}/dead-letters/msg_1/retry", None),
    ):
        missing = target.replace("/echo/", "/nobody/")
        for client in (bob, bot):
            refused = await client.request(method, target, body)
            assert refused.code == "not_found", (method, target)
            assert refused.body == (await client.request(method, missing, body)).body
        assert (await house.client().request(method, target, body)).status == 401
    assert (await bob.request("GET", hers)).code == "not_found"
    assert (await alice.request("GET", path)).json["enabled"]
    assert house.sender.sent == []


async def test_the_bot_itself_looks_after_its_webhooks_with_the_scope(house: House, alice: AsgiClient) -> None:
    keeper = await make_bot(alice, "keeper", scopes=("webhooks", "messages:read"))
    writer = await make_bot(alice, "writer", scopes=("messages:read", "messages:write"))
    own = await keeper.request("POST", "/v1/bots/keeper/webhooks", GOOD)
    assert own.status == 201
    assert (await keeper.request("GET", f"/v1/bots/keeper/webhooks/{own.json['webhookId']}")).status == 200
    assert (await keeper.request("POST", ALL, GOOD)).code == "not_found"
    assert (await writer.request("POST", "/v1/bots/writer/webhooks", GOOD)).code == "forbidden"
    assert (await alice.request("POST", "/v1/bots/alice/webhooks", GOOD)).code == "not_found"


async def test_who_may_not_read_has_nothing_sent_to_an_address_of_his_choice(house: House, alice: AsgiClient) -> None:
    path, _ = await made(alice)
    keeper = alice.having(await make_token(alice, "echo", ("webhooks", "messages:write")))
    for method, target, body in (("POST", ALL, GOOD), ("PATCH", path, {"url": GOOD["url"]})):
        refused = await keeper.request(method, target, body)
        assert (refused.code, "messages:read" in refused.json["error"]["message"]) == ("forbidden", True)
    assert (await keeper.request("POST", f"{path}/rotate", None)).status == 200
    assert (await keeper.request("DELETE", path, None)).status == 204


async def test_who_is_disabled_makes_none(house: House, alice: AsgiClient) -> None:
    keeper = await make_bot(alice, "keeper", scopes=("webhooks", "messages:read"))
    await house.accounts.set_disabled("alice", disabled=True)
    for client in (alice, keeper):
        assert (await client.request("POST", "/v1/bots/keeper/webhooks", GOOD)).status == 401


async def test_a_bot_has_five_webhooks_at_most_and_none_where_nobody_makes_any(
    house: House, alice: AsgiClient, closed: House
) -> None:
    for _ in range(5):
        await made(alice)
    assert (await make(alice)).code == "too_large"
    assert len(await devices(house)) == 5
    other = await closed.person("alice")
    await make_bot(other)
    assert (await make(other)).code == "forbidden"
    assert await devices(closed) == []


async def test_where_nobody_makes_webhooks_those_from_before_stay_where_they_are(closed: House) -> None:
    alice = await closed.person("alice")
    await make_bot(alice)
    device = await closed.devices.attach("echo", "webhook")
    former = Webhook("echo", device.device_id, GOOD["url"], bytes(32), 1)
    await closed.ports.webhooks.create(former, 5)
    path = f"{ALL}/{former.webhook_id}"
    assert (await alice.request("PATCH", path, {"url": "https://example.net/"})).code == "forbidden"
    assert (await alice.request("PATCH", path, {"enabled": False})).json["url"] == GOOD["url"]
    assert (await alice.request("DELETE", path)).status == 204


async def test_changes_are_counted(alice: AsgiClient) -> None:
    path, _ = await made(alice)
    replies = [await alice.request("POST", f"{path}/test") for _ in range(40)]
    assert "rate_limited" in {reply.code for reply in replies if reply.status != 200}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_frame"),
        ({"url": ""}, "bad_frame"),
        ({"url": 5}, "bad_frame"),
        ({"url": "http://example.org/"}, "bad_frame"),
        ({"url": "https://user:pass@example.org/"}, "bad_frame"),
        ({"url": "https://127.1/"}, "bad_frame"),
        ({"url": "https://example.org:22/"}, "bad_frame"),
        ({"url": "https://example.org/" + "a" * 5000}, "bad_frame"),
        ({"url": "https://example.org/\r\nx: y"}, "bad_frame"),
        ({"url": "https://10.0.0.1/"}, "forbidden"),
        ({"url": "https://[::ffff:7f00:1]/"}, "forbidden"),
        (GOOD | {"events": []}, "bad_frame"),
        (GOOD | {"events": ["typing"]}, "bad_frame"),
        (GOOD | {"events": ["message"] * 4}, "bad_frame"),
        (GOOD | {"events": "message"}, "bad_frame"),
    ],
)
async def test_odd_input_is_refused_and_leaves_nothing_behind(
    house: House, alice: AsgiClient, body: dict[str, Any], code: str
) -> None:
    assert (await alice.request("POST", ALL, body)).code == code
    assert await house.ports.webhooks.of_bot("echo") == []
    assert await devices(house) == []
    path, _ = await made(alice)
    patch = {name: value for name, value in body.items() if name != "url" or value != GOOD["url"]}
    if patch:
        assert (await alice.request("PATCH", path, patch)).code == code
        assert (await alice.request("GET", path)).json["url"] == GOOD["url"]


@pytest.mark.parametrize("name", ["x" * 500, "..", "%00", "a%20b", "é", "0123456789"])
async def test_odd_names_are_just_not_there(alice: AsgiClient, name: str) -> None:
    assert (await alice.request("GET", f"{ALL}/{name}")).code in {"not_found", "bad_frame"}
    assert (await alice.request("POST", f"{ALL}/{name}/dead-letters/{name}/retry")).code in {"not_found", "bad_frame"}
