"""Conversations, messages and groups over HTTP."""

from tests.fakes.asgi import AsgiClient
from tests.fakes.house import House


async def send(client: AsgiClient, to: str, number: int) -> int:
    body = {"clientMessageId": f"m{number}", "to": to, "contentType": "text", "content": f"text {number}"}
    reply = await client.request("POST", "/v1/messages", body)
    assert reply.status == 200, reply.body
    assert reply.json["type"] == "ack"
    return int(reply.json["sequenceNumber"])


async def test_sending_again_stores_nothing_again(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    assert [await send(alice, "bob", number) for number in (1, 2, 1, 2, 3)] == [1, 2, 1, 2, 3]
    typed = {"type": "send", "clientMessageId": "m3", "to": "bob", "contentType": "text", "content": "text 3"}
    assert (await alice.request("POST", "/v1/messages", typed)).json["sequenceNumber"] == 3


async def test_history_is_paged_both_ways(house: House) -> None:
    alice = await house.person("alice")
    await house.person("bob")
    for number in range(1, 6):
        await send(alice, "bob", number)
    history = "/v1/conversations/dm:alice:bob/messages"

    async def numbers(query: str) -> tuple[list[int], bool]:
        page = (await alice.request("GET", history + query)).json
        return [message["sequenceNumber"] for message in page["messages"]], page["complete"]

    assert await numbers("?after=0&limit=2") == ([1, 2], False)
    assert await numbers("?after=2") == ([3, 4, 5], True)
    assert await numbers("?before=4&limit=2") == ([2, 3], False)
    assert await numbers("?limit=2") == ([4, 5], False)
    assert await numbers("?after=5") == ([], True)


async def test_conversations_are_listed_in_pages_by_last_activity(house: House) -> None:
    alice = await house.person("alice")
    for number, name in enumerate(("bob", "carol", "dave")):
        await house.person(name)
        house.clock.advance(1)
        await send(alice, name, number)
    first = await alice.request("GET", "/v1/conversations?limit=2")
    assert [each["title"] for each in first.json["items"]] == ["dave", "carol"]
    assert first.json["items"][0]["lastMessage"]["content"] == "text 2"
    rest = await alice.request("GET", f"/v1/conversations?limit=2&cursor={first.json['nextCursor']}")
    assert [each["conversationId"] for each in rest.json["items"]] == ["dm:alice:bob"]


async def test_unread_is_counted_and_flags_are_kept(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    for number in range(3):
        await send(alice, "bob", number)
    one = "/v1/conversations/dm:alice:bob"
    assert (await bob.request("GET", one)).json["unread"] == 3
    patched = await bob.request("PATCH", one, {"mutedUntil": -1, "pinned": True})
    assert (patched.json["mutedUntil"], patched.json["pinned"], patched.json["archived"]) == (-1, True, False)
    assert (await bob.request("PATCH", one, {"archived": True})).json["pinned"] is True
    assert (await alice.request("GET", one)).json["pinned"] is False
    assert (await bob.request("PATCH", one, {"mutedUntil": -2})).code == "bad_frame"


async def test_receipts_tell_who(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    await send(alice, "bob", 1)
    target = "/v1/conversations/dm:alice:bob/receipts"
    marks = (await alice.request("GET", f"{target}?sequenceNumber=1")).json
    assert [(mark["userId"], mark["delivered"], mark["read"]) for mark in marks["items"]] == [
        ("alice", 1, 0),
        ("bob", 0, 0),
    ]
    first = (await bob.request("GET", f"{target}?sequenceNumber=1&limit=1")).json
    rest = (await bob.request("GET", f"{target}?sequenceNumber=1&limit=1&cursor={first['nextCursor']}")).json
    assert [mark["userId"] for mark in (*first["items"], *rest["items"])] == ["alice", "bob"]
    assert (await alice.request("GET", target)).code == "bad_frame"
    assert (await alice.request("GET", f"{target}?sequenceNumber=2")).code == "not_found"


async def test_a_group_is_founded_joined_and_left(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    carol = await house.person("carol")
    await carol.request("PATCH", "/v1/me", {"privacy": {"groupAdds": "contacts"}})
    made = (await alice.request("POST", "/v1/groups", {"name": "  Tea ", "memberIds": ["bob", "carol"]})).json
    assert (made["name"], made["ownerId"], made["notAdded"]) == ("Tea", "alice", ["carol"])
    assert [(member["userId"], member["role"]) for member in made["members"]] == [("alice", "owner"), ("bob", "member")]
    group = f"/v1/groups/{made['conversationId']}"
    invite = (await alice.request("POST", f"{group}/invite", {"maxUses": 1})).json
    joined = await carol.request("POST", "/v1/join", {"token": invite["token"]})
    assert joined.json["rosterVersion"] == made["rosterVersion"] + 1
    dave = await house.person("dave")
    assert (await dave.request("POST", "/v1/join", {"token": invite["token"]})).code == "not_found"
    assert (await bob.request("DELETE", f"{group}/members/bob")).status == 204
    assert (await bob.request("GET", group)).code == "not_a_member"
    assert (await alice.request("DELETE", f"{group}/members/alice")).code == "conflict"
    assert (await alice.request("PUT", f"{group}/members/carol/role", {"role": "owner"})).json["ownerId"] == "carol"
    assert (await alice.request("DELETE", f"{group}/members/alice")).status == 204
    assert (await carol.request("DELETE", group)).status == 204
    assert (await carol.request("GET", group)).code == "not_a_member"


async def test_a_group_route_takes_groups_only(house: House) -> None:
    alice = await house.person("alice")
    for method, suffix, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/invite", {})):
        reply = await alice.request(method, f"/v1/groups/dm:alice:alice{suffix}", body)
        assert reply.code == "bad_frame"
    assert (await alice.request("PUT", "/v1/groups/group:x/members/bob/role", {"role": "king"})).code == "bad_frame"
