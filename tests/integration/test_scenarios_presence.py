"""Who is there, who types, who is blocked, over WebSocket and over long polling alike (PROTOCOL.md §3, §7)."""

import pytest

from tests.integration.peers import Frame, Peer, Refused
from tests.integration.scene import Person, Scene, dm

SETTINGS = {"LIMITS_PRESENCE_DEBOUNCE_S": "0.2", "LIMITS_PRESENCE_SUBSCRIPTIONS": "3"}


async def watch(peer: Peer, *people: Person) -> list[Frame]:
    """Watch people and return their states."""
    await peer.ask("presence.subscribe", userIds=[person.user_id for person in people])
    return [await peer.expect("presence", userId=person.user_id) for person in people]


async def becomes(peer: Peer, status: str) -> Frame:
    """Return the state that has this status; the former one may be told again before, by a server that was busy."""
    while (state := await peer.expect("presence"))["status"] != status:
        pass
    return state


async def gone(person: Person) -> None:
    """Log the person's device out, which ends its connection."""
    await person.http("DELETE", "/v1/sessions/current")
    person.http = await person.log_in()


async def test_watchers_see_coming_and_going(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    await bob.http("PUT", f"/v1/contacts/{alice.user_id}")
    a = await alice.ready()
    (state,) = await watch(a, bob)
    assert (state["status"], "lastSeen" in state) == ("offline", False), "never seen yet"
    b = await bob.ready()
    await becomes(a, "online")
    other = await bob.ready(await bob.log_in())
    await b.leave()
    await gone(bob)
    await a.settle()
    assert [one for one in a.take("presence") if one["status"] == "offline"] == [], "another device is still there"
    assert (await watch(a, bob))[0]["status"] == "online"
    await bob.http("PUT", "/v1/me/password", {"currentPassword": "correct horse", "newPassword": "correct horse 2"})
    assert (await other.closed()).code == 4003, "a new password logs all other devices out"
    told = await becomes(a, "offline")
    assert told["lastSeen"] >= a.welcome["serverTime"]


async def test_the_watched_user_decides_who_sees_him(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    a, _ = await alice.ready(), await bob.ready()
    hidden = {"type": "presence", "userId": bob.user_id, "status": "offline"}
    assert await watch(a, bob) == [hidden], "he has no such contact"
    await alice.http("PUT", f"/v1/contacts/{bob.user_id}")
    await a.settle()
    assert await watch(a, bob) == [hidden], "his contacts count, not hers"
    await bob.http("PUT", f"/v1/contacts/{alice.user_id}")
    await becomes(a, "online")
    await bob.http("PATCH", "/v1/me", {"privacy": {"lastSeen": "nobody"}})
    assert await becomes(a, "offline") == hidden
    await bob.http("PATCH", "/v1/me", {"privacy": {"lastSeen": "everyone"}})
    await becomes(a, "online")
    await bob.http("PUT", f"/v1/blocks/{alice.user_id}")
    assert await becomes(a, "offline") == hidden
    await bob.http("DELETE", f"/v1/blocks/{alice.user_id}")
    await becomes(a, "online")
    await alice.http("PUT", f"/v1/blocks/{bob.user_id}")
    assert await becomes(a, "offline") == hidden, "a block works either way"


async def test_a_subscription_replaces_the_former_and_is_bounded(scene: Scene) -> None:
    alice, bob, carol = await scene.people("alice", "bob", "carol")
    for person in (bob, carol):
        await person.http("PATCH", "/v1/me", {"privacy": {"lastSeen": "everyone"}})
    a = await alice.ready()
    await watch(a, bob)
    await watch(a, carol)
    await bob.ready()
    await carol.ready()
    assert (await a.expect("presence"))["userId"] == carol.user_id
    await a.ask("presence.unsubscribe")
    await gone(carol)
    ghost = {"type": "presence", "userId": "nobody-of-this-name", "status": "offline"}
    await a.send("presence.subscribe", userIds=["nobody-of-this-name"])
    assert await a.expect("presence", userId=ghost["userId"]) == ghost, "an unknown user looks like one who hides"
    too_many = await a.ask("presence.subscribe", userIds=["aa", "bb", "cc", "dd"])
    assert too_many["code"] == "too_large"
    impossible = await a.ask("presence.subscribe", userIds=["dm:x"])
    assert impossible["code"] == "bad_frame"


async def test_typing_goes_to_the_others_and_nowhere_else(scene: Scene) -> None:
    alice, bob, carol = await scene.people("alice", "bob", "carol")
    chat = dm(alice, bob)
    a, b, c = await alice.ready(), await bob.ready(), await carol.ready()
    other = await alice.ready(await alice.log_in())
    await a.send("typing", conversationId=chat, status="started", kind="recording")
    assert await b.expect("typing") == {
        "type": "typing",
        "conversationId": chat,
        "status": "started",
        "kind": "recording",
        "userId": alice.user_id,
    }
    await c.ask("typing", conversationId=chat, status="started")
    await a.send("typing", conversationId=chat, status="stopped")
    assert (await b.expect("typing"))["status"] == "stopped"
    await other.settle()
    assert b.take("typing") == other.take("typing") == c.take("typing") == []
    assert (await a.ask("typing", conversationId=chat, status="dancing"))["code"] == "bad_frame"
    assert await bob.http("GET", "/v1/conversations") == {"items": [], "nextCursor": None}, "never stored"


async def test_a_block_stops_everything_either_way(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "hello")
    await b.expect("message")
    await bob.http("PUT", f"/v1/blocks/{alice.user_id}")
    for peer in (a, b):
        answer = await peer.ask("send", conversationId=chat, clientMessageId="x", contentType="text", content="?")
        assert (answer["type"], answer["code"], answer["clientMessageId"]) == ("error", "blocked", "x")
    body = {"to": bob.user_id, "clientMessageId": "y", "contentType": "text", "content": "?"}
    with pytest.raises(Refused) as refused:
        await alice.http("POST", "/v1/messages", body)
    assert (refused.value.status, refused.value.code) == (403, "blocked")
    await a.send("typing", conversationId=chat, status="started")
    await a.settle()
    await b.settle()
    assert b.take("typing") == []
    await bob.http("DELETE", f"/v1/blocks/{alice.user_id}")
    assert (await a.say(chat, "again"))["sequenceNumber"] == 2
