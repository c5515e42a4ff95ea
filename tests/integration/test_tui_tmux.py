"""`cooee chat` in a real terminal: driven by keys in tmux, against a server that is killed and started again."""

import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.integration.harness import ServerProcess
from tests.integration.terminals import Shell, whole

NewServer = Callable[..., ServerProcess]
WAIT_S = 40.0
BLUE = "\x1b[1m\x1b[38;2;92;195;255m"
"""How tmux writes the bold colour of read ticks in the dark palette."""


class Tmux:
    """A tmux server of its own, with one window for each person."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"

    def __call__(self, *arguments: str) -> str:
        """Run a command of tmux and return what it says."""
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=whole({})).stdout

    def end(self) -> None:
        """End the server with all that runs in it."""
        if self._socket.exists():
            subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)

    def open(self, name: str, environment: Mapping[str, str], *arguments: str) -> "Window":
        """Start `cooee` in a terminal; the exit code is written below what it leaves behind."""
        variables = [part for key, value in environment.items() for part in ("-e", f"{key}={value}")]
        program = f"{sys.executable} -m cooee {' '.join(arguments)}; echo ended with $?; exec cat"
        self("new-session", "-d", "-s", name, "-x", "110", "-y", "34", *variables, program)
        return Window(self, name)


class Window:
    """One terminal."""

    def __init__(self, tmux: Tmux, name: str) -> None:
        self._tmux = tmux
        self._name = name

    def shows(self, *, styled: bool = False) -> str:
        """Return what is on the terminal."""
        return self._tmux("capture-pane", "-p", "-t", self._name, *(["-e"] if styled else []))

    def sees(self, text: str, *, styled: bool = False) -> str:
        """Wait until a text is there, and return all."""
        deadline = time.monotonic() + WAIT_S
        while text not in (shown := self.shows(styled=styled)):
            assert time.monotonic() < deadline, f"{self._name} did not see {text!r}:\n{shown}"
            time.sleep(0.05)
        return shown

    def types(self, text: str) -> None:
        """Write and press Enter."""
        self._tmux("send-keys", "-t", self._name, "-l", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys."""
        self._tmux("send-keys", "-t", self._name, *keys)


@pytest.fixture
def tmux(need: Need) -> Iterator[Tmux]:
    need(shutil.which("tmux") is not None, "tmux", "apt-get install tmux")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        one = Tmux(Path(folder))
        yield one
        one.end()


def own_texts(shown: str, *texts: str) -> list[str]:
    """Return in which order texts stand in the right pane, each as often as it is there."""
    lines = [line[36:] for line in shown.splitlines()]
    found = itertools.chain.from_iterable([text for text in texts if f" {text} " in line] for line in lines)
    return list(found)


def test_two_terminals_chat_while_the_server_is_killed(new_server: NewServer, tmp_path: Path, tmux: Tmux) -> None:
    server = new_server()
    shell = Shell(tmp_path / "home", server.url)
    alice_id, bob_id = shell.register("alice"), shell.register("bob")
    environment = {**shell.environment, "COLORTERM": "truecolor"}
    alice = tmux.open("alice", environment, "--as", alice_id, "chat", bob_id)
    bob = tmux.open("bob", environment, "--as", bob_id, "chat", alice_id)
    alice.sees("Nothing was said here yet")
    bob.sees("Nothing was said here yet")
    alice.types("hello there")
    bob.sees("hello there")
    alice.sees(f"{BLUE} ✓✓", styled=True)

    server.kill9()
    alice.sees("Offline")
    for text in ("first of two", "second of two"):
        alice.types(text)
    alice.sees("queued: 2")
    server.start()
    bob.sees("second of two")
    bob.types("got both")
    told = ("hello there", "first of two", "second of two", "got both")
    seen = alice.sees(" got both ")
    assert own_texts(seen, *told) == list(told), seen
    assert own_texts(bob.sees("got both  "), *told) == list(told)
    alice.sees("F1 help")

    alice.types("the last")
    bob.sees(" the last ")
    for window in (alice, bob):
        window.press("C-q")
        shown = window.sees("ended with 0")
        assert "Traceback" not in shown
        assert "F1 help" not in shown
    assert [one["text"] for one in shell.json("--as", bob_id, "history", alice_id)] == [*told, "the last"]


def test_what_is_no_terminal_is_told_so(new_server: NewServer, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home", new_server().url)
    shell.register("alice")
    assert "needs a terminal" in shell("chat", code=2).stderr
    assert shell.json("chat", code=2)[0]["code"] == "usage"
