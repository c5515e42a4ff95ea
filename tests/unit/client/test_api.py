"""The HTTP operations: what goes out, and what becomes of refusals."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from cooee.client.api import Api
from cooee.client.errors import ConnectionFailed, NotLoggedIn, ServerError
from cooee.domain.conversation import Role
from cooee.protocol import frames, http
from tests.fakes.client_frames import raw

USER = {"userId": "bob", "displayName": "Bob", "about": "", "deleted": False}
GROUP = {
    "conversationId": "group:g",
    "name": "G",
    "ownerId": "alice",
    "members": [],
    "rosterVersion": 1,
    "createdAt": 0,
}
DEVICE = {
    "deviceId": "d1",
    "name": "n",
    "type": "cli",
    "createdAt": 0,
    "lastSeen": 0,
    "loggedIn": True,
    "current": True,
}
ME = {"userId": "alice", "displayName": "A", "about": "", "privacy": {}, "createdAt": 0}
CONVERSATION = {
    "conversationId": "dm:alice:bob",
    "kind": "direct",
    "title": "Bob",
    "lastSequenceNumber": 1,
    "firstSequenceNumber": 1,
    "receivedSequenceNumber": 1,
    "readSequenceNumber": 0,
    "unread": 1,
    "lastActivity": 5,
    "lastMessage": {"type": "message"},
}
HISTORY = {
    "type": "messages",
    "conversationId": "dm:alice:bob",
    "messages": [],
    "coveredFrom": 1,
    "coveredThrough": 2,
    "complete": True,
}
ACK = {"type": "ack", "status": "sent", "sequenceNumber": 1}


class Recorder:
    """Answers each request with the next planned answer, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append(
            (request.method, request.raw_path, json.loads(body) if body else None, request.headers.get("Authorization"))
        )
        status, content = self.answers.pop(0)
        if isinstance(content, bytes):
            return web.Response(status=status, body=content)
        return web.json_response(content, status=status)


@asynccontextmanager
async def api(*answers: tuple[int, Any], token: str = "t0") -> AsyncIterator[tuple[Api, Recorder]]:
    recorder = Recorder(*answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.answer)
    async with TestServer(app) as server, Api(str(server.make_url("")), token) as opened:
        yield opened, recorder


Call = Callable[[Api], Awaitable[Any]]
CHAT = "dm:alice:bob"
CHAT_PATH = "/v1/conversations/dm%3Aalice%3Abob"
SEND = frames.Send("k1", "text", raw("hi"), to="bob")
CALLS: list[tuple[Call, str, str, Any, Any]] = [
    (lambda a: a.register("bob", "pw"), "POST", "/v1/accounts", {"userId": "bob", "displayName": "bob"}, None),
    (lambda a: a.log_out(), "DELETE", "/v1/sessions/current", None, None),
    (lambda a: a.devices(), "GET", "/v1/devices?limit=100", {"items": [DEVICE], "nextCursor": None}, None),
    (lambda a: a.revoke_device("d/1"), "DELETE", "/v1/devices/d%2F1", None, None),
    (
        lambda a: a.change_password("a", "b"),
        "PUT",
        "/v1/me/password",
        None,
        {"currentPassword": "a", "newPassword": "b"},
    ),
    (lambda a: a.new_recovery_codes(), "POST", "/v1/me/recovery-codes", {"codes": ["x"]}, None),
    (
        lambda a: a.recover("bob", "c", "n"),
        "POST",
        "/v1/recover",
        None,
        {"userId": "bob", "code": "c", "newPassword": "n"},
    ),
    (lambda a: a.delete_account(), "DELETE", "/v1/me", None, None),
    (lambda a: a.me(), "GET", "/v1/me", ME, None),
    (lambda a: a.update_me(http.PatchMe(about="hi")), "PATCH", "/v1/me", ME, {"about": "hi"}),
    (lambda a: a.user("bob"), "GET", "/v1/users/bob", USER, None),
    (lambda a: a.search_users("b&b"), "GET", "/v1/users?query=b%26b", {"items": [USER], "nextCursor": None}, None),
    (lambda a: a.contacts(), "GET", "/v1/contacts?limit=100", {"items": [USER], "nextCursor": None}, None),
    (lambda a: a.add_contact("bob"), "PUT", "/v1/contacts/bob", None, None),
    (lambda a: a.remove_contact("bob"), "DELETE", "/v1/contacts/bob", None, None),
    (lambda a: a.blocks(), "GET", "/v1/blocks?limit=100", {"items": [], "nextCursor": None}, None),
    (lambda a: a.block("bob"), "PUT", "/v1/blocks/bob", None, None),
    (lambda a: a.unblock("bob"), "DELETE", "/v1/blocks/bob", None, None),
    (lambda a: a.conversation(CHAT), "GET", CHAT_PATH, CONVERSATION, None),
    (
        lambda a: a.set_flags(CHAT, http.PatchConversation(pinned=True)),
        "PATCH",
        CHAT_PATH,
        CONVERSATION,
        {"pinned": True},
    ),
    (lambda a: a.history(CHAT, before=9, limit=5), "GET", f"{CHAT_PATH}/messages?before=9&limit=5", HISTORY, None),
    (
        lambda a: a.receipts(CHAT, 3),
        "GET",
        f"{CHAT_PATH}/receipts?limit=100&sequenceNumber=3",
        {"items": [{"userId": "bob", "delivered": 3, "read": 0}], "nextCursor": None},
        None,
    ),
    (lambda a: a.delete_message(CHAT, 3), "DELETE", f"{CHAT_PATH}/messages/3", None, None),
    (lambda a: a.create_group("G", ["bob"]), "POST", "/v1/groups", GROUP, {"name": "G", "memberIds": ["bob"]}),
    (lambda a: a.group("group:g"), "GET", "/v1/groups/group%3Ag", GROUP, None),
    (lambda a: a.rename_group("group:g", "H"), "PATCH", "/v1/groups/group%3Ag", GROUP, {"name": "H"}),
    (lambda a: a.delete_group("group:g"), "DELETE", "/v1/groups/group%3Ag", None, None),
    (
        lambda a: a.add_members("group:g", ["bob"]),
        "POST",
        "/v1/groups/group%3Ag/members",
        GROUP,
        {"userIds": ["bob"]},
    ),
    (lambda a: a.remove_member("group:g", "bob"), "DELETE", "/v1/groups/group%3Ag/members/bob", None, None),
    (
        lambda a: a.set_role("group:g", "bob", Role.ADMIN),
        "PUT",
        "/v1/groups/group%3Ag/members/bob/role",
        GROUP,
        {"role": "admin"},
    ),
    (
        lambda a: a.create_invite("group:g", max_uses=3),
        "POST",
        "/v1/groups/group%3Ag/invite",
        {"token": "x"},
        {"maxUses": 3},
    ),
    (lambda a: a.delete_invites("group:g"), "DELETE", "/v1/groups/group%3Ag/invite", None, None),
    (lambda a: a.join("x"), "POST", "/v1/join", GROUP, {"token": "x"}),
]


@pytest.mark.parametrize(
    ("call", "method", "path", "answer", "body"), CALLS, ids=[f"{call[1]} {call[2]}" for call in CALLS]
)
async def test_each_operation_asks_as_the_protocol_says(
    call: Call, method: str, path: str, answer: Any, body: Any
) -> None:
    async with api((200, answer if answer is not None else b"")) as (client, recorder):
        await call(client)
        [(asked_method, asked_path, asked_body, authorization)] = recorder.asked
        assert (asked_method, asked_path) == (method, path)
        assert authorization == "Bearer t0"
        if body is not None:
            assert asked_body == body


async def test_a_message_goes_out_as_a_send_frame_would() -> None:
    async with api((202, ACK)) as (client, recorder):
        assert (await client.send_message(SEND)).sequence_number == 1
        assert recorder.asked[0][2] == {
            "type": "send",
            "clientMessageId": "k1",
            "contentType": "text",
            "content": "hi",
            "to": "bob",
        }


async def test_lists_are_read_to_their_end() -> None:
    pages = [
        (200, {"items": [CONVERSATION], "nextCursor": "a/b"}),
        (200, {"items": [CONVERSATION], "nextCursor": None}),
    ]
    async with api(*pages) as (client, recorder):
        found = [conversation async for conversation in client.conversations()]
        assert len(found) == 2
        assert json.loads(bytes(found[0].last_message)) == {"type": "message"}
        assert recorder.asked[1][1] == "/v1/conversations?limit=100&cursor=a/b"


async def test_without_a_token_none_is_sent() -> None:
    async with api((201, {"token": "t", "userId": "bob", "deviceId": "d1"}), token="") as (client, recorder):
        await client.log_in("bob", "pw", device_name="laptop", device_id="d1")
        assert recorder.asked[0][3] is None
        assert recorder.asked[0][2]["device"] == {"name": "laptop", "id": "d1"}


async def test_refusals_are_told_as_the_server_puts_them() -> None:
    error = {"error": {"code": "rate_limited", "message": "wait", "retryable": True, "retryAfterMs": 900}}
    async with api((429, error)) as (client, _):
        with pytest.raises(ServerError) as refused:
            await client.me()
    problem = refused.value
    assert (problem.code, problem.retryable, problem.retry_after_ms, problem.status) == ("rate_limited", True, 900, 429)
    assert str(problem) == "wait (rate_limited)"


async def test_a_refused_token_has_its_own_kind() -> None:
    error = {"error": {"code": "unauthorized", "message": "log in", "retryable": False}}
    async with api((401, error)) as (client, _):
        with pytest.raises(NotLoggedIn, match="log in"):
            await client.me()


@pytest.mark.parametrize(("status", "retryable"), [(502, True), (404, False)])
async def test_what_a_proxy_says_is_a_refusal_too(*, status: int, retryable: bool) -> None:
    async with api((status, b"<html>oops</html>")) as (client, _):
        with pytest.raises(ServerError) as refused:
            await client.me()
        assert refused.value.retryable == retryable


async def test_something_else_than_a_chat_server_is_no_answer() -> None:
    async with api((200, b"<html>welcome to our wifi</html>")) as (client, _):
        with pytest.raises(ConnectionFailed, match="check the URL"):
            await client.me()


async def test_an_unreachable_server_is_told_from_a_refusal() -> None:
    async with Api(f"http://127.0.0.1:{unused_port()}") as client:
        with pytest.raises(ConnectionFailed, match="is the server running"):
            await client.me()
        with pytest.raises(ConnectionFailed):
            async for _ in client.export():
                pass


async def test_an_export_comes_in_pieces() -> None:
    async with api((200, b'{"userId":"alice"}')) as (client, _):
        assert b"".join([piece async for piece in client.export()]) == b'{"userId":"alice"}'
    error = {"error": {"code": "unavailable", "message": "later", "retryable": True}}
    async with api((503, error)) as (client, _):
        with pytest.raises(ServerError, match="later"):
            async for _ in client.export():
                pass


async def test_a_closed_api_says_how_to_use_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Api("http://127.0.0.1:1").me()
