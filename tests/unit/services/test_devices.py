"""Devices: what holds whatever happens at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.app.config import LimitsConfig
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.ports.devices import Device
from cooee.services.devices import Login
from cooee.services.passwords import Passwords, PasswordSettings
from cooee.services.secrets import hash_token
from tests.fakes.clock import ManualClock
from tests.fakes.house import House, open_house

DAY_S = 86_400
PASSWORD = "correct horse"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        await opened.accounts.create("alice", PASSWORD)
        yield opened


def login(password: str = PASSWORD, device_id: str | None = None, name: str = "phone") -> Login:
    return Login("127.0.0.1", "alice", password, name, "phone", device_id)


async def code_of(house: House, token: str) -> ErrorCode | None:
    """Return how ``token`` is refused, or None when it is good."""
    try:
        await house.devices.authenticate(token)
    except CooeeError as refusal:
        return refusal.code
    return None


async def test_a_log_in_makes_a_device_that_starts_where_the_user_is(house: House) -> None:
    token, device = await house.devices.log_in(login())
    assert await house.devices.authenticate(token) == device
    assert device.token_hash == hash_token(token)
    assert await house.store.cursors.device(device.ref, "dm:alice:alice") == 0


async def test_a_revoked_token_ends_at_once_although_it_was_just_used(house: House) -> None:
    token, device = await house.devices.log_in(login())
    other, _ = await house.devices.log_in(login())
    assert await code_of(house, token) is None
    await house.devices.revoke(device.ref, device.device_id)
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED
    assert await code_of(house, other) is None
    assert await house.store.devices.find(device.ref) is None


async def test_a_log_out_keeps_the_device_for_later(house: House) -> None:
    token, device = await house.devices.log_in(login())
    await house.connect("alice", device.device_id)
    await house.told()
    await house.devices.log_out(device.ref)
    assert await house.closed() == [("alice", device.device_id)]
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED
    again, same = await house.devices.log_in(login(device_id=device.device_id))
    assert same.device_id == device.device_id
    assert await code_of(house, again) is None


async def test_a_device_that_logs_in_again_ends_its_former_token(house: House) -> None:
    """So a client whose answer was lost can ask again."""
    token, device = await house.devices.log_in(login())
    again, _ = await house.devices.log_in(login(device_id=device.device_id))
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED
    assert await code_of(house, again) is None


@pytest.mark.parametrize("device_id", ["0123456789", "", "a:b", "x" * 40, "a\x00b"])
async def test_an_id_that_is_not_the_users_logs_nobody_in(house: House, device_id: str) -> None:
    with pytest.raises(CooeeError) as refusal:
        await house.devices.log_in(login(device_id=device_id))
    assert refusal.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(CooeeError) as refusal:
        await house.devices.log_in(login("wrong horse", device_id))
    assert refusal.value.code is ErrorCode.UNAUTHORIZED


async def test_a_token_is_looked_up_once_and_again_after_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    token, _ = await house.devices.log_in(login())
    lookups = []
    find = house.store.devices.find_by_token

    async def counted(token_hash: bytes) -> Device | None:
        lookups.append(token_hash)
        return await find(token_hash)

    monkeypatch.setattr(house.store.devices, "find_by_token", counted)
    for _ in range(3):
        await house.devices.authenticate(token)
    assert len(lookups) == 1
    house.clock.advance(6)
    await house.devices.authenticate(token)
    assert len(lookups) == 2


async def test_a_look_up_that_a_revocation_overtakes_is_not_remembered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, device = await house.devices.log_in(login())
    find = house.store.devices.find_by_token

    async def slow(token_hash: bytes) -> Device | None:
        found = await find(token_hash)
        await house.devices.revoke(device.ref, device.device_id)
        return found

    monkeypatch.setattr(house.store.devices, "find_by_token", slow)
    await house.devices.authenticate(token)
    monkeypatch.setattr(house.store.devices, "find_by_token", find)
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED


async def test_an_idle_device_ends_and_one_in_use_does_not(house: House) -> None:
    token, _ = await house.devices.log_in(login(name="idle"))
    used, device = await house.devices.log_in(login(name="used"))
    for _ in range(7):
        house.clock.advance(13 * DAY_S)
        await house.devices.authenticate(used)
        await house.devices.tend()
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED
    assert await code_of(house, used) is None
    assert [each.ref for each in await house.devices.of_user("alice")] == [device.ref]


async def test_an_idle_token_is_refused_before_anybody_tidies_up(house: House) -> None:
    token, _ = await house.devices.log_in(login())
    house.clock.advance(91 * DAY_S)
    assert await code_of(house, token) is ErrorCode.UNAUTHORIZED


async def test_a_connected_device_is_not_idle(house: House) -> None:
    token, device = await house.devices.log_in(login())
    await house.connect("alice", device.device_id)
    house.clock.advance(91 * DAY_S)
    assert await house.devices.tend() == 0
    assert await code_of(house, token) is None


async def test_a_clock_that_jumps_ahead_ends_nothing(house: House) -> None:
    token, _ = await house.devices.log_in(login())
    house.clock.advance(3600)
    house.clock.jump_wall(house.clock.wall_ms() + 400 * DAY_S * 1000)
    assert await house.devices.tend() == 0
    house.clock.advance(6)
    assert await code_of(house, token) is None


async def test_a_clock_that_was_wrong_at_boot_ends_nothing_until_it_is_set(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.accounts.create("alice", PASSWORD)
        await house.devices.log_in(login())
    clock = ManualClock(ManualClock().wall_ms() + 400 * DAY_S * 1000)
    async with open_house(tmp_path, clock=clock) as house:
        clock.advance(30)
        assert await house.devices.tend() == 0
        clock.jump_wall(ManualClock().wall_ms() + 60_000)
        clock.advance(3600)
        assert await house.devices.tend() == 0
        assert len(await house.devices.of_user("alice")) == 1


async def test_a_full_account_loses_the_device_longest_unseen_logged_out_ones_first(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=LimitsConfig(devices_per_user=3)) as house:
        await house.accounts.create("alice", PASSWORD)
        made = []
        for number in range(3):
            house.clock.advance(1)
            made.append((await house.devices.log_in(login(name=f"d{number}")))[1])
        await house.devices.log_out(made[2].ref)
        house.clock.advance(1)
        await house.devices.log_in(login(name="d3"))
        assert [device.name for device in await house.devices.of_user("alice")] == ["d0", "d1", "d3"]
        house.clock.advance(1)
        await house.devices.log_in(login(name="d4"))
        assert [device.name for device in await house.devices.of_user("alice")] == ["d1", "d3", "d4"]


async def test_a_password_changed_during_a_log_in_takes_it_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the old password must not keep a session that began a moment before the change."""
    verify = house.passwords.verify

    async def overtaken(password_hash: str, password: str) -> bool:
        matched = await verify(password_hash, password)
        monkeypatch.setattr(house.passwords, "verify", verify)
        await house.accounts.reset_password("alice", "fresh horse 1")
        return matched

    monkeypatch.setattr(house.passwords, "verify", overtaken)
    with pytest.raises(CooeeError) as refusal:
        await house.devices.log_in(login())
    assert refusal.value.code is ErrorCode.UNAUTHORIZED
    assert all(not device.token_hash for device in await house.devices.of_user("alice"))


async def test_log_ins_and_password_changes_in_any_order_leave_no_old_session(house: House) -> None:
    _, keeper = await house.devices.log_in(login())
    old = PASSWORD
    for turn in range(10):
        new = f"fresh horse {turn}"
        attempts = [house.devices.log_in(login(old)) for _ in range(2)]
        change = house.accounts.change_password(keeper.ref, old, new)
        work = [attempts[0], change, attempts[1]] if turn % 2 else [*attempts, change]
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        tokens = [outcome[0] for outcome in outcomes if isinstance(outcome, tuple)]
        assert [await code_of(house, token) for token in tokens] == [ErrorCode.UNAUTHORIZED] * len(tokens)
        old = new
        house.clock.advance(60)


async def test_a_log_in_renews_an_outdated_hash(house: House) -> None:
    house.devices._passwords = Passwords(PasswordSettings(time_cost=2, memory_kib=8, threads=2))
    outcomes = await asyncio.gather(*(house.devices.log_in(login()) for _ in range(3)))
    assert [await code_of(house, token) for token, _ in outcomes] == [None] * 3
    account = await house.store.accounts.find("alice")
    assert account is not None
    assert ",t=2," in account.password_hash
    house.devices._passwords.close()


async def test_renewing_a_hash_never_undoes_a_change(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    renewing = house.devices._passwords = Passwords(PasswordSettings(time_cost=2, memory_kib=8, threads=2))
    make = renewing.hash

    async def overtaken(password: str) -> str:
        made = await make(password)
        await house.accounts.reset_password("alice", "fresh horse 1")
        return made

    monkeypatch.setattr(renewing, "hash", overtaken)
    with pytest.raises(CooeeError):
        await house.devices.log_in(login())
    account = await house.store.accounts.find("alice")
    assert account is not None
    assert await renewing.verify(account.password_hash, "fresh horse 1")
    renewing.close()


def _stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_no_secret_is_in_the_files(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.accounts.create("alice", PASSWORD)
        token, _ = await house.devices.log_in(login())
        codes = await house.accounts.new_recovery_codes("alice")
        invite = await house.accounts.invite(0, 1)
    stored = _stored(tmp_path)
    assert b"alice" in stored
    for secret in (token, PASSWORD, invite, codes[0], codes[0].replace("-", "")):
        assert secret.encode() not in stored


async def test_other_devices_hear_of_a_new_one(house: House) -> None:
    _, first = await house.devices.log_in(login())
    await house.connect("alice", first.device_id)
    await house.told()
    _, second = await house.devices.log_in(login())
    told = [item for item in await house.told() if item.except_device == second.ref]
    assert b'"changed":"devices"' in told[0].frame
