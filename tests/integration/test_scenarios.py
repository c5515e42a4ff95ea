"""What people do with each other, over WebSocket and over long polling alike (PROTOCOL.md §2–§4)."""

import asyncio

from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Peer
from tests.integration.scene import Scene, dm, numbers

SETTINGS = {"LIMITS_WINDOW": "16"}
HAND_OVERS = "cooee_push_hand_overs_total"


async def test_a_message_is_acked_delivered_and_read(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    ack = await a.say(chat, "hello", clientMessageId="first")
    assert ack == ack | {"status": "sent", "clientMessageId": "first", "conversationId": chat, "sequenceNumber": 1}
    assert await b.expect("message") == {
        "type": "message",
        "messageId": ack["messageId"],
        "conversationId": chat,
        "sequenceNumber": 1,
        "senderId": alice.user_id,
        "senderDeviceId": alice.device_id,
        "clientMessageId": "first",
        "timestamp": ack["timestamp"],
        "contentType": "text",
        "content": "hello",
    }
    for frame, status in (("received", "delivered"), ("read", "read")):
        await b.send(frame, conversationId=chat, sequenceNumber=1)
        receipt = await a.expect("receipt", conversationId=chat)
        assert receipt == receipt | {"userId": bob.user_id, "status": status, "sequenceNumber": 1}
    back = await b.ask("send", clientMessageId="back", to=alice.user_id, contentType="text", content="hi")
    assert (back["conversationId"], back["sequenceNumber"]) == (chat, 2)
    assert (await a.expect("message"))["content"] == "hi"
    await a.send("read", conversationId=chat, sequenceNumber=2)
    assert (await b.expect("receipt"))["sequenceNumber"] == 2


async def test_read_implies_received(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "hello")
    await b.expect("message")
    await b.send("read", conversationId=chat, sequenceNumber=1)
    statuses = {(await a.expect("receipt"))["status"] for _ in range(2)}
    assert statuses == {"delivered", "read"}
    snapshot = await bob.conversation(chat)
    assert (snapshot["receivedSequenceNumber"], snapshot["readSequenceNumber"]) == (1, 1)


async def test_watermarks_never_go_back_and_never_run_ahead(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    for _ in range(3):
        await a.say(chat, "hello")
    await b.messages(3)
    for name in ("received", "read"):
        high = await b.ask(name, conversationId=chat, sequenceNumber=3)
        assert high == high | {"type": "receipt", "userId": bob.user_id, "sequenceNumber": 3}
        low = await b.ask(name, conversationId=chat, sequenceNumber=1)
        assert (low["type"], low["sequenceNumber"]) == ("receipt", 3)
        await b.send(name, conversationId=chat, sequenceNumber=2)
        assert (await b.expect("receipt"))["sequenceNumber"] == 3, "a lower number is answered without ref too"
        above = await b.ask(name, conversationId=chat, sequenceNumber=4)
        assert (above["type"], above["code"]) == ("error", "bad_frame")
    snapshot = await bob.conversation(chat)
    assert (snapshot["receivedSequenceNumber"], snapshot["readSequenceNumber"]) == (3, 3)


async def test_own_other_devices_get_messages_and_reading(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    phone, laptop, b = await alice.ready(), await alice.ready(await alice.log_in()), await bob.ready()
    ack = await phone.say(chat, "from my phone")
    copy = await laptop.expect("message")
    assert (copy["senderId"], copy["sequenceNumber"]) == (alice.user_id, ack["sequenceNumber"])
    await laptop.send("received", conversationId=chat, sequenceNumber=1)
    await b.say(chat, "answer")
    assert (await phone.expect("message"))["sequenceNumber"] == 2, "the sending device gets only the ack of its own"
    await laptop.expect("message")
    await laptop.send("read", conversationId=chat, sequenceNumber=2)
    told = await phone.expect("receipt", userId=alice.user_id)
    assert told == told | {"conversationId": chat, "status": "read", "sequenceNumber": 2}
    await phone.settle()
    assert phone.take("message") == []


async def test_the_same_message_again_is_the_same_message(new_scene: NewScene, new_server: NewServer) -> None:
    scene = new_scene(new_server())
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    first = await a.say(chat, "once", clientMessageId="same")
    await a.say(chat, "between")
    again = await a.say(chat, "once", clientMessageId="same")
    body = {"clientMessageId": "same", "conversationId": chat, "contentType": "text", "content": "once"}
    by_http = await alice.http("POST", "/v1/messages", body)
    received = numbers(await b.messages(2))
    await scene.restart()
    a = await alice.ready()
    after_restart = await a.say(chat, "once", clientMessageId="same")
    for repeated in (again, by_http, after_restart):
        assert {name: repeated[name] for name in ("messageId", "sequenceNumber", "timestamp")} == {
            name: first[name] for name in ("messageId", "sequenceNumber", "timestamp")
        }
    assert [one["content"] for one in await bob.history(chat)] == ["once", "between"]
    assert received == [1, 2]
    other_device = await alice.ready(await alice.log_in())
    assert (await other_device.say(chat, "mine", clientMessageId="same"))["sequenceNumber"] == 3


async def test_numbers_are_dense_and_everybody_sees_one_order(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    peers = [await alice.ready(), await alice.ready(await alice.log_in()), await bob.ready()]
    peers.append(await bob.ready(await bob.log_in()))

    async def talk(peer: Peer, name: int) -> list[int]:
        acks = [peer.say(chat, f"{name}.{n}", clientMessageId=f"{name}.{n}") for n in range(15)]
        return numbers(await asyncio.gather(*acks))

    async def listen(peer: Peer) -> list[int]:
        got = []
        for _ in range(45):
            got.append(await peer.expect("message"))
            await peer.send("received", conversationId=chat, sequenceNumber=got[-1]["sequenceNumber"])
        return numbers(got)

    work = [talk(peer, n) for n, peer in enumerate(peers)] + [listen(peer) for peer in peers]
    told = await asyncio.gather(*work)
    acked, got = told[:4], told[4:]
    assert sorted(number for own in acked for number in own) == list(range(1, 61))
    for own, others in zip(acked, got, strict=True):
        assert others == sorted(set(range(1, 61)) - set(own)), "in order, and all but the device's own"
        assert own == sorted(own), "a device's messages are numbered in the order of its frames"


async def test_a_silent_receiver_gets_it_again_twice_then_push_takes_over(
    new_scene: NewScene, new_server: NewServer
) -> None:
    scene = new_scene(new_server())
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "are you there?")
    assert await scene.metric(HAND_OVERS) == 0
    copies = await b.copies(3)
    assert copies[0] == copies[1] == copies[2]
    await scene.until(lambda: scene.reaches(HAND_OVERS, 1))
    await b.settle()
    assert b.take("message") == []
    await b.send("received", conversationId=chat, sequenceNumber=1)
    assert (await a.expect("receipt"))["status"] == "delivered", "it stayed undelivered until then"


async def test_a_client_that_never_acknowledges_gets_at_most_a_window(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    assert b.welcome["limits"]["window"] == 16
    for n in range(40):
        await a.say(chat, str(n))
    assert numbers(await b.copies(16)) == list(range(1, 17))
    assert numbers(await b.copies(16)) == list(range(1, 17)), "the resends are of those sixteen"
    assert b.take("message") == []
    await b.send("received", conversationId=chat, sequenceNumber=16)
    fresh = [one for one in await b.copies(16) if one["sequenceNumber"] > 16]
    while len(fresh) < 16:
        fresh.append(await b.expect("message"))
    assert numbers(fresh) == list(range(17, 33))
    await b.send("received", conversationId=chat, sequenceNumber=32)
    assert sorted({number for number in numbers(await b.copies(8)) if number > 32}) == list(range(33, 41))


async def test_the_window_is_the_connections_not_the_conversations(scene: Scene) -> None:
    bob, *others = await scene.people("bob", "a", "c", "d")
    b = await bob.ready()
    peers = [await other.ready() for other in others]
    for n in range(10):
        for other, peer in zip(others, peers, strict=True):
            await peer.say(dm(other, bob), str(n))
    await b.copies(32)  # with the first resend
    seen = {(one["conversationId"], one["sequenceNumber"]) for one in b.log if one["type"] == "message"}
    assert len(seen) == 16
    heads = {other: max(number for chat, number in seen if chat == dm(other, bob)) for other in others}
    while sum(heads.values()) < 30:
        for other in others:
            await b.ask("received", conversationId=dm(other, bob), sequenceNumber=heads[other])
        message = await b.expect("message")
        for other in others:
            if message["conversationId"] == dm(other, bob):
                assert message["sequenceNumber"] <= heads[other] + 1
                heads[other] = max(heads[other], message["sequenceNumber"])


async def test_notes_to_self_reach_the_other_devices(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    chat = dm(alice, alice)
    phone, laptop = await alice.ready(), await alice.ready(await alice.log_in())
    await phone.say(chat, "milk")
    assert (await laptop.expect("message"))["content"] == "milk"
    snapshot = await alice.conversation(chat)
    assert (snapshot["unread"], snapshot["kind"]) == (0, "direct")


async def test_replies_mentions_and_silence_are_passed_on(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    first = await a.say(chat, "who?")
    extra = {"replyTo": first["messageId"], "mentions": [bob.user_id], "silent": True}
    await a.say(chat, "you", **extra, notificationPreview="for push only")
    _, message = await b.messages(2)
    assert message == message | extra
    assert "notificationPreview" not in message
    assert (await bob.conversation(chat))["unread"] == 1, "silent messages are not unread"


async def test_ping_watermarks_and_the_welcome(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(ref="h1"), await bob.ready()
    assert a.welcome == a.welcome | {"userId": alice.user_id, "deviceId": alice.device_id, "ref": "h1"}
    assert a.welcome["heartbeat"] == {"intervalMs": 30000, "timeoutMs": 10000}
    assert (a.welcome["limits"]["maxFrameBytes"], a.welcome["limits"]["maxContentBytes"]) == (65536, 49152)
    pong = await a.ask("ping")
    assert pong["type"] == "pong"
    assert pong["serverTime"] >= a.welcome["serverTime"]
    await a.say(chat, "hello")
    await b.expect("message")
    await b.ask("received", conversationId=chat, sequenceNumber=1)
    marks = await a.ask("watermarks", conversationIds=[chat, "group:nothere"])
    (item,) = marks["items"]
    assert item["lastSequenceNumber"] == 1
    members = {one["userId"]: (one["delivered"], one["read"]) for one in item["members"]}
    assert members == {alice.user_id: (1, 0), bob.user_id: (1, 0)}


async def test_read_receipts_can_be_switched_off(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    await bob.http("PATCH", "/v1/me", {"privacy": {"readReceipts": False}})
    a, b = await alice.ready(), await bob.ready()
    other = await bob.ready(await bob.log_in())
    await a.say(chat, "one")
    await b.expect("message")
    await b.ask("read", conversationId=chat, sequenceNumber=1)
    assert (await a.expect("receipt"))["status"] == "delivered"
    assert (await other.expect("receipt", status="read"))["userId"] == bob.user_id, "his own devices still sync"
    await b.say(chat, "two")
    await a.expect("message")
    await a.ask("read", conversationId=chat, sequenceNumber=2)
    assert (await b.expect("receipt", userId=alice.user_id))["status"] == "delivered"
    await asyncio.gather(a.settle(), b.settle())
    assert [one for peer in (a, b) for one in peer.take("receipt") if one["status"] == "read"] == []
    members = {one["userId"]: one["read"] for one in (await alice.conversation(chat))["members"]}
    assert members[bob.user_id] == 0
