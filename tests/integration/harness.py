"""The real server as a subprocess, started, killed and started again as an operator or a power cut would do it.

It knows nothing of the server's code: it reads what the program prints, signals the process, and reads its log.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
START_S = 30.0
STOP_S = 30.0

FAST = {
    "COOEE_ACCOUNTS_ARGON2_TIME_COST": "1",
    "COOEE_ACCOUNTS_ARGON2_MEMORY_KIB": "8",
    "COOEE_ACCOUNTS_HASH_THREADS": "1",
    "COOEE_LIMITS_FRAMES": "100000/s burst 100000",
    "COOEE_LIMITS_SENDS": "100000/s burst 100000",
    "COOEE_LIMITS_GROUP_CHANGES": "100000/min",
    "COOEE_LIMITS_TO_DEVICE": "100000/min",
    "COOEE_LIMITS_PRESENCE_SUBSCRIBES": "10000/min",
    "COOEE_LIMITS_NEW_DIRECT_CHATS_WITH_STRANGERS": "100000/h",
    "COOEE_LIMITS_DRAIN_S": "0.5",
    "COOEE_LOG_FORMAT": "json",
}
"""Settings of every server under test: cheap password hashes, and no rate limit unless a test is about it."""

_ADDRESS = re.compile(r"Cooee listens on (https?://\S+)")
_TRACEBACK = "Traceback (most recent call last)"


class ServerEnded(AssertionError):
    """The server ended instead of starting; ``code`` and ``output`` say how."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"the server ended with {code}:\n{output}")
        self.code = code
        self.output = output


class ServerProcess:
    """One data folder and the server that runs on it now. ``settings`` are environment variables without COOEE_."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] = ("-m", "cooee"),
        port: int = 0,
        python: str = sys.executable,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.url = ""
        self.program = tuple(program)
        self.settings = dict(settings or {})
        self._port = port
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self.kill9()
        if failed is None:
            self.check_log()

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self, **settings: str) -> Self:
        """Start, and return once the server listens. The port of the first start is kept.

        Raises:
            ServerEnded: it refused to start.
        """
        assert self._process is None
        self.settings |= settings
        self._runs += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._process = subprocess.Popen(
                [self._python, *self.program, "serve", "--port", str(self._port), "--data-dir", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )
        self.url = self._await_address()
        self._port = int(self.url.rpartition(":")[2])
        return self

    def kill9(self) -> None:
        """Kill the process without any warning, with all that it started; nothing when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        self.signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        process, self._process = self._process, None
        assert process is not None
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the server did not stop:\n{self.output}") from None

    def stop(self) -> int:
        """Stop as an operator does, and return the exit code."""
        self.terminate()
        return self.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the server."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    # --- what it says -------------------------------------------------------------------------------------------------

    @property
    def out(self) -> Path:
        """Standard output of the present run."""
        return self.folder / f"run-{self._runs}.out"

    @property
    def err(self) -> Path:
        """Standard error of the present run: the log."""
        return self.folder / f"run-{self._runs}.err"

    @property
    def output(self) -> str:
        """All that the present run has said."""
        return self.out.read_text("utf-8") + self.err.read_text("utf-8")

    @property
    def log(self) -> str:
        """The logs of all runs."""
        return "".join(path.read_text("utf-8") for path in sorted(self.folder.glob("run-*.err")))

    def entries(self) -> list[dict[str, Any]]:
        """Return the log entries of all runs."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def check_log(self) -> None:
        """Fail on any exception, and on any entry of level error: it means a bug."""
        log = self.log
        errors = ("error", "critical")
        bugs = [entry for entry in self.entries() if entry.get("level") in errors or "exception" in entry]
        assert _TRACEBACK not in log, log
        assert not bugs, bugs
        strays = [line for line in log.splitlines() if line and not line.startswith("{")]
        assert not strays, strays

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COOEE_")}
        own = {f"COOEE_{name}": value for name, value in self.settings.items()}
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return inherited | FAST | own | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}

    def _await_address(self) -> str:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            code = process.poll()
            found = _ADDRESS.search(self.out.read_text("utf-8"))
            if found is not None and code is None:
                return found[1]
            if code is not None:
                self._process = None
                raise ServerEnded(code, self.output)
            time.sleep(0.01)
        self.kill9()
        raise AssertionError(f"the server did not listen within {START_S} s:\n{self.output}")
