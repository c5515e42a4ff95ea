"""The two terminals of the README and of the quick start show what really happens: they are typed here.

Without colour, as a page shows them: there the last ticks say that they are ``read``.
"""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.harness import ROOT, ServerProcess
from tests.integration.terminals import PASSWORD, Shell, Terminal

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CLOCK = re.compile(r"\d\d:\d\d")
_LATER = re.compile(r"\d\d:\d\d \w+: ")


def blocks(document: str) -> list[str]:
    """Return what the terminals of the section "Two terminals" show."""
    section = (ROOT / document).read_text("utf-8").partition("\n## Two terminals\n")[2].partition("\n## ")[0]
    return _BLOCK.findall(section)


class Typist:
    """Types what a document's terminal shows after each ``$``, and expects what stands below it."""

    def __init__(self, home: Path, server: ServerProcess, open_terminals: ExitStack) -> None:
        self._shell = Shell(home, server.url)
        self._shell.environment["NO_COLOR"] = "1"
        self._url = server.url
        self._open = open_terminals
        self._later: list[tuple[Terminal, str]] = []

    def type(self, block: str) -> None:
        """Type one terminal's commands. Messages that arrive are expected once all terminals were typed."""
        for call in block.removeprefix("$ ").split("\n$ "):
            command, *shown = call.splitlines()
            words = shlex.split(command)
            assert words[0] == "cooee"
            terminal = self._open.enter_context(self._shell.terminal(*words[1:]))
            for line in shown:
                if _LATER.match(line) and "listen" in words:
                    self._later.append((terminal, line))
                else:
                    self._see(terminal, line)
            if "listen" not in words:
                assert terminal.wait() == 0, terminal.text

    def see_what_arrived(self) -> None:
        """Expect the messages that the document shows as having arrived."""
        assert self._later
        for terminal, line in self._later:
            self._see(terminal, line)

    def _see(self, terminal: Terminal, line: str) -> None:
        """Expect a line. No two clocks agree, so of a line with a time the rest is expected."""
        for part in _CLOCK.split(line.replace("http://127.0.0.1:8080", self._url)):
            terminal.expect(part.strip())
        if "password" in line or line == "Repeat for confirmation:":
            terminal.type(f"{PASSWORD}\n")


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_two_terminals_are_as_they_are_shown(document: str, tmp_path: Path) -> None:
    shown = blocks(document)
    assert len(shown) >= 2
    with ServerProcess(tmp_path / "server") as own, ExitStack() as terminals:
        typist = Typist(tmp_path / "home", own, terminals)
        for block in shown[:2]:
            typist.type(block)
        typist.see_what_arrived()
