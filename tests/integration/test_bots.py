"""Bots against the real server: made and used from the command line, kept to their scopes, ended at once."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from cooee.client import Client, ClientSettings, Stopped
from tests.integration.cafe import Cafe
from tests.integration.harness import ServerProcess
from tests.integration.people import new_user
from tests.integration.terminals import Shell, a_name

SETTINGS = {"LOG_LEVEL": "debug"}
NOT_LOGGED_IN = 4


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> Shell:
    """At alice's, whose bots they are."""
    return Shell(tmp_path / "home", server.url)


def make_bot(shell: Shell, *scopes: str) -> tuple[str, str]:
    """Make a bot with a token, and return its name and the token."""
    bot = a_name("bot")
    shell("bots", "create", bot, "--display-name", "Bot")
    wanted = [part for scope in scopes for part in ("--scope", scope)]
    return bot, shell("bots", "tokens", "create", bot, "test", *wanted).stdout.strip()


def post(url: str, text: str) -> int:
    """Post as another program does, and return the status."""
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_a_bot_sends_and_listens_by_its_token(shell: Shell) -> None:
    alice = shell.register("alice")
    bot, token = make_bot(shell)
    assert shell.json("send", "--plain", bot, "hello")[0]["status"] == "sent"
    heard = shell.json("listen", "--count", "1", COOEE_TOKEN=token)
    assert [one["text"] for one in heard if one["type"] == "message"] == ["hello"]
    assert shell.json("send", alice, "hello yourself", COOEE_TOKEN=token)[0]["status"] == "sent"
    history = [one["text"] for one in shell.json("history", bot) if one["type"] == "message" and one["text"]]
    assert history == ["hello", "hello yourself"]
    (told,) = shell.json("whoami", COOEE_TOKEN=token)
    assert (told["userId"], told["bot"], told["scopes"]) == (bot, True, ["messages:read", "messages:write"])
    assert "a bot" in shell("users", "show", bot).stdout
    assert [one["userId"] for one in shell.json("bots")] == [bot]


def test_a_bot_that_may_only_write_sends_without_a_session(shell: Shell, tmp_path: Path) -> None:
    alice = shell.register("alice")
    bot, token = make_bot(shell, "messages:write")
    assert shell.json("send", alice, "the build is green", COOEE_TOKEN=token)[0]["status"] == "sent"
    (refused,) = shell.json("listen", "--count", "1", COOEE_TOKEN=token, code=NOT_LOGGED_IN)
    assert "messages:read" in refused["message"]
    (refused,) = shell.json("groups", "create", "Tea", COOEE_TOKEN=token, code=1)
    assert refused["code"] == "forbidden"
    (refused,) = shell.json("send", "Some title", "x", COOEE_TOKEN=token, code=2)
    assert "group:" in refused["message"]
    assert [one["text"] for one in shell.json("history", bot) if one["type"] == "message"] == ["the build is green"]


@pytest.mark.parametrize("transport", ["websocket", "longpoll"])
def test_the_sdk_stops_where_the_token_opens_no_session(
    shell: Shell, server: ServerProcess, tmp_path: Path, transport: Literal["websocket", "longpoll"]
) -> None:
    shell.register("alice")
    _, token = make_bot(shell, "messages:write")
    settings = ClientSettings(transport=transport)

    async def listen() -> None:
        async with Client(server.url, store=tmp_path / "bot", token=token, settings=settings) as client:
            with pytest.raises(Stopped, match="messages:read"):
                async for _ in client.events():
                    pass

    asyncio.run(listen())


def test_a_revoked_token_is_good_for_nothing_any_more(shell: Shell) -> None:
    alice = shell.register("alice")
    bot, token = make_bot(shell)
    shell("send", alice, "one", COOEE_TOKEN=token)
    (known,) = shell.json("bots", "tokens", "list", bot)
    shell("bots", "tokens", "revoke", bot, known["tokenId"])
    shell("send", alice, "two", COOEE_TOKEN=token, code=NOT_LOGGED_IN)
    assert shell.json("bots", "tokens", "list", bot) == []
    shell("bots", "delete", bot, "--yes")
    assert shell.json("bots") == []


def test_another_program_posts_by_an_address_that_no_log_holds(shell: Shell, server: ServerProcess) -> None:
    shell.register("alice")
    bot, token = make_bot(shell)
    (group,) = shell.json("groups", "create", "Tea", bot)
    (made,) = shell.json("bots", "incoming", "create", bot, "Tea", "--name", "nightly")
    assert made["conversationId"] == group["conversationId"]
    assert post(made["url"], "the build is green") == 200
    assert post(made["url"] + "x", "guess") == 404
    (turned,) = shell.json("bots", "incoming", "rotate", bot, made["hookId"])
    assert post(made["url"], "late") == 404
    assert post(turned["url"], "again") == 200
    shell("bots", "incoming", "delete", bot, made["hookId"])
    assert post(turned["url"], "too late") == 404
    assert [one["text"] for one in shell.json("history", "Tea") if one["contentType"] == "text"] == [
        "the build is green",
        "again",
    ]
    for secret in (made["path"].rpartition("/")[2], turned["path"].rpartition("/")[2], token):
        assert secret not in server.output


def test_the_operator_makes_bots_and_disables_them_with_their_owner(shell: Shell, server: ServerProcess) -> None:
    alice = shell.register("alice")
    bot, token = make_bot(shell)
    at = ("--data-dir", str(server.data))
    own = a_name("house")
    shell("admin", *at, "bots", "create", own)
    shell("admin", *at, "bots", "tokens", "create", own, "server")
    owners = {one["userId"]: one["ownerId"] for one in shell.json("admin", *at, "bots", "list")}
    assert (owners[bot], owners[own]) == (alice, "")
    shell("admin", *at, "users", "disable", alice)
    shell("whoami", COOEE_TOKEN=token, code=NOT_LOGGED_IN)
    shell("admin", *at, "users", "enable", alice)
    shell("whoami", COOEE_TOKEN=token)
    (known,) = shell.json("admin", *at, "bots", "tokens", "list", bot)
    shell("admin", *at, "bots", "tokens", "revoke", bot, known["tokenId"])
    shell("whoami", COOEE_TOKEN=token, code=NOT_LOGGED_IN)


def test_what_was_answered_survives_a_kill(new_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """A bot, a token, a webhook; a token that was revoked, and a webhook that was turned: each killed right after."""
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice = shell.register("alice")
    bot, token = make_bot(shell)
    server.kill9()
    server.start()
    shell("send", alice, "still here", COOEE_TOKEN=token)
    (made,) = shell.json("bots", "incoming", "create", bot, alice)
    server.kill9()
    server.start()
    assert post(made["url"], "posted") == 200
    (turned,) = shell.json("bots", "incoming", "rotate", bot, made["hookId"])
    (known,) = shell.json("bots", "tokens", "list", bot)
    shell("bots", "tokens", "revoke", bot, known["tokenId"])
    server.kill9()
    server.start()
    shell("whoami", COOEE_TOKEN=token, code=NOT_LOGGED_IN)
    assert (post(made["url"], "former"), post(turned["url"], "present")) == (404, 200)
    shell("bots", "delete", bot, "--yes")
    server.kill9()
    server.start()
    assert post(turned["url"], "nobody") == 404
    assert shell.json("bots") == []
    texts = [one["text"] for one in shell.json("history", f"dm:{min(alice, bot)}:{max(alice, bot)}")]
    assert texts == ["still here", "posted", "present"]


async def test_the_full_screen_client_says_that_it_is_a_bot(server: ServerProcess, cafe: Cafe) -> None:
    alice = await cafe.sits(server.url, await new_user(server.url, "alice"))
    helper = a_name("helper")
    await alice.app.session.client.api.create_bot(helper)
    await alice.opens(helper)
    await alice.sees(f"{helper}  bot")
    await alice.press("ctrl+o")
    await alice.sees(f"@{helper}, a bot")
