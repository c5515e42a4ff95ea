"""Accounts, sessions, devices and export over HTTP."""

import json
from typing import Any

from msgspec.structs import replace

from cooee.app.config import LimitsConfig
from cooee.domain.limits import Rate
from tests.fakes.house import CHEAP_ACCOUNTS, House, open_house


async def test_register_log_in_and_out(house: House) -> None:
    alice = await house.person("alice")
    me = await alice.request("GET", "/v1/me")
    assert me.status == 200
    assert me.json == {
        "userId": "alice",
        "displayName": "alice",
        "about": "",
        "privacy": {
            "lastSeen": "contacts",
            "readReceipts": True,
            "searchable": True,
            "groupAdds": "everyone",
            "encryptedPreviews": False,
        },
        "createdAt": house.clock.wall_ms(),
        "admin": False,
        "bot": False,
        "notifications": {"preview": True, "mentions": True, "quietHours": None},
    }
    assert (await alice.request("DELETE", "/v1/sessions/current")).status == 204
    assert (await alice.request("GET", "/v1/me")).code == "unauthorized"


async def test_a_name_is_taken_once_and_for_ever(house: House) -> None:
    alice = await house.person("alice")
    body = {"userId": "alice", "password": "another horse"}
    taken = await house.client().request("POST", "/v1/accounts", body)
    assert (taken.status, taken.code) == (409, "conflict")
    assert (await alice.request("DELETE", "/v1/me")).status == 204
    assert (await house.client().request("POST", "/v1/accounts", body)).code == "conflict"


async def test_a_wrong_name_is_answered_as_a_wrong_password(house: House) -> None:
    await house.person("alice")
    device = {"name": "n", "type": "cli"}
    answers = [
        await house.client().request("POST", "/v1/sessions", {"userId": name, "password": word, "device": device})
        for name, word in (("alice", "wrong horse"), ("nobody", "wrong horse"), ("NO:BODY", "wrong horse"))
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


async def test_log_ins_are_limited_per_account_and_address_and_per_address(tmp_path: Any) -> None:
    limits = LimitsConfig(log_ins_per_account_and_address=Rate(0.1, 2), log_ins_per_address=Rate(1, 5))
    async with open_house(tmp_path, limits=limits) as house:
        await house.person("alice")

        async def statuses(name: str, address: str, count: int) -> list[int]:
            body = {"userId": name, "password": "wrong horse", "device": {"name": "n", "type": "cli"}}
            client = house.client(address)
            return [(await client.request("POST", "/v1/sessions", body)).status for _ in range(count)]

        assert await statuses("alice", "192.0.2.1", 3) == [401, 401, 429]
        assert await statuses("bob", "192.0.2.1", 3) == [401, 401, 429]
        assert await statuses("alice", "192.0.2.2", 1) == [401]
        assert await statuses("alice", "2001:db8::1", 2) == [401, 401]
        assert await statuses("alice", "2001:db8::2", 1) == [429]
        assert await statuses("alice", "127.0.0.1", 9) == [401] * 9
        house.clock.advance(60)
        assert await statuses("alice", "192.0.2.1", 1) == [401]


async def test_registrations_are_limited_per_address(tmp_path: Any) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(registrations_per_address=Rate(0.01, 2))) as house:
        client = house.client("192.0.2.1")
        replies = [
            await client.request("POST", "/v1/accounts", {"userId": f"user{n}", "password": "correct horse"})
            for n in range(3)
        ]
        assert [reply.status for reply in replies] == [201, 201, 429]
        assert replies[2].json["error"]["retryAfterMs"] == 100_000
        assert replies[2].headers["retry-after"] == "100"


async def test_registration_by_invite(tmp_path: Any) -> None:
    async with open_house(tmp_path, accounts=replace(CHEAP_ACCOUNTS, registration="invite")) as house:
        made = await house.admin().request("POST", "/v1/admin/invites", {"maxUses": 1})
        assert made.status == 201
        body = {"userId": "alice", "password": "correct horse"}
        client = house.client()
        for bad in ({}, {"invite": "guess"}, {"invite": ""}):
            assert (await client.request("POST", "/v1/accounts", body | bad)).code == "forbidden"
        invited = body | {"invite": made.json["token"]}
        assert (await client.request("POST", "/v1/accounts", invited)).status == 201
        assert (await client.request("POST", "/v1/accounts", invited | {"userId": "bob"})).code == "forbidden"


async def test_an_expired_invite_lets_nobody_in(tmp_path: Any) -> None:
    async with open_house(tmp_path, accounts=replace(CHEAP_ACCOUNTS, registration="invite")) as house:
        expires = house.clock.wall_ms() + 60_000
        made = await house.admin().request("POST", "/v1/admin/invites", {"expiresAt": expires, "maxUses": 0})
        house.clock.advance(61)
        body = {"userId": "alice", "password": "correct horse", "invite": made.json["token"]}
        assert (await house.client().request("POST", "/v1/accounts", body)).code == "forbidden"
        past = await house.admin().request("POST", "/v1/admin/invites", {"expiresAt": 1})
        assert past.code == "bad_frame"


async def test_registration_can_be_closed(tmp_path: Any) -> None:
    async with open_house(tmp_path, accounts=replace(CHEAP_ACCOUNTS, registration="closed")) as house:
        body = {"userId": "alice", "password": "correct horse"}
        assert (await house.client().request("POST", "/v1/accounts", body)).code == "forbidden"


async def test_devices_are_listed_in_pages_and_revoked(house: House) -> None:
    alice = await house.person("alice")
    for number in range(3):
        house.clock.advance(1)
        await house.log_in("alice", name=f"phone {number}", type="phone")
    first = await alice.request("GET", "/v1/devices?limit=3")
    assert [device["name"] for device in first.json["items"]] == ["test", "phone 0", "phone 1"]
    assert [device["current"] for device in first.json["items"]] == [True, False, False]
    rest = await alice.request("GET", f"/v1/devices?limit=3&cursor={first.json['nextCursor']}")
    assert [device["name"] for device in rest.json["items"]] == ["phone 2"]
    assert rest.json["nextCursor"] is None
    gone = rest.json["items"][0]["deviceId"]
    await house.connect("alice", gone)
    await house.told()
    assert (await alice.request("DELETE", f"/v1/devices/{gone}")).status == 204
    assert ("alice", gone) in await house.closed()
    assert (await alice.request("DELETE", f"/v1/devices/{gone}")).code == "not_found"
    assert (await alice.request("DELETE", "/v1/devices/a:b")).code == "bad_frame"


async def test_a_device_comes_back_under_its_id(house: House) -> None:
    alice = await house.person("alice")
    device = (await alice.request("GET", "/v1/devices")).json["items"][0]["deviceId"]
    await alice.request("DELETE", "/v1/sessions/current")
    again = alice.having(await house.log_in("alice", id=device))
    devices = (await again.request("GET", "/v1/devices")).json["items"]
    assert [(each["deviceId"], each["loggedIn"]) for each in devices] == [(device, True)]


async def test_recovery_codes_work_once_each(house: House) -> None:
    alice = await house.person("alice")
    former = (await alice.request("POST", "/v1/me/recovery-codes")).json["codes"]
    codes = (await alice.request("POST", "/v1/me/recovery-codes")).json["codes"]
    assert len(set(codes)) == 10
    recovery = {"userId": "alice", "newPassword": "fresh horse 1"}
    for code in (former[0], "guess", codes[0][:-1]):
        assert (await alice.request("POST", "/v1/recover", recovery | {"code": code})).code == "unauthorized"
    assert (await alice.request("POST", "/v1/recover", recovery | {"code": codes[0].upper()})).status == 204
    assert (await alice.request("GET", "/v1/me")).code == "unauthorized"
    assert (await alice.request("POST", "/v1/recover", recovery | {"code": codes[0]})).code == "unauthorized"
    assert await house.log_in("alice", "fresh horse 1")


async def test_an_export_holds_what_is_the_users(house: House) -> None:
    alice = await house.person("alice")
    bob = await house.person("bob")
    await alice.request("PUT", "/v1/contacts/bob")
    await alice.request("POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]})
    for number in range(3):
        body = {"clientMessageId": f"m{number}", "to": "alice", "contentType": "text", "content": f"note {number}"}
        await bob.request("POST", "/v1/messages", body)
    reply = await alice.request("GET", "/v1/me/export")
    assert "attachment" in reply.headers["content-disposition"]
    export = reply.json
    assert export["account"]["userId"] == "alice"
    assert export["contacts"] == ["bob"]
    assert export["blocks"] == []
    assert [group["name"] for group in export["groups"]] == ["Tea"]
    by_id = {each["conversationId"]: each["messages"] for each in export["conversations"]}
    assert [message["content"] for message in by_id["dm:alice:bob"]] == ["note 0", "note 1", "note 2"]
    assert len(by_id) == 2
    text = json.dumps(export)
    assert "password" not in text
    assert alice.token not in text
