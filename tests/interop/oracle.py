"""The independent implementation as a process: one question, one answer."""

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parent
PACKAGE = FOLDER / "node_modules" / "@signalapp" / "libsignal-client" / "package.json"
REMEDY = "install Node.js 20 or newer, then: scripts/setup interop"


def is_installed() -> bool:
    """Say whether Node.js and the pinned package are here."""
    return shutil.which("node") is not None and PACKAGE.exists()


class Refused(Exception):
    """The oracle answered with an error, whose name and code these are."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class Oracle:
    """``oracle.mjs``, running. Bytes in answers are hexadecimal, as the program gives them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "oracle.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def ask(self, do: str, **question: Any) -> dict[str, Any]:
        """Put a question, and return the answer.

        Raises:
            Refused: the oracle answered with an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **question}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(f"{answer['error']}/{answer['code']}", answer["text"])
        return answer
