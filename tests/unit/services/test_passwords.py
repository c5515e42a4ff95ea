"""Password hashes."""

import asyncio
from collections.abc import Iterator

import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.services.passwords import MAX_PASSWORD, Passwords, PasswordSettings
from tests.fakes.house import CHEAP


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_a_hash_is_argon2id_and_fits_its_password_only(passwords: Passwords) -> None:
    made = await passwords.hash("correct horse")
    assert made.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await passwords.hash("correct horse") != made
    assert await passwords.verify(made, "correct horse")
    for wrong in ("correct horse ", "Correct horse", "", "x" * 5000, "correct\x00horse"):
        assert not await passwords.verify(made, wrong)


async def test_the_same_letters_are_the_same_password_on_every_keyboard(passwords: Passwords) -> None:
    composed, decomposed = "caf\u00e9 horse", "cafe\u0301 horse"
    assert await passwords.verify(await passwords.hash(composed), decomposed)


@pytest.mark.parametrize("broken", ["", "$argon2id$", "plain", "$2b$12$abcdefghijklmnopqrstuv", "\x00"])
async def test_nothing_fits_what_is_no_hash(passwords: Passwords, broken: str) -> None:
    assert not await passwords.verify(broken, "nobody has this password")
    assert passwords.outdated(broken)


async def test_without_a_hash_as_much_is_computed(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is such a user does not show in the work that is done."""
    computed: list[str | None] = []
    compute = passwords._compute

    def counted(password: str, password_hash: str | None) -> str:
        computed.append(password_hash)
        return compute(password, password_hash)

    made = await passwords.hash("correct horse")
    monkeypatch.setattr(passwords, "_compute", counted)
    for stored in (made, ""):
        await passwords.verify(stored, "wrong horse")
    parameters = [stored.rsplit("$", 2)[0] for stored in computed if stored]
    assert parameters == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


async def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    stronger = Passwords(PasswordSettings(time_cost=2, memory_kib=16))
    made = await passwords.hash("correct horse")
    assert not passwords.outdated(made)
    assert stronger.outdated(made)
    assert await stronger.verify(made, "correct horse")
    stronger.close()


async def test_the_queue_is_bounded_and_free_again() -> None:
    passwords = Passwords(PasswordSettings(time_cost=1, memory_kib=8, threads=1, max_waiting=1))
    outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(5)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, CooeeError)]
    assert len(refused) == 3
    assert {each.code for each in refused} == {ErrorCode.UNAVAILABLE}
    await asyncio.sleep(0)
    assert await passwords.hash("correct horse")
    passwords.close()


async def test_work_that_nobody_waits_for_frees_its_place_when_done() -> None:
    passwords = Passwords(PasswordSettings(time_cost=1, memory_kib=8, threads=1, max_waiting=0))
    given_up = asyncio.create_task(passwords.hash("correct horse"))
    await asyncio.sleep(0)
    given_up.cancel()
    for _ in range(1000):
        await asyncio.sleep(0.001)
        if passwords._pending == 0:
            break
    assert await passwords.hash("correct horse")
    passwords.close()


@pytest.mark.parametrize("password", ["", "short", "x" * (MAX_PASSWORD + 1), "alice.liddell", "Alice.Liddell"])
def test_new_passwords_are_neither_short_nor_endless_nor_the_name(passwords: Passwords, password: str) -> None:
    with pytest.raises(CooeeError) as refusal:
        passwords.check(password, "alice.liddell")
    assert refusal.value.code is ErrorCode.BAD_FRAME
