"""How connections end, and what is kept when they do, over WebSocket and over long polling alike (§2, §10)."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.peers import LongPollPeer, Refused, WebSocketPeer
from tests.integration.scene import PASSWORD, Person, Scene, dm, numbers

LIVE = "cooee_sessions"


async def test_a_newer_connection_replaces_the_former(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    former = await alice.ready()
    b = await bob.ready()
    await b.say(chat, "one")
    await former.expect("message")
    newer = await alice.ready()
    assert (await former.closed()).code == 4009
    assert newer.welcome["connectionId"] != former.welcome["connectionId"]
    assert numbers(newer.take("message")) == [1]
    await b.say(chat, "two")
    assert (await newer.expect("message"))["sequenceNumber"] == 2


async def test_both_transports_replace_each_other(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    former = await alice.ready()
    kind = "longpoll" if scene.transport == "websocket" else "websocket"
    newer = await alice.ready(transport=kind)
    assert (await former.closed()).code == 4009
    await newer.settle()


async def test_of_many_connections_at_once_exactly_one_stays(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    peers = [await scene.peer(alice.http).open() for _ in range(4)]
    peers += await asyncio.gather(*(scene.peer(alice.http).open() for _ in range(3)))

    async def only_one() -> bool:
        return sum(not peer.is_closed for peer in peers) == 1

    await scene.until(only_one)
    assert {(await peer.closed()).code for peer in peers if peer.is_closed} == {4009}
    (alive,) = [peer for peer in peers if not peer.is_closed]
    b = await bob.ready()
    await b.say(dm(alice, bob), "hello")
    assert (await alive.expect("message"))["content"] == "hello"
    assert await scene.metric(LIVE) >= 2


async def test_revoked_devices_are_closed_for_good(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    lost = await alice.log_in()
    lost_id = alice.device_id
    here, there = await alice.ready(), await alice.ready(lost)
    await alice.http("DELETE", f"/v1/devices/{lost_id}")
    assert (await there.closed()).code == 4003
    await here.settle()
    with pytest.raises(Refused) as refused:
        await lost("GET", "/v1/me")
    assert refused.value.code == "unauthorized"
    await alice.http("DELETE", "/v1/sessions/current")
    assert (await here.closed()).code == 4003, "logging out is leaving"


async def test_a_deleted_account_is_gone_and_its_name_stays_taken(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.say(chat, "hello")
    await b.expect("message")
    await alice.http("DELETE", "/v1/me", {"password": PASSWORD})
    assert (await a.closed()).code == 4003
    answer = await b.ask("send", conversationId=chat, clientMessageId="x", contentType="text", content="?")
    assert answer["code"] == "not_found"
    with pytest.raises(Refused) as refused:
        await scene.http("POST", "/v1/accounts", {"userId": alice.user_id, "password": PASSWORD})
    assert refused.value.status == 409


async def test_draining_loses_nobody_and_nothing(new_scene: NewScene, new_server: NewServer) -> None:
    scene = new_scene(new_server(LIMITS_DRAIN_S="1.5"))
    people = await scene.people(*(f"p{n}" for n in range(12)))
    peers = list(await asyncio.gather(*(person.ready() for person in people)))
    sender, receiver = people[0], people[1]
    chat = dm(sender, receiver)
    for n in range(20):
        await peers[0].say(chat, f"before {n}")
    scene.server.terminate()
    delays = [(await peer.expect("reconnect", reason="server_drain"))["delayMs"] for peer in peers]
    assert len(set(delays)) > len(delays) // 2, "different delays spread the return"
    acked = [await peers[0].say(chat, "while it drains")]
    assert {(await peer.closed()).code for peer in peers} == {1001}
    assert scene.server.wait() == 0
    await scene.restart()
    texts = {one["sequenceNumber"]: one["content"] for one in await receiver.history(chat)}
    assert len(texts) == 21
    assert texts[acked[0]["sequenceNumber"]] == "while it drains"


async def test_a_draining_server_takes_no_new_sessions(new_scene: NewScene, new_server: NewServer) -> None:
    scene = new_scene(new_server(LIMITS_DRAIN_S="2"))
    alice, bob = await scene.people("alice", "bob")
    a = await alice.ready()
    kept = scene.peer(bob.http)  # a connection that is there already
    assert (await scene.http("GET", "/readyz")) == {"status": "ok"}
    scene.server.terminate()
    await a.expect("reconnect")
    with pytest.raises(Refused) as refused:
        await scene.http("GET", "/readyz")
    assert refused.value.status == 503
    if isinstance(kept, LongPollPeer):
        with pytest.raises(Refused) as refused:
            await kept.open()
        assert refused.value.code == "unavailable"
    else:
        with pytest.raises(OSError, match="Connect call failed"):
            await connect("ws" + scene.server.url.removeprefix("http") + "/v1/ws")
    assert (await a.closed()).code == 1001


async def test_a_slow_consumer_is_closed_and_catches_up(new_scene: NewScene, new_server: NewServer) -> None:
    scene = new_scene(new_server(LIMITS_OUTBOX_BYTES="100000", LIMITS_WINDOW="10000"))
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    if isinstance(b, WebSocketPeer):
        b.socket.transport.pause_reading()
    else:
        await b.leave()
    sent = 0
    while await scene.metric(LIVE) == 2:
        for _ in range(20):
            await a.say(chat, "x" * 20_000)
        sent += 20
        assert sent < 4000, "nobody closed it"
    if isinstance(b, WebSocketPeer):
        b.socket.transport.resume_reading()
        assert (await b.closed()).code in (4008, 1006), "the close frame may be cut off"
        assert await scene.metric("cooee_slow_consumers_total") == 1
    fresh = await bob.connect()
    for number in range(1, sent + 1):
        assert (await fresh.expect("message"))["sequenceNumber"] == number
        await fresh.send("received", conversationId=chat, sequenceNumber=number)


async def test_a_token_that_is_not_valid_ends_the_connection(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    alice.http.token = "not-a-token"
    if scene.transport == "longpoll":
        with pytest.raises(Refused) as refused:
            await alice.connect()
        assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        return
    peer = await scene.peer(alice.http).open()
    assert (await peer.expect("error"))["code"] == "unauthorized"
    assert (await peer.closed()).code == 4003


# --- one transport only -----------------------------------------------------------------------------------------------


async def test_the_first_frame_must_come_and_must_be_hello(new_server: NewServer) -> None:
    server = new_server(LIMITS_HELLO_TIMEOUT_S="0.3")
    url = "ws" + server.url.removeprefix("http") + "/v1/ws"
    async with connect(url) as socket:
        await socket.wait_closed()
        assert socket.close_code == 4001
    for first in ('{"type":"ping"}', "{", '{"type":"hello"}', b"\x00"):
        async with connect(url) as socket:
            await socket.send(first)
            assert json.loads(await socket.recv())["code"] == "bad_frame"
            await socket.wait_closed()
            assert socket.close_code == 4000


async def test_a_peer_that_does_not_answer_a_ping_is_closed(new_server: NewServer, new_scene: NewScene) -> None:
    settings = {"LIMITS_HEARTBEAT_INTERVAL_S": "0.5", "LIMITS_HEARTBEAT_TIMEOUT_S": "0.5"}
    scene = new_scene(new_server(**settings))
    alice, bob = await scene.people("alice", "bob")
    alive = await alice.ready(transport="websocket")
    polling = await bob.ready(transport="longpoll")
    dead = await bob.ready(await bob.log_in(), transport="websocket")
    assert isinstance(dead, WebSocketPeer)
    dead.socket.transport.pause_reading()
    await scene.until(lambda: scene.reaches('cooee_sessions_closed_total{code="4008"}', 1))
    dead.socket.transport.resume_reading()
    assert (await dead.closed()).code in (4008, 1006)
    await alive.settle()
    await polling.settle()


async def test_a_second_server_is_refused_in_plain_words(server: ServerProcess) -> None:
    one = ServerProcess(server.folder / "second")
    one.data = server.data
    with pytest.raises(ServerEnded) as refused:
        one.start()
    assert refused.value.code == 1
    assert str(server.data) in refused.value.output
    assert "in use" in refused.value.output
    assert "Traceback" not in refused.value.output


async def test_a_port_in_use_is_refused_in_plain_words(server: ServerProcess) -> None:
    one = ServerProcess(server.folder / "third", port=int(server.url.rpartition(":")[2]))
    with pytest.raises(ServerEnded) as refused:
        one.start()
    assert refused.value.code == 1
    assert "--port" in refused.value.output
    assert "Traceback" not in refused.value.output


async def poller(scene: Scene) -> tuple[Person, LongPollPeer]:
    """Return a person and a long-polling connection that polls only when told."""
    (alice,) = await scene.people("alice")
    return alice, LongPollPeer(alice.http)


async def test_long_polling_repeats_answers_and_executes_once(scene: Scene) -> None:
    alice, peer = await poller(scene)
    (bob,) = await scene.people("bob")
    chat = dm(alice, bob)
    hello = json.dumps({"type": "hello", "token": alice.http.token})
    first = await peer.poll([hello])
    assert (first["answerNumber"], first["frames"][0]["type"]) == (1, "welcome")
    session = first["session"]
    again = await peer.post(f'{{"session":"{session}","requestNumber":1,"frames":[{hello}]}}')
    assert again == first, "a repeated requestNumber gets the same answer"
    send = json.dumps({"type": "send", "clientMessageId": "a", "conversationId": chat} | TEXT)
    body = f'{{"session":"{session}","requestNumber":2,"ack":0,"waitMs":10000,"frames":[{send}]}}'
    second = await peer.post(body)
    assert second == first, "an answer that was not acknowledged is repeated"
    assert await peer.post(body) == second
    types: list[str] = []
    number, answer = 2, second
    while "ack" not in types:
        number += 1
        answer = await peer.post(
            f'{{"session":"{session}","requestNumber":{number},"ack":{answer["answerNumber"]},"waitMs":10000}}'
        )
        types += [frame["type"] for frame in answer["frames"]]
    assert types.count("ack") == 1
    assert len(await alice.history(chat)) == 1, "executed once"
    with pytest.raises(Refused) as refused:
        await peer.post(f'{{"session":"{session}","requestNumber":{number + 9}}}')
    assert (refused.value.status, refused.value.code) == (409, "conflict")
    with pytest.raises(Refused) as refused:
        await peer.post(f'{{"session":"{session}","requestNumber":{number + 1},"ack":99}}')
    assert refused.value.code == "bad_frame"


TEXT = {"contentType": "text", "content": "hello"}


async def test_a_second_poll_ends_the_first_with_no_frames(scene: Scene) -> None:
    alice, peer = await poller(scene)
    first = await peer.poll([json.dumps({"type": "hello", "token": alice.http.token})])
    session = first["session"]
    quiet = await peer.post(f'{{"session":"{session}","requestNumber":2,"ack":1,"waitMs":1000}}')
    number, acked = 2, quiet["answerNumber"]
    while quiet["frames"]:
        number, acked = number + 1, quiet["answerNumber"]
        quiet = await peer.post(f'{{"session":"{session}","requestNumber":{number},"ack":{acked},"waitMs":500}}')
    body = f'{{"session":"{session}","requestNumber":%d,"ack":{acked},"waitMs":30000,"frames":[%s]}}'
    waiting = asyncio.create_task(peer.post(body % (number + 1, "")))
    answer = await peer.post(body % (number + 2, '{"type":"ping","ref":"p"}'))
    assert [frame["ref"] for frame in answer["frames"]] == ["p"]
    assert (await waiting)["frames"] == []


async def test_a_repeated_poll_takes_over_from_the_one_that_waits(scene: Scene) -> None:
    alice, peer = await poller(scene)
    (bob,) = await scene.people("bob")
    first = await peer.poll([json.dumps({"type": "hello", "token": alice.http.token})])
    session, number, acked = first["session"], 1, 0
    while "caught_up" not in [frame["type"] for frame in first["frames"]]:
        number, acked = number + 1, first["answerNumber"]
        first = await peer.post(f'{{"session":"{session}","requestNumber":{number},"ack":{acked},"waitMs":9000}}')
    body = (
        f'{{"session":"{session}","requestNumber":{number + 1},"ack":{first["answerNumber"]},"waitMs":30000,'
        '"frames":[{"type":"ping","ref":"p"}]}'
    )
    pong = await peer.post(body)
    assert [frame["ref"] for frame in pong["frames"]] == ["p"]
    body = f'{{"session":"{session}","requestNumber":{number + 2},"ack":{pong["answerNumber"]},"waitMs":30000}}'
    lost = asyncio.create_task(peer.post(body))
    await scene.until(lambda: scene.reaches("cooee_polls", 1))
    again = asyncio.create_task(peer.post(body))
    done, _ = await asyncio.wait({lost, again}, return_when=asyncio.FIRST_COMPLETED)
    assert [one.result()["frames"] for one in done] == [[]]
    b = await bob.ready()
    await b.say(dm(alice, bob), "hello")
    answers = await asyncio.gather(lost, again)
    assert sorted(len(one["frames"]) for one in answers) == [0, 1]


async def test_a_polling_session_is_its_devices_alone(scene: Scene) -> None:
    alice, peer = await poller(scene)
    first = await peer.poll([json.dumps({"type": "hello", "token": alice.http.token})])
    (mallory,) = await scene.people("mallory")
    thief = LongPollPeer(mallory.http)
    for stolen in (first["session"], "guessed"):
        with pytest.raises(Refused) as refused:
            await thief.post(f'{{"session":"{stolen}","requestNumber":2}}')
        assert (refused.value.status, refused.value.code) == (404, "not_found")


async def test_a_polling_session_lapses(new_scene: NewScene, new_server: NewServer) -> None:
    scene = new_scene(new_server(LIMITS_POLL_LAPSE_S="0.5"))
    alice, peer = await poller(scene)
    first = await peer.poll([json.dumps({"type": "hello", "token": alice.http.token})])
    await scene.until(lambda: _none_live(scene))
    with pytest.raises(Refused) as refused:
        await peer.post(f'{{"session":"{first["session"]}","requestNumber":2}}')
    assert (refused.value.status, refused.value.code) == (404, "not_found")


async def _none_live(scene: Scene) -> bool:
    return await scene.metric(LIVE) == 0
