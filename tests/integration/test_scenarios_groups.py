"""Groups, small and large, over WebSocket and over long polling alike (PROTOCOL.md §4, §5, §8)."""

import asyncio
from typing import Any

import pytest

from tests.integration.peers import Frame, Peer, Refused
from tests.integration.scene import Person, Scene, numbers

SETTINGS = {"LIMITS_WINDOW": "16", "LIMITS_LARGE_GROUP_MEMBERS": "6", "LIMITS_GROUP_MEMBERS": "9"}


async def found(owner: Person, *members: Person) -> str:
    """Found a group and return its id."""
    body = {"name": "Friends", "memberIds": [member.user_id for member in members]}
    group = await owner.http("POST", "/v1/groups", body)
    return str(group["conversationId"])


async def refusal(work: Any) -> str:
    """Return the code with which a request is refused."""
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


async def event(peer: Peer) -> Frame:
    """Take the next system message and return its content."""
    content: Frame = (await peer.expect("message", contentType="system"))["content"]
    return content


async def test_each_change_is_an_ordered_event(scene: Scene) -> None:
    olga, adam, mona, nina = await scene.people("olga", "adam", "mona", "nina")
    m = await mona.ready()
    group = await found(olga, adam, mona)
    path = f"/v1/groups/{group}"
    created = await event(m)
    assert (created["event"], created["actorId"]) == ("group_created", olga.user_id)
    await olga.http("PATCH", path, {"name": "Best friends"})
    assert await event(m) == {"event": "group_renamed", "actorId": olga.user_id, "name": "Best friends"}
    await olga.http("PUT", f"{path}/members/{adam.user_id}/role", {"role": "admin"})
    assert (await event(m))["event"] == "role_changed"
    added = await adam.http("POST", f"{path}/members", {"userIds": [nina.user_id]})
    assert (await event(m))["event"] == "member_added"
    assert {one["userId"]: one["role"] for one in added["members"]} == {
        olga.user_id: "owner",
        adam.user_id: "admin",
        mona.user_id: "member",
        nina.user_id: "member",
    }
    assert await refusal(mona.http("POST", f"{path}/members", {"userIds": [nina.user_id]})) == "forbidden"
    assert await refusal(adam.http("DELETE", path)) == "forbidden"
    assert await refusal(olga.http("DELETE", f"{path}/members/{olga.user_id}")) == "conflict"
    await olga.http("PUT", f"{path}/members/{adam.user_id}/role", {"role": "owner"})
    assert await event(m) == {"event": "owner_changed", "actorId": olga.user_id, "userId": adam.user_id}
    await olga.http("DELETE", f"{path}/members/{olga.user_id}")
    assert (await event(m))["event"] == "member_left"
    await adam.http("DELETE", f"{path}/members/{nina.user_id}")
    assert (await event(m))["event"] == "member_removed"
    group_now = await mona.http("GET", path)
    assert group_now["rosterVersion"] == 7
    assert (group_now["name"], group_now["ownerId"]) == ("Best friends", adam.user_id)
    assert numbers([one for one in m.log if one["type"] == "message"]) == list(range(1, 8))
    await adam.http("DELETE", path)
    assert (await event(m))["groupDeleted"] is True
    assert await refusal(mona.http("GET", path)) == "not_a_member"
    answer = await m.ask("send", conversationId=group, clientMessageId="late", contentType="text", content="?")
    assert answer["code"] in ("not_a_member", "not_found")


async def test_a_change_is_durable_before_it_is_answered_and_precedes_what_follows(scene: Scene) -> None:
    olga, mona = await scene.people("olga", "mona")
    o, m = await olga.ready(), await mona.ready()
    group = await found(olga, mona)
    assert (await o.say(group, "welcome"))["sequenceNumber"] == 2
    assert numbers(await m.messages(2, group)) == [1, 2]


async def test_who_joins_sees_from_joining_and_who_is_removed_up_to_the_removal(scene: Scene) -> None:
    olga, mona, nina = await scene.people("olga", "mona", "nina")
    o, m, n = await olga.ready(), await mona.ready(), await nina.ready()
    group = await found(olga, mona)
    await o.say(group, "before nina")
    await olga.http("POST", f"/v1/groups/{group}/members", {"userIds": [nina.user_id]})
    await o.say(group, "with nina")
    assert numbers(await n.messages(2, group)) == [3, 4]
    await n.ask("received", conversationId=group, sequenceNumber=4)
    await m.messages(4, group)
    await olga.http("DELETE", f"/v1/groups/{group}/members/{nina.user_id}")
    assert (await n.expect("message"))["content"]["event"] == "member_removed"
    await o.say(group, "without nina")
    assert numbers(await m.messages(2, group)) == [5, 6]
    answer = await n.ask("send", conversationId=group, clientMessageId="late", contentType="text", content="hey")
    assert answer["code"] == "not_a_member"
    assert numbers(await nina_sees(n, group)) == [3, 4, 5]
    assert numbers(await nina.history(group)) == [3, 4, 5]
    above = await n.ask("received", conversationId=group, sequenceNumber=6)
    assert above["code"] == "bad_frame"
    assert (await n.ask("received", conversationId=group, sequenceNumber=5))["type"] == "receipt"
    snapshot = await nina.conversation(group)
    assert (snapshot["lastSequenceNumber"], snapshot["firstSequenceNumber"], snapshot["left"]) == (5, 3, True)
    assert await refusal(nina.http("GET", f"/v1/groups/{group}")) == "not_a_member"
    await n.settle()
    assert n.take("message") == []


async def nina_sees(peer: Peer, group: str) -> list[Frame]:
    """Fetch all that a device may see, from the end."""
    page = await peer.ask("fetch", conversationId=group, limit=200)
    assert page["complete"]
    messages: list[Frame] = page["messages"]
    return messages


async def test_what_was_said_between_two_memberships_is_skipped(scene: Scene) -> None:
    olga, nina = await scene.people("olga", "nina")
    o, n = await olga.ready(), await nina.ready()
    group = await found(olga, nina)
    await n.messages(1, group)
    await n.ask("received", conversationId=group, sequenceNumber=1)
    await olga.http("DELETE", f"/v1/groups/{group}/members/{nina.user_id}")
    await n.messages(1, group)
    for _ in range(3):
        await o.say(group, "behind her back")
    await olga.http("POST", f"/v1/groups/{group}/members", {"userIds": [nina.user_id]})
    skipped = await n.expect("skipped")
    assert skipped == {
        "type": "skipped",
        "conversationId": group,
        "from": 3,
        "through": 5,
        "reason": "membership",
    }
    assert (await n.expect("message", contentType="system"))["sequenceNumber"] == 6
    await n.leave()
    n = await nina.ready()
    got = [
        (one["type"], one.get("sequenceNumber", one.get("through")))
        for one in n.log
        if one["type"] in ("message", "skipped")
    ]
    assert got[:3] == [("message", 2), ("skipped", 5), ("message", 6)]
    await n.ask("received", conversationId=group, sequenceNumber=6)
    page = await n.ask("fetch", conversationId=group, after=0)
    assert (numbers(page["messages"]), page["coveredThrough"], page["complete"]) == ([1, 2, 6], 6, True)


async def test_small_groups_tell_receipts_member_by_member(scene: Scene) -> None:
    olga, mona, nina = await scene.people("olga", "mona", "nina")
    o, m, n = await olga.ready(), await mona.ready(), await nina.ready()
    group = await found(olga, mona, nina)
    await o.ask("received", conversationId=group, sequenceNumber=1)
    ack = await o.say(group, "hello")
    for peer, person in ((m, mona), (n, nina)):
        await peer.messages(2, group)
        await peer.ask("read", conversationId=group, sequenceNumber=ack["sequenceNumber"])
        for _ in range(2):
            assert (await o.expect("receipt", sequenceNumber=ack["sequenceNumber"]))["userId"] == person.user_id
    await m.settle()
    assert m.take("receipt") == [], "receipts go to the sender alone"
    who = await olga.http("GET", f"/v1/conversations/{group}/receipts?sequenceNumber=2")
    assert {one["userId"]: (one["delivered"], one["read"]) for one in who["items"]} == {
        olga.user_id: (2, 0),
        mona.user_id: (2, 2),
        nina.user_id: (2, 2),
    }


async def large(scene: Scene) -> tuple[list[Person], list[Peer], str]:
    """Found a large group of eight, all connected and with nothing to receive."""
    people = await scene.people(*"abcdefgh")
    peers = list(await asyncio.gather(*(person.ready() for person in people)))
    group = await found(*people)
    for peer in peers:
        await peer.messages(1, group)
        await peer.ask("received", conversationId=group, sequenceNumber=1)
    return people, peers, group


async def test_a_large_group_is_live_while_one_keeps_up(scene: Scene) -> None:
    _, peers, group = await large(scene)
    for n in range(3):
        await peers[0].say(group, str(n))
        for peer in peers[1:]:
            assert numbers(await peer.messages(1, group)) == [n + 2]
            await peer.send("received", conversationId=group, sequenceNumber=n + 2)


async def test_a_large_group_is_told_by_a_hint_and_fetched(scene: Scene) -> None:
    people, peers, group = await large(scene)
    await peers[1].leave()
    for n in range(5):
        await peers[0].say(group, str(n))
    b = await people[1].ready()
    assert b.take("message") == [], "no pushing of what was missed"
    (hint,) = b.take("timeline")
    assert hint == {"type": "timeline", "conversationId": group, "lastSequenceNumber": 6}
    await peers[0].say(group, "more")
    assert (await b.expect("timeline"))["lastSequenceNumber"] == 7, "as long as it lags it gets hints"
    page = await b.ask("fetch", conversationId=group, after=1)
    assert numbers(page["messages"]) == [2, 3, 4, 5, 6, 7]
    assert (await people[1].conversation(group))["receivedSequenceNumber"] == 1, "a hint is no delivery"
    await b.ask("received", conversationId=group, sequenceNumber=7)
    await peers[0].say(group, "live again")
    assert numbers(await b.messages(1, group)) == [8]


async def test_large_groups_tell_only_the_minimum(scene: Scene) -> None:
    people, peers, group = await large(scene)
    await peers[0].say(group, "hello")
    for peer in peers[1:]:
        await peer.messages(1, group)
    for peer in peers[1:-1]:
        await peer.ask("received", conversationId=group, sequenceNumber=2)
    assert (await people[0].conversation(group))["deliveredByAll"] == 1
    await peers[-1].ask("received", conversationId=group, sequenceNumber=2)
    receipt = await peers[0].expect("receipt", scope="all")
    assert receipt == receipt | {"conversationId": group, "status": "delivered", "sequenceNumber": 2}
    assert "userId" not in receipt
    for peer in peers[1:]:
        await peer.ask("read", conversationId=group, sequenceNumber=2)
    assert (await peers[0].expect("receipt", scope="all", status="read"))["sequenceNumber"] == 2
    others = [one for one in peers[0].log if one["type"] == "receipt" and "ref" not in one]
    assert {one.get("scope") for one in others} == {"all"}, "never member by member"
    snapshot = await people[0].conversation(group)
    assert (snapshot["deliveredByAll"], snapshot["readByAll"], snapshot["members"]) == (2, 2, [])


async def test_a_group_is_bounded_however_it_grows(scene: Scene) -> None:
    people = await scene.people(*"abcdefghij")
    ids = [person.user_id for person in people]
    owner = people[0]
    assert await refusal(owner.http("POST", "/v1/groups", {"name": "Many", "memberIds": ids})) == "too_large"
    group = await found(*people[:8])
    path = f"/v1/groups/{group}"
    assert await refusal(owner.http("POST", f"{path}/members", {"userIds": ids[8:]})) == "too_large"
    token = (await owner.http("POST", f"{path}/invite", {}))["token"]
    joined = await people[8].http("POST", "/v1/join", {"token": token})
    assert len(joined["members"]) == 9
    assert await refusal(people[9].http("POST", "/v1/join", {"token": token})) == "too_large"
    await owner.http("DELETE", f"{path}/members/{ids[8]}")
    assert await refusal(people[8].http("POST", "/v1/join", {"token": token})) == "forbidden", "not back by link"
    assert len((await people[9].http("POST", "/v1/join", {"token": token}))["members"]) == 9


async def test_invitations_end(scene: Scene) -> None:
    olga, mona, nina, paul = await scene.people("olga", "mona", "nina", "paul")
    group = await found(olga)
    path = f"/v1/groups/{group}/invite"
    once = (await olga.http("POST", path, {"maxUses": 1}))["token"]
    await mona.http("POST", "/v1/join", {"token": once})
    assert await refusal(nina.http("POST", "/v1/join", {"token": once})) == "not_found"
    assert await refusal(olga.http("POST", path, {"expiresAt": 1_700_000_000_000})) == "bad_frame"
    former = (await olga.http("POST", path, {}))["token"]
    token = (await olga.http("POST", path, {}))["token"]
    assert await refusal(nina.http("POST", "/v1/join", {"token": former})) == "not_found"
    await nina.http("POST", "/v1/join", {"token": token})
    await olga.http("DELETE", path)
    assert await refusal(paul.http("POST", "/v1/join", {"token": token})) == "not_found"
    assert await refusal(mona.http("POST", path, {})) == "forbidden"


async def test_who_wants_only_contacts_to_add_him_is_not_added(scene: Scene) -> None:
    olga, mona = await scene.people("olga", "mona")
    await mona.http("PATCH", "/v1/me", {"privacy": {"groupAdds": "contacts"}})
    body = {"name": "Friends", "memberIds": [mona.user_id]}
    group = await olga.http("POST", "/v1/groups", body)
    assert group["notAdded"] == [mona.user_id]
    path = f"/v1/groups/{group['conversationId']}/members"
    assert await refusal(olga.http("POST", path, {"userIds": [mona.user_id]})) == "forbidden"
    await mona.http("PUT", f"/v1/contacts/{olga.user_id}")
    assert len((await olga.http("POST", path, {"userIds": [mona.user_id]}))["members"]) == 2


async def test_an_admin_deletes_what_a_member_wrote(scene: Scene) -> None:
    olga, mona, nina = await scene.people("olga", "mona", "nina")
    group = await found(olga, mona, nina)
    m = await mona.ready()
    number = (await m.say(group, "rude"))["sequenceNumber"]
    path = f"/v1/conversations/{group}/messages/{number}"
    assert await refusal(nina.http("DELETE", path)) == "forbidden"
    await olga.http("DELETE", path)
    assert (await mona.history(group))[number - 1]["contentType"] == "deleted"
