"""The server under load: started for the benchmark on a folder of its own, or one that runs elsewhere."""

import asyncio
import contextlib
import itertools
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

from cooee.bench.figures import Progress, no_progress

RATES = "1000000/s"
SETTINGS: Mapping[str, str] = {
    "COOEE_LIMITS_FRAMES": RATES,
    "COOEE_LIMITS_SENDS": RATES,
    "COOEE_LIMITS_NEW_DIRECT_CHATS_WITH_STRANGERS": RATES,
    "COOEE_LIMITS_GROUP_CHANGES": RATES,
    "COOEE_LIMITS_REGISTRATIONS_PER_ADDRESS": RATES,
    "COOEE_LIMITS_DRAIN_S": "0.1",
    "COOEE_LOG_LEVEL": "warning",
    "COOEE_PUSH_ALLOW_HTTP": "true",
    "COOEE_PUSH_ALLOWED_NETWORKS": "127.0.0.0/8",
}
"""Rates are raised by configuration, and push may go to this machine; every other rule is as always."""

ADMIN_SOCKET = "admin.sock"
ENROL_AT_ONCE = 500
_LOCK_FILE = "cooee.lock"
_AT_ONCE = 8
_STOP_S = 20.0

Prepare = Callable[[Path], Awaitable[None]]
"""Fills a data folder before the server starts on it."""


class Target:
    """A server. Its process is known when it is ours, or runs on this machine and its data folder was named."""

    def __init__(self, url: str, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self.pid = 0
        self.folder = folder
        self._settings = dict(settings or {})
        self._process: asyncio.subprocess.Process | None = None
        self._prefix = secrets.token_hex(3)
        self._names = itertools.count()
        if url and folder is not None:
            self.pid = int((folder / _LOCK_FILE).read_text(encoding="ascii"))

    @property
    def is_own(self) -> bool:
        """Whether the benchmark started the server, and may start it again."""
        return self._process is not None

    def cpu_s(self) -> float:
        """Return the CPU time the server has used, in seconds; 0 for one whose process is not known."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Return the server's resident memory, 0 for one whose process is not known."""
        if not self.pid:
            return 0
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def start(self) -> None:
        """Start the own server.

        Raises:
            ConnectionError: it did not start.
        """
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cooee", "serve", "--port", "0", "--data-dir", str(self.folder),
            env=os.environ | SETTINGS | self._settings, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.url = await _address(self._process)
        self.pid = self._process.pid

    async def stop(self) -> None:
        """End the own server."""
        process, self._process, self.pid = self._process, None, 0
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def restart(self) -> None:
        """Start the own server again, so that nothing remains in its memory; nothing happens to another's."""
        if self.is_own:
            await self.stop()
            await self.start()

    async def enrol(self, count: int, progress: Progress = no_progress) -> list[tuple[str, str]]:
        """Return so many new accounts with the token of one device each; see `enrol_names`."""
        return await self.enrol_names(
            [f"{self._prefix}-{number}" for number in itertools.islice(self._names, count)], progress
        )

    async def enrol_names(self, names: Sequence[str], progress: Progress = no_progress) -> list[tuple[str, str]]:
        """Make these accounts and return them with the token of one device each, in the same order.

        Through the administrative socket, if the data folder is known; else they register one by one.

        Raises:
            ConnectionError: the server refused.
        """
        if self.folder is None:
            return await self._register(names, progress)
        made: list[tuple[str, str]] = []
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.folder / ADMIN_SOCKET))) as http:
            for begin in range(0, len(names), ENROL_AT_ONCE):
                progress("Enrolling accounts", begin, len(names))
                body = {"userIds": names[begin : begin + ENROL_AT_ONCE], "deviceName": "bench", "deviceType": "bench"}
                async with http.post("http://localhost/v1/admin/users/bulk", json=body) as answer:
                    if answer.status != 201:
                        raise ConnectionError(f"no accounts: {await answer.text()}")
                    made += [(each["userId"], each["token"]) for each in (await answer.json())["items"]]
        return made

    async def _register(self, names: Sequence[str], progress: Progress) -> list[tuple[str, str]]:
        gate = asyncio.Semaphore(_AT_ONCE)
        done = itertools.count(1)
        async with aiohttp.ClientSession(base_url=self.url) as http:

            async def one(user_id: str) -> tuple[str, str]:
                account = {"userId": user_id, "password": secrets.token_urlsafe(12)}
                async with gate:
                    async with http.post("/v1/accounts", json=account) as answer:
                        if answer.status != 201:
                            raise ConnectionError(f"no account: {await answer.text()}")
                    device = {"name": "bench", "type": "bench"}
                    async with http.post("/v1/sessions", json=account | {"device": device}) as answer:
                        if answer.status != 201:
                            raise ConnectionError(f"no log-in: {await answer.text()}")
                        progress("Registering accounts", next(done), len(names))
                        return user_id, str((await answer.json())["token"])

            return list(await asyncio.gather(*map(one, names)))


@contextlib.asynccontextmanager
async def target(
    url: str | None = None,
    data_dir: str | None = None,
    settings: Mapping[str, str] | None = None,
    prepare: Prepare | None = None,
) -> AsyncIterator[Target]:
    """Give the server at ``url``, or start one with all rules on and the rates raised by configuration.

    ``data_dir`` is where the server at ``url`` has its data, if that is on this machine. ``prepare`` fills the folder
    of a server that is started here.
    """
    if url:
        yield Target(url, Path(data_dir) if data_dir else None)
        return
    with tempfile.TemporaryDirectory(prefix="cooee-bench-") as name:
        folder = Path(name)
        if prepare is not None:
            await prepare(folder)
        own = Target("", folder, settings)
        try:
            await own.start()
            yield own
        finally:
            await own.stop()


async def _address(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    async for line in process.stdout:
        _, found, url = line.decode().partition("listens on ")
        if found:
            return url.strip()
    raise ConnectionError("the server did not start")
