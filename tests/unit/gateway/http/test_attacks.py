"""Bad input: each gets the documented error, loses nothing else and leaks nothing."""

import json
from typing import Any

from structlog.testing import capture_logs

from cooee.app.config import LimitsConfig
from cooee.domain.limits import Rate
from cooee.gateway.http.app import HttpSettings
from tests.fakes.asgi import AsgiClient, exchange
from tests.fakes.house import House, open_house

DEEP = b'{"userId":"alice","password":"correct horse","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LOG_IN = {"userId": "alice", "password": "correct horse", "device": {"name": "n", "type": "cli"}}


PAYLOADS = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"userId":1,"password":"correct horse"}',
    b'{"userId":"alice","password":null}',
    b'{"userId":"alice","password":["correct horse"]}',
    b'{"userId":"alice","password":"correct horse"} trailing',
    b'{"userId":"al\xffice","password":"correct horse"}',
    b'{"userId":"alice","password":"\\ud800 correct horse"}',
    b'{"userId":"alice","password":"correct horse","displayName":1e999}',
    b"\xef\xbb\xbf{}",
    DEEP,
]


async def test_what_is_no_registration_is_refused(house: House) -> None:
    for payload in PAYLOADS:
        reply = await house.client().request("POST", "/v1/accounts", raw=payload)
        assert (reply.status, reply.code) == (400, "bad_frame")
        assert await house.store.accounts.find("alice") is None
        assert b"correct horse" not in reply.body


USER_IDS = [
    "a",
    "A",
    "Alice",
    "-alice",
    ".alice",
    "alice:bob",
    "dm:alice:bob",
    "group:x",
    "alice bob",
    "alice\n",
    "\nalice",
    "alice\x00",
    "alice\r\nSet-Cookie: a=b",
    "álice",
    "\u0430lice",
    "alice\u202e",
    "a" * 33,
    "../alice",
    "alice/bob",
    "%61lice",
    "' OR 1=1 --",
    "😀😀",
]


async def test_ids_have_one_form(house: House) -> None:
    client = house.client()
    for user_id in USER_IDS:
        made = await client.request("POST", "/v1/accounts", {"userId": user_id, "password": "correct horse"})
        assert (made.status, made.code) == (400, "bad_frame")
        proof = LOG_IN | {"userId": user_id}
        entered = await client.request("POST", "/v1/sessions", proof)
        assert (entered.status, entered.code) == (401, "unauthorized")


PATH_IDS = ["BOB", "b", "bob:carol", "bob%00", "bob%0d%0aX:1", "b%20b", "%E2%80%AEbob", "b" * 2000]


async def test_paths_with_impossible_ids_are_refused(house: House) -> None:
    alice = await house.person("alice")
    for user_id in PATH_IDS:
        for method, target in (
            ("GET", "/v1/users/{}"),
            ("PUT", "/v1/contacts/{}"),
            ("DELETE", "/v1/contacts/{}"),
            ("PUT", "/v1/blocks/{}"),
            ("GET", "/v1/groups/{}"),
            ("GET", "/v1/conversations/{}"),
            ("GET", "/v1/conversations/{}/messages"),
            ("GET", "/v1/conversations/dm:{}:alice"),
            ("GET", "/v1/groups/group:x{}!"),
        ):
            reply = await alice.request(method, target.format(user_id))
            assert (reply.status, reply.code) == (400, "bad_frame"), (method, target)


CONVERSATION_IDS = ["dm:bob:alice", "dm:alice", "dm:alice:bob:carol", "dm::", "dm:alice:", "group:", "group:a:b", "x"]


async def test_conversation_ids_are_canonical(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    for conversation_id in CONVERSATION_IDS:
        for suffix in ("", "/messages", "/receipts?sequenceNumber=1"):
            reply = await alice.request("GET", f"/v1/conversations/{conversation_id}{suffix}")
            assert (reply.status, reply.code) == (400, "bad_frame"), suffix
        reply = await alice.request("DELETE", f"/v1/conversations/{conversation_id}/messages/1")
        assert reply.code == "bad_frame"
        body = {"clientMessageId": "m", "conversationId": conversation_id, "contentType": "text", "content": "x"}
        assert (await alice.request("POST", "/v1/messages", body)).code == "bad_frame"


NUMBERS = ["0", "-1", "1.5", "1e3", "99999999999999999999", "٣", "0x1", "one", "1%20", "+1"]


async def test_numbers_in_paths_are_numbers(house: House) -> None:
    alice = await house.person("alice")
    for number in NUMBERS:
        reply = await alice.request("DELETE", f"/v1/conversations/dm:alice:alice/messages/{number}")
        assert (reply.status, reply.code) == (400, "bad_frame")


QUERIES = [
    "limit=-1",
    "limit=0",
    "limit=x",
    "limit=",
    "limit=99999999999999999999999999",
    "limit=1&limit=2",
    "cursor=%21%21",
    "cursor=MQ",
    "cursor=" + "A" * 600,
    "cursor=MWRtOnguLi8uLi8",
    "cursor=%00",
    "limit=1&cursor=2Zm9v",
    "%ff=%ff&limit=%ff",
    "&".join(f"a{n}=1" for n in range(100)),
    "a=" + "x" * 5000,
]


async def test_bad_queries_are_refused(house: House) -> None:
    alice = await house.person("alice")
    for query in QUERIES:
        for target in ("/v1/conversations", "/v1/contacts", "/v1/blocks"):
            reply = await alice.request("GET", f"{target}?{query}")
            assert (reply.status, reply.code) == (400, "bad_frame"), target


async def test_history_takes_one_direction_and_large_limits_are_cut(house: House) -> None:
    alice = await house.person("alice")
    history = "/v1/conversations/dm:alice:alice/messages"
    for query in ("after=1&before=5", "after=-1", "before=x", "limit=0", f"after={2**53}", f"before={10**40}"):
        reply = await alice.request("GET", f"{history}?{query}")
        assert (reply.status, reply.code) == (400, "bad_frame"), query
    far = await alice.request("GET", f"{history}?after={2**53 - 1}&limit={2**53 - 1}")
    assert far.status == 200
    assert far.json["messages"] == []


async def test_of_a_repeated_field_the_last_counts(house: House) -> None:
    """One reading, the same everywhere: nothing is checked in one copy and used from the other."""
    payload = b'{"userId":"mallory","password":"correct horse","userId":"alice"}'
    reply = await house.client().request("POST", "/v1/accounts", raw=payload)
    assert (reply.status, reply.json["userId"]) == (201, "alice")
    assert await house.store.accounts.find("mallory") is None


async def test_unknown_fields_are_ignored(house: House) -> None:
    body = {"userId": "alice", "password": "correct horse", "admin": True, "disabled": True, "createdAt": 1}
    assert (await house.client().request("POST", "/v1/accounts", body)).status == 201
    account = await house.store.accounts.find("alice")
    assert account is not None
    assert not account.admin


CONTENT_TYPES = [
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "text/plain"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-type": "application/jsonp"},
    {"content-type": ""},
    {"content-encoding": "gzip"},
]


async def test_only_plain_json_is_read(house: House) -> None:
    body = {"userId": "alice", "password": "correct horse"}
    for headers in CONTENT_TYPES:
        reply = await house.client().request("POST", "/v1/accounts", body, headers=headers)
        assert (reply.status, reply.code) == (400, "bad_frame")
    good = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert (await house.client().request("POST", "/v1/accounts", body, headers=good)).status == 201


async def test_a_large_body_is_refused_before_it_is_read(house: House) -> None:
    client = AsgiClient(house.app(HttpSettings(body_bytes=1000)))
    announced = await client.request("POST", "/v1/accounts", raw=b"{}", headers={"content-length": "1001"})
    assert (announced.status, announced.code) == (413, "too_large")
    absurd = await client.request("POST", "/v1/accounts", raw=b"{}", headers={"content-length": "9" * 40})
    assert absurd.status == 413
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/accounts",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }
    pieces = [b" " * 400 for _ in range(100)]
    assert (await exchange(client.app, scope, pieces)).code == "too_large"
    with capture_logs() as logs:
        left = await exchange(client.app, scope, [b'{"userId":"alice","password":"correct horse"}'], leaves=True)
    assert (left.body, logs) == (b"", [])
    assert await house.store.accounts.find("alice") is None


NAMES = ["a\nb", "a\x00b", "\u202eevil", "\u2066x", "x\u200f", "x\x85x", "a" * 65, "\ufffe", "a\r\nSet-Cookie: x"]


async def test_names_cannot_deceive(house: House) -> None:
    alice = await house.person("alice")
    for name in NAMES:
        for method, target, body in (
            ("PATCH", "/v1/me", {"displayName": name}),
            ("PATCH", "/v1/me", {"about": name * 4}),
            ("POST", "/v1/groups", {"name": name * 2}),
            ("POST", "/v1/accounts", {"userId": "carol", "password": "correct horse", "displayName": name}),
            ("POST", "/v1/sessions", LOG_IN | {"device": {"name": name, "type": "cli"}}),
        ):
            reply = await alice.request(method, target, body)
            assert (reply.status, reply.code) == (400, "bad_frame"), (target, reply.body)
        me = await alice.request("GET", "/v1/me")
        assert me.json["displayName"] == "alice"


MESSAGES = [
    {"clientMessageId": "", "to": "bob", "contentType": "text", "content": "x"},
    {"clientMessageId": "a\nb", "to": "bob", "contentType": "text", "content": "x"},
    {"clientMessageId": "m" * 65, "to": "bob", "contentType": "text", "content": "x"},
    {"clientMessageId": "m", "to": "bob", "contentType": "system", "content": "x"},
    {"clientMessageId": "m", "to": "bob", "contentType": "text", "content": {"a": 1}},
    {"clientMessageId": "m", "to": "bob", "contentType": "text", "content": ""},
    {
        "clientMessageId": "m",
        "to": "bob",
        "conversationId": "dm:alice:bob",
        "contentType": "text",
        "content": "x",
    },
    {"clientMessageId": "m", "contentType": "text", "content": "x"},
    {"type": "received", "clientMessageId": "m", "to": "bob", "contentType": "text", "content": "x"},
]


async def test_bad_messages_are_refused_as_on_the_socket(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    for body in MESSAGES:
        reply = await alice.request("POST", "/v1/messages", body)
        assert (reply.status, reply.code) == (400, "bad_frame")


async def test_a_deep_content_is_refused(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    raw = b'{"clientMessageId":"m","to":"bob","contentType":"text","content":' + b"[" * 9000 + b"]" * 9000 + b"}"
    reply = await alice.request("POST", "/v1/messages", raw=raw)
    assert (reply.status, reply.code) == (400, "bad_frame")


async def test_501_members_are_too_many(house: House) -> None:
    alice = await house.person("alice")
    body = {"name": "Crowd", "memberIds": [f"user{n}" for n in range(500)]}
    reply = await alice.request("POST", "/v1/groups", body)
    assert (reply.status, reply.code) == (413, "too_large")


async def test_requests_of_one_device_are_bounded(tmp_path: Any) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(frames=Rate(1, 3), sends=Rate(1, 1))) as house:
        alice = await house.person("alice")
        statuses = [(await alice.request("GET", "/v1/me")).status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        house.clock.advance(60)
        message = {"clientMessageId": "m", "to": "alice", "contentType": "text", "content": "x"}
        assert (await alice.request("POST", "/v1/messages", message)).status == 200
        again = await alice.request("POST", "/v1/messages", message)
        assert (again.status, again.code) == (429, "rate_limited")
        assert again.json["error"]["retryAfterMs"] >= 1
        assert int(again.headers["retry-after"]) >= 1


async def test_nothing_a_client_sends_comes_back_in_a_header(house: House) -> None:
    alice = await house.person("alice")
    evil = "x%0d%0aSet-Cookie:%20a=b"
    for target in (f"/v1/users/{evil}", f"/v1/users?query={evil}", f"/{evil}", f"/v1/conversations?cursor={evil}"):
        reply = await alice.request("GET", target, headers={"accept": "text/html\r\nx: y", "x-forwarded-for": "1\r\n2"})
        assert "set-cookie" not in json.dumps(reply.headers).lower()
