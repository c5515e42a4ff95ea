"""One process that looks at one file, from its start to its end. Blocks: it runs in a thread.

It is started by `subprocess`, which does not copy the server's page tables as the event loop's own way would: with
1 GiB in memory that stops the loop for a tenth of a second.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

from cooee.adapters.inspect.exchange import ANSWER_BYTES

COMMAND = (sys.executable, "-I", "-m", "cooee.adapters.inspect.worker")


class OutOfTime(Exception):
    """The process had not answered when its time was over."""


class LookingProcess:
    """Leads a process group of its own, so that what it started is killed with it."""

    def __init__(self, order: bytes, seconds: float) -> None:
        self._order = order
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    @property
    def pid(self) -> int | None:
        """Its id while it runs."""
        return None if self._process is None or self._is_over else self._process.pid

    def run(self) -> bytes:
        """Start it, and return its answer, empty when it died. Afterwards nothing of it is left.

        Raises:
            OutOfTime: it was killed because it took too long.
            OSError: no process can be started.
        """
        deadline = time.monotonic() + self._seconds
        with self._lock:
            if self._is_over:
                return b""
            process = self._process = subprocess.Popen(  # noqa: S603  # our own program
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={"LC_ALL": "C"},
            )
        with process:
            try:
                return self._exchange(process, deadline)
            finally:
                self.kill()

    def kill(self) -> None:
        """Kill it and what it started, once; before its start: it will not start. From any thread."""
        with self._lock:
            if self._process is not None and not self._is_over:  # not waited for yet, so its id is its own
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._is_over = True

    def _exchange(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        if process.stdin is None or process.stdout is None:
            return b""
        with contextlib.suppress(BrokenPipeError):  # it fits into the pipe, so nobody waits
            process.stdin.write(self._order)
            process.stdin.close()
        said = bytearray()
        while len(said) <= ANSWER_BYTES:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise OutOfTime
            piece = os.read(process.stdout.fileno(), ANSWER_BYTES)
            if not piece:
                break
            said += piece
        return bytes(said)
