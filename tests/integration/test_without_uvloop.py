"""Server, SDK and command line work without uvloop, also with asyncio's debug mode and warnings as errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import NewServer
from tests.integration.harness import ROOT, ServerProcess

PROGRAM = str(ROOT / "tests/integration/without_uvloop.py")
PASSWORD = "correct horse battery"
STRICT = {"PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "error"}


def run(server: ServerProcess, home: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of a user, strictly; it must succeed, and complain of nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COOEE_")}
    told = subprocess.run(
        [sys.executable, PROGRAM, *words],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env=inherited | STRICT | {"COOEE_HOME": str(home), "COOEE_URL": server.url},
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told


@pytest.fixture(params=["usual", "strict"])
def server(request: pytest.FixtureRequest, new_server: NewServer, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A server without uvloop."""
    if request.param == "strict":
        for name, value in STRICT.items():
            monkeypatch.setenv(name, value)
    return new_server(program=(PROGRAM, "cooee"))


def test_the_blocker_blocks(tmp_path: Path) -> None:
    script = tmp_path / "tries.py"
    script.write_text("import uvloop\n")
    told = subprocess.run([sys.executable, PROGRAM, str(script)], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "No module named 'uvloop'" in told.stderr


def test_the_server_says_so_and_carries_messages(server: ServerProcess, tmp_path: Path) -> None:
    for user in ("alice", "bob"):
        run(server, tmp_path, "cooee", "register", user, "--password-stdin", given=f"{PASSWORD}\n")
    sent = run(server, tmp_path, "cooee", "send", "--as", "alice", "bob", "hello there")
    assert "sent" in sent.stdout
    slow = "Executing <"  # asyncio's debug mode tells of more than 100 ms, which is a busy machine's affair
    assert [line for line in sent.stderr.splitlines() if not line.startswith(slow)] == []
    heard = run(server, tmp_path, "cooee", "history", "--as", "bob", "alice")
    assert "hello there" in heard.stdout
    (tmp_path / "plan.txt").write_text("first, tea\n")
    run(server, tmp_path, "cooee", "send", "--as", "alice", "bob", "--file", str(tmp_path / "plan.txt"))
    run(server, tmp_path, "cooee", "download", "--as", "bob", "alice", "-o", str(tmp_path / "came.txt"))
    assert (tmp_path / "came.txt").read_text() == "first, tea\n"
    assert server.stop() == 0
    assert any("uvloop is not installed" in entry["event"] for entry in server.entries())


def test_the_sdk_needs_none(server: ServerProcess, tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/sdk.md").read_text("utf-8"), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example, "utf-8")
    run(server, tmp_path / "home", "cooee", "register", "peer", "--password-stdin", given=f"{PASSWORD}\n")
    told = run(server, tmp_path / "home", str(script), server.url, str(tmp_path / "store"), "mine", "peer")
    assert told.stdout == "our hello: sent\n"


@pytest.mark.parametrize("command", [("--help",), ("chat", "--help"), ("listen", "--help"), ("bench", "--help")])
def test_commands_open_without_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = subprocess.run(
        [sys.executable, PROGRAM, "cooee", *command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert told.returncode == 0, told.stderr
    assert "Usage: " in told.stdout
