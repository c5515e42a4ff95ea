"""Everything that was answered survives ``kill -9``, not messages alone: accounts, devices, groups, settings, blobs.

Each change is a generator: up to its first ``yield`` it prepares, up to the second it changes something and has the
answer, and then it looks whether that is so. All change at the same time, and the server dies in between.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from tests.fakes.device_keys import identity, publication
from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Http, Refused
from tests.integration.scene import PASSWORD, Person, Scene, dm, numbers
from tests.integration.sealed import Sealed

pytestmark = pytest.mark.crash
Change = Callable[[Scene], AsyncIterator[None]]


async def log_in(scene: Scene, user_id: str, password: str = PASSWORD) -> Http:
    body = {"userId": user_id, "password": password, "device": {"name": "other"}}
    return Http(scene.wire, (await scene.http("POST", "/v1/sessions", body))["token"])


async def is_refused(http: Http, path: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        await http("GET", path)
    assert refused.value.status == status


async def group_of(owner: Person, *members: Person) -> str:
    body = {"name": "Friends", "memberIds": [member.user_id for member in members]}
    return str((await owner.http("POST", "/v1/groups", body))["conversationId"])


async def members_of(person: Person, group: str) -> dict[str, str]:
    found = await person.http("GET", f"/v1/groups/{group}")
    return {one["userId"]: one["role"] for one in found["members"]}


async def registering(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.http("POST", "/v1/accounts", {"userId": "newcomer", "password": PASSWORD})
    yield
    assert (await (await log_in(scene, "newcomer"))("GET", "/v1/me"))["userId"] == "newcomer"


async def logging_in(scene: Scene) -> AsyncIterator[None]:
    (alice,) = await scene.people("alice")
    yield
    http = await log_in(scene, alice.user_id)
    yield
    assert len((await http("GET", "/v1/devices"))["items"]) == 2


async def logging_out(scene: Scene) -> AsyncIterator[None]:
    (alice,) = await scene.people("alice")
    yield
    await alice.http("DELETE", "/v1/sessions/current")
    yield
    await is_refused(alice.http, "/v1/me", 401)


async def revoking_a_device(scene: Scene) -> AsyncIterator[None]:
    (alice,) = await scene.people("alice")
    first, first_id = alice.http, alice.device_id
    second = await alice.log_in()
    yield
    await second("DELETE", f"/v1/devices/{first_id}")
    yield
    await is_refused(first, "/v1/me", 401)
    assert len((await second("GET", "/v1/devices"))["items"]) == 1


async def changing_a_password(scene: Scene) -> AsyncIterator[None]:
    (alice,) = await scene.people("alice")
    other = await alice.log_in()
    yield
    await alice.http("PUT", "/v1/me/password", {"currentPassword": PASSWORD, "newPassword": "another battery"})
    yield
    await log_in(scene, alice.user_id, "another battery")
    await is_refused(other, "/v1/me", 401)
    with pytest.raises(Refused):
        await log_in(scene, alice.user_id)


async def deleting_an_account(scene: Scene) -> AsyncIterator[None]:
    (alice,) = await scene.people("alice")
    yield
    await alice.http("DELETE", "/v1/me", {"password": PASSWORD})
    yield
    await is_refused(alice.http, "/v1/me", 401)
    with pytest.raises(Refused):
        await log_in(scene, alice.user_id)


async def changing_a_profile(scene: Scene) -> AsyncIterator[None]:
    alice, bob = await scene.people("alice", "bob")
    yield
    await alice.http("PATCH", "/v1/me", {"displayName": "Alice in town"})
    yield
    assert (await bob.http("GET", f"/v1/users/{alice.user_id}"))["displayName"] == "Alice in town"


async def knowing_and_blocking(scene: Scene) -> AsyncIterator[None]:
    alice, bob, carol = await scene.people("alice", "bob", "carol")
    yield
    await alice.http("PUT", f"/v1/contacts/{bob.user_id}")
    await alice.http("PUT", f"/v1/blocks/{carol.user_id}")
    yield
    assert [one["userId"] for one in (await alice.http("GET", "/v1/contacts"))["items"]] == [bob.user_id]
    body = {"to": alice.user_id, "clientMessageId": "m", "contentType": "text", "content": "hello"}
    with pytest.raises(Refused) as refused:
        await carol.http("POST", "/v1/messages", body)
    assert refused.value.code == "blocked"


async def pinning(scene: Scene) -> AsyncIterator[None]:
    alice, bob = await scene.people("alice", "bob")
    await (await bob.connect()).say(dm(alice, bob), "hello")
    yield
    await alice.http("PATCH", f"/v1/conversations/{dm(alice, bob)}", {"pinned": True, "mutedUntil": -1})
    yield
    found = await alice.conversation(dm(alice, bob))
    assert (found["pinned"], found["mutedUntil"]) == (True, -1)


async def reading(scene: Scene) -> AsyncIterator[None]:
    alice, bob = await scene.people("alice", "bob")
    await (await bob.connect()).say(dm(alice, bob), "hello")
    peer = await alice.connect()
    yield
    await peer.ask("read", conversationId=dm(alice, bob), sequenceNumber=1)
    yield
    found = await alice.conversation(dm(alice, bob))
    assert (found["receivedSequenceNumber"], found["readSequenceNumber"], found["unread"]) == (1, 1, 0)


async def deleting_a_message(scene: Scene) -> AsyncIterator[None]:
    alice, bob = await scene.people("alice", "bob")
    await (await bob.connect()).say(dm(alice, bob), "a mistake")
    yield
    await bob.http("DELETE", f"/v1/conversations/{dm(alice, bob)}/messages/1")
    yield
    deleted, told = await alice.history(dm(alice, bob))
    assert (deleted["contentType"], "content" in deleted) == ("deleted", False)
    assert told["content"]["event"] == "message_deleted"


async def founding_a_group(scene: Scene) -> AsyncIterator[None]:
    olga, mona = await scene.people("olga", "mona")
    yield
    group = await group_of(olga, mona)
    yield
    assert await members_of(mona, group) == {olga.user_id: "owner", mona.user_id: "member"}
    assert numbers(await mona.history(group)) == [1]


async def adding_a_member(scene: Scene) -> AsyncIterator[None]:
    olga, mona, nina = await scene.people("olga", "mona", "nina")
    group = await group_of(olga, mona)
    yield
    await olga.http("POST", f"/v1/groups/{group}/members", {"userIds": [nina.user_id]})
    yield
    assert nina.user_id in await members_of(nina, group)
    assert numbers(await nina.history(group)) == [2]


async def removing_a_member(scene: Scene) -> AsyncIterator[None]:
    olga, mona = await scene.people("olga", "mona")
    group = await group_of(olga, mona)
    yield
    await olga.http("DELETE", f"/v1/groups/{group}/members/{mona.user_id}")
    yield
    assert await members_of(olga, group) == {olga.user_id: "owner"}
    await is_refused(mona.http, f"/v1/groups/{group}", 403)
    assert numbers(await mona.history(group)) == [1, 2]


async def handing_a_group_over(scene: Scene) -> AsyncIterator[None]:
    olga, mona = await scene.people("olga", "mona")
    group = await group_of(olga, mona)
    yield
    await olga.http("PUT", f"/v1/groups/{group}/members/{mona.user_id}/role", {"role": "owner"})
    yield
    assert (await members_of(olga, group))[mona.user_id] == "owner"
    assert (await olga.history(group))[-1]["content"]["event"] == "owner_changed"


async def joining_by_invitation(scene: Scene) -> AsyncIterator[None]:
    olga, mona = await scene.people("olga", "mona")
    group = await group_of(olga)
    invite = await olga.http("POST", f"/v1/groups/{group}/invite", {"maxUses": 1})
    yield
    await mona.http("POST", "/v1/join", {"token": invite["token"]})
    yield
    assert mona.user_id in await members_of(mona, group)
    (late,) = await scene.people("late")
    with pytest.raises(Refused):
        await late.http("POST", "/v1/join", {"token": invite["token"]})


async def inviting(scene: Scene) -> AsyncIterator[None]:
    olga, mona = await scene.people("olga", "mona")
    group = await group_of(olga)
    yield
    invite = await olga.http("POST", f"/v1/groups/{group}/invite", {})
    yield
    await mona.http("POST", "/v1/join", {"token": invite["token"]})
    assert mona.user_id in await members_of(mona, group)


async def handing_blobs_to_devices(scene: Scene) -> AsyncIterator[None]:
    alice, bob = await scene.people("alice", "bob")
    a = await alice.connect()
    await a.say(dm(alice, bob), "hello")
    batches = [[{"userId": bob.user_id, "deviceId": bob.device_id, "content": f"blob{number}"}] for number in range(3)]
    yield
    for number, batch in enumerate(batches):
        assert (await a.ask("to_device", clientMessageId=f"b{number}", messages=batch))["type"] == "ack"
    yield
    again = await alice.connect()
    await again.ask("to_device", clientMessageId="b1", messages=batches[1])
    b = await bob.ready()
    await b.settle()
    assert [one["content"] for one in b.take("to_device")] == ["blob0", "blob1", "blob2"]


async def publishing_keys(scene: Scene) -> AsyncIterator[None]:
    bob = Sealed(await scene.person("bob"))
    await bob.device(linked=False, keys=False)
    yield
    await bob.person.http("PUT", "/v1/keys", publication(bob.first))
    yield
    status = await bob.person.http("GET", "/v1/keys/status")
    assert (status["identityKey"], status["oneTimePreKeys"]) == (identity(bob.first), 3)


async def signing_a_device_list(scene: Scene) -> AsyncIterator[None]:
    bob = Sealed(await scene.person("bob"))
    await bob.device(linked=False)
    yield
    await bob.link(bob.first)
    yield
    assert (await bob.person.http("GET", "/v1/keys/status"))["listed"]


CHANGES: tuple[Change, ...] = (
    registering,
    logging_in,
    logging_out,
    revoking_a_device,
    changing_a_password,
    deleting_an_account,
    changing_a_profile,
    knowing_and_blocking,
    pinning,
    reading,
    deleting_a_message,
    founding_a_group,
    adding_a_member,
    removing_a_member,
    handing_a_group_over,
    joining_by_invitation,
    inviting,
    handing_blobs_to_devices,
    publishing_keys,
    signing_a_device_list,
)


@pytest.mark.parametrize("transport", ["websocket"])
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_was_answered_is_so_after_a_crash(new_scene: NewScene, new_server: NewServer, seed: int) -> None:
    dice = random.Random(seed)
    scene = new_scene(new_server())
    changes = [change(scene) for change in dice.sample(CHANGES, len(CHANGES))]
    for change in changes:
        await anext(change)
    working = [asyncio.ensure_future(anext(change)) for change in changes]
    answered = dice.randint(1, len(CHANGES))
    while sum(one.done() for one in working) < answered:
        await asyncio.wait([one for one in working if not one.done()], return_when=asyncio.FIRST_COMPLETED)
    assert not [one.exception() for one in working if one.done() and one.exception()]
    scene.server.kill9()
    done = await asyncio.gather(*working, return_exceptions=True)
    await scene.restart()
    for change, outcome in zip(changes, done, strict=True):
        if not isinstance(outcome, BaseException):
            assert await anext(change, "checked") == "checked"
    assert sum(not isinstance(outcome, BaseException) for outcome in done) >= answered
