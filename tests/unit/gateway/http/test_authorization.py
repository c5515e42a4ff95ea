"""Who may do what: every route without a token, with one that has ended, and with somebody else's."""

from typing import Any

from cooee.gateway.http.route import Auth
from cooee.gateway.http.table import ROUTES
from tests.fakes.asgi import AsgiClient
from tests.fakes.house import House
from tests.fakes.http_cases import CASES, filled

GUARDED = [case for case in CASES if {r.operation: r.auth for r in ROUTES}[case.operation] is Auth.DEVICE]
OF_A_CONVERSATION = [case for case in GUARDED if "/v1/conversations/" in case.target or "/v1/groups/" in case.target]
NOWHERE = {"group": "group:nowhere", "device": "0123456789", "token": "nothing", "code": "nothing"}


async def test_without_a_good_token_nothing_is_told(house: House) -> None:
    """No token, a malformed one, one that never was, one that was logged out: the same answer, whatever is asked."""
    alice = await house.person("alice")
    await house.person("bob")
    await alice.request("DELETE", "/v1/sessions/current")
    bad = ("", "x" * 43, "x" * 5000, alice.token, f"{alice.token} {alice.token}")
    assert len(GUARDED) > 30
    for case in GUARDED:
        target, body = filled(case.target, NOWHERE), filled(case.body, NOWHERE)
        answers = [await alice.having(token).request(case.method, target, body) for token in bad]
        assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthorized")}, case.operation
        assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
        assert len({answer.body for answer in answers[1:]}) == 1


async def test_a_token_is_taken_from_nowhere_but_the_header(house: House) -> None:
    alice = await house.person("alice")
    nobody = house.client()
    for headers in (
        {"cookie": f"token={alice.token}"},
        {"authorization": alice.token},
        {"authorization": f"Basic {alice.token}"},
        {"x-authorization": f"Bearer {alice.token}"},
        {},
    ):
        reply = await nobody.request("GET", f"/v1/me?token={alice.token}&access_token={alice.token}", headers=headers)
        assert reply.status == 401
    assert (await nobody.request("GET", "/v1/me", headers={"authorization": f"bearer  {alice.token}"})).status == 200


async def test_a_stranger_cannot_tell_a_conversation_from_none(house: House) -> None:
    alice, mallory = await _with_a_stranger(house)
    made = await alice.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    group = made.json["conversationId"]
    assert len(OF_A_CONVERSATION) > 10
    for case in OF_A_CONVERSATION:
        target = filled(case.target, {"group": group})
        nowhere = target.replace(group, "group:nowhere").replace("dm:alice:bob", "dm:alice:nobody")
        real = await mallory.request(case.method, target, case.body)
        none = await mallory.request(case.method, nowhere, case.body)
        assert (real.status, real.code) == (403, "not_a_member"), case.operation
        assert real.body == none.body


async def test_a_stranger_sends_to_no_group(house: House) -> None:
    alice, mallory = await _with_a_stranger(house)
    made = await alice.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    message = {
        "clientMessageId": "m1",
        "conversationId": made.json["conversationId"],
        "contentType": "text",
        "content": "let me in",
    }
    assert (await mallory.request("POST", "/v1/messages", message)).code == "not_a_member"
    direct = message | {"conversationId": "dm:alice:bob"}
    assert (await mallory.request("POST", "/v1/messages", direct)).code == "not_a_member"


async def test_a_member_is_no_admin_and_an_admin_is_no_owner(house: House) -> None:
    alice, _ = await _with_a_stranger(house)
    bob = alice.having(await house.log_in("bob"))
    made = await alice.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    group = f"/v1/groups/{made.json['conversationId']}"
    for_admins: tuple[tuple[str, str, Any], ...] = (
        ("PATCH", group, {"name": "Mine"}),
        ("POST", f"{group}/members", {"userIds": ["mallory"]}),
        ("DELETE", f"{group}/members/alice", None),
        ("POST", f"{group}/invite", {}),
        ("DELETE", f"{group}/invite", None),
    )
    for_owners: tuple[tuple[str, str, Any], ...] = (
        ("PUT", f"{group}/members/bob/role", {"role": "owner"}),
        ("DELETE", group, None),
    )
    for method, target, body in (*for_admins, *for_owners):
        reply = await bob.request(method, target, body)
        assert (reply.status, reply.code) == (403, "forbidden"), target
    assert (await alice.request("PUT", f"{group}/members/bob/role", {"role": "admin"})).status == 200
    for method, target, body in for_owners:
        assert (await bob.request(method, target, body)).code == "forbidden"
    assert (await bob.request("DELETE", f"{group}/members/alice")).code == "forbidden"
    assert (await bob.request("PATCH", group, {"name": "Ours"})).status == 200


async def test_one_who_was_removed_reads_nothing_new(house: House) -> None:
    alice, _ = await _with_a_stranger(house)
    bob = alice.having(await house.log_in("bob"))
    made = await alice.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    group = made.json["conversationId"]
    await _say(alice, group, "m1", "before")
    assert (await alice.request("DELETE", f"/v1/groups/{group}/members/bob")).status == 204
    await _say(alice, group, "m2", "after")
    assert (await bob.request("GET", f"/v1/groups/{group}")).code == "not_a_member"
    history = await bob.request("GET", f"/v1/conversations/{group}/messages?after=0")
    assert b"before" in history.body
    assert b"after" not in history.body
    export = await bob.request("GET", "/v1/me/export")
    assert b"before" in export.body
    assert b'"after"' not in export.body


async def test_devices_are_the_users_own(house: House) -> None:
    """Another user's deviceId is none of ours, and looks like one that is not there."""
    alice, mallory = await _with_a_stranger(house)
    device = (await alice.request("GET", "/v1/devices")).json["items"][0]["deviceId"]
    stolen = await mallory.request("DELETE", f"/v1/devices/{device}")
    none = await mallory.request("DELETE", "/v1/devices/0123456789")
    assert (stolen.status, stolen.code, stolen.body) == (404, "not_found", none.body)
    assert (await alice.request("GET", "/v1/me")).status == 200
    body = {"userId": "mallory", "password": "correct horse", "device": {"name": "x", "type": "cli", "id": device}}
    assert (await mallory.request("POST", "/v1/sessions", body)).code == "not_found"


async def test_a_message_is_deleted_by_its_sender_or_an_admin_only(house: House) -> None:
    alice, _ = await _with_a_stranger(house)
    bob = alice.having(await house.log_in("bob"))
    number = await _say(alice, "dm:alice:bob", "m1", "secret")
    target = f"/v1/conversations/dm:alice:bob/messages/{number}"
    assert (await bob.request("DELETE", target)).code == "forbidden"
    assert (await alice.request("DELETE", target)).status == 204
    assert (await alice.request("DELETE", target)).status == 204
    history = await bob.request("GET", "/v1/conversations/dm:alice:bob/messages")
    assert b"secret" not in history.body
    assert [message["contentType"] for message in history.json["messages"]] == ["deleted", "system"]


async def _with_a_stranger(house: House) -> tuple[AsgiClient, AsgiClient]:
    alice = await house.person("alice")
    await house.person("bob")
    mallory = await house.person("mallory")
    await house.person("nobody")
    return alice, mallory


async def _say(client: AsgiClient, conversation_id: str, message_id: str, text: str) -> int:
    message = {
        "clientMessageId": message_id,
        "conversationId": conversation_id,
        "contentType": "text",
        "content": text,
    }
    reply = await client.request("POST", "/v1/messages", message)
    assert reply.status == 200, reply.body
    return int(reply.json["sequenceNumber"])
