"""Bots and their tokens over HTTP: what their owner does, and what nobody else may."""

from pathlib import Path

import pytest

from cooee.app.config import LimitsConfig
from cooee.domain.limits import per_minute
from tests.fakes.asgi import AsgiClient
from tests.fakes.bots import EVERY_SCOPE, make_bot, make_token
from tests.fakes.house import House, open_house

BOT = "/v1/bots/echo"
TOKENS = f"{BOT}/tokens"


async def test_a_person_makes_names_and_ends_a_bot(house: House) -> None:
    alice = await house.person("alice")
    made = await alice.request("POST", "/v1/bots", {"userId": "echo", "displayName": "Echo"})
    told = {"userId": "echo", "displayName": "Echo", "about": "", "ownerId": "alice", "disabled": False}
    assert made.json == told | {"createdAt": house.clock.wall_ms()}
    assert (await alice.request("GET", "/v1/bots")).json["items"] == [made.json]
    changed = await alice.request("PATCH", BOT, {"displayName": "Echo, echo", "about": "says it again"})
    assert changed.json == made.json | {"displayName": "Echo, echo", "about": "says it again"}
    assert (await alice.request("GET", BOT)).json == changed.json
    seen = {"userId": "echo", "displayName": "Echo, echo", "about": "says it again", "deleted": False, "bot": True}
    assert (await alice.request("GET", "/v1/users/echo")).json == seen
    assert (await alice.request("GET", "/v1/users/alice")).json["bot"] is False
    assert (await alice.request("DELETE", BOT)).status == 204
    assert (await alice.request("GET", BOT)).code == "not_found"
    assert (await alice.request("POST", "/v1/bots", {"userId": "echo"})).code == "conflict"


async def test_a_bot_talks_like_anybody_and_blocks_hold_for_it(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    bot = await make_bot(alice)
    assert await _send(bot, "bob") == 200
    assert await _send(bob, "echo") == 200
    assert (await bob.request("PUT", "/v1/blocks/echo")).status == 204
    refused = await bot.request("POST", "/v1/messages", _message("bob") | {"clientMessageId": "again"})
    assert (refused.status, refused.code) == (403, "blocked")


async def test_nobody_logs_in_as_a_bot(house: House) -> None:
    alice = await house.person("alice")
    bot = await make_bot(alice)
    for password in ("", "x", "correct horse", bot.token):
        body = {"userId": "echo", "password": password or " ", "device": {"name": "x", "type": "cli"}}
        assert (await alice.request("POST", "/v1/sessions", body)).code == "unauthorized"
    recover = {"userId": "echo", "code": "aaaa-bbbb-cccc-dddd", "newPassword": "correct horse"}
    assert (await alice.request("POST", "/v1/recover", recover)).code == "unauthorized"
    admin = house.admin()
    reset = await admin.request("PUT", "/v1/admin/users/echo/password", {"password": "correct horse"})
    assert (reset.status, reset.code) == (403, "forbidden")


async def test_whose_bot_it_is_not_cannot_tell_it_from_none(house: House) -> None:
    """A stranger who owns a bot himself, and the bot itself with all that a bot may have."""
    alice = await house.person("alice")
    mallory = await house.person("mallory")
    await make_bot(alice)
    theirs = await make_bot(mallory, "other")
    token_id = (await alice.request("GET", TOKENS)).json["items"][0]["tokenId"]
    for method, path, body in _requests(token_id):
        for nowhere in ("nobody", "alice", "mallory"):
            none = await mallory.request(method, path.replace("/echo", f"/{nowhere}"), body)
            real = await mallory.request(method, path, body)
            assert (real.status, real.code) == (404, "not_found"), path
            assert real.body == none.body
        assert (await theirs.request(method, path, body)).code == "forbidden"
    assert (await mallory.request("GET", "/v1/bots")).json["items"][0]["userId"] == "other"


async def test_a_bot_does_not_administer_itself(house: House) -> None:
    alice = await house.person("alice")
    bot = await make_bot(alice)
    token_id = (await alice.request("GET", TOKENS)).json["items"][0]["tokenId"]
    for method, path, body in _requests(token_id):
        assert (await bot.request(method, path, body)).code == "forbidden", path
    assert (await bot.request("POST", "/v1/bots", {"userId": "more"})).code == "forbidden"
    assert (await bot.request("DELETE", "/v1/me")).code == "forbidden"
    assert (await bot.request("DELETE", f"/v1/devices/{token_id}")).code == "forbidden"
    assert (await bot.request("GET", "/v1/me")).status == 200


async def test_a_token_is_shown_once_and_kept_as_a_hash(house: House) -> None:
    alice = await house.person("alice")
    await make_bot(alice)
    house.clock.advance(1)
    made = await alice.request("POST", TOKENS, {"name": "laptop"})
    assert made.json["scopes"] == ["messages:read", "messages:write"]
    token = made.json["token"]
    listed = await alice.request("GET", TOKENS)
    assert [each["name"] for each in listed.json["items"]] == ["test", "laptop"]
    assert token.encode() not in listed.body
    rows = await house.store.database.read(lambda connection: repr(list(connection.execute("SELECT * FROM device"))))
    assert token not in rows


async def test_a_revoked_token_ends_at_once_with_its_connections(house: House) -> None:
    alice = await house.person("alice")
    bot = await make_bot(alice)
    house.clock.advance(1)
    other = alice.having(await make_token(alice))
    token_id = (await alice.request("GET", TOKENS)).json["items"][0]["tokenId"]
    assert (await bot.request("GET", "/v1/me")).status == 200
    await house.connect("echo", token_id)
    await house.told()
    assert (await alice.request("DELETE", f"{TOKENS}/{token_id}")).status == 204
    assert ("echo", token_id) in await house.closed()
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"
    assert (await other.request("GET", "/v1/me")).status == 200
    assert (await alice.request("DELETE", f"{TOKENS}/{token_id}")).code == "not_found"


async def test_a_token_ends_at_its_time_with_its_connections(house: House) -> None:
    alice = await house.person("alice")
    bot = await make_bot(alice, expires_at=house.clock.wall_ms() + 60_000)
    token_id = (await alice.request("GET", TOKENS)).json["items"][0]["tokenId"]
    assert (await bot.request("GET", "/v1/me")).status == 200
    await house.connect("echo", token_id)
    house.clock.advance(59.0)
    await house.devices.tend()
    assert await house.closed() == []
    assert (await bot.request("GET", "/v1/me")).status == 200
    house.clock.advance(1.0)
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"
    await house.devices.tend()
    assert await house.closed() == [("echo", token_id)]
    assert (await alice.request("GET", TOKENS)).json["items"][0]["tokenId"] == token_id


async def test_bots_are_disabled_and_enabled_with_their_owner(house: House) -> None:
    alice = await house.person("alice")
    bot, lone = await make_bot(alice), await make_bot(alice, "lone")
    admin = house.admin()
    assert (await admin.request("POST", "/v1/admin/users/lone/disable")).status == 200
    assert (await lone.request("GET", "/v1/me")).code == "unauthorized"
    await house.connect("echo", "d1")
    await house.told()
    assert (await admin.request("POST", "/v1/admin/users/alice/disable")).status == 200
    assert ("echo", "*") in await house.closed()
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"
    refused = await admin.request("POST", "/v1/admin/users/echo/enable")
    assert (refused.status, refused.code) == (409, "conflict")
    assert (await admin.request("POST", "/v1/admin/users/alice/enable")).status == 200
    assert (await bot.request("GET", "/v1/me")).status == 200
    assert (await lone.request("GET", "/v1/me")).code == "unauthorized"
    assert (await admin.request("POST", "/v1/admin/users/lone/enable")).status == 200
    assert (await lone.request("GET", "/v1/me")).status == 200


async def test_a_bot_whose_owner_is_gone_is_refused_even_if_the_server_died_between(house: House) -> None:
    """As if the power had failed after the owner was disabled, before his bots were."""
    alice = await house.person("alice")
    bot = await make_bot(alice)
    await house.store.accounts.update("alice", {"disabled": True})
    house.devices.forget_users(("echo",))
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"


async def test_bots_end_with_their_owner(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    bot = await make_bot(alice)
    made = await bot.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    assert (await alice.request("DELETE", "/v1/me")).status == 204
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"
    assert (await bob.request("GET", "/v1/users/echo")).code == "not_found"
    group = await bob.request("GET", f"/v1/groups/{made.json['conversationId']}")
    assert [member["userId"] for member in group.json["members"]] == ["bob"]
    assert await house.store.bots.of_owner("alice", "", 10) == []


async def test_a_person_has_no_more_bots_and_tokens_than_he_may(house: House) -> None:
    alice = await house.person("alice")
    for number in range(10):
        assert (await alice.request("POST", "/v1/bots", {"userId": f"bot{number}"})).status == 201
    more = await alice.request("POST", "/v1/bots", {"userId": "more"})
    assert (more.status, more.code) == (413, "too_large")
    for _ in range(20):
        await make_token(alice, "bot0")
    house.clock.advance(60)
    refused = await alice.request("POST", "/v1/bots/bot0/tokens", {"name": "more"})
    assert (refused.status, refused.code) == (413, "too_large")


async def test_where_nobody_makes_bots_the_operator_does(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(bots_per_user=0)) as house:
        alice = await house.person("alice")
        refused = await alice.request("POST", "/v1/bots", {"userId": "echo"})
        assert (refused.status, refused.code) == (403, "forbidden")
        made = await house.admin().request("POST", "/v1/admin/bots", {"userId": "echo"})
        assert made.status == 201
        assert made.json["ownerId"] == ""
        assert (await alice.request("GET", BOT)).code == "not_found"


async def test_changes_are_counted(tmp_path: Path) -> None:
    limits = LimitsConfig(bots_made=per_minute(2), bot_changes=per_minute(3))
    async with open_house(tmp_path, limits=limits) as house:
        alice = await house.person("alice")
        codes = [(await alice.request("POST", "/v1/bots", {"userId": f"bot{n}"})).status for n in range(3)]
        assert codes == [201, 201, 429]
        codes = [(await alice.request("POST", "/v1/bots/bot0/tokens", {"name": "x"})).status for _ in range(4)]
        assert codes == [201, 201, 201, 429]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"userId": ""},
        {"userId": "A b"},
        {"userId": "x" * 40},
        {"userId": "echo\u202e"},
        {"userId": 7},
        {"userId": "echo", "displayName": "a\x00b"},
        {"userId": "echo", "displayName": "\u202egnp"},
        {"userId": "echo", "displayName": "x" * 5000},
        [],
        None,
    ],
)
async def test_an_odd_bot_is_refused(house: House, body: object) -> None:
    alice = await house.person("alice")
    assert (await alice.request("POST", "/v1/bots", body)).code == "bad_frame"
    assert (await alice.request("GET", "/v1/bots")).json["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["person"]},
        {"name": "x", "scopes": ["any"]},
        {"name": "x", "scopes": "messages:read"},
        {"name": "x", "scopes": ["messages:read"] * 21},
        {"name": "x", "expiresAt": 1},
        {"name": "x", "expiresAt": -1},
        {"name": "x", "expiresAt": 2**60},
        {"name": "x", "expiresAt": "tomorrow"},
    ],
)
async def test_an_odd_token_is_refused(house: House, body: object) -> None:
    alice = await house.person("alice")
    await alice.request("POST", "/v1/bots", {"userId": "echo"})
    assert (await alice.request("POST", TOKENS, body)).code == "bad_frame"
    assert (await alice.request("GET", TOKENS)).json["items"] == []


@pytest.mark.parametrize("bot_id", ["x", "%00", "a" * 200, "..", "ECHO", "%F0%9F%A4%96"])
async def test_an_odd_id_finds_nothing(house: House, bot_id: str) -> None:
    alice = await house.person("alice")
    await make_bot(alice)
    for method, path, body in _requests("0123456789"):
        reply = await alice.request(method, path.replace("/echo", f"/{bot_id}"), body)
        assert reply.status in (400, 404), (path, reply.body)


def _requests(token_id: str) -> list[tuple[str, str, object]]:
    """Return one request of each kind that is the owner's alone."""
    return [
        ("GET", BOT, None),
        ("PATCH", BOT, {"displayName": "Mine"}),
        ("POST", TOKENS, {"name": "x", "scopes": list(EVERY_SCOPE)}),
        ("GET", TOKENS, None),
        ("DELETE", f"{TOKENS}/{token_id}", None),
        ("DELETE", BOT, None),
    ]


def _message(to: str) -> dict[str, str]:
    return {"clientMessageId": f"to {to}", "to": to, "contentType": "text", "content": "hello"}


async def _send(sender: AsgiClient, to: str) -> int:
    return (await sender.request("POST", "/v1/messages", _message(to))).status
