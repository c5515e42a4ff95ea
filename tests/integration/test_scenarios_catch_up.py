"""Coming back, new devices, and history, over WebSocket and over long polling alike (PROTOCOL.md §4–§6)."""

from typing import Any

import pytest

from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Frame, Peer, Refused
from tests.integration.scene import Person, Scene, dm, numbers

SETTINGS = {"LIMITS_WINDOW": "16"}


async def catch_up(peer: Peer) -> list[Frame]:
    """Acknowledge what comes until everything is there; return the messages in the order of their coming."""
    got: list[Frame] = []
    while True:
        done = bool(peer.take("caught_up"))
        if found := peer.take("message"):
            got += found
            for one in {frame["conversationId"]: frame for frame in found}.values():
                number = one["sequenceNumber"]
                await peer.send("received", conversationId=one["conversationId"], sequenceNumber=number)
        if done:
            return got
        await peer.settle()


def of(frames: list[Frame], conversation_id: str) -> list[int]:
    """Return the numbers of one conversation's frames."""
    return numbers([frame for frame in frames if frame["conversationId"] == conversation_id])


async def test_what_was_missed_comes_in_order_before_caught_up(scene: Scene) -> None:
    alice, bob, carol = await scene.people("alice", "bob", "carol")
    with_alice, with_carol = dm(alice, bob), dm(bob, carol)
    a, c = await alice.ready(), await carol.ready()
    for n in range(40):
        await a.say(with_alice, f"a{n}")
    for n in range(5):
        await c.say(with_carol, f"c{n}")
    b = await bob.connect()
    got = await catch_up(b)
    assert of(got, with_alice) == list(range(1, 41))
    assert of(got, with_carol) == list(range(1, 6))
    types = [frame["type"] for frame in b.log]
    assert types[: types.index("caught_up")].count("message") >= 45, "caught_up comes behind all that was missed"
    await a.say(with_alice, "live")
    assert (await b.expect("message"))["sequenceNumber"] == 41
    await b.ask("received", conversationId=with_alice, sequenceNumber=41)
    await b.leave()
    again = await bob.ready()
    assert again.take("message") == [], "what was acknowledged does not come again"


async def test_nothing_is_lost_between_absence_and_presence(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    seen = 0
    for round_ in range(4):
        for n in range(10):
            await a.say(chat, f"away {round_}.{n}")
        b = await bob.connect()
        for n in range(10):
            await a.say(chat, f"here {round_}.{n}")
        while seen < 20 * (round_ + 1):
            message = await b.expect("message")
            if message["sequenceNumber"] <= seen:
                continue
            assert message["sequenceNumber"] == seen + 1, "never with a hole"
            seen += 1
            if seen % 5 == 0:
                await b.send("received", conversationId=chat, sequenceNumber=seen)
        await b.ask("received", conversationId=chat, sequenceNumber=seen)
        await b.leave()


async def test_what_was_not_acknowledged_comes_again_after_a_reconnect(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    for _ in range(5):
        await a.say(chat, "hello")
    await b.messages(5)
    await b.ask("received", conversationId=chat, sequenceNumber=2)
    await b.leave()
    b = await bob.ready()
    assert numbers(b.take("message")) == [3, 4, 5]


async def test_own_messages_are_missed_on_the_other_device(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    laptop = await alice.log_in()
    phone, b = await alice.ready(), await bob.ready()
    await phone.say(chat, "mine")
    await b.say(chat, "yours")
    await phone.say(chat, "mine again")
    await phone.expect("message")
    got = await catch_up(await alice.connect(laptop))
    assert [(one["sequenceNumber"], one["content"]) for one in got] == [(1, "mine"), (2, "yours"), (3, "mine again")]
    await phone.ask("received", conversationId=chat, sequenceNumber=3)
    await phone.leave()
    assert (await alice.ready()).take("message") == []


async def test_an_own_message_counts_as_held_by_its_sender(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    for _ in range(3):
        await a.say(chat, "hello")
    await a.leave()
    a = await alice.ready()
    assert a.take("message") == []
    assert (await alice.conversation(chat))["receivedSequenceNumber"] == 3


async def test_a_new_device_begins_where_the_user_is(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    for _ in range(5):
        await a.say(chat, "hello")
    await b.messages(5)
    await b.ask("received", conversationId=chat, sequenceNumber=3)
    assert (await a.expect("receipt"))["sequenceNumber"] == 3
    laptop = await bob.log_in()
    await a.say(chat, "after the log-in")
    fresh = await bob.connect(laptop)
    assert of(await catch_up(fresh), chat) == [4, 5, 6]
    page = await fresh.ask("fetch", conversationId=chat, before=4)
    assert numbers(page["messages"]) == [1, 2, 3]
    await a.settle()
    assert [one for one in a.take("receipt") if one["sequenceNumber"] < 3] == [], "a log-in moves no receipt"


async def test_history_is_paged_both_ways_with_what_it_covers(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    for n in range(12):
        await a.say(chat, f"n{n + 1}")

    async def page(**bounds: int) -> Frame:
        by_frame = await b.ask("fetch", conversationId=chat, **bounds)
        query = "&".join(f"{name}={value}" for name, value in bounds.items())
        by_http = await bob.http("GET", f"/v1/conversations/{chat}/messages?{query}")
        assert {**by_http, "ref": by_frame["ref"], "type": "messages"} == by_frame
        return by_frame

    async def check(expected: tuple[list[int], int, int, bool], **bounds: int) -> None:
        got = await page(**bounds)
        shown = (numbers(got["messages"]), got["coveredFrom"], got["coveredThrough"], got["complete"])
        assert shown == expected, bounds

    await check(([1, 2, 3, 4, 5], 1, 5, False), after=0, limit=5)
    await check(([6, 7, 8, 9, 10], 6, 10, False), after=5, limit=5)
    await check(([11, 12], 11, 12, True), after=10, limit=5)
    await check(([8, 9, 10, 11, 12], 8, 12, False), limit=5)
    await check(([3, 4, 5, 6, 7], 3, 7, False), before=8, limit=5)
    await check(([1, 2], 1, 2, True), before=3, limit=5)
    await check((list(range(1, 13)), 1, 12, True), after=0, limit=200)
    end = await page(after=12)
    assert (end["messages"], end["complete"]) == ([], True)
    beginning = await page(before=1)
    assert (beginning["messages"], beginning["complete"]) == ([], True)


async def test_pages_of_large_messages_are_shorter_and_still_cover_everything(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    for n in range(25):
        await a.say(chat, f"{n:05}" + "x" * 49_000)
    seen: list[int] = []
    pages, complete = 0, False
    while not complete:
        page = await a.ask("fetch", conversationId=chat, after=len(seen), limit=200)
        assert page["coveredFrom"] == len(seen) + 1
        seen += numbers(page["messages"])
        assert page["coveredThrough"] == len(seen)
        pages, complete = pages + 1, page["complete"]
    assert (seen, pages > 1) == (list(range(1, 26)), True)
    before = 26
    while before > 1:
        page = await a.ask("fetch", conversationId=chat, before=before, limit=200)
        assert page["coveredThrough"] == before - 1
        assert page["messages"]
        before = page["coveredFrom"]
    b = await bob.connect()
    assert of(await catch_up(b), chat) == list(range(1, 26))


async def test_a_message_is_deleted_for_everyone(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    secret = await a.say(chat, "a slip")
    await a.say(chat, "stays")
    await b.messages(2)
    with pytest.raises(Refused) as refused:
        await bob.http("DELETE", f"/v1/conversations/{chat}/messages/1")
    assert refused.value.code == "forbidden"
    absent = await bob.log_in()
    for _ in range(2):
        await alice.http("DELETE", f"/v1/conversations/{chat}/messages/1")
    event = await b.expect("message", contentType="system")
    assert event["content"] == event["content"] | {"event": "message_deleted", "sequenceNumber": 1}
    assert event["content"]["messageId"] == secret["messageId"]
    assert event["sequenceNumber"] == 3, "deleting twice is one event"
    for shown in (await bob.history(chat), await catch_up(await bob.connect(absent))):
        gone, stays, told = shown
        assert (gone["sequenceNumber"], gone["contentType"], gone["messageId"]) == (1, "deleted", secret["messageId"])
        assert "content" not in gone
        assert (stays["content"], told["contentType"]) == ("stays", "system")
    assert (await bob.conversation(chat))["unread"] == 1


async def test_unread_is_counted_from_the_timeline_and_equal_everywhere(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    laptop = await bob.log_in()
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "one")
    await a.say(chat, "two")
    await a.say(chat, "no noise", silent=True)
    await b.messages(3)
    await b.say(chat, "mine")

    async def unread() -> tuple[Any, Any]:
        return (await bob.conversation(chat))["unread"], (await bob.conversation(chat, laptop))["unread"]

    assert await unread() == (2, 2)
    await b.ask("read", conversationId=chat, sequenceNumber=1)
    assert await unread() == (1, 1)
    other = await bob.connect(laptop)
    await other.ask("read", conversationId=chat, sequenceNumber=4)
    assert await unread() == (0, 0)
    listed = await bob.http("GET", "/v1/conversations")
    (item,) = listed["items"]
    assert (item["unread"], item["lastMessage"]["content"], listed["nextCursor"]) == (0, "mine", None)


async def test_the_list_is_ordered_by_activity_and_paged(scene: Scene) -> None:
    (alice, *others) = await scene.people("alice", "b", "c", "d", "e", "f")
    a = await alice.ready()
    for other in others:
        await a.say(dm(alice, other), "hello")
    await a.say(dm(alice, others[1]), "again")
    found, cursor = [], ""
    while cursor is not None:
        page = await alice.http("GET", "/v1/conversations?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["items"]) <= 2
        found += [item["conversationId"] for item in page["items"]]
        cursor = page["nextCursor"]
    newest_first = [others[n] for n in (1, 4, 3, 2, 0)]
    assert found == [dm(alice, other) for other in newest_first]


async def test_mute_pin_and_archive_are_synced_live_and_by_token(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, here = await alice.ready(), await bob.ready()
    await a.say(chat, "hello")
    away = await bob.log_in()
    other = await bob.connect(away)
    token = (await other.caught_up())["syncToken"]
    await bob.http("PATCH", f"/v1/conversations/{chat}", {"pinned": True})
    live = await other.expect("conversation")
    assert (live["conversation"]["conversationId"], live["conversation"]["pinned"]) == (chat, True)
    await other.leave()
    muted = await bob.http("PATCH", f"/v1/conversations/{chat}", {"mutedUntil": -1, "archived": True})
    assert (muted["mutedUntil"], muted["pinned"], muted["archived"]) == (-1, True, True)
    await bob.http("PUT", f"/v1/contacts/{alice.user_id}")
    await bob.http("PATCH", "/v1/me", {"displayName": "Robert"})
    newest = ""
    for since in (token, live["syncToken"]):
        other = await bob.connect(away, syncToken=since)
        newest = (await other.caught_up())["syncToken"]
        (changed,) = other.take("conversation")
        assert changed["conversation"] == changed["conversation"] | {"mutedUntil": -1, "archived": True}
        assert other.take("account")[-1]["account"]["displayName"] == "Robert"
        await other.leave()
    other = await bob.connect(away, syncToken=newest)
    await other.caught_up()
    assert other.take("conversation") == other.take("account") == []
    await here.settle()
    assert here.take("conversation") == [], "the device that made the change is not told"


async def test_reading_and_membership_are_synced_by_token(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "hello")
    await b.expect("message")
    away = await bob.log_in()
    other = await bob.connect(away)
    token = (await other.caught_up())["syncToken"]
    await other.leave()
    await b.ask("read", conversationId=chat, sequenceNumber=1)
    group = await alice.http("POST", "/v1/groups", {"name": "New", "memberIds": [bob.user_id]})
    other = await bob.ready(away, syncToken=token)
    told = {one["conversation"]["conversationId"]: one["conversation"] for one in other.take("conversation")}
    assert told[chat]["readSequenceNumber"] == 1
    assert told[group["conversationId"]]["title"] == "New"


async def test_frames_behind_the_hello_need_not_wait_for_the_welcome(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    peer = await scene.peer(alice.http).open()
    for n in range(20):
        text = {"clientMessageId": f"m{n}", "contentType": "text", "content": str(n)}
        await peer.send("send", conversationId=chat, **text)
    acks = [await peer.expect("ack") for _ in range(20)]
    assert [one["clientMessageId"] for one in acks] == [f"m{n}" for n in range(20)]
    assert peer.log[0]["type"] == "welcome"
    assert numbers(acks) == list(range(1, 21))


async def test_a_token_of_another_store_means_read_everything_anew(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    a = await alice.connect(syncToken="from-somewhere-else")
    await a.caught_up()
    (account,) = a.take("account")
    assert account["changed"] == "everything"


async def with_blobs(alice: Person, sender: Peer, blobs: list[tuple[Person, str]], message_id: str) -> Frame:
    """Send blobs to devices of people, named by their contents."""
    messages = [{"userId": one.user_id, "deviceId": one.device_id, "content": content} for one, content in blobs]
    return await sender.ask("to_device", clientMessageId=message_id, messages=messages)


async def test_blobs_reach_their_device_in_order_until_acknowledged(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    a = await alice.ready()
    await a.say(dm(alice, bob), "hello")
    refused = await with_blobs(alice, a, [(bob, "x" * 16_385)], "big")
    assert (refused["code"], refused["clientMessageId"]) == ("too_large", "big")
    for batch in range(3):
        blobs = [(bob, f"{batch}.{n}") for n in range(50)]
        ack = await with_blobs(alice, a, blobs, f"batch{batch}")
        assert ack == ack | {"type": "ack", "status": "sent", "clientMessageId": f"batch{batch}"}
    await with_blobs(alice, a, [(bob, "0.0")], "batch0")
    b = await bob.connect()
    got = []
    for _ in range(150):
        got.append(await b.expect("to_device"))
        if len(got) % 50 == 0:
            await b.ask("to_device.received", sequenceNumber=got[-1]["sequenceNumber"])
    assert [one["content"] for one in got] == [f"{batch}.{n}" for batch in range(3) for n in range(50)]
    assert numbers(got) == list(range(got[0]["sequenceNumber"], got[0]["sequenceNumber"] + 150))
    assert (got[0]["senderId"], got[0]["senderDeviceId"]) == (alice.user_id, alice.device_id)
    await with_blobs(alice, a, [(bob, "unacknowledged")], "last")
    await b.expect("to_device", content="unacknowledged")
    await b.leave()
    b = await bob.ready()
    assert [one["content"] for one in b.take("to_device")] == ["unacknowledged"]


async def test_the_queue_of_a_device_is_bounded(new_scene: NewScene, new_server: NewServer) -> None:
    limits = {"LIMITS_TO_DEVICE_QUEUED_MESSAGES": "5", "LIMITS_TO_DEVICE_QUEUED_BYTES": "100"}
    scene = new_scene(new_server(**limits))
    alice, bob = await scene.people("alice", "bob")
    a = await alice.ready()
    await a.say(dm(alice, bob), "hello")
    await with_blobs(alice, a, [(bob, f"{n}") for n in range(4)], "1")
    refused = await with_blobs(alice, a, [(bob, "4"), (bob, "5")], "2")
    assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
    assert refused["retryAfterMs"] > 0
    b = await bob.ready()
    got = [await b.expect("to_device") for _ in range(4)]
    assert [one["content"] for one in got] == ["0", "1", "2", "3"]
    await b.ask("to_device.received", sequenceNumber=got[-1]["sequenceNumber"])
    assert (await with_blobs(alice, a, [(bob, "4"), (bob, "5")], "2"))["type"] == "ack"
    assert (await with_blobs(alice, a, [(bob, "x" * 200)], "3"))["code"] == "rate_limited"


async def test_blobs_go_only_to_devices_one_may_write_to(scene: Scene) -> None:
    alice, bob, mallory = await scene.people("alice", "bob", "mallory")
    a, m = await alice.ready(), await mallory.ready()
    await a.say(dm(alice, bob), "hello")
    assert (await with_blobs(mallory, m, [(bob, "spam")], "1"))["code"] == "forbidden"
    known = bob.device_id
    bob.device_id = "nosuchdevice"
    refused = await with_blobs(alice, a, [(alice, "own"), (bob, "b")], "2")
    assert (refused["code"], refused["extra"]) == (
        "mismatched_devices",
        [{"userId": bob.user_id, "deviceId": "nosuchdevice"}],
    )
    bob.device_id = known
    too_many = await with_blobs(alice, a, [(bob, "b")] * 101, "3")
    assert too_many["type"] == "error"
    b = await bob.ready()
    assert b.take("to_device") == [], "a refused batch is stored nowhere"
