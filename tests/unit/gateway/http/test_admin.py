"""Administration over its socket."""

from tests.fakes.house import House


async def test_an_account_is_made_disabled_enabled_and_deleted(house: House) -> None:
    admin = house.admin()
    made = await admin.request("POST", "/v1/admin/users", {"userId": "alice", "displayName": "Alice"})
    assert made.status == 201
    assert len(made.json["password"]) >= 16
    alice = house.client().having(await house.log_in("alice", made.json["password"]))
    assert (await alice.request("GET", "/v1/me")).json["displayName"] == "Alice"

    assert (await admin.request("POST", "/v1/admin/users/alice/disable")).json["disabled"] is True
    assert (await alice.request("GET", "/v1/me")).code == "unauthorized"
    body = {"userId": "alice", "password": made.json["password"], "device": {"name": "n", "type": "cli"}}
    assert (await alice.request("POST", "/v1/sessions", body)).code == "forbidden"
    assert (await alice.request("POST", "/v1/sessions", body | {"password": "wrong horse"})).code == "unauthorized"

    assert (await admin.request("POST", "/v1/admin/users/alice/enable")).json["disabled"] is False
    assert await house.log_in("alice", made.json["password"])
    assert (await admin.request("DELETE", "/v1/admin/users/alice")).status == 204
    assert (await alice.request("POST", "/v1/sessions", body)).code == "unauthorized"
    listed = (await admin.request("GET", "/v1/admin/users")).json["items"]
    assert [(each["userId"], each["deleted"]) for each in listed] == [("alice", True)]
    assert (await admin.request("POST", "/v1/admin/users", {"userId": "alice"})).code == "conflict"


async def test_a_password_is_reset(house: House) -> None:
    alice = await house.person("alice")
    codes = (await alice.request("POST", "/v1/me/recovery-codes")).json["codes"]
    admin = house.admin()
    reset = await admin.request("PUT", "/v1/admin/users/alice/password", {})
    assert (await alice.request("GET", "/v1/me")).code == "unauthorized"
    assert await house.log_in("alice", reset.json["password"])
    recovery = {"userId": "alice", "code": codes[0], "newPassword": "stolen horse"}
    assert (await alice.request("POST", "/v1/recover", recovery)).code == "unauthorized"
    given = await admin.request("PUT", "/v1/admin/users/alice/password", {"password": "chosen horse"})
    assert given.json == {"userId": "alice", "password": ""}
    assert await house.log_in("alice", "chosen horse")


async def test_accounts_are_listed_in_pages(house: House) -> None:
    admin = house.admin()
    for name in ("carol", "alice", "bob"):
        await admin.request("POST", "/v1/admin/users", {"userId": name})
    first = await admin.request("GET", "/v1/admin/users?limit=2")
    rest = await admin.request("GET", f"/v1/admin/users?limit=2&cursor={first.json['nextCursor']}")
    assert [each["userId"] for each in (*first.json["items"], *rest.json["items"])] == ["alice", "bob", "carol"]
    assert rest.json["nextCursor"] is None
    assert "password" not in first.body.decode().lower()


async def test_who_is_not_there_is_not_found(house: House) -> None:
    admin = house.admin()
    for method, target in (
        ("POST", "/v1/admin/users/nobody/disable"),
        ("POST", "/v1/admin/users/nobody/enable"),
        ("DELETE", "/v1/admin/users/nobody"),
        ("DELETE", "/v1/admin/users/NO:BODY"),
    ):
        assert (await admin.request(method, target)).code == "not_found"
    assert (await admin.request("PUT", "/v1/admin/users/nobody/password", {})).code == "not_found"


async def test_the_server_is_watched_and_steered(house: House) -> None:
    admin = house.admin()
    assert (await admin.request("GET", "/v1/admin/stats")).json == {"connections": 0}
    assert (await admin.request("GET", "/metrics")).body == b"cooee_up 1\n"
    assert (await admin.request("PUT", "/v1/admin/log-level", {"level": "debug"})).json == {"level": "debug"}
    assert house.levels == ["debug"]
    assert (await admin.request("PUT", "/v1/admin/log-level", {"level": "loud"})).code == "bad_frame"
    assert (await admin.request("GET", "/readyz")).status == 200
    assert (await admin.request("POST", "/v1/admin/drain")).status == 202
    assert (await admin.request("GET", "/readyz")).code == "unavailable"


async def test_administration_is_not_in_the_public_api(house: House) -> None:
    alice = await house.person("alice")
    for target in ("/v1/admin/users", "/v1/admin/stats", "/v1/admin/drain"):
        assert (await alice.request("GET", target)).status == 404


async def test_many_accounts_are_enrolled_each_with_a_token(house: House) -> None:
    admin = house.admin()
    names = [f"user{n}" for n in range(20)]
    made = await admin.request("POST", "/v1/admin/users/bulk", {"userIds": names, "deviceName": "load"})
    assert made.status == 201
    assert [each["userId"] for each in made.json["items"]] == names
    last = house.client().having(made.json["items"][-1]["token"])
    assert (await last.request("GET", "/v1/me")).json["userId"] == names[-1]
    devices = (await last.request("GET", "/v1/devices")).json["items"]
    assert [each["deviceId"] for each in devices] == [made.json["items"][-1]["deviceId"]]
    assert devices[0]["name"] == "load"


async def test_an_enrolled_account_has_no_password_until_its_operator_sets_one(house: House) -> None:
    admin = house.admin()
    await admin.request("POST", "/v1/admin/users/bulk", {"userIds": ["alice"]})
    body = {"userId": "alice", "password": "guess", "device": {"name": "n", "type": "cli"}}
    assert (await house.client().request("POST", "/v1/sessions", body)).code == "unauthorized"
    given = await admin.request("PUT", "/v1/admin/users/alice/password", {})
    assert await house.log_in("alice", given.json["password"])


async def test_enrolment_makes_all_or_nothing(house: House) -> None:
    admin = house.admin()
    await admin.request("POST", "/v1/admin/users", {"userId": "taken"})
    assert (await admin.request("POST", "/v1/admin/users/bulk", {"userIds": ["new", "taken"]})).code == "conflict"
    for wrong in ([], ["new", "NOT GOOD"], ["new", "new"], [f"u{n}" for n in range(1001)]):
        assert (await admin.request("POST", "/v1/admin/users/bulk", {"userIds": wrong})).code == "bad_frame"
    listed = (await admin.request("GET", "/v1/admin/users")).json["items"]
    assert [each["userId"] for each in listed] == ["taken"]


async def test_a_backup_is_begun_and_watched(house: House) -> None:
    admin = house.admin()
    begun = await admin.request("POST", "/v1/admin/backup", {"file": "/backups/monday.tar"})
    assert begun.status == 202
    assert (await admin.request("GET", "/v1/admin/backup")).json == begun.json
    assert begun.json == {"state": "done", "file": "/backups/monday.tar", "done": 1, "total": 1, "message": ""}
    assert (await admin.request("POST", "/v1/admin/backup", {})).code == "bad_frame"
