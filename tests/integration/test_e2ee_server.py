"""The server's part in end-to-end encryption, over real sockets and by the raw protocol (PROTOCOL.md §15)."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from cooee.domain.device_hash import device_list_hash
from cooee.domain.ids import DeviceRef
from tests.fakes.device_keys import AccountKey, identity, pre_key, publication
from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Frame, Refused
from tests.integration.scene import PASSWORD, Scene
from tests.integration.sealed import Sealed, envelope, mark, sealed, to_chat

SETTINGS = {"LIMITS_ONE_TIME_KEYS_PER_CLAIMER": "1000/min"}
_OCTETS = "application/octet-stream"


async def refusal(work: Any) -> Frame:
    """Return the error object with which a request is refused."""
    with pytest.raises(Refused) as refused:
        await work
    error: Frame = refused.value.body["error"]
    return error


def group_hash(*people: Sealed) -> str:
    """Return the hash over all devices of these people."""
    refs = [DeviceRef(person.user_id, device_id) for person in people for device_id in person.devices]
    return device_list_hash([(ref, identity(ref.device_id)) for ref in refs])


def named(devices: list[Frame]) -> list[str]:
    """Return the deviceIds in a refusal."""
    return [device["deviceId"] for device in devices]


async def test_a_device_gets_its_own_envelope_and_no_other(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice", 2), await sealed(scene, "bob", 2)
    first, second = alice.devices
    sender = await alice.person.ready()
    others = [await alice.person.ready(alice.devices[second])]
    others += [await bob.person.ready(http) for http in bob.devices.values()]
    assert "encrypted" in sender.welcome["limits"]["contentTypes"]
    fields = to_chat(alice, bob, alice.envelopes(first) + bob.envelopes())
    ack = await sender.ask("send", clientMessageId="m1", **fields)
    assert (ack["type"], ack["sequenceNumber"]) == ("ack", 1)
    for peer, device_id in zip(others, [second, *bob.devices], strict=True):
        got = await peer.expect("message", contentType="encrypted")
        assert (got["content"], got["envelope"]) == ("AVyk0pWZ", mark(device_id))
        assert "envelopes" not in got
        page = await (bob.devices | alice.devices)[device_id]("GET", _history(fields))
        assert page["messages"][0]["envelope"] == mark(device_id)
    page = await alice.devices[first]("GET", _history(fields))
    assert "envelope" not in page["messages"][0]


async def test_the_wrong_devices_are_named_and_a_re_send_has_its_place(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    sender = await alice.person.ready()
    fields = to_chat(alice, bob, bob.envelopes())
    ack = await sender.ask("send", clientMessageId="m1", **fields)
    former, new = bob.first, await bob.device()
    error = await sender.ask("send", clientMessageId="m2", **fields)
    assert (error["code"], named(error["missing"])) == ("mismatched_devices", [new])
    again = await sender.ask("send", clientMessageId="m1", **fields)
    assert (again["messageId"], again["sequenceNumber"]) == (ack["messageId"], 1)
    await bob.devices[new]("DELETE", f"/v1/devices/{former}")
    both = to_chat(alice, bob, bob.envelopes())
    error = await sender.ask("send", clientMessageId="m2", **both)
    assert (error["code"], named(error["extra"])) == ("mismatched_devices", [former])
    assert "missing" not in error
    ack = await sender.ask("send", clientMessageId="m2", **to_chat(alice, bob, bob.envelopes(former)))
    assert ack["sequenceNumber"] == 2


async def test_the_same_over_http(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    send = {"clientMessageId": "m1", **to_chat(alice, bob, [envelope(bob.user_id, "nope")])}
    error = await refusal(alice.person.http("POST", "/v1/messages", send))
    assert error["code"] == "mismatched_devices"
    assert (named(error["missing"]), named(error["extra"])) == ([bob.first], ["nope"])
    ack = await alice.person.http("POST", "/v1/messages", send | {"envelopes": bob.envelopes()})
    assert ack["sequenceNumber"] == 1
    error = await refusal(alice.person.http("POST", "/v1/messages", send | {"content": "not base64!"}))
    assert error["code"] == "bad_frame"


async def test_a_thief_with_the_password_gets_nothing_and_speaks_for_nobody(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    own = bob.first
    thief = await bob.device(linked=False)
    http = bob.devices[thief]
    assert not (await http("GET", "/v1/keys/status"))["listed"]
    peer, sender = await bob.person.ready(http), await alice.person.ready()
    envelopes = [envelope(bob.user_id, own)]
    error = await sender.ask("send", clientMessageId="m0", **to_chat(alice, bob, bob.envelopes()))
    assert (error["code"], named(error["extra"])) == ("mismatched_devices", [thief])
    assert (await sender.ask("send", clientMessageId="m1", **to_chat(alice, bob, envelopes)))["type"] == "ack"
    assert "envelope" not in await peer.expect("message", contentType="encrypted")
    error = await peer.ask(
        "send", clientMessageId="x", **to_chat(bob, alice, [*alice.envelopes(), envelope(bob.user_id, own)])
    )
    assert error["code"] == "forbidden"
    claimed = await alice.person.http("POST", "/v1/keys/claim", _claim(bob.user_id, thief))
    assert (claimed["items"], named(claimed["missing"])) == ([], [thief])
    forged = AccountKey("the thief's own").list(bob.user_id, 2, own, thief)
    assert (await refusal(http("PUT", bob.path, forged)))["code"] == "conflict"
    for password in ("", "wrong"):
        body = forged | {"reset": True, "password": password}
        assert (await refusal(http("PUT", bob.path, body)))["code"] == "forbidden"
    await http("PUT", bob.path, forged | {"reset": True, "password": PASSWORD})
    seen = await alice.person.http("GET", bob.path)
    assert seen["payload"] == forged["payload"], "with the password he may begin anew, and everybody sees it"


async def test_each_one_time_key_is_given_once_to_many_at_once(scene: Scene) -> None:
    bob = Sealed(await scene.person("bob"))
    device_id = await bob.device(linked=False, keys=False)
    await bob.person.http("PUT", "/v1/keys", publication(device_id, range(1, 31), range(1, 21)))
    await bob.link(device_id)
    people = await scene.people(*["claimer"] * 5)
    claims = [person.http("POST", "/v1/keys/claim", _claim(bob.user_id, device_id)) for person in people * 8]
    bundles = [claim["items"][0] for claim in await asyncio.gather(*claims)]
    pre_keys = [bundle["oneTimePreKey"]["id"] for bundle in bundles if "oneTimePreKey" in bundle]
    kem_keys = [bundle["kemKey"]["id"] for bundle in bundles if not bundle["kemKey"]["lastResort"]]
    assert sorted(pre_keys) == list(range(1, 31))
    assert sorted(kem_keys) == list(range(1, 21))
    status = await bob.person.http("GET", "/v1/keys/status")
    assert (status["oneTimePreKeys"], status["oneTimeKemKeys"], status["lastOneTimePreKeyId"]) == (0, 0, 30)
    refill = {"identityKey": identity(device_id), "oneTimePreKeys": [pre_key(number) for number in range(30, 33)]}
    assert (await bob.person.http("PUT", "/v1/keys", refill))["oneTimePreKeys"] == 2


async def test_who_has_no_business_with_somebody_learns_no_keys(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    await bob.person.http("PUT", f"/v1/blocks/{alice.user_id}")
    body = {"users": [{"userId": bob.user_id}, {"userId": "nobody-at-all"}]}
    answers = (await alice.person.http("POST", "/v1/device-lists", body))["items"]
    assert answers[0] | {"userId": ""} == answers[1] | {"userId": ""}
    claimed = await alice.person.http("POST", "/v1/keys/claim", _claim(bob.user_id, bob.first))
    assert (claimed["items"], named(claimed["missing"])) == ([], [bob.first])
    unknown = await refusal(alice.person.http("GET", "/v1/users/nobody-at-all/device-list"))
    assert await refusal(alice.person.http("GET", bob.path)) == unknown
    owner = alice.person.http
    await owner("POST", "/v1/bots", {"userId": f"echo-{alice.user_id}", "displayName": "Echo"})
    scopes = ["messages:read", "messages:write", "groups:write", "profile:write", "contacts", "webhooks"]
    made = await owner("POST", f"/v1/bots/echo-{alice.user_id}/tokens", {"name": "t", "scopes": scopes})
    bearer = {"authorization": f"Bearer {made['token']}"}
    for method, path, sent in (
        ("POST", "/v1/keys/claim", _claim(alice.user_id, alice.first)),
        ("GET", alice.path, None),
        ("POST", "/v1/device-lists", {"users": [{"userId": alice.user_id}]}),
        ("PUT", "/v1/keys", publication("x")),
    ):
        assert (await refusal(scene.http(method, path, sent, **bearer)))["code"] == "forbidden"


async def test_a_group_agrees_about_its_devices(scene: Scene) -> None:
    olga, mona = await sealed(scene, "olga"), await sealed(scene, "mona", 2)
    body = {"name": "Friends", "memberIds": [mona.user_id]}
    group = (await olga.person.http("POST", "/v1/groups", body))["conversationId"]
    seen = await mona.person.http("GET", f"/v1/groups/{group}")
    assert seen["deviceListHash"] == group_hash(olga, mona)
    assert {one["userId"]: one["deviceListVersion"] for one in seen["members"]} == {olga.user_id: 1, mona.user_id: 2}
    sender, reader = await olga.person.ready(), await mona.person.ready()
    fields = {"conversationId": group, "contentType": "encrypted", "content": "AVyk0pWZ", "groupEnvelope": "AQID"}
    right = {"rosterVersion": 1, "deviceListHash": seen["deviceListHash"]}
    assert (await sender.ask("send", clientMessageId="m1", **fields, **right))["sequenceNumber"] == 2
    got = await reader.expect("message", contentType="encrypted")
    assert (got["groupEnvelope"], got["rosterVersion"], got["deviceListHash"]) == ("AQID", 1, right["deviceListHash"])
    new = await mona.device()
    error = await sender.ask("send", clientMessageId="m2", **fields, **right)
    assert (error["code"], error["rosterVersion"]) == ("mismatched_devices", 1)
    assert error["deviceListHash"] == group_hash(olga, mona)
    nina = await sealed(scene, "nina")
    await olga.person.http("POST", f"/v1/groups/{group}/members", {"userIds": [nina.user_id]})
    error = await refusal(olga.person.http("POST", "/v1/messages", {"clientMessageId": "m2", **fields, **right}))
    assert (error["rosterVersion"], error["deviceListHash"]) == (2, group_hash(olga, mona, nina))
    await mona.person.http("DELETE", f"/v1/devices/{new}")
    del mona.devices[new]
    right = {"rosterVersion": 2, "deviceListHash": group_hash(olga, mona, nina)}
    assert (await sender.ask("send", clientMessageId="m2", **fields, **right))["type"] == "ack"


async def test_a_list_is_told_to_the_own_devices_and_of_two_at_once_one_wins(scene: Scene) -> None:
    bob = await sealed(scene, "bob", 2)
    first, second = bob.devices
    peer = await bob.person.ready(bob.devices[second])
    both = [bob.signed(first, second, createdAt=number) for number in (1, 2)]
    outcomes = await asyncio.gather(
        *(bob.devices[first]("PUT", bob.path, each) for each in both), return_exceptions=True
    )
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    in_force = await bob.person.http("GET", bob.path)
    assert (lost.code, lost.body["error"]["deviceList"]) == ("conflict", in_force)
    assert in_force in both
    assert (await peer.expect("account", changed="devices"))["syncToken"]
    old = AccountKey(bob.user_id).list(bob.user_id, 1, first)
    assert (await refusal(bob.person.http("PUT", bob.path, old)))["code"] == "conflict"


async def test_an_encrypted_file_is_for_the_members_of_its_message(scene: Scene) -> None:
    alice, bob, eve = [await sealed(scene, name) for name in ("alice", "bob", "eve")]
    content = b"sealed" * 100
    wish = {"contentType": _OCTETS, "size": len(content), "sha256": sha256(content).hexdigest(), "encrypted": True}
    granted = await alice.person.http("POST", "/v1/media/uploads", wish)
    async with (
        aiohttp.ClientSession() as store,
        store.put(scene.wire.url + granted["uploadUrl"], data=content, headers=granted["headers"]) as answer,
    ):
        assert answer.status < 300
    path = f"/v1/media/{granted['mediaKey']}?redirect=false"
    assert (await refusal(bob.person.http("GET", path)))["code"] == "not_found"
    sender = await alice.person.ready()
    fields = to_chat(alice, bob, bob.envelopes(), mediaKeys=[granted["mediaKey"]])
    assert (await sender.ask("send", clientMessageId="m1", **fields))["type"] == "ack"
    seen = await bob.person.http("GET", path)
    assert (seen["encrypted"], seen["size"], seen["thumbnail"]) == (True, len(content), False)
    assert (await refusal(eve.person.http("GET", path)))["code"] == "not_found"
    error = await sender.ask("send", clientMessageId="m2", **(fields | {"mediaKeys": ["n" * 22]}))
    assert error["code"] == "not_found"


async def test_how_a_conversation_is_written_is_said_to_all(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    chat = to_chat(alice, bob, [])["conversationId"]
    peer = await bob.person.ready()
    said = await alice.person.http("PUT", f"/v1/conversations/{chat}/encryption", {"mode": "plain"})
    assert said == {"mode": "plain", "sequenceNumber": 1}
    got = await peer.expect("message", contentType="system")
    assert got["content"] == {"event": "settings_changed", "actorId": alice.user_id, "encryption": "plain"}


async def test_previews_are_for_those_who_want_them(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    sender = await alice.person.ready()
    fields = to_chat(alice, bob, bob.envelopes(), notificationPreview="hi")
    assert (await sender.ask("send", clientMessageId="m1", **fields))["code"] == "forbidden"
    me = await bob.person.http("PATCH", "/v1/me", {"privacy": {"encryptedPreviews": True}})
    assert me["privacy"]["encryptedPreviews"] is True
    assert (await sender.ask("send", clientMessageId="m1", **fields))["type"] == "ack"
    assert '"hi"' not in json.dumps(await bob.person.history(fields["conversationId"]))


async def test_the_account_can_be_exported_and_ends_with_its_keys(scene: Scene) -> None:
    alice, bob = await sealed(scene, "alice"), await sealed(scene, "bob")
    sender = await alice.person.ready()
    await sender.ask("send", clientMessageId="m1", **to_chat(alice, bob, bob.envelopes()))
    assert "AVyk0pWZ" in json.dumps(await bob.person.http("GET", "/v1/me/export"))
    await bob.person.http("DELETE", "/v1/me", {"password": PASSWORD})
    assert (await refusal(alice.person.http("GET", bob.path)))["code"] == "not_found"
    claimed = await alice.person.http("POST", "/v1/keys/claim", _claim(bob.user_id, bob.first))
    assert claimed["items"] == []


@pytest.mark.crash
@pytest.mark.parametrize("transport", ["websocket"])
async def test_keys_and_lists_that_were_answered_survive_a_crash(new_scene: NewScene, new_server: NewServer) -> None:
    """No one-time key comes back, and no list is older than the one that was answered."""
    scene = new_scene(new_server())
    bob = await sealed(scene, "bob", 2)
    (alice,) = await scene.people("alice")
    before = await alice.http("POST", "/v1/keys/claim", _claim(bob.user_id, bob.first))
    working = [
        asyncio.ensure_future(alice.http("POST", "/v1/keys/claim", _claim(bob.user_id, bob.first))),
        asyncio.ensure_future(bob.person.http("PUT", bob.path, bob.signed(*bob.devices))),
    ]
    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    scene.server.kill9()
    given, listed = await asyncio.gather(*working, return_exceptions=True)
    await scene.restart()
    bundles = [*before["items"], *([] if isinstance(given, BaseException) else given["items"])]
    while not bundles[-1]["kemKey"]["lastResort"]:
        bundles += (await alice.http("POST", "/v1/keys/claim", _claim(bob.user_id, bob.first)))["items"]
    ids = [bundle["kemKey"]["id"] for bundle in bundles]
    assert len(set(ids)) == len(ids)
    (found,) = (await alice.http("POST", "/v1/device-lists", {"users": [{"userId": bob.user_id, "version": 3}]}))[
        "items"
    ]
    assert found["unchanged"] or isinstance(listed, BaseException)
    assert found["current"] == sorted(bob.devices)


def _claim(user_id: str, device_id: str) -> Frame:
    return {"devices": [{"userId": user_id, "deviceId": device_id}]}


def _history(fields: Frame) -> str:
    return f"/v1/conversations/{fields['conversationId']}/messages"
