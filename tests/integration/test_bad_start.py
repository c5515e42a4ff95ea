"""A server that cannot start says why in one sentence, names the file or the address, and changes nothing."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from tests.integration.conftest import NewServer
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.scene import Scene, dm


class Damage(NamedTuple):
    """What happens to a data file, and what the refusal says beside the file's name."""

    do: Callable[[Path], None]
    says: str


def cut(path: Path) -> None:
    """Lose the second half, as a broken copy does."""
    os.truncate(path, path.stat().st_size // 2)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def overwrite_pages(path: Path) -> None:
    """Put noise over the inside of the file; its head stays as it was."""
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 512] = os.urandom(512)
    path.write_bytes(content)


def overwrite_head(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(content)


def become_text(path: Path) -> None:
    path.write_text("Dear diary,\nthis is no database at all.\n" * 100)


def become_short_text(path: Path) -> None:
    path.write_text("hello\n")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def come_from_the_future(path: Path) -> None:
    with apsw.Connection(str(path)) as connection:
        connection.pragma("user_version", connection.pragma("user_version") + 1)
    connection.close()


def belong_to_others(path: Path) -> None:
    """Put another program's database there, in another journal mode than ours."""
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('bread')")
    connection.close()


DAMAGES = {
    "cut in half": Damage(cut, "is damaged"),
    "cut within a page": Damage(cut_within_a_page, "is damaged"),
    "noise in its pages": Damage(overwrite_pages, "is damaged"),
    "noise in its head": Damage(overwrite_head, "is damaged"),
    "a text": Damage(become_text, "is damaged"),
    "a short text": Damage(become_short_text, "is damaged"),
    "a folder": Damage(become_a_folder, "cannot be opened"),
    "of a newer schema": Damage(come_from_the_future, "schema version"),
    "another program's": Damage(belong_to_others, "not a Cooee data file"),
}


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder on which people have talked, and whose server has stopped."""
    server = ServerProcess(tmp_path_factory.mktemp("used")).start()
    asyncio.run(talk(server))
    assert server.stop() == 0
    return server.data


async def talk(server: ServerProcess) -> None:
    scene = Scene(server, "websocket")
    alice, bob = await scene.people("alice", "bob")
    peer = await alice.connect()
    for number in range(100):
        await peer.say(dm(alice, bob), f"{number} " + "x" * 500)
    await scene.aclose()


def refusal(server: ServerProcess) -> str:
    """Return the one sentence with which a server refuses to start."""
    with pytest.raises(ServerEnded) as refused:
        server.start()
    assert refused.value.code == 1
    assert "Traceback" not in refused.value.output
    assert not [entry for entry in server.entries() if entry["level"] != "info"]
    said = [line for line in refused.value.output.splitlines() if not line.startswith("{")]
    assert len(said) == 1, said
    return said[0]


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files of a folder hold, but for the lock."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file() and one.name != "cooee.lock"}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_data_file_is_named_and_left_alone(tmp_path: Path, used_folder: Path, name: str) -> None:
    damage = DAMAGES[name]
    server = ServerProcess(tmp_path)
    copy_folder(used_folder, server.data)
    file = server.data / "cooee.db"
    damage.do(file)
    before = contents(server.data)
    said = refusal(server)
    assert str(file) in said
    assert damage.says in said
    after = contents(server.data)
    assert {one: after[one] for one in before} == before, "the evidence is for whoever repairs it"
    assert {one for one in after if one not in before} <= {"cooee.db-wal", "cooee.db-shm"}


def copy_folder(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for one in source.iterdir():
        if one.is_file():
            (target / one.name).write_bytes(one.read_bytes())


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.data.write_text("not a folder")
    said = refusal(server)
    assert str(server.data) in said


def test_a_used_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = ServerProcess(tmp_path, port=port)
        said = refusal(server)
        assert f"127.0.0.1:{port}" in said
        assert "--port" in said
    assert not (server.data / "admin.sock").exists()
    with ServerProcess(tmp_path):
        pass  # the folder was given free


def test_a_folder_in_use_is_named_with_its_owner(new_server: NewServer, tmp_path: Path) -> None:
    running = new_server()
    second = ServerProcess(tmp_path / "second")
    second.data = running.data
    said = refusal(second)
    assert str(running.data) in said
    assert f"process {running.pid}" in said
    assert running.runs
    assert (running.data / "admin.sock").exists(), "the socket is the first server's"


def test_a_killed_server_leaves_no_lock_behind(new_server: NewServer) -> None:
    server = new_server()
    server.kill9()
    server.start()
    assert server.stop() == 0


def test_administration_of_a_damaged_file_names_it_too(tmp_path: Path, used_folder: Path) -> None:
    folder = tmp_path / "data"
    copy_folder(used_folder, folder)
    become_text(folder / "cooee.db")
    done = subprocess.run(
        [sys.executable, "-m", "cooee", "admin", "--data-dir", str(folder), "users", "list"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done
    assert str(folder / "cooee.db") in done.stderr
    assert "Traceback" not in done.stderr
