"""Backups of a running server, under load and interrupted, and what is there after a restore."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import ServerProcess
from tests.integration.people import House, new_user
from tests.integration.scene import Scene, dm, numbers
from tests.integration.terminals import whole

NewServer = Callable[..., ServerProcess]
NewScene = Callable[[ServerProcess], Scene]


@pytest.fixture(params=["websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """Who talks to the server is of no account here."""
    return str(request.param)


def backups(folder: Path) -> list[str]:
    """Return what a backup, or a failed one, left in a folder."""
    return [path.name for path in folder.glob("backup*")]


async def admin(*arguments: str | Path, code: int = 0) -> str:
    """Run ``cooee admin`` beside the test, and return what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cooee", "admin", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=whole({}),
    )
    written, _ = await process.communicate()
    assert process.returncode == code, written.decode()
    return written.decode()


@pytest.mark.slow
async def test_all_that_was_acknowledged_before_a_backup_is_in_it(
    new_server: NewServer, new_scene: NewScene, tmp_path: Path
) -> None:
    server = new_server()
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    chat = dm(alice, bob)
    at_alice = await alice.ready()
    acked: list[int] = []
    enough = asyncio.Event()

    async def write() -> None:
        while True:
            ack = await at_alice.say(chat, f"message {len(acked) + 1} " + "x" * 2000)
            acked.append(ack["sequenceNumber"])
            if len(acked) >= 300:
                enough.set()

    writing = asyncio.create_task(write())
    await enough.wait()
    before, file = len(acked), tmp_path / "backup.tar"
    told = json.loads(await admin("--data-dir", server.data, "backup", file, "--json"))
    during = len(acked)
    writing.cancel()
    assert during > before, "sends were held up"
    assert told == {"type": "backup", "file": str(file), "bytes": file.stat().st_size}
    await scene.aclose()

    restored = ServerProcess(tmp_path / "restored")
    restored.folder.mkdir()
    await admin("restore", file, "--data-dir", restored.data)
    with restored:
        scene.wire.url = restored.url
        await scene.wire.renew()
        history = await alice.history(chat)
        assert numbers(history) == list(range(1, len(history) + 1))
        texts = [message["content"].partition(" x")[0] for message in history if message["contentType"] == "text"]
        assert texts == [f"message {n}" for n in range(1, len(texts) + 1)]
        assert before <= len(texts) <= during + 1
        again = await (await alice.ready()).say(chat, "and on it goes")
        assert again["sequenceNumber"] == len(history) + 1
        await scene.aclose()


@pytest.mark.crash
@pytest.mark.parametrize("at", ["backup.tar.partial-store", "backup.tar.partial"])
async def test_a_server_killed_in_a_backup_leaves_no_half_file(new_server: NewServer, tmp_path: Path, at: str) -> None:
    server = new_server()
    with (server.data / "ballast.bin").open("wb") as ballast:
        os.truncate(ballast.fileno(), 256 * 1024 * 1024)  # sparse: it takes time to back up, and no room
    file = tmp_path / "backup.tar"
    asking = asyncio.create_task(admin("--data-dir", server.data, "backup", file, code=1))
    while not (tmp_path / at).exists():
        assert not asking.done(), asking.result()
        time.sleep(0.0005)  # noqa: ASYNC251  # it is there for a moment only
        await asyncio.sleep(0)
    server.kill9()
    assert not file.exists()
    told = await asking
    assert "no backup" in told or "does not answer" in told

    (server.data / "ballast.bin").unlink()
    server.start()
    await admin("--data-dir", server.data, "backup", file)
    assert backups(tmp_path) == ["backup.tar"]


async def test_one_backup_at_a_time(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    with (server.data / "ballast.bin").open("wb") as ballast:
        os.truncate(ballast.fileno(), 256 * 1024 * 1024)
    first = asyncio.create_task(admin("--data-dir", server.data, "backup", tmp_path / "first.tar"))
    while not (tmp_path / "first.tar.partial").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert "runs already" in await admin("--data-dir", server.data, "backup", tmp_path / "second.tar", code=1)
    await first
    assert not (tmp_path / "second.tar").exists()


async def test_a_server_that_stops_ends_its_backup(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    with (server.data / "ballast.bin").open("wb") as ballast:
        os.truncate(ballast.fileno(), 1024 * 1024 * 1024)
    asking = asyncio.create_task(admin("--data-dir", server.data, "backup", tmp_path / "backup.tar", code=1))
    while not (tmp_path / "backup.tar.partial").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert server.stop() == 0
    await asking
    assert backups(tmp_path) == []


async def test_where_a_backup_cannot_be_written_is_told(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    told = await admin("--data-dir", server.data, "backup", tmp_path / "nowhere" / "backup.tar", code=1)
    assert "there is no folder" in told


async def test_a_client_that_comes_back_to_a_restored_server_reads_everything_anew(
    new_server: NewServer, new_scene: NewScene, tmp_path: Path
) -> None:
    server = new_server()
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    first = await alice.connect()
    token = (await first.caught_up())["syncToken"]
    await first.leave()
    file = tmp_path / "backup.tar"
    await alice.http("PUT", f"/v1/contacts/{bob.user_id}")
    same = await alice.ready(syncToken=token)
    token = (await same.expect("account", changed="account"))["syncToken"]
    await same.leave()
    await admin("--data-dir", server.data, "backup", file)
    assert server.stop() == 0
    await admin("restore", file, "--data-dir", server.data, "--force")
    server.start()
    await scene.wire.renew()
    again = await alice.connect(syncToken=token)
    told = await again.expect("account", changed="everything")
    await again.caught_up()
    await again.leave()
    once_more = await alice.ready(syncToken=told["syncToken"])
    assert once_more.take("account") == []


async def test_the_doctor_looks_at_a_running_server(new_server: NewServer) -> None:
    server = new_server()
    told = [json.loads(line) for line in (await admin("--data-dir", server.data, "doctor", "--json")).splitlines()]
    assert {one["check"]: one["text"] for one in told if one["check"] in ("server", "store")} == {
        "server": "it runs, and clients are welcome",
        "store": "the store is sound (examined quickly, because the server runs)",
    }
    assert [one for one in told if one["level"] == "problem"] == []


@pytest.mark.crash
async def test_what_was_acknowledged_before_a_kill_is_in_a_backup_made_afterwards(
    new_server: NewServer, new_scene: NewScene, tmp_path: Path
) -> None:
    server = new_server()
    scene = new_scene(server)
    alice, bob = await scene.people("alice", "bob")
    at_alice = await alice.ready()
    for number in range(20):
        await at_alice.say(dm(alice, bob), f"message {number}")
    server.kill9()  # what was acknowledged stands in the write-ahead log
    await scene.aclose()
    told = json.loads(
        await admin("--data-dir", server.data, "backup", tmp_path / "backup.tar", "--json"),
    )
    assert told["bytes"] > 0
    restored = json.loads(await admin("restore", tmp_path / "backup.tar", "--data-dir", tmp_path / "new", "--json"))
    assert restored["rows"]["message"] >= 20
    assert restored["rows"]["account"] == 2


async def test_clients_that_know_more_than_a_restored_server_live_on(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server()
    async with House(tmp_path / "people") as house:
        alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
        alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)

        async def talk(*texts: str) -> None:
            for text in texts:
                await alice.client.send_text(bob_id, text)
                await bob.reads(text)

        await talk("one", "two")
        await admin("--data-dir", server.data, "backup", tmp_path / "backup.tar")
        await talk("lost three", "lost four")
        server.kill9()
        await admin("restore", tmp_path / "backup.tar", "--data-dir", server.data, "--force")
        server.start()
        for number in range(3, 9):
            await alice.client.send_text(bob_id, f"new {number}")
        for number in range(5, 9):  # 3 and 4 carry numbers that bob has seen
            await bob.reads(f"new {number}")
        await bob.client.send_text(alice_id, "and back")
        await alice.reads("and back")
