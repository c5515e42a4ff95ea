"""Commands that ask the program which has the store: what is asked, told and answered, and what goes wrong."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.cli import at_hand
from cooee.cli.at_hand import NAME, ask, serving, somebody_at_hand
from cooee.cli.errors import NOT_LOGGED_IN, CliError
from cooee.cli.operation import OPERATIONS, Operation, Tell, find_operation
from cooee.client import SendFailed, Stopped


class Wish(msgspec.Struct, frozen=True):
    what: str


class Step(msgspec.Struct, frozen=True):
    at: int


class Program:
    """Stands in for the client of a program that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cancelled = asyncio.Event()


async def _work(client: Any, wish: Wish, tell: Tell) -> str:
    if wish.what == "refuse":
        raise SendFailed("blocked", "no more")
    if wish.what == "stop":
        raise Stopped(4003, "log in again")
    if wish.what == "hang":
        try:
            await asyncio.Event().wait()
        finally:
            client.cancelled.set()
    for at in range(3):
        tell(Step(at))
    return wish.what.upper()


WORK = Operation("work", _work, Wish, str, told=Step)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(at_hand, "find_operation", {"work": WORK}.get)
    return tmp_path


@pytest.fixture
async def program(folder: Path) -> AsyncIterator[Program]:
    one = Program(folder)
    async with serving(one):  # type: ignore[arg-type]  # what is needed of a client
        yield one


async def test_what_is_asked_is_told_and_answered(program: Program) -> None:
    told: list[msgspec.Struct] = []
    assert await ask(program.folder, WORK, Wish("ünïcode"), told.append) == "ÜNÏCODE"
    assert told == [Step(0), Step(1), Step(2)]
    assert await asyncio.to_thread(somebody_at_hand, program.folder)


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_program(folder: Path) -> None:
    (folder / NAME).write_text("left behind by a program that was killed")
    async with serving(Program(folder)):  # type: ignore[arg-type]
        assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert not (folder / NAME).exists()
    assert not somebody_at_hand(folder)
    with pytest.raises(CliError, match="ended just now"):
        await ask(folder, WORK, Wish("x"), lambda _: None)


@pytest.mark.parametrize(("what", "code", "exit_code"), [("refuse", "blocked", 1), ("stop", "unauthorized", 4)])
async def test_what_fails_there_fails_here_alike(program: Program, what: str, code: str, exit_code: int) -> None:
    with pytest.raises(CliError) as problem:
        await ask(program.folder, WORK, Wish(what), lambda _: None)
    assert (problem.value.code, problem.value.exit_code) == (code, exit_code)
    assert NOT_LOGGED_IN == 4


async def test_who_goes_away_is_worked_for_no_more(program: Program) -> None:
    asking = asyncio.create_task(ask(program.folder, WORK, Wish("hang"), lambda _: None))
    await asyncio.sleep(0.05)
    asking.cancel()
    async with asyncio.timeout(5):
        await program.cancelled.wait()


async def test_a_program_that_ends_says_that_nobody_knows(folder: Path) -> None:
    one = Program(folder)
    async with serving(one):  # type: ignore[arg-type]
        asking = asyncio.create_task(ask(folder, WORK, Wish("hang"), lambda _: None))
        await asyncio.sleep(0.05)
    with pytest.raises(CliError, match="ended meanwhile"):
        await asking


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"\xff\n", b"[1]\n", b'{"operation":"work","wish":{}}\n'])
async def test_nonsense_is_answered_by_nothing_or_a_refusal(program: Program, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(program.folder / NAME))
    writer.write(line)
    writer.write_eof()
    answer = await reader.read()
    assert answer == b"" or "error" in json.loads(answer)
    writer.close()
    assert await ask(program.folder, WORK, Wish("x"), lambda _: None) == "X"


async def test_an_operation_that_is_not_known_is_refused(program: Program) -> None:
    newer = Operation("newer", _work, Wish, str)
    with pytest.raises(CliError, match="end it, and try again"):
        await ask(program.folder, newer, Wish("x"), lambda _: None)


async def test_a_long_path_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_hand, "find_operation", {"work": WORK}.get)
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with serving(Program(folder)):  # type: ignore[arg-type]
        assert somebody_at_hand(folder)
        assert await ask(folder, WORK, Wish("x"), lambda _: None) == "X"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_found_by_its_name(name: str) -> None:
    found = find_operation(name)
    assert found is not None
    assert found.name == name
    msgspec.json.Decoder(found.wish)
    msgspec.json.Decoder(found.result)
    if found.told is not None:
        msgspec.json.Decoder(found.told)


def test_no_other_operation_is_found() -> None:
    assert find_operation("rm") is None
