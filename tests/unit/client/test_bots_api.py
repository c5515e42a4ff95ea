"""The operations of bots: what goes out, and what comes back."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cooee.client.api import Api
from cooee.protocol import bots, http
from tests.unit.client.test_api import api

BOT = {"userId": "echo", "displayName": "E", "about": "", "ownerId": "alice", "createdAt": 0, "disabled": False}
TOKEN = {"tokenId": "t1", "name": "n", "scopes": ["webhooks"], "createdAt": 0, "lastUsed": 0, "expiresAt": 9}
HOOK = {"hookId": "h1", "name": "n", "conversationId": "dm:alice:echo", "createdAt": 0, "lastUsed": 0}
PATH = "/v1/hooks/h1/secret"
POSTED = {"messageId": "1", "clientMessageId": "k", "sequenceNumber": 1, "timestamp": 0}
SESSION = {"userId": "echo", "deviceId": "t1", "deviceName": "n", "bot": True, "scopes": [], "expiresAt": 0}

CALLS: list[tuple[Callable[[Api], Awaitable[Any]], str, str, Any, Any]] = [
    (lambda a: a.session(), "GET", "/v1/sessions/current", SESSION, None),
    (lambda a: a.create_bot("echo", display_name="E"), "POST", "/v1/bots", BOT, {"userId": "echo", "displayName": "E"}),
    (lambda a: a.bots(), "GET", "/v1/bots?limit=100", {"items": [BOT]}, None),
    (lambda a: a.bot("e/o"), "GET", "/v1/bots/e%2Fo", BOT, None),
    (lambda a: a.update_bot("echo", http.PatchMe(about="x")), "PATCH", "/v1/bots/echo", BOT, {"about": "x"}),
    (lambda a: a.delete_bot("echo"), "DELETE", "/v1/bots/echo", None, None),
    (
        lambda a: a.create_bot_token("echo", "n", ["webhooks"], expires_at=9),
        "POST",
        "/v1/bots/echo/tokens",
        TOKEN | {"token": "secret"},
        {"name": "n", "scopes": ["webhooks"], "expiresAt": 9},
    ),
    (lambda a: a.bot_tokens("echo"), "GET", "/v1/bots/echo/tokens?limit=100", {"items": [TOKEN]}, None),
    (lambda a: a.revoke_bot_token("echo", "t1"), "DELETE", "/v1/bots/echo/tokens/t1", None, None),
    (
        lambda a: a.create_incoming_hook("echo", "n", "dm:alice:echo"),
        "POST",
        "/v1/bots/echo/incoming",
        HOOK | {"path": PATH},
        {"name": "n", "conversationId": "dm:alice:echo"},
    ),
    (lambda a: a.incoming_hooks("echo"), "GET", "/v1/bots/echo/incoming?limit=100", {"items": [HOOK]}, None),
    (
        lambda a: a.rotate_incoming_hook("echo", "h1"),
        "POST",
        "/v1/bots/echo/incoming/h1/rotate",
        HOOK | {"path": PATH},
        None,
    ),
    (lambda a: a.delete_incoming_hook("echo", "h1"), "DELETE", "/v1/bots/echo/incoming/h1", None, None),
    (
        lambda a: a.post_to_hook(PATH, "x", client_message_id="k"),
        "POST",
        PATH,
        POSTED,
        {"text": "x", "clientMessageId": "k"},
    ),
]


@pytest.mark.parametrize(("call", "method", "path", "answer", "body"), CALLS, ids=[f"{c[1]} {c[2]}" for c in CALLS])
async def test_each_operation_asks_what_the_protocol_says(
    call: Callable[[Api], Awaitable[Any]], method: str, path: str, answer: Any, body: Any
) -> None:
    async with api((204 if answer is None else 200, answer if answer is not None else b"")) as (opened, recorder):
        await call(opened)
        assert recorder.asked == [(method, path, body, "Bearer t0")]


async def test_what_comes_back_is_typed() -> None:
    async with api((200, TOKEN | {"token": "secret"}), (200, HOOK | {"path": PATH})) as (opened, _):
        token = await opened.create_bot_token("echo", "n")
        assert token == bots.NewBotToken("t1", "n", ("webhooks",), 0, 0, 9, token="secret")
        hook = await opened.create_incoming_hook("echo", "n", "dm:alice:echo")
        assert hook == bots.NewIncomingHook("h1", "n", "dm:alice:echo", 0, 0, path=PATH)
