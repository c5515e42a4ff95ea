"""Terminals and shells in which people use the command line: pseudo-terminals, pipes, and calls within this process."""

import contextlib
import itertools
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner, Result

from cooee.cli.main import cli

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse"
DEADLINE_S = 30.0
_numbers = itertools.count(1)
_STYLE = re.compile(r"\x1b\[[0-9;]*[mK]")


def a_name(stem: str) -> str:
    """Return a userId that no other test has."""
    return f"{stem}{next(_numbers)}x"


class Shell:
    """A home directory and a server: where commands are typed."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.environment = {"COOEE_HOME": str(home), "COOEE_URL": url, "COOEE_KEYRING": "off"}

    def __call__(self, *arguments: str, given: str | bytes = "", code: int = 0, **environment: str) -> Result:
        """Run one command in this process; it must end with ``code`` and without a traceback."""
        known = {name: None for name in os.environ if name.startswith("COOEE_")}
        result = CliRunner(env=known | self.environment | environment).invoke(
            cli, list(arguments), input=given, prog_name="cooee"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        assert result.exit_code == code, f"cooee {' '.join(arguments)}: {result.exit_code}\n{result.output}"
        return result

    def json(self, *arguments: str, given: str | bytes = "", code: int = 0, **environment: str) -> list[dict[str, Any]]:
        """Run one command with ``--json`` and return its objects, those of standard error when it fails."""
        result = self(*arguments, "--json", given=given, code=code, **environment)
        return [json.loads(line) for line in (result.stderr if code else result.stdout).splitlines()]

    def register(self, stem: str) -> str:
        """Create an account with a new name, log in, and return the name."""
        user = a_name(stem)
        self("register", user, "--password-stdin", given=f"{PASSWORD}\n")
        return user

    def pipe(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command whose output is read through a pipe."""
        return subprocess.Popen(
            [sys.executable, "-m", "cooee", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=whole(self.environment),
        )

    @contextlib.contextmanager
    def terminal(self, *arguments: str) -> Iterator["Terminal"]:
        """Run a command in a pseudo-terminal, and end it whatever happens."""
        terminal = Terminal(arguments, self.environment)
        try:
            yield terminal
        finally:
            terminal.end()


class Terminal:
    """A pseudo-terminal with one command in it."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cooee", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**whole(environment), "TERM": "xterm-256color"},
            preexec_fn=_own_the_terminal,  # noqa: PLW1509  # no threads here, and only this makes Ctrl-C work
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """What was shown, without styles."""
        return _STYLE.sub("", self.raw)

    def expect(self, text: str, *, styled: bool = False) -> Self:
        """Wait until ``text`` has been shown."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in (self.raw if styled else self.text):
            assert time.monotonic() < deadline, f"{text!r} was not shown:\n{self.raw}"
            assert self._read(), f"the program ended without showing {text!r}:\n{self.raw}"
        return self

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait(DEADLINE_S)

    def end(self) -> None:
        """Kill what still runs, and close the terminal."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], DEADLINE_S)
        assert ready, f"nothing more was shown:\n{self.raw}"
        try:
            piece = os.read(self._master, 65_536)
        except OSError:  # the last program on the terminal has ended
            return False
        self.raw += piece.decode()
        return bool(piece)


def _own_the_terminal() -> None:
    import fcntl  # noqa: PLC0415  # in the child only
    import termios  # noqa: PLC0415

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def whole(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a program started from here, with nothing of the tester's own settings."""
    dropped = ("COOEE_", "NO_COLOR", "LC_", "LANG")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**inherited, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", **environment}
