"""Whatever a client sends is answered as documented, loses nothing else, and leaves no trace of its content (§10).

Frames go over WebSocket and long polling alike; each stands between two good messages, which must both arrive.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import NewScene, NewServer
from tests.integration.harness import ServerProcess
from tests.integration.peers import Frame, LongPollPeer, Peer, Refused
from tests.integration.scene import Person, Scene, dm

CANARY = "kanarienvogel"
SETTINGS = {"LOG_LEVEL": "debug"}


@pytest.fixture(scope="module", autouse=True)
def quiet_log(server: ServerProcess) -> Iterator[None]:
    """Nothing that was said, no token and no password may stand in the log."""
    yield
    assert CANARY not in server.log
    assert "correct horse" not in server.log


def send(**fields: Any) -> str:
    """Return a ``send`` frame with a canary as its content; None takes a field out."""
    frame = {"type": "send", "ref": "bad", "clientMessageId": "c1", "contentType": "text", "content": CANARY} | fields
    return json.dumps({name: value for name, value in frame.items() if value is not None})


MALFORMED = {
    "an array": f'["{CANARY}"]',
    "a number": "7",
    "a string": f'"{CANARY}"',
    "null": "null",
    "no type": '{"ref":"bad"}',
    "a type that is no string": '{"type":7}',
    "a type that is null": '{"type":null}',
    "a ref that is no string": '{"type":"ping","ref":7}',
    "a second hello": '{"type":"hello","token":"t"}',
    "send without all": '{"type":"send"}',
    "send without place": send(),
    "send with two places": send(to="bob", conversationId="dm:alice:bob"),
    "content that is a number": send(to="bob", content=7),
    "content that is null": '{"type":"send","to":"bob","clientMessageId":"c","contentType":"text","content":null}',
    "content that is an object": send(to="bob", content={"a": CANARY}),
    "empty content": send(to="bob", content=""),
    "contentType system": send(to="bob", contentType="system"),
    "contentType deleted": send(to="bob", contentType="deleted"),
    "an unknown contentType": send(to="bob", contentType=CANARY),
    "an empty clientMessageId": send(to="bob", clientMessageId=""),
    "a long clientMessageId": send(to="bob", clientMessageId="c" * 65),
    "a control character in clientMessageId": send(to="bob", clientMessageId="a\x00b"),
    "a line feed in clientMessageId": send(to="bob", clientMessageId="ab\n"),
    "clientMessageId as number": send(to="bob", clientMessageId=7),
    "silent as string": send(to="bob", silent="yes"),
    "mentions as string": send(to="bob", mentions="bob"),
    "mentions of no userId": send(to="bob", mentions=["B:B"]),
    "too many mentions": send(to="bob", mentions=["bob"] * 101),
    "replyTo that is no messageId": send(to="bob", replyTo=CANARY),
    "envelopes with text": send(to="bob", envelopes=[{"userId": "bob", "deviceId": "d", "content": "x"}]),
    "dm of four parts": send(conversationId="dm:aa:bb:cc"),
    "dm of one part": send(conversationId="dm:aa"),
    "dm with a control character": send(conversationId="dm:a\x00a:bb"),
    "dm with a line feed": send(conversationId="dm:aa:bb\n"),
    "dm of capitals": send(conversationId="dm:Aa:bb"),
    "dm in the wrong order": send(conversationId="dm:bb:aa"),
    "a group with a colon": send(conversationId="group:a:b"),
    "a group without a name": send(conversationId="group:"),
    "a group with a blank": send(conversationId="group:a b"),
    "a group of great length": send(conversationId="group:" + "a" * 65),
    "no kind of conversation": send(conversationId=CANARY),
    "an empty conversationId": send(conversationId=""),
    "received without number": '{"type":"received","conversationId":"dm:aa:bb"}',
    "received below zero": '{"type":"received","conversationId":"dm:aa:bb","sequenceNumber":-1}',
    "received of half a message": '{"type":"received","conversationId":"dm:aa:bb","sequenceNumber":1.5}',
    "received of a word": '{"type":"received","conversationId":"dm:aa:bb","sequenceNumber":"1"}',
    "received beyond JSON": '{"type":"received","conversationId":"group:x","sequenceNumber":9007199254740992}',
    "received of an endless number": '{"type":"received","conversationId":"dm:aa:bb","sequenceNumber":1'
    + "0" * 400
    + "}",
    "fetch both ways": '{"type":"fetch","conversationId":"group:x","after":1,"before":9}',
    "fetch of nothing": '{"type":"fetch","conversationId":"group:x","limit":0}',
    "fetch before the beginning": '{"type":"fetch","conversationId":"group:x","before":0}',
    "fetch with a negative limit": '{"type":"fetch","conversationId":"group:x","limit":-5}',
    "watermarks of no list": '{"type":"watermarks","conversationIds":"dm:aa:bb"}',
    "watermarks of a malformed id": '{"type":"watermarks","conversationIds":["dm:bb:aa"]}',
    "presence of no list": '{"type":"presence.subscribe","userIds":"bob"}',
    "presence of numbers": '{"type":"presence.subscribe","userIds":[1]}',
    "typing somewhere impossible": '{"type":"typing","conversationId":"dm:b:a","status":"started"}',
    "typing of an unknown status": '{"type":"typing","conversationId":"dm:aa:bb","status":"dancing"}',
    "no blobs": '{"type":"to_device","clientMessageId":"c","messages":[]}',
    "blobs for nobody": '{"type":"to_device","clientMessageId":"c","messages":[{}]}',
    "blobs for a strange device": (
        '{"type":"to_device","clientMessageId":"c","messages":[{"userId":"a:b","deviceId":"\\u0000","content":"x"}]}'
    ),
}

UNREADABLE = {
    "nothing": "",
    "words": f"{CANARY} {CANARY}",
    "half an object": '{"type":"ping","ref":"x"',
    "two objects": '{"type":"ping"} {"type":"ping"}',
    "single quotes": "{'type':'ping'}",
    "no number": '{"type":"ping","x":NaN}',
    "a raw control character": '{"type":"ping","x":"\x01"}',
    "a byte order mark": '\ufeff{"type":"ping"}',
    "deep arrays": '{"type":"ping","x":' + "[" * 20_000 + "]" * 20_000 + "}",
    "deep objects": '{"type":"ping","x":' + '{"a":' * 9_000 + "1" + "}" * 9_000 + "}",
    "deep content": '{"type":"send","content":' + "[" * 20_000 + "]" * 20_000 + "}",
    "content with half a surrogate": send(to="bob").replace(CANARY, "\\ud83d"),
}
"""No parser of JSON takes these, so in a poll they spoil the request that carries them: it is refused as a whole."""


async def between(scene: Scene, frame: str) -> tuple[Frame, Peer]:
    """Send a bad frame between two good messages; return its answer and the connection, which goes on."""
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    await a.put(send(conversationId=chat, ref="before", clientMessageId="before"))
    await a.put(frame)
    await a.put(send(conversationId=chat, ref="after", clientMessageId="after"))
    assert (await a.expect("ack", ref="before"))["sequenceNumber"] == 1
    answer = await a.expect("error")
    assert (await a.expect("ack", ref="after"))["sequenceNumber"] == 2
    assert [one["clientMessageId"] for one in await b.messages(2)] == ["before", "after"]
    await a.settle()
    assert a.take("error") == [], "one bad frame, one error"
    return answer, a


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_malformed_frame_is_answered_and_nothing_else_is_lost(scene: Scene, case: str) -> None:
    answer, _ = await between(scene, MALFORMED[case])
    assert (answer["code"], answer["retryable"]) == ("bad_frame", False)
    assert CANARY not in json.dumps(answer)


@pytest.mark.parametrize("case", UNREADABLE)
async def test_what_is_not_json_is_answered_and_nothing_else_is_lost(scene: Scene, case: str) -> None:
    if scene.transport == "websocket":
        answer, _ = await between(scene, UNREADABLE[case])
        assert answer["code"] == "bad_frame"
        return
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    peer = LongPollPeer(alice.http)
    session = (await peer.poll([json.dumps({"type": "hello", "token": alice.http.token})]))["session"]
    good = send(conversationId=chat)
    for spoiled in (f"{good},{UNREADABLE[case]}", f"{UNREADABLE[case]},{good}"):
        with pytest.raises(Refused) as refusal:
            await peer.post(f'{{"session":"{session}","requestNumber":2,"frames":[{spoiled}]}}')
        assert (refusal.value.status, refusal.value.code) == (400, "bad_frame")
        assert CANARY not in json.dumps(refusal.value.body)
    await peer.post(f'{{"session":"{session}","requestNumber":2,"ack":1,"waitMs":0,"frames":[{good}]}}')

    async def goes_on() -> bool:
        return [one["content"] for one in await alice.history(chat)] == [CANARY]

    await scene.until(goes_on)


@pytest.mark.parametrize("type_", ["dance", "", "welcome", "message", "ack", CANARY, "x" * 5000, "send\x00"])
async def test_an_unknown_type_is_answered_with_its_ref(scene: Scene, type_: str) -> None:
    answer, _ = await between(scene, json.dumps({"type": type_, "ref": "mine", "clientMessageId": "c9"}))
    assert answer == answer | {"code": "unknown_type", "ref": "mine", "clientMessageId": "c9", "retryable": False}
    assert len(json.dumps(answer)) < 500


async def test_unknown_fields_are_ignored(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    a = await alice.ready()
    await a.put(send(conversationId=dm(alice, bob), tomorrow={"a": [1]}, ref="r"))
    assert (await a.expect(ref="r"))["type"] == "ack"


async def test_what_is_too_large_is_too_large(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    largest = "ä" * 24_576
    for content in (largest, "x" * 49_152, '"\\' * 15_000):
        await a.put(json.dumps(json.loads(send(conversationId=chat, content=content)), ensure_ascii=False))
        assert (await a.expect(ref="bad"))["type"] == "ack"
    for fields in (
        {"content": largest + "x"},
        {"content": "x" * 49_153},
        {"notificationPreview": "ä" * 129},
    ):
        answer, _ = await between(scene, json.dumps(json.loads(send(to=bob.user_id)) | fields, ensure_ascii=False))
        assert (answer["code"], answer["ref"], answer["clientMessageId"]) == ("too_large", "bad", "c1")


async def test_places_that_are_not_ones_own(scene: Scene) -> None:
    alice, bob, carol, gone = await scene.people("alice", "bob", "carol", "gone")
    group = (await bob.http("POST", "/v1/groups", {"name": "Bobs", "memberIds": [carol.user_id]}))["conversationId"]
    await gone.http("DELETE", "/v1/me", {"password": "correct horse"})
    await carol.http("PUT", f"/v1/blocks/{alice.user_id}")
    with_carol = dm(alice, carol)
    b = await bob.ready()
    await b.say(group, "ours")
    a = await alice.ready()
    for frame, code in (
        (send(conversationId=group), "not_a_member"),
        (send(conversationId="group:nosuchgroup"), "not_a_member"),
        (send(conversationId=dm(bob, carol)), "not_a_member"),
        (send(conversationId=with_carol), "blocked"),
        (send(to=carol.user_id), "blocked"),
        (send(to=gone.user_id), "not_found"),
        (send(to="nobody-of-this-name"), "not_found"),
        (send(to="a:b"), "not_found"),
        (send(to="x"), "not_found"),
        (send(conversationId=dm(alice, gone)), "not_found"),
    ):
        await a.put(frame)
        answer = await a.expect("error", ref="bad")
        assert (answer["code"], answer["clientMessageId"]) == (code, "c1"), frame
    for type_ in ("received", "read"):
        for place in (group, dm(bob, carol), "group:nosuchgroup"):
            answer = await a.ask(type_, conversationId=place, sequenceNumber=1)
            assert (answer["type"], answer["code"]) == ("error", "not_a_member"), (type_, place)
    for place in (group, dm(bob, carol), "group:nosuchgroup"):
        answer = await a.ask("fetch", conversationId=place)
        assert (answer["type"], answer["code"]) == ("error", "not_a_member")
        await a.ask("typing", conversationId=place, status="started")
    assert (await a.ask("watermarks", conversationIds=[group, dm(bob, carol)]))["items"] == []
    await b.settle()
    assert b.take("typing") == b.take("receipt") == []
    snapshot = await bob.conversation(group)
    assert {one["userId"] for one in snapshot["members"]} == {bob.user_id, carol.user_id}


async def test_ranges_beyond_the_timeline_are_empty(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    await a.say(chat, CANARY)
    for bounds in ({"after": 1}, {"after": 2**53 - 1}, {"before": 1}):
        page = await a.ask("fetch", conversationId=chat, **bounds)
        assert (page["messages"], page["complete"]) == ([], True), bounds
    page = await a.ask("fetch", conversationId=chat, before=2**53 - 1, limit=10**9)
    assert len(page["messages"]) == 1
    empty = await a.ask("fetch", conversationId=dm(alice, alice))
    assert (empty["messages"], empty["complete"]) == ([], True)
    for type_ in ("received", "read"):
        answer = await a.ask(type_, conversationId=chat, sequenceNumber=2)
        assert answer["code"] == "bad_frame"
        answer = await a.ask(type_, conversationId=dm(alice, alice), sequenceNumber=1)
        assert answer["code"] == "bad_frame"
    assert (await alice.conversation(chat))["readSequenceNumber"] == 0


async def test_groups_of_too_many_and_of_nobody(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")

    async def refused(**body: Any) -> tuple[int, str]:
        with pytest.raises(Refused) as refusal:
            await alice.http("POST", "/v1/groups", body)
        return refusal.value.status, refusal.value.code

    many = [f"user{n}" for n in range(501)]
    assert await refused(name="Many", memberIds=many) == (413, "too_large")
    assert await refused(name="Ghosts", memberIds=["nobody-of-this-name"]) == (404, "not_found")
    assert await refused(name="Odd", memberIds=["a:b"]) == (400, "bad_frame")
    assert await refused(name="", memberIds=[]) == (400, "bad_frame")
    assert await refused(name=f"{CANARY}\x00", memberIds=[]) == (400, "bad_frame")
    assert await refused(name="x" * 300) == (400, "bad_frame")
    assert await refused(memberIds=[]) == (400, "bad_frame")
    twice = await alice.http("POST", "/v1/groups", {"name": "Two", "memberIds": [bob.user_id] * 2})
    assert len(twice["members"]) == 2
    same_name = await alice.http("POST", "/v1/groups", {"name": "Two"})
    assert same_name["conversationId"] != twice["conversationId"]
    with pytest.raises(Refused) as refusal:
        await alice.http("POST", "/v1/join", {"token": "guessed"})
    assert refusal.value.code == "not_found"


async def test_an_expired_invitation_lets_nobody_in(scene: Scene) -> None:
    alice, bob = await scene.people("alice", "bob")
    group = (await alice.http("POST", "/v1/groups", {"name": "Soon"}))["conversationId"]
    ends = int(time.time() * 1000) + 700
    token = (await alice.http("POST", f"/v1/groups/{group}/invite", {"expiresAt": ends}))["token"]

    async def is_over() -> bool:
        return time.time() * 1000 > ends

    await scene.until(is_over)
    with pytest.raises(Refused) as refusal:
        await bob.http("POST", "/v1/join", {"token": token})
    assert refusal.value.code == "not_found"


async def test_too_many_frames_are_refused_until_time_has_passed(new_scene: NewScene, new_server: NewServer) -> None:
    server = new_server(LIMITS_SENDS="1/min burst 2", LIMITS_FRAMES="100/s burst 30")
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    a = await alice.ready()
    for n in range(5):
        await a.put(send(conversationId=chat, clientMessageId=f"c{n}", ref=f"r{n}"))
    answers = [await a.expect(ref=f"r{n}") for n in range(5)]
    assert [one["type"] for one in answers] == ["ack", "ack", "error", "error", "error"]
    limited = answers[-1]
    assert limited == limited | {"code": "rate_limited", "retryable": True, "clientMessageId": "c4"}
    assert 0 < limited["retryAfterMs"] <= 61_000
    for n in range(200):
        await a.put(json.dumps({"type": "ping", "ref": f"p{n}"}))
    codes = [(await a.expect(ref=f"p{n}")) for n in range(200)]
    refused = [one for one in codes if one["type"] == "error"]
    assert refused
    assert {one["code"] for one in refused} == {"rate_limited"}
    assert all(one["retryAfterMs"] > 0 for one in refused)


async def test_log_ins_and_accounts_are_limited_by_address(new_scene: NewScene, new_server: NewServer) -> None:
    limits = {
        "LIMITS_EXEMPT": "",
        "LIMITS_LOG_INS_PER_ACCOUNT_AND_ADDRESS": "3/min",
        "LIMITS_REGISTRATIONS_PER_ADDRESS": "2/h",
    }
    scene = new_scene(new_server(**limits))
    (alice,) = await scene.people("alice")
    wrong = {"userId": alice.user_id, "password": f"{CANARY}", "device": {"name": "x"}}
    refusals = []
    for _ in range(4):
        with pytest.raises(Refused) as refusal:
            await scene.http("POST", "/v1/sessions", wrong)
        refusals.append(refusal.value)
    assert [(one.status, one.code) for one in refusals[:2]] == [(401, "unauthorized")] * 2
    assert (refusals[-1].status, refusals[-1].code) == (429, "rate_limited")
    assert refusals[-1].body["error"]["retryAfterMs"] > 0
    await scene.people("bob")
    with pytest.raises(Refused) as refusal:
        await scene.people("carol")
    assert refusal.value.status == 429
    assert CANARY not in scene.server.log


async def test_a_wrong_name_is_answered_like_a_wrong_password(scene: Scene) -> None:
    alice: Person
    (alice,) = await scene.people("alice")
    bodies = []
    for name in (alice.user_id, "nobody-of-this-name", "a:b", "x" * 64):
        body = {"userId": name, "password": CANARY, "device": {"name": "x"}}
        with pytest.raises(Refused) as refusal:
            await scene.http("POST", "/v1/sessions", body)
        bodies.append((refusal.value.status, refusal.value.body))
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.parametrize(
    "user_id",
    [
        "a",
        "A-Name",
        "a:b",
        "a\x00b",
        "ab\n",
        " ab",
        "ab ",
        "-ab",
        "x" * 33,
        "ümlaut",
        "",
        None,
        7,
        ["ab"],
        "\u0430lice",
    ],
)
async def test_accounts_of_impossible_names_are_refused(scene: Scene, user_id: Any) -> None:
    with pytest.raises(Refused) as refusal:
        await scene.http("POST", "/v1/accounts", {"userId": user_id, "password": "correct horse"})
    assert (refusal.value.status, refusal.value.code) == (400, "bad_frame")


async def test_a_name_is_given_once(scene: Scene) -> None:
    (alice,) = await scene.people("alice")
    with pytest.raises(Refused) as refusal:
        await scene.http("POST", "/v1/accounts", {"userId": alice.user_id, "password": "another password"})
    assert (refusal.value.status, refusal.value.code) == (409, "conflict")
    with pytest.raises(Refused) as refusal:
        await scene.http("POST", "/v1/accounts", {"userId": f"{alice.user_id}x", "password": "short"})
    assert refusal.value.code == "bad_frame"
