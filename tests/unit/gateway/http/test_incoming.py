"""Incoming webhooks over HTTP: who keeps them, who posts by them, and what an attacker learns."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from cooee.app.config import LimitsConfig
from cooee.domain.limits import per_minute
from tests.fakes.asgi import AsgiClient
from tests.fakes.bots import make_bot, make_hook, make_token, texts
from tests.fakes.house import House, open_house

ALL = "/v1/bots/echo/incoming"
DIRECT = "dm:alice:echo"


async def with_hook(house: House, conversation_id: str = DIRECT) -> tuple[AsgiClient, str, str]:
    """Return alice, and the id and the path of a webhook of her bot."""
    alice = await house.person("alice")
    await make_bot(alice)
    return alice, *await make_hook(alice, conversation_id)


async def test_who_knows_the_path_posts_as_the_bot(house: House) -> None:
    alice, hook_id, path = await with_hook(house)
    posted = await house.client().request("POST", path, {"text": "the build is green ✓"})
    assert posted.status == 200
    assert posted.json["sequenceNumber"] == 1
    page = await alice.request("GET", f"/v1/conversations/{DIRECT}/messages?after=0")
    message = page.json["messages"][0]
    assert (message["senderId"], message["senderDeviceId"], message["content"]) == (
        "echo",
        hook_id,
        "the build is green ✓",
    )
    listed = (await alice.request("GET", ALL)).json["items"]
    assert [(each["hookId"], each["lastUsed"]) for each in listed] == [(hook_id, house.clock.wall_ms())]


async def test_plain_text_is_the_text_itself(house: House) -> None:
    alice, _, path = await with_hook(house)
    for kind in ("text/plain", "Text/Plain; charset=UTF-8"):
        reply = await house.client().request("POST", path, raw=b"na\xc3\xafve {}", headers={"content-type": kind})
        assert reply.status == 200
    assert await texts(alice) == ["naïve {}", "naïve {}"]


async def test_a_post_that_comes_again_is_the_same_message(house: House) -> None:
    alice, _, path = await with_hook(house)
    body = {"text": "once", "clientMessageId": "build-1"}
    client = house.client()
    first = await client.request("POST", path, body)
    again = await asyncio.gather(*(client.request("POST", path, body) for _ in range(3)))
    assert {reply.body for reply in again} == {first.body}
    for key in ("build-1", '"build-1"'):
        headers = {"idempotency-key": key, "content-type": "text/plain"}
        assert (await client.request("POST", path, raw=b"other", headers=headers)).body == first.body
    assert await texts(alice) == ["once"]
    _, other = await make_hook(alice)
    assert (await client.request("POST", other, body)).json["sequenceNumber"] == 2


async def test_it_posts_into_its_own_conversation_only(house: House) -> None:
    alice, _, path = await with_hook(house)
    await house.person("bob")
    body = {"text": "hi", "conversationId": "dm:bob:echo", "to": "bob", "senderId": "alice"}
    assert (await house.client().request("POST", path, body)).status == 200
    assert await texts(alice) == ["hi"]
    assert await house.store.timeline.find("dm:bob:echo", 1) is None


async def test_a_wrong_secret_looks_like_an_unknown_webhook(house: House) -> None:
    alice, hook_id, path = await with_hook(house)
    secret = path.rpartition("/")[2]
    await house.admin().request("POST", "/v1/admin/users/echo/disable")
    disabled = await house.client().request("POST", path, {"text": "x"})
    await house.admin().request("POST", "/v1/admin/users/echo/enable")
    bad = [
        f"/v1/hooks/{hook_id}/{'x' * 43}",
        f"/v1/hooks/{hook_id}/{secret[:-1]}",
        f"/v1/hooks/{hook_id}/{secret}x",
        f"/v1/hooks/{hook_id}/{secret.swapcase()}",
        f"/v1/hooks/{hook_id}/{'x' * 5000}",
        f"/v1/hooks/{hook_id}/%00",
        f"/v1/hooks/{hook_id}/{alice.token}",
        f"/v1/hooks/hook_{'0' * 20}/{secret}",
        f"/v1/hooks/{hook_id.upper()}/{secret}",
        f"/v1/hooks/{'h' * 3000}/{secret}",
        f"/v1/hooks/%F0%9F%A4%96/{secret}",
    ]
    replies = [await house.client().request("POST", target, {"text": "x"}) for target in bad]
    assert {(reply.status, reply.body) for reply in replies} == {(404, disabled.body)}
    assert disabled.code == "not_found"
    assert await texts(alice) == []
    assert (await house.client().request("POST", path, {"text": "x"})).status == 200


async def test_a_new_secret_voids_the_former_one_and_an_end_both(house: House) -> None:
    alice, hook_id, path = await with_hook(house)
    turned = await alice.request("POST", f"{ALL}/{hook_id}/rotate")
    assert turned.json["hookId"] == hook_id
    client = house.client()
    assert (await client.request("POST", path, {"text": "x"})).code == "not_found"
    assert (await client.request("POST", turned.json["path"], {"text": "y"})).status == 200
    assert (await alice.request("DELETE", f"{ALL}/{hook_id}")).status == 204
    assert (await client.request("POST", turned.json["path"], {"text": "z"})).code == "not_found"
    assert (await alice.request("DELETE", f"{ALL}/{hook_id}")).code == "not_found"
    assert (await alice.request("POST", f"{ALL}/{hook_id}/rotate")).code == "not_found"
    assert await texts(alice) == ["y"]


async def test_the_secret_is_shown_once_kept_as_a_hash_and_never_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        alice, _, path = await with_hook(house)
        secret = path.rpartition("/")[2]
        await house.client().request("POST", path, {"text": "x"})
        await house.client().request("POST", path + "x", {"text": "x"})
        await house.client().request("GET", path)
        house.incoming.admit = None  # type: ignore[assignment, method-assign]  # a planted bug, whose report is logged
        assert (await house.client().request("POST", path, {"text": "x"})).status == 500
    assert secret.encode() not in (await alice.request("GET", ALL)).body
    rows = await house.store.database.read(
        lambda connection: repr(list(connection.execute("SELECT * FROM incoming_hook")))
    )
    assert secret not in rows
    assert secret not in caplog.text


async def test_the_owner_and_the_bot_keep_them_and_nobody_else(house: House) -> None:
    alice, hook_id, _ = await with_hook(house)
    mallory = await house.person("mallory")
    other = await make_bot(mallory, "other")
    bot = alice.having(await make_token(alice, "echo", ("webhooks", "messages:write")))
    silent = alice.having(await make_token(alice, "echo", ("webhooks", "messages:read")))
    blunt = alice.having(await make_token(alice, "echo", ("messages:read", "messages:write")))
    new = {"name": "x", "conversationId": DIRECT}
    requests = [
        ("GET", ALL, None),
        ("POST", ALL, new),
        ("POST", f"{ALL}/{hook_id}/rotate", None),
        ("DELETE", f"{ALL}/{hook_id}", None),
    ]
    for method, path, body in requests:
        for stranger in (mallory, other):
            real = await stranger.request(method, path, body)
            none = await stranger.request(method, path.replace("echo", "nobody"), body)
            assert (real.status, real.code, real.body) == (404, "not_found", none.body)
        assert (await blunt.request(method, path, body)).code == "forbidden"
        if method == "POST":  # who learns the path can post
            refused = await silent.request(method, path, body)
            assert (refused.code, "messages:write" in refused.json["error"]["message"]) == ("forbidden", True)
    for method, path, body in requests:
        assert (await bot.request(method, path, body)).status < 300, path
    assert len((await alice.request("GET", ALL)).json["items"]) == 1
    theirs, _ = await make_hook(mallory, "dm:mallory:other", "other")
    assert (await alice.request("DELETE", f"{ALL}/{theirs}")).code == "not_found"
    assert (await mallory.request("GET", "/v1/bots/mallory/incoming")).code == "not_found"


async def test_only_into_conversations_that_the_bot_is_in(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    await make_bot(alice)
    group = (await alice.request("POST", "/v1/groups", {"name": "Tea"})).json["conversationId"]
    for elsewhere in ("dm:alice:bob", group, "group:nowhere"):
        refused = await alice.request("POST", ALL, {"name": "x", "conversationId": elsewhere})
        assert (refused.status, refused.code) == (403, "not_a_member"), elsewhere
    for odd in ("dm:echo:alice", "dm:alice", "", "x", "group:", "dm:alice:echo\n", "group:" + "x" * 65):
        assert (await alice.request("POST", ALL, {"name": "x", "conversationId": odd})).code == "bad_frame", odd
    assert (await alice.request("POST", ALL, {"name": "x", "conversationId": "dm:echo:nobody"})).code == "not_found"
    await alice.request("POST", f"/v1/groups/{group}/members", {"userIds": ["echo"]})
    _, path = await make_hook(alice, group)
    assert (await house.client().request("POST", path, {"text": "in"})).status == 200
    await alice.request("DELETE", f"/v1/groups/{group}/members/echo")
    out = await house.client().request("POST", path, {"text": "out"})
    assert (out.status, out.code) == (403, "not_a_member")
    assert await texts(alice, group) == ["in"]


async def test_blocks_and_limits_hold_for_posts(house: House) -> None:
    alice, _, path = await with_hook(house)
    await alice.request("PUT", "/v1/blocks/echo")
    blocked = await house.client().request("POST", path, {"text": "x"})
    assert (blocked.status, blocked.code) == (403, "blocked")
    await alice.request("DELETE", "/v1/blocks/echo")
    long = await house.client().request("POST", path, {"text": "x" * 49_153})
    assert (long.status, long.code) == (413, "too_large")
    huge = await house.client().request("POST", path, raw=b"x" * 65_537, headers={"content-type": "text/plain"})
    assert (huge.status, huge.code) == (413, "too_large")
    assert await texts(alice) == []


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("application/json", json.dumps({"zen": "Design for failure.", "hook_id": 7, "repository": {}}).encode()),
        ("application/json", json.dumps({"attachments": [{"text": "hi"}]}).encode()),
        ("application/json", b'{"text": 7}'),
        ("application/json", b'{"text": null}'),
        ("application/json", b"[]"),
        ("application/json", b"{"),
        ("application/json", b'"text"'),
        ("application/json", b"\xff"),
        ("application/json", b'{"text": "\\ud800"}'),
        ("application/json", b'{"text": "x", "clientMessageId": "' + b"y" * 65 + b'"}'),
        ("application/json", b'{"text": "x", "clientMessageId": "a\\u0000b"}'),
        ("application/json; charset=latin-1", b'{"text": "x"}'),
        ("application/x-www-form-urlencoded", b"payload=%7B%7D"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/html", b"<p>"),
        ("text/plain", b"\xff"),
        ("text/plain", b""),
        ("application/json", b'{"text": ""}'),
    ],
)
async def test_another_format_is_refused_and_told_what_to_send(house: House, kind: str, payload: bytes) -> None:
    alice, _, path = await with_hook(house)
    refused = await house.client().request("POST", path, raw=payload, headers={"content-type": kind})
    assert (refused.status, refused.code) == (400, "bad_frame"), refused.body
    assert await texts(alice) == []


async def test_what_github_sends_is_answered_with_what_to_send_instead(house: House) -> None:
    _, _, path = await with_hook(house)
    refused = await house.client().request("POST", path, {"zen": "Keep it logically awesome.", "hook_id": 1})
    assert "`text`" in refused.json["error"]["message"]
    assert '{"text"' in refused.json["error"]["message"]


@pytest.mark.parametrize("key", ["x" * 65, "a\tb", "other"])
async def test_an_odd_key_is_refused(house: House, key: str) -> None:
    _, _, path = await with_hook(house)
    body = {"text": "x", "clientMessageId": "build-1"}
    refused = await house.client().request("POST", path, body, headers={"idempotency-key": key})
    assert refused.code == "bad_frame"


async def test_each_webhook_and_each_address_has_its_budget(tmp_path: Path) -> None:
    limits = LimitsConfig(hook_posts=per_minute(2), hook_posts_per_address=per_minute(5), exempt=())
    async with open_house(tmp_path, limits=limits) as house:
        alice, _, path = await with_hook(house)
        statuses = [(await house.client().request("POST", path, {"text": "x"})).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        guesses = [(await house.client().request("POST", path + "x", {"text": "x"})).status for _ in range(3)]
        assert guesses == [404, 404, 429]
        elsewhere = house.client("192.0.2.7")
        assert (await elsewhere.request("POST", path, {"text": "x"})).code == "rate_limited"
        _, other = await make_hook(alice)
        assert (await elsewhere.request("POST", other, {"text": "x"})).status == 200


async def test_a_guesser_does_not_spend_the_webhooks_budget(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(hook_posts=per_minute(1))) as house:
        _, _, path = await with_hook(house)
        for _ in range(5):
            assert (await house.client().request("POST", path + "x", {"text": "x"})).status == 404
        assert (await house.client().request("POST", path, {"text": "x"})).status == 200


async def test_a_bot_has_no_more_webhooks_than_it_may(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(hooks_per_bot=2)) as house:
        alice, _, _ = await with_hook(house)
        await make_hook(alice)
        more = await alice.request("POST", ALL, {"name": "x", "conversationId": DIRECT})
        assert (more.status, more.code) == (413, "too_large")
