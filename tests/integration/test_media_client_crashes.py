"""``kill -9`` of a client in the middle of an upload: the next start goes on, and the message comes once."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from cooee.client import Message, log_in
from cooee.client.store import Store
from cooee.client.store_key import open_key
from tests.integration.harness import ROOT, ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, House, new_user

MIB = 1024 * 1024
SETTINGS = {"MEDIA_PART_BYTES": str(5 * MIB)}
PROGRAM = Path(__file__).with_name("uploading_client.py")

pytestmark = [pytest.mark.slow, pytest.mark.crash]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        return (await process.stdout.readline()).decode().strip()


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


@pytest.mark.parametrize("encryption", ["off", "on"])
@pytest.mark.parametrize(("size", "seed"), [(4 * MIB, 1), (4 * MIB, 2), (17 * MIB, 3), (17 * MIB, 4)])
async def test_a_client_killed_in_an_upload_sends_its_message_once(
    server: ServerProcess, tmp_path: Path, size: int, seed: int, encryption: str
) -> None:
    dice = random.Random(seed)
    alice, bob = [await new_user(server.url, name) for name in ("alice", "bob")]
    await log_in(server.url, alice, PASSWORD, store=tmp_path / alice)
    path = tmp_path / "film.bin"
    path.write_bytes(dice.randbytes(size))
    async with House(tmp_path, encryption=encryption) as house:
        person = await house.enter(server.url, bob)
        if encryption == "on":
            await person.client.linked(WAIT_S)
        process = await start(server.url, str(tmp_path / alice), bob, str(path), encryption)
        for _ in range(dice.randint(1, size // MIB)):
            await line(process)
        await kill(process)
        for _ in range(2):
            process = await start(server.url, str(tmp_path / alice), bob, "", encryption)
            await line(process)
            await asyncio.sleep(dice.random() / 10)
            await kill(process)
        process = await start(server.url, str(tmp_path / alice), bob, "", encryption)
        message = await person.hears(Message)
        await person.client.download(message, tmp_path / "came")
        assert len(person.messages(message.conversation_id)) == 1
        await kill(process)
    store = Store(tmp_path / alice, open_key(tmp_path / alice))
    assert not store.uploads()
    store.close()
    assert message.encrypted == (encryption == "on")
    assert (tmp_path / "came").read_bytes() == path.read_bytes()
