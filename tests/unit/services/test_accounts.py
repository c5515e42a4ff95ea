"""Accounts: what holds beyond what the HTTP tests show."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.services.devices import Login
from tests.fakes.house import House, open_house

PASSWORD = "correct horse"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def log_in(house: House, user_id: str, password: str = PASSWORD) -> tuple[str, DeviceRef]:
    token, device = await house.devices.log_in(Login("127.0.0.1", user_id, password, "phone", "phone"))
    return token, device.ref


async def is_good(house: House, token: str) -> bool:
    try:
        await house.devices.authenticate(token)
    except CooeeError:
        return False
    return True


async def test_of_two_who_want_a_name_one_gets_it(house: House) -> None:
    wanted = [house.accounts.register("127.0.0.1", "alice", f"horse number {n}", "", "") for n in range(4)]
    outcomes = await asyncio.gather(*wanted, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, CooeeError)]
    assert len(refused) == 3
    assert {each.code for each in refused} == {ErrorCode.CONFLICT}


async def test_a_recovery_code_is_good_for_one_of_two_at_the_same_moment(house: House) -> None:
    await house.accounts.create("alice", PASSWORD)
    code = (await house.accounts.new_recovery_codes("alice"))[0]
    attempts = [house.accounts.recover("127.0.0.1", "alice", code, f"fresh horse {n}") for n in range(3)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1


async def test_codes_are_the_users_own(house: House) -> None:
    await house.accounts.create("alice", PASSWORD)
    await house.accounts.create("bob", PASSWORD)
    code = (await house.accounts.new_recovery_codes("alice"))[0]
    for user_id in ("bob", "nobody", "NO:BODY"):
        with pytest.raises(CooeeError) as refusal:
            await house.accounts.recover("127.0.0.1", user_id, code, "fresh horse")
        assert refusal.value.code is ErrorCode.UNAUTHORIZED
    await house.accounts.recover("127.0.0.1", "alice", code, "fresh horse")


async def test_a_disabled_account_is_not_recovered_and_keeps_its_code(house: House) -> None:
    await house.accounts.create("alice", PASSWORD)
    code = (await house.accounts.new_recovery_codes("alice"))[0]
    await house.accounts.set_disabled("alice", disabled=True)
    with pytest.raises(CooeeError) as refusal:
        await house.accounts.recover("127.0.0.1", "alice", code, "fresh horse")
    assert refusal.value.code is ErrorCode.UNAUTHORIZED
    await house.accounts.set_disabled("alice", disabled=False)
    await house.accounts.recover("127.0.0.1", "alice", code, "fresh horse")


async def test_a_changed_password_logs_the_other_devices_out(house: House) -> None:
    await house.accounts.create("alice", PASSWORD)
    mine, here = await log_in(house, "alice")
    other, there = await log_in(house, "alice")
    for ref in (here, there):
        await house.connect("alice", ref.device_id)
    await house.told()
    with pytest.raises(CooeeError) as refusal:
        await house.accounts.change_password(here, "wrong horse", "fresh horse")
    assert refusal.value.code is ErrorCode.FORBIDDEN
    await house.accounts.change_password(here, PASSWORD, "fresh horse")
    assert [await is_good(house, token) for token in (mine, other)] == [True, False]
    closed = [item for item in await house.told() if item.kind.name == "CLOSE"]
    assert [(item.frame[:4], item.except_device) for item in closed] == [(b"4003", here)]
    await log_in(house, "alice", "fresh horse")


async def test_guessing_the_present_password_is_limited_wherever_it_comes_from(house: House) -> None:
    """Who has got hold of a token must not find out the password with it."""
    await house.accounts.create("alice", PASSWORD)
    _, ref = await log_in(house, "alice")
    codes = []
    for number in range(12):
        with pytest.raises(CooeeError) as refusal:
            await house.accounts.change_password(ref, f"wrong horse {number}", "fresh horse")
        codes.append(refusal.value.code)
    assert codes == [ErrorCode.FORBIDDEN] * 10 + [ErrorCode.RATE_LIMITED] * 2


async def test_of_two_changes_at_the_same_moment_one_wins(house: House) -> None:
    await house.accounts.create("alice", PASSWORD)
    refs = [(await log_in(house, "alice"))[1] for _ in range(2)]
    changes = [house.accounts.change_password(ref, PASSWORD, f"horse of {n}") for n, ref in enumerate(refs)]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CooeeError", "NoneType"]
    winner = outcomes.index(None)
    await log_in(house, "alice", f"horse of {winner}")


async def test_an_ended_account_is_gone_everywhere(house: House) -> None:
    for user_id in ("alice", "bob"):
        await house.accounts.create(user_id, PASSWORD)
    token, alice = await log_in(house, "alice")
    _, bob = await log_in(house, "bob")
    await house.contacts.put(alice, "contact", "bob")
    group = (await house.groups.create(alice, "Tea", ["bob"])).group.conversation_id
    await house.connect("alice", alice.device_id)
    await house.told()
    await house.accounts.delete("alice")
    assert ("alice", "*") in await house.closed()
    assert not await is_good(house, token)
    account = await house.store.accounts.find("alice")
    assert account is not None
    assert (account.deleted, account.display_name, account.password_hash) == (True, "", "")
    assert list(await house.devices.of_user("alice")) == []
    assert list(await house.store.contacts.contacts("alice", "", 10)) == []
    left = await house.groups.get("bob", group)
    assert (list(left.members), left.owner_id) == (["bob"], "bob")
    with pytest.raises(CooeeError) as refusal:
        await house.profiles.user("alice")
    assert refusal.value.code is ErrorCode.NOT_FOUND
    await house.accounts.delete("alice")
    assert (await house.groups.get("bob", group)).roster_version == left.roster_version
    assert bob.user_id == "bob"


async def test_a_message_to_an_ended_account_is_refused_at_once(house: House) -> None:
    """The cached view of the chat must not outlive the account."""
    alice = await house.person("alice")
    bob = await house.person("bob")
    message = {"clientMessageId": "m1", "to": "bob", "contentType": "text", "content": "hi"}
    assert (await alice.request("POST", "/v1/messages", message)).status == 200
    assert (await bob.request("DELETE", "/v1/me")).status == 204
    again = await alice.request("POST", "/v1/messages", message | {"clientMessageId": "m2"})
    assert (again.status, again.code) == (404, "not_found")
    history = await alice.request("GET", "/v1/conversations/dm:alice:bob/messages")
    assert [each["content"] for each in history.json["messages"]] == ["hi"]
